"""What changed since earlier validations: their report.json files, read back, beside the one being made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPEN = ("fail", "could_not_check", "warn", "waived")
MOST_RUNS = 12
MOST_IDS = 200


@dataclass(frozen=True, slots=True)
class Earlier:
    """Earlier reports of this project, oldest first, and the folders whose report could not be read."""

    reports: tuple[Mapping[str, Any], ...] = ()
    unread: tuple[str, ...] = ()


def read_earlier(folder: Path, own: str, project: str) -> Earlier:
    """The newest `MOST_RUNS` reports of `project` in `folder`, but the one of the run `own`.

    The folder belongs to the user: what is not there any more is not missed, what cannot be read is named.
    """
    files = sorted(folder.glob("*/report.json"), key=lambda path: path.stat().st_mtime)[-MOST_RUNS - 1 :]
    found, unread = [], []
    for path in files:
        if path.parent.name == own:
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["project"] == project:
                found.append(
                    {**content, "run": content["run"] or path.parent.name, "objects": _slim(content)}
                )
        except (OSError, ValueError, KeyError, TypeError):
            unread.append(path.parent.name)
    found.sort(key=lambda content: str(content["at"]))
    return Earlier(tuple(found), tuple(unread))


def trend(content: Mapping[str, Any], earlier: Earlier) -> dict[str, Any]:
    """The runs as a row of figures, and which findings are new, mended or still open since the last one.

    A finding of an object that this validation did not look at is none of the three.
    """
    last = earlier.reports[-1] if earlier.reports else None
    now = _open(content)
    before = _open(last) if last is not None else set()
    looked_at = {item["name"] for item in content["objects"]}
    gone = {name for name in before - now if name.partition("/")[0] in looked_at}
    return {
        "runs": [_figures(item) for item in (*earlier.reports, content)],
        "against": {"run": last["run"], "at": last["at"]} if last is not None else None,
        "new": sorted(now - before)[:MOST_IDS] if last is not None else [],
        "fixed": sorted(gone)[:MOST_IDS],
        "still": sorted(now & before)[:MOST_IDS],
        "unread": list(earlier.unread),
    }


def _open(content: Mapping[str, Any]) -> set[str]:
    return {check["id"] for check in content["checks"] if check["status"] in OPEN}


def _figures(content: Mapping[str, Any]) -> dict[str, Any]:
    objects: Sequence[Mapping[str, Any]] = content["objects"]
    return {
        "run": content["run"], "at": content["at"], "verdict": content["verdict"],
        **{name: sum(item["accounting"][name] for item in objects) for name in ("extracted", "loaded", "quarantined")},
        "findings": len(_open(content)),
    }  # fmt: skip


def _slim(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Names and accounting only: a dozen whole reports need not stay in memory."""
    return [{"name": item["name"], "accounting": item["accounting"]} for item in content["objects"]]
