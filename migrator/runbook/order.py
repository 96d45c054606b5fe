"""Whether the steps of a runbook stand in an order that can be gone, forwards and, before the point of no return, back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from migrator.core.document import did_you_mean
from migrator.core.errors import Problem
from migrator.core.phases import Phase, may_follow
from migrator.runbook.mistakes import mistake
from migrator.runbook.model import Nothing, OtherRunbook
from migrator.runbook.parse import EACH, Runbook
from migrator.runbook.verbs import Call


def check_groups(book: Runbook) -> Iterator[Problem]:
    """Groups that are not there, and such as come before those they refer to (R17)."""
    groups = book.rule.groups
    for name, group in groups.items():
        for parent in group.after:
            if parent not in groups:
                hint = did_you_mean(parent, groups, noun="groups")
                yield Problem(
                    book.at("groups", name, "after"), f"R17 there is no group {parent!r}", hint, code="R17"
                )
            elif list(groups).index(parent) >= list(groups).index(name):
                yield Problem(
                    book.at("groups", name, "after"), f"R17 {name} comes before {parent}, which it refers to",
                    "groups stand in the order in which they go", code="R17",
                )  # fmt: skip
    for placed in book.steps:
        if placed.step.group not in {"", EACH, *groups}:
            hint = did_you_mean(placed.step.group, groups, noun="groups")
            yield mistake(book, "R17", placed, "group", f"there is no group {placed.step.group!r}", hint)


def check_order(book: Runbook, calls: Mapping[str, Call]) -> Iterator[Problem]:
    """Each group's way through the phases, step by step."""
    at: dict[str, Phase | None] = dict.fromkeys(book.rule.groups, book.rule.starts_in)
    for placed in book.steps:
        phase = placed.step.phase
        call = calls.get(placed.id)
        entering = call.enters if call else None
        for group in book.groups_of(placed):
            now = at.get(group)
            if entering is not None and entering is not phase:
                yield mistake(
                    book,
                    "R04",
                    placed,
                    "phase",
                    f"it enters {entering.value}, but stands in {phase.value}",
                    "a step that enters a phase is its first",
                )
            elif entering is not None:
                if entering not in may_follow(now):
                    said = now.value if now else "the beginning"
                    allowed = ", ".join(item.value for item in may_follow(now)) or "nothing"
                    yield mistake(
                        book,
                        "R05",
                        placed,
                        "command",
                        f"{entering.value} does not follow {said}",
                        f"after {said} comes: {allowed}; no phase is skipped",
                    )
                at[group] = entering
            elif now is None and phase is Phase.P0:
                continue
            elif phase is not now and now is not None and phase.number < now.number:
                yield mistake(
                    book,
                    "R04",
                    placed,
                    "phase",
                    f"a step of {phase.value} stands after {now.value} began",
                    "steps stand in the order of the phases",
                )
            elif phase is not now:
                yield mistake(
                    book,
                    "R06",
                    placed,
                    "phase",
                    f"{phase.value} was not entered",
                    f"put a step before it with command: runbook enter {phase.value}, or say starts_in",
                )


def check_ways_back(book: Runbook, calls: Mapping[str, Call]) -> Iterator[Problem]:
    """Steps that nothing takes back, or not what it says (R01, R02, R03), and a second point of no return (R13)."""
    points = [number for number, placed in enumerate(book.steps) if placed.step.point_of_no_return]
    for number in points[1:]:
        yield mistake(
            book,
            "R13",
            book.steps[number],
            "point_of_no_return",
            "there is a point of no return before it",
            "there can be only one",
        )
    last = points[0] if points else len(book.steps)
    for number, placed in enumerate(book.steps):
        rollback, call = placed.step.rollback, calls.get(placed.id)
        match rollback:
            case None if number < last:
                yield mistake(
                    book,
                    "R01",
                    placed,
                    "",
                    "nothing says how it is taken back",
                    "rollback: a step under undo, {nothing: why}, or {runbook: name}",
                )
            case str() if rollback not in book.undo:
                yield mistake(
                    book,
                    "R02",
                    placed,
                    "rollback",
                    f"there is no undo step {rollback!r}",
                    did_you_mean(rollback, book.undo, noun="undo steps"),
                )
            case Nothing() if call is not None and call.verb.writes:
                yield mistake(
                    book,
                    "R03",
                    placed,
                    "rollback",
                    f"{call.verb.name} writes: that is not nothing",
                    "say what takes it back",
                )
            case OtherRunbook(runbook=name) if name == book.name:
                yield mistake(
                    book, "R02", placed, "rollback", "a runbook cannot take itself back", "name another one"
                )
            case _:
                continue
