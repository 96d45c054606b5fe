"""What an object of a system looks like: fields with types, keys, references and value lists; saved as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class FieldType(Enum):
    """The types a mapping can speak of; every connector translates its own types into these."""

    STRING = "string"
    """Short text; `length` in characters when the system limits it."""
    TEXT = "text"
    """Long text, newlines allowed."""
    INTEGER = "integer"
    """Whole number that fits 64 bits."""
    DECIMAL = "decimal"
    """Exact decimal with `precision` and `scale`; amounts of money are always this, never a float."""
    FLOAT = "float"
    """Binary floating point; only where the source itself has nothing better."""
    BOOLEAN = "boolean"
    DATE = "date"
    """A calendar day; has no zone and never shifts."""
    DATETIME = "datetime"
    """An instant; stored in UTC."""
    TIME = "time"
    ID = "id"
    """A record's own key, as text."""
    REFERENCE = "reference"
    """The key of another record; `references` names the objects it may point to (several: polymorphic)."""
    PICKLIST = "picklist"
    """One of `values`."""
    MULTI_PICKLIST = "multi_picklist"
    """Several of `values`; in staging one text joined with ';'."""
    FILE = "file"
    """A binary member; in staging the text 'sha256:<hex>' that names the staged bytes."""
    JSON = "json"
    """Structured content kept as JSON text (party lists, for one)."""


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """One field of an object."""

    name: str
    type: FieldType
    label: str = ""
    required: bool = False
    unique: bool = False
    length: int | None = None
    """Longest text in characters; None when unlimited or unknown."""
    precision: int | None = None
    scale: int | None = None
    references: tuple[str, ...] = ()
    """Objects this reference may point to; empty for other types or when unknown."""
    values: tuple[str, ...] = ()
    """Allowed values of a picklist; empty when open or unknown."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Picklist value → label a user sees."""
    read_only: bool = False
    pii: str = ""
    """Kind of personal data ('name', 'email', 'phone', 'address', …); empty when none is known."""


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """One object (table, entity) of a system; `key` names the field that identifies a record."""

    name: str
    key: str
    fields: tuple[FieldSchema, ...]
    label: str = ""

    def field(self, name: str) -> FieldSchema | None:
        """The field called `name`, or None."""
        return next((item for item in self.fields if item.name == name), None)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names of all fields in the system's own order."""
        return tuple(item.name for item in self.fields)


def schemas_to_json(schemas: Sequence[ObjectSchema]) -> str:
    """Readable JSON of schemas, defaults left out, stable under rerun."""
    return (
        json.dumps({"objects": [_object_to_dict(item) for item in schemas]}, ensure_ascii=False, indent=1)
        + "\n"
    )


def schemas_from_json(text: str) -> tuple[ObjectSchema, ...]:
    """The inverse of `schemas_to_json`; raises ValueError when the text is not such a file."""
    try:
        return tuple(_object_from_dict(item) for item in json.loads(text)["objects"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a schema file: {error}") from error


def index_schemas(schemas: Iterable[ObjectSchema]) -> dict[str, ObjectSchema]:
    """Schemas by object name."""
    return {item.name: item for item in schemas}


def _object_to_dict(schema: ObjectSchema) -> dict[str, Any]:
    fields = []
    for item in schema.fields:
        raw = asdict(item)
        raw["type"] = item.type.value
        fields.append(
            {key: value for key, value in raw.items() if value not in ("", None, False, (), {}, [])}
        )
    return {"name": schema.name, "label": schema.label, "key": schema.key, "fields": fields}


def _object_from_dict(raw: Mapping[str, Any]) -> ObjectSchema:
    fields = []
    for item in raw["fields"]:
        values = dict(item)
        values["type"] = FieldType(values["type"])
        for name in ("references", "values"):
            values[name] = tuple(values.get(name, ()))
        fields.append(FieldSchema(**values))
    return ObjectSchema(name=raw["name"], key=raw["key"], fields=tuple(fields), label=raw.get("label", ""))
