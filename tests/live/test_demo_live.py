"""`migrator demo --live`: the main job between three sandboxes in processes of their own, over HTTP, limits and all."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.commands.demo_live import demo_live
from migrator.core.errors import ProjectError

pytestmark = pytest.mark.live


def test_two_live_systems_become_one_and_every_record_is_accounted_for(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    report = demo_live(folder, scale=100, seed=7)

    assert report.run.validation is not None
    assert report.run.validation.holds
    load = report.run.steps.load
    assert load is not None
    counted = {item.name: item.outcomes for item in load.objects}
    assert set(counted) == {"user", "account", "contact", "opportunity"}
    assert all(outcomes.get("created", 0) > 0 for outcomes in counted.values())
    assert load.refused == 0
    assert report.run.steps.accounting.closed
    assert report.run.validation.html.is_file()
    text = (folder / "migration.yaml").read_text("utf-8")
    assert "sandbox-secret" not in text
    with pytest.raises(ProjectError, match="another folder"):
        demo_live(folder, scale=100, seed=7)
