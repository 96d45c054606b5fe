"""Laws of stages over random worlds: each is closed, and loading them one after the other ends as loading all at once."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.commands.stages import closed_sets, cut
from migrator.core.mapped import First, Link, MappedObject
from migrator.mapping.order import order
from migrator.staging.accounting import account
from migrator.staging.store import Kind
from migrator.testing.memory import MemoryTarget
from tests.load_world import Rows, World, mapped_object, put, world

NAMES = ("a", "b", "c", "d", "e")
IDS = ("1", "2", "3")
SETTLED = "__id, target_key, __fp, outcome = 'refused' AS refused, code, links"


class Strict(MemoryTarget):
    """Refuses rows by their key, and rows that point to a record that is closed by then."""

    def __init__(self, poison: frozenset[str]) -> None:
        super().__init__(assigns_ids=False)
        self._poison = poison

    def _check(self, stored: Any, record_id: str | None, record: Mapping[str, Any], key: object) -> Any:
        if f"{stored.schema.name}/{key}" in self._poison:
            return self._no(key, "poison")
        for field in stored.schema.fields:
            for name in field.references if record.get(field.name) is not None else ():
                to = self._objects[name].records.get(record[field.name]) if name in self._objects else None
                if to is not None and to.get("state") == "closed" and record_id is None:
                    return self._no(key, "closed")
        return super()._check(stored, record_id, record, key)

    def _no(self, key: object, code: str) -> dict[str, Any]:
        return {"key": str(key), "target_id": None, "outcome": "refused", "code": code, "field": "name", "message": "no"}  # fmt: skip


@dataclass
class Drawn:
    groups: tuple[tuple[MappedObject, ...], ...]
    rows: dict[str, Rows]
    poison: frozenset[str]

    @property
    def objects(self) -> list[MappedObject]:
        return [item for group in self.groups for item in group]


@st.composite
def worlds(draw: st.DrawFn) -> Drawn:
    """Objects that link to one another anyhow, some to two at once, some into one target object, some with a state set last."""
    made = []
    for place, name in enumerate(NAMES):
        links = []
        for number in range(draw(st.integers(0, 2))):
            ends = tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)))
            fixed = draw(st.booleans()) and all(NAMES.index(end) < place for end in ends)
            links.append(Link(f"link{number}", ends, required=fixed))
        into = draw(st.sampled_from(["", "", "", "shared"]))
        item = mapped_object(name, "key name state", links=links, dedupe=True, target=into)
        made.append(replace(item, firsts=(First("state", "open"),)) if draw(st.booleans()) else item)
    rows = {}
    for item in made:
        ids = draw(st.lists(st.sampled_from(IDS), unique=True))
        values = {}
        for one in ids:
            ends = {
                link.field: draw(
                    st.sampled_from([None, *(f"{end}/s:{n}" for end in link.mappings for n in IDS)])
                )
                for link in item.links
            }
            state = draw(st.sampled_from(["open", "closed"])) if item.firsts else None
            values[one] = {**ends, "state": state, "key": f"{item.name}{one}"}
        bad = dict.fromkeys(draw(st.sets(st.sampled_from(ids or ["-"]), max_size=1)) & set(ids), "rule.x")
        good = sorted(set(ids) - set(bad))
        merged = {good[1]: good[0]} if len(good) > 1 and draw(st.booleans()) else {}
        rows[item.name] = Rows(values, bad, {}, merged)
    for item in rows.values():  # a link into nothing is the mapping's to tell
        for values in item.values.values():
            for field, end in values.items():
                name, _, one = str(end).partition("/s:")
                if one and one not in rows[name].values:
                    values[field] = None  # type: ignore[index]
    keys = [f"{item.target_object}/{item.name}{one}" for item in made for one in IDS]
    return Drawn(order(made), rows, draw(st.frozensets(st.sampled_from(keys), max_size=2)))


def state(here: World, target: Strict, drawn: Drawn) -> dict[str, Any]:
    """All that a user could see of the end."""
    names = sorted({item.target_object for item in drawn.objects})
    return {
        "target": {
            name: sorted((row for page in target.read(name) for row in page.to_pylist()), key=repr)
            for name in names
        },
        "account": account(here.store, here.session, drawn.objects).to_json(),
        "crosswalk": {
            item.name: here.query(Kind.CROSSWALK, item.name, SETTLED)
            for item in drawn.objects
            if here.store.current(Kind.CROSSWALK, item.name)
        },
    }


def loaded(drawn: Drawn, *, staged: bool) -> tuple[dict[str, Any], list[int]]:
    """The end, and how many rows each load sent."""
    sent, covered = [], frozenset[str]()
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        target = Strict(drawn.poison)
        for closed in closed_sets(drawn.objects) if staged else []:
            for item in drawn.objects:
                if item.name in closed - covered:
                    put(here, item, drawn.rows[item.name])
            covered |= closed
            sent.append(here.run(target, cut(drawn.groups, covered)).written)
        for item in drawn.objects:
            if item.name not in covered:
                put(here, item, drawn.rows[item.name])
        sent.append(here.run(target, drawn.groups).written)
        return state(here, target, drawn), sent


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_stages_are_closed_and_cover_everything(drawn: Drawn) -> None:
    by_name = {item.name: item for item in drawn.objects}
    covered = frozenset[str]()
    for closed in closed_sets(drawn.objects):
        assert closed - covered, "a stage that adds nothing"
        covered |= closed
        for name in covered:
            item = by_name[name]
            assert {end for link in item.links for end in link.mappings} <= covered
            for other in drawn.objects:
                if other.target_object == item.target_object:
                    assert other.name in covered
                if item.firsts and any(name in link.mappings for link in other.links):
                    assert other.name in covered
    assert covered == set(by_name)


@given(worlds())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_loading_stage_by_stage_ends_as_loading_at_once(drawn: Drawn) -> None:
    at_once, _ = loaded(drawn, staged=False)
    by_stages, sent = loaded(drawn, staged=True)
    for what, found in at_once.items():
        assert by_stages[what] == found, what
    assert sent[-1] == 0, "the last plan, over everything, finds nothing to send"
