"""Functions over texts in PostgreSQL's SQL; importing it completes the rules of `postgres`."""

from __future__ import annotations

import re

from sqlglot import exp

from migrator.mapping.dialects.postgres import Expressions, rule
from migrator.mapping.dialects.postgres_numbers import as_text
from migrator.mapping.dialects.postgres_patterns import to_postgres
from migrator.mapping.dialects.postgres_words import let, text
from migrator.staging.dialects.kinds import BIGINT, BOOLEAN, INT, TEXT, WHOLE, Base, NotCarried
from migrator.staging.dialects.patterns import to_java
from migrator.staging.dialects.piece import Piece, fails_of, null_fails
from migrator.staging.dialects.spark_text import SPACES

_NEWER = "[\u019b\u0264\u1c89\u1c8a\ua7cb-\ua7cd\ua7da-\ua7dc\U00010d50-\U00010d85]"
_TURNED = r"^[\u0001-\u000c\u000e-\u007e\u00a1-\u00ac\u00ae-\u024f\u0401-\u0481\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff]*$"
"""Texts of letters that nothing is joined to: no combining marks, no emoji, no line break of two characters."""


def _texts(scope: Expressions, *nodes: exp.Expr) -> list[Piece]:
    found = scope.pieces(nodes)
    for item in found:
        if item.type.base not in (Base.TEXT, Base.NULL):
            raise NotCarried(f"a {item.type} where a text is wanted")
    return [as_text(item) for item in found]


def constant_of(piece: Piece, what: str) -> str:
    """The text of a constant; raises `NotCarried`."""
    if piece.constant is None:
        raise NotCarried(f"{what} that is not a constant")
    return piece.constant


def small(piece: Piece) -> Piece:
    """A whole number as the type that functions want; one of more than eight digits fails."""
    if piece.type.base not in WHOLE:
        raise NotCarried(f"a {piece.type} where a whole number is wanted")
    sql = let(lambda v: f"CASE WHEN abs({v}::numeric) <= 99999999 THEN {v}::integer END", piece.sql)
    return Piece(sql, INT, (*piece.fails, null_fails(sql, piece)))


# ---- texts -------------------------------------------------------------------------------------


@rule(exp.Contains, exp.StrPosition)
def _position(scope: Expressions, node: exp.Expr) -> Piece:
    sought = node.args["substr"] if isinstance(node, exp.StrPosition) else node.expression
    one, two = _texts(scope, node.this, sought)
    found = f"strpos({one.sql}, {two.sql})"
    if isinstance(node, exp.Contains):
        return Piece(f"({found} > 0)", BOOLEAN, fails_of(one, two))
    return Piece(f"{found}::bigint", BIGINT, fails_of(one, two))


@rule(exp.StartsWith, exp.EndsWith)
def _edges(scope: Expressions, node: exp.Expr) -> Piece:
    one, two = _texts(scope, node.this, node.expression)
    if isinstance(node, exp.StartsWith):
        return Piece(f"starts_with({one.sql}, {two.sql})", BOOLEAN, fails_of(one, two))
    sql = let(lambda v, end: f'(right({v}, length({end})) = {end} COLLATE "C")', one.sql, two.sql)
    return Piece(sql, BOOLEAN, fails_of(one, two))


@rule(exp.Replace, exp.Translate)
def _replaced(scope: Expressions, node: exp.Expr) -> Piece:
    if isinstance(node, exp.Replace):
        items = _texts(scope, node.this, node.expression, node.args["replacement"])
    else:
        items = _texts(scope, node.this, node.args["from_"], node.args["to"])
    word = "replace" if isinstance(node, exp.Replace) else "translate"
    return Piece(f"{word}({', '.join(item.sql for item in items)})", TEXT, fails_of(*items))


@rule(exp.Upper, exp.Lower)
def _letters(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    word = "upper" if isinstance(node, exp.Upper) else "lower"
    return Piece(_cased(word, value.sql), TEXT, (*value.fails, _newer(value)))


def _cased(word: str, sql: str) -> str:
    """One letter for one letter, as the engine does; the collation came with PostgreSQL 17."""
    given = f"translate({sql}, 'ß', 'ẞ')" if word == "upper" else sql
    return f'({word}({given} COLLATE "pg_c_utf8") COLLATE "C")'


def _newer(value: Piece) -> str:
    """Whether a text has letters whose case only newer versions of Unicode know."""
    return f"coalesce({value.sql} ~ {text(_NEWER)}, FALSE)"


@rule(exp.Length)
def _length(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    return Piece(f"length({value.sql})::bigint", BIGINT, value.fails)


@rule(exp.Left, exp.Right)
def _ends(scope: Expressions, node: exp.Expr) -> Piece:
    (value,), count = _texts(scope, node.this), small(scope.piece(node.expression))
    word = "left" if isinstance(node, exp.Left) else "right"
    return Piece(f"{word}({value.sql}, {count.sql})", TEXT, fails_of(value, count))


@rule(exp.Substring)
def _substring(scope: Expressions, node: exp.Expr) -> Piece:
    (value,), start = _texts(scope, node.this), small(scope.piece(node.args["start"]))
    if node.args.get("length") is None:
        return Piece(let(_rest, value.sql, start.sql), TEXT, fails_of(value, start))
    size = small(scope.piece(node.args["length"]))
    return Piece(let(_window, value.sql, start.sql, size.sql), TEXT, fails_of(value, start, size))


def _begin(given: str, start: str) -> str:
    """Characters before the window; negative where it starts before the text does."""
    return f"CASE WHEN {start} < 0 THEN length({given}) + {start} ELSE {start} - 1 END"


def _rest(given: str, start: str) -> str:
    return f"CASE WHEN {start} IS NOT NULL THEN substr({given}, greatest({_begin(given, start)}, 0) + 1) END"


def _window(given: str, start: str, size: str) -> str:
    begin = _begin(given, start)
    low, high = f"greatest(least({begin}, {begin} + {size}), 0)", f"greatest({begin}, {begin} + {size}, 0)"
    return f"CASE WHEN {start} IS NOT NULL AND {size} IS NOT NULL THEN substr({given}, {low} + 1, {high} - {low}) END"


@rule(exp.Pad)
def _pad(scope: Expressions, node: exp.Expr) -> Piece:
    value, filler = _texts(scope, node.this, node.args.get("fill_pattern") or exp.Literal.string(" "))
    if not node.args.get("is_left") or not constant_of(filler, "a text to fill up with"):
        raise NotCarried("lpad with an empty text, or rpad")
    size = small(scope.piece(node.expression))
    return Piece(f"lpad({value.sql}, {size.sql}, {filler.sql})", TEXT, fails_of(value, size))


@rule(exp.SplitPart)
def _split_part(scope: Expressions, node: exp.Expr) -> Piece:
    value, mark = _texts(scope, node.this, node.args["delimiter"])
    number = small(scope.piece(node.args["part_index"]))
    if not constant_of(mark, "a separator of split_part"):
        raise NotCarried("split_part with an empty separator")

    def part(given: str, at: str) -> str:
        none = f"CASE WHEN {at} = 0 AND {given} IS NOT NULL THEN ''"
        return f"{none} ELSE split_part({given}, {mark.sql}, nullif({at}, 0)) END"

    return Piece(let(part, value.sql, number.sql), TEXT, fails_of(value, number))


@rule(exp.Trim)
def _trim(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    chars = node.args.get("expression")
    taken = _texts(scope, chars)[0] if chars is not None else Piece(text(SPACES), TEXT)
    word = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position")), "btrim")
    return Piece(f"{word}({value.sql}, {taken.sql})", TEXT, fails_of(value, taken))


@rule(exp.Reverse)
def _reverse(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    joined = let(lambda v: f"({v} IS NOT NULL AND {v} !~ {text(_TURNED)})", value.sql)
    return Piece(f"reverse({value.sql})", TEXT, (*value.fails, joined))


@rule(exp.Concat, exp.ConcatWs)
def _concat(scope: Expressions, node: exp.Expr) -> Piece:
    items = [as_text(item) for item in scope.pieces(node.expressions)]
    word = "concat_ws" if isinstance(node, exp.ConcatWs) else "concat"
    return Piece(f"{word}({', '.join(item.sql for item in items)})", TEXT, fails_of(*items))


@rule(exp.DPipe)
def _pipe(scope: Expressions, node: exp.Expr) -> Piece:
    left, right = (as_text(item) for item in scope.pieces([node.this, node.expression]))
    return Piece(f"({left.sql} || {right.sql})", TEXT, fails_of(left, right))


# ---- patterns ----------------------------------------------------------------------------------


@rule(exp.Like, exp.ILike)
def _like(scope: Expressions, node: exp.Expr) -> Piece:
    value, pattern = _texts(scope, node.this, node.expression)
    found, wanted = value.sql, text(constant_of(pattern, "a pattern of LIKE"))
    if isinstance(node, exp.ILike):
        found, wanted = _cased("lower", found), _cased("lower", wanted)
    fails = (*value.fails, _newer(value)) if isinstance(node, exp.ILike) else value.fails
    return Piece(f"({found} LIKE {wanted} ESCAPE '')", BOOLEAN, fails)


def _options(node: exp.Expr, *names: str) -> str:
    given = next((node.args[name].name for name in names if node.args.get(name) is not None), "")
    if set(given) - {"g", "c"}:
        raise NotCarried(f"the option {given!r} of a regular expression")
    return given


@rule(exp.RegexpLike)
def _matches(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    _options(node, "flag", "options")
    written = constant_of(scope.piece(node.expression), "a regular expression")
    found, _ = to_postgres(written, matched_text_is_used=False)
    return Piece(f"({value.sql} ~ {text(found)})", BOOLEAN, value.fails)


@rule(exp.RegexpExtract)
def _extract(scope: Expressions, node: exp.Expr) -> Piece:
    (value,) = _texts(scope, node.this)
    _options(node, "parameters")
    written = constant_of(scope.piece(node.expression), "a regular expression")
    found, groups = to_postgres(written, matched_text_is_used=True)
    group = int(node.args["group"].name) if node.args.get("group") is not None else 0
    if group > groups:
        raise NotCarried(f"group {group} of a regular expression that has {groups}")
    wanted = found if group else f"({found})"
    sql = let(
        lambda v: (
            f"CASE WHEN {v} IS NOT NULL THEN coalesce((regexp_match({v}, {text(wanted)}))[{max(group, 1)}], '') END"
        ),
        value.sql,
    )
    return Piece(sql, TEXT, value.fails)


@rule(exp.RegexpReplace)
def _regexp_replace(scope: Expressions, node: exp.Expr) -> Piece:
    value, by = _texts(scope, node.this, node.args["replacement"])
    options = _options(node, "modifiers")
    written = constant_of(scope.piece(node.expression), "a regular expression")
    found, groups = to_postgres(written, matched_text_is_used=True)
    if to_java(written).can_be_empty:
        raise NotCarried(f"a regular expression that may match nothing, in a replacement: {written!r}")
    new = constant_of(by, "a replacement")
    named = re.findall(r"\\(.?)", new, re.DOTALL)
    if any(mark != "\\" and not (mark.isdigit() and 0 < int(mark) <= groups) for mark in named):
        raise NotCarried(f"the replacement {new!r}")
    mode = "g" if "g" in options else ""
    return Piece(f"regexp_replace({value.sql}, {text(found)}, {text(new)}, '{mode}')", TEXT, value.fails)
