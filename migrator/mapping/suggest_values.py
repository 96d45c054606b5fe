"""How far the values of two fields agree, and the value map that follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from migrator.core.schema import FieldSchema, FieldType
from migrator.mapping.suggest_facts import MOST_VALUES, ColumnFacts
from migrator.mapping.suggest_words import Lexicon

CHOICES = frozenset({FieldType.PICKLIST, FieldType.MULTI_PICKLIST})
_FEW = 60
"""A free column with more distinct values than that is no list of choices."""
_ENOUGH = 20
"""Distinct values that two free columns must both have before their overlap says anything."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The share of the source's values that the target knows, 0 to 1, and of how many."""

    share: float
    values: int
    listed: bool
    """Whether the target's values are its value list; else they are values found in its records."""


@dataclass(frozen=True, slots=True)
class SuggestedValues:
    """A value map as far as it can be told, and what is left to a person."""

    entries: tuple[tuple[str, str], ...]
    open: tuple[str, ...]
    """Source values without a counterpart."""

    @property
    def needed(self) -> bool:
        """Whether a value changes its spelling or has no counterpart; else no map is needed."""
        return bool(self.open) or any(old != new for old, new in self.entries)


def plain(text: str) -> str:
    """A value without regard to case, spaces and signs: 'Closed - Won' and 'closed_won' are the same."""
    return re.sub(r"[\W_]+", "", text.casefold())


def choices(field: FieldSchema, facts: ColumnFacts | None) -> tuple[str, ...]:
    """Values that a field offers: its value list, else what its few distinct values are."""
    if field.values:
        return field.values
    if facts is None or not 0 < facts.distinct <= _FEW or field.pii:
        return ()
    repeated = facts.filled >= 2 * facts.distinct  # in free text most values are there once
    return facts.values if repeated or field.type in CHOICES else ()


def overlap(
    source: FieldSchema, seen: ColumnFacts | None, target: FieldSchema, there: ColumnFacts | None
) -> Overlap | None:
    """The overlap of what is known of both; None when it is not enough to tell."""
    old = choices(source, seen)
    if target.values and len(old) >= 2:
        known = set(_meanings(target))
        return Overlap(_share(old, source, known), len(old), listed=True)
    if seen is None or there is None or min(seen.distinct, there.distinct) < _ENOUGH:
        return None
    mine = {plain(value) for value in seen.values}
    share = len(mine & {plain(value) for value in there.values}) / max(len(mine), 1)
    return Overlap(share, min(seen.distinct, MOST_VALUES), listed=False)


def _share(values: Sequence[str], field: FieldSchema, known: set[str]) -> float:
    found = sum(
        1 for value in values if plain(value) in known or plain(field.labels.get(value, value)) in known
    )
    return found / len(values)


def _meanings(field: FieldSchema) -> dict[str, str]:
    """Value or label without regard to its spelling → value; a value comes before another's label."""
    labels = {plain(field.labels[value]): value for value in reversed(field.values) if value in field.labels}
    return labels | {plain(value): value for value in reversed(field.values)}


def suggest_values(
    lexicon: Lexicon, source: FieldSchema, seen: ColumnFacts | None, target: FieldSchema
) -> SuggestedValues | None:
    """A value map into the target's value list: by value, by label, by words that mean the same; None without lists."""
    old = choices(source, seen)
    if not old or not target.values:
        return None
    known = _meanings(target)
    meanings = _by_meaning(lexicon, target)
    entries: list[tuple[str, str]] = []
    left: list[str] = []
    for value in old:
        new = _match(lexicon, value, source.labels, known, meanings)
        if new is None:
            left.append(value)
        else:
            entries.append((value, new))
    return SuggestedValues(tuple(entries), tuple(left))


def _match(
    lexicon: Lexicon,
    value: str,
    labels: Mapping[str, str],
    known: Mapping[str, str],
    meanings: Mapping[frozenset[str], str],
) -> str | None:
    # A code of the source (1, 2, 3) says nothing of a code of the target: only its label does.
    texts = [labels[value]] if value in labels else [value]
    if value in labels and not value.isdigit():
        texts.append(value)
    found = next((known[plain(text)] for text in texts if plain(text) in known), None)
    if found is not None:
        return found
    return next((meanings[key] for text in texts if (key := _senses(lexicon, text)) in meanings), None)


def _by_meaning(lexicon: Lexicon, target: FieldSchema) -> dict[frozenset[str], str]:
    """Meaning → value, where only one value of the list has it."""
    found: dict[frozenset[str], list[str]] = {}
    for value in target.values:
        key = _senses(lexicon, target.labels.get(value, value))
        if key:
            found.setdefault(key, []).append(value)
    return {key: values[0] for key, values in found.items() if len(values) == 1}


def _senses(lexicon: Lexicon, text: str) -> frozenset[str]:
    tokens: Iterable[frozenset[str]] = (token.senses for token in lexicon.read(text) if token.known)
    return frozenset(sense for senses in tokens for sense in senses)
