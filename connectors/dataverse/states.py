"""How a record gets its state: by a plain change, or by the action that Dynamics keeps for it. Pure.

Won and lost opportunities and resolved cases cannot be set by a change; sources: "WinOpportunity", "LoseOpportunity",
"CloseIncident". All other tables take statecode and statuscode together in an update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.dataverse.batch import Operation
from connectors.dataverse.tables import Table

_LET_THE_SERVICE_CHOOSE = -1


@dataclass(frozen=True, slots=True)
class _Closing:
    """An action that closes a record: it takes a new record of its own, which points to the one closed."""

    action: str
    argument: str
    points: str
    told: Mapping[str, Any]


_CLOSINGS: Mapping[tuple[str, int], _Closing] = {
    ("opportunity", 1): _Closing("WinOpportunity", "OpportunityClose", "opportunityid", {"subject": "Won"}),
    ("opportunity", 2): _Closing("LoseOpportunity", "OpportunityClose", "opportunityid", {"subject": "Lost"}),
    ("incident", 1): _Closing("CloseIncident", "IncidentResolution", "incidentid", {"subject": "Resolved"}),
}


def is_closed_by_action(table: str, state: int | None) -> bool:
    """Whether a change cannot bring a record of this table into this state."""
    return state is not None and (table, state) in _CLOSINGS


def plain(state: int | None, status: int | None) -> dict[str, int]:
    """The state as part of a change."""
    told = {"statecode": state, "statuscode": status}
    return {name: value for name, value in told.items() if value is not None}


def transition(table: Table, record: str, state: int, status: int | None) -> Operation:
    """The request that brings an open record into a state."""
    closing = _CLOSINGS.get((table.name, state))
    if closing is None:
        return Operation("PATCH", f"{table.set_name}({record})", plain(state, status), {"If-Match": "*"})
    pointer = {f"{closing.points}@odata.bind": f"/{table.set_name}({record})"}
    chosen = _LET_THE_SERVICE_CHOOSE if status is None else status
    return Operation(
        "POST", closing.action, {"Status": chosen, closing.argument: {**closing.told, **pointer}}
    )
