"""Every shipped mapping moves a small CRM of its system: init, check, its own tests, run; only what was spoiled is held."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from migrator.commands.binding import bind_project, read_mappings
from migrator.commands.project import Project, load_project, open_workspace
from migrator.commands.quarantine import Wanted, quarantine
from migrator.commands.shipped import Template, TemplateReport, init_from_template, templates
from migrator.commands.steps import RunReport
from migrator.commands.steps import run as run_steps
from migrator.commands.trial import run_tests
from migrator.commands.validate import validate
from migrator.core.mapped import MappedObject, MappedSource
from migrator.core.schema import schemas_from_json
from migrator.testing.synthetic.legacy import LegacyTruth
from migrator.testing.synthetic.legacy_exports import WRITERS, generate_legacy
from migrator.testing.synthetic.standard_files import StandardTruth, generate_standard

SIZE = 16
ALWAYS_HELD = ("missing", "orphan")
"""Faults that every mapping must hold back: a required name, a link that must be; the others are a mapping's choice."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A template filled in."""

    template: Template
    truth: LegacyTruth
    project: Project
    report: TemplateReport


@dataclass(frozen=True, slots=True)
class Moved:
    """A template tried on a small CRM."""

    template: Template
    truth: LegacyTruth
    project: Project
    run: RunReport
    objects: tuple[MappedObject, ...]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What the target holds."""
        engine = sa.create_engine(f"sqlite:///{self.project.folder / 'new.db'}")
        try:
            with engine.connect() as connection:
                return [dict(row._mapping) for row in connection.execute(sa.text(f'SELECT * FROM "{table}"'))]
        finally:
            engine.dispose()

    def sources(self, object_name: str) -> Iterable[tuple[MappedObject, MappedSource]]:
        """The mappings that read an object of the old system."""
        return ((item, one) for item in self.objects for one in item.sources if one.object == object_name)


def system_of(template: Template) -> str:
    """The system that a template reads from: the first word of its name."""
    return template.name.partition("-to-")[0]


def source_schema(template: Template) -> Path:
    """The schema of the old system, where a template ships it: then every object and column of it is written."""
    return template.folder / "schemas" / f"{system_of(template)}.json"


def export_for(template: Template, folder: Path) -> LegacyTruth:
    """A small CRM of the template's system."""
    schema, system = source_schema(template), system_of(template)
    if schema.is_file():
        return generate_standard(folder, system, schemas_from_json(schema.read_text(encoding="utf-8")))
    return generate_legacy(folder, system, size=SIZE)


TEMPLATES = [item for item in templates() if system_of(item) in WRITERS or source_schema(item).is_file()]


@pytest.fixture(scope="module", params=TEMPLATES, ids=lambda item: item.name)
def ready(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A template with its source filled in; nothing is read yet."""
    folder: Path = tmp_path_factory.mktemp("shipped")
    template: Template = request.param
    truth = export_for(template, folder)
    make_views(template, truth.path)
    report = init_from_template(folder / "project", template.name, [str(truth.path)])
    assert not report.problems, "\n".join(map(str, report.problems))
    return Ready(template, truth, load_project(folder / "project"), report)


def make_views(template: Template, database: Path) -> None:
    """What the README tells to do first in a source that is a database."""
    script = template.folder / "views.sql"
    if script.is_file():
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(script.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def moved(ready: Ready) -> Moved:
    """The same after one run."""
    done = run_steps(ready.project)
    with open_workspace(ready.project) as workspace:
        groups = bind_project(workspace).groups
    objects = tuple(item for group in groups for item in group)
    return Moved(ready.template, ready.truth, ready.project, done, objects)


def test_there_is_a_writer_for_every_shipped_mapping() -> None:
    assert {item.name for item in templates()} == {item.name for item in TEMPLATES}


def test_it_loses_nothing_that_nobody_accepted(ready: Ready) -> None:
    assert ready.report.checked is not None
    codes = {item.code: str(item) for item in ready.report.checked.warnings}
    assert not codes.keys() - {"dropped.object"}, codes


def test_every_mapping_has_tests_and_they_hold(ready: Ready) -> None:
    without = [item.name for item in read_mappings(ready.project) if not item.rule.tests]
    assert not without
    report = run_tests(ready.project)
    assert not report.failed, [(item.mapping, item.test, item.differences) for item in report.failed]


def test_it_says_what_moves_and_what_a_person_must_decide(ready: Ready) -> None:
    told = (ready.template.folder / "README.md").read_text(encoding="utf-8")
    assert all(f"| {item.name}" in told or f", {item.name}" in told for item in read_mappings(ready.project))
    assert "must decide" in told


@pytest.mark.slow
def test_every_record_is_accounted_for_and_every_mapping_moved_some(moved: Moved) -> None:
    accounting = moved.run.accounting
    assert accounting.closed
    for item in accounting.objects:
        assert item.counts["loaded"], item.name
        assert not item.counts["pending"], (item.name, item.reasons)


@pytest.mark.slow
def test_nothing_is_held_back_but_what_was_spoiled(moved: Moved) -> None:
    held = {
        (one.object, row.record.partition(":")[2])
        for row in quarantine(moved.project, Wanted(), limit=1000).rows
        for item in moved.objects
        if item.name == row.object
        for one in item.sources
        if one.name == row.record.partition(":")[0]
    }
    assert held <= set(moved.truth.faults), held - set(moved.truth.faults)
    read = {one.object for item in moved.objects for one in item.sources}
    must = {place for place, what in moved.truth.faults.items() if what in ALWAYS_HELD and place[0] in read}
    assert must <= held, must - held


@pytest.mark.slow
def test_links_lead_where_they_led(moved: Moved) -> None:
    tried = 0
    for (name, column), expected in moved.truth.links.items():
        for item, source in moved.sources(name):
            for field in linked_by(moved, item, source, column):
                stored = {row[item.key]: row[field] for row in moved.rows(item.target_object)}
                for key, (target, to) in expected.items():
                    record = f"{source.name}:{key}"
                    if record not in stored:
                        continue
                    ids = {f"{one.name}:{to}" for _, one in moved.sources(target)}
                    assert stored[record] in ids, (item.name, field, record)
                    tried += 1
    assert tried > SIZE


def linked_by(moved: Moved, item: MappedObject, source: MappedSource, column: str) -> list[str]:
    """Link fields that take their value from this column as it is."""
    mapping = next(one for one in read_mappings(moved.project) if one.name == item.name)
    named = next(one for one in mapping.sources if one.name == source.name)
    links = {link.field for link in item.links}
    return [
        name
        for name in mapping.field_names
        if name in links and mapping.field(named, name).rule.from_ == column
    ]


RELATIONS: Mapping[str, str] = {
    "dynamics-to-salesforce": """
        opportunity.AccountId customerid parentaccountid; opportunity_line.OpportunityId opportunityid
        opportunity_line.PricebookEntryId productid; campaign_member.CampaignId listid regardingobjectid
        campaign_member.ContactId contactid customer; campaign_member.LeadId leadid customer; case.ContactId customerid primarycontactid
        note.ParentId objectid; file.FirstPublishLocationId objectid; task.WhatId regardingobjectid
        task.WhoId regardingobjectid to from; event.WhatId regardingobjectid; email_message.RelatedToId regardingobjectid""",
    "salesforce-to-dynamics": """
        opportunity.customerid AccountId; opportunity_line.opportunityid OpportunityId; opportunity_line.productid Product2Id
        list_member.listid CampaignId; list_member.entityid ContactId LeadId; campaign_response.regardingobjectid CampaignId
        campaign_list.entityid Id; party.partyid WhoId ContactId LeadId; party.activityid Id; case.customerid AccountId ContactId
        note.objectid ParentId FirstPublishLocationId; task.regardingobjectid WhatId WhoId; phone_call.regardingobjectid WhatId WhoId
        appointment.regardingobjectid WhatId WhoId; email.regardingobjectid ParentId RelatedToId""",
}
"""Template → MAPPING.LINK and the columns of the old record of which one says where it leads, computed links too."""


@pytest.mark.slow
def test_relationships_survive(moved: Moved) -> None:
    mappings = {item.name: item for item in moved.objects}
    for line in re.split(r"[;\n]", RELATIONS.get(moved.template.name, "")):
        link, *names = line.split() or [""]
        if not link:
            continue
        name, _, field = link.partition(".")
        item, tried = mappings[name], 0
        assert isinstance(moved.truth, StandardTruth)
        for stored in moved.rows(item.target_object):
            source = next((one for one in item.sources if stored[item.key].startswith(f"{one.name}:")), None)
            if source is None or stored[field] is None:
                continue
            key = stored[item.key].removeprefix(f"{source.name}:")
            row = next(one for one in moved.truth.tables[source.object] if one[source.key] == key)
            told = [row.get(column) or "" for column in names]
            assert any(stored[field].partition(":")[2] in text for text in told), (link, key)
            tried += 1
        assert tried, link


@pytest.mark.slow
def test_a_second_run_changes_nothing(moved: Moved) -> None:
    before = {item.target_object: moved.rows(item.target_object) for item in moved.objects}
    again = run_steps(moved.project)
    assert again.accounting.closed
    assert {item.target_object: moved.rows(item.target_object) for item in moved.objects} == before


@pytest.mark.slow
def test_the_target_holds_what_it_should(moved: Moved) -> None:
    assert validate(moved.project).holds
