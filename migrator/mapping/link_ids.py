"""Keys of linked records as ids of the other side, by the crosswalk: one question for each mapping and batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from migrator.core.translation import DEFERRED, DEFERRED_TYPE, Crosswalk
from migrator.mapping.bound import LookupTarget


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one batch; `back`: they hold ids of the new side."""

    crosswalk: Crosswalk
    back: bool

    def resolve(
        self, rows: pa.Table, name: str, targets: Sequence[LookupTarget], types: Sequence[str | None] | None
    ) -> pa.Table:
        """`rows` with the column `name` as ids of the other side; a link without partner is null, and deferred."""
        held = rows[name].to_pylist()
        wanted = [
            [target for target in targets if types is None or types[row] in target.types] if value else []
            for row, value in enumerate(held)
        ]
        partners = self._ask(held, wanted)
        ids: list[str | None] = []
        deferred = rows[DEFERRED].to_pylist()
        for value, among, waiting in zip(held, wanted, deferred, strict=True):
            found = dict.fromkeys(
                partners[target.mapping, record]
                for target in among
                if (target.mapping, record := self._record(target, value)) in partners
            )
            ids.append(next(iter(found)) if len(found) == 1 else None)
            if not found:
                waiting += [
                    {"field": name, "mapping": target.mapping, "record": self._record(target, value)}
                    for target in among
                ]
        position = rows.column_names.index(name)
        resolved = rows.set_column(position, name, pa.array(ids, pa.string()))
        return resolved.set_column(
            resolved.column_names.index(DEFERRED), DEFERRED, pa.array(deferred, DEFERRED_TYPE)
        )

    def _record(self, target: LookupTarget, value: str) -> str:
        return value if self.back else f"{target.source.name}:{value}"

    def _ask(
        self, held: Sequence[str], wanted: Iterable[Sequence[LookupTarget]]
    ) -> dict[tuple[str, str], str]:
        """(Mapping, record) → id on the other side."""
        asked: dict[str, dict[str, LookupTarget]] = {}
        for value, among in zip(held, wanted, strict=True):
            for target in among:
                asked.setdefault(target.mapping, {})[self._record(target, value)] = target
        found: dict[tuple[str, str], str] = {}
        for mapping, records in asked.items():
            answer = self.crosswalk.old_ids if self.back else self.crosswalk.new_ids
            for record, partner in answer(mapping, list(records)).items():
                source, _, key = partner.partition(":")
                if not self.back or source == records[record].source.name:
                    found[mapping, record] = key if self.back else partner
        return found
