"""What is wrong with a runbook as it is written: everything that can be told without looking at any system.

Each finding has a code, so that a test can break one thing and see it refused by name:

====  =====================================================  ====  ===============================================
R01   a step before the point of no return without rollback  R09   the worst case does not fit the window
R02   rollback names a step that is not under undo            R10   fewer approvers than needed, or none where two are
R03   rollback says "nothing", but the command writes         R11   a form states a fact that only the tool computes
R04   steps stand out of the order of the phases              R12   a step of P5 to P8 has no limit
R05   a phase is skipped                                      R13   two points of no return
R06   a step stands in a phase that was not entered           R14   evidence outside the evidence folder
R07   an id stands twice                                      R15   the switch without an answer on the way back
R08   owner or backup unknown, or one and the same            R16   P5 to P8 without an abort trigger
R17   an unknown group, or groups that wait for one another   R18   no steps
R19   a manual step without form or instructions              R20   a message to nobody
R21   a wave points to records of one that does not come first  R22   a mapping that is not there (both: `waves`)
====  =====================================================  ====  ===============================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from migrator.core.document import did_you_mean
from migrator.core.errors import Problem, ProjectError, Severity
from migrator.core.phases import CUTOVER, Phase
from migrator.runbook.durations import spoken
from migrator.runbook.facts import CATALOGUE, Kind
from migrator.runbook.mistakes import call_of, mistake, worst_seconds
from migrator.runbook.order import check_groups, check_order, check_ways_back
from migrator.runbook.parse import Runbook
from migrator.runbook.verbs import MANUAL, Call

TWO_PEOPLE = (Phase.P8, Phase.P10, Phase.P11)
"""Phases whose entry takes two people."""

_ANSWERS = {
    "text": Kind.WORD, "number": Kind.NUMBER, "yes_no": Kind.FLAG, "time": Kind.DURATION, "file": None
}  # fmt: skip
"""Type of an answer → the kind of fact that it can be."""


def check_runbook(book: Runbook, rehearsed: Mapping[str, float] | None = None) -> list[Problem]:
    """Every problem of a runbook, warnings included; `rehearsed` has the worst seconds that a step ever took, by id."""
    calls, problems = _calls(book)
    problems += [
        *_ids(book), *check_groups(book), *check_order(book, calls), *check_ways_back(book, calls), *_approvals(book, calls), *_forms(book),
        *_limits(book), *_evidence(book), *_triggers(book, calls), *_window(book, rehearsed or {}), *_messages(book),
    ]  # fmt: skip
    return sorted(dict.fromkeys(problems), key=lambda item: item.location)


def _calls(book: Runbook) -> tuple[dict[str, Call], list[Problem]]:
    calls: dict[str, Call] = {}
    problems: list[Problem] = []
    for placed in (*book.steps, *book.undo.values()):
        try:
            found = call_of(book, placed)
        except ProjectError as error:
            problems.extend(error.problems)
            continue
        if found is not None:
            calls[placed.id] = found
    return calls, problems


def _ids(book: Runbook) -> Iterator[Problem]:
    if not book.steps:
        yield Problem(
            book.at("steps"),
            "R18 a runbook without steps does nothing",
            "write at least one step",
            code="R18",
        )
    counts = Counter(step.id for step in (*book.rule.steps, *book.rule.undo))
    for placed in (*book.steps, *book.undo.values()):
        rule = placed.rule
        if counts[rule.id] > 1:
            yield mistake(book, "R07", placed, "id", "this id stands twice", "an id names one step for good")
        for key, role in (("owner", rule.owner), ("backup_owner", rule.backup_owner)):
            if role not in book.rule.roles:
                hint = did_you_mean(role, book.rule.roles, noun="roles")
                yield mistake(book, "R08", placed, key, f"there is no role {role!r}", hint)
        if rule.owner == rule.backup_owner:
            yield mistake(book, "R08", placed, "backup_owner", "the backup is the owner", "name another role")


def _approvals(book: Runbook, calls: Mapping[str, Call]) -> Iterator[Problem]:
    for placed in book.steps:
        approvals, call = placed.step.approvals, calls.get(placed.id)
        entering = call.enters if call else None
        if entering in TWO_PEOPLE and (approvals is None or approvals.need < 2):
            assert entering is not None  # noqa: S101 (mypy)
            yield mistake(
                book,
                "R10",
                placed,
                "approvals",
                f"entering {entering.value} takes two people",
                "approvals: {need: 2, of: […]}",
            )
        if approvals is None:
            continue
        if approvals.need > len(set(approvals.of)):
            yield mistake(
                book,
                "R10",
                placed,
                "approvals",
                f"{approvals.need} of {len(set(approvals.of))} can never approve",
                "name more roles, or need fewer",
            )
        for role in approvals.of:
            if role not in book.rule.roles:
                yield mistake(
                    book,
                    "R08",
                    placed,
                    "approvals",
                    f"there is no role {role!r}",
                    did_you_mean(role, book.rule.roles, noun="roles"),
                )


def _forms(book: Runbook) -> Iterator[Problem]:
    for placed in (*book.steps, *book.undo.values()):
        rule = placed.rule
        if rule.command == MANUAL and not rule.form and not rule.instructions:
            yield mistake(
                book, "R19", placed, "", "a person does not learn what to do", "write instructions, or a form"
            )
        for name in rule.form:
            fact = CATALOGUE.get(name)
            if fact is not None and fact.kind is not _ANSWERS[rule.form[name].type]:
                yield mistake(
                    book,
                    "R11",
                    placed,
                    "form",
                    f"{name} is a {fact.kind.value}, its type here is {rule.form[name].type}",
                    "number, time, yes_no, or text for a word",
                )
            if fact is not None and not fact.said:
                yield mistake(
                    book,
                    "R11",
                    placed,
                    "form",
                    f"{name} is computed by the tool, nobody can state it",
                    "ask for something else",
                )
            if fact is None and "." in name:
                yield mistake(
                    book,
                    "R11",
                    placed,
                    "form",
                    f"there is no fact {name!r}",
                    did_you_mean(name, CATALOGUE, noun="facts"),
                )


def _limits(book: Runbook) -> Iterator[Problem]:
    for placed in book.steps:
        if placed.step.phase in CUTOVER and placed.rule.limit is None:
            yield mistake(
                book,
                "R12",
                placed,
                "",
                "it has no limit",
                "from P5 to P8 everything ends by itself: limit: 30m",
            )


def _evidence(book: Runbook) -> Iterator[Problem]:
    for placed in (*book.steps, *book.undo.values()):
        evidence = placed.rule.evidence
        path = PurePosixPath(evidence.file if evidence else "x")
        if path.is_absolute() or ".." in path.parts or "\\" in str(path) or len(path.parts) != 1:
            yield mistake(
                book,
                "R14",
                placed,
                "evidence",
                f"{path} does not stay in the evidence folder",
                "give a file name",
            )


def _triggers(book: Runbook, calls: Mapping[str, Call]) -> Iterator[Problem]:
    entered = {call.enters: placed for placed in book.steps if (call := calls.get(placed.id)) is not None}
    switch = entered.get(Phase.P8)
    if switch is not None and book.rule.fall_back is None:
        yield Problem(
            book.at(),
            "R15 whether a way back is wanted after the switch is not said",
            "fall_back: yes (or no)",
            code="R15",
        )
    steps = [placed for placed in book.steps if placed.step.phase in CUTOVER]
    if steps and not book.rule.abort_if:
        yield Problem(
            book.at(),
            "R16 nothing says when the evening is broken off",
            "abort_if: [unexplained > 0]",
            code="R16",
        )


def _window(book: Runbook, rehearsed: Mapping[str, float]) -> Iterator[Problem]:
    worst = evening(book, rehearsed)
    length = book.rule.window.seconds
    if length is not None and worst > length:
        yield Problem(
            book.at("window"), f"R09 the worst case takes {spoken(worst)}, the window has {spoken(length)}",
            "a longer window, or faster steps; rehearse what changed", code="R09",
        )  # fmt: skip
    if length is None and worst:
        yield Problem(
            book.at(), "R09 a cutover needs a window", "window: {length: 8h}, or start and end", code="R09"
        )
    unnamed = [name for name, role in book.rule.roles.items() if not (role.owner and role.backup)]
    if unnamed:
        yield Problem(
            book.at("roles"), f"nobody is named yet for: {', '.join(unnamed)}", "name owner and backup before it is run",
            Severity.WARNING, "unnamed",
        )  # fmt: skip


def evening(book: Runbook, rehearsed: Mapping[str, float]) -> float:
    """The worst case from the freeze to the switch, in seconds, of the group that takes longest: what must fit the window."""
    return max(
        (
            sum(
                worst_seconds(placed, rehearsed)
                for placed in book.steps
                if placed.step.phase in CUTOVER and group in book.groups_of(placed)
            )
            for group in book.rule.groups
        ),
        default=0.0,
    )


def _messages(book: Runbook) -> Iterator[Problem]:
    for placed in (*book.steps, *book.undo.values()):
        message = placed.rule.communication
        for name in message.to if message else ():
            if name not in book.rule.recipients:
                hint = (
                    did_you_mean(name, book.rule.recipients, noun="recipients")
                    or "name them under recipients"
                )
                yield mistake(book, "R20", placed, "communication", f"nobody is called {name!r}", hint)
