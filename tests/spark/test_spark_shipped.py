"""Every shipped mapping on both engines over a small CRM of its system: the same rows, and nothing left to this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.commands.binding import bind_project
from migrator.commands.project import load_project, open_workspace
from migrator.commands.shipped import Template, init_from_template
from migrator.commands.steps import extract
from migrator.mapping.compile import compile_mapping
from migrator.mapping.run import register
from migrator.staging.engine import EngineSettings
from migrator.staging.store import Kind
from tests.e2e.test_shipped_mappings import TEMPLATES, export_for, make_views
from tests.spark.compared import open_compared

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda item: item.name)
def test_a_shipped_mapping_gives_the_same_rows(
    settings: EngineSettings, template: Template, tmp_path: Path
) -> None:
    truth = export_for(template, tmp_path)
    make_views(template, truth.path)
    init_from_template(tmp_path / "project", template.name, [str(truth.path)])
    project = load_project(tmp_path / "project")
    extract(project)
    told: list[str] = []
    with open_workspace(project) as workspace:
        for bound in bind_project(workspace).mappings:
            compiled = compile_mapping(bound)
            staged = {
                name: workspace.store.need(Kind.STAGED, name, made_by="extract")
                for name in compiled.relations
            }
            session = open_compared(settings, project.workspace, told)
            register(session, compiled, staged)
            assert session.fetch(compiled.sql).num_rows, bound.name
            assert session.carried == 1
            session.close()
    assert told == []
