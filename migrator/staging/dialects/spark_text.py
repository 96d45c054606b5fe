"""Small pieces of Spark SQL: literals, names, case of letters, and numbers as the engine writes them."""

from __future__ import annotations

from collections.abc import Callable

from migrator.staging.dialects.kinds import Base, NotCarried, Type

SPACES = " \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""What the engine's trim takes: Unicode's spaces, no tab and no line break."""
_NAMES = {
    Base.TEXT: "STRING", Base.INT: "INT", Base.BIGINT: "BIGINT", Base.HUGE: "DECIMAL(38, 0)", Base.HASH: "DECIMAL(20, 0)", Base.DOUBLE: "DOUBLE", Base.BOOLEAN: "BOOLEAN",
    Base.DATE: "DATE", Base.TIMESTAMP: "TIMESTAMP_NTZ", Base.INSTANT: "TIMESTAMP_LTZ", Base.TIME: "TIME(6)",
    Base.NULL: "VOID",
}  # fmt: skip


def name(identifier: str) -> str:
    """An identifier that can stand in Spark SQL whatever characters it has."""
    return "`" + identifier.replace("`", "``") + "`"


def text(value: str) -> str:
    """A text literal; Spark reads backslashes in it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def let(body: Callable[..., str], *values: str) -> str:
    """`body` of the values, each computed and written once however often the body names it."""
    if all(len(value) <= _SHORT for value in values):
        return body(*values)
    fields = [f"v{number}" for number in range(len(values))]
    packed = ", ".join(f"'{field}', {value}" for field, value in zip(fields, values, strict=True))
    return f"transform(array(named_struct({packed})), x -> {body(*(f'x.{field}' for field in fields))})[0]"


_SHORT = 60


def type_name(kind: Type) -> str:
    """A type in Spark's words."""
    match kind.base:
        case Base.DECIMAL:
            return f"DECIMAL({kind.precision}, {kind.scale})"
        case Base.LIST:
            return f"ARRAY<{type_name(kind.item)}>"
        case Base.STRUCT:
            return f"STRUCT<{', '.join(f'{name(field)}: {type_name(inner)}' for field, inner in kind.inner)}>"
        case Base.MAP:
            raise NotCarried("a map as a type")
        case base:
            return _NAMES[base]


def double_text(sql: str) -> str:
    """A double as the engine writes it: the fewest digits that say it, an exponent from 1e+16 and below 0.0001."""
    return f"transform(array({sql}), d -> {_DOUBLE})[0]"


_TRIES = ", ".join(f"printf('%.{digits}e', abs(d))" for digits in (0, 1, 14, 15, 16))
_SHORTEST = f"filter(array({_TRIES}), t -> try_cast(t AS DOUBLE) = abs(d))[0]"
_MANTISSA = "regexp_replace(regexp_replace(t, 'e.*', ''), '\\\\.?0*$', '')"
_PLAIN = "regexp_replace(CAST(CAST(t AS DECIMAL(38, 21)) AS STRING), '0+$', '')"
_WRITTEN = (
    f"CASE WHEN abs(d) >= 1e16D OR abs(d) < 1e-4D THEN concat({_MANTISSA}, 'e', regexp_extract(t, 'e(.*)', 1))"
    f" ELSE regexp_replace({_PLAIN}, '\\\\.$', '.0') END"
)
_DOUBLE = (
    "CASE WHEN d IS NULL THEN NULL WHEN isnan(d) THEN 'nan' WHEN abs(d) = CAST('Infinity' AS DOUBLE) THEN if(d > 0, 'inf', '-inf')"
    " WHEN d = 0 THEN if(CAST(d AS STRING) LIKE '-%', '-0.0', '0.0')"
    f" ELSE concat(if(d < 0, '-', ''), transform(array({_SHORTEST}), t -> {_WRITTEN})[0]) END"
)


def lower(sql: str) -> str:
    """Small letters, one for one: Spark alone would look at the word (Σ) and make two letters of İ."""
    return _letters(f"translate({sql}, 'Σ', 'σ')", "lower", _NEWER_CAPITALS + "İ", "'İ', 'i'")


def upper(sql: str) -> str:
    """Capital letters, one for one: Spark alone would make SS of ß and two letters of some Greek ones."""
    changed = [char for char in _SEVERAL_CAPITALS if _one_capital(char) != char]
    pairs = f"{text(''.join(changed))}, {text(''.join(map(_one_capital, changed)))}"
    return _letters(sql, "upper", _NEWER_SMALL + "".join(_SEVERAL_CAPITALS), pairs)


def _letters(sql: str, change: str, apart: str, pairs: str) -> str:
    """The case of a text changed, but of the characters `apart` only by the `pairs`."""
    found = f"[{apart}]"
    one = f"CASE WHEN p RLIKE '^{found}' THEN translate(p, {pairs}) ELSE {change}(p) END"
    return f"array_join(transform(split({sql}, '(?<={found})|(?={found})', -1), p -> {one}), '')"


_NEWER_CAPITALS = "\u1c89\ua7cb\ua7cc\ua7ce\ua7d2\ua7d4\ua7da\ua7dc\U00010d50-\U00010d65\U00016ea0-\U00016eb8"
_NEWER_SMALL = "\u019b\u0264\u1c8a\ua7cd\ua7cf\ua7d3\ua7d5\ua7db\U00010d70-\U00010d85\U00016ebb-\U00016ed3"
"""Letters whose case Spark's Unicode knows and the engine's does not."""


def _one_capital(char: str) -> str:
    """The capital of a letter by itself, where words would have several letters instead."""
    if char == "ß":
        return "ẞ"
    titled = char.title()
    return titled if len(titled) == 1 else char


_SEVERAL_CAPITALS = [chr(code) for code in range(0x10000) if len(chr(code).upper()) > 1]
