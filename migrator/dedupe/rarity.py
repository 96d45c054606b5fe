"""What the words of texts weigh: the bits of their rarity, which travel with each word in the low byte of its number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from migrator.dedupe.reading import reading_of
from migrator.staging.engine import Session, row_count

OTHER_WORDS = "dedupe_other_words"
"""The function of the words that one text has and another lacks, as far as several records have them; `weigh_texts` makes it."""
RARITY_STEPS = 12
"""Weight of a word per bit of its rarity; 20 bits of rarity fill the byte."""
_WORD_MASK = (1 << 64) - 256
_ESTABLISHED = 4
"""Records that have a word from which on it is no slip: where two names differ in two such words, they are two names."""


@dataclass(frozen=True, slots=True)
class KnownWords:
    """The relation (feature, words, key, weight) of what words weigh, and of how many records they were counted."""

    relation: str
    records: int


def weigh_texts(session: Session, numbers: Iterable[int], relation: str, known: KnownWords | None) -> None:
    """Add to the readings of the features of these `numbers` what their words weigh, by the records of `relation` or as `known`.

    Columns added: k, w and d (see `features`). Leaves the tables of `weighed_words`, and the function `OTHER_WORDS`.
    """
    records = known.records if known else row_count(session, relation)
    for number in numbers:
        _weigh_words(session, number, known, records)
    session.execute(
        f"CREATE OR REPLACE TEMP MACRO {OTHER_WORDS}(a, b) AS list_filter(a, lambda t: "
        f"(t & 255) <= {_weight(f'{max(records, 1):d} / {_ESTABLISHED:d}')} AND NOT list_contains(b, t))"
    )


def _weigh_words(session: Session, number: int, known: KnownWords | None, records: int) -> None:
    """Add to the reading of a feature's texts the columns k, w and d of their words."""
    table = reading_of(number)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE dedupe_word AS SELECT value, n, unnest(list_distinct({_words('value')})) AS word "
        f"FROM (SELECT value, sum(n) AS n FROM {table} WHERE value IS NOT NULL GROUP BY 1)"
    )
    weighed = _weights_by_rarity(records) if known is None else _weights_known(number, known)
    session.execute(f"CREATE OR REPLACE TEMP TABLE {weighed_words(number)} AS {weighed}")
    session.execute(
        "CREATE OR REPLACE TEMP TABLE dedupe_worded AS WITH words AS ("
        f"SELECT value, list((hash(word) & {_WORD_MASK}::UBIGINT) | w::UBIGINT ORDER BY w DESC, word) AS k, sum(w)::DOUBLE AS w, "
        "list(word ORDER BY word) FILTER (WHERE regexp_matches(word, '^[0-9]')) AS d "
        f"FROM dedupe_word JOIN {weighed_words(number)} USING (word) GROUP BY value) SELECT * FROM {table} LEFT JOIN words USING (value)"
    )
    for name in (table, "dedupe_word"):
        session.execute(f"DROP TABLE {name}")
    session.execute(f"ALTER TABLE dedupe_worded RENAME TO {table}")


def weighed_words(number: int) -> str:
    """The table (word, w) of what the words of the feature of that number weigh."""
    return f"dedupe_weighed{number}"


def drop_words(session: Session, numbers: Iterable[int]) -> None:
    """Give back the tables of `weighed_words`."""
    for number in numbers:
        session.execute(f"DROP TABLE IF EXISTS {weighed_words(number)}")


def _weights_by_rarity(records: int) -> str:
    """A query (word, w): the bits of a word's rarity among the relation's `records`."""
    return (
        "WITH rare AS (SELECT word, sum(w.n) AS n FROM dedupe_word w GROUP BY word) "
        f"SELECT word, {_weight(f'{records:d} / n')} AS w FROM rare"
    )


def _weights_known(number: int, known: KnownWords) -> str:
    """As `_weights_by_rarity`; a word that nobody had weighs as much as one that a single record has."""
    return (
        f"SELECT word, coalesce(held.weight, {rarest(known.records)}) AS w "
        "FROM (SELECT DISTINCT word, hash(word) >> 8 AS key FROM dedupe_word) LEFT JOIN "
        f"(SELECT key, weight FROM {known.relation} WHERE feature = {number:d} AND words) held USING (key)"
    )


def rarest(records: int) -> str:
    """SQL of what a word weighs that one of so many records has."""
    return _weight(f"{records:d}")


def _weight(rarity: str) -> str:
    return f"greatest(1, least(255, round({RARITY_STEPS} * log2({rarity}))))"


def _words(x: str) -> str:
    """SQL of the words of a text; a run of Chinese characters gives its pairs of neighbours."""
    pairs = "list_transform(range(1, length(t)), lambda i: substr(t, i, 2))"
    parted = f"flatten(list_transform(string_split({x}, ' '), lambda t: CASE WHEN length(t) > 2 AND regexp_matches(t, '^\\p{{Han}}') THEN {pairs} ELSE [t] END))"
    return f"CASE WHEN strlen({x}) = length({x}) THEN string_split({x}, ' ') ELSE {parted} END"
