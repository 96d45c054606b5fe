"""Staged rows as the records a mapping makes of them: their keys, copies and exploded values, as SQL.

The compiled mapping and every step that looks for a record's staged row again stand on these templates, so that both
call the same record by the same name.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.core.mapped import Explosion, MappedSource
from migrator.staging import columns
from migrator.staging.engine import literal, quote

NO_VALUE = "no value to explode"
"""Why a row whose column holds no value does not move."""
REPEATED = "the value stands in its row before"
"""Why a value that a row holds twice moves only once."""
AGAIN = "__again"
"""How often the value stands in its row before."""
UNLISTED = "__unlisted"
"""The text that should hold a list and does not, or null."""
_ITEMS = literal('["JSON"]')
_LIST, _FOUND = "__list", "__found"
_SPACE = "concat(' ', chr(9), chr(10), chr(13), chr(160), chr(12288))"
"""Space, tab, line ends, no-break and ideographic space."""
_STRUCT = 'STRUCT("value" TEXT, parts TEXT[])'


def key_of(texts: Sequence[str]) -> str:
    """SQL for the key that the texts of its columns make; null when one of them is blank, or there is none."""
    if len(texts) < 2:
        return f"nullif({texts[0]}, '')" if texts else "CAST(NULL AS TEXT)"
    parts = ", ".join(_escaped(text, "|") for text in texts)
    whole = " AND ".join(f"nullif({text}, '') IS NOT NULL" for text in texts)
    return f"CASE WHEN {whole} THEN concat_ws('|', {parts}) END"


def _escaped(text: str, sign: str) -> str:
    """A text in which `sign` cannot be taken for the sign that stands between two texts."""
    return f"replace(replace({text}, '\\', '\\\\'), '{sign}', '\\{sign}')"


def names_of(source: str, given: str, explode: Explosion | None, alias: str = "") -> tuple[str, str]:
    """SQL for `__key` and `__id` of a record; `given` is its key, null when the row has none."""
    row, copy = f"{alias}{quote(columns.ROW)}", f"{alias}{quote(columns.COPY)}"
    key = f"coalesce({given}, concat('(row ', {row}, ')'))"
    mark = f"CASE WHEN {copy} > 0 THEN concat(' (copy ', {copy}, ')') ELSE '' END"
    if explode is None:
        return key, f"concat({literal(source + ':')}, {key}, {mark})"
    value, again = f"'#' || {alias}{quote(explode.name)}", f"{alias}{quote(AGAIN)}"
    more = f"CASE WHEN {again} > 0 THEN concat(' (again ', {again}, ')') ELSE '' END"
    whole = _escaped(f"concat({key}, {mark}, {more})", "#")
    return f"concat({_escaped(key, '#')}, {value})", f"concat({literal(source + ':')}, {whole}, {value})"


def copies_of(relation: str, key: str) -> str:
    """SQL for (__row, copy) of the rows of a relation whose key a row before them has; it costs one aggregate over the keys."""
    row = quote(columns.ROW)
    return (
        f"SELECT {row}, copy FROM (SELECT {row}, row_number() OVER (PARTITION BY key ORDER BY {row}) - 1 AS copy\n"
        f"    FROM (SELECT {row}, {key} AS key FROM {relation})\n"
        f"    WHERE key IN (SELECT key FROM (SELECT {key} AS key FROM {relation}) WHERE key IS NOT NULL\n"
        "      GROUP BY key HAVING count(*) > 1))\n"
        "  WHERE copy > 0"
    )


def values_of(text: str, explode: Explosion) -> str:
    """SQL for the values in a text, as a list of STRUCT(value, parts); never null, never an error."""
    if explode.split:
        parts = (
            f"list_transform(string_split({text}, {literal(explode.split)}), lambda part: {_trimmed('part')})"
        )
        found = f"list_transform({parts}, lambda part: {{'value': part, 'parts': CAST([] AS TEXT[])}})"
    else:
        fields = [f"json_extract_string(item, {literal(_pointer(name))})" for name in explode.parts]
        first = ", ".join(
            [*(f"nullif({_trimmed(field)}, '')" for field in fields), _trimmed(_plain_text("item"))]
        )
        made = f"{{'value': coalesce({first}), 'parts': CAST([{', '.join(fields)}] AS TEXT[])}}"
        items = f"from_json({text}, {_ITEMS})"
        found = f"CASE WHEN {_is_list(text)} THEN list_transform({items}, lambda item: {made}) END"
    kept = f"list_filter({found}, lambda one: one.value <> '')"
    return f"coalesce({kept}, CAST([] AS {_STRUCT}[]))"


def _trimmed(text: str) -> str:
    return f"trim({text}, {_SPACE})"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _plain_text(item: str) -> str:
    return f"json_extract_string({item}, '$')"


def _is_list(text: str) -> str:
    return f"CASE WHEN json_valid({text}) THEN json_type({text}) = 'ARRAY' ELSE FALSE END"


def exploded(kept: Sequence[str], text: str, explode: Explosion, relation: str) -> str:
    """SQL for one row for each value in `text`, and one for a row without any.

    `kept` are the columns that stay, quoted; added are the value and its parts under their names, `__again` and
    `__unlisted`.
    """
    none = "{'value': CAST(NULL AS TEXT), 'parts': CAST([] AS TEXT[]), 'again': CAST(0 AS BIGINT)}"
    before = f"list_filter(list_slice({quote(_LIST)}, 1, place - 1), lambda other: other.value = one.value)"

    def each(again: str) -> str:
        made = f"{{'value': one.value, 'parts': one.parts, 'again': CAST({again} AS BIGINT)}}"
        return f"list_transform({quote(_LIST)}, lambda one, place: {made})"

    distinct = f"len(list_distinct(list_transform({quote(_LIST)}, lambda one: one.value)))"
    rows = (
        f"CASE WHEN len({quote(_LIST)}) = 0 THEN [{none}]\n"
        f"      WHEN {distinct} = len({quote(_LIST)}) THEN {each('0')} ELSE {each(f'len({before})')} END"
    )
    unlisted = "CAST(NULL AS TEXT)"
    if not explode.split:
        unlisted = f"CASE WHEN trim({text}) <> '' AND NOT {_is_list(text)} THEN {text} END"
    listed = ", ".join(kept)
    made = [f"{quote(_FOUND)}.value AS {quote(explode.name)}"]
    made += [
        f"{quote(_FOUND)}.parts[{number}] AS {quote(f'{explode.name}.{name}')}"
        for number, name in enumerate(explode.parts, start=1)
    ]
    made += [f"{quote(_FOUND)}.again AS {quote(AGAIN)}", quote(UNLISTED)]
    return (
        f"SELECT {listed}, {', '.join(made)} FROM (\n"
        f"    SELECT {listed}, {quote(UNLISTED)}, unnest({rows}) AS {quote(_FOUND)} FROM (\n"
        f"      SELECT {listed}, {unlisted} AS {quote(UNLISTED)},\n"
        f"        {values_of(text, explode)} AS {quote(_LIST)}\n"
        f"      FROM {relation}))"
    )


def count_of(source: MappedSource, relation: str) -> str:
    """SQL for the number of records that a source's staged rows stand for: its values, and its rows without any."""
    if source.explode is None:
        return f"SELECT count(*) AS n FROM {relation}"
    text = f"CAST({quote(source.explode.column)} AS TEXT)"
    return (
        f"SELECT CAST(coalesce(sum(greatest(len({values_of(text, source.explode)}), 1)), 0) AS BIGINT) AS n"
        f" FROM {relation}"
    )
