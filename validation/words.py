"""What the report says of a finding, a rule or a reason, as sentences in the reader's language."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from validation.messages import Catalogue

_LONGEST = 80
"""Characters shown of what a rule asks for."""


def say(check: Mapping[str, Any], text: Catalogue) -> str:
    """A finding in one sentence."""
    values = {"failed": check["failed"], "checked": check["checked"], "subject": check["subject"]}
    detail = check["detail"]
    if check["section"] == "rules":
        told = (
            text("check.unchecked", subject=check["subject"] or check["rule"], error=detail["error"])
            if check["status"] == "could_not_check"
            else text("check.rule", **values, text=rule_text(check, text))
        )
        return text("check.before", text=told) if check["rule"].startswith("before.") else told
    name = f"check.{check['rule']}"
    if text.has(name):
        by = ", ".join(detail.get("by", ()))
        return text(name, **values, object=check["object"], difference=_amount(detail, text), by=by)
    return text("check.cells", **values, reason=cell_reason(check["rule"].partition(".")[2], text))


def _amount(detail: Mapping[str, Any], text: Catalogue) -> str:
    return text.amount(detail["difference"]) if detail.get("difference") else ""


def cell_reason(reason: str, text: Catalogue) -> str:
    """Why two values differ, in words."""
    return text(f"cell.{reason}") if text.has(f"cell.{reason}") else reason


def rule_text(check: Mapping[str, Any], text: Catalogue) -> str:
    """What a rule asks for, in words when it follows from the mapping, else as its author or Great Expectations calls it."""
    detail = check["detail"]
    if detail["description"]:
        return str(detail["description"])
    name, kwargs = f"rule.{detail['reason']}", detail["kwargs"]
    if text.has(name):
        return text(name, max_value=kwargs.get("max_value", ""), n=len(kwargs.get("value_set", ())))
    asked = ", ".join(f"{key}: {value}" for key, value in kwargs.items())
    return f"{check['rule']} ({_cut(asked)})" if asked else str(check["rule"])


def _cut(asked: str) -> str:
    return asked if len(asked) <= _LONGEST else asked[: _LONGEST - 1] + "…"


def why(reason: Mapping[str, Any], text: Catalogue) -> str:
    """Why records are not in the new system: the rule in words, the nearest family of rules when it has none of its own."""
    return _why(reason["state"], reason["rule"], text)


def _why(state: str, rule: str, text: Catalogue) -> str:
    kind, _, inner = rule.removeprefix("waits: ").partition(": ")
    if state == "excluded":
        return text("reason.excluded", reason=rule)
    if state == "merged":
        return text("reason.merged", rule=rule)
    if rule.startswith("waits: ") and text.has(f"reason.waits.{kind}"):
        return text(f"reason.waits.{kind}", reason=_why("quarantined", inner, text))
    return _nearest("reason", rule, text) or rule


def remedy(reason: Mapping[str, Any], text: Catalogue, mapping: str) -> str:
    """What to do about it, who does it in which mapping, and the next step; '' where nothing is to be done."""
    state, rule = reason["state"], reason["rule"]
    match state:
        case "lost":
            return text("todo.lost")
        case "pending" if rule.startswith("not-"):
            return text("todo.undone")
        case "pending":
            hangs = f"todo.pending.{reason.get('link') or ''}"
            return _sentences(text, text("todo.pending"), text(hangs) if text.has(hangs) else "")
        case "quarantined":
            known = _nearest("todo", rule, text)
            family = rule.partition(".")[0]
            then = f"todo.then.{family}" if text.has(f"todo.then.{family}") else "todo.then"
            # Without a text of its own, and for what the new system refused, the sentence already says what to run.
            own = known and family != "constraint"
            return _sentences(
                text, known or text("todo.quarantined"), text(then, mapping=mapping) if own else ""
            )
        case _:
            return ""


def _sentences(text: Catalogue, first: str, second: str) -> str:
    return text("todo.both", first=first, second=second) if second else first


def spoken(reason: Mapping[str, Any], text: Catalogue) -> str:
    """The system's own words, where ours do not say it all; '' else."""
    known = text.has(f"reason.{reason['rule']}") and not reason["rule"].startswith("constraint.")
    return "" if known else str(reason["message"])


def _nearest(kind: str, rule: str, text: Catalogue) -> str:
    family = rule.partition(".")[0]
    found = next((name for name in (f"{kind}.{rule}", f"{kind}.{family}") if text.has(name)), "")
    return text(found) if found else ""


def plain(value: object) -> str:
    """A value with every character visible: control and direction marks could make a page say something else."""
    return "".join(
        f"⟪{ord(char):04X}⟫" if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") else char
        for char in str(value)
    )
