"""How well a source column fits a target field: names, labels, types, links, values and profile, each with its words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.suggest_facts import ColumnFacts
from migrator.mapping.suggest_values import overlap
from migrator.mapping.suggest_words import Lexicon, Token, shared_prefix

CONTRADICTION = 0.35
"""What is left of a likeness when both sides name different things of one kind: phone and fax, created and modified."""
OTHER_LINK = 0.35
_ALMOST = 0.97
"""Names that mean the same and are written otherwise."""
_NEAR = 85.0
_INFORMATIVE = 0.2
_HOLDS = 0.9
"""Share of values that must have a form before the column is said to hold such values."""
FORM_CONCEPTS: Mapping[str, frozenset[str]] = {
    "e-mail addresses": frozenset({"email"}),
    "phone numbers": frozenset({"phone", "mobile", "fax", "pager"}),
    "web addresses": frozenset({"website"}),
}


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
class Scored:
    """How well a column fits: 0 to 1, and why, in words."""

    confidence: float
    evidence: tuple[str, ...]
    doubt: str = ""
    """What a person should ask before believing it; empty when nothing."""


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


def score(source: ReadField, target: ReadField) -> Scored:
    """How well the column `source` fits the field `target`.

    The likeness of names is weighed down by what speaks against it (types, links, values), and each further sign in
    favour takes a share of what is missing to certainty; so no single sign decides but the name, and none adds beyond 1.
    """
    likeness, words = _likeness(source, target)
    if not likeness and source.links.isdisjoint(target.links):
        return Scored(0.0, ())
    found, evidence = likeness, list(words)
    for factor, text in (_type(source, target), *_against(source, target)):
        found *= factor
        evidence.extend([text] if text else [])
    for share, text in _in_favour(source, target):
        found += (1 - found) * share
        evidence.append(text)
    return Scored(round(min(found, 1.0), 4), tuple(evidence), _doubt(source, target))


def _doubt(source: ReadField, target: ReadField) -> str:
    """A planned amount may be the amount, or not: names do not tell."""
    mine, theirs = source.claims.get(_PLAN), target.claims.get(_PLAN)
    said = mine or theirs
    return (
        f"only one of the two says {_some(said)}: is it the same?" if said and not (mine and theirs) else ""
    )


_PLAN = "plan"
"""The group of what is estimated, budgeted or actual."""


def _likeness(source: ReadField, target: ReadField) -> tuple[float, list[str]]:
    """Likeness of names and labels: mostly the best pair, somewhat the mean of those that say anything."""
    pairs = [
        (*compare(mine, theirs), mine, theirs)
        for mine in source.views
        for theirs in target.views
        if mine.informative == theirs.informative
    ]
    if not pairs:
        return 0.0, []
    best, matches, mine, theirs = max(pairs, key=lambda pair: pair[0])
    if not best:
        return 0.0, []
    mean = sum(
        max(pair[0] for pair in pairs if pair[3] is view) for view in {id(p[3]): p[3] for p in pairs}.values()
    )
    count = len({id(pair[3]) for pair in pairs})
    return 0.75 * best + 0.25 * mean / count, _told(best, matches, mine, theirs)


def _told(best: float, matches: Sequence[tuple[Token, Token]], mine: View, theirs: View) -> list[str]:
    if best == 1.0:
        same = mine.text == theirs.text
        return [
            f"same name {mine.text}" if same else f"same name after normalising: {mine.text} = {theirs.text}"
        ]
    told = [
        f"synonym: {a.text} ~ {b.text}"
        for a, b in matches
        if a.text != b.text and min(a.weight, b.weight) > 0.15
    ]
    same_words = [a.text for a, b in matches if a.text == b.text and a.weight > 0.15]
    if same_words:
        told.insert(0, f"same words: {' '.join(same_words)}")
    return told or [f"similar name: {mine.text} ~ {theirs.text}"]


def compare(mine: View, theirs: View) -> tuple[float, list[tuple[Token, Token]]]:
    """The likeness of two names, 0 to 1, and the words that stand for each other."""
    if mine.informative and mine.senses.isdisjoint(theirs.senses) and not _unknown_both(mine, theirs):
        return 0.0, []
    left, matches, matched = list(theirs.tokens), [], 0.0
    alone: list[Token] = []
    for token in mine.tokens:
        other = _partner(token, left)
        if other is None:
            alone.append(token)
            continue
        left.remove(other)
        matches.append((token, other))
        matched += max(token.weight, other.weight)
    if not matched:
        return 0.0, []
    missing = sum(token.weight for token in (*alone, *left))
    likeness = 2 * matched / (2 * matched + missing)
    if any(_contradict(a, b) for a in alone for b in left):
        likeness *= CONTRADICTION
    exact = [token.text for token in mine.tokens] == [token.text for token in theirs.tokens]
    return (likeness if exact else min(likeness, _ALMOST) * _ALMOST_EXACT), matches


_ALMOST_EXACT = 0.985
"""Other words for the same are a little less sure than the same words, so that these win where both are there."""


def _unknown_both(mine: View, theirs: View) -> bool:
    return any(not token.known for token in mine.tokens) and any(not token.known for token in theirs.tokens)


def _partner(token: Token, others: Sequence[Token]) -> Token | None:
    """The word that says the same: literally, by a shared meaning, or (unknown words) by nearly the same letters."""
    same = next((other for other in others if other.text == token.text), None)
    if same is not None:
        return same
    shared = next((other for other in others if not token.senses.isdisjoint(other.senses)), None)
    if shared is not None or token.known:
        return shared
    from rapidfuzz import fuzz

    return next(
        (other for other in others if not other.known and fuzz.ratio(token.text, other.text) >= _NEAR), None
    )


def _contradict(a: Token, b: Token) -> bool:
    """Whether two words exclude each other; where both are without a doubt, the whole field's claims decide."""
    doubtful = len(a.senses) > 1 or len(b.senses) > 1
    return doubtful and not a.groups.isdisjoint(b.groups)


_TEXT, _CHOICE, _NUMBER = "text", "choice", "number"
_FAMILY: Mapping[FieldType, str] = {
    FieldType.STRING: _TEXT, FieldType.TEXT: _TEXT, FieldType.JSON: _TEXT,
    FieldType.PICKLIST: _CHOICE, FieldType.MULTI_PICKLIST: _CHOICE,
    FieldType.INTEGER: _NUMBER, FieldType.DECIMAL: _NUMBER, FieldType.FLOAT: _NUMBER,
}  # fmt: skip
_FACTORS: Mapping[tuple[str, str], float] = {
    (_TEXT, _CHOICE): 0.93, (_CHOICE, _TEXT): 0.92, (_TEXT, _NUMBER): 0.75, (_NUMBER, _TEXT): 0.8,
    (_TEXT, "boolean"): 0.7, ("boolean", _TEXT): 0.7, ("boolean", _CHOICE): 0.75, (_CHOICE, "boolean"): 0.7,
    (_TEXT, "date"): 0.75, (_TEXT, "datetime"): 0.75, ("date", _TEXT): 0.75, ("datetime", _TEXT): 0.75,
    ("date", "datetime"): 0.96, ("datetime", "date"): 0.93,
    (_TEXT, "reference"): 0.58, ("reference", _TEXT): 0.55, (_CHOICE, "reference"): 0.65, ("reference", _CHOICE): 0.65,
    ("id", _TEXT): 0.7, (_TEXT, "id"): 0.7, ("id", "reference"): 0.6, ("reference", "id"): 0.5,
    (_NUMBER, _CHOICE): 0.7, (_CHOICE, _NUMBER): 0.6, ("boolean", _NUMBER): 0.5, (_NUMBER, "boolean"): 0.5,
}  # fmt: skip
"""What is left of a likeness when types differ: text of an export may be anything, a link is no number. Others: 0.3."""


def _type(source: ReadField, target: ReadField) -> tuple[float, str]:
    mine, theirs = source.schema.type, target.schema.type
    ours, there = _FAMILY.get(mine, mine.value), _FAMILY.get(theirs, theirs.value)
    if ours == there:
        return 1.0, f"type {mine.value} = {theirs.value}" if mine is theirs else ""
    factor = _FACTORS.get((ours, there), 0.3)
    # Exports hold everything as text: the values decide.
    if ours == _TEXT and source.facts is not None and _fits_type(source.facts, there):
        return 1.0, f"values fit the type {theirs.value}"
    return factor, f"types differ: {mine.value} into {theirs.value}"


_TYPE_FORMS = {"date": "dates", "datetime": "dates", "number": "numbers", "boolean": "yes or no"}


def _fits_type(facts: ColumnFacts, family: str) -> bool:
    return facts.filled > 0 and facts.forms.get(_TYPE_FORMS.get(family, ""), 0.0) >= _HOLDS


def _against(source: ReadField, target: ReadField) -> list[tuple[float, str]]:
    """Factors below 1 with what speaks against the pair."""
    found: list[tuple[float, str]] = []
    for group in source.claims.keys() & target.claims.keys():
        mine, theirs = source.claims[group], target.claims[group]
        if mine.isdisjoint(theirs):
            found.append((CONTRADICTION, f"{_some(mine)} is not {_some(theirs)}"))
    if source.links and target.links and source.links.isdisjoint(target.links):
        found.append((OTHER_LINK, f"links to {_some(source.links)}, not to {_some(target.links)}"))
    facts = source.facts
    for form, concepts in FORM_CONCEPTS.items() if facts is not None and facts.filled >= 10 else ():
        share = facts.forms.get(form, 0.0) if facts is not None else 0.0
        if not concepts.isdisjoint(target.senses) and share < 0.3:
            found.append((0.6, f"only {share:.0%} of the values are {form}"))
    values = overlap(source.schema, facts, target.schema, target.facts)
    if values is not None and values.listed and values.values >= 3 and values.share == 0:
        found.append((0.85, "none of the values is in the target's value list"))
    if facts is not None and target.schema.length and facts.longest > target.schema.length:
        found.append((0.97, f"values of {facts.longest:,} characters, room for {target.schema.length:,}"))
    return found


def _in_favour(source: ReadField, target: ReadField) -> list[tuple[float, str]]:
    """Shares of what is missing to certainty, with what speaks for the pair."""
    found: list[tuple[float, str]] = []
    shared = source.links & target.links
    if shared:
        found.append((0.35, f"both link to {_some(shared)}"))
    facts = source.facts
    values = overlap(source.schema, facts, target.schema, target.facts)
    if values is not None and values.share >= 0.25:
        where = "in the target's value list" if values.listed else "found in the target"
        found.append((0.6 * values.share, f"{values.share:.0%} of {values.values} values are {where}"))
    for form, concepts in FORM_CONCEPTS.items():
        if (
            facts is not None
            and facts.forms.get(form, 0.0) >= _HOLDS
            and not concepts.isdisjoint(target.senses)
        ):
            found.append((0.25, f"values are {form}"))
    there = target.facts
    if (facts is not None and facts.unique) and (
        target.schema.unique or (there is not None and there.unique)
    ):
        found.append((0.1, "both unique"))
    return found


def _some(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
