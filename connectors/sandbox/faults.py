"""The fault schedule of a sandbox: which calls go wrong, when and how, read strictly from a YAML file."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Problem, raise_errors


class Do(Enum):
    """What happens to a call."""

    THROTTLE = "429"
    UNAVAILABLE = "503"
    FAIL = "500"
    TIMEOUT_BEFORE = "timeout-before"
    """Nothing is done, nothing is answered for `seconds`; then the connection is dropped."""
    TIMEOUT_AFTER = "timeout-after"
    """It is done, but nothing is answered for `seconds`; then the connection is dropped."""
    RESET = "reset"
    """The connection is dropped at once; nothing is done."""
    RESET_AFTER = "reset-after"
    """It is done; the connection is dropped instead of an answer."""
    HTML = "html-200"
    """A page of HTML with status 200; nothing is done."""
    TRUNCATE = "truncate"
    """It is done; the answer breaks off in its middle."""
    BAD_JSON = "bad-json"
    """It is done; the answer's text is damaged, its length is right."""
    OVERSIZE = "oversize"
    """An answer of `bytes` bytes; nothing is done."""
    REDIRECT = "redirect"
    """To the address `to`; nothing is done."""
    ANSWER = "answer"
    """The text `body` with `status`; nothing is done."""
    REPLAY = "replay"
    """The answer to the first call that matched, again: paging that never ends."""
    SLOW = "slow"
    """It is done after `seconds`."""
    LOCK = "lock"
    """Every record it writes is locked by another transaction."""
    LATE = "late"
    """What it writes is seen by others `seconds` later, under the stamp of now."""
    EXPIRE_TOKEN = "expire-token"  # noqa: S105 (a word of the schedule)
    """All tokens given out so far end before it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the schedule. Of the calls that match, those are hit that `nth`, `every`, `first` and `chance` say."""

    do: Do
    method: str = "*"
    path: str = "*"
    """As in a shell: `*` is any text."""
    nth: tuple[int, ...] = ()
    """These, counted from 1 among those that match."""
    every: int = 0
    """Each so-manieth."""
    first: int = 0
    """The first so many."""
    chance: float = 0.0
    """Each with this probability."""
    seconds: float | None = None
    """How long; for 429 and 503: the Retry-After that is sent."""
    to: str = "http://127.0.0.1:9/elsewhere"
    status: int = 200
    body: str = ""
    bytes: int = 256 * 1024 * 1024

    def matches(self, method: str, path: str) -> bool:
        """Whether a call is meant."""
        return fnmatchcase(method, self.method.upper()) and fnmatchcase(path, self.path)


@dataclass(slots=True)
class Schedule:
    """A fault schedule under way: asked once about every call, in the order of their arrival."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0
    seen: dict[int, int] = field(default_factory=dict)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 (repeatable, not secret)

    def strike(self, method: str, path: str) -> Fault | None:
        """The first fault that hits this call, if any; every one that matches counts it."""
        hit = None
        for number, fault in enumerate(self.faults):
            if fault.matches(method, path):
                self.seen[number] = self.seen.get(number, 0) + 1
                if self._hits(fault, self.seen[number]) and hit is None:
                    hit = fault
        return hit

    def _hits(self, fault: Fault, count: int) -> bool:
        drawn = bool(fault.chance) and self._chance.random() < fault.chance
        every = bool(fault.every) and count % fault.every == 0
        always = not (fault.nth or fault.every or fault.first or fault.chance)
        return always or drawn or every or count in fault.nth or count <= fault.first


def read_schedule(path: Path) -> Schedule:
    """The schedule in a YAML file: `seed` and `faults`; raises `ProjectError` with all problems, each with its place.

    ::

        seed: 7
        faults:
          - {match: {method: POST, path: "*/composite/sobjects"}, nth: [3, 5], do: timeout-after, seconds: 5}
          - {match: {path: "*/query*"}, chance: 0.01, do: 503}
    """
    document = Document.read(path)
    problems: list[Problem] = []
    top = checked(document, (), {"seed": int, "faults": list}, problems)
    faults = [
        _fault(document, ("faults", number), problems) for number in range(len(top.get("faults") or ()))
    ]
    raise_errors(problems)
    return Schedule(tuple(item for item in faults if item), seed=top.get("seed", 0))


_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "match": dict, "nth": (int, list), "every": int, "first": int, "chance": (int, float), "do": (str, int),
    "seconds": (int, float), "to": str, "status": int, "body": str, "bytes": int,
}  # fmt: skip


def _fault(document: Document, place: TreePath, problems: list[Problem]) -> Fault | None:
    raw = checked(document, place, _KEYS, problems)
    match = (
        checked(document, (*place, "match"), {"method": str, "path": str}, problems) if "match" in raw else {}
    )
    word = str(raw.get("do", ""))
    if word not in {item.value for item in Do}:
        where = document.locate((*place, "do"))
        hint = did_you_mean(word, (item.value for item in Do), noun="faults") if word else "write do: 503"
        problems.append(Problem(where, f"unknown fault {word!r}" if word else "'do' is missing", hint))
        return None
    nth = raw.get("nth", ())
    if isinstance(nth, list) and not all(type(item) is int for item in nth):
        problems.append(
            Problem(document.locate((*place, "nth")), "'nth' is one whole number, or a list of them")
        )
    settings = {name: raw[name] for name in raw if name not in {"match", "do", "nth"}}
    return Fault(Do(word), **match, nth=tuple(nth) if isinstance(nth, list | tuple) else (nth,), **settings)


def checked(
    document: Document,
    place: TreePath,
    known: Mapping[str, type | tuple[type, ...]],
    problems: list[Problem],
) -> dict[str, Any]:
    """The mapping at a place, without what is unknown or of another type: those become problems."""
    found: Any = document.data
    for part in place:
        found = found[part]
    if found is None:
        return {}
    if not isinstance(found, dict):
        problems.append(Problem(document.locate(place), "a mapping (key: value) must stand here"))
        return {}
    return dict(_sound(document, place, found, known, problems))


def _sound(
    document: Document,
    place: TreePath,
    found: Mapping[str, Any],
    known: Mapping[str, type | tuple[type, ...]],
    problems: list[Problem],
) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        where = (*place, name)
        if name not in known:
            problems.append(
                Problem(
                    document.locate_key(where),
                    f"unknown key {name!r}",
                    did_you_mean(str(name), known, noun="keys"),
                )
            )
        elif isinstance(value, bool) != (known[name] is bool) or not isinstance(value, known[name]):
            problems.append(Problem(document.locate(where), f"{name!r} cannot be {value!r}"))
        else:
            yield name, value
