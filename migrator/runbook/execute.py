"""Doing one step: a verb of the tool, a program of the user's, a person with a form, or waiting; and keeping the evidence."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from migrator.core.clock import Clock
from migrator.core.errors import DataError, FatalError, MigratorError
from migrator.runbook.durations import spoken
from migrator.runbook.expression import evaluate
from migrator.runbook.facts import CATALOGUE, Facts, Value
from migrator.runbook.mistakes import call_of
from migrator.runbook.model import External, Wait, WaitFor
from migrator.runbook.parse import Placed, Runbook
from migrator.runbook.verbs import MANUAL, Call


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to: facts it establishes, and what is kept as evidence."""

    facts: Mapping[str, Value] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    """Who answered, for a manual step."""


class Interrupted(MigratorError):
    """A step did not come to its end: a limit passed, or a reason to break off came up while it waited."""

    exit_code = 5


class Asker(Protocol):
    """Asks a person."""

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """Who answered, and the answers by field; raises `SafetyStop` when nobody is there to be asked."""
        ...


Doing = Callable[[Call, Sequence[str]], Outcome]
"""A verb: its call and the groups it is about in, what came of it out; raises `MigratorError`."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What steps are done with."""

    verbs: Mapping[str, Doing]
    asker: Asker
    clock: Clock
    folder: Path
    """Where programs of the user's run."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a step that waits looks at."""

    facts: Callable[[], Facts]
    """The facts as they are now."""
    check: Callable[[], None]
    """Raises `Interrupted` when there is reason to break off."""


def execute(book: Runbook, placed: Placed, groups: Sequence[str], hands: Hands, watch: Watch) -> Outcome:
    """Do one step; raises `Interrupted` when it is broken off and what its command raises when that fails."""
    match placed.rule.command:
        case External(external=words):
            return _program(words, placed, hands.folder)
        case Wait(wait=seconds):
            return _wait(seconds, hands.clock, watch)
        case WaitFor() as waiting:
            return _wait_for(waiting, placed, groups, hands.clock, watch)
        case str():
            call = call_of(book, placed)
            if call is None or call.verb.name == MANUAL:
                return _person(placed, hands.asker)
            return hands.verbs[call.verb.name](call, groups)


def _person(placed: Placed, asker: Asker) -> Outcome:
    by, values = asker.answers(placed)
    facts = {name: value for name, value in values.items() if name in CATALOGUE}
    files = {name: str(values[name]) for name, item in placed.rule.form.items() if item.type == "file"}
    hashes = {name: _hashed(Path(path)) for name, path in files.items()}
    return Outcome(facts, {"answered_by": by, "answers": dict(values), "sha256": hashes}, by)


def _hashed(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="name a file that is there") from error


def _program(words: Sequence[str], placed: Placed, folder: Path) -> Outcome:
    try:
        done = subprocess.run(  # noqa: S603 (the user's own runbook names it; no shell is in between)
            list(words), cwd=folder, capture_output=True, text=True, errors="replace", check=False,
            timeout=placed.rule.limit, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Interrupted(f"{words[0]} did not end within {spoken(placed.rule.limit or 0)}") from error
    except OSError as error:
        raise FatalError(
            f"cannot start {words[0]}: {error.strerror}", hint="is it installed here?"
        ) from error
    if done.returncode:
        raise DataError(
            f"{words[0]} ended with {done.returncode}: {done.stderr.strip()[-500:] or done.stdout.strip()[-500:]}",
            hint="mend what it tells, then resume",
        )
    return Outcome(_stated(done.stdout), {"program": list(words), "output": done.stdout[-10_000:]})


def _stated(output: str) -> dict[str, Value]:
    """The facts that the last line of a program's output states: only such as a person could state too."""
    last = output.strip().rpartition("\n")[2]
    try:
        found = json.loads(last).get("facts", {}) if last.startswith("{") else {}
    except ValueError:
        return {}
    wrong = [name for name in found if name not in CATALOGUE or not CATALOGUE[name].said]
    if wrong:
        raise DataError(
            f"the program states {', '.join(sorted(wrong))}, which only the tool can know",
            hint="docs/runbooks.md lists the facts that may be stated",
        )
    return dict(found)


def _wait(seconds: float, clock: Clock, watch: Watch) -> Outcome:
    end = clock.monotonic() + seconds
    while (left := end - clock.monotonic()) > 0:
        watch.check()
        clock.sleep(min(left, 30.0))
    return Outcome(document={"waited": seconds})


def _wait_for(waiting: WaitFor, placed: Placed, groups: Sequence[str], clock: Clock, watch: Watch) -> Outcome:
    began = clock.monotonic()
    while True:
        watch.check()
        now = watch.facts()
        found = [evaluate(waiting.wait_for.condition, now, group) for group in groups]
        if all(item.holds for item in found):
            return Outcome(
                document={"waited_for": waiting.wait_for.text, "seconds": clock.monotonic() - began}
            )
        limit = placed.rule.limit
        if limit is not None and clock.monotonic() - began >= limit:
            told = "; ".join(item.told for item in found)
            raise Interrupted(f"{waiting.wait_for.text} did not come to hold within {spoken(limit)}: {told}")
        clock.sleep(waiting.every)


def keep_evidence(placed: Placed, folder: Path, document: Mapping[str, Any]) -> dict[str, str]:
    """Keep what a step came to as proof, and return its file and SHA-256; empty when the step declares no evidence.

    Raises `FatalError` when it cannot be written.
    """
    if placed.rule.evidence is None:
        return {}
    path = folder / f"{placed.group + '-' if placed.group else ''}{placed.rule.evidence.file}"
    text = json.dumps(dict(document), ensure_ascii=False, indent=1, default=str) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FatalError(
            f"cannot keep evidence in {folder}: {error.strerror}", hint="is the disk full?"
        ) from error
    return {"file": path.name, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def evidence_problem(placed: Placed, kept: Mapping[str, str], folder: Path, age: float) -> str:
    """Why the evidence of a step that is done proves nothing any more; '' when it does, or none was asked for."""
    wanted = placed.rule.evidence
    if wanted is None:
        return ""
    if wanted.max_age is not None and age > wanted.max_age:
        return f"the evidence of {placed.id} is {spoken(age)} old, at most {spoken(wanted.max_age)}"
    path = folder / kept.get("file", "")
    if not kept or not path.is_file():
        return f"the evidence of {placed.id} is gone ({path})"
    if hashlib.sha256(path.read_bytes()).hexdigest() != kept["sha256"]:
        return f"the evidence of {placed.id} was changed since ({path})"
    return ""
