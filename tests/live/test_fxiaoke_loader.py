"""The loader into Fxiaoke over HTTP: lost answers, a killed process in mid-batch and the engine's gate leave each record there once."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sandbox.faults import Do, Fault
from migrator.core.clock import SystemClock
from migrator.core.connector import Limits, Rate
from migrator.core.mapped import MappedObject, MappedSource
from migrator.core.pace import Pace
from migrator.core.retry import RetryPolicy
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging.store import Kind
from tests.live.fxiaoke_world import KEY, held, target, tenant
from tests.load_world import Rows, put, world

pytestmark = pytest.mark.live
CREATE = "*/data/create"
STORM = [
    Fault(do, path=path, chance=0.06, seconds=0.6 if "timeout" in do.value else None)
    for do in (Do.RESET, Do.RESET_AFTER, Do.TRUNCATE, Do.HTML, Do.UNAVAILABLE, Do.TIMEOUT_AFTER)
    for path in (CREATE, "*/data/query")
]
QUICK = RetryPolicy(attempts=60, first=0.001, longest=0.01)


def account() -> MappedObject:
    fields = (
        FieldSchema(KEY, FieldType.STRING, required=True, unique=True), FieldSchema("name", FieldType.STRING),
        FieldSchema("tel", FieldType.STRING),
    )  # fmt: skip
    return MappedObject(
        name="account", target_system="crm", target_object="AccountObj", key=KEY,
        schema=ObjectSchema("AccountObj", KEY, fields), sources=(MappedSource("s", "old", "Account", "Id"),), fingerprint="1",
    )  # fmt: skip


def rows(count: int, tel: str = "1") -> Rows:
    return Rows({f"s:{n:03}": {KEY: f"a{n:03}", "name": f"客户 {n}", "tel": tel} for n in range(count)})


def whole(count: int, tel: str = "1") -> list[tuple[str, str, str]]:
    return [(f"a{n:03}", f"客户 {n}", tel) for n in range(count)]


def test_a_load_through_a_storm_of_lost_answers_makes_each_record_once(tmp_path: Path) -> None:
    with tenant(*STORM) as box, world(tmp_path) as work:
        put(work, account(), rows(40))
        work.plan(((account(),),), batch_rows=10)
        report = work.load(target(box, timeout=0.3), ((account(),),), policy=QUICK)

        assert report.refused == 0
        assert held(box, "AccountObj", "name", "tel") == whole(40)
        known = {row["target_key"]: row["target_id"] for row in work.query(Kind.CROSSWALK, "account")}
        assert {key: [found] for key, found in known.items()} == {
            key: box.store.find("AccountObj", **{KEY: key}) for key in known
        }


class Deadly:
    """A gate before which the process is killed."""

    def __init__(self, creates: int) -> None:
        self.left = creates

    def admit(self, scope: str = "", requests: int = 1) -> None:
        self.left -= requests if scope.endswith("data/create") else 0
        if self.left < 0:
            raise KeyboardInterrupt

    def hold(self, seconds: float, scope: str = "") -> None:
        """Nothing is held."""

    def spent(self, used: int, limit: int | None = None) -> None:
        """Nobody counts."""


@pytest.mark.parametrize("do", [Do.TIMEOUT_BEFORE, Do.TIMEOUT_AFTER, Do.RESET_AFTER])
def test_a_load_that_is_killed_in_mid_batch_is_finished_by_the_next_one(do: Do, tmp_path: Path) -> None:
    """The thirteenth create is not answered, and the process dies before the fifteenth; the next one knows nothing of it."""
    fault = Fault(do, path=CREATE, nth=(13,), seconds=0.6 if "timeout" in do.value else None)
    with tenant(fault) as box, world(tmp_path) as work:
        put(work, account(), rows(30))
        work.plan(((account(),),), batch_rows=10)
        doomed = target(box, timeout=0.3)
        doomed.pace(Deadly(14))
        with pytest.raises(KeyboardInterrupt):
            work.load(doomed, ((account(),),), policy=QUICK)
        assert len(held(box)) == (13 if do is Do.TIMEOUT_BEFORE else 14)
        report = work.load(target(box), ((account(),),), policy=QUICK)

        assert report.refused == 0
        assert held(box, "AccountObj", "name", "tel") == whole(30)
        assert box.calls("data/create") == (31 if do is Do.TIMEOUT_BEFORE else 30)


def test_a_second_load_sends_nothing_and_a_change_only_what_changed(tmp_path: Path) -> None:
    with tenant() as box, world(tmp_path) as work:
        put(work, account(), rows(5))
        work.run(target(box), ((account(),),))
        writes = box.calls("create") + box.calls("update")
        assert work.run(target(box), ((account(),),)).written == 0
        assert box.calls("create") + box.calls("update") == writes == 5
        put(work, account(), rows(5, tel="2"))
        work.run(target(box), ((account(),),))
        assert held(box, "AccountObj", "name", "tel") == whole(5, "2")
        assert box.calls("update") == 5


def test_under_the_engines_gate_hardly_a_call_is_refused_by_the_limit(tmp_path: Path) -> None:
    limits = Limits((Rate(20, 1.0, "*"), Rate(10, 60.0, "/oauth2.0/token")), parallel=100)
    with tenant(limits=limits) as box, world(tmp_path, SystemClock()) as work:
        put(work, account(), rows(60))
        work.plan(((account(),),), batch_rows=20)
        crm = target(box, calls=20, window=1)
        crm.pace(Pace("crm", crm.limits, SystemClock()))
        work.load(crm, ((account(),),))

        assert held(box, "AccountObj", "name", "tel") == whole(60)
        assert box.refused() <= 2  # the gate counts when a call leaves, the system when it arrives


def test_a_gate_too_fast_for_the_system_is_pushed_back_and_still_ends_whole(tmp_path: Path) -> None:
    with (
        tenant(limits=Limits((Rate(10, 0.3, "*"),), parallel=100)) as box,
        world(tmp_path, SystemClock()) as work,
    ):
        put(work, account(), rows(30))
        work.plan(((account(),),), batch_rows=30)
        work.load(target(box, window=0.3), ((account(),),), policy=RetryPolicy(attempts=60))

        assert held(box, "AccountObj", "name", "tel") == whole(30)
        assert box.refused() > 0
