"""The fields of an object read with the lexicon: what names and labels say, without the object's own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from migrator.core.schema import FieldSchema, ObjectSchema
from migrator.mapping.suggest_facts import ColumnFacts
from migrator.mapping.suggest_words import Lexicon, Token, shared_prefix

_INFORMATIVE = 0.2
"""Weight below which a word says nothing of a field."""


@dataclass(frozen=True, slots=True)
class View:
    """A name or a label as read."""

    text: str
    tokens: tuple[Token, ...]
    senses: frozenset[str]
    informative: bool
    """Whether any of its words is known; an opaque name (`UDF_17`) says nothing."""


@dataclass(frozen=True, slots=True)
class ReadField:
    """A field with what its name and its label say, and what a sample shows of its values."""

    schema: FieldSchema
    views: tuple[View, ...]
    """The name, and the label where it says something else."""
    links: frozenset[str]
    """Concepts of the objects that a reference points to."""
    facts: ColumnFacts | None
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Group → what the field is of it, where its name or label says so without a doubt."""

    @property
    def senses(self) -> frozenset[str]:
        """All concepts of its name and label."""
        return frozenset().union(*(view.senses for view in self.views))


@dataclass(frozen=True, slots=True)
class _Context:
    """What the words of an object's fields are read against."""

    prefix: str
    own: frozenset[str]
    about: frozenset[str]
    """Concepts that any of its fields speaks of."""


def read_object(
    lexicon: Lexicon, schema: ObjectSchema, facts: Mapping[str, ColumnFacts] | None = None
) -> dict[str, ReadField]:
    """The fields of an object by name, read with its own words left out."""
    own = lexicon.objects(schema.name, schema.label)
    prefix = shared_prefix(schema.field_names)
    about = {
        sense
        for item in schema.fields
        for token in lexicon.read(item.name, prefix=prefix)
        for sense in token.senses
    } | {sense for item in schema.fields for token in lexicon.read(item.label) for sense in token.senses}
    return {
        item.name: _read_field(
            lexicon, item, _Context(prefix, own, frozenset(about)), (facts or {}).get(item.name)
        )
        for item in schema.fields
    }


def _read_field(
    lexicon: Lexicon, item: FieldSchema, context: _Context, facts: ColumnFacts | None
) -> ReadField:
    texts = dict.fromkeys(text for text in (item.name, item.label) if text)
    views: dict[tuple[str, ...], View] = {}
    for text in texts:
        tokens = lexicon.settle(lexicon.read(text, prefix=context.prefix, own=context.own), context.about)
        senses = frozenset(sense for token in tokens for sense in token.senses)
        known = any(token.known and token.weight > _INFORMATIVE for token in tokens)
        views.setdefault(tuple(token.text for token in tokens), View(text, tokens, senses, known))
    links = lexicon.objects(*item.references) if item.references else frozenset()
    return ReadField(item, tuple(views.values()), links, facts, _claims(views.values()))


def _claims(views: Iterable[View]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for token in (token for view in views for token in view.tokens if len(token.senses) == 1):
        for group in token.groups:
            found.setdefault(group, set()).update(token.senses)
    return {group: frozenset(senses) for group, senses in found.items()}
