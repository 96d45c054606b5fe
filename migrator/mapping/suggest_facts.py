"""What a bounded sample of staged rows shows of each column, as far as suggestions need it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.schema import ObjectSchema
from migrator.staging.engine import Session, literal, quote
from migrator.staging.store import Dataset

SAMPLE = 20_000
"""Rows looked at; a suggestion is checked by a person, and a profile of every row costs hours on large objects."""
MOST_VALUES = 200
"""Distinct values kept of a column; of one with more, the most frequent."""
_CHUNK = 16
_LONGEST_VALUE = 80
FORMS: Mapping[str, str] = {
    "e-mail addresses": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "phone numbers": r"[+(]?[0-9][0-9 ()./-]{5,22}[0-9]( ?(x|ext\.?) ?[0-9]{1,6})?",
    "web addresses": r"(https?://\S+|www\.\S+|[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*\.(com|org|net|cn|io|de|uk|my)(/\S*)?)",
    "dates": r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}( .*)?",
    "numbers": r"[+-]?[0-9]{1,15}([.][0-9]+)?",
    "yes or no": r"(?i:true|false|yes|no|y|n|0|1|是|否)",
}
"""Form → pattern that a whole value has; which columns they tell something about is the score's concern."""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column in the sample."""

    rows: int
    filled: int
    """Rows with a value."""
    distinct: int
    longest: int
    """Characters of the longest value."""
    forms: Mapping[str, float] = field(default_factory=dict)
    """Form → share of the values that have it, 0 to 1."""
    values: tuple[str, ...] = ()
    """Distinct values, the most frequent first, at most `MOST_VALUES`; long ones are left out."""

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own, in more than a handful of rows."""
        return self.rows >= 20 and self.distinct == self.filled == self.rows


def look_at(session: Session, dataset: Dataset, schema: ObjectSchema) -> dict[str, ColumnFacts]:
    """Facts of the staged columns of an object, by name, from at most `SAMPLE` of its rows."""
    session.view("suggested", dataset.files, dataset.schema())
    there = set(dataset.schema().names)
    names = [name for name in schema.field_names if name in there]
    return {
        name: facts
        for start in range(0, len(names), _CHUNK)
        for name, facts in _measure(session, names[start : start + _CHUNK])
    }


def _measure(session: Session, names: Sequence[str]) -> Iterator[tuple[str, ColumnFacts]]:
    texts = ", ".join(
        f"nullif(trim(CAST({quote(name)} AS VARCHAR)), '') AS v{at:d}" for at, name in enumerate(names)
    )
    measures = ", ".join(_measures(at) for at in range(len(names)))
    sample = f"(SELECT {texts} FROM (SELECT * FROM suggested LIMIT {SAMPLE:d}))"
    (row,) = session.fetch(f"SELECT count(*) AS n, {measures} FROM {sample}").to_pylist()
    for at, name in enumerate(names):
        forms = {form: row[f"f{at}_{number}"] or 0.0 for number, form in enumerate(FORMS)}
        yield (
            name,
            ColumnFacts(
                rows=row["n"],
                filled=row[f"c{at}"],
                distinct=row[f"d{at}"],
                longest=row[f"l{at}"] or 0,
                forms=forms,
                values=_values(session, name) if row[f"d{at}"] else (),
            ),
        )


def _measures(at: int) -> str:
    forms = (
        f"avg(CASE WHEN regexp_full_match(v{at:d}, {literal(pattern)}) THEN 1.0 ELSE 0.0 END)"
        f" FILTER (v{at:d} IS NOT NULL) AS f{at:d}_{number:d}"
        for number, pattern in enumerate(FORMS.values())
    )
    counts = f"count(v{at:d}) AS c{at:d}, count(DISTINCT v{at:d}) AS d{at:d}, max(length(v{at:d})) AS l{at:d}"
    return ", ".join([counts, *forms])


def _values(session: Session, name: str) -> tuple[str, ...]:
    found = session.fetch(
        f"SELECT v, count(*) AS n FROM (SELECT trim(CAST({quote(name)} AS VARCHAR)) AS v"
        f" FROM (SELECT * FROM suggested LIMIT {SAMPLE:d}))"
        f" WHERE v <> '' AND length(v) <= {_LONGEST_VALUE:d} GROUP BY 1 ORDER BY n DESC, v LIMIT {MOST_VALUES:d}"
    )
    return tuple(found.column("v").to_pylist())
