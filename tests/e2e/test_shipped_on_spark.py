"""Every shipped mapping is carried to Spark whole: none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.commands.binding import bind_project, staged_types
from migrator.commands.project import Project, load_project, open_workspace
from migrator.commands.shipped import Template, init_from_template
from migrator.core.errors import ProjectError
from migrator.mapping import compile_mapping
from migrator.mapping.dialects.carry import for_spark
from migrator.testing.synthetic import Truth
from tests.e2e.demo_project import MAPPINGS, make_project
from tests.e2e.test_shipped_mappings import TEMPLATES, export_for, make_views


def refused(project: Project) -> dict[str, list[str]]:
    """Each mapping of a project, and where and why Spark cannot compute it; nothing where it can."""
    found: dict[str, list[str]] = {}
    with open_workspace(project) as workspace:
        for bound in bind_project(workspace).mappings:
            try:
                for_spark(compile_mapping(bound), lambda name: staged_types(workspace, name), bound.place)
                found[bound.name] = []
            except ProjectError as error:
                found[bound.name] = [str(item) for item in error.problems]
    return found


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda item: item.name)
def test_every_shipped_mapping_is_carried_to_spark(template: Template, tmp_path: Path) -> None:
    truth = export_for(template, tmp_path)
    make_views(template, truth.path)
    init_from_template(tmp_path / "project", template.name, [str(truth.path)])
    names = {path.stem for path in (template.folder / "mappings").glob("*.yaml")}
    assert refused(load_project(tmp_path / "project")) == {name: [] for name in names}


def test_every_mapping_of_the_demo_is_carried_to_spark(truth: Truth, tmp_path: Path) -> None:
    here = make_project(tmp_path, truth)
    assert refused(load_project(here.folder)) == {name: [] for name in MAPPINGS}
