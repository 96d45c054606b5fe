"""What a system does besides holding data, as components that a metadata reader finds: fields, rules, flows, code, integrations.

A reader knows one CRM's files; the engine knows none. Readers are found by entry point, as connectors are. Every file of a
tree comes back in exactly one of two ways: among the `files` of components, or as `NotUnderstood`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, TypeAlias

from migrator.core.connector import Recognition


class ComponentKind(Enum):
    """What a component is, in words that hold for every system."""

    OBJECT = "object"
    FIELD = "field"
    VALUE_SET = "value set"
    VALIDATION = "validation"
    AUTOMATION = "automation-declarative"
    CODE = "automation-code"
    APPROVAL = "approval"
    ASSIGNMENT = "assignment"
    LAYOUT = "layout or form"
    RECORD_TYPE = "record type"
    PERMISSION = "permission"
    REPORT = "report"
    INTEGRATION_IN = "integration-in"
    INTEGRATION_OUT = "integration-out"
    OUTBOUND_MESSAGE = "outbound message"
    SCHEDULED_JOB = "scheduled job"
    NOTIFICATION = "notification or template"
    TRANSLATION = "translation"
    SHARING = "sharing rule"
    OTHER = "other"
    """The reader has no closer word for it; it is counted like all others."""


class ComponentState(Enum):
    """Whether it works today. What has no switch is active while it exists."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DRAFT = "draft"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


class Direction(Enum):
    """Which way an integration moves data, seen from the old system."""

    IN = "in"
    OUT = "out"
    BOTH = "both"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Call:
    """Evidence that something outside takes part."""

    direction: Direction
    protocol: str
    """'REST', 'SOAP', 'outbound message', 'plug-in', …; '' when nothing says so."""
    endpoint: str = ""
    """Address or name of the other side, without secrets; '' when it is not written here."""
    place: str = ""
    """Where it is written: 'classes/Erp.cls:12'."""
    trigger: str = ""
    """What sets it off: 'on request', 'scheduled', 'record saved', …"""
    credential: str = ""
    """Name of the credential it uses; never the secret."""


@dataclass(frozen=True, slots=True)
class Component:
    """One function, field or rule of the old system."""

    type: str
    """The system's own word: 'CustomField', 'SdkMessageProcessingStep'."""
    name: str
    """Its full name there: 'Account.Tier__c'. With the type it is unique in a system."""
    kind: ComponentKind
    file: str
    line: int = 0
    label: str = ""
    owner: str = ""
    """The object it belongs to."""
    state: ComponentState = ComponentState.ACTIVE
    managed: bool | None = False
    """Whether it belongs to a package of a vendor; None when nothing says so."""
    modified: str = ""
    """ISO date, where the export holds it."""
    modified_by: str = ""
    size: Mapping[str, int] = field(default_factory=dict)
    """'nodes', 'lines', 'branches', 'fields', 'values', 'versions' → how many."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the export says of it, by short names: 'type', 'length', 'required', 'default', 'process_type', …"""
    fires: tuple[str, ...] = ()
    """'OBJECT/create', 'OBJECT/update', 'OBJECT/delete': when it runs by itself."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Sensitivity: 'classification', 'compliance', 'encrypted', 'masked', 'secured', 'business status', 'owner'."""
    languages: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    findings: tuple[str, ...] = ()
    """What a person should look at, in words."""
    unread: str = ""
    """Why it could not be analysed; '' when it was."""
    more_files: tuple[str, ...] = ()
    """Further files it is made of."""
    legacy: str = ""
    """Why its vendor no longer supports such components; '' when it does."""

    @property
    def files(self) -> tuple[str, ...]:
        """All files it is made of; none for what a live system described."""
        return (self.file, *self.more_files) if self.file else ()


Pieces: TypeAlias = Iterable[tuple[str, int, str]]
"""File, line and text of everything in a component that may name another one, an id or an address."""


@dataclass(frozen=True, slots=True)
class Found:
    """A component and its text, which is read once and not kept."""

    component: Component
    pieces: Pieces = ()
    whole: bool = True
    """Each piece is one value (an element of XML), so a piece may be a name with blanks; False: lines of code or prose."""
    ids: bool = True
    """Ids of records in it were written by hand: False where the export itself numbers everything so."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A file that no component was made of."""

    file: str
    reason: str
    refers: bool = False
    """It is metadata that could not be read, so what it refers to is not known."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Columns of this CRM's records by which use is told apart, most telling first; a missing one is passed over."""

    record_type: tuple[str, ...] = ()
    business_unit: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()


class MetadataReader(Protocol):
    """Reads what one kind of system exports of its own set-up. It opens files below the path only, and runs nothing."""

    @property
    def name(self) -> str:
        """Short: 'salesforce', 'dynamics'."""
        ...

    @property
    def segments(self) -> Segments:
        """Columns that tell the records of this CRM apart."""
        ...

    def recognise(self, path: Path) -> Recognition | None:
        """Whether this folder or zip is such an export, and how sure."""
        ...

    def files(self, path: Path) -> Sequence[str]:
        """Every file below the path; raises `FatalError` when it cannot be opened."""
        ...

    def read(self, path: Path) -> Iterator[Found | NotUnderstood]:
        """All components and all files that are none, in a stable order; raises `FatalError` as `files` does."""
        ...

    def ids(self, text: str) -> Iterable[str]:
        """Record ids of this CRM that stand in a text: they mean nothing in a new system."""
        ...


ENTRY_POINTS = "migrator.metadata"


def metadata_readers() -> tuple[MetadataReader, ...]:
    """All installed readers, by name."""
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda item: item.name)
    return tuple(item.load() for item in found)
