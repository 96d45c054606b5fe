"""The contract between the two-way sync and one of its two systems: what a side reads, proves and writes, and its facts.

A side never sleeps, retries or guesses. It raises `FatalError` or `RetryableError` when a call as a whole failed: of a
write nobody then knows what became of its rows, but for `CallRefused`, which says that nothing was written. A row that
was not written is an answer, not an exception. Every method that is called makes one request per page or batch; the
engine never hands over more rows than `SideFacts` allows.

Large reads (`changes`, `scan`) are columns, for the engine compares them in bulk; what is written is a plain row for each
changed record. Values are `str`, `int`, `bool`, `Decimal`, `float`, `date`, aware `datetime`, `time` or None (empty), in
the side's own native form: nothing is normalised on the way. A field that could not be read is `UNREADABLE`, which is
not None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Protocol, TypeAlias

import pyarrow as pa

from migrator.core.schema import ObjectSchema


class Which(Enum):
    """One of the two systems."""

    OLD = "old"
    NEW = "new"

    @property
    def other(self) -> Which:
        """Its partner."""
        return Which.NEW if self is Which.OLD else Which.OLD


class Unreadable(Enum):
    """What stands where a field is absent from an answer: permission, projection, version of the API."""

    UNREADABLE = "unreadable"

    def __bool__(self) -> bool:
        return False


UNREADABLE = Unreadable.UNREADABLE

Native: TypeAlias = str | int | float | bool | Decimal | date | time | None
"""A value as the platform returns it; an instant is an aware `datetime`, which is a `date` too."""
Value: TypeAlias = Native | Unreadable


class CompareAndSet(Enum):
    """How sharply a write can be made to fail when the record changed since it was read."""

    EXACT = "exact"
    SECOND = "second"
    """By a time in whole seconds: two edits in one second look alike."""
    NONE = "none"
    """Not at all: the engine reads again just before the write, and verifies after it."""


class EvidenceKind(Enum):
    """What a system can prove to have happened to a record; that it is merely not there proves nothing."""

    DELETED = "deleted"
    MERGED = "merged"
    """Deleted as the loser of a merge; `Evidence.into` is the master."""
    UNDELETED = "undeleted"
    CONVERTED = "converted"
    """Became records of other objects (a lead); `Evidence.became` names them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Stored proof of what was done to one record, in the words of the system that holds it."""

    kind: EvidenceKind
    id: str
    version: str = ""
    """The row's version after it happened; '' when the system does not say."""
    stamp: datetime | None = None
    """When, by the clock of that system."""
    into: str = ""
    became: tuple[tuple[str, str], ...] = ()
    """Pairs of object and id."""
    how: str = ""
    """Where it was seen: 'recycle bin', 'deleted feed', 'delete log', …"""


@dataclass(frozen=True, slots=True)
class SideFacts:
    """What is true of a side, as data; the engine plans by it. Times are seconds."""

    cas: CompareAndSet = CompareAndSet.NONE
    conditional_deletes: bool = False
    """A delete can state the expected version."""
    unique_key: bool = True
    """The external key is unique there, enforced by the system: a second create answers `EXISTS`."""
    post_image: bool = False
    """Answers to writes carry the record as it then was, automation included, and its version."""
    feed_memory: float | None = None
    """How long a watermark is good for; None: for ever."""
    longest_transaction: float = 0.0
    """A record may become visible so long after its stamp."""
    index_lag: float = 0.0
    """A change may be found by `changes` only so long after it can be fetched."""
    skew: float = 0.0
    """Bound on the distance of this system's clock from true time; only the policy `newest` uses it."""
    page_rows: int = 2_000
    """Most rows of a page of `changes` and `scan`, and most ids of one `fetch`, `find` or `evidence`."""
    batch_rows: int = 200
    """Most rows of one write."""
    evidence: frozenset[EvidenceKind] = frozenset({EvidenceKind.DELETED})
    """What it can prove at all. Without DELETED no delete ever leaves this side."""
    marker: bool = False
    """Can keep one short text for the engine (`marker`, `set_marker`): shows a store that was lost or restored."""
    lock_codes: frozenset[str] = frozenset()
    """Codes of refusals that are only a matter of time."""
    read_only: bool = False
    """Nothing may be written there (phases before both ways)."""

    @property
    def overlap(self) -> float:
        """How far before the watermark a read starts, so that nothing committed late is passed over."""
        return self.longest_transaction + self.index_lag + self.skew


ID, VERSION, STAMP = "__id", "__version", "__stamp"

CHANGED = pa.schema(
    [pa.field(ID, pa.string(), nullable=False), pa.field(VERSION, pa.string(), nullable=False)]
)
"""Columns of a page of changes. The version is of the row as found: the engine skips what it wrote itself."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Some of what happened in one object; the same may come again (overlap, duplicates), never not at all."""

    rows: pa.Table = field(default_factory=CHANGED.empty_table)
    """`CHANGED`: records created or changed."""
    evidence: tuple[Evidence, ...] = ()
    watermark: str | None = None
    """On the last page and only there: what to give as `since` next time, taken from the system's own clock (or its token)
    when the read started. Opaque text. A read that ends without one is a truncated read, and counts for nothing."""


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Some of the live records of one object: `__id`, `__version`, then a column for each field asked for.

    A field that cannot be read has no column. Values are as `fetch` gives them, so that both are compared in one way.
    """

    rows: pa.Table
    last: bool = False
    """On the last page and only there: a scan that ends without it was cut short, and counts for nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """One live record, as read."""

    id: str
    version: str
    values: Mapping[str, Value]
    """Every field asked for; UNREADABLE where the answer lacks it."""
    stamp: datetime | None = None
    """When it was last changed, by the clock of its system; only the policy `newest` looks at it."""
    key: str = ""
    """The external key it carries in the field asked about (`find`); '' otherwise."""
    created: datetime | None = None
    """When it was made, by the clock of its system, which no edit changes; None where that is not told."""


@dataclass(frozen=True, slots=True)
class Create:
    """A record to be made, with the external key that makes a second attempt harmless."""

    key: str
    values: Mapping[str, Native]


@dataclass(frozen=True, slots=True)
class Update:
    """The changed fields of one record, and nothing else."""

    id: str
    version: str
    """The version it was read with: anything else there now answers `STALE`, where the facts allow it."""
    values: Mapping[str, Native]


@dataclass(frozen=True, slots=True)
class Delete:
    """A record to be deleted."""

    id: str
    version: str


class Outcome(Enum):
    """What became of one row of a write."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    EXISTS = "exists"
    """A record with this external key is there already; `Answer.id` names it when the system says."""
    MISSING = "missing"
    """No live record has this id (deleted, or hidden): nothing was written."""
    STALE = "stale"
    """The record is not as it was read: nothing was written."""
    REFUSED = "refused"
    """The system will not have it: `code`, `field`, `message`. Nothing was written."""
    UNKNOWN = "unknown"
    """The answer to this row was lost: it may have been written."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one row; answers come in the order of the rows."""

    outcome: Outcome
    id: str = ""
    version: str = ""
    """After the write; '' when the system does not say."""
    values: Mapping[str, Value] | None = None
    """The record as it stood when the write ended (the post-image), of exactly `version`; None: the engine reads it."""
    code: str = ""
    field: str = ""
    message: str = ""


class Side(Protocol):
    """One of the two systems. `object_name` is always the side's own name of the object."""

    @property
    def facts(self) -> SideFacts:
        """Known without a request."""
        ...

    def describe(self) -> Sequence[ObjectSchema]:
        """All objects and fields there now, as this user may see them."""
        ...

    def server_time(self) -> datetime:
        """The clock of the system, aware."""
        ...

    def changes(self, object_name: str, since: str | None, overlap: float) -> Iterator[FeedPage]:
        """What happened from `overlap` seconds before `since` on; None: nothing but the watermark to start from.

        Paged by (stamp, id) with >=, so that equal stamps neither skip nor loop. Raises `WatermarkExpired` when the
        system no longer knows, also when it merely may not know.
        """
        ...

    def scan(self, object_name: str, fields: Sequence[str]) -> Iterator[ScanPage]:
        """Every live record with these fields, independent of the feed; an object without records gives one page."""
        ...

    def fetch(self, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Sequence[Record]:
        """The live records with these ids, in any order; one that is not there, or is hidden, has no record."""
        ...

    def evidence(self, object_name: str, ids: Sequence[str]) -> Sequence[Evidence]:
        """What the system can prove about these ids now (recycle bin, delete log), in any order; silence proves nothing."""
        ...

    def find(
        self, object_name: str, key_field: str, keys: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Record]:
        """The live records that carry one of these external keys; `Record.key` says which. May lag on no system."""
        ...

    def create(self, object_name: str, key_field: str, rows: Sequence[Create]) -> Sequence[Answer]:
        """Make records, the key written with each; at most `batch_rows`."""
        ...

    def update(self, object_name: str, rows: Sequence[Update]) -> Sequence[Answer]:
        """Change records; at most `batch_rows`, no id twice."""
        ...

    def delete(self, object_name: str, rows: Sequence[Delete]) -> Sequence[Answer]:
        """Delete records; at most `batch_rows`, no id twice."""
        ...

    def marker(self) -> str:
        """The text kept by `set_marker`; '' when there is none."""
        ...

    def set_marker(self, text: str) -> None:
        """Keep one short text, beside the records and never among them."""
        ...

    def close(self) -> None:
        """Release connections; may be called twice."""
        ...
