"""The register: use measured on staged records, counterparts from mappings, decisions kept for ever, workbooks there and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from migrator.cli.main import run_app
from migrator.commands import steps
from migrator.commands.inventory import scan_functions
from migrator.commands.inventory_integrations import load_integrations, load_operations
from migrator.commands.inventory_register import (
    Register,
    Wanted,
    decide,
    list_rows,
    load_register,
    row_json,
)
from migrator.commands.inventory_report import LANGUAGES, render
from migrator.commands.inventory_report import TEXTS as CATALOGUE
from migrator.commands.inventory_steps import write_steps
from migrator.commands.inventory_workbook import export_register, import_register
from migrator.commands.project import Project, open_workspace
from migrator.core.clock import FixedClock
from migrator.core.components import ComponentKind, Found, NotUnderstood
from migrator.core.document import Document
from migrator.core.errors import DataError, ProjectError
from migrator.core.progress import Quiet
from migrator.inventory.kept import Kept, from_rows, to_table
from migrator.inventory.reasons import TEXTS
from migrator.inventory.register import Row, folded
from migrator.inventory.rules import Coverage, Decision
from migrator.inventory.scan import scan
from migrator.inventory.usage import values_told
from migrator.runbook.live import ProjectFacts
from migrator.runbook.parse import parse_runbook
from migrator.staging import journal
from migrator.staging.functions import AnswerRecord, answers, last_scans, record_answers, record_scan
from migrator.staging.ledger import Ledger, open_ledger
from tests.inventory_project import EVIL, ROOT, make_project, metadata, scan_it

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("functions"))
    scan_it(project)
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """The scanned project, a copy for this test alone."""
    folder = tmp_path / "copy"
    shutil.copytree(made.folder, folder)
    from migrator.commands.project import load_project

    return load_project(folder)


def by_name(register: Register) -> dict[str, Row]:
    return {row.item.component.name: row for row in register.rows}


def test_use_is_measured_over_all_records(made: Project) -> None:
    found = by_name(load_register(made))
    told = {
        name.removeprefix("Account."): (row.evidence.usage.rows, row.evidence.usage.filled)
        for name, row in found.items()
        if row.evidence.usage and name.startswith("Account.") and name.endswith("__c")
    }
    assert told["Old__c"] == (20, 10)
    assert told["Empty__c"] == (20, 0), (
        "blanks and the text 'null' are no value, and an empty column is 0, not absent"
    )
    assert told["Tier__c"] == (20, 20)
    old, flag, used = (found[f"Account.{name}__c"].evidence.usage for name in ("Old", "Flag", "Used"))
    assert old is not None
    assert flag is not None
    assert used is not None
    assert (old.newest, old.newest_record) == ("2014-06-01", "2019-06-01")
    assert (flag.true, flag.default) == (0, 20)
    assert (used.default, used.distinct) == (20, 1)
    assert {(one.by, one.value): (one.rows, one.filled) for one in old.segments if one.by == "business unit"} == {
        ("business unit", "北京"): (10, 5), ("business unit", "上海"): (10, 5),
    }  # fmt: skip
    years = {one.value: one.filled for one in old.segments if one.by == "year"}
    assert (years["2010"], years["2019"]) == (2, 0)
    empty = found["Account.Empty__c"].evidence.usage
    assert empty is not None
    assert empty.blank == 15


def test_proposals_come_with_counterparts_and_losses(made: Project) -> None:
    found = by_name(load_register(made))
    assert {name: (found[f"Account.{name}__c"].proposal.rule, found[f"Account.{name}__c"].counterpart.coverage) for name in
            ("Tier", "Old", "Empty", "Flag", "Used", "Gone")} == {
        "Tier": ("covered", Coverage.CONFIGURE), "Old": ("abandoned", Coverage.NONE), "Empty": ("never-filled", Coverage.NONE),
        "Flag": ("never-filled", Coverage.NONE), "Used": ("never-filled", Coverage.NONE), "Gone": ("not-analysed", Coverage.NONE),
    }  # fmt: skip
    tier, old = found["Account.Tier__c"], found["Account.Old__c"]
    assert tier.counterpart.name == "customer.tier"
    assert tier.losses == ("values of up to 9 characters, and customer.tier holds 5: they go to quarantine",)
    assert "encrypted and masked" in tier.protection_gap
    assert old.losses == ("10 values have no target: left behind: nobody reads it",)
    assert found["Rate"].evidence.use.value == "used"
    assert str(found["Account"].evidence.because) == "filled in 20 of 20 records (100.0%)"
    assert (found["Account.Gone__c"].evidence.not_measured) == "the extract has no such column"
    assert found["Account.Name"].item.component.facts["seen in"] == "records only"


def test_rows_that_reach_no_target_are_told_with_their_number(project: Project) -> None:
    text = (project.folder / "mappings" / "account.yaml").read_text(encoding="utf-8")
    excluded = "  exclude: [{when: \"Tier__c = 'A'\", reason: small fry}]\n  drop:"
    (project.folder / "mappings" / "account.yaml").write_text(
        text.replace("  drop:", excluded), encoding="utf-8"
    )
    steps.map_records(project)
    losses = load_register(project).row("Account").losses
    assert losses[:2] == (
        "10 rows of mapping account excluded: small fry",
        "10 rows of mapping account with length.exceeded",
    )
    assert any("go nowhere" in told for told in losses[2:])


def test_a_decision_has_a_reason_a_person_and_a_history(project: Project) -> None:
    with pytest.raises(ProjectError, match="needs its reason"):
        decide(project, ["Account.Old__c"], {"decision": "retire"}, who="王芳")
    with pytest.raises(ProjectError, match="who says so"):
        decide(project, ["Account.Old__c"], {"decision": "retire", "reason": "x"}, who=" ")
    with pytest.raises(ProjectError, match="did you mean 'retire'"):
        decide(project, ["Account.Old__c"], {"decision": "retired", "reason": "x"}, who="王芳")
    with pytest.raises(
        ProjectError, match=r"no such component[^?]*did you mean 'legacy/CustomField/Account\.Old__c'"
    ):
        decide(project, ["Account.Older__c"], {"decision": "retire", "reason": "x"}, who="王芳")
    first = decide(
        project,
        ["Account.Old__c", "legacy/Flow/Rate"],
        {"decision": "retire", "reason": "x", "effort": "S"},
        who="王芳",
    )
    assert first.rows == ("legacy/CustomField/Account.Old__c", "legacy/Flow/Rate")
    again = decide(project, ["Account.Old__c"], {"decision": "retire"}, who="Bob")
    assert (again.rows, again.unchanged) == ((), 1)
    decide(project, ["Account.Old__c"], {"decision": "", "owner": "Lin"}, who="Bob")
    row = load_register(project).row("Account.Old__c")
    assert (row.decision, row.answers["owner"], row.answers["effort"], row.decided_by) == (
        Decision.UNDECIDED,
        "Lin",
        "S",
        "",
    )
    assert [(one.who, dict(one.changes)) for one in row.history] == [
        ("王芳", {"decision": "retire", "reason": "x", "effort": "S"}), ("Bob", {"decision": "", "owner": "Lin"}),
    ]  # fmt: skip
    with open_workspace(project) as workspace, workspace.ledger.read() as connection:
        audit = journal.verify(connection)
        assert (audit.holds, audit.rows) == (True, 3)


def test_retiring_what_is_still_used_is_said_aloud(project: Project) -> None:
    done = decide(project, ["Account.Tier__c"], {"decision": "retire", "reason": "x"}, who="Bob")
    assert done.warnings == ("legacy/CustomField/Account.Tier__c: still used by legacy/Flow/Rate",)


def test_the_next_scan_tells_what_changed_and_keeps_decisions(project: Project) -> None:
    decide(project, ["Account.Old__c"], {"decision": "retire", "reason": "x"}, who="Bob")
    files = metadata()
    del files[f"{ROOT}/objects/Account/fields/Old__c.field-meta.xml"]
    files[f"{ROOT}/flows/Rate.flow-meta.xml"] = files[f"{ROOT}/flows/Rate.flow-meta.xml"].replace(
        "Active", "Draft"
    )
    files[f"{ROOT}/flows/New.flow-meta.xml"] = "<Flow><status>Active</status></Flow>"
    shutil.rmtree(project.folder / "metadata")
    found = scan_it(project, files)
    assert found.drift is not None
    assert found.drift.changed == ("legacy/Flow/Rate",)
    assert found.drift.added == ("legacy/Field/Account.Old__c", "legacy/Flow/New")
    assert found.drift.vanished == ("legacy/CustomField/Account.Old__c",)
    register = load_register(project)
    assert register.gone == ("legacy/CustomField/Account.Old__c",)
    assert scan_it(project, files).drift == type(found.drift)()


def test_a_broken_file_keeps_rules_from_retiring(project: Project) -> None:
    scan_it(project, metadata() | {f"{ROOT}/flows/Bad.flow-meta.xml": "<Flow"})
    found = by_name(load_register(project))
    assert found["Account.Empty__c"].proposal.decision is Decision.UNDECIDED
    assert "Bad.flow-meta.xml could not be read" in str(found["Account.Empty__c"].proposal.reason)
    assert found["Bad"].evidence.use.value == "could not analyse"


def test_a_system_that_is_described_is_a_smaller_inventory(project: Project) -> None:
    found = scan_functions(project, "legacy")
    assert found.notes
    assert found.kinds == {"field": 10, "object": 1}
    assert {row.proposal.decision for row in load_register(project).rows} <= {
        Decision.KEEP,
        Decision.BUILD,
        Decision.UNDECIDED,
    }


def test_what_cannot_be_scanned_is_told(project: Project, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("x")
    with pytest.raises(ProjectError, match="no reader of metadata knows"):
        scan_functions(project, str(tmp_path / "letters"))
    with pytest.raises(ProjectError, match="no such file or folder"):
        scan_functions(project, "nowhere")
    with pytest.raises(ProjectError, match="did you mean 'field'"):
        list_rows(project, Wanted(kinds=("feild",)))


def test_a_reader_that_loses_a_file_does_not_pass(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectors.salesforce_metadata import READER

    class Forgetful(type(READER)):  # type: ignore[misc]
        def read(self, path: Path) -> Iterator[Found | NotUnderstood]:
            return (one for one in super().read(path) if not isinstance(one, NotUnderstood))

    monkeypatch.setattr("migrator.commands.inventory.metadata_readers", lambda: (Forgetful(),))
    with pytest.raises(DataError, match=r"does not close.*README\.md"):
        scan_functions(project, str(project.folder / "metadata"), system="legacy")


def test_secrets_in_addresses_are_not_kept(made: Project) -> None:
    (found,) = load_integrations(made).found
    assert found.endpoints == ("https://sap.example.com/x",)
    assert (found.partner, found.partner_kind, found.direction) == ("sap.example.com", "ERP", "out")
    assert "s3cret" not in json.dumps([row_json(row, whole=True) for row in load_register(made).rows])


def test_rows_are_kept_whole(made: Project) -> None:
    from connectors.salesforce_metadata import READER

    found = scan(READER, made.folder / "metadata", "legacy", Quiet())
    usage = load_register(made).row("Account.Old__c").evidence.usage
    kept = [
        Kept(item, usage if item.component.kind is ComponentKind.FIELD else None, "why")
        for item in found.items
    ]
    assert list(from_rows(iter(to_table(kept).to_pylist()))) == kept


def edit(path: Path, changes: dict[tuple[str, str], str], sheet: str = "functions") -> None:
    """Fill in cells, as a person would: (id, column) → text."""
    book = openpyxl.load_workbook(path)
    page = book[sheet]
    columns = {cell.value: cell.column for cell in page[1]}
    lines = {row[columns["id"] - 1].value: row[0].row for row in page.iter_rows(min_row=2)}
    for (name, column), text in changes.items():
        page.cell(lines[name], columns[column]).value = text
    book.save(path)


OLD = "legacy/CustomField/Account.Old__c"


def test_a_workbook_keeps_everything_there_and_back(project: Project, tmp_path: Path) -> None:
    said = {
        "decision": "keep",
        "reason": EVIL,
        "owner": "_x0041_ 王芳",
        "acceptance": "+1\n=2",
        "coverage": "standard",
        "partner": "@SUM",
    }
    decide(project, ["Account.Old__c"], said, who="Bob")
    path = tmp_path / "register.xlsx"
    done = export_register(project, path)
    assert (done.rows, done.integrations) == (len(load_register(project).rows), 1)
    assert import_register(project, path, who="Lin").rows == ()
    edit(path, {(OLD, "wave"): "2", (OLD, "decision"): "build", ("legacy/Flow/Rate", "owner"): "Ann"})
    edit(path, {("legacy/RemoteSiteSetting/SAP", "target_design"): "re-point"}, "integrations")
    dry = import_register(project, path, who="Lin", dry_run=True)
    assert dry.changes == {
        OLD: {"decision": "build", "wave": "2"}, "legacy/Flow/Rate": {"owner": "Ann"},
        "legacy/RemoteSiteSetting/SAP": {"target_design": "re-point"},
    }  # fmt: skip
    assert load_register(project).row(OLD).decision is Decision.KEEP
    import_register(project, path, who="Lin")
    row = load_register(project).row(OLD)
    assert dict(row.answers) == said | {"decision": "build", "wave": "2"}
    assert (row.decided_by, [one.way for one in row.history]) == ("Lin", ["command", "workbook"])


def test_every_cell_of_the_workbook_is_inert(project: Project, tmp_path: Path) -> None:
    decide(project, ["Account.Old__c"], {"decision": "keep", "reason": EVIL}, who=EVIL)
    path = tmp_path / "register.xlsx"
    export_register(project, path)
    book = openpyxl.load_workbook(path)
    cells = [
        cell
        for page in book.worksheets
        for line in page.iter_rows()
        for cell in line
        if cell.value is not None
    ]
    assert {cell.data_type for cell in cells} == {"s"}
    assert not any(cell.hyperlink for cell in cells)
    assert sum(1 for cell in cells if cell.value == EVIL) == 3, "the label, the reason and the person"


def test_a_workbook_with_mistakes_is_refused_whole_with_every_cell(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "register.xlsx"
    export_register(project, path)
    decide(project, ["Account.Used__c"], {"owner": "Ann"}, who="Ann")
    edit(
        path,
        {
            (OLD, "decision"): "retired", (OLD, "cutover"): "30.11.2026", (OLD, "effort"): "much", (OLD, "reason"): "x",
            ("legacy/CustomField/Account.Used__c", "owner"): "Bob", ("legacy/Flow/Rate", "decision"): "keep",
            ("legacy/CustomField/Account.Flag__c", "id"): "legacy/CustomField/None", ("legacy/CustomField/Account.Flag__c", "owner"): "x",
        },
    )  # fmt: skip
    with pytest.raises(ProjectError) as raised:
        import_register(project, path, who="Lin")
    told = "\n".join(str(problem) for problem in raised.value.problems)
    for words in (
        "'retired' is no decision",
        "no date",
        "no effort band",
        "Ann said 'Ann' since the export",
        "needs its reason",
        "no component",
    ):
        assert words in told
    assert all("register.xlsx!functions!" in str(problem.location) for problem in raised.value.problems)
    assert load_register(project).row(OLD).history == ()


def test_integrations_become_steps_of_the_runbook_of_the_switch(project: Project, tmp_path: Path) -> None:
    decide(
        project,
        ["SAP"],
        {"target_design": "re-point", "owner": "Ann", "switch_date": "2026-11-30"},
        who="Bob",
    )
    found = load_integrations(project)
    write_steps(tmp_path / "steps.yaml", found.steps)
    made = yaml.safe_load((tmp_path / "steps.yaml").read_text(encoding="utf-8"))
    assert "Point sap.example.com" in made["steps"][0]["instructions"]
    book = Document.read(Path(__file__).parents[2] / "runbooks" / "cutover.yaml").texts()
    assert isinstance(book, dict)
    at = next(number for number, step in enumerate(book["steps"]) if step["id"] == "P8-020")
    book["steps"][at + 1 : at + 1] = made["steps"]
    book["undo"] += made["undo"]
    book["fall_back"] = "yes"
    text = yaml.safe_dump(book, sort_keys=False, allow_unicode=True)
    runbook = parse_runbook(Document(text, "cutover.yaml"))
    assert "P8-int-01" in {step.id for step in runbook.steps}


def test_old_and_new_for_the_handbook(project: Project) -> None:
    decide(project, ["Account.Old__c"], {"decision": "retire", "reason": "nobody reads it"}, who="Bob")
    decide(
        project,
        ["Account.Tier__c"],
        {"decision": "keep", "reason": "x", "new_action": "on the customer card"},
        who="Bob",
    )
    found = {one.id.rpartition(".")[2]: one.new for one in load_operations(project)}
    assert found == {"Old__c": "no longer there: nobody reads it", "Tier__c": "on the customer card"}


def test_the_history_stands_on_both_databases(database_url: str) -> None:
    with closing(open_ledger(database_url, FixedClock(MONDAY), project="p")) as ledger:
        record_answers(
            ledger,
            [
                AnswerRecord("old/T/A", "王芳", "command", {"owner": "a\0b \ud800"}),
                AnswerRecord("old/T/B", "x", "workbook", {"wave": "1"}),
            ],
        )
        record_answers(ledger, [AnswerRecord("old/T/A", "Bob", "command", {"owner": ""})])
        record_answers(ledger, [])
        kept = answers(ledger)
        assert [(one.component, one.who, one.at) for one in kept] == [
            ("old/T/A", "王芳", MONDAY),
            ("old/T/B", "x", MONDAY),
            ("old/T/A", "Bob", MONDAY),
        ]
        assert folded(replace_said(kept, "old/T/A")) == {}
        assert len(answers(ledger, ["old/T/B"])) == 1
        _scans(ledger)


def replace_said(kept: list[AnswerRecord], name: str) -> Any:
    return [one for one in kept if one.component == name]


def _scans(ledger: Ledger) -> None:
    for number in (1, 2):
        record_scan(ledger, system="old", source="x", files=number, components=1, detail={})
    record_scan(ledger, system="other", source="y", files=9, components=1, detail={})
    assert {name: one.files for name, one in last_scans(ledger).items()} == {"old": 2, "other": 9}


def test_the_commands_end_with_their_codes(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int:
        capsys.readouterr()
        return run_app(["-C", str(project.folder), "inventory", *words])

    assert run("register", "list", "--proposed", "retire", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in told["rows"]} == {
        "Account.Old__c",
        "Account.Empty__c",
        "Account.Flag__c",
        "Account.Used__c",
    }
    assert run("register", "show", "Account.Old__c") == 0
    assert "abandoned" in capsys.readouterr().out
    assert run("register", "decide", "Account.Old__c", "--decision", "retire") == 2
    assert (
        run(
            "register",
            "decide",
            "Account.Old__c",
            "--decision",
            "retire",
            "--reason",
            "x",
            "--by",
            "Bob",
            "--set",
            "risk=low",
        )
        == 0
    )
    assert run("register", "decide", "Account.Old__c", "--by", "Bob") == 2
    assert run("register", "decide", "Account.Old__c", "--set", "risk", "--by", "Bob") == 2
    assert run("register", "export", str(tmp_path / "r.xlsx")) == 0
    assert run("register", "import", str(tmp_path / "r.xlsx"), "--by", "Bob", "--json") == 0
    assert run("register", "list", "--system", "nobody") == 2
    assert run("integrations", "--steps", str(tmp_path / "s.yaml"), "--json") == 0
    assert run("operations") == 0
    assert run("report", "--switch", "soon") == 2
    assert run("report", "--lang", "fr") == 2
    assert run("scan", str(project.folder / "metadata"), "--system", "legacy", "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"]["closes"] is True


def test_a_wrong_mapping_leaves_counterparts_unknown_and_says_so(project: Project) -> None:
    (project.folder / "mappings" / "account.yaml").write_text("mapping: [", encoding="utf-8")
    register = load_register(project)
    assert "counterparts are not known" in register.notes[0]
    assert {row.counterpart.coverage for row in register.rows} == {Coverage.UNKNOWN}


def test_values_are_shown_of_states_and_ranges_of_numbers_and_of_nothing_sensitive(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", staged=False)
    (project.folder / "mappings" / "account.yaml").unlink()
    rows = [
        f"o{n},{n * 7 - 20}.50,2026-03-{n + 1:02d},{'Won' if n % 4 else 'Lost'},Li {n},4111,{n % 2}"
        for n in range(20)
    ]
    text = "Id,Amount__c,Due__c,Stage__c,Buyer__c,Card__c,Secret__c\n" + "\n".join(rows) + "\n"
    (project.folder / "in" / "Order__c.csv").write_text(text, encoding="utf-8")
    (project.folder / "mappings" / "order.yaml").write_text(
        "mapping: order\ntarget: {system: new, object: orders, key: legacy_id}\n"
        "source: {system: legacy, object: Order__c, key: Id}\nfields: {legacy_id: {record_id: true}}\n",
        encoding="utf-8",
    )
    steps.extract(project)
    kinds = {
        "Amount__c": "<type>Currency</type>", "Due__c": "<type>Date</type>", "Stage__c": "<type>Picklist</type>",
        "Buyer__c": "<type>Text</type>", "Card__c": "<type>Text</type><securityClassification>Restricted</securityClassification>",
        "Secret__c": "<type>Number</type><complianceGroup>GDPR</complianceGroup>",
    }  # fmt: skip
    root = "force-app/main/default/objects/Order__c"
    scan_it(project, {
        f"{root}/fields/{name}.field-meta.xml":
        f'<CustomField xmlns="http://soap.sforce.com/2006/04/metadata"><fullName>{name}</fullName>{kind}</CustomField>'
        for name, kind in kinds.items()
    })  # fmt: skip
    found = {name: row.evidence.usage for name, row in by_name(load_register(project)).items()}
    told = {name: values_told(usage) for name in kinds if (usage := found[f"Order__c.{name}"]) is not None}
    assert told == {
        "Amount__c": ["-20.5 to 113.5"], "Due__c": ["2026-03-01 to 2026-03-20"], "Stage__c": ["Won: 15", "Lost: 5"],
        "Buyer__c": [], "Card__c": [], "Secret__c": [],
    }  # fmt: skip
    export_register(project, tmp_path / "register.xlsx")
    assert import_register(project, tmp_path / "register.xlsx", who="Li").rows == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_reasons_are_told_in_the_language_of_the_page(made: Project, language: str) -> None:
    import re

    from validation.messages import catalogue

    text = catalogue(language, CATALOGUE)
    assert {name.removeprefix("why.") for name in text.texts if name.startswith("why.")} == TEXTS.keys()
    for name, english in TEXTS.items():
        told = text.texts[f"why.{name}"]
        assert isinstance(told, str)
        assert sorted(re.findall(r"{\w+}", told)) == sorted(re.findall(r"{\w+}", english)), name
        assert language != "en" or told == english
    page = render(load_register(made), "p", language)
    own = {
        "en": "on no layout",
        "zh_CN": "不在任何页面布局上",
        "zh_TW": "不在任何頁面佈局上",
        "ms": "mana-mana susun atur",
    }
    assert [name for name, words in own.items() if words in page] == [language]


def test_the_gate_reads_from_the_register_whether_automations_are_decided(project: Project) -> None:
    facts = ProjectFacts(project)
    assert facts.value("automations.listed", "all") is False
    decide(project, ["Rate"], {"decision": "optimise", "reason": "its support ended"}, who="王芳")
    assert facts.value("automations.listed", "all") is True


def test_without_a_scan_people_say_whether_automations_are_listed(tmp_path: Path) -> None:
    assert ProjectFacts(make_project(tmp_path / "p", staged=False)).value("automations.listed", "all") is None
