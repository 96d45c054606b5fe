"""The shipped mappings to Fxiaoke load a small CRM into its sandbox over HTTP, not only into the database of the rehearsal."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from migrator.commands.project import FILE, load_project
from migrator.commands.shipped import Template, init_from_template, templates
from migrator.commands.steps import run
from migrator.commands.validate import validate
from tests.e2e.test_shipped_mappings import export_for, make_views
from tests.live.fxiaoke_world import settings, tenant

pytestmark = pytest.mark.live
TEMPLATES = [
    pytest.param(item, id=item.name, marks=() if item.name.startswith("salesforce") else pytest.mark.slow)
    for item in templates()
    if item.name.endswith("-to-fxiaoke")
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_small_crm_moves_whole(template: Template, tmp_path: Path) -> None:
    truth = export_for(template, tmp_path)
    make_views(template, truth.path)
    init_from_template(tmp_path / "project", template.name, [str(truth.path)])
    path = tmp_path / "project" / FILE
    with tenant() as box:
        told = yaml.safe_load(path.read_text("utf-8"))
        wide = {"calls": 1_000_000, "daily": 1_000_000_000}
        told["systems"]["crm"] = {"connector": "fxiaoke", **settings(box, **wide)}
        path.write_text(yaml.safe_dump(told, allow_unicode=True), "utf-8")
        project = load_project(tmp_path / "project")
        report = run(project)

        assert report.accounting.closed
        assert report.load is not None
        refused = {item.name: dict(item.outcomes) for item in report.load.objects if item.refused}
        assert not refused
        assert box.store.count("AccountObj") > 0
        assert validate(project).holds
