"""Why something is said of a component, as a text with a name and values: English here, and other languages in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

TEXTS: Mapping[str, str] = {
    "text": "{text}",
    "more": "{names} and {more} more",
    # of use
    "true": "true in {true} of {rows} records",
    "filled": "filled in {filled} of {rows} records ({share})",
    "default": "all {filled} values are the default, and nothing mentions it",
    "no-value": "no value in {rows} records, and nothing mentions it",
    "not-mentioned": "nothing in the export mentions it",
    "runs": "active, runs at {events}; runs were not counted",
    "always": "active, works whenever a record is saved or shared; runs were not counted",
    "used-by": "used by {names}",
    "perhaps": "perhaps used by {names}",
    "outside": "whether anybody outside calls it is not in the export",
    "not-looked": "what mentions it was not looked at",
    "who-has-it": "who has it is not in the export",
    "last-run": "when it was last run is not in the export",
    "by-hand": "whether people send it by hand is not in the export",
    "not-measured": "its records were not measured",
    "not-extracted": "its records were not extracted",
    "no-column": "the extract has no such column",
    "no-records": "records of {object} were not extracted",
    "nobody-looked": "not looked at",
    # of proposals
    "no-rule": "no rule applies: a person decides",
    "not-analysed": "could not be analysed: {why}",
    "integration": "something outside takes part: see the register of integrations; never retired by a rule",
    "unsupported": "active, and {why}: build it anew, do not keep it as it is",
    "same-event": "runs at the same event as {names}: merge them, their order is not defined",
    "code": "code is read by a person; never retired by a rule",
    "off": "{state}, and nothing mentions it",
    "off-unread": "{state}, and nothing that was read mentions it",
    "no-layout": "{why}; it is on no layout",
    "abandoned": "the newest record with a value is of {newest} ({column}), {months} months before the newest record of the object",
    "abandoned-run": "{why}, but {name} uses it",
    "abandoned-retire": "{why}: retire the field, archive its {filled} values",
    "covered": "{why}; the new system covers it, {method}",
    "covered-by": "{why}; the new system covers it ({kind} {name}), {method}",
    "to-extend": "{why}; the new system must be extended for it",
    "no-counterpart": "{why}; the new system has no counterpart",
    "counterpart-unknown": "{why}; its counterpart is not known yet",
    "blind": "{why}; but {file} could not be read and may mention it",
    # states, methods, and what readers of metadata say in fixed words
    "inactive": "inactive",
    "draft": "draft",
    "superseded": "superseded",
    "by-mapping": "by mapping",
    "by-name": "by name",
    "by-person": "by person",
    "workflow-ended": "Salesforce ended support of workflow rules and Process Builder on 2025-12-31",
    "dialogs": "Microsoft deprecated dialogs",
    "no-code": "its code is not in this export",
    "no-library": "its library is not in this export",
    "no-content": "its content is not in this export",
    "no-flow": "only its definition is in this export, not the flow itself",
    "no-steps": "the file with its steps is not in this export",
}
"""Name → English; the catalogues of the report have each as `why.NAME`."""
_FIXED = {text: name for name, text in TEXTS.items() if "{" not in text}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; as text it is English."""

    name: str
    values: tuple[tuple[str, Reason | int | str], ...] = ()

    def __str__(self) -> str:
        told = {key: f"{value:,}" if isinstance(value, int) else str(value) for key, value in self.values}
        return TEXTS[self.name].format_map(told)


Part: TypeAlias = Reason | int | str


def because(name: str, /, **values: Part) -> Reason:
    """The reason of this name; raises `KeyError` for one that is not in `TEXTS`."""
    if name not in TEXTS:
        raise KeyError(name)
    return Reason(name, tuple(values.items()))


def worded(text: str) -> Reason:
    """What somebody else put in words: by its name where it is a fixed phrase, else as it is."""
    name = _FIXED.get(text)
    return Reason(name) if name else Reason("text", (("text", text),))


def listed(words: Iterable[str], most: int = 3) -> Part:
    """The first of some names, and how many there are besides."""
    told = list(words)
    names = ", ".join(told[:most])
    return because("more", names=names, more=len(told) - most) if len(told) > most else names
