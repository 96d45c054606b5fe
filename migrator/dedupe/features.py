"""The compared fields made ready for scoring: one row a record, folded texts, and words with the weight of their rarity.

Columns are numbered (`v0`, `k0`, …), never named after fields, so that no name a user chose can stand in SQL of ours:
`vN` the folded value, `kN` its words as numbers whose low byte is the word's weight, `wN` their sum, `dN` its numbers,
`moved` all folded words and texts of the record, so that a value in the wrong field is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from migrator.core.mapped import Meaning, Normaliser
from migrator.dedupe.meaning import FieldMeaning
from migrator.dedupe.normalise import Step, normalised, steps
from migrator.dedupe.unicode import compose
from migrator.staging.engine import Session, quote

FEATURES = "dedupe_features"
_WORD_MASK = (1 << 64) - 256
_IDF_STEPS = 12
"""Weight of a word per bit of its rarity; 20 bits of rarity fill the byte."""


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


@dataclass(frozen=True, slots=True)
class Feature:
    """One compared field: its number names its columns."""

    number: int
    field: str
    meaning: Meaning
    kind: Kind

    @property
    def value(self) -> str:
        """The column of its folded value."""
        return f"v{self.number}"


@dataclass(frozen=True, slots=True)
class KnownWords:
    """The relation of features whose words have weights, and of how many records they were counted."""

    relation: str
    records: int


def choose_features(meanings: Sequence[FieldMeaning]) -> tuple[Feature, ...]:
    """The fields that are compared, in their order."""
    used = [item for item in meanings if item.meaning is not Meaning.NONE]
    return tuple(Feature(n, item.field, item.meaning, KINDS[item.meaning]) for n, item in enumerate(used))


def make_features(
    session: Session,
    relation: str,
    features: Sequence[Feature],
    scratch: Path,
    known: KnownWords | None = None,
) -> str:
    """Make `FEATURES` of the relation's records: `__id`, `__source`, and the columns of each feature.

    Words weigh what they did in `known` features; without, the bits of their rarity in this relation.
    """
    changed = compose(
        session, f"(SELECT {_texts(features)} FROM {relation})", [f"t{f.number}" for f in features],
        "dedupe_composed", scratch / "texts.parquet",
    )  # fmt: skip
    source = (
        _composed(relation, features) if changed else f"(SELECT __id, {_texts(features)} FROM {relation})"
    )
    folded = normalised([(f"t{item.number}", _steps(item.kind)) for item in features], source)
    session.write(folded, scratch / "folded.parquet")
    session.view("dedupe_folded", [scratch / "folded.parquet"])
    texts = [item for item in features if item.kind is Kind.TEXT]
    for item in texts:
        _weigh_words(session, item, known)
    listed = ", ".join(_columns(item) for item in features)
    joins = " ".join(
        f"LEFT JOIN dedupe_words{f.number} x{f.number} ON x{f.number}.value = m.c{f.number}" for f in texts
    )
    movable = [f"m.c{f.number}" for f in features if f.kind in (Kind.WORD, Kind.TEXT)]
    moved = (
        f"list_filter([{', '.join(movable)}], lambda t: length(t) >= 3)"
        if movable
        else "CAST([] AS VARCHAR[])"
    )
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {FEATURES} AS SELECT m.__id, row_number() OVER () ::INTEGER AS n, s.__source, {listed}, {moved} AS moved "
        f"FROM dedupe_folded m JOIN (SELECT __id, __source FROM {relation}) s USING (__id) {joins}"
    )
    for item in texts:
        session.execute(f"DROP TABLE dedupe_words{item.number}")
    session.execute("DROP VIEW dedupe_folded")
    (scratch / "folded.parquet").unlink()
    return FEATURES


def _columns(item: Feature) -> str:
    n = item.number
    if item.kind is not Kind.TEXT:
        return f"m.c{n} AS v{n}"
    return f"m.c{n} AS v{n}, x{n}.k AS k{n}, x{n}.w AS w{n}, x{n}.d AS d{n}"


def _texts(features: Sequence[Feature]) -> str:
    return ", ".join(f"CAST({quote(item.field)} AS VARCHAR) AS t{item.number}" for item in features)


def _composed(relation: str, features: Sequence[Feature]) -> str:
    listed = ", ".join(f"coalesce(u{f.number}.value, t{f.number}) AS t{f.number}" for f in features)
    joins = " ".join(
        f"LEFT JOIN dedupe_composed u{f.number} ON t{f.number} = u{f.number}.raw" for f in features
    )
    return f"(SELECT __id, {listed} FROM (SELECT __id, {_texts(features)} FROM {relation}) {joins})"


def _steps(kind: Kind) -> tuple[Step, ...]:
    name = steps(Normaliser.NAME)
    words, proven = name[:-2], name[-1]
    chains: dict[Kind, tuple[Step, ...]] = {
        Kind.WORD: (*words, proven, _closed),
        Kind.TEXT: (*words, proven),
        Kind.EMAIL: steps(Normaliser.EMAIL),
        Kind.PHONE: (_number,),
        Kind.DATE: (_day,),
        Kind.CODE: (_code,),
        Kind.CATEGORY: (lambda x: f"nullif(lower(trim({x})), '')",),
    }
    return chains[kind]


def _closed(x: str) -> str:
    return f"nullif(replace({x}, ' ', ''), '')"


def _number(x: str) -> str:
    """The last nine digits: what every notation of a telephone number has in common."""
    bare = f"regexp_replace({x}, '(?i)\\s*(?:x|ext|#)[a-z.]*\\s*[0-9]+$', '')"
    digits = f"regexp_replace({bare}, '[^0-9]', '', 'g')"
    return (
        f"CASE WHEN length({digits}) >= 6 AND NOT regexp_full_match({digits}, "
        f"'{'|'.join(f'[0-9]{{0,4}}{d}{{6,}}' for d in range(10))}') THEN right({digits}, 9) END"
    )


def _day(x: str) -> str:
    """Year, month and day as digits; where the year stands last, day and month stay in the order they were written."""
    digits = f"regexp_replace(regexp_replace(trim({x}), '[T ].*$', ''), '[^0-9]', '', 'g')"
    last = f"regexp_full_match(trim({x}), '[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.][0-9]{{4}}.*')"
    parts = f"regexp_split_to_array(trim({x}), '[-/. ]')"
    turned = f"{parts}[3] || lpad({parts}[2], 2, '0') || lpad({parts}[1], 2, '0')"
    return f"CASE WHEN {last} THEN {turned} WHEN length({digits}) >= 6 THEN {digits} END"


def _code(x: str) -> str:
    return f"nullif(regexp_replace(upper({x}), '[^0-9A-Z\\p{{Han}}]', '', 'g'), '')"


def _weigh_words(session: Session, item: Feature, known: KnownWords | None) -> None:
    """Make dedupe_wordsN (value, k, w, d) of the distinct texts of a feature."""
    n = item.number
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_word AS SELECT value, n, unnest(list_distinct({_split('value')})) AS word "
        f"FROM (SELECT c{n} AS value, count(*) AS n FROM dedupe_folded WHERE c{n} IS NOT NULL GROUP BY 1)"
    )
    weighed = _weights_by_rarity() if known is None else _weights_known(item, known)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_words{n} AS WITH {weighed} "
        f"SELECT value, list((hash(word) & {_WORD_MASK}::UBIGINT) | w::UBIGINT ORDER BY word) AS k, sum(w)::DOUBLE AS w, "
        "list(word ORDER BY word) FILTER (WHERE regexp_matches(word, '^[0-9]')) AS d "
        "FROM dedupe_word JOIN weighed USING (word) GROUP BY value"
    )
    session.execute("DROP TABLE dedupe_word")


def _weights_by_rarity() -> str:
    """CTEs down to `weighed` (word, w): the bits of a word's rarity among the relation's records."""
    return (
        "every AS (SELECT count(*) AS n FROM dedupe_folded), "
        "rare AS (SELECT word, sum(w.n) AS n FROM dedupe_word w GROUP BY word), "
        f"weighed AS (SELECT word, {_weight('(SELECT n FROM every) / n')} AS w FROM rare)"
    )


def _weights_known(item: Feature, known: KnownWords) -> str:
    """As `_weights_by_rarity`; a word that nobody had weighs as much as one that a single record has."""
    return (
        "words AS (SELECT DISTINCT word, hash(word) >> 8 AS code FROM dedupe_word), "
        f"held AS (SELECT t >> 8 AS code, max(t & 255) AS w FROM (SELECT unnest(k{item.number}) AS t FROM {known.relation}) "
        "WHERE t >> 8 IN (SELECT code FROM words) GROUP BY code), "
        f"weighed AS (SELECT word, coalesce(held.w, {_weight(f'{known.records:d}')}) AS w "
        "FROM words LEFT JOIN held USING (code))"
    )


def _weight(rarity: str) -> str:
    return f"greatest(1, least(255, round({_IDF_STEPS} * log2({rarity}))))"


def _split(x: str) -> str:
    return f"string_split({x}, ' ')"
