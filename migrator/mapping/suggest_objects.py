"""Which object of one system is which of another, from their names and from what their fields are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.core.schema import ObjectSchema
from migrator.mapping.suggest_assign import assign
from migrator.mapping.suggest_read import read_object
from migrator.mapping.suggest_words import Lexicon

LEAST = 0.5
"""Confidence from which a pair of objects is proposed."""
_NAME_SHARE = 0.65


@dataclass(frozen=True, slots=True)
class ObjectPair:
    """A source object and the target object it seems to be."""

    source: str
    target: str
    confidence: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    kinds: frozenset[str]
    words: frozenset[str]
    about: frozenset[frozenset[str]]
    """What each of its fields is about."""


def pair_objects(
    lexicon: Lexicon,
    sources: Mapping[str, ObjectSchema],
    targets: Mapping[str, ObjectSchema],
    *,
    least: float = LEAST,
) -> tuple[ObjectPair, ...]:
    """Pairs of objects, each object at most once, the surest first.

    Names and labels weigh two thirds, the share of fields that are about the same things one third: cheap enough for
    hundreds of objects, as no field is held against another.
    """
    mine = {name: _read(lexicon, schema) for name, schema in sources.items()}
    theirs = {name: _read(lexicon, schema) for name, schema in targets.items()}
    found: dict[tuple[str, str], ObjectPair] = {}
    for source, ours in mine.items():
        for target, there in theirs.items():
            confidence, evidence = _score(ours, there)
            if confidence >= least:
                found[source, target] = ObjectPair(source, target, round(confidence, 4), evidence)
    chosen = assign({pair: item.confidence for pair, item in found.items()}) if found else {}
    pairs = [found[source, target] for target, source in chosen.items()]
    return tuple(sorted(pairs, key=lambda pair: (-pair.confidence, pair.source)))


def _read(lexicon: Lexicon, schema: ObjectSchema) -> _Read:
    names = [text for text in (schema.name, schema.label) if text]
    words = {sense for text in names for token in lexicon.read(text) for sense in token.senses}
    about = {item.senses for item in read_object(lexicon, schema).values()}
    return _Read(lexicon.objects(*names), frozenset(words), frozenset(about))


def _score(mine: _Read, theirs: _Read) -> tuple[float, tuple[str, ...]]:
    shared = mine.kinds & theirs.kinds
    named, told = _named(mine, theirs, sorted(shared))
    fields = len(mine.about & theirs.about) / max(min(len(mine.about), len(theirs.about)), 1)
    evidence = (*told, f"{fields:.0%} of the smaller one's fields are about the same")
    return _NAME_SHARE * named + (1 - _NAME_SHARE) * fields, evidence


def _named(mine: _Read, theirs: _Read, shared: Sequence[str]) -> tuple[float, tuple[str, ...]]:
    if shared:
        # 'CampaignMember' is about campaigns, yet it is no campaign: words beside the kind count too.
        likeness = 2 * len(mine.words & theirs.words) / (len(mine.words) + len(theirs.words))
        return likeness, (f"both are called {', '.join(shared)}",)
    if mine.words & theirs.words and not (mine.kinds or theirs.kinds):
        likeness = 2 * len(mine.words & theirs.words) / (len(mine.words) + len(theirs.words))
        return likeness, (f"same words: {' '.join(sorted(mine.words & theirs.words))}",)
    return 0.0, ()
