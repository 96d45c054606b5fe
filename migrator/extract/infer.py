"""From profiles to types: what the values allow without loss, and nothing that a later value would likely break."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract.profile import ColumnProfile, ObjectProfile

MAX_DIGITS = 38
_LENGTHS = (40, 80, 120, 255, 500, 1000, 2000, 4000)
_HEADROOM = 1.25
_FEW_PICKLIST = 50

_TEXT = frozenset({FieldType.STRING, FieldType.TEXT})
_SIZED = frozenset({*_TEXT, FieldType.ID, FieldType.REFERENCE, FieldType.PICKLIST})
_CODES = re.compile(
    r"phone|mobile|fax|^tel|zip|post(al)?.?code|postal|iban|bic|swift|tax.?(id|no|number)|vat|ssn|passport|version"
    r"|account.?(no|number)|serial|barcode|ean|isbn|sku|电话|手机|传真|邮编|邮政|税号|帐号|账号|编号|编码|身份证",
    re.IGNORECASE,
)
"""Names of columns whose digits are no number: nobody adds them up, and the next one may begin with 0 or '+'."""
_KEY_WORDS = re.compile(
    r"(^|[^a-z])(id|guid|uuid|key|code|no|nr|number|pk)$|编号|编码|标识|主键|^id([^a-z]|$)", re.IGNORECASE
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def infer(schema: ObjectSchema, profile: ObjectProfile) -> ObjectSchema:
    """The schema with types and lengths that hold every profiled value exactly; for sources whose text may be anything.

    Only fields described as plain text get a type; what the source itself declares stays. Whole numbers with leading
    zeros, phone and postal codes stay text; dates and times only when all values agree on one dialect. A key is
    named when there is none and a column can be one. Nothing but the key is required.
    """
    sized = size(schema, profile)
    key = schema.key or _key(sized, profile)
    return replace(sized, key=key, fields=tuple(_typed(item, key, profile) for item in sized.fields))


def size(schema: ObjectSchema, profile: ObjectProfile) -> ObjectSchema:
    """The schema with its own types, and lengths and digits where it says none or its values do not fit them."""
    fields = []
    for item in schema.fields:
        column = profile.column(item.name)
        fields.append(_sized(item, column) if column is not None else item)
    return replace(schema, fields=tuple(fields))


def picklists(profile: ObjectProfile) -> tuple[str, ...]:
    """Columns that look like a list of choices: few distinct words, each used often; for a person to decide."""
    return tuple(
        column.name
        for column in profile.columns
        if 0 < column.distinct <= min(_FEW_PICKLIST, column.values // 20)
        and "one line" in column.forms
        and (column.longest or 0) <= 80
        and not column.forms & {"decimal", "date", "local time", "instant"}
    )


def looks_like_key(name: str) -> bool:
    """Whether a column's name says that it identifies something."""
    return bool(_KEY_WORDS.search("_".join(_CAMEL.split(name))))


def _typed(item: FieldSchema, key: str, profile: ObjectProfile) -> FieldSchema:
    column = profile.column(item.name)
    if item.name == key:
        kind = item.type if item.type is not FieldType.TEXT else FieldType.STRING
        return replace(
            item, type=FieldType.ID if kind is FieldType.STRING else kind, required=True, unique=True
        )
    if column is None or item.type not in _TEXT or not column.values:
        return item
    if column.type != "VARCHAR":
        return _from_engine(item, column)
    for form, make in _BY_FORM:
        if form in column.forms and (found := make(item, column)) is not None:
            return found
    return item


def _integer(item: FieldSchema, column: ColumnProfile) -> FieldSchema | None:
    if _is_code(item):
        return None
    return replace(item, type=FieldType.INTEGER, length=None) if (column.longest or 0) <= 18 else None


def _decimal(item: FieldSchema, column: ColumnProfile) -> FieldSchema | None:
    if _is_code(item) or not column.fraction_digits:  # whole numbers too long for INTEGER are codes
        return None
    digits = decimal_digits(column.integer_digits, column.fraction_digits)
    if digits is None:
        return None
    return replace(item, type=FieldType.DECIMAL, length=None, precision=digits[0], scale=digits[1])


def _as(kind: FieldType) -> Callable[[FieldSchema, ColumnProfile], FieldSchema | None]:
    return lambda item, _: replace(item, type=kind, length=None)


_BY_FORM: Sequence[tuple[str, Callable[[FieldSchema, ColumnProfile], FieldSchema | None]]] = (
    ("true/false", _as(FieldType.BOOLEAN)),
    ("integer", _integer),
    ("decimal", _decimal),
    ("date", _as(FieldType.DATE)),
    ("local time", _as(FieldType.DATETIME)),
    ("instant", _as(FieldType.DATETIME)),
)
"""Tried in turn. Yes/no, 1/0 and other pairs stay what they are: text or numbers."""


def decimal_digits(integer: int, fraction: int) -> tuple[int, int] | None:
    """(precision, scale) with room to grow that holds so many digits before and behind the point; None if none does."""
    if integer + fraction > MAX_DIGITS:
        return None
    scale = min(max(fraction, 2), MAX_DIGITS - integer)
    return min(max(18, integer + 2 + scale), MAX_DIGITS), scale


def _is_code(item: FieldSchema) -> bool:
    return item.pii == "phone" or any(
        _CODES.search(name) or looks_like_key(name) for name in (item.name, item.label)
    )


_ENGINE = (
    (r"TINYINT|SMALLINT|INTEGER|BIGINT|UTINYINT|USMALLINT|UINTEGER", FieldType.INTEGER),
    (r"FLOAT|DOUBLE", FieldType.FLOAT),
    (r"BOOLEAN", FieldType.BOOLEAN),
    (r"DATE", FieldType.DATE),
    (r"TIMESTAMP.*", FieldType.DATETIME),
    (r"TIME", FieldType.TIME),
    (r".*\[.*\]|STRUCT.*|MAP.*|UNION.*|JSON", FieldType.JSON),
)


def _from_engine(item: FieldSchema, column: ColumnProfile) -> FieldSchema:
    """A field that a typed source described as text, by the type its values are staged in."""
    if numbers := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", column.type):
        return replace(
            item,
            type=FieldType.DECIMAL,
            length=None,
            precision=int(numbers[1]),
            scale=int(numbers[2]),
        )
    if column.type in ("UBIGINT", "HUGEINT", "UHUGEINT"):
        return replace(item, type=FieldType.DECIMAL, length=None, precision=MAX_DIGITS, scale=0)
    kind = next((kind for pattern, kind in _ENGINE if re.fullmatch(pattern, column.type)), None)
    return replace(item, type=kind, length=None) if kind else item


def _sized(item: FieldSchema, column: ColumnProfile) -> FieldSchema:
    """Lengths and digits only; a declared length that the values keep to stands."""
    if item.type is FieldType.DECIMAL and item.precision is None and "decimal" in column.forms:
        digits = decimal_digits(column.integer_digits, column.fraction_digits)
        return replace(item, precision=digits[0], scale=digits[1]) if digits else item
    if item.type not in _SIZED or column.longest is None or column.type != "VARCHAR":
        return item
    if item.length is not None:
        return replace(item, length=max(item.length, column.longest))
    if item.type is FieldType.TEXT:
        return item
    length = next((size for size in _LENGTHS if size >= column.longest * _HEADROOM), None)
    multiline = "one line" not in column.forms
    if item.type is FieldType.STRING and (length is None or multiline):
        return replace(item, type=FieldType.TEXT)
    return replace(item, length=length)


def _key(schema: ObjectSchema, profile: ObjectProfile) -> str:
    """The column that may stand for the record: unique, never empty, named like a key or made like one; '' if none."""
    candidates = [column for column in profile.columns if column.unique and "identifier" in column.forms]
    ranked = sorted(
        (rank, at, column.name)
        for at, column in enumerate(candidates)
        if (rank := _key_rank(column, schema, first=column.name == schema.field_names[0])) is not None
    )
    return ranked[0][2] if ranked else ""


def _key_rank(column: ColumnProfile, schema: ObjectSchema, *, first: bool) -> int | None:
    """How well a unique column fits as key (0 best); None when its uniqueness may be chance."""
    name, plain = column.name.casefold(), re.sub(r"\W|_", "", schema.name).casefold()
    if name == "id":
        return 0
    if re.sub(r"\W|_", "", name) in (
        f"{plain}id",
        f"{plain.removesuffix('s')}id",
        f"{plain}key",
        f"{plain}guid",
    ):
        return 1
    if column.forms & {"date", "local time", "instant", "email"}:
        return None
    if looks_like_key(column.name):
        return 2 if first else 3
    if "long identifier" in column.forms and column.shortest == column.longest:
        return 4
    return 5 if first and "integer" in column.forms else None
