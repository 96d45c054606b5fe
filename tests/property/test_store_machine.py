"""A machine plays building, crashing, resuming, completing and sweeping against a plain model: no half dataset ever shows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from migrator.staging.ledger import open_ledger
from migrator.staging.store import Building, Finished, Kind, Store, write_table

KINDS = (Kind.STAGED, Kind.REJECTS)
FINGERPRINTS = st.sampled_from(["f", "g"])


def _rows(values: list[int]) -> pa.Table:
    return pa.table({"a": pa.array(values, pa.int64())})


class _Crash(BaseException):
    """The process dies here."""


class StoreMachine(RuleBasedStateMachine):
    """`done` is what must be visible per kind; `parts` what is committed of the unfinished pair."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.root = Path(self.scratch.name)
        self.ledger = open_ledger(f"sqlite:///{self.root / 'ledger.db'}")
        self.store = Store(self.root / "staging", self.ledger)
        self.buildings: dict[Kind, Building] = {}
        self.unfinished: dict[Kind, tuple[str, list[list[int]]]] = {}
        self.done: dict[Kind, tuple[str, list[int]]] = {}

    def teardown(self) -> None:
        self.ledger.close()
        self.scratch.cleanup()

    @rule(kind=st.sampled_from(KINDS), fingerprint=FINGERPRINTS, resume=st.booleans())
    def build(self, kind: Kind, fingerprint: str, resume: bool) -> None:
        building = self.store.build(kind, "a/b", fingerprint, resume=resume)
        before = self.unfinished.get(kind)
        if not (resume and before is not None and before[0] == fingerprint):
            self.unfinished[kind] = (fingerprint, [])
        assert [part.rows for part in building.parts] == [len(part) for part in self.unfinished[kind][1]]
        self.buildings[kind] = building

    @precondition(lambda self: self.buildings)
    @rule(data=st.data(), values=st.lists(st.integers(0, 99), max_size=3))
    def add(self, data: st.DataObject, values: list[int]) -> None:
        kind = data.draw(st.sampled_from(sorted(self.buildings, key=KINDS.index)))
        self.buildings[kind].add_table(_rows(values))
        self.unfinished[kind][1].append(values)

    @precondition(lambda self: self.buildings)
    @rule(data=st.data(), written=st.booleans())
    def die_while_writing(self, data: st.DataObject, written: bool) -> None:
        kind = data.draw(st.sampled_from(sorted(self.buildings, key=KINDS.index)))

        def half(path: Path) -> int:
            if written:
                write_table(_rows([1]), path)
            else:
                path.write_bytes(b"PAR1 and then")
            raise _Crash

        try:
            self.buildings[kind].add(half)
        except _Crash:
            self.reopen()

    @rule()
    def reopen(self) -> None:
        self.store = Store(self.root / "staging", self.ledger)
        self.buildings = {}

    @precondition(lambda self: self.buildings)
    @rule(data=st.data(), number=st.integers(0, 3))
    def truncate(self, data: st.DataObject, number: int) -> None:
        kind = data.draw(st.sampled_from(sorted(self.buildings, key=KINDS.index)))
        self.buildings[kind].truncate(number)
        del self.unfinished[kind][1][number:]

    @precondition(lambda self: any(building.parts for building in self.buildings.values()))
    @rule(data=st.data(), values=st.lists(st.integers(100, 199), max_size=2), then_complete=st.booleans())
    def replace(self, data: st.DataObject, values: list[int], then_complete: bool) -> None:
        kind = data.draw(st.sampled_from([kind for kind in KINDS if self._parts(kind)]))
        number = data.draw(st.integers(0, len(self._parts(kind)) - 1))
        self.buildings[kind].replace(number, lambda path: write_table(_rows(values), path))
        if then_complete:
            self.unfinished[kind][1][number] = values
            self._complete([kind])
        else:
            self.reopen()  # a crash before completion: the replacement never was

    @precondition(lambda self: any(building.parts for building in self.buildings.values()))
    @rule()
    def complete_all(self) -> None:
        self._complete([kind for kind in KINDS if self._parts(kind)])

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    @rule(kind=st.sampled_from(KINDS))
    def discard(self, kind: Kind) -> None:
        self.store.discard(kind, "a/b")
        self.done.pop(kind, None)

    @invariant()
    def what_shows_is_whole(self) -> None:
        for kind in KINDS:
            found = self.store.current(kind, "a/b")
            expected = self.done.get(kind)
            if expected is None:
                assert found is None
                continue
            assert found is not None
            values = [value for path in found.files for value in pq.read_table(path).column("a").to_pylist()]
            assert (found.fingerprint, values, found.rows) == (*expected, len(expected[1]))
            assert found.intact

    def _parts(self, kind: Kind) -> list[list[int]]:
        return self.unfinished[kind][1] if kind in self.buildings else []

    def _complete(self, kinds: list[Kind]) -> None:
        self.store.complete_all([Finished(self.buildings[kind]) for kind in kinds])
        for kind in kinds:
            fingerprint, parts = self.unfinished.pop(kind)
            self.done[kind] = (fingerprint, [value for part in parts for value in part])
            del self.buildings[kind]


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
test_store = StoreMachine.TestCase
