"""What a two-way sync must know of a mapping: which fields go which way, who wins, and values carried over in batches.

The mapping package makes a `Translator` of a bound mapping; sync reads it and knows nothing of YAML or SQL. A *pair* is
one field of the new side with the columns of the old side that it is made of: it is what policies, conflicts and the
log call a field. Values stay in each side's own native form; nothing normalised is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import pyarrow as pa

from migrator.core.errors import Location
from migrator.core.sameness import EXACT, Native, Sameness


class Direction(Enum):
    """Which way a field may be written by the sync."""

    FORWARD = "forward"
    """Old to new only."""
    REVERSE = "reverse"
    """New to old only."""
    BOTH = "both"
    NONE = "none"
    """Not carried by the sync at all: `Pair.why` says why."""

    @property
    def goes_forward(self) -> bool:
        """Whether the new side may be written."""
        return self in (Direction.FORWARD, Direction.BOTH)

    @property
    def goes_back(self) -> bool:
        """Whether the old side may be written."""
        return self in (Direction.REVERSE, Direction.BOTH)


class Rule(Enum):
    """What becomes of a field that both sides changed to different values."""

    OLD_WINS = "old_wins"
    NEW_WINS = "new_wins"
    HOLD = "hold"
    """Nothing is written; a person decides, the other fields of the record still flow."""
    UNION = "merge:union"
    """Every value of both sides (value lists)."""
    MAX = "merge:max"
    """The greater of the two (counters)."""
    APPEND = "merge:append"
    """What each side added, one after the other (notes)."""
    NEWEST = "newest"
    """The later edit; refused, and held, when the two lie within `Policy.skew`."""

    @property
    def is_merge(self) -> bool:
        """Whether a third value is made of both."""
        return self in (Rule.UNION, Rule.MAX, Rule.APPEND)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a conflict of one field is settled."""

    rule: Rule = Rule.OLD_WINS
    skew: float = 0.0
    """For NEWEST: seconds within which two times of the two systems say nothing."""


class DeletePolicy(Enum):
    """What a proven delete on one side does to the unchanged record on the other."""

    PROPAGATE = "propagate"
    DEACTIVATE = "deactivate"
    """Fields of `PairedObject.deactivated` are set instead."""
    HOLD = "hold"


class Law(Enum):
    """How well a value survives the way there and back."""

    EXACT = "exact"
    """`to_old(to_new(v)) ~ v` by what the mapping says."""
    COMPLEMENT = "complement"
    """Several old values become one: an unchanged record keeps its own (the complement rule), a changed one gets
    the value that stands for them all."""
    NONE = "none"
    """It cannot come back."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One field of the new side and the old columns it is made of."""

    new: str
    """Field of the new side; it names the pair in policies, conflicts and logs."""
    old: tuple[str, ...]
    """Columns of the old side that it is made of, those first that are written when it comes back; () for constants."""
    direction: Direction
    policy: Policy = field(default_factory=Policy)
    enforce: bool = False
    """An edit on the side that the field does not flow from is reverted, not only logged."""
    consent: bool = False
    """The most restrictive value wins, whatever the policy says (`migrator.core.sameness.most_restrictive`)."""
    restrictive: str = ""
    """Of a consent field: the new-side value that restricts most, in text; '' for the truth values (see there)."""
    same_new: Sameness = EXACT
    """When two native values of the new field say the same."""
    same_old: Mapping[str, Sameness] = field(default_factory=dict)
    """Old column → when two native values of it say the same."""
    law: Law = Law.EXACT
    why: str = ""
    """Why it does not go the way that the mapping's direction asks for; '' when it does."""
    place: Location = field(default_factory=lambda: Location(""))
    links: tuple[str, ...] = ()
    """Mappings that a link may point to; () when it is no link."""
    required_new: bool = False
    """The new side refuses a record without it: a create waits for a link of such a field."""
    required_old: bool = False
    pii: str = ""
    written_old: tuple[str, ...] = ()
    """Columns of the old side that the way back writes; no two pairs write the same."""

    @property
    def is_link(self) -> bool:
        """Whether its values are ids of other records."""
        return bool(self.links)


@dataclass(frozen=True, slots=True)
class PairedObject:
    """One source of one mapping, as the sync pairs it: records of `old_object` with records of `new_object`."""

    mapping: str
    source: str
    """Name of the source in the mapping: an old record is called SOURCE:ID."""
    old_system: str
    old_object: str
    new_system: str
    new_object: str
    new_key: str
    """Field of the new side that carries the old record's SOURCE:ID, unique there."""
    old_key: str
    """Column of the old side that carries the new record's id; '' when new records do not come back."""
    pairs: tuple[Pair, ...]
    """In the order of the mapping."""
    delete: DeletePolicy = DeletePolicy.HOLD
    deactivated_new: Mapping[str, object] = field(default_factory=dict)
    """New field → native value that means inactive, for `DeletePolicy.DEACTIVATE`."""
    deactivated_old: Mapping[str, object] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Mappings whose records must be there first (links that are not deferred)."""
    fingerprint: str = ""
    """Of mapping and sync rules: bases, verdicts and journals name it."""

    @property
    def name(self) -> str:
        """MAPPING/SOURCE; unique in a project."""
        return f"{self.mapping}/{self.source}"

    @property
    def old_fields(self) -> tuple[str, ...]:
        """Every column of the old side that a fetch must ask for: of pairs, of filters, of keys."""
        return tuple(dict.fromkeys((*self.filters, *(name for pair in self.pairs for name in pair.old))))

    @property
    def new_fields(self) -> tuple[str, ...]:
        """Every field of the new side that a fetch must ask for."""
        return tuple(dict.fromkeys((self.new_key, *(pair.new for pair in self.pairs), *self.needed_new)))

    filters: tuple[str, ...] = ()
    """Columns of the old side that decide whether a record moves at all, and those of the key."""
    needed_new: tuple[str, ...] = ()
    """Fields of the new side that declared ways back read beside their own."""
    created_old: Mapping[str, object] = field(default_factory=dict)
    """Old column → native value that a record created on the old side must have to belong to this mapping."""

    def pair(self, new: str) -> Pair | None:
        """The pair of a new field, or None."""
        return next((item for item in self.pairs if item.new == new), None)


ROW_ID = "__id"
"""Column of every table a translator takes and gives: the record's own id on the side that the row is of, as scans name it."""
UNREADABLE = "__unreadable"
"""LIST of VARCHAR, optional in, always out: fields of the row that could not be read, or are made of such: never null,
never compared, never written."""
FAILED = "__failed"
"""LIST of STRUCT(field, rule, value, message): fields whose value the other side cannot hold; not written. `field` is of
the table's own side; '' when the whole row does not move across."""
EXCLUDED = "__excluded"
"""VARCHAR: why the mapping says that the record does not move, or null."""
DEFERRED = "__deferred"
"""LIST of STRUCT(field, mapping, record): links whose record is known but has no partner yet; the field is null."""
FAILED_TYPE = pa.list_(pa.struct([(name, pa.string()) for name in ("field", "rule", "value", "message")]))
DEFERRED_TYPE = pa.list_(pa.struct([(name, pa.string()) for name in ("field", "mapping", "record")]))
NAMES_TYPE = pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a value cannot be on the other side."""

    rule: str
    value: str
    message: str


@dataclass(frozen=True, slots=True)
class Translated:
    """One row of what a translator gives, for those who decide record by record."""

    id: str
    values: Mapping[str, Native]
    """Fields that can be compared and written; links as ids of the other side."""
    unreadable: tuple[str, ...] = ()
    failed: Mapping[str, Failed] = field(default_factory=dict)
    excluded: str | None = None
    deferred: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Field of a link whose record has no partner yet → (mapping, record) as the crosswalk is asked about it; several
    where a link may point to several mappings."""


def as_rows(table: pa.Table) -> list[Translated]:
    """The rows of what `to_new` or `to_old` gave, in order."""
    names = [name for name in table.column_names if name not in _OURS]
    found = []
    for row in table.to_pylist():
        failed = {
            item["field"]: Failed(item["rule"], item["value"] or "", item["message"]) for item in row[FAILED]
        }
        away = {*row[UNREADABLE], *failed}
        values = {name: row[name] for name in names if name not in away}
        deferred: dict[str, tuple[tuple[str, str], ...]] = {}
        for item in row[DEFERRED]:
            name, record = item["field"], (item["mapping"], item["record"])
            deferred[name] = (*deferred.get(name, ()), record)
        found.append(Translated(row[ROW_ID], values, tuple(row[UNREADABLE]), failed, row[EXCLUDED], deferred))
    return found


_OURS = frozenset({ROW_ID, UNREADABLE, FAILED, EXCLUDED, DEFERRED})


class Crosswalk(Protocol):
    """The live links of records, as links are translated by; one question a batch."""

    def new_ids(self, mapping: str, records: Sequence[str]) -> Mapping[str, str]:
        """'SOURCE:ID' of old records → id of the live new record; those without one are left out."""
        ...

    def old_ids(self, mapping: str, ids: Sequence[str]) -> Mapping[str, str]:
        """Id of new records → 'SOURCE:ID' of the (primary) live old record; those without one are left out."""
        ...


class Translator(Protocol):
    """The mapping as two functions over batches. Rows come out in the order they went in, one for one.

    A table has `ROW_ID` and native columns of its side (texts where the system speaks text); columns it lacks, and those
    that a row names in `UNREADABLE`, make everything that is made of them unreadable. Nothing here does I/O but for the
    crosswalk that it was made with.
    """

    @property
    def objects(self) -> tuple[PairedObject, ...]:
        """Every paired object, those that others link to first."""
        ...

    def to_new(self, name: str, rows: pa.Table) -> pa.Table:
        """Old rows of the paired object `name` as the new side would hold them.

        Columns: `ROW_ID` (the old id, as given), the new key and the new field of each pair that goes forward or is compared, `UNREADABLE`,
        `FAILED`, `EXCLUDED`, `DEFERRED`.
        """
        ...

    def to_old(self, name: str, rows: pa.Table) -> pa.Table:
        """New rows as the old side would hold them: the old columns of each pair that comes back, and the same four.

        Where several old values become one, the value that stands for them: the caller keeps the base instead when
        the new value equals `to_new` of it (complement rule).
        """
        ...
