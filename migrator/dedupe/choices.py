"""The SQL that makes a golden row of a cluster's members: for each field the value, its donor, and whether any was given up.

Two levels: aggregates over the members of a cluster (`gathered`), and what is made of these (`golden_columns`,
`donor_columns`). A donor is told as the member's place in its cluster, 0 where a value is made of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from migrator.core.mapped import Custom, Survivorship
from migrator.dedupe.survive import Contest, Unit, filled
from migrator.staging import columns
from migrator.staging.engine import literal, quote
from migrator.staging.provenance import donor_column

_KEEP_FIRST = "list_filter({0}, lambda __v, __n: list_position({0}, __v) = __n)"
"""A list without repetitions, in its order."""
_RANK = {
    Survivorship.MOST_RECENT: "__recent",
    Survivorship.MOST_TRUSTED: "__trusted",
    Survivorship.MOST_COMPLETE: "__complete",
    Survivorship.FIRST: "__own",
}


def gathered(source: str, contest: Contest) -> str:
    """One row a cluster from the relation `source` of mapped rows with their ranks; what the columns below read."""
    made = [
        "__cluster",
        "first(__name) AS __name",
        "list(__id ORDER BY __own) AS __members",
        *(
            f"first({quote(name)}) FILTER (WHERE __own = 1) AS {quote(name)}"
            for name in contest.schema.names
            if name not in _chosen(contest)
        ),
    ]
    for place, unit in enumerate(contest.units()):
        made += _aggregates(place, unit, contest)
    return f"SELECT {', '.join(made)} FROM {source} GROUP BY __cluster"


def golden_columns(contest: Contest) -> str:
    """The columns of MAPPED, from a row of `gathered`."""
    values = {
        name: _value(place, unit, name, contest)
        for place, unit in enumerate(contest.units())
        for name in unit.fields
    }
    return ", ".join(f"{values.get(name, quote(name))} AS {quote(name)}" for name in contest.schema.names)


def donor_columns(contest: Contest) -> str:
    """The columns of DONORS, from a row of `gathered`."""
    places = {name: _donor(place, unit) for place, unit in enumerate(contest.units()) for name in unit.fields}
    disputed = [
        f"CASE WHEN {_given_up(place, number, unit, contest)} THEN {literal(name)} END"
        for place, unit in enumerate(contest.units())
        for number, name in enumerate(unit.fields)
    ]
    shown = [f"__members[1] AS {quote(columns.ID)}", "__name AS cluster"]
    shown.append(f"__members AS {quote(columns.MEMBERS)}")
    shown.append(
        f"list_filter([{', '.join(disputed)}]::VARCHAR[], lambda __f: __f IS NOT NULL) AS {quote(columns.DISPUTED)}"
    )
    shown += [f"CAST({sql} AS INTEGER) AS {quote(donor_column(name))}" for name, sql in places.items()]
    return ", ".join(shown)


def failed_customs(contest: Contest) -> Iterator[tuple[str, Custom, str]]:
    """(field, rule, SQL condition over a row of `gathered`): where a made value does not fit its field."""
    for place, unit in enumerate(contest.units()):
        custom = contest.rules.customs.get(unit.name)
        if unit.rule is Survivorship.CUSTOM and custom is not None and custom.sql:
            yield unit.name, custom, f"v{place} IS NOT NULL AND TRY_CAST(v{place} AS {custom.gives}) IS NULL"


def _chosen(contest: Contest) -> set[str]:
    return {name for unit in contest.units() for name in unit.fields}


def _aggregates(place: int, unit: Unit, contest: Contest) -> Iterator[str]:
    """v: what the value is made of, o: the donor's place, n…: how many values there are of a field, h…: whether they differ."""
    held = [filled(name, contest.schema) for name in unit.fields]
    present = f"FILTER (WHERE {' OR '.join(f'{sql} IS NOT NULL' for sql in held)})"
    whole = f"struct_pack({', '.join(f'f{n} := {quote(name)}' for n, name in enumerate(unit.fields))})"
    match unit.rule:
        case Survivorship.MOST_FREQUENT:
            seen = f"{{'v': {whole}, 't': __trusted, 'o': __own}}"
            yield f"list({seen}) {present} AS v{place}"
        case Survivorship.UNION:
            yield f"list({quote(unit.name)} ORDER BY __trusted) {present} AS v{place}"
            yield f"min(__own) {present} AS o{place}"
        case Survivorship.CUSTOM:
            yield from _custom(place, contest.rules.customs[unit.name])
            yield f"min(__own) {present} AS o{place}"
        case _:
            rank = _rank(unit, held)
            yield f"arg_min({whole}, {rank}) {present} AS v{place}"
            yield f"arg_min(__own, {rank}) {present} AS o{place}"
    for number, (name, sql) in enumerate(zip(unit.fields, held, strict=True)):
        yield f"count({sql}) AS n{place}_{number}"
        yield f"min(hash({sql})) FILTER (WHERE {sql} IS NOT NULL) AS a{place}_{number}"
        yield f"max(hash({sql})) FILTER (WHERE {sql} IS NOT NULL) AS b{place}_{number}"
        yield f"first({quote(name)}) FILTER (WHERE __own = 1) AS w{place}_{number}"


def _custom(place: int, custom: Custom) -> Iterator[str]:
    if custom.sql:
        yield f"{custom.sql} AS v{place}"
        return
    for number, name in enumerate(custom.using):
        yield f"list({quote(name)} ORDER BY __trusted) AS l{place}_{number}"


def _rank(unit: Unit, held: Sequence[str]) -> str:
    """SQL of a whole number over a member's row: the least of them gives the unit."""
    if unit.rule is Survivorship.LONGEST:
        return _most(f"coalesce(length(CAST({quote(name)} AS VARCHAR)), 0)" for name in unit.fields)
    if unit.rule is Survivorship.MOST_COMPLETE and len(unit.fields) > 1:
        return _most((f"({sql} IS NOT NULL)::INTEGER" for sql in held), "__complete")
    return _RANK[unit.rule]


def _most(counts: Iterable[str], then: str = "__trusted") -> str:
    return f"({then} - (CAST({' + '.join(counts)} AS BIGINT) << 32))"


def _value(place: int, unit: Unit, name: str, contest: Contest) -> str:
    number = unit.fields.index(name)
    own = f"w{place}_{number}"  # a blank text is kept where nobody has a value
    match unit.rule:
        case Survivorship.UNION:
            return f"coalesce({_union(place, unit, contest)}, {own})"
        case Survivorship.CUSTOM:
            return _made(place, contest.rules.customs[unit.name])
        case Survivorship.MOST_FREQUENT:
            return f"CASE WHEN v{place} IS NULL THEN {own} ELSE {_frequent(place)}.v.f{number} END"
        case _:
            return f"CASE WHEN v{place} IS NULL THEN {own} ELSE v{place}.f{number} END"


def _frequent(place: int) -> str:
    """The first of the members by how many share its value, then by trust."""
    same = f"len(list_filter(v{place}, lambda __y: __y.v IS NOT DISTINCT FROM __x.v))"
    scored = f"list_transform(v{place}, lambda __x: {{'n': -{same}, 't': __x.t, 'o': __x.o, 'v': __x.v}})"
    return f"(list_sort({scored})[1])"


def _union(place: int, unit: Unit, contest: Contest) -> str:
    separator = contest.rules.separators[unit.name]
    if not separator:
        texts = f"list_filter(v{place}, lambda __t: trim(__t) <> '')"
        parts = f"flatten(list_transform({texts}, lambda __t: {_json_parts('__t')}))"
        joined = f"'[' || array_to_string({_KEEP_FIRST.format(parts)}, ', ') || ']'"
    else:
        split = f"flatten(list_transform(v{place}, lambda __t: string_split(__t, {literal(separator)})))"
        trimmed = f"list_filter(list_transform({split}, lambda __t: trim(__t)), lambda __t: __t <> '')"
        joined = f"array_to_string({_KEEP_FIRST.format(trimmed)}, {literal(separator)})"
    return f"CASE WHEN v{place} IS NOT NULL THEN {joined} END"


def _json_parts(text: str) -> str:
    """The values of a JSON list as JSON; any other JSON is one value, and what is no JSON a text."""
    return (
        f"CASE WHEN NOT json_valid({text}) THEN [CAST(to_json({text}) AS VARCHAR)]"
        f" WHEN json_type({text}) = 'ARRAY' THEN CAST(json_extract({text}, '$[*]') AS VARCHAR[])"
        f" ELSE [CAST({text} AS VARCHAR)] END"
    )


def _made(place: int, custom: Custom) -> str:
    if custom.sql:
        return f"TRY_CAST(v{place} AS {custom.gives})"
    lists = [f"l{place}_{number}" for number in range(len(custom.using))]
    return f"main.{quote(custom.function)}({', '.join(['__members[1]', *lists])})"


def _donor(place: int, unit: Unit) -> str:
    """A value that only one member has is its own, also where it might have been made of several."""
    match unit.rule:
        case Survivorship.MOST_FREQUENT:
            return f"CASE WHEN v{place} IS NOT NULL THEN {_frequent(place)}.o END"
        case Survivorship.CUSTOM:
            return f"CASE WHEN n{place}_0 > 0 THEN 0 END"
        case Survivorship.UNION:
            return f"CASE WHEN n{place}_0 > 1 THEN 0 ELSE o{place} END"
        case _:
            return f"o{place}"


def _given_up(place: int, number: int, unit: Unit, contest: Contest) -> str:
    """A value that differs from the surviving one; in a group also one where the donor has none."""
    differ = f"a{place}_{number} <> b{place}_{number}"
    match unit.rule:
        case Survivorship.UNION:
            return "false"  # nothing is lost
        case Survivorship.CUSTOM:
            return differ
        case _:
            return (
                differ
                if len(unit.fields) == 1
                else f"({differ} OR {_left_out(place, number, unit, contest)})"
            )


def _left_out(place: int, number: int, unit: Unit, contest: Contest) -> str:
    """The donor of a group has nothing here, and somebody else has."""
    value = _value(place, unit, unit.fields[number], contest)
    blank = f"nullif(trim(CAST({value} AS VARCHAR)), '') IS NULL"
    return f"(n{place}_{number} > 0 AND {blank})"


def donors_schema(fields: tuple[str, ...]) -> pa.Schema:
    """The columns of DONORS for a mapping that writes these fields, in order of units."""
    texts = pa.list_(pa.string())
    return pa.schema(
        [
            pa.field(columns.ID, pa.string()),
            pa.field("cluster", pa.string()),
            pa.field(columns.MEMBERS, texts),
            pa.field(columns.DISPUTED, texts),
            *(pa.field(donor_column(name), pa.int32()) for name in fields),
        ]
    )
