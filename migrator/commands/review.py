"""Deciding pairs by hand: what waits for a person's word, taking it, taking it back; the terminal, the page and files stand on this.

Whoever reviews sees personal values as they are: two records cannot be told apart by masked ones. Listings mask them.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from migrator.commands.binding import selected
from migrator.commands.inspect import looking
from migrator.commands.project import Project, open_workspace
from migrator.commands.target import flat
from migrator.core.errors import FatalError, ProjectError
from migrator.core.mapped import Judgement, MappedObject, Same
from migrator.core.mask import mask
from migrator.core.review import Asked
from migrator.dedupe.judged import Judged, against, together
from migrator.dedupe.queue import Pair, find_pairs
from migrator.staging import match_decisions as decided
from migrator.staging.ledger import Ledger
from migrator.staging.match_decisions import MatchDecision, Way
from migrator.staging.store import Kind


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Who decides, and where."""

    who: str
    way: Way


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pairs asked for, and how many more there are."""

    pairs: tuple[Pair, ...]
    waiting: Mapping[str, int]
    """Mapping → pairs that nobody decided, those in `pairs` included."""
    gone: Mapping[str, int]
    """Mapping → pairs of records that were mapped away since; `migrator dedupe` looks again."""
    objects: Mapping[str, MappedObject]

    def to_json(self, *, unmask: bool) -> dict[str, Any]:
        """For `--json`."""
        return {
            "waiting": dict(self.waiting),
            "gone": dict(self.gone),
            "pairs": [_shown(pair, self.objects[pair.mapping], unmask=unmask) for pair in self.pairs],
        }


def _shown(pair: Pair, mapped: MappedObject, *, unmask: bool) -> dict[str, Any]:
    def value(name: str, text: str | None) -> str | None:
        return mask(text) if text and name in mapped.pii and not unmask else text

    return {
        "object": pair.mapping,
        "one": pair.one,
        "other": pair.other,
        "weight": pair.weight,
        "probability": pair.probability,
        "band": pair.band,
        "rules": list(pair.rules),
        "parts": [{"field": step.field, "level": step.level, "bits": step.bits} for step in pair.steps],
        "fields": [
            {
                "field": item.field,
                "one": value(item.field, item.one),
                "other": value(item.field, item.other),
                "difference": item.difference.value,
            }
            for item in pair.fields
        ],
    }


Words: TypeAlias = Mapping[tuple[str, str, str], MatchDecision]
"""(mapping, one, other) → the last word on it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of a mapping's pairs, and what follows from it for others."""

    words: Words
    judgements: tuple[Judgement, ...]
    together: Judged

    @classmethod
    def of(cls, words: Words) -> Said:
        """Of the last words on its pairs."""
        said = tuple(Judgement(item.one, item.other, item.verdict) for item in words.values() if item.verdict)
        return cls(words, said, together(said))

    def verdict(self, pair: Pair) -> Same | None:
        """What holds of a pair: the word on it, else what follows by way of other pairs."""
        word = self.words.get(_key(pair))
        return word.verdict if word else self.together.says(pair.one, pair.other)


Standing: TypeAlias = Mapping[str, Said]
"""Mapping → what was said of it."""


@dataclass(frozen=True, slots=True)
class _Undo:
    number: int
    word: MatchDecision
    before: MatchDecision | None


class Review:
    """One sitting of one reviewer over some pairs; every word is in the ledger as soon as it is said.

    Another reviewer's word on a pair is seen when the pair is looked at.
    """

    def __init__(self, ledger: Ledger, waiting: Waiting, reviewer: Reviewer) -> None:
        self.found = waiting
        self.reviewer = reviewer
        self._ledger = ledger
        self._done: list[_Undo] = []
        self._known: tuple[int, Standing] = (-1, {})
        standing = self._all()
        self._first = [self._verdict(pair, standing) for pair in self.pairs]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """What this sitting is about."""
        return self.found.pairs

    def said(self, number: int) -> MatchDecision | None:
        """The last word on a pair, whoever said it; None when there is none."""
        pair = self.pairs[number]
        return self._all()[pair.mapping].words.get(_key(pair))

    def decide(self, number: int, verdict: Same, why: str = "") -> tuple[Judgement, ...]:
        """Put a word on record; returns other judgements that contradict it, () when none does.

        It stands all the same; `dedupe` refuses to work until one of them is taken back.
        """
        pair = self.pairs[number]
        before = self.said(number)
        word = self._record(pair, verdict, why)
        self._done.append(_Undo(number, word, before))
        return self.conflict(number)

    def undo(self) -> int | None:
        """Take this sitting's last word back, by saying again what stood before; the pair's number, None when there is none.

        What somebody else has said of the pair meanwhile stands.
        """
        if not self._done:
            return None
        last = self._done.pop()
        if self.said(last.number) == last.word:
            before = last.before
            why = f"undone: as {before.who} said {before.why}".rstrip() if before else "undone"
            self._record(self.pairs[last.number], before.verdict if before else None, why)
        return last.number

    def conflict(self, number: int) -> tuple[Judgement, ...]:
        """Other judgements that contradict the last word on a pair; () when none does, or there is no word."""
        pair, said = self.pairs[number], self.said(number)
        if said is None or said.verdict is None:
            return ()
        return against(self._all()[pair.mapping].judgements, Judgement(pair.one, pair.other, said.verdict))

    def counts(self) -> dict[Same | None, int]:
        """How many of the pairs have each verdict; None: those that are open."""
        standing = self._all()
        words = [
            None if self._is_open(number, standing) else self._verdict(pair, standing)
            for number, pair in enumerate(self.pairs)
        ]
        return {verdict: words.count(verdict) for verdict in (*Same, None)}

    def next_open(self, after: int) -> int | None:
        """The first open pair behind `after`, else the first of all; None when none is open."""
        standing = self._all()
        found = [number for number in range(len(self.pairs)) if self._is_open(number, standing)]
        return next((number for number in found if number > after), found[0] if found else None)

    def _is_open(self, number: int, standing: Standing) -> bool:
        """Whether nothing was said of it, nor follows, since the sitting began: pairs left as unsure are open too."""
        unsaid = self._verdict(self.pairs[number], standing) is self._first[number]
        return unsaid and all(item.number != number for item in self._done)

    @property
    def can_undo(self) -> bool:
        """Whether this sitting has a word to take back."""
        return bool(self._done)

    def _all(self) -> Standing:
        """What is said now; read again only when somebody said more."""
        newest = decided.newest(self._ledger)
        if newest != self._known[0]:
            said = {
                name: decided.standing(decided.decisions(self._ledger, name)) for name in self.found.waiting
            }
            self._known = (newest, {name: Said.of(words) for name, words in said.items()})
        return self._known[1]

    @staticmethod
    def _verdict(pair: Pair, standing: Standing) -> Same | None:
        return standing[pair.mapping].verdict(pair)

    def _record(self, pair: Pair, verdict: Same | None, why: str) -> MatchDecision:
        who, way = self.reviewer.who, self.reviewer.way
        word = MatchDecision(pair.mapping, pair.one, pair.other, verdict, who, why, way, pair.weight)
        return decided.record(self._ledger, [word])[0]


def _key(pair: Pair) -> tuple[str, str, str]:
    return pair.mapping, pair.one, pair.other


def someone(who: str) -> str:
    """Who decides: as given, else the environment's user; raises `ProjectError` when nobody is named."""
    if who.strip():
        return who.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:  # it is not the same on every system and version
        raise ProjectError.at(
            "--who", "nobody is named", "a decision is worth as much as the name under it"
        ) from error


def waiting_pairs(project: Project, objects: Sequence[str], asked: Asked) -> Waiting:
    """The pairs of these mappings (of all for ()) that wait for a person's word, at most `asked.limit` in all.

    Raises `FatalError` when none of them has pairs, because `dedupe` has not run.
    """
    with looking(project) as (workspace, session, bound):
        known = flat(selected(bound, objects))
        scored = [item for item in known if workspace.store.current(Kind.PAIRS, item.name) is not None]
        if not scored or (objects and len(scored) < len(known)):
            without = next(item.name for item in known if item not in scored)
            raise FatalError(f"there are no pairs of {without!r} yet", hint="run: migrator dedupe")
        queues = {
            item.name: find_pairs(
                workspace.store, session, item, asked, decided.judgements(workspace.ledger, item.name)
            )
            for item in scored
        }
    pairs = tuple(pair for queue in queues.values() for pair in queue.pairs)[: asked.limit]
    return Waiting(
        pairs,
        {name: queue.waiting for name, queue in queues.items()},
        {name: queue.gone for name, queue in queues.items() if queue.gone},
        {item.name: item for item in scored},
    )


@contextmanager
def reviewing(project: Project, objects: Sequence[str], asked: Asked, reviewer: Reviewer) -> Iterator[Review]:
    """A sitting over the pairs asked for; only the ledger stays open."""
    waiting = waiting_pairs(project, objects, asked)
    with open_workspace(project) as workspace:
        yield Review(workspace.ledger, waiting, reviewer)
