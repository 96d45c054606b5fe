"""Functions over texts, lists and moments in Spark SQL; importing it completes the rules of `spark`."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from migrator.staging.dialects import spark_text, spark_time
from migrator.staging.dialects.kinds import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INSTANT,
    INT,
    NULL,
    TEXT,
    TIMESTAMP,
    WHOLE,
    Base,
    NotCarried,
    Type,
    list_of,
)  # fmt: skip
from migrator.staging.dialects.patterns import Pattern, replacement, to_java
from migrator.staging.dialects.piece import Piece, fails_of, null_fails
from migrator.staging.dialects.spark import (
    Expressions,
    coerced,
    rule,
    text_piece,
    unified,
)  # fmt: skip


def _texts(scope: Expressions, *nodes: exp.Expr) -> list[Piece]:
    found = scope.pieces(nodes)
    for item in found:
        if item.type.base not in (Base.TEXT, Base.NULL):
            raise NotCarried(f"a {item.type} where a text is wanted")
    return found


def _constant_of(piece: Piece, what: str) -> str:
    if piece.constant is None:
        raise NotCarried(f"{what} that is not a constant")
    return piece.constant


def _small(piece: Piece) -> str:
    """A whole number as Spark's INT, which its functions want; larger ones mean the same as the largest."""
    if piece.type.base not in WHOLE:
        raise NotCarried(f"a {piece.type} where a whole number is wanted")
    if piece.type.base is Base.INT:
        return piece.sql
    limited = f"CASE WHEN {piece.sql} > 99999999 THEN 99999999 WHEN {piece.sql} < -99999999 THEN -99999999"
    return f"CAST({limited} ELSE {piece.sql} END AS INT)"


# ---- texts -------------------------------------------------------------------------------------

_SAME: Mapping[type[exp.Expr], tuple[str, Type]] = {
    exp.Contains: ("contains", BOOLEAN), exp.StartsWith: ("startswith", BOOLEAN), exp.EndsWith: ("endswith", BOOLEAN),
    exp.Replace: ("replace", TEXT), exp.Translate: ("translate", TEXT),
}  # fmt: skip


@rule(*_SAME)
def _same(scope: Expressions, node: exp.Expr) -> Piece:
    word, kind = _SAME[type(node)]
    match node:
        case exp.Translate():
            items = _texts(scope, node.this, node.args["from_"], node.args["to"])
        case exp.Replace():
            items = _texts(scope, node.this, node.expression, node.args["replacement"])
        case _:
            items = _texts(scope, node.this, node.expression)
    return Piece(f"{word}({', '.join(item.sql for item in items)})", kind, fails_of(*items))


@rule(exp.Upper, exp.Lower)
def _letters(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    change = spark_text.upper if isinstance(node, exp.Upper) else spark_text.lower
    return Piece(change(value.sql), TEXT, value.fails)


@rule(exp.Length)
def _length(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    sql = (
        f"CASE WHEN {value.sql} IS NOT NULL THEN size({value.sql}) END"
        if value.type.base is Base.LIST
        else f"length({value.sql})"
    )
    return Piece(f"CAST({sql} AS BIGINT)", BIGINT, value.fails)


@rule(exp.StrPosition)
def _position(scope: Expressions, node: exp.Expr) -> Piece:
    value, sought = _texts(scope, node.this, node.args["substr"])
    return Piece(f"CAST(instr({value.sql}, {sought.sql}) AS BIGINT)", BIGINT, fails_of(value, sought))


@rule(exp.Left, exp.Right)
def _ends(scope: Expressions, node: exp.Expr) -> Piece:
    (value,), count = _texts(scope, node.this), scope.piece(node.expression)
    size = _small(count)
    if not isinstance(node.expression, exp.Literal):
        sql = spark_text.let(_last if isinstance(node, exp.Right) else _first, value.sql, size)
    elif isinstance(node, exp.Left):
        sql = f"left({value.sql}, {size})"
    else:
        sql = f"right({value.sql}, {size})"
    return Piece(sql, TEXT, fails_of(value, count))


def _first(text: str, size: str) -> str:
    return f"substring({text}, 1, CASE WHEN {size} < 0 THEN greatest(length({text}) + {size}, 0) ELSE {size} END)"


def _last(text: str, size: str) -> str:
    start = f"CASE WHEN {size} IS NULL THEN NULL WHEN {size} < 0 THEN 1 - {size} ELSE greatest(length({text}) - {size}, 0) + 1 END"
    return f"substring({text}, {start}, length({text}))"


@rule(exp.Substring)
def _substring(scope: Expressions, node: exp.Expr) -> Piece:
    (value,), start = _texts(scope, node.this), scope.piece(node.args["start"])
    if node.args.get("length") is None:
        return Piece(spark_text.let(_rest, value.sql, _small(start)), TEXT, fails_of(value, start))
    size = scope.piece(node.args["length"])
    sql = spark_text.let(_window, value.sql, _small(start), _small(size))
    return Piece(sql, TEXT, fails_of(value, start, size))


def _begin(text: str, start: str) -> str:
    """Characters before the window; negative where it starts before the text does."""
    return f"CASE WHEN {start} < 0 THEN length({text}) + {start} ELSE {start} - 1 END"


def _rest(text: str, start: str) -> str:
    begin = f"CASE WHEN {start} IS NULL THEN NULL ELSE greatest({_begin(text, start)}, 0) END"
    return f"substring({text}, {begin} + 1, length({text}))"


def _window(text: str, start: str, size: str) -> str:
    begin = _begin(text, start)
    low, high = f"greatest(least({begin}, {begin} + {size}), 0)", f"greatest({begin}, {begin} + {size}, 0)"
    return f"CASE WHEN {start} IS NOT NULL AND {size} IS NOT NULL THEN substring({text}, {low} + 1, {high} - {low}) END"


@rule(exp.Pad)
def _pad(scope: Expressions, node: exp.Expr) -> Piece:
    value, filler = _texts(scope, node.this, node.args.get("fill_pattern") or exp.Literal.string(" "))
    if not _constant_of(filler, "a text to fill up with"):
        raise NotCarried("lpad with an empty text")
    size = scope.piece(node.expression)
    word = "lpad" if node.args.get("is_left") else "rpad"
    return Piece(f"{word}({value.sql}, {_small(size)}, {filler.sql})", TEXT, fails_of(value, size))


@rule(exp.SplitPart)
def _split_part(scope: Expressions, node: exp.Expr) -> Piece:
    value, mark = _texts(scope, node.this, node.args["delimiter"])
    number = scope.piece(node.args["part_index"])
    if not _constant_of(mark, "a separator of split_part"):
        raise NotCarried("split_part with an empty separator")

    def part(text: str, at: str) -> str:
        found = f"split_part({text}, {mark.sql}, CASE WHEN {at} = 0 THEN 1 ELSE {at} END)"
        return f"CASE WHEN {at} = 0 AND {text} IS NOT NULL THEN '' ELSE {found} END"

    return Piece(spark_text.let(part, value.sql, _small(number)), TEXT, fails_of(value, number))


@rule(exp.Trim)
def _trim(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    chars = node.args.get("expression")
    taken = _texts(scope, chars)[0] if chars is not None else Piece(spark_text.text(spark_text.SPACES), TEXT)
    side = node.args.get("position") or "BOTH"
    return Piece(f"trim({side} {taken.sql} FROM {value.sql})", TEXT, fails_of(value, taken))


@rule(exp.Reverse)
def _reverse(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)

    def turned(text: str) -> str:
        letters = f"array_join(reverse(regexp_extract_all({text}, '(?s)\\\\X', 0)), '')"
        return (
            f"CASE WHEN {text} RLIKE '\\\\A[\\\\x00-\\\\x7F]*\\\\z' THEN reverse({text}) ELSE {letters} END"
        )

    return Piece(spark_text.let(turned, value.sql), TEXT, value.fails)


@rule(exp.Repeat)
def _repeat(scope: Expressions, node: exp.Expr) -> Piece:
    (value,), times = _texts(scope, node.this), scope.piece(node.args["times"])
    return Piece(f"repeat({value.sql}, {_small(times)})", TEXT, fails_of(value, times))


@rule(exp.Chr)
def _chr(_: Expressions, node: exp.Expr) -> Piece:
    char = chr(int(node.expressions[0].name))
    return Piece(spark_text.text(char), TEXT, constant=char)


@rule(exp.Concat)
def _concat(scope: Expressions, node: exp.Expr) -> Piece:
    items = [text_piece(item) for item in scope.pieces(node.expressions)]
    return Piece(f"concat_ws('', {', '.join(item.sql for item in items)})", TEXT, fails_of(*items))


@rule(exp.ConcatWs)
def _concat_ws(scope: Expressions, node: exp.Expr) -> Piece:
    items = [text_piece(item) for item in scope.pieces(node.expressions)]
    return Piece(f"concat_ws({', '.join(item.sql for item in items)})", TEXT, fails_of(*items))


@rule(exp.DPipe)
def _pipe(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = (text_piece(item) for item in scope.pieces([node.this, node.expression]))
    return Piece(f"concat({left.sql}, {right.sql})", TEXT, fails_of(left, right))


def _nfc(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.expressions[0])
    # not by `let`: what Java is asked for inside of a lambda is not made ready where a query is interpreted
    composed = f"java_method('com.ibm.icu.text.Normalizer', 'compose', coalesce({value.sql}, ''), false)"
    return Piece(f"CASE WHEN {value.sql} IS NOT NULL THEN {composed} END", TEXT, value.fails)


# ---- regular expressions -----------------------------------------------------------------------


def _pattern(scope: Expressions, node: exp.Expr, flags: str = "") -> Pattern:
    written = _constant_of(scope.piece(node), "a regular expression")
    if set(flags) - {"i", "g", "c"}:
        raise NotCarried(f"the option {flags!r} of a regular expression")
    return to_java(written, fold="i" in flags)


def _flags(node: exp.Expr, *names: str) -> str:
    return next((node.args[name].name for name in names if node.args.get(name) is not None), "")


@rule(exp.RegexpFullMatch, exp.RegexpLike)
def _matches(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    java = _pattern(scope, node.expression, _flags(node, "flag", "options")).java
    whole = f"\\A(?:{java})\\z" if isinstance(node, exp.RegexpFullMatch) else java
    return Piece(f"({value.sql} RLIKE {spark_text.text(whole)})", BOOLEAN, value.fails)


@rule(exp.RegexpExtract)
def _extract(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    pattern = _pattern(scope, node.expression, _flags(node, "parameters"))
    if isinstance(node.args.get("group"), exp.Array):
        return _groups(value, pattern, [item.name for item in node.args["group"].expressions])
    group = int(_flags(node, "group") or 0)
    if group > pattern.groups:
        raise NotCarried(f"group {group} of a regular expression that has {pattern.groups}")
    return Piece(f"regexp_extract({value.sql}, {spark_text.text(pattern.java)}, {group})", TEXT, value.fails)


def _groups(value: Piece, pattern: Pattern, names: list[str]) -> Piece:
    """The groups of a pattern under names."""

    def named(text: str) -> str:
        found = (
            f"{spark_text.text(name)}, regexp_extract({text}, {spark_text.text(pattern.java)}, {number})"
            for number, name in enumerate(names, start=1)
        )
        return f"named_struct({', '.join(found)})"

    kind = Type(Base.STRUCT, inner=tuple((name, TEXT) for name in names))
    return Piece(spark_text.let(named, value.sql), kind, value.fails)


@rule(exp.RegexpExtractAll)
def _extract_all(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    pattern, group = _pattern(scope, node.expression), _flags(node, "group") or "0"
    if pattern.can_be_empty or group != "0":
        raise NotCarried("regexp_extract_all of a group, or of a pattern that may match nothing")
    sql = f"regexp_extract_all({value.sql}, {spark_text.text(pattern.java)}, 0)"
    return Piece(sql, list_of(TEXT), value.fails)


@rule(exp.RegexpReplace)
def _regexp_replace(scope: Expressions, node: exp.Expr) -> Piece:
    value, by = _texts(scope, node.this, node.args["replacement"])
    flags = _flags(node, "modifiers")
    pattern, new = _pattern(scope, node.expression, flags), _constant_of(by, "a replacement")
    if pattern.can_be_empty:
        raise NotCarried(
            f"a regular expression that may match nothing, in a replacement: {node.expression.name!r}"
        )
    if "g" in flags:
        java, wanted = pattern.java, replacement(new)
    else:
        java, wanted = f"\\A((?s:.*?)){pattern.java}", f"$1{replacement(new, shift=1)}"
    return Piece(
        f"regexp_replace({value.sql}, {spark_text.text(java)}, {spark_text.text(wanted)})", TEXT, value.fails
    )


# ---- lists, structs, maps ----------------------------------------------------------------------


@rule(exp.Array)
def _array(scope: Expressions, node: exp.Expr) -> Piece:
    items = scope.pieces(node.expressions)
    if items and any(item.type.base is Base.STRUCT for item in items):
        return Piece(f"array({', '.join(item.sql for item in items)})", list_of(items[0].type))
    items = unified(items) if items else []
    return Piece(
        f"array({', '.join(item.sql for item in items)})",
        list_of(items[0].type if items else NULL),
        fails_of(*items),
    )


@rule(exp.ArraySort)
def _sorted(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    if value.type != list_of(TEXT):
        raise NotCarried(f"a {value.type} in order")
    return Piece(f"array_sort({value.sql})", value.type, value.fails)


@rule(exp.Struct)
def _struct(scope: Expressions, node: exp.Expr) -> Piece:
    names = [item.this.name for item in node.expressions]
    values = scope.pieces([item.expression for item in node.expressions])
    typed = [Piece("CAST(NULL AS STRING)", TEXT) if item.type == NULL else item for item in values]
    listed = ", ".join(
        f"{spark_text.text(name)}, {item.sql}" for name, item in zip(names, typed, strict=True)
    )
    kind = Type(Base.STRUCT, inner=tuple((name, item.type) for name, item in zip(names, typed, strict=True)))
    return Piece(f"named_struct({listed})", kind, fails_of(*typed))


@rule(exp.Bracket)
def _bracket(scope: Expressions, node: exp.Expr) -> Piece:
    value, key = scope.piece(node.this), scope.piece(node.expressions[0])
    if value.type.base is Base.STRUCT and key.constant is not None:
        return Piece(
            f"{value.sql}.{spark_text.name(key.constant)}", dict(value.type.inner)[key.constant], value.fails
        )
    if value.type.base is Base.MAP:
        return Piece(f"try_element_at({value.sql}, {key.sql})", value.type.item, fails_of(value, key))
    if value.type.base is Base.LIST and isinstance(node.expressions[0], exp.Literal):
        return Piece(f"get({value.sql}, {key.sql})", value.type.item, fails_of(value, key))
    raise NotCarried(f"an item of a {value.type}")


@rule(exp.Map)
def _map(scope: Expressions, node: exp.Expr) -> Piece:
    keys, values = scope.pieces([node.args["keys"], node.args["values"]])
    return Piece(
        f"map_from_arrays({keys.sql}, {values.sql})", Type(Base.MAP, inner=(("", values.type.item),))
    )


def _map_contains(scope: Expressions, node: exp.Expr) -> Piece:
    table, key = scope.pieces(node.expressions)
    return Piece(f"map_contains_key({table.sql}, {key.sql})", BOOLEAN, fails_of(table, key))


@rule(exp.Split)
def _split(scope: Expressions, node: exp.Expr) -> Piece:
    value, mark = _texts(scope, node.this, node.expression)
    sought = _constant_of(mark, "a separator")
    if not sought:
        raise NotCarried("a split at an empty text")
    quoted = "".join(f"\\x{{{ord(char):x}}}" for char in sought)
    return Piece(f"split({value.sql}, {spark_text.text(quoted)}, -1)", list_of(TEXT), value.fails)


@rule(exp.ArrayToString)
def _join(scope: Expressions, node: exp.Expr) -> Piece:
    items, mark = scope.pieces([node.this, node.expression])
    return Piece(f"array_join({items.sql}, {mark.sql})", TEXT, items.fails)


@rule(exp.Transform, exp.ArrayFilter)
def _each(scope: Expressions, node: exp.Expr) -> Piece:
    items, function = scope.piece(node.this), node.expression
    name, *others = (item.name for item in function.expressions)
    inside, named = scope.typed(name, items.type.item), spark_text.name(name)
    body = function.this
    for place in others:  # the place of the item, which Spark counts from 0
        inside, named = inside.typed(place, INT), f"({named}, {spark_text.name(place)})"
        body = body.transform(lambda part, place=place: _from_one(part, place))
    inner = inside.piece(body)
    word, kind = (
        ("filter", items.type) if isinstance(node, exp.ArrayFilter) else ("transform", list_of(inner.type))
    )
    return Piece(f"{word}({items.sql}, {named} -> {inner.sql})", kind, items.fails)


def _from_one(node: exp.Expr, place: str) -> exp.Expr:
    """A part of a lambda's body in which the `place`, as the body sees it, is told by an engine that counts from 0."""
    inner = isinstance(node.parent, exp.Column) or (
        node.arg_key == "expression" and isinstance(node.parent, exp.Dot)
    )
    read = isinstance(node, exp.Identifier) and not inner and node.name == place
    return exp.paren(exp.Add(this=node.copy(), expression=exp.Literal.number(1))) if read else node


@rule(exp.Dot)
def _part_of(scope: Expressions, node: exp.Expr) -> Piece:
    value, name = scope.piece(node.this), node.expression.name
    if value.type.base is not Base.STRUCT:
        raise NotCarried(f"a part of a {value.type}")
    return Piece(f"{value.sql}.{spark_text.name(name)}", dict(value.type.inner)[name], value.fails)


@rule(exp.ArrayDistinct)
def _different(scope: Expressions, node: exp.Expr) -> Piece:
    items = scope.piece(node.this)
    return Piece(f"array_distinct({items.sql})", items.type, items.fails)


def _slice(scope: Expressions, node: exp.Expr) -> Piece:
    items, start, last = scope.pieces(node.expressions)
    if start.sql != "1":
        raise NotCarried("list_slice that does not start at 1")
    return Piece(f"slice({items.sql}, 1, greatest({_small(last)}, 0))", items.type, fails_of(items, last))


# ---- moments -----------------------------------------------------------------------------------

_PARTS: Mapping[type[exp.Expr], str] = {exp.Year: "year", exp.Month: "month", exp.Day: "day"}
_MOMENTS = (Base.DATE, Base.TIMESTAMP, Base.INSTANT)
_UNITS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
_MICROS = {"HOUR": 3_600_000_000, "MINUTE": 60_000_000, "SECOND": 1_000_000}


def _moment(piece: Piece) -> Piece:
    if piece.type.base not in _MOMENTS:
        raise NotCarried(f"a {piece.type} where a date or time is wanted")
    return piece


@rule(*_PARTS)
def _part(scope: Expressions, node: exp.Expr) -> Piece:
    value = _moment(scope.piece(node.this))
    return Piece(f"CAST({_PARTS[type(node)]}({value.sql}) AS BIGINT)", BIGINT, value.fails)


@rule(exp.TimestampTrunc)
def _trunc(scope: Expressions, node: exp.Expr) -> Piece:
    value, unit = _moment(scope.piece(node.this)), node.args["unit"].name.upper()
    if unit not in _UNITS:
        raise NotCarried(f"date_trunc to {unit.lower()}")
    kind = INSTANT if value.type.base is Base.INSTANT else TIMESTAMP
    sql = f"CAST(date_trunc('{unit}', {value.sql}) AS {spark_text.type_name(kind)})"
    return Piece(sql, kind, value.fails)


@rule(exp.DateDiff)
def _difference(scope: Expressions, node: exp.Expr) -> Piece:
    end, start = (_moment(item) for item in scope.pieces([node.this, node.expression]))
    unit = node.args["unit"].name.upper()
    found = [_count(item, unit) for item in (start, end)]
    return Piece(f"CAST({found[1]} - {found[0]} AS BIGINT)", BIGINT, fails_of(start, end))


def _count(piece: Piece, unit: str) -> str:
    """Whole units from a fixed moment to a moment."""
    sql = piece.sql
    match unit:
        case "DAY":
            return f"unix_date(CAST({sql} AS DATE))"
        case "MONTH":
            return f"(year({sql}) * 12 + month({sql}))"
        case "QUARTER":
            return f"(year({sql}) * 4 + quarter({sql}))"
        case "YEAR":
            return f"year({sql})"
        case "HOUR" | "MINUTE" | "SECOND" if piece.type.base is Base.INSTANT:
            micros, size = f"unix_micros({sql})", _MICROS[unit]
            return f"(({micros} - pmod({micros}, {size})) div {size})"
        case _:
            raise NotCarried(f"date_diff in {unit.lower()}s of a {piece.type}")


@rule(exp.TimeToUnix)
def _seconds(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    if value.type.base is not Base.INSTANT:
        raise NotCarried(f"epoch of a {value.type}")
    return Piece(f"(CAST(unix_micros({value.sql}) AS DOUBLE) / 1e6D)", DOUBLE, value.fails)


@rule(exp.TimeToStr)
def _strftime(scope: Expressions, node: exp.Expr) -> Piece:
    value, form = _moment(scope.piece(node.this)), scope.piece(node.args["format"])
    return Piece(spark_time.written(value.sql, _constant_of(form, "a format")), TEXT, value.fails)


@rule(exp.DateFromParts)
def _make_date(scope: Expressions, node: exp.Expr) -> Piece:
    parts = scope.pieces([node.args[name] for name in ("year", "month", "day")])
    year, month, day = (_small(part) for part in parts)
    written = f"concat(lpad(CAST({year} AS STRING), 4, '0'), '-', CAST({month} AS STRING), '-', CAST({day} AS STRING))"
    sane = f"{year} BETWEEN 1 AND 9999 AND {month} BETWEEN 1 AND 12 AND {day} BETWEEN 1 AND 31"
    sql = f"CASE WHEN {sane} THEN try_cast({written} AS DATE) END"
    return Piece(sql, DATE, (*fails_of(*parts), null_fails(sql, *parts)))


def _strptime(scope: Expressions, node: exp.Expr) -> Piece:
    source, listed = node.expressions
    (value,) = _texts(scope, source)
    items = listed.expressions if isinstance(listed, exp.Array) else [listed]
    formats = [_constant_of(scope.piece(item), "a format") for item in items]
    return Piece(spark_time.parsed(value.sql, formats), TIMESTAMP, value.fails)


def _timezone(scope: Expressions, node: exp.Expr) -> Piece:
    zone, value = scope.pieces(node.expressions)
    name = _constant_of(zone, "a time zone")
    if value.type.base is Base.INSTANT:
        return Piece(spark_time.to_local(name, value.sql), TIMESTAMP, value.fails)
    return Piece(spark_time.to_instant(name, coerced(value, TIMESTAMP).sql), INSTANT, value.fails)


_NAMED = {
    "nfc_normalize": _nfc, "list_slice": _slice, "map_contains": _map_contains, "try_strptime": _strptime, "timezone": _timezone,
}  # fmt: skip


@rule(exp.Anonymous)
def _anonymous(scope: Expressions, node: exp.Expr) -> Piece:
    found = _NAMED.get(str(node.this).lower())
    if found is None:
        raise NotCarried(f"the function {str(node.this).lower()}")
    return found(scope, node)


@rule(exp.Trunc)
def _truncated(scope: Expressions, node: exp.Expr) -> Piece:
    value = scope.piece(node.this)
    if value.type.base is not Base.DOUBLE:
        raise NotCarried(f"trunc of a {value.type}")
    return Piece(
        f"(CASE WHEN abs({value.sql}) < 9e15D THEN CAST(CAST({value.sql} AS BIGINT) AS DOUBLE) ELSE {value.sql} END)",
        value.type,
        value.fails,
    )
