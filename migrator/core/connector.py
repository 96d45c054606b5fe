"""The contract between the engine and a system: what a source reads, what a target writes, and facts as data.

A connector never sleeps, retries, prints or logs rows. It raises `FatalError` or `RetryableError`; a row the
system refuses is an outcome, not an exception: an exception means that the fate of the whole call is unknown, but for
`CallRefused`, which says that nothing of it was written. A connector over an API asks its `Gate` before every request.
Pages and outcomes are columnar (Arrow). Rows carry `str`, `int`, `bool`, `Decimal`, `date`, aware `datetime`
or null; never floats for money, never naive times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, BinaryIO, Protocol, runtime_checkable

import pyarrow as pa

from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.schema import ObjectSchema
from migrator.core.twoway import Side

OUTCOMES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("target_id", pa.string()),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("code", pa.string()),
        pa.field("field", pa.string()),
        pa.field("message", pa.string()),
    ]
)
"""One answer per row of a write, matched by `key` (the external key), never by position.

`outcome` is 'created', 'updated', 'unchanged', 'deleted', 'missing' or 'refused'. A refused row carries the
system's own `code` (short and stable: it becomes the quarantine rule), the `field` when the system names one,
and its own words in `message`.
"""


@dataclass(frozen=True, slots=True)
class Reject:
    """Something in the source that could not be read as a record."""

    place: str
    """Where a person finds it: 'WE_1.ZIP!Account.csv:1042'."""
    rule: str
    """Short and stable: 'file.ragged', 'file.undecodable', 'xml.field-type', …"""
    message: str
    raw: str
    """The raw text as read, whole."""


@dataclass(frozen=True, slots=True)
class Page:
    """One batch of records of one object, in the order of the source.

    `rows` has one column per field of the object's schema (a source that lacks a column in one part fills
    null). Text formats deliver text exactly as it stands, with null kept apart from empty: casting is the
    mapping's work, so that a value that does not fit is quarantined with its rule and never lost.
    `places` has one text per row, saying where it was read ('WE_1.ZIP!Account.csv:17'; may be null for live systems).
    `cursor`, when not None, makes `read(..., cursor=...)` go on right after this page.
    """

    rows: pa.Table
    places: pa.ChunkedArray | pa.Array | None = None
    rejects: tuple[Reject, ...] = ()
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is true of a source, as data."""

    copies_overlap: bool = False
    """The same record may be delivered more than once (several zips): identical copies are folded by key."""
    recency_fields: tuple[str, ...] = ()
    """Fields that tell which of two differing copies of a record is newer, best first."""
    created_field: str = ""
    """The field that tells when a record was made; '' where there is none."""
    live: bool = False
    """The content can change between two reads, so a finished extract is never taken for current by itself."""
    typed: bool = False
    """The system declares the type of every field: what it calls text is text, whatever the values look like."""
    changes: bool = False
    """It is a `ChangingSource`: what changed since a watermark can be asked for."""
    deleted_feed: bool = False
    """`changes` also names records deleted since; without it only a full comparison of keys finds them."""
    late_seconds: float = 0.0
    """How long after its own time stamp a change may become visible; `changes` goes back so far by itself."""


class Source(Protocol):
    """A system or an export that records are read from."""

    @property
    def facts(self) -> SourceFacts:
        """Facts about this source."""
        ...

    def describe(self) -> Sequence[ObjectSchema]:
        """All objects found, in a stable order; raises `FatalError` when the source cannot be opened."""
        ...

    def count(self, object_name: str) -> int | None:
        """Records of an object when that is cheap to know, else None; used for progress only."""
        ...

    def fingerprint(self, object_name: str) -> str:
        """A text that changes when the object's content may have changed; '' when the source cannot know."""
        ...

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        """Pages of an object, lazily, in a fixed order, in memory bounded by the page."""
        ...

    def close(self) -> None:
        """Release files and connections; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Some of what changed in one object since a watermark; the same change may come again (overlap), never not at all."""

    rows: pa.Table
    """Records created or changed, whole, with the columns `Source.read` gives."""
    deleted: pa.ChunkedArray | pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    """Keys of records deleted, for which the system itself says so: absence is never taken for it."""
    watermark: str | None = None
    """On the last page, and only there: what to give as `since` the next time. Opaque text; the connector's own."""


@runtime_checkable
class ChangingSource(Protocol):
    """A source that can be asked what changed; declared by `SourceFacts.changes`."""

    def watermark(self, object_name: str) -> str:
        """Where changes start from now on; taken before a full read, so that nothing falls between the two."""
        ...

    def changes(self, object_name: str, *, since: str, page_rows: int = 50_000) -> Iterator[ChangePage]:
        """What changed since `since`, in pages; raises `WatermarkExpired` when the system no longer knows it."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` requests in any window of `seconds`."""

    calls: int
    seconds: float
    scope: str = ""
    """Which requests it counts: '' all of them together; '*' those of each scope by itself; else those of this scope."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a system permits, as data; the settings of a project may narrow it."""

    rates: tuple[Rate, ...] = ()
    daily: int | None = None
    """Requests in 24 hours, for everybody who uses the system; None when there is no such limit."""
    resets: str = ""
    """The IANA zone at whose midnight the day's count begins anew; '' when it is of the last 24 hours."""
    parallel: int = 1
    """Most calls in flight at once; above 1 the connector may be called from several threads."""


class Gate(Protocol):
    """What every request of a connector passes through; the engine's waits there, so a connector never sleeps."""

    def admit(self, scope: str = "", requests: int = 1) -> None:
        """Return when the requests may go out; raises `RetryableError` when the day's budget does not hold them."""
        ...

    def hold(self, seconds: float, scope: str = "") -> None:
        """The system asked to be left alone for so long: nothing of this scope ('' nothing at all) goes out until then."""
        ...

    def spent(self, used: int, limit: int | None = None) -> None:
        """What the system itself says was used of the day's budget, others' requests included."""
        ...


@dataclass(frozen=True, slots=True)
class OpenGate:
    """The gate of a system without limits: everything goes out at once."""

    def admit(self, scope: str = "", requests: int = 1) -> None:
        """At once."""

    def hold(self, seconds: float, scope: str = "") -> None:
        """Nothing is held: the caller's own retry waits."""

    def spent(self, used: int, limit: int | None = None) -> None:
        """Nobody counts."""


@runtime_checkable
class Paced(Protocol):
    """A source or target with limits. Until `pace` is called its gate is open."""

    @property
    def limits(self) -> Limits:
        """What the system permits; known without asking it."""
        ...

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate first."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Which system one is really connected to, for a person to recognise, and for the guard of production."""

    product: str
    """'Salesforce', 'Dataverse', …"""
    address: str
    """Where it is, without secrets."""
    organisation: str = ""
    user: str = ""
    production: bool | None = None
    """Whether real users work there; None when the system does not say."""


@runtime_checkable
class Identified(Protocol):
    """A source or target that can say who answers; the cheapest call that proves address and credentials."""

    def identify(self) -> Identity:
        """Raises `FatalError` for wrong credentials, `RetryableError` when nobody answers."""
        ...


@runtime_checkable
class FileSource(Protocol):
    """A source whose FILE fields name binary members that can be opened."""

    def open_file(self, object_name: str, reference: str) -> BinaryIO:
        """The bytes that a FILE field's value names; raises `FatalError` when they are missing."""
        ...


@runtime_checkable
class NotedSource(Protocol):
    """A source that says what it found out or changed in order to read: encoding, dialect, renamed columns."""

    def notes(self, object_name: str) -> Sequence[str]:
        """Sentences for a person about one object; about the source as a whole for ''."""
        ...


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is true of a target, as data; the loader plans by it."""

    batch_rows: int
    """Most rows one write call may carry."""
    assigns_ids: bool
    """True: the target makes its own record ids; False: the external key is the record's id there."""
    creates_objects: bool
    """True: `prepare` can create missing objects (SQL)."""
    upserts_by_key: bool = True
    """True: `upsert` creates or updates by external key, in whatever calls that takes, and looks again by itself before a
    second create after a lost answer. False: `upsert` always creates; the loader asks first what is there (`fetch`), sends
    that through `update`, whose answers carry the record ids, and asks again before every further try."""
    checks_references: bool = True
    """True: a reference to a record that is not there is refused by the target itself."""
    atomic: bool = False
    """True: a call is written whole or not at all (`CallRefused`); False: row by row."""
    lock_codes: frozenset[str] = frozenset()
    """Codes of refusals that are only a matter of time: another transaction held the record or its parent."""
    insert_only: frozenset[str] = frozenset()
    """Fields that can be set when a record is created and never after (audit fields)."""
    conditional_writes: bool = False
    """True: an update may be made to fail when the record changed since it was read."""
    merges: bool = False
    """True: the system merges records by itself, and its merges can be read."""
    row_requests: int = 0
    """Requests that each row of a write costs besides its call; 0: a call is one request, whatever it carries."""
    undeletes: bool = False
    """True: a deleted record can be brought back under its own id."""

    @property
    def locks_parents(self) -> bool:
        """True: who writes a record may hold its parent meanwhile, so children of one parent should travel together."""
        return bool(self.lock_codes)


class Target(Protocol):
    """A system that records are written to. Any call may be made again: one key never makes two records."""

    @property
    def facts(self) -> TargetFacts:
        """Facts about this target."""
        ...

    def describe(self) -> Sequence[ObjectSchema]:
        """All objects there; raises `FatalError` when the target cannot be reached."""
        ...

    def prepare(self, schemas: Sequence[ObjectSchema]) -> None:
        """Make missing objects (where `creates_objects`) and check that every field fits, before the first row.

        Idempotent. Raises `SafetyStop` when an object that exists does not fit what is to be written.
        """
        ...

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Create or update rows by the external key column `key`; returns `OUTCOMES`, one answer per key."""
        ...

    def update(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        """Set only the columns given on records that exist; a key that is not there answers 'missing'."""
        ...

    def delete(self, object_name: str, keys: Sequence[str], *, key: str) -> pa.Table:
        """Delete by external key; a key that is not there answers 'missing'."""
        ...

    def read(
        self, object_name: str, *, columns: Sequence[str] | None = None, page_rows: int = 50_000
    ) -> Iterator[pa.Table]:
        """Records as the target holds them now, typed, in pages of at most `page_rows`.

        Where a value is not of its field's type, that column is text from its page on.
        """
        ...

    def fetch(self, object_name: str, keys: Sequence[str], *, key: str, columns: Sequence[str]) -> pa.Table:
        """The records with these external keys as the target holds them now: `columns`, typed as `read` types them.

        `key` is the external key's field or the object's own key. At most `facts.batch_rows` keys in one call; a key
        that is not there has no row; no keys give an empty table
        with the types. The order says nothing.
        """
        ...

    def close(self) -> None:
        """Release connections; may be called twice."""
        ...


@runtime_checkable
class IndexingTarget(Protocol):
    """A target that puts off the indexes of objects it has just made, and what it checks by them: to build one over all
    rows of a first load costs a fraction of keeping it while they come in.
    """

    def pending_indexes(self) -> Sequence[str]:
        """The names of indexes that are still to be built, whichever load made their objects."""
        ...

    def build_index(self, name: str) -> None:
        """Build one of them; may be called again after a lost answer.

        Raises `FatalError` when what it checks by it does not hold; the index is still to be built then.
        """
        ...


@runtime_checkable
class FileTarget(Protocol):
    """A target whose FILE fields take binary members: their bytes go with the record that names them."""

    def take_files(self, open_file: Callable[[str], BinaryIO]) -> None:
        """From now on the value of a FILE field ('sha256:<hex>') is opened so; the stream can be read again from its start."""
        ...


@dataclass(frozen=True, slots=True)
class Recognition:
    """That a connector knows what a path or URL is: how sure (0 to 1), why in words, and the settings it would open it with."""

    confidence: float
    reason: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connector:
    """A kind of system, as found by entry point; each factory takes the settings of a system in migration.yaml.

    A factory raises `ProjectError` for settings that are wrong and opens nothing slow: connecting is for the first call.
    """

    name: str
    summary: str
    settings: Mapping[str, str]
    """Setting → what it means; a setting not named here is refused with a hint."""
    open_source: Callable[[Mapping[str, Any]], Source] | None = None
    open_target: Callable[[Mapping[str, Any]], Target] | None = None
    open_side: Callable[[Mapping[str, Any]], Side] | None = None
    """A side of the two-way sync of its own; without one the sync makes it of source and target (`migrator.sync.adapter`)."""
    recognise: Callable[[str], Recognition | None] | None = None
    """Looks at a path or URL given to `migrator init` and says whether this connector can read it."""


ENTRY_POINTS = "migrator.connectors"


def connectors() -> dict[str, Connector]:
    """All installed connectors by name; ours and third parties' come through the same entry point."""
    return {
        item.name: item.load()
        for item in sorted(entry_points(group=ENTRY_POINTS), key=lambda item: item.name)
    }


def connector(name: str, *, place: str = "migration.yaml") -> Connector:
    """The connector called `name`; raises `ProjectError` with the nearest name when there is none."""
    known = {item.name: item for item in entry_points(group=ENTRY_POINTS)}
    if name not in known:
        raise ProjectError.at(
            place, f"unknown connector {name!r}", did_you_mean(name, known, noun="connectors")
        )
    found: Connector = known[name].load()
    return found
