"""A mapping proposed for two objects: for each target field the column that fits best, how sure, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.suggest_assign import assign
from migrator.mapping.suggest_facts import ColumnFacts
from migrator.mapping.suggest_read import ReadField, read_object
from migrator.mapping.suggest_score import Scored, score
from migrator.mapping.suggest_values import CHOICES, SuggestedValues, suggest_values
from migrator.mapping.suggest_words import Lexicon

THRESHOLD = 0.6
"""Confidence from which a line is proposed; set on the benchmark (tests/bench/suggest.py)."""
_WORTH_TELLING = 0.3
"""Below that, a candidate is not even shown."""
_CLOSE = 0.05
"""A second candidate so near to the first is a question for a person."""
_SHOWN = 3
_KEYS = frozenset({"external id"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source column as a candidate for a field."""

    column: FieldSchema
    confidence: float
    evidence: tuple[str, ...]
    doubt: str = ""
    """What a person should ask before believing it."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is proposed for one target field."""

    target: FieldSchema
    chosen: Candidate | None
    """The column proposed; None when nothing reaches the threshold."""
    others: tuple[Candidate, ...]
    """What came next, best first; without a proposal, what came nearest to one."""
    question: str = ""
    """What a person must decide; empty when nothing."""
    values: SuggestedValues | None = None
    parts: tuple[str, ...] = ()
    """Columns that could be put together to make it, where no single one fits: a full name of first and last name."""

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """All candidates told, the best first."""
        return ((self.chosen,) if self.chosen else ()) + self.others


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposed mapping of one source object to one target object."""

    source: ObjectSchema
    target: ObjectSchema
    threshold: float
    key: FieldSchema | None
    """The target field that is to carry the external key."""
    lines: tuple[Line, ...]
    """In the target's order, without its key and the fields that cannot be written."""
    unused: tuple[FieldSchema, ...]
    """Source columns that go nowhere yet."""
    left_out: tuple[FieldSchema, ...] = ()
    """Fields that are read-only, or that no mapping can name."""
    facts: Mapping[str, ColumnFacts] = field(default_factory=dict)
    """Of the source's columns, where data was there to look at."""

    @property
    def chosen(self) -> dict[str, str]:
        """Target field → source column, as proposed."""
        return {line.target.name: line.chosen.column.name for line in self.lines if line.chosen}

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Required target fields for which nothing is proposed."""
        return tuple(line.target.name for line in self.lines if line.target.required and not line.chosen)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "source": self.source.name,
            "target": self.target.name,
            "threshold": self.threshold,
            "key": self.key.name if self.key else None,
            "lines": [_line_to_json(line) for line in self.lines],
            "unused_columns": [item.name for item in self.unused],
            "fields_left_out": [item.name for item in self.left_out],
            "required_without_a_source": list(self.uncovered),
        }


def _line_to_json(line: Line) -> dict[str, Any]:
    values = None
    if line.values is not None and line.values.needed:
        values = {"map": dict(line.values.entries), "open": list(line.values.open)}
    return {
        "target": line.target.name,
        "required": line.target.required,
        "source": line.chosen.column.name if line.chosen else None,
        "confidence": line.chosen.confidence if line.chosen else None,
        "evidence": list(line.chosen.evidence) if line.chosen else [],
        "question": line.question or None,
        "parts": list(line.parts),
        "values": values,
        "others": [
            {"source": item.column.name, "confidence": item.confidence, "evidence": list(item.evidence)}
            for item in line.others
        ],
    }


def suggest(
    lexicon: Lexicon,
    source: ObjectSchema,
    target: ObjectSchema,
    *,
    seen: Mapping[str, ColumnFacts] | None = None,
    there: Mapping[str, ColumnFacts] | None = None,
    threshold: float = THRESHOLD,
) -> Suggestion:
    """Propose a mapping of `source` to `target`; `seen` and `there` are facts of their staged columns, where known.

    Each column goes to at most one field. Keys are left out on both sides: the target's is filled with the record id.
    """
    mine, theirs = read_object(lexicon, source, seen), read_object(lexicon, target, there)
    given = [item for item in mine.values() if item.schema.name != source.key]
    wanted = [item for item in theirs.values() if _writable(item.schema)]
    scores = _scores(given, wanted)
    key = _key(target, theirs, {name for (_, name), found in scores.items() if found.confidence >= threshold})
    wanted = [item for item in wanted if item.schema is not key]
    scores = {pair: found for pair, found in scores.items() if key is None or pair[1] != key.name}
    pairs = {pair: found.confidence for pair, found in scores.items() if found.confidence >= threshold}
    chosen = assign(pairs) if pairs else {}
    lines = tuple(_line(lexicon, item, mine, scores, chosen.get(item.schema.name)) for item in wanted)
    used = set(chosen.values())
    return Suggestion(
        source,
        target,
        threshold,
        key,
        lines,
        tuple(item.schema for item in given if item.schema.name not in used),
        tuple(
            item.schema for item in theirs.values() if not _writable(item.schema) and item.schema is not key
        ),
        seen or {},
    )


def _scores(given: Iterable[ReadField], wanted: Sequence[ReadField]) -> dict[tuple[str, str], Scored]:
    found: dict[tuple[str, str], Scored] = {}
    for column in given:
        for item in wanted:
            scored = score(column, item)
            if scored.confidence >= _WORTH_TELLING:
                found[column.schema.name, item.schema.name] = scored
    return found


def _line(
    lexicon: Lexicon,
    item: ReadField,
    mine: Mapping[str, ReadField],
    scores: Mapping[tuple[str, str], Scored],
    chosen: str | None,
) -> Line:
    name = item.schema.name
    ranked = sorted(
        (
            Candidate(mine[column].schema, found.confidence, found.evidence, found.doubt)
            for (column, target), found in scores.items()
            if target == name
        ),
        key=lambda candidate: -candidate.confidence,
    )
    best = next((candidate for candidate in ranked if candidate.column.name == chosen), None)
    others = tuple(candidate for candidate in ranked if candidate is not best)[:_SHOWN]
    if best is None:
        return Line(item.schema, None, others, parts=_parts(item, mine))
    values = None
    if item.schema.type in CHOICES:
        values = suggest_values(lexicon, best.column, mine[best.column.name].facts, item.schema)
    return Line(item.schema, best, others, _question(best, others, values), values)


def _parts(item: ReadField, mine: Mapping[str, ReadField]) -> tuple[str, ...]:
    """The columns of first and last name, for a field that is a name and nothing else."""
    if item.senses != {"name"}:
        return ()
    found = [
        [
            column.schema.name
            for column in mine.values()
            if part in column.senses and "phonetic" not in column.senses
        ]
        for part in ("first name", "last name")
    ]
    return tuple(names[0] for names in found) if all(len(names) == 1 for names in found) else ()


def _question(best: Candidate, others: Sequence[Candidate], values: SuggestedValues | None) -> str:
    near = [item.column.name for item in others if item.confidence > best.confidence - _CLOSE]
    asked = [best.doubt] if best.doubt else []
    if near:
        asked.append(f"or is it {' or '.join(near)}?")
    if values is not None and values.open:
        asked.append(f"which values are {', '.join(repr(value) for value in values.open[:8])}?")
    return " ".join(asked)


def _key(
    target: ObjectSchema, fields: Mapping[str, ReadField], fitting: Collection[str]
) -> FieldSchema | None:
    """The field for the external key: one made for that, else the target's own key where it can be written.

    Else a unique text that no column is `fitting` for; else the target's own key, about which a person must be asked.
    """
    texts = [item for item in fields.values() if _writable(item.schema) and _is_text(item.schema)]
    made = [item for item in texts if not item.senses.isdisjoint(_KEYS)]
    chosen = next((item for item in made if item.schema.unique), made[0] if made else None)
    if chosen is not None:
        return chosen.schema
    own = target.field(target.key)
    if own is not None and _writable(own):
        return own
    free = (item.schema for item in texts if item.schema.unique and item.schema.name not in fitting)
    return next(free, own)


def _writable(item: FieldSchema) -> bool:
    """Whether a mapping may name the field: names that begin with '__' are the tool's own."""
    return not item.read_only and not item.name.startswith("__") and bool(item.name.strip())


def _is_text(item: FieldSchema) -> bool:
    return item.type in (FieldType.STRING, FieldType.TEXT, FieldType.ID)
