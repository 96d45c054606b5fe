"""The batches of one pass over one object: put on record, sent, matched, and the answers on record, a few of them at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import pyarrow as pa

from migrator.core.boundary import boundary
from migrator.core.mapped import MappedObject
from migrator.load.intents import Intents
from migrator.load.send import Interrupted, Sender
from migrator.staging.store import Building

ROUNDS = 4
"""A batch is worth so many calls in each lane, however many rows were planned into it: a crash makes no more again."""
FEWEST_ROWS = 100
"""But no fewer rows than these: each batch is two small files."""


class Batches:
    """Carries batches of one pass; `step` is 'load' for rows and 'links' for what is set later."""

    def __init__(
        self, step: str, obj: MappedObject, intents: Intents, building: Building, sender: Sender
    ) -> None:
        self._step, self._obj = step, obj
        self._intents, self._building, self._sender = intents, building, sender
        self._write = sender.upsert if step == "load" else sender.update
        self._intending, self._recording = threading.Lock(), threading.Lock()

    def carry_all(self, batches: Iterable[pa.Table]) -> Iterator[tuple[int, pa.ChunkedArray]]:
        """The rows and outcomes of each batch in turn; raises what kept one from being sent whole, its answers on record."""
        return self._sender.lanes.ahead(self._carry, enumerate(self._cut(batches)))

    def _cut(self, batches: Iterable[pa.Table]) -> Iterator[pa.Table]:
        calls = ROUNDS * max(2, self._sender.lanes.most)
        size = max(FEWEST_ROWS, self._sender.target.facts.batch_rows * calls)
        for batch in batches:
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)

    def _carry(self, numbered: tuple[int, pa.Table]) -> tuple[int, pa.ChunkedArray]:
        number, batch = numbered
        with self._intending:
            self._intents.keep(batch)
        boundary(f"{self._step}.batch-intended")
        try:
            answers = self._write(self._obj, batch)
        except Interrupted as interrupted:
            if interrupted.recorded.num_rows:
                self._record(interrupted.recorded, number)
            raise interrupted.error from interrupted
        boundary(f"{self._step}.batch-answered")
        self._record(answers, number)
        return batch.num_rows, answers.column("outcome")

    def _record(self, answers: pa.Table, number: int) -> None:
        with self._recording:
            self._building.add_table(answers, number=number)
