"""A table of Dataverse as we speak of it: attributes with what may be done with them, keys, and its schema.

Columns beside the attributes are called as in the exports: `X__name` for every look-up, `X__type` where it may point to
several tables, `X__filename` for files; so a mapping written for an export also reads the live system.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

PARTIES: Mapping[str, int] = {
    "from": 1, "to": 2, "cc": 3, "bcc": 4, "requiredattendees": 5, "optionalattendees": 6, "organizer": 7,
    "resources": 10, "customers": 11,
}  # fmt: skip
"""Party-list column → participationtypemask ("ActivityParty entity")."""
INSERT_ONLY = frozenset({"overriddencreatedon"})


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column: its schema, its kind as Dataverse calls it, and what may be done with it."""

    schema: FieldSchema
    kind: str
    creates: bool = False
    updates: bool = False
    targets: Mapping[str, str] = field(default_factory=dict)
    """For look-ups: table it may point to → navigation property by which that is said."""

    @property
    def name(self) -> str:
        """Its logical name."""
        return self.schema.name

    @property
    def is_lookup(self) -> bool:
        """Whether it points to records."""
        return self.schema.type is FieldType.REFERENCE

    @property
    def wire(self) -> str:
        """What it is called in rows, $select and $filter."""
        return f"_{self.name}_value" if self.is_lookup else self.name

    @property
    def quoted(self) -> bool:
        """Whether its literals stand in quotes."""
        return self.kind in {"string", "memo", "datetime"}


@dataclass(frozen=True)
class Table:
    """One table: `name` is the logical name, `set_name` stands in addresses, `key` is the primary id."""

    name: str
    set_name: str
    key: str
    attributes: Mapping[str, Attribute]
    label: str = ""
    tracked: bool = False
    """Change tracking is on: deletions are told, and nothing is missed."""
    alternate_keys: frozenset[str] = frozenset()
    """Columns that are alternate keys by themselves, and ready."""

    @property
    def parties(self) -> str:
        """The navigation property of the parties of an activity; '' for other tables."""
        return (
            f"{self.name}_activity_parties"
            if any(a.kind == "partylist" for a in self.attributes.values())
            else ""
        )

    @cached_property
    def schema(self) -> ObjectSchema:
        """Attributes and the columns beside them."""
        return ObjectSchema(self.name, self.key, tuple(self._fields()), self.label)

    def _fields(self) -> Iterator[FieldSchema]:
        for item in self.attributes.values():
            yield item.schema
            for suffix, beside in _BESIDE.items():
                if suffix in beside_of(item):
                    values = tuple(item.targets) if suffix == TYPE else ()
                    yield FieldSchema(
                        f"{item.name}{suffix}",
                        FieldType.STRING,
                        f"{item.schema.label} ({beside})",
                        values=values,
                        read_only=suffix != TYPE,
                        pii="name" if suffix == NAME else "",
                    )


NAME, TYPE, FILE_NAME = "__name", "__type", "__filename"
_BESIDE = {NAME: "name", TYPE: "type", FILE_NAME: "file name"}


def beside_of(attribute: Attribute) -> frozenset[str]:
    """The columns that stand beside an attribute."""
    if attribute.is_lookup:
        return frozenset({NAME} if len(attribute.targets) == 1 else {NAME, TYPE})
    return frozenset({FILE_NAME} if attribute.schema.type is FieldType.FILE else ())
