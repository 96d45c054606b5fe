"""What the steps after the mapping must know of it: a mapped object, its links and its duplicate rules, as plain values.

The mapping package makes these by binding; dedupe, load, sync and validation read them. Steps meet in staging and in
these values, never in each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from migrator.core.schema import FieldSchema, ObjectSchema


class Missing(Enum):
    """What becomes of a row whose link points to a record that is not in the source."""

    QUARANTINE = "quarantine"
    NULL = "null"
    """The row moves with the link empty; a warning is kept in its issues."""
    DEFAULT = "default"
    """The row moves with the mapping's default instead; a warning is kept in its issues."""


class Normaliser(Enum):
    """How a value is made comparable before duplicates are looked for."""

    EXACT = "exact"
    EMAIL = "email"
    PHONE = "phone"
    """E.164, with the default region of the dedupe rules."""
    NAME = "name"
    """Case, width, diacritics, punctuation and spaces do not matter; word order does not matter."""
    COMPANY = "company"
    """As NAME, legal forms taken off."""
    DOMAIN = "domain"
    """Host of a web or mail address without 'www.'; free-mail domains count as no value."""


class Survivorship(Enum):
    """Which member of a cluster gives a field its value; nulls never win while another member has a value."""

    MOST_RECENT = "most_recent"
    MOST_TRUSTED = "most_trusted"
    MOST_COMPLETE = "most_complete"
    """Of the member with the most filled fields."""
    MOST_FREQUENT = "most_frequent"
    """The value that most members have; of equally frequent ones the most trusted."""
    LONGEST = "longest"
    FIRST = "first"
    """The survivor's own value."""
    UNION = "union"
    """Every value that a member has, once, the most trusted first."""
    CUSTOM = "custom"
    """What an expression or a function of the project makes of the members' values."""

    @property
    def is_made(self) -> bool:
        """Whether the value is made of several members' values instead of chosen among them."""
        return self in (Survivorship.UNION, Survivorship.CUSTOM)


@dataclass(frozen=True, slots=True)
class Custom:
    """How a field's value is made of the values of all members; exactly one of `sql` and `function` says it."""

    written: str
    """As the mapping says it."""
    sql: str = ""
    """An aggregate over the members, fields by their names; `__trusted` is a member's place, most trusted first."""
    function: str = ""
    """A function of the engine. It takes the survivor's `__id`, then for each of `using` the members' values as a list,
    most trusted first."""
    using: tuple[str, ...] = ()
    gives: str = "VARCHAR"
    """The engine's type of the field."""
    digest: str = ""
    """Of the file that a function stands in."""


@dataclass(frozen=True, slots=True)
class Link:
    """A field that holds another record. In MAPPED, GOLDEN and PLAN its value is 'MAPPING/SOURCE:KEY' of that record."""

    field: str
    mappings: tuple[str, ...]
    """Names of the mappings the linked record may belong to; several for a polymorphic link."""
    required: bool = False
    deferred: bool = False
    """Set in a second pass, after all rows are there (self references and cycles)."""


@dataclass(frozen=True, slots=True)
class MatchKey:
    """Rows that agree in all these normalised fields are one; a null in any of them matches nothing."""

    name: str
    fields: tuple[tuple[str, Normaliser], ...]


class Same(Enum):
    """What a person decided about two records."""

    SAME = "same"
    NOT_SAME = "not_same"
    UNSURE = "unsure"
    """Looked at and left open: neither joins nor parts."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A person's word about two records (`__id`s); it stands above every rule and every score."""

    one: str
    other: str
    verdict: Same


class Meaning(Enum):
    """What a field says of a record, as far as telling records apart goes; it decides how two values are compared."""

    PERSON = "person"
    """The whole name of a person, in any order and script."""
    GIVEN = "given"
    FAMILY = "family"
    COMPANY = "company"
    EMAIL = "email"
    PHONE = "phone"
    ADDRESS = "address"
    """A street, or a whole address in one field."""
    CITY = "city"
    POSTCODE = "postcode"
    WEBSITE = "website"
    DATE = "date"
    """A day that belongs to the record: of birth, of founding."""
    ID = "id"
    """What an authority or another system numbers it by: tax, registration, customer number."""
    NAME = "name"
    """A short text that names something: a region, a title, a product."""
    TEXT = "text"
    """Words whose order does not matter."""
    CATEGORY = "category"
    """One of few values."""
    NONE = "none"
    """Says nothing about who the record is; not compared."""


class Reach(Enum):
    """Which pairs of records a model looks at."""

    ALL = "all"
    ACROSS = "across"
    """Only records of different sources: each source is known to hold nothing twice."""


@dataclass(frozen=True, slots=True)
class MatchModel:
    """How probable duplicates are looked for; what is left out is worked out from the data."""

    name: str = "auto"
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    """Field → meaning; fields not named are told by their name, type and values."""
    blocking: tuple[tuple[str, ...], ...] = ()
    """Fields that must agree for two records to be compared, one entry a rule; empty: chosen from the data."""
    automatic: float | None = None
    """From this probability on, two records are joined without asking; None: set from the data."""
    review: float | None = None
    """From this probability on, a person is asked; None: set from the data."""
    reach: Reach = Reach.ALL
    largest_block: int = 100
    """Records that share a blocking value are compared unless more of them share it."""
    pairs_per_record: int = 20
    """The budget: blocking that would compare more is refused."""


@dataclass(frozen=True, slots=True)
class DedupeRules:
    """How duplicates of an object are found and what survives."""

    keys: tuple[MatchKey, ...]
    survivorship: Mapping[str, Survivorship] = field(default_factory=dict)
    """Field or group → rule; what is not named follows `default`."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)
    """Name → fields that all come from one member (an address)."""
    separators: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Field of a union → what stands between its values; '' when they are a JSON list."""
    customs: Mapping[str, Custom] = field(default_factory=dict, kw_only=True)
    """Field → how its value is made."""
    default: Survivorship = Survivorship.MOST_RECENT
    recency: str = ""
    """Target field that says which row is newer; '' when there is none."""
    trust: tuple[str, ...] = ()
    """Source names, most trusted first."""
    region: str = ""
    """ISO country code for phone numbers without a country prefix; '' leaves such numbers unmatched."""
    max_cluster: int = 50
    """A cluster with more members is not merged: it is reported."""
    identity: tuple[str, ...] = field(default=(), kw_only=True)
    """Fields, such as a tax id, that are never different within one cluster."""
    model: MatchModel | None = None
    """Finds probable duplicates besides those that agree in a key; None: keys only."""


@dataclass(frozen=True, slots=True)
class First:
    """A field that a record is created with as `text`; its own value is set in the second pass."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Amount:
    """A field that holds money; exactly one of `code` and `by` says in which currency."""

    field: str
    code: str = ""
    """ISO 4217 code of all its values; '' when each record has its own."""
    by: str = ""
    """Target field that holds each record's code."""


@dataclass(frozen=True, slots=True)
class Explosion:
    """How one staged row becomes several records: one for each value that a column holds."""

    column: str
    """The staged column that holds them."""
    name: str
    """What the mapping calls the value."""
    split: str = ""
    """What stands between the values; '' when they are a JSON list."""
    parts: tuple[str, ...] = ()
    """Fields of JSON objects, which the mapping calls NAME.FIELD; the first that is filled is the value."""


@dataclass(frozen=True, slots=True)
class MappedSource:
    """One source of a mapped object."""

    name: str
    """The name in the mapping; prefix of `__id`."""
    system: str
    object: str
    key: str
    """The source field that is the record's key, or the first of several; '' when rows are counted."""
    more_keys: tuple[str, ...] = ()
    """Further fields, when one alone does not identify a record."""
    own_key: bool = False
    """Whether the mapping chose the key, so that copies of a record are not those that extract numbered."""
    explode: Explosion | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields that identify a record."""
        return (self.key, *self.more_keys) if self.key else ()

    @property
    def staged(self) -> str:
        """Name of the STAGED and REJECTS datasets it comes from."""
        return f"{self.system}/{self.object}"


@dataclass(frozen=True, slots=True)
class MappedObject:
    """One mapping as later steps see it."""

    name: str
    """The mapping's name: what accounting, explain and quarantine call the object."""
    target_system: str
    target_object: str
    key: str
    """Target field that carries the unique external key."""
    schema: ObjectSchema
    """The target fields that this mapping writes, in order, the key included."""
    sources: tuple[MappedSource, ...]
    links: tuple[Link, ...] = ()
    dedupe: DedupeRules | None = None
    fingerprint: str = ""
    """Of the mapping's definition (value maps and hooks included)."""
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Target field → language (en, zh_CN, zh_TW, ms) → what people call it, where the mapping says so by language."""
    firsts: tuple[First, ...] = ()
    """Fields whose own value is set only after the record was created with another."""
    amounts: tuple[Amount, ...] = ()
    """Money, where the mapping says its currency and the target can know it too."""
    unique: tuple[str, ...] = ()
    """Target fields of which no two records may have the same value, the external key aside."""
    file: str = ""
    """Where the mapping is written, for whoever has to change it."""

    @property
    def fields(self) -> tuple[FieldSchema, ...]:
        """The target fields it writes."""
        return self.schema.fields

    @property
    def pii(self) -> frozenset[str]:
        """Target fields that hold personal data."""
        return frozenset(item.name for item in self.schema.fields if item.pii)

    def label(self, name: str, language: str) -> str:
        """What people call a field in a language; '' when it is called by its name only."""
        found = self.labels.get(name, {})
        schema = self.schema.field(name)
        return found.get(language) or (schema.label if schema is not None else "")

    def link(self, name: str) -> Link | None:
        """The link in field `name`, or None."""
        return next((item for item in self.links if item.field == name), None)
