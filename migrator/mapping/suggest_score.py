"""How well a source column fits a target field: names, labels, types, links, values and profile, each with its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.core.schema import FieldType
from migrator.mapping.suggest_facts import ColumnFacts
from migrator.mapping.suggest_read import ReadField, View
from migrator.mapping.suggest_values import Overlap, overlap
from migrator.mapping.suggest_words import Token

CONTRADICTION = 0.35
"""What is left of a likeness when both sides name different things of one kind: phone and fax, created and modified."""
OTHER_LINK = 0.35
_ALMOST = 0.97
"""Names that mean the same and are written otherwise."""
_NEAR = 85.0
_HOLDS = 0.9
"""Share of values that must have a form before the column is said to hold such values."""
FORM_CONCEPTS: Mapping[str, frozenset[str]] = {
    "e-mail addresses": frozenset({"email"}),
    "phone numbers": frozenset({"phone", "mobile", "fax", "pager"}),
    "web addresses": frozenset({"website"}),
}


@dataclass(frozen=True, slots=True)
class Scored:
    """How well a column fits: 0 to 1, and why, in words."""

    confidence: float
    evidence: tuple[str, ...]
    doubt: str = ""
    """What a person should ask before believing it; empty when nothing."""


def score(source: ReadField, target: ReadField) -> Scored:
    """How well the column `source` fits the field `target`.

    The likeness of names is weighed down by what speaks against it (types, links, values), and each further sign in
    favour takes a share of what is missing to certainty; so no single sign decides but the name, and none adds beyond 1.
    """
    likeness, words = _likeness(source, target)
    if not likeness and source.links.isdisjoint(target.links):
        return Scored(0.0, ())
    found, evidence = likeness, list(words)
    values = overlap(source.schema, source.facts, target.schema, target.facts)
    for factor, text in (_type(source, target), *_against(source, target, values)):
        found *= factor
        evidence.extend([text] if text else [])
    for share, text in _in_favour(source, target, values):
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
    telling = [view for view in source.views if view.informative] or source.views
    best: tuple[float, list[str]] = (0.0, [])
    heights: list[float] = []
    for theirs in target.views:
        rivals = [
            (*compare(mine, theirs), mine) for mine in telling if mine.informative == theirs.informative
        ]
        if not rivals:
            continue
        likeness, matches, mine = max(rivals, key=lambda rival: rival[0])
        heights.append(likeness)
        if likeness > best[0]:
            best = likeness, _told(likeness, matches, mine, theirs)
    if not best[0]:
        return best
    return 0.75 * best[0] + 0.25 * sum(heights) / len(heights), best[1]


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


def _forms_of(target: ReadField) -> list[str]:
    """Forms that the values of a field of text should have, from what it is about: an e-mail, not an e-mail opt-out."""
    if _FAMILY.get(target.schema.type) != _TEXT:
        return []
    return [form for form, concepts in FORM_CONCEPTS.items() if not concepts.isdisjoint(target.senses)]


def _against(source: ReadField, target: ReadField, values: Overlap | None) -> list[tuple[float, str]]:
    """Factors below 1 with what speaks against the pair."""
    found: list[tuple[float, str]] = []
    for group in sorted(source.claims.keys() & target.claims.keys()):
        mine, theirs = source.claims[group], target.claims[group]
        if mine.isdisjoint(theirs):
            found.append((CONTRADICTION, f"{_some(mine)} is not {_some(theirs)}"))
    if source.links and target.links and source.links.isdisjoint(target.links):
        found.append((OTHER_LINK, f"links to {_some(source.links)}, not to {_some(target.links)}"))
    facts = source.facts
    if facts is not None and facts.filled >= 10:
        shares = ((form, facts.forms.get(form, 0.0)) for form in _forms_of(target))
        found += [
            (0.6, f"only {share:.0%} of the values are {form}") for form, share in shares if share < 0.3
        ]
    if values is not None and values.listed and values.values >= 3 and values.share == 0:
        found.append((0.85, "none of the values is in the target's value list"))
    if facts is not None and target.schema.length and facts.longest > target.schema.length:
        found.append((0.97, f"values of {facts.longest:,} characters, room for {target.schema.length:,}"))
    return found


def _in_favour(source: ReadField, target: ReadField, values: Overlap | None) -> list[tuple[float, str]]:
    """Shares of what is missing to certainty, with what speaks for the pair."""
    found: list[tuple[float, str]] = []
    shared = source.links & target.links
    if shared:
        found.append((0.35, f"both link to {_some(shared)}"))
    facts = source.facts
    if values is not None and values.share >= 0.25:
        where = "in the target's value list" if values.listed else "found in the target"
        found.append((0.6 * values.share, f"{values.share:.0%} of {values.values} values are {where}"))
    if facts is not None:
        held = (form for form in _forms_of(target) if facts.forms.get(form, 0.0) >= _HOLDS)
        found += [(0.25, f"values are {form}") for form in held]
    there = target.facts
    if (facts is not None and facts.unique) and (
        target.schema.unique or (there is not None and there.unique)
    ):
        found.append((0.1, "both unique"))
    return found


def _some(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
