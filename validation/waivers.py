"""Waivers: failures that a named person takes responsibility for, until a date; read strictly, always visible.

`validation/waivers.yaml` in the project::

    waivers:
      - check: account/accounting/accounting.quarantined    # the id that report.json and the command line give
        by: Li Na
        reason: 12 test records without a name, agreed on 3 November
        expires: 2026-12-31
        at_most: 12                                         # optional: more failures than this are not covered
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Location, Problem, raise_errors
from validation.verdict import Check, Status

FILE = "waivers.yaml"
_REQUIRED = ("check", "by", "reason", "expires")
_KEYS = (*_REQUIRED, "at_most")
_OPEN = (Status.FAIL, Status.WARN, Status.COULD_NOT_CHECK)


class WaiverState(Enum):
    """What became of a waiver in this validation."""

    ACTIVE = "active"
    EXPIRED = "expired"
    """Its day is over: what it covered fails, whatever its severity."""
    EXCEEDED = "exceeded"
    """More fails than it covers: the check keeps its own state."""
    UNUSED = "unused"
    """Nothing fails that it could cover."""
    UNKNOWN = "unknown"
    """There is no such check."""


NOWHERE = Location(FILE)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One entry of the file."""

    check: str
    by: str
    reason: str
    expires: date
    """The last day on which it holds, in UTC."""
    at_most: int | None = None
    """Failures it covers; None covers any number."""
    place: Location = NOWHERE


@dataclass(frozen=True, slots=True)
class UsedWaiver:
    """A waiver and what became of it; `hint` names the nearest check for an unknown one."""

    waiver: Waiver
    state: WaiverState
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """For report.json."""
        item = self.waiver
        return {
            "check": item.check, "by": item.by, "reason": item.reason, "expires": item.expires.isoformat(),
            "at_most": item.at_most, "state": self.state.value, "place": str(item.place), "hint": self.hint,
        }  # fmt: skip


def read_waivers(folder: Path) -> tuple[Waiver, ...]:
    """The waivers of a project's `validation` folder, none when there is no file.

    Raises `ProjectError` with every problem and its place.
    """
    path = folder / FILE
    if not path.exists():
        return ()
    document = Document.read(path, shown_as=f"{folder.name}/{FILE}")
    problems: list[Problem] = []
    listed = _listed(document, problems)
    found = [_waiver(document, ("waivers", number), item, problems) for number, item in enumerate(listed)]
    problems += _doubled(found)
    raise_errors(problems)
    return tuple(item for item in found if item is not None)


def apply_waivers(
    checks: Sequence[Check], waivers: Sequence[Waiver], today: date
) -> tuple[tuple[Check, ...], tuple[UsedWaiver, ...]]:
    """The checks with those waived that may be, and what became of each waiver."""
    by_id = {item.check: item for item in waivers}
    open_ids = {check.id for check in checks if check.status in _OPEN}
    failed: dict[str, int] = {}
    for check in checks:
        failed[check.id] = failed.get(check.id, 0) + check.failed
    used = {
        name: _judge(item, failed.get(name), today, is_open=name in open_ids) for name, item in by_id.items()
    }
    judged = tuple(
        _with(check, used[check.id]) if check.id in used and check.status in _OPEN else check
        for check in checks
    )
    told = tuple(
        UsedWaiver(
            by_id[name], state, did_you_mean(name, failed, noun="checks") if _is_unknown(state) else ""
        )
        for name, state in used.items()
    )
    return judged, told


def _is_unknown(state: WaiverState) -> bool:
    return state is WaiverState.UNKNOWN


def _judge(waiver: Waiver, failed: int | None, today: date, *, is_open: bool) -> WaiverState:
    if failed is None:
        return WaiverState.UNKNOWN
    if not is_open:
        return WaiverState.UNUSED
    if today > waiver.expires:
        return WaiverState.EXPIRED
    if waiver.at_most is not None and failed > waiver.at_most:
        return WaiverState.EXCEEDED
    return WaiverState.ACTIVE


def _with(check: Check, state: WaiverState) -> Check:
    match state:
        case WaiverState.ACTIVE:
            return replace(check, status=Status.WAIVED)
        case WaiverState.EXPIRED:
            return replace(check, status=Status.FAIL, severity="critical")
        case WaiverState.EXCEEDED | WaiverState.UNUSED | WaiverState.UNKNOWN:
            return check


def _listed(document: Document, problems: list[Problem]) -> Sequence[Any]:
    data = document.data
    if data is None:
        return ()
    if not isinstance(data, dict) or not isinstance(data.get("waivers"), list):
        place = document.locate(("waivers",) if isinstance(data, dict) and "waivers" in data else ())
        problems.append(
            Problem(place, "waivers must be a list", "waivers: [{check: …, by: …, reason: …, expires: …}]")
        )
        return ()
    problems += [
        Problem(
            document.locate_key((str(key),)), f"unknown key {key!r}", did_you_mean(str(key), ("waivers",))
        )
        for key in data
        if key != "waivers"
    ]
    return list(data["waivers"])


def _waiver(document: Document, path: TreePath, raw: object, problems: list[Problem]) -> Waiver | None:
    if not isinstance(raw, dict):
        problems.append(Problem(document.locate(path), f"a waiver needs {', '.join(_REQUIRED)}"))
        return None
    before = len(problems)
    problems += [
        Problem(
            document.locate_key((*path, str(key))),
            f"unknown key {key!r}",
            did_you_mean(str(key), _KEYS, noun="keys"),
        )
        for key in raw
        if key not in _KEYS
    ]
    texts = {key: _text(document, path, raw, key, problems) for key in ("check", "by", "reason")}
    expires = _day(document, path, raw, problems)
    most = raw.get("at_most")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        problems.append(Problem(document.locate((*path, "at_most")), "at_most must be a whole number from 1"))
    if len(problems) > before or expires is None:
        return None
    return Waiver(texts["check"], texts["by"], texts["reason"], expires, most, document.locate(path))


def _text(
    document: Document, path: TreePath, raw: Mapping[str, Any], key: str, problems: list[Problem]
) -> str:
    value = raw.get(key)
    if isinstance(value, str) and value.strip():
        return value.strip()
    place = document.locate((*path, key) if key in raw else path)
    problems.append(
        Problem(
            place, f"a waiver needs {key}", f"{key}: some words; nobody waives without a name and a reason"
        )
    )
    return ""


def _day(document: Document, path: TreePath, raw: Mapping[str, Any], problems: list[Problem]) -> date | None:
    value = raw.get("expires")
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        place = document.locate((*path, "expires") if "expires" in raw else path)
        problems.append(Problem(place, "a waiver needs expires, a date", "expires: 2026-12-31"))
        return None


def _doubled(found: Sequence[Waiver | None]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for item in found:
        if item is not None and item.check in seen:
            problems.append(Problem(item.place, f"{item.check} is waived twice", "keep one of them"))
        if item is not None:
            seen.add(item.check)
    return problems
