"""When two native values say the same, type by type: answers that one question, and is never written anywhere.

Null and blank text are one: no CRM keeps them apart for long. Values may be typed or texts of a system; a text that is
no value of its type is compared as text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from enum import Enum
from typing import TypeAlias

from migrator.core.schema import FieldSchema, FieldType

Native: TypeAlias = str | int | float | bool | Decimal | date | datetime | time | None
"""A value as a platform returns it."""


class Comparison(Enum):
    """How values are compared."""

    TEXT = "text"
    """Letter for letter, line ends aside."""
    EMAIL = "email"
    """Without case."""
    PHONE = "phone"
    """As E.164."""
    RICH_TEXT = "rich_text"
    """Canonical form: notation of tags, attributes, entities and white space between blocks does not matter."""
    NUMBER = "number"
    """By worth, at the field's scale where it has one."""
    BOOLEAN = "boolean"
    DATE = "date"
    """A day without zone."""
    DATETIME = "datetime"
    """UTC, to the second."""
    TIME = "time"
    """To the second."""
    SET = "set"
    """Values joined with ';', in any order, each once."""
    JSON = "json"
    """Structure, not notation."""

    @property
    def is_of_texts(self) -> bool:
        """Whether it compares words, not values of another type."""
        return self in (Comparison.TEXT, Comparison.EMAIL, Comparison.PHONE, Comparison.RICH_TEXT)


@dataclass(frozen=True, slots=True)
class Sameness:
    """How the values of one field of one side are compared."""

    by: Comparison = Comparison.TEXT
    scale: int | None = None
    """Decimals that count; None for all."""
    region: str = ""
    """Country of phone numbers without a country prefix."""


EXACT = Sameness()

_BY_TYPE = {
    FieldType.INTEGER: Comparison.NUMBER,
    FieldType.DECIMAL: Comparison.NUMBER,
    FieldType.FLOAT: Comparison.NUMBER,
    FieldType.BOOLEAN: Comparison.BOOLEAN,
    FieldType.DATE: Comparison.DATE,
    FieldType.DATETIME: Comparison.DATETIME,
    FieldType.TIME: Comparison.TIME,
    FieldType.MULTI_PICKLIST: Comparison.SET,
    FieldType.JSON: Comparison.JSON,
}
_BY_PII = {"email": Comparison.EMAIL, "phone": Comparison.PHONE}
_WORDS = frozenset({FieldType.STRING, FieldType.TEXT})


def sameness_of(field: FieldSchema, *, region: str = "", pii: str = "") -> Sameness:
    """How values of a field are compared, by its type and, for texts, by the kind of personal data it holds."""
    if field.type in _WORDS:
        return Sameness(_BY_PII.get(field.pii or pii, Comparison.TEXT), region=region)
    by = _BY_TYPE.get(field.type, Comparison.TEXT)
    return Sameness(by, field.scale if field.type is FieldType.DECIMAL else None)


def same(how: Sameness, one: Native, other: Native) -> bool:
    """Whether two native values of a field say the same."""
    equal = type(one) is type(other) and one == other
    return equal or canonical(how, one) == canonical(how, other)


def canonical(how: Sameness, value: Native) -> str | None:
    """The form that equal values share; None for no value. Only ever compared."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return _FORMS[how.by](value, how)


def _text(value: Native) -> str:
    """A text with one kind of line end; other types as they are written where texts are spoken."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return _datetime(value)
        case date() | time():
            return value.isoformat()
        case float() | int() | Decimal():
            return _number(value, None)
        case _:
            return unicodedata.normalize("NFC", str(value).replace("\r\n", "\n").replace("\r", "\n"))


def _number(value: Native, scale: int | None) -> str:
    """A number without sign of zero, exponent or zeros at its end; rounded half even to `scale` where it has one."""
    if isinstance(value, bool):
        value = int(value)
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return _text(str(value))
    if not found.is_finite():
        return str(value)
    if scale is not None:
        digits = max(found.adjusted() + scale + 2, 1)
        found = found.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN, Context(prec=min(digits, 999)))
    written = f"{found.normalize(Context(prec=999)):f}"
    return "0" if written in ("-0", "0") else written


_TRUE, _FALSE = frozenset({"true", "1", "yes", "t", "y"}), frozenset({"false", "0", "no", "f", "n"})


def _boolean(value: Native) -> str:
    word = _text(value).strip().casefold()
    return "true" if word in _TRUE else "false" if word in _FALSE else word


def _date(value: Native) -> str:
    """A day never shifts: of a time the day that it is written with is taken."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    text = _text(value).strip()
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return text


def _datetime(value: Native) -> str:
    """UTC to the second; a time that does not say its zone is UTC."""
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(_with_colon(value.strip()))
        except ValueError:
            return _text(value)
    elif isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day)  # noqa: DTZ001 a day is midnight UTC
    else:
        return _text(value)
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        whole = aware.astimezone(UTC)
    except OverflowError:
        return aware.isoformat()
    return whole.replace(microsecond=0, tzinfo=None).isoformat()


def _with_colon(text: str) -> str:
    return re.sub(r"\s*([+-]\d{2})(\d{2})$", r"\1:\2", text)


def _time(value: Native) -> str:
    try:
        found = (
            value if isinstance(value, time) else time.fromisoformat(_text(value).strip().removesuffix("Z"))
        )
    except ValueError:
        return _text(value)
    return found.replace(microsecond=0, tzinfo=None).isoformat()


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _phone(text: str, region: str) -> str:
    """E.164 where the number can be read, else its digits and signs."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region or None)
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        return re.sub(r"[\s().\-/]", "", text).casefold()
    return f"{written};{number.extension}" if number.extension else written


_TAG = re.compile(r"<\s*(/?)\s*([A-Za-z][\w:-]*)([^>]*)>", re.DOTALL)
_ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'>]+)")
_BLOCK = "address|blockquote|br|div|h[1-6]|hr|li|ol|p|pre|table|tbody|td|th|thead|tr|ul"
_AROUND = re.compile(rf"\s*(</?(?:{_BLOCK})(?:\s[^>]*)?>)\s*")


def _rich(text: str) -> str:
    """HTML with tags and attributes in one notation, entities as letters, one space for any run of white space."""
    import html

    def tag(found: re.Match[str]) -> str:
        attributes = sorted(
            (name.lower(), value.strip("\"'")) for name, value in _ATTRIBUTE.findall(found[3])
        )
        written = "".join(f' {name}="{value}"' for name, value in attributes)
        return f"\x00{found[1]}{found[2].lower()}{written}\x01"

    marked = html.unescape(_TAG.sub(tag, text)).replace("\xa0", " ")
    spaced = re.sub(r"\s+", " ", marked)
    return _AROUND.sub(r"\1", spaced.replace("\x00", "<").replace("\x01", ">")).strip()


def _json(text: str) -> str:
    try:
        return json.dumps(
            json.loads(text, parse_float=Decimal), sort_keys=True, default=str, ensure_ascii=False
        )
    except (ValueError, RecursionError):
        return text


_FORMS: Mapping[Comparison, Callable[[Native, Sameness], str | None]] = {
    Comparison.TEXT: lambda value, _: _text(value),
    Comparison.EMAIL: lambda value, _: _text(value).strip().casefold(),
    Comparison.PHONE: lambda value, how: _phone(_text(value), how.region),
    Comparison.RICH_TEXT: lambda value, _: _rich(_text(value)),
    Comparison.NUMBER: lambda value, how: _number(value, how.scale),
    Comparison.BOOLEAN: lambda value, _: _boolean(value),
    Comparison.DATE: lambda value, _: _date(value),
    Comparison.DATETIME: lambda value, _: _datetime(value),
    Comparison.TIME: lambda value, _: _time(value),
    Comparison.SET: lambda value, _: ";".join(sorted(set(_parts(str(value))))) or None,
    Comparison.JSON: lambda value, _: _json(_text(value)),
}


def union(one: Native, other: Native, base: Native = None) -> str | None:
    """Every value of both lists, in the order they first stand; what one side took out of `base` stays out."""
    kept = _parts(str(base or ""))
    first, second = _parts(str(one or "")), _parts(str(other or ""))
    taken = {item for item in kept if item not in first or item not in second}
    return ";".join(dict.fromkeys(item for item in (*first, *second) if item not in taken)) or None


def greater(one: Native, other: Native) -> Native:
    """The greater of two values of one type; a value before none."""
    if one is None or other is None:
        return other if one is None else one
    try:
        numbers = Decimal(str(one)), Decimal(str(other))
    except InvalidOperation:
        return max(one, other, key=_text)
    return one if numbers[0] >= numbers[1] else other


def appended(one: Native, other: Native, base: Native = None) -> str | None:
    """The old side's text, then what the other added to `base`, or its whole text where it did more than add."""
    first, second, common = (_text(item) if item is not None else "" for item in (one, other, base))
    if second == first or second in first:
        return first or None
    if first in second:
        return second
    added = second.removeprefix(common) if common and second.startswith(common) else second
    return "\n".join(part for part in (first.rstrip("\n"), added.strip("\n")) if part) or None


def most_restrictive(values: Iterable[Native], restrictive: str = "") -> Native:
    """Of consent values the one that allows least: `restrictive` where given, else the one that is not true.

    For fields that mean "may be contacted" `restrictive` is 'false', for "do not contact" it is 'true'. No value is
    not consent: it restricts like `restrictive`, but a value that says so is taken before it.
    """
    listed = list(values)
    wanted = canonical(_TRUTH, restrictive or "false")
    for value in listed:
        if canonical(_TRUTH, value) == wanted:
            return value
    return next((value for value in listed if value is None), listed[0] if listed else None)


_TRUTH = Sameness(Comparison.BOOLEAN)
