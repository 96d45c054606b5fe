"""Writes of one call: what exists is looked up, the rest is created; many rows at once, and one by one where that is refused.

The message for many rows (CreateMultiple, UpdateMultiple, UpsertMultiple) is all or nothing and says of one row only
that it failed; then the same rows go in a `$batch`, in which each has its own answer. That costs one request more, not
one for each halving. A record is created under an alternate key, so the service itself refuses a second one: a create
that was done although its answer was lost is found by the look-up of the next try.
Source: "Use bulk operation messages".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.dataverse import states
from connectors.dataverse.batch import Operation, Part, send
from connectors.dataverse.faults import DUPLICATE, NOT_THERE, fault
from connectors.dataverse.odata import addressable, encoded, guid, literal
from connectors.dataverse.outcomes import Answers, Existing, Finder, Written, exactly, other_spelling
from connectors.dataverse.payloads import Payload, Refusal, body
from connectors.dataverse.service import Service
from connectors.dataverse.tables import Table
from connectors.http_answers import Answer
from migrator.core.errors import CallRefused

_TOO_LARGE = frozenset({413})
_NO_SUCH_MESSAGE = frozenset({404, 405, 501})


@dataclass(slots=True)
class Writer:
    """Writes to one table."""

    service: Service
    table: Table
    key: str
    find: Finder
    unsupported: set[str] = field(default_factory=set)
    """Messages for many rows that this table does not know."""

    @property
    def _headers(self) -> dict[str, str]:
        settings = self.service.settings
        told = {}
        if settings.caller:
            told["CallerObjectId"] = settings.caller
        if settings.bypass_plugins:
            told["MSCRM.BypassBusinessLogicExecution"] = "CustomSync"
        return told

    def upsert(self, rows: Sequence[Payload]) -> Answers:
        """Create or change rows by key."""
        there = self.find([row.key for row in rows])
        answers: Answers = {
            row.number: other_spelling(there[row.key])
            for row in rows
            if row.key in there and there[row.key].key != row.key
        }
        left = [row for row in rows if row.number not in answers]
        old = [row for row in left if row.key in there]
        new = [row for row in left if row.key not in there]
        if old and new and self._goes_as_one(left, there):
            return answers | self._upsert_all(left, there)
        return answers | self._create(new) | self._change(old, there)

    def update(self, rows: Sequence[Payload]) -> Answers:
        """Set columns of records that exist."""
        there = exactly(self.find([row.key for row in rows]))
        gone = {row.number: Written("missing") for row in rows if row.key not in there}
        return gone | self._change([row for row in rows if row.number not in gone], there)

    def delete(self, keys: Sequence[str]) -> dict[str, Written]:
        """Delete records by key."""
        there = exactly(self.find(keys))
        found = [key for key in keys if key in there]
        parts = self._send([Operation("DELETE", self._address(there[key].record)) for key in found])
        told = {key: Written("missing") for key in keys if key not in there}
        for key, part in zip(found, parts, strict=True):
            told[key] = self._read(part, there[key].record, "deleted", gone="missing")
        return told

    # -- new records

    def _create(self, rows: Sequence[Payload]) -> Answers:
        if not rows:
            return {}
        ids = self._create_all(rows)
        if ids is None:
            answers = self._create_each(rows)
        else:
            answers = {row.number: Written("created", record) for row, record in zip(rows, ids, strict=True)}
        return self._settle_states(rows, answers)

    def _create_all(self, rows: Sequence[Payload]) -> list[str] | None:
        """The ids of new records, or None when the message for many refuses them."""
        if len(rows) == 1:
            return None
        answer = self._many("CreateMultiple", [body(row.created) for row in rows])
        if answer is None:
            return None
        told = answer.object().get("Ids")
        ids = [guid(item) for item in told] if isinstance(told, list) else []
        if len(ids) != len(rows) or None in ids:
            raise answer.unexpected(f"the ids of {len(rows)} records")
        return [item for item in ids if item]

    def _create_each(self, rows: Sequence[Payload]) -> Answers:
        parts = self._send([self._creation(row) for row in rows])
        answers: Answers = {}
        taken = []
        for row, part in zip(rows, parts, strict=True):
            answers[row.number] = self._read(part, part.record, "created")
            if part.answer.status == 412 or (not part.done and part.fault.code in DUPLICATE):
                taken.append(row)
        return answers | self._taken(taken)

    def _creation(self, row: Payload) -> Operation:
        """Under its key, which must be free; where a key cannot be addressed, plainly: its index refuses a second one."""
        said = body(row.created)
        address = self._key_address(row.key)
        if address is None:
            return Operation("POST", self.table.set_name, said)
        said.pop(self.key, None)
        path = f"{self.table.set_name}({self.key}={encoded(address)})"
        return Operation("PATCH", path, said, {"If-None-Match": "*"})

    def _taken(self, rows: Sequence[Payload]) -> Answers:
        """Rows refused because a record has their key now: another try was done meanwhile, and is changed."""
        if not rows:
            return {}
        there = self.find([row.key for row in rows])
        ours = [row for row in rows if row.key in there and there[row.key].key == row.key]
        return self._change(ours, there)

    # -- records that exist

    def _change(self, rows: Sequence[Payload], there: Mapping[str, Existing]) -> Answers:
        if not rows:
            return {}
        bodies = [self._changed(row, there[row.key]) for row in rows]
        if len(rows) > 1:
            pointed = [
                {**said, self.table.key: there[row.key].record}
                for row, said in zip(rows, bodies, strict=True)
            ]
            if self._many("UpdateMultiple", pointed) is not None:
                done = {row.number: Written("updated", there[row.key].record) for row in rows}
                return self._settle_states(rows, done, there)
        parts = self._send(
            [
                Operation("PATCH", self._address(there[row.key].record), said, {"If-Match": "*"})
                for row, said in zip(rows, bodies, strict=True)
            ]
        )
        answers = {
            row.number: self._read(part, there[row.key].record, "updated", gone="missing")
            for row, part in zip(rows, parts, strict=True)
        }
        return self._settle_states(rows, answers, there)

    def _changed(self, row: Payload, existing: Existing) -> dict[str, Any]:
        said = body(row.changed)
        if not self._closes(row, existing):
            said |= states.plain(row.state, row.status)
        return {name: value for name, value in said.items() if name != self.table.key}

    # -- both at once

    def _goes_as_one(self, rows: Sequence[Payload], there: Mapping[str, Existing]) -> bool:
        """Whether UpsertMultiple says it all: keys that mean what they say, and nothing to be done afterwards."""
        return set(there) <= {row.key for row in rows} and all(
            self._key_address(row.key) is not None
            and not row.state
            and not row.later
            and not self._closes(row, there.get(row.key))
            for row in rows
        )

    def _upsert_all(self, rows: Sequence[Payload], there: Mapping[str, Existing]) -> Answers:
        targets = []
        for row in rows:
            said = self._changed(row, there[row.key]) if row.key in there else body(row.created)
            said.pop(self.key, None)
            targets.append(
                {**said, "@odata.id": f"{self.table.set_name}({self.key}={self._key_address(row.key)})"}
            )
        if self._many("UpsertMultiple", targets) is None:
            new = [row for row in rows if row.key not in there]
            return self._create(new) | self._change([row for row in rows if row.key in there], there)
        made = self.find([row.key for row in rows if row.key not in there])
        return {
            row.number: Written("updated", there[row.key].record)
            if row.key in there
            else Written("created", made[row.key].record)
            for row in rows
        }

    # -- states

    def _closes(self, row: Payload, existing: Existing | None) -> bool:
        """Whether the state is not part of the change: an action sets it, or it is set already."""
        return states.is_closed_by_action(self.table.name, row.state) or (
            existing is not None
            and states.is_closed_by_action(self.table.name, existing.state)
            and existing.state == row.state
        )

    def _settle_states(
        self, rows: Sequence[Payload], answers: Answers, there: Mapping[str, Existing] | None = None
    ) -> Answers:
        """Bring records into the state they could not be written with."""
        due: list[tuple[Payload, str]] = []
        for row in rows:
            record = answers[row.number].record
            if record is None or answers[row.number].refusal or not row.state:
                continue
            existing = there.get(row.key) if there else None
            if existing is None or (self._closes(row, existing) and existing.state != row.state):
                due.append((row, record))
        left = self._without_plain_states(due)
        parts = self._send(
            [states.transition(self.table, record, row.state or 0, row.status) for row, record in left]
        )
        settled = dict(answers)
        for (row, record), part in zip(left, parts, strict=True):
            if not part.done:
                settled[row.number] = replace(self._read(part, None, ""), record=record)
        return settled

    def _without_plain_states(self, due: Sequence[tuple[Payload, str]]) -> list[tuple[Payload, str]]:
        """Those that the message for many did not bring into their state: closed by an action, or refused."""
        plain = [item for item in due if not states.is_closed_by_action(self.table.name, item[0].state)]
        told = [{self.table.key: record, **states.plain(row.state, row.status)} for row, record in plain]
        if len(plain) > 1 and self._many("UpdateMultiple", told) is not None:
            return [item for item in due if item not in plain]
        return list(due)

    # -- requests

    def _many(self, message: str, targets: Sequence[Mapping[str, Any]]) -> Answer | None:
        """The answer of a message for many rows; None when it refuses them, or is not known for this table.

        Raises `CallRefused` when the request is too large, `RetryableError` when the service pushes back.
        """
        if message in self.unsupported:
            return None
        kind = f"Microsoft.Dynamics.CRM.{self.table.name}"
        answer = self.service.ask(
            "POST",
            f"{self.table.set_name}/Microsoft.Dynamics.CRM.{message}",
            headers=self._headers,
            document={"Targets": [{"@odata.type": kind, **target} for target in targets]},
        )
        if answer.status in {200, 204}:
            return answer
        found = fault(answer)
        if answer.status in _TOO_LARGE:
            raise CallRefused(
                f"{answer.asked}: {len(targets)} rows are too large for one request",
                code=found.code,
                hint="send fewer",
            )
        found.raise_passing(answer.asked)
        if answer.status in _NO_SUCH_MESSAGE and found.code not in NOT_THERE:
            self.unsupported.add(message)
        return None

    def _send(self, operations: Sequence[Operation]) -> list[Part]:
        return send(self.service, operations, self._headers) if operations else []

    def _read(self, part: Part, record: str | None, outcome: str, *, gone: str = "") -> Written:
        if part.done:
            if record is None:
                raise part.answer.unexpected("the id of the record that was written")
            return Written(outcome, record)
        found = part.fault
        if gone and found.code in NOT_THERE and record is not None and record in found.message.lower():
            return Written(gone)  # the same code about another id: a reference leads nowhere
        message = found.message or f"the service answered {found.status}"
        return Written("refused", refusal=Refusal(found.code, message, found.field(self.table.attributes)))

    def _address(self, record: str) -> str:
        return f"{self.table.set_name}({record})"

    def _key_address(self, key: str) -> str | None:
        """The literal by which a record is addressed under its alternate key; None where that cannot be."""
        if self.key == self.table.key or not addressable(key):
            return None
        try:
            return literal(key, quoted=self.table.attributes[self.key].quoted)
        except ValueError:
            return None
