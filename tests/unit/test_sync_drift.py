"""A schema that changes in a dual run: the field stands still and the run is red, all else flows; without the look it would be overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging import sync_tables as t
from migrator.sync import guard
from migrator.sync.report import Status
from tests.sync_world import World, world


@pytest.fixture
def linked(tmp_path: Path) -> tuple[World, str, str]:
    found = world(tmp_path)
    name = found.old.add("Account", Name="Ada", City="Basel")
    assert found.night().status is Status.GREEN
    return found, name, found.partner(name)


def described(found: World, change: dict[str, object] | None, *, field: str = "City") -> None:
    """From now on the old side describes one field otherwise, or no longer."""
    real = found.old.describe

    def describe() -> Sequence[ObjectSchema]:
        (schema,) = real()
        fields = [
            replace(one, **change) if one.name == field and change else one  # type: ignore[arg-type]
            for one in schema.fields
            if one.name != field or change is not None
        ]
        return [replace(schema, fields=tuple(fields))]

    found.old.describe = describe  # type: ignore[method-assign]


CHANGES = [None, {"type": FieldType.INTEGER}, {"read_only": True}]


@pytest.mark.parametrize("change", CHANGES, ids=["gone", "type", "read-only"])
def test_a_field_that_changed_stands_still_and_the_others_flow(
    linked: tuple[World, str, str], change: dict[str, object] | None
) -> None:
    found, name, partner = linked
    described(found, change)
    found.old.edit("Account", name, City="Bern", Name="Ada L")
    report = found.night()
    assert (report.status, report.exit_code) == (Status.RED, 5)
    assert "drift" in {cause.code for cause in report.causes}
    assert found.new.values("customer", partner) | {"city": "Basel", "name": "Ada L"} == found.new.values(
        "customer", partner
    )
    with found.ledger.begin() as connection:
        connection.execute(t.snapshots.delete())
    if change is not None:
        found.night(full=True)
        assert found.new.values("customer", partner)["city"] == "Bern"


def test_without_the_look_the_field_would_flow(
    linked: tuple[World, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, name, partner = linked
    described(found, {"length": 3})
    monkeypatch.setattr(guard, "check_drift", lambda *_: None)
    found.old.edit("Account", name, City="Bern")
    assert found.night().status is Status.GREEN
    assert found.new.values("customer", partner)["city"] == "Bern"


def test_the_first_look_is_the_approval_and_is_kept(linked: tuple[World, str, str]) -> None:
    found, _, _ = linked
    with found.ledger.read() as connection:
        systems = (
            connection.execute(sa.select(t.snapshots.c.system).order_by(t.snapshots.c.system)).scalars().all()
        )
    assert systems == ["new", "old"]
    assert found.night().status is Status.GREEN


def test_a_field_that_is_merely_new_is_told_once_and_stops_nothing(linked: tuple[World, str, str]) -> None:
    found, name, partner = linked
    real = found.old.describe

    def describe() -> Sequence[ObjectSchema]:
        (schema,) = real()
        return [replace(schema, fields=(*schema.fields, FieldSchema("Fax__c", FieldType.STRING)))]

    found.old.describe = describe  # type: ignore[method-assign]
    found.old.edit("Account", name, City="Bern")
    report = found.night()
    assert (report.status, report.added) == (Status.GREEN, ["old: Account.Fax__c"])
    assert found.new.values("customer", partner)["city"] == "Bern"
    found.old.describe = real  # type: ignore[method-assign]
    assert found.night().added == []
    found.old.describe = describe  # type: ignore[method-assign]
    assert found.night().added == []
