"""What is known of the use of a component, in three words: used, not seen, could not analyse; each with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from migrator.core.components import Component, ComponentKind, ComponentState
from migrator.inventory.scan import Item, Reference
from migrator.inventory.usage import Usage


class Use(Enum):
    """Never a bare 'unused': what was not looked at is told apart from what was looked at and not seen."""

    USED = "used"
    NOT_SEEN = "not seen"
    COULD_NOT_ANALYSE = "could not analyse"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether a component is used, and how we know."""

    use: Use
    because: str
    usage: Usage | None = None
    not_measured: str = ""
    """Why there are no figures of use, where there could be some."""


_NO_USE = frozenset({ComponentKind.PERMISSION, ComponentKind.TRANSLATION, ComponentKind.OTHER})
"""What lists everything there is: being listed there is access or a label, not use."""
RUNS = frozenset(
    {
        ComponentKind.AUTOMATION, ComponentKind.CODE, ComponentKind.APPROVAL, ComponentKind.ASSIGNMENT,
        ComponentKind.VALIDATION, ComponentKind.SCHEDULED_JOB, ComponentKind.OUTBOUND_MESSAGE,
    }
)  # fmt: skip
"""What does something by itself."""
INTEGRATIONS = frozenset(
    {ComponentKind.INTEGRATION_IN, ComponentKind.INTEGRATION_OUT, ComponentKind.OUTBOUND_MESSAGE}
)


_ASSIGNED = frozenset({ComponentKind.LAYOUT, ComponentKind.RECORD_TYPE})
"""What people see because a permission gives it to them."""
_ALWAYS = frozenset(
    {ComponentKind.VALIDATION, ComponentKind.ASSIGNMENT, ComponentKind.APPROVAL, ComponentKind.SHARING}
)
"""What runs, while it is active, without being called."""
_OUTSIDE = {
    ComponentKind.PERMISSION: "who has it is not in the export",
    ComponentKind.REPORT: "when it was last run is not in the export",
    ComponentKind.NOTIFICATION: "whether people send it by hand is not in the export",
}


def users(item: Item) -> tuple[Reference, ...]:
    """Components that use it, those that merely list it left out."""
    listing = _NO_USE - {ComponentKind.PERMISSION} if item.component.kind in _ASSIGNED else _NO_USE
    return tuple(one for one in item.used_by if one.kind not in listing)


def layouts(item: Item) -> tuple[Reference, ...]:
    """Screens that show it."""
    return tuple(one for one in item.used_by if one.kind is ComponentKind.LAYOUT)


def runners(item: Item) -> tuple[Reference, ...]:
    """Active components that use it while they run, and integrations."""
    return tuple(one for one in item.used_by if one.active and (one.kind in RUNS or one.kind in INTEGRATIONS))


def evidence(item: Item, usage: Usage | None, not_measured: str = "") -> Evidence:
    """Weigh what is known of one component."""
    component = item.component
    if component.unread:
        return Evidence(Use.COULD_NOT_ANALYSE, component.unread, usage, not_measured)
    told = _by_data(usage) if usage is not None else ""
    if told:
        return Evidence(Use.USED, told, usage)
    runs = _runs(component)
    if runs:
        return Evidence(Use.USED, f"{runs}; runs were not counted", usage, not_measured)
    seen = users(item)
    if seen:
        words = "" if any(one.sure for one in seen) else "perhaps "
        return Evidence(Use.USED, f"{words}used by {_listed(one.id for one in seen)}", usage, not_measured)
    unknown = _cannot_tell(component, usage, not_measured)
    if unknown:
        return Evidence(Use.COULD_NOT_ANALYSE, unknown, usage, not_measured)
    return Evidence(Use.NOT_SEEN, _not_seen(usage), usage, not_measured)


def _runs(component: Component) -> str:
    """When an active component runs by itself; '' when it must be called, or is not active."""
    if component.state is not ComponentState.ACTIVE:
        return ""
    if component.kind in RUNS and component.fires:
        return f"active, runs at {_listed(component.fires)}"
    return "active, works whenever a record is saved or shared" if component.kind in _ALWAYS else ""


def _cannot_tell(component: Component, usage: Usage | None, not_measured: str) -> str:
    """Why nobody can say that it is not used; '' when what there is was looked at."""
    if component.kind in INTEGRATIONS or component.calls:
        return "whether anybody outside calls it is not in the export"
    if component.kind in (ComponentKind.FIELD, ComponentKind.OBJECT) and usage is None:
        return not_measured or "its records were not measured"
    if component.facts.get("seen in") == "schema":
        return "what mentions it was not looked at"
    return _OUTSIDE.get(component.kind, "")


def _by_data(usage: Usage) -> str:
    """How the records show use; '' when they do not."""
    if usage.true is not None:
        return f"true in {usage.true:,} of {usage.rows:,} records" if usage.true else ""
    if usage.default is not None and usage.filled and usage.default == usage.filled:
        return ""  # the default on every row says nothing
    return f"filled in {usage.filled:,} of {usage.rows:,} records ({usage.fill:.1%})" if usage.filled else ""


def _not_seen(usage: Usage | None) -> str:
    if usage is None:
        return "nothing in the export mentions it"
    if usage.default is not None and usage.filled and usage.default == usage.filled:
        return f"all {usage.filled:,} values are the default, and nothing mentions it"
    return f"no value in {usage.rows:,} records, and nothing mentions it"


def _listed(words: Iterable[str], most: int = 3) -> str:
    told = list(words)
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")
