"""Values that too many names have: a switchboard, a placeholder, an office's own number; they tell nobody from anybody.

They are found before anything is learnt, left out of what is compared, and told in the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.core.mapped import Meaning
from migrator.core.mask import mask
from migrator.dedupe.features import FEATURES, Feature
from migrator.staging.engine import Session

MOST_NAMES = 10
"""Different names on one value from which on it is no key: more than a household, a couple's children, and slips in them."""
_SHOWN = 5
_KEYS = (Meaning.PHONE, Meaning.EMAIL, Meaning.ID)
_NAMES = (Meaning.GIVEN, Meaning.PERSON, Meaning.COMPANY)
"""What tells names apart, the best first; members of a family have one surname."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What was left out of one field: the values (hashed), how many records had them, and some of them masked."""

    field: str
    values: tuple[int, ...]
    records: int
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """For the report."""
        told = {"field": self.field, "values": len(self.values), "records": self.records}
        return {**told, "examples": list(self.examples)}


def drop_shared(session: Session, features: Sequence[Feature]) -> tuple[Shared, ...]:
    """Empty in `FEATURES` what more than `MOST_NAMES` names share; returns what it was, by field."""
    name = next((item for meaning in _NAMES for item in features if item.meaning is meaning), None)
    if name is None:
        return ()
    found = tuple(_found(session, features, name))
    drop_values(session, features, {item.field: item.values for item in found})
    return found


def drop_values(session: Session, features: Sequence[Feature], values: Mapping[str, Sequence[int]]) -> None:
    """Empty in `FEATURES` the values with these hashes, by field."""
    for item in features:
        if values.get(item.field):
            listed = ", ".join(f"{value:d}" for value in values[item.field])
            session.execute(
                f"UPDATE {FEATURES} SET {item.value} = NULL WHERE hash({item.value}) IN ({listed})"
            )


def _found(session: Session, features: Sequence[Feature], name: Feature) -> Iterator[Shared]:
    for item in features:
        if item.meaning not in _KEYS:
            continue
        v, most = item.value, MOST_NAMES
        many = f"SELECT {v} FROM {FEATURES} WHERE {v} IS NOT NULL GROUP BY {v} HAVING count(*) > {most:d}"
        rows = session.fetch(
            f"SELECT {v} AS value, hash({v}) AS hashed, count(*) AS n FROM {FEATURES} SEMI JOIN ({many}) USING ({v}) "
            f"GROUP BY {v} HAVING count(DISTINCT {name.value}) > {most:d} ORDER BY n DESC, value"
        ).to_pylist()
        if rows:
            yield Shared(
                item.field,
                tuple(sorted(row["hashed"] for row in rows)),
                sum(row["n"] for row in rows),
                tuple(mask(row["value"]) for row in rows[:_SHOWN]),
            )
