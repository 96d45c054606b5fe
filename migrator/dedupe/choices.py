"""The SQL that makes a golden row of a cluster's members: for each field the value, its donor, and whether any was given up.

Two levels: aggregates over the members of a cluster (`gathered`), and what is made of these (`golden_columns`,
`donor_columns`). A donor is told as the member's place in its cluster, 0 where a value is made of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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


_LAST = 1 << 40
"""Beyond every rank."""
_PLACE = (1 << 32) - 1


def gathered(source: str, contest: Contest) -> str:
    """One row a cluster from the relation `source` of mapped rows with their ranks; what the columns below read."""
    chosen = [name for unit in contest.units() for name in unit.fields]
    made = [
        "__cluster",
        "first(__name) AS __name",
        "list(__id ORDER BY __own) AS __members",
        *(f"list(__own ORDER BY {rank}) AS {_order(rank)}" for rank in _ranks(contest)),
        *(
            f"first({quote(name)}) FILTER (WHERE __own = 1) AS {quote(name)}"
            for name in contest.schema.names
            if name not in chosen
        ),
    ]
    for place, unit in enumerate(contest.units()):
        made += _aggregates(place, unit, contest)
    # the engine does not work out once what is written twice
    held = ", ".join(f"{filled(name, contest.schema)} AS {_held(name)}" for name in chosen)
    hashes = ", ".join(
        f"CASE WHEN {_held(name)} IS NOT NULL THEN hash({_held(name)}) END AS {_hash(name)}"
        for name in chosen
    )
    if chosen:
        source = f"(SELECT *, {hashes} FROM (SELECT *, {held} FROM {source}))"
    return f"SELECT {', '.join(made)} FROM {source} GROUP BY __cluster"


def _held(field: str) -> str:
    """The column of a field that is null where it is blank."""
    return quote(f"__held {field}")


def _hash(field: str) -> str:
    return quote(f"__hash {field}")


def _order(rank: str) -> str:
    """The column that leads from a member's place in a rank to its place among `__members`."""
    return f"__by{rank}"


def _ranks(contest: Contest) -> list[str]:
    """The ranks that donors are told by, their own place aside."""
    return sorted({_RANK.get(unit.rule, "__trusted") for unit in contest.units()} - {"__own"})


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


def _aggregates(place: int, unit: Unit, contest: Contest) -> Iterator[str]:
    """v: what the value is made of, o: the donor's place in its rank, n…: how many values there are of a field, a… and
    b…: the same where these agree, w…: the survivor's own.
    """
    present = " OR ".join(f"{_held(name)} IS NOT NULL" for name in unit.fields)
    whole = f"struct_pack({', '.join(f'f{n} := {quote(name)}' for n, name in enumerate(unit.fields))})"
    is_made = unit.rule.is_made or unit.rule is Survivorship.MOST_FREQUENT
    match unit.rule:
        case Survivorship.MOST_FREQUENT:
            seen = f"{{'v': {whole}, 't': __trusted, 'o': __own}}"
            yield f"list({seen}) FILTER (WHERE {present}) AS v{place}"
        case Survivorship.UNION:
            yield f"list({quote(unit.name)} ORDER BY __trusted) FILTER (WHERE {present}) AS v{place}"
        case Survivorship.CUSTOM:
            yield from _custom(place, contest.rules.customs[unit.name])
        case _:
            rank, value = _rank(unit), quote(unit.name) if len(unit.fields) == 1 else whole
            # a blank text is kept where nobody has a value
            yield f"arg_min({value}, CASE WHEN {present} THEN {rank} ELSE {_LAST} + __own END) AS v{place}"
            yield f"min(CASE WHEN {present} THEN {rank} END) AS o{place}"
    for number, name in enumerate(unit.fields):
        yield f"min({_hash(name)}) AS a{place}_{number}"
        yield f"max({_hash(name)}) AS b{place}_{number}"
        if is_made or len(unit.fields) > 1:
            yield f"count({_held(name)}) AS n{place}_{number}"
        if is_made:
            yield f"first({quote(name)}) FILTER (WHERE __own = 1) AS w{place}_{number}"
            yield f"min(CASE WHEN {present} THEN __own END) AS o{place}"


def _custom(place: int, custom: Custom) -> Iterator[str]:
    if custom.sql:
        yield f"{custom.sql} AS v{place}"
        return
    for number, name in enumerate(custom.using):
        yield f"list({quote(name)} ORDER BY __trusted) AS l{place}_{number}"


def _rank(unit: Unit) -> str:
    """SQL of a whole number over a member's row: the least of them gives the unit; its low half is a place in a rank."""
    if unit.rule is Survivorship.LONGEST:
        return _most(f"coalesce(length(CAST({quote(name)} AS VARCHAR)), 0)" for name in unit.fields)
    if unit.rule is Survivorship.MOST_COMPLETE and len(unit.fields) > 1:
        return _most((f"({_held(name)} IS NOT NULL)::INTEGER" for name in unit.fields), "__complete")
    return _RANK[unit.rule]


def _most(counts: Iterable[str], then: str = "__trusted") -> str:
    return f"({then} - (CAST({' + '.join(counts)} AS BIGINT) << 32))"


def _value(place: int, unit: Unit, name: str, contest: Contest) -> str:
    number = unit.fields.index(name)
    own = f"w{place}_{number}"
    match unit.rule:
        case Survivorship.UNION:
            return f"coalesce({_union(place, unit, contest)}, {own})"
        case Survivorship.CUSTOM:
            return _made(place, contest.rules.customs[unit.name])
        case Survivorship.MOST_FREQUENT:
            return f"CASE WHEN v{place} IS NULL THEN {own} ELSE {_frequent(place)}.v.f{number} END"
        case _:
            return f"v{place}" if len(unit.fields) == 1 else f"v{place}.f{number}"


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
        case Survivorship.FIRST:
            return f"o{place}"
        case rule:
            return f"{_order(_RANK.get(rule, '__trusted'))}[o{place} & {_PLACE}]"


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
