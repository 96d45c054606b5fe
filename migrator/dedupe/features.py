"""The compared fields made ready for scoring: one row a record, folded texts, and words with the weight of their rarity.

Columns are numbered (`v0`, `k0`, …), never named after fields, so that no name a user chose can stand in SQL of ours:
`vN` the folded value, `kN` its words, rarest first, as numbers whose low byte is the word's weight, `wN` their sum, `dN` its numbers,
`aN` a name taken apart (see `taken_apart`); and `n`, the record's number here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from migrator.core.mapped import Meaning, Normaliser
from migrator.dedupe.meaning import FieldMeaning
from migrator.dedupe.normalise import Step, chained, steps
from migrator.dedupe.rarity import KnownWords, weigh_texts
from migrator.dedupe.reading import Reading, make_readings, reading_of
from migrator.dedupe.taken_apart import Told, take_apart
from migrator.staging.engine import Session, quote

FEATURES = "dedupe_features"
_RAW = "dedupe_raw"
_CHINESE = 0.005
"""Share of Chinese names in a field from which on records are looked for across scripts."""


class Kind(Enum):
    """How two values of a field are compared."""

    WORD = "word"
    TEXT = "text"
    CODE = "code"
    DATE = "date"
    PHONE = "phone"
    EMAIL = "email"
    CATEGORY = "category"


KINDS: dict[Meaning, Kind] = {
    Meaning.PERSON: Kind.TEXT,
    Meaning.GIVEN: Kind.WORD,
    Meaning.FAMILY: Kind.WORD,
    Meaning.COMPANY: Kind.TEXT,
    Meaning.EMAIL: Kind.EMAIL,
    Meaning.PHONE: Kind.PHONE,
    Meaning.ADDRESS: Kind.TEXT,
    Meaning.CITY: Kind.WORD,
    Meaning.POSTCODE: Kind.CODE,
    Meaning.WEBSITE: Kind.WORD,
    Meaning.DATE: Kind.DATE,
    Meaning.ID: Kind.CODE,
    Meaning.NAME: Kind.WORD,
    Meaning.TEXT: Kind.TEXT,
    Meaning.CATEGORY: Kind.CATEGORY,
}
_WORDED = (Kind.WORD, Kind.TEXT)
"""Kinds that are read in every script."""
_READ_ONCE = (*_WORDED, Kind.CATEGORY, Kind.DATE)
"""Kinds of which many records have the same value, so that each is read once."""
_TOLD = {
    Meaning.PERSON: Told.PERSON,
    Meaning.GIVEN: Told.PERSON,
    Meaning.FAMILY: Told.PERSON,
    Meaning.COMPANY: Told.COMPANY,
}
"""What is taken apart, and as what."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One compared field: its number names its columns."""

    number: int
    field: str
    meaning: Meaning
    kind: Kind
    apart: int | None = None
    """Number of the column that holds it taken apart; a given name and its surname are one name. None: it is not."""
    scripts: bool = False
    """Whether it is written in several scripts, so that records are looked for by how names sound."""

    @property
    def value(self) -> str:
        """The column of its folded value."""
        return f"v{self.number}"

    @property
    def told(self) -> Told:
        """What it is taken apart as; only where `apart` names a column."""
        return _TOLD[self.meaning]


@dataclass(frozen=True, slots=True)
class Name:
    """A name that is taken apart: its number, and the features that make it, in their order."""

    number: int
    told: Told
    parts: tuple[Feature, ...]

    @property
    def table(self) -> str:
        """The table of its distinct texts taken apart."""
        return f"dedupe_apart{self.number}"


def choose_features(meanings: Sequence[FieldMeaning]) -> tuple[Feature, ...]:
    """The fields that are compared, in their order."""
    used = [item for item in meanings if item.meaning is not Meaning.NONE]
    chinese = any(item.profile.looks["han"] >= _CHINESE for item in used if item.meaning in _TOLD)
    surname = next((n for n, item in enumerate(used) if item.meaning is Meaning.FAMILY), None)
    return tuple(
        Feature(n, item.field, item.meaning, KINDS[item.meaning], apart, apart == n and chinese)
        for n, item in enumerate(used)
        for apart in (_apart(n, item.meaning, surname),)
    )


def _apart(number: int, meaning: Meaning, surname: int | None) -> int | None:
    if meaning in (Meaning.GIVEN, Meaning.FAMILY):
        return surname
    return number if meaning in _TOLD else None


def naming(features: Sequence[Feature]) -> frozenset[int]:
    """Numbers of the features that are the record's own name: a person's, or else a company's."""
    return naming_persons(features) or frozenset(
        item.number for item in features if item.meaning is Meaning.COMPANY
    )


def naming_persons(features: Sequence[Feature]) -> frozenset[int]:
    """Numbers of the features that name the person whom a record is about."""
    persons = (Meaning.PERSON, Meaning.GIVEN, Meaning.FAMILY)
    return frozenset(item.number for item in features if item.meaning in persons)


def make_features(
    session: Session,
    relation: str,
    features: Sequence[Feature],
    scratch: Path,
    known: KnownWords | None = None,
) -> None:
    """Make `FEATURES` of the relation's records: `__id`, `__source`, `n` and the columns of each feature.

    Words weigh what is `known`; without, the bits of their rarity in this relation, which tables of `weighed_words` keep.
    """
    listed = ", ".join(f"CAST({quote(item.field)} AS VARCHAR) AS t{item.number}" for item in features)
    session.execute(f"CREATE OR REPLACE TEMP VIEW {_RAW} AS SELECT __id, __source, {listed} FROM {relation}")
    read = [item for item in features if item.kind in _READ_ONCE]
    make_readings(
        session, [Reading(item.number, item.kind in _WORDED, _steps(item)) for item in read], scratch
    )
    weigh_texts(session, [item.number for item in features if item.kind is Kind.TEXT], _RAW, known)
    names = _names(features)
    for name in names:
        take_apart(session, _distinct(name), name.told, name.table, scratch / "names.parquet")
    _join(session, features, names)
    for table in (*(reading_of(item.number) for item in read), *(name.table for name in names)):
        session.execute(f"DROP TABLE {table}")
    session.execute(f"DROP VIEW {_RAW}")


def _names(features: Sequence[Feature]) -> tuple[Name, ...]:
    numbers = sorted({item.apart for item in features if item.apart is not None})
    return tuple(_name(features, number) for number in numbers)


def _name(features: Sequence[Feature], number: int) -> Name:
    """The surname first, then given names: so they read right in every script."""
    parts = [item for item in features if item.apart == number]
    parts.sort(key=lambda item: (item.meaning is not Meaning.FAMILY, item.number))
    return Name(number, parts[0].told, tuple(parts))


def _raw(name: Name) -> str:
    surname, *given = (f"d{item.number}.text" for item in name.parts)
    if not given:
        return surname
    # a name that stands in one of the fields alone is read as it is written
    return f"nullif(concat_ws(', ', {surname}, nullif(concat_ws(' ', {', '.join(given)}), '')), '')"


def _distinct(name: Name) -> str:
    """A query of the distinct texts of a name."""
    listed = ", ".join(f"t{item.number}" for item in name.parts)
    joins = " ".join(_reading_join(item) for item in name.parts)
    return (
        f"SELECT DISTINCT {_raw(name)} FROM (SELECT DISTINCT {listed} FROM {_RAW}) m {joins} "
        f"WHERE {_raw(name)} IS NOT NULL"
    )


def _reading_join(item: Feature) -> str:
    return f"LEFT JOIN {reading_of(item.number)} d{item.number} ON m.t{item.number} = d{item.number}.raw"


def _join(session: Session, features: Sequence[Feature], names: Sequence[Name]) -> None:
    joins = [_reading_join(item) for item in features if item.kind in _READ_ONCE]
    joins += [f"LEFT JOIN {r.table} r{r.number} ON r{r.number}.raw = {_raw(r)}" for r in names]
    columns = [column for item in features for column in _columns(item)]
    columns += [f"r{r.number}.value AS a{r.number}" for r in names]
    direct = {f"t{item.number}": _steps(item) for item in features if item.kind not in _READ_ONCE}
    kept = ["__id", "n", "__source", *(f"t{item.number}" for item in features if item.kind in _READ_ONCE)]
    # numbered before anything is joined: behind a join the engine holds all rows, as wide as they are, to number them
    numbered = f"(SELECT *, row_number() OVER ()::INTEGER AS n FROM {_RAW})"
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {FEATURES} AS SELECT m.__id, m.n, m.__source, "
        f"{', '.join(columns)} FROM ({chained(direct, kept, numbered)}) m {' '.join(joins)}"
    )


def texts_of(features: Sequence[Feature], side: str) -> str:
    """SQL of all folded words and texts of one `side` of a pair, so that a value in the wrong field is seen."""
    texts = [f"{side}.{item.value}" for item in features if item.kind in _WORDED]
    return (
        f"list_filter([{', '.join(texts)}], lambda t: length(t) >= 3)" if texts else "CAST([] AS VARCHAR[])"
    )


def _columns(item: Feature) -> Iterator[str]:
    n = item.number
    if item.kind not in _READ_ONCE:
        yield f"m.t{n} AS v{n}"
        return
    yield f"d{n}.value AS v{n}"
    if item.kind is Kind.TEXT:
        yield from (f"d{n}.{letter} AS {letter}{n}" for letter in "kwd")


def _steps(item: Feature) -> tuple[Step, ...]:
    name, company = steps(Normaliser.NAME), steps(Normaliser.COMPANY)
    # the order of words is notation in a name, and says something in an address
    texts = {Meaning.COMPANY: (*company[:-2], company[-1]), Meaning.ADDRESS: (*name[:-2], name[-1])}
    chains: dict[Kind, tuple[Step, ...]] = {
        Kind.WORD: (*name[:-2], name[-1], _closed),
        Kind.TEXT: texts.get(item.meaning, name),
        Kind.EMAIL: steps(Normaliser.EMAIL),
        Kind.PHONE: (_number,),
        Kind.DATE: (_day,),
        Kind.CODE: (_code,),
        Kind.CATEGORY: (lambda x: f"nullif(lower(trim({x})), '')",),
    }
    return chains[item.kind]


def _closed(x: str) -> str:
    return f"nullif(replace({x}, ' ', ''), '')"


def _number(x: str) -> str:
    """The last nine digits: what every notation of a telephone number has in common; null for one digit over and over."""
    bare = f"regexp_replace({x}, '(?i)\\s*(?:x|ext|#)[a-z.]*\\s*[0-9]+$', '')"
    digits = f"regexp_replace({bare}, '[^0-9]', '', 'g')"
    one_digit = "|".join(f"[0-9]{{0,4}}{digit}{{6,}}" for digit in range(10))
    return f"CASE WHEN length({digits}) >= 6 AND NOT regexp_full_match({digits}, '{one_digit}') THEN right({digits}, 9) END"


def _day(x: str) -> str:
    """Year, month and day as digits; where the year stands last, day and month stay in the order they were written."""
    digits = f"regexp_replace(regexp_replace(trim({x}), '[T ].*$', ''), '[^0-9]', '', 'g')"
    last = f"regexp_full_match(trim({x}), '[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.][0-9]{{4}}.*')"
    parts = f"regexp_split_to_array(trim({x}), '[-/. ]')"
    turned = f"{parts}[3] || lpad({parts}[2], 2, '0') || lpad({parts}[1], 2, '0')"
    return f"CASE WHEN {last} THEN {turned} WHEN length({digits}) >= 6 THEN {digits} END"


def _code(x: str) -> str:
    return f"nullif(regexp_replace(upper({x}), '[^0-9A-Z\\p{{Han}}]', '', 'g'), '')"
