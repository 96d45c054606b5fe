"""The register of integrations with what people said of each, its steps for the runbook, and the table old → new for users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.commands.inventory_register import Register, load_register
from migrator.commands.project import Project
from migrator.inventory.integrations import Integration, integrations, steps
from migrator.inventory.register import Operation, operations


@dataclass(frozen=True, slots=True)
class Integrations:
    """The register of integrations, and the steps that point each one to the new system."""

    found: tuple[Integration, ...]
    answers: Mapping[str, Mapping[str, str]]
    steps: tuple[dict[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"integrations": [integration_json(one, self.answers.get(one.item.id, {})) for one in self.found],
                "steps": list(self.steps)}  # fmt: skip


def load_integrations(project: Project, systems: Sequence[str] = ()) -> Integrations:
    """All integrations with what people said of them."""
    return integrations_of(load_register(project, systems))


def integrations_of(register: Register) -> Integrations:
    """`load_integrations` of a register that is read."""
    found = integrations(row.item for row in register.rows)
    answers = {row.item.id: row.answers for row in register.rows if row.answers}
    return Integrations(found, answers, tuple(steps(found, answers)))


def integration_json(one: Integration, said: Mapping[str, str]) -> dict[str, Any]:
    """One line of the register of integrations."""
    return {
        "id": one.item.id, "state": one.item.component.state.value, "partner": said.get("partner") or one.partner,
        "partner_kind": said.get("partner_kind") or one.partner_kind, "direction": one.direction,
        "trigger": one.trigger, "protocol": one.protocol, "endpoints": list(one.endpoints), "credential": one.credential,
        "moves": list(one.moves), "said_to_move": said.get("moves", ""), "keys_held": said.get("keys_held", ""),
        "holds_old_ids": one.holds_ids, "evidence": list(one.places), "volume": said.get("volume", ""),
        "criticality": said.get("criticality", ""), "owner": said.get("owner", ""), "target_design": said.get("target_design", ""),
        "dual_run": said.get("dual_run", ""), "switch_date": said.get("switch_date", ""), "test": said.get("acceptance", ""),
        "accepted_by": said.get("accepted_by", ""),
    }  # fmt: skip


def load_operations(project: Project, systems: Sequence[str] = ()) -> tuple[Operation, ...]:
    """The comparison table for the users' handbook."""
    return tuple(operations(load_register(project, systems).rows))
