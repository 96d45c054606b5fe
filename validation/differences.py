"""Why an expected and an actual value differ, told by their form alone: the reason classes, as SQL.

The classes are tried in order and the first that fits names the cell. Every class is a failure; a class only says
where to look: 'shifted_zone' in the connector's clock, 'truncated' in the target's field length, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.staging.engine import literal
from validation.relations import Column, Family

NOT_COMPARABLE = "not_comparable"
"""The target answers something that is no value of the field's type."""
NOT_SENT = "not_yet_sent"
"""The record's newest state was planned but not loaded: load again before judging the cell."""

LATER_EDIT = "later_edit"
"""The target says that the record was changed after it was loaded: somebody's work, or automation, and no fault of the load."""
AUTOMATION = "target_automation"
"""Empty on our side, and one and the same value in many records of the target: a default or a rule of its own fills it."""
SAME_FILLED = 20
"""So many equal values where none was sent are no coincidence."""

_SPACES = r"'[\s\x{00A0}\x{3000}\x{200B}]+'"


def differs(column: Column) -> str:
    """SQL that is true when the cell differs: null and empty are two things, exact numbers compare exactly."""
    unread = f" OR (j.{column.raw} IS NOT NULL AND j.{column.a} IS NULL)" if column.raw else ""
    return f"(j.{column.e} IS DISTINCT FROM j.{column.a}{unread})"


def reason(column: Column, differing: Sequence[Column] = (), modified: Column | None = None) -> str:
    """SQL that names the class of a differing cell.

    `differing`: the columns whose values are at hand, for values that changed places; `modified`: the field that tells
    when a record was last changed, if the mapping has one.
    """
    later = [(LATER_EDIT, f"j.{modified.a} > j.__at AND j.{modified.a} > j.{modified.e}")] if modified else []
    others = [o for o in differing if o.family is column.family is Family.TEXT and o is not column]
    swapped = [("swapped_field", f"j.{column.a} = j.{o.e} AND j.{o.a} = j.{column.e}") for o in others]
    rules = [*_unsent(column), *later, *_nulls(column), *swapped, *_by_family(column)]
    return f"CASE {' '.join(f'WHEN {test} THEN {_text(name)}' for name, test in rules)} ELSE 'different' END"


def shown(column: Column) -> tuple[str, str]:
    """SQL of the expected and the actual value as text; a link that could not be resolved shows where it should point."""
    actual = f"CAST(j.{column.a} AS VARCHAR)"
    if column.raw:
        actual = f"coalesce({actual}, j.{column.raw})"
    expected = f"CAST(j.{column.e} AS VARCHAR)"
    return f"coalesce({expected}, j.{column.ref})" if column.ref else expected, actual


def _unsent(column: Column) -> list[tuple[str, str]]:
    unresolved = (
        [("unresolved_link", f"j.{column.ref} IS NOT NULL AND j.{column.e} IS NULL")] if column.ref else []
    )
    unread = [(NOT_COMPARABLE, f"j.{column.raw} IS NOT NULL AND j.{column.a} IS NULL")] if column.raw else []
    return [*unresolved, (NOT_SENT, "j.__waits"), *unread]


def _nulls(column: Column) -> list[tuple[str, str]]:
    e, a = f"j.{column.e}", f"j.{column.a}"
    text = column.family in (Family.TEXT, Family.CHOICE, Family.OTHER)
    empty = (
        [
            ("empty_vs_null", f"CAST({e} AS VARCHAR) = '' AND {a} IS NULL"),
            ("null_vs_empty", f"{e} IS NULL AND CAST({a} AS VARCHAR) = ''"),
        ]
        if text
        else []
    )
    return [*empty, ("value_vs_null", f"{a} IS NULL"), ("null_vs_value", f"{e} IS NULL")]


def _by_family(column: Column) -> list[tuple[str, str]]:  # noqa: PLR0911 (one line a family)
    e, a = f"j.{column.e}", f"j.{column.a}"
    match column.family:
        case Family.TEXT:
            return _text_rules(e, a)
        case Family.CHOICE:
            pieces = "list_sort(string_split({}, ';'))"
            return [
                ("case", f"lower({e}) = lower({a})"),
                ("reordered", f"{pieces.format(e)} = {pieces.format(a)}"),
                ("other_value", "TRUE"),
            ]
        case Family.LINK:
            return [("wrong_link", "TRUE")]
        case Family.FILE:
            return [("wrong_file", "TRUE")]
        case Family.SWITCH:
            return [("flipped", "TRUE")]
        case Family.NUMBER:
            return _number_rules(column, e, a)
        case Family.DATE:
            return _date_rules(e, a)
        case Family.INSTANT:
            return _instant_rules(e, a)
        case _:
            return []


def _text_rules(e: str, a: str) -> list[tuple[str, str]]:
    def spaced(value: str) -> str:
        return f"trim(regexp_replace({value}, {_SPACES}, ' ', 'g'))"

    def digits(value: str) -> str:
        return f"regexp_replace({value}, '[^0-9A-Za-z]', '', 'g')"

    def lines(value: str) -> str:
        return f"replace(replace({value}, '\r\n', '\n'), '\r', '\n')"

    return [
        ("line_ends", f"{lines(e)} = {lines(a)}"),
        ("whitespace", f"{spaced(e)} = {spaced(a)}"),
        ("truncated", f"length({a}) < length({e}) AND starts_with({e}, {a}) AND {a} <> ''"),
        ("case", f"lower({e}) = lower({a})"),
        ("unicode_form", f"nfc_normalize({e}) = nfc_normalize({a})"),
        ("width", f"{_narrow(e)} = {_narrow(a)}"),
        ("escaped", f"{_unescaped(a)} = {e} OR {_unescaped(e)} = {a}"),
        ("leading_zeros", f"regexp_full_match({e}, '0+[0-9]+') AND ltrim({e}, '0') = {a}"),
        ("encoding", f"{_garbled(e, a)}"),
        ("formatting", f"length({digits(e)}) > 5 AND {digits(e)} = {digits(a)} AND regexp_full_match({e}, '[^A-Za-z]*')"),
    ]  # fmt: skip


def _narrow(value: str) -> str:
    """Full-width letters, digits, signs and spaces as their ordinary ones."""
    wide = "".join(chr(code) for code in range(0xFF01, 0xFF5F)) + "\u3000"
    plain = "".join(chr(code) for code in range(0x21, 0x7F)) + " "
    return f"translate({value}, {literal(wide)}, {literal(plain)})"


def _unescaped(value: str) -> str:
    """HTML's five signs as themselves, '&' last."""
    signs = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}
    for written, sign in signs.items():
        value = f"replace({value}, {literal(written)}, {literal(sign)})"
    return value


def _garbled(e: str, a: str) -> str:
    """Letters outside ASCII became '?', U+FFFD, or the two-letter rubbish of UTF-8 read as a one-byte encoding."""
    foreign = f"regexp_matches({e}, '[^\\x00-\\x7F]')"
    kept = f"regexp_replace({e}, '[^\\x00-\\x7F]+', '', 'g')"
    lossy = f"regexp_replace({a}, '[^\\x00-\\x7F]+|\\?+', '', 'g') = replace({kept}, '?', '')"
    marks = f"regexp_matches({a}, '[\\x{{FFFD}}?\\x{{00C2}}-\\x{{00F4}}\\x{{0080}}-\\x{{00BF}}]')"
    return f"({foreign} AND {lossy} AND {marks})"


def _number_rules(column: Column, e: str, a: str) -> list[tuple[str, str]]:
    scale = column.schema.scale or 0
    rounded = " OR ".join(f"{a} = round({e}, {digits})" for digits in range(scale)) or "FALSE"
    close = f"abs(CAST({e} AS DOUBLE) - CAST({a} AS DOUBLE)) <= abs(CAST({e} AS DOUBLE)) * 1e-12"
    ratio = f"CAST({a} AS DOUBLE) / CAST({e} AS DOUBLE)"
    powers = " OR ".join(
        f"abs({ratio} / {power} - 1) < 1e-9" for power in ("10", "100", "1000", "0.1", "0.01", "0.001")
    )
    return [
        ("rounding", f"{rounded} OR ({close})"),
        ("last_digit", f"abs({e} - {a}) = CAST(1 AS DECIMAL(38, {scale})) / {10**scale}"),
        ("sign", f"{a} = -{e}"),
        ("shifted_decimal", f"{e} <> 0 AND ({powers})"),
    ]


def _date_rules(e: str, a: str) -> list[tuple[str, str]]:
    return [
        ("shifted_day", f"abs(date_diff('day', {e}, {a})) = 1"),
        ("swapped_day_month",
         f"year({e}) = year({a}) AND month({e}) = day({a}) AND day({e}) = month({a})"),
        ("century", f"abs(year({e}) - year({a})) = 100 AND month({e}) = month({a}) AND day({e}) = day({a})"),
    ]  # fmt: skip


def _instant_rules(e: str, a: str) -> list[tuple[str, str]]:
    gap = f"abs(epoch({a}) - epoch({e}))"
    return [
        ("precision", f"{gap} < 1"),
        ("shifted_day", f"{gap} = 86400"),
        ("time_lost", f"{a} = date_trunc('day', {e})"),
        ("shifted_zone", f"{gap} <= 50400 AND {gap} % 900 = 0"),
    ]  # fmt: skip


def _text(name: str) -> str:
    return f"'{name}'"
