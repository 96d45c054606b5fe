"""What a plan wants done with a row: the values of the column `__action`."""

from __future__ import annotations

from enum import Enum

from migrator.staging.engine import literal


class Action(Enum):
    """One per row of a PLAN; only CREATE and UPDATE are ever sent."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    """The target holds exactly these values already."""
    WAIT = "wait"
    """It points to a record that is not in the target; `__reason` names the root cause."""
    REFUSED = "refused"
    """The target refused exactly these values before and no retry was asked for."""
    KEY_CONFLICT = "key_conflict"
    """Its external key is missing, claimed twice, or no longer the one it was loaded under: quarantined."""
    ORPHANED = "orphaned"
    """It must point to a record that is excluded for good: quarantined."""


SENT = (Action.CREATE, Action.UPDATE)
QUARANTINED = (Action.REFUSED, Action.KEY_CONFLICT, Action.ORPHANED)


def listed(actions: tuple[Action, ...]) -> str:
    """Actions as the inside of an SQL IN list."""
    return ", ".join(literal(item.value) for item in actions)
