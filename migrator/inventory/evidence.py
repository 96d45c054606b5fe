"""What is known of the use of a component, in three words: used, not seen, could not analyse; each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from migrator.core.components import Component, ComponentKind, ComponentState
from migrator.inventory.reasons import Reason, because, listed, worded
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
    because: Reason
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
    ComponentKind.PERMISSION: "who-has-it",
    ComponentKind.REPORT: "last-run",
    ComponentKind.NOTIFICATION: "by-hand",
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
        return Evidence(Use.COULD_NOT_ANALYSE, worded(component.unread), usage, not_measured)
    told = _by_data(usage) if usage is not None else None
    if told is not None:
        return Evidence(Use.USED, told, usage)
    runs = _runs(component)
    if runs is not None:
        return Evidence(Use.USED, runs, usage, not_measured)
    seen = users(item)
    if seen:
        name = "used-by" if any(one.sure for one in seen) else "perhaps"
        return Evidence(Use.USED, because(name, names=listed(one.id for one in seen)), usage, not_measured)
    unknown = _cannot_tell(component, usage, not_measured)
    if unknown is not None:
        return Evidence(Use.COULD_NOT_ANALYSE, unknown, usage, not_measured)
    return Evidence(Use.NOT_SEEN, _not_seen(usage), usage, not_measured)


def _runs(component: Component) -> Reason | None:
    """When an active component runs by itself; None when it must be called, or is not active."""
    if component.state is not ComponentState.ACTIVE:
        return None
    if component.kind in RUNS and component.fires:
        return because("runs", events=listed(component.fires))
    return because("always") if component.kind in _ALWAYS else None


def _cannot_tell(component: Component, usage: Usage | None, not_measured: str) -> Reason | None:
    """Why nobody can say that it is not used; None when what there is was looked at."""
    if component.kind in INTEGRATIONS or component.calls:
        return because("outside")
    if component.kind in (ComponentKind.FIELD, ComponentKind.OBJECT) and usage is None:
        return why_not_measured(component, not_measured)
    if component.facts.get("seen in") == "schema":
        return because("not-looked")
    name = _OUTSIDE.get(component.kind)
    return because(name) if name else None


def why_not_measured(component: Component, text: str) -> Reason:
    """Why there are no figures of use, as a scan put it."""
    if text == str(because("no-records", object=component.owner)):
        return because("no-records", object=component.owner)
    return worded(text) if text else because("not-measured")


def _by_data(usage: Usage) -> Reason | None:
    """How the records show use; None when they do not."""
    if usage.true is not None:
        return because("true", true=usage.true, rows=usage.rows) if usage.true else None
    if usage.default is not None and usage.filled and usage.default == usage.filled:
        return None  # the default on every row says nothing
    if not usage.filled:
        return None
    return because("filled", filled=usage.filled, rows=usage.rows, share=f"{usage.fill:.1%}")


def _not_seen(usage: Usage | None) -> Reason:
    if usage is None:
        return because("not-mentioned")
    if usage.default is not None and usage.filled and usage.default == usage.filled:
        return because("default", filled=usage.filled)
    return because("no-value", rows=usage.rows)
