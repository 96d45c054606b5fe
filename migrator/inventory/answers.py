"""What a person says about a component: which answers there are, what they may hold, and how they are checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from migrator.core.document import did_you_mean
from migrator.inventory.capability import CAPABILITIES
from migrator.inventory.integrations import DESIGNS, PARTNER_KINDS
from migrator.inventory.rules import Coverage, Decision


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing to say; `words` are the only ones allowed when there are any."""

    title: str
    words: tuple[str, ...] = ()
    form: str = ""
    """'date' or 'effort' where the text has a form; '' for any text."""


_DECISIONS = tuple(item.value for item in Decision if item is not Decision.UNDECIDED)
ANSWERS: Mapping[str, Answer] = {
    "decision": Answer("decision", _DECISIONS),
    "reason": Answer("reason"),
    "owner": Answer("owner"),
    "effort": Answer("effort band: S, M, L, '<30 min', '30-60 min', '1-2 h', '>2 h', or hours such as '6 h'", form="effort"),
    "priority": Answer("priority", ("high", "medium", "low")),
    "phase": Answer("phase"),
    "wave": Answer("wave"),
    "business_unit": Answer("business unit"),
    "capability": Answer("step of lead-to-cash", CAPABILITIES),
    "depends_on": Answer("ids of other rows it waits for, parted by commas"),
    "risk": Answer("risk"),
    "counterpart_kind": Answer("kind of its counterpart in the new system"),
    "counterpart": Answer("name of its counterpart in the new system"),
    "coverage": Answer("how the new system covers it", tuple(item.value for item in Coverage if item is not Coverage.UNKNOWN)),
    "differences": Answer("known differences"),
    "data_consequence": Answer("which data moves, stays or is archived"),
    "acceptance": Answer("acceptance test"),
    "result": Answer("result of the acceptance test", ("passed", "failed", "not run")),
    "accepted_by": Answer("who accepted it"),
    "cutover": Answer("date on which the new function takes over", form="date"),
    "proof": Answer("proof that it works after the switch"),
    "old_action": Answer("how users do it today (for the handbook)"),
    "new_action": Answer("how users will do it (for the handbook)"),
    "partner": Answer("system on the other side"),
    "partner_kind": Answer("kind of that system", PARTNER_KINDS),
    "moves": Answer("objects and fields that the integration moves"),
    "keys_held": Answer("record ids or keys that the partner keeps"),
    "volume": Answer("volume"),
    "criticality": Answer("how badly it is missed", ("high", "medium", "low")),
    "target_design": Answer("what becomes of the integration", DESIGNS),
    "dual_run": Answer("which side answers while both systems run"),
    "switch_date": Answer("date on which it is switched", form="date"),
}  # fmt: skip
"""Name → what may be said; a register's history holds nothing else."""
_EFFORT = re.compile(r"S|M|L|<30 min|30-60 min|1-2 h|>2 h|\d+(?:\.\d+)? h")


def wrong(said: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Name, what is wrong, and a hint, for every answer that is none. An empty text takes an answer back."""
    for name, text in said.items():
        answer = ANSWERS.get(name)
        if answer is None:
            yield (
                name,
                f"nothing called {name!r} can be said of a component",
                did_you_mean(name, ANSWERS, noun="answers"),
            )
        elif text and answer.words and text not in answer.words:
            yield (
                name,
                f"{text!r} is no {answer.title}",
                did_you_mean(text, answer.words) or f"one of: {', '.join(answer.words)}",
            )
        elif text and answer.form == "date" and not _is_date(text):
            yield name, f"{text!r} is no date", "as 2026-11-30"
        elif text and answer.form == "effort" and not _EFFORT.fullmatch(text):
            yield name, f"{text!r} is no effort band", answer.title


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
