"""Automation of the simulated systems, none of which the sync is told about: normalisers and triggers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from migrator.testing.simulation.shape import NEW, OLD, Value


def _tidy(value: Value) -> Value:
    """Spaces collapsed, first letter large: what many systems do to names."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    return (text[:1].upper() + text[1:]) or None


def _spaced_phone(value: Value) -> Value:
    """A phone number shown in groups."""
    digits = re.sub(r"[^+0-9]", "", str(value))
    return " ".join(filter(None, (digits[:3], digits[3:6], digits[6:])))


def _paragraph(value: Value) -> Value:
    """Rich text wrapped in a paragraph."""
    text = str(value)
    return text if text.startswith("<p>") else f"<p>{text}</p>"


def _cents(value: Value) -> Value:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP) if isinstance(value, Decimal) else value


def _shout(value: Value) -> Value:
    """A normaliser that no equivalence knows: old last names end without blanks and with a capital."""
    return str(value).strip().capitalize() or None


NORMALISERS: Mapping[tuple[str, str, str], Callable[[Value], Value]] = {
    (NEW, "company", "name"): _tidy,
    (NEW, "company", "about"): _paragraph,
    (OLD, "Account", "Phone"): _spaced_phone,
    (OLD, "Contact", "LastName"): _shout,
    (OLD, "Opportunity", "Amount"): _cents,
    (NEW, "person", "mail"): lambda value: str(value).lower(),
}


def normalised(side: str, object_name: str, field: str, value: Value) -> Value:
    """What the system stores when it is given a value."""
    if value is None:
        return None
    found = NORMALISERS.get((side, object_name, field))
    return found(value) if found else value


def reaction(
    side: str, object_name: str, row: Mapping[str, Value], changed: Mapping[str, Value]
) -> dict[str, Value]:
    """What a trigger sets after a change: won deals get a closing day, opted-out firms lose their phone."""
    if object_name == "deal" and changed.get("stage") == "成交" and row.get("closes_on") is None:
        return {"closes_on": date(2026, 6, 30)}
    if (
        side == OLD
        and object_name == "Account"
        and changed.get("Rating") == "Lost"
        and row.get("Tags__c") is None
    ):
        return {"Tags__c": "lost"}
    return {}
