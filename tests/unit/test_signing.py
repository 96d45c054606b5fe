"""What a person signs: waivers, signatures that notice changes, trends, the workbook and JUnit, all from one report."""

from __future__ import annotations

import json
import zipfile
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import openpyxl
import pytest

from migrator.core.errors import DataError, ProjectError
from tests.unit.test_validation_report import NASTY, run
from tests.unit.validation_project import ACCOUNTS, make_project, put_clusters, put_mapped
from validation.documents import write_documents, write_json
from validation.messages import catalogue
from validation.privacy import Privacy
from validation.report import render
from validation.signoff import FILE, chain_end, content_digest, problems, sign, signatures
from validation.trend import Earlier, trend
from validation.validate import ValidationReport
from validation.verdict import Check, Section, Status, Verdict, decide
from validation.waivers import Waiver, WaiverState, apply_waivers, read_waivers

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
TODAY = date(2026, 11, 20)


def check(failed: int = 3, status: Status = Status.FAIL) -> Check:
    return Check(Section.RECORDS, "account", "records.missing", status, 10, failed)


def waiver(**changes: Any) -> Waiver:
    settings = {
        "check": "account/records/records.missing",
        "by": "Li Na",
        "reason": "agreed",
        "expires": TODAY,
    }
    return Waiver(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "state", "status"),
    [
        ({}, WaiverState.ACTIVE, Status.WAIVED),
        ({"at_most": 3}, WaiverState.ACTIVE, Status.WAIVED),
        ({"at_most": 2}, WaiverState.EXCEEDED, Status.FAIL),
        ({"expires": date(2026, 11, 19)}, WaiverState.EXPIRED, Status.FAIL),
    ],
)
def test_a_waiver_holds_until_its_day_and_for_its_number(
    changes: dict[str, Any], state: WaiverState, status: Status
) -> None:
    (judged,), (used,) = apply_waivers([check()], [waiver(**changes)], TODAY)
    assert (used.state, judged.status) == (state, status)
    assert decide([judged]).verdict.holds is (status is Status.WAIVED)


def test_an_expired_waiver_turns_even_a_warning_into_a_failure() -> None:
    (judged,), _ = apply_waivers([check(status=Status.WARN)], [waiver(expires=date(2026, 1, 1))], TODAY)
    assert (judged.status, judged.severity) == (Status.FAIL, "critical")


def test_a_waiver_nobody_needs_and_one_of_no_check_are_told() -> None:
    passed = check(0, Status.PASS)
    (judged,), used = apply_waivers(
        [passed], [waiver(), waiver(check="account/records/records.mising")], TODAY
    )
    assert judged is passed
    assert [item.state for item in used] == [WaiverState.UNUSED, WaiverState.UNKNOWN]
    assert "did you mean 'account/records/records.missing'" in used[1].hint


def test_waivers_are_read_strictly_each_problem_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "waivers.yaml").write_text(
        "waivers:\n"
        "  - {check: a/b/c, by: Li Na, reason: agreed, expires: 2026-12-31, at_most: 2}\n"
        "  - {check: a/b/c, by: ' ', reason: agreed, expires: soon, until: 1, at_most: true}\n"
        "  - {check: a/b/c, by: Li, reason: again, expires: '2026-12-31'}\n"
    )
    with pytest.raises(ProjectError) as caught:
        read_waivers(tmp_path)
    told = [str(problem).split("\n")[0] for problem in caught.value.problems]
    name = f"{tmp_path.name}/waivers.yaml"
    for part in (
        f"{name}:3:24: a waiver needs by",
        ":3:",
        "unknown key 'until'",
        "needs expires",
        "at_most",
        ":4:5: a/b/c is waived twice",
    ):
        assert any(part in line for line in told), (part, told)
    (tmp_path / "waivers.yaml").write_text(
        "waivers:\n  - {check: a/b/c, by: Li Na, reason: agreed, expires: 2026-12-31}\n"
    )
    assert [item.expires for item in read_waivers(tmp_path)] == [date(2026, 12, 31)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ValidationReport:
    """One validation with a lost record that is waived, hostile text, a quarantined row and a merged pair."""
    project = make_project(tmp_path_factory.mktemp("signing"), accounts=40, contacts=6)
    rows = project.target.objects["customer"]
    held = {**rows[3], "legacy_id": "A90000", "__bad": True,
            "__issues": [{"field": "status", "rule": NASTY, "value": "=1+1", "message": "m", "severity": "error"}]}  # fmt: skip
    put_mapped(project.store, ACCOUNTS, [*rows, held])
    put_clusters(project.store, ACCOUNTS, {})
    rows[:] = [row for row in rows if row["legacy_id"] != "A00011"]
    project.record("customer", "A00012")["Order"] = '=HYPERLINK("http://evil.example","x")'
    project.record("customer", "A00013")["Order"] = "@SUM(1)\t"
    project.record("customer", "A00014")["Order"] = "http://evil.example/a"
    folder = project.folder / "validation"
    folder.mkdir()
    (folder / "waivers.yaml").write_text(
        "waivers:\n  - {check: account/records/records.missing, by: '=Li Na', reason: '<b>agreed</b>', expires: 2026-12-31}\n"
    )
    return run(project, privacy=Privacy.OPEN)


def test_a_waived_failure_stays_visible_with_its_name_and_reason(report: ValidationReport) -> None:
    found = {item.id: item.status for item in report.checks}
    assert found["account/records/records.missing"] is Status.WAIVED
    assert "account/records/records.missing" in [item.id for item in report.decision.exceptions]
    page = report.html.read_text()
    assert "=Li Na" in page
    assert "&lt;b&gt;agreed&lt;/b&gt;" in page


def test_the_workbook_is_inert_and_whole(report: ValidationReport) -> None:
    book = openpyxl.load_workbook(report.xlsx)
    text = catalogue("en")
    names = (
        "summary",
        "accounting",
        "totals",
        "counts",
        "controls",
        "links",
        "differences",
        "failing",
        "reasons",
        "missing",
        "uat",
        "sign",
    )
    assert book.sheetnames == [text(f"sheet.{name}") for name in names]
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} == {"s", "n"}
    assert not [cell for cell in cells if cell.hyperlink]
    values = {str(cell.value) for cell in cells}
    assert any(value.startswith("=HYPERLINK(") for value in values)
    assert any(value.startswith("@SUM(1)") for value in values)
    assert not any("\u202e" in value for value in values)
    with zipfile.ZipFile(report.xlsx) as parts:
        assert not [name for name in parts.namelist() if "externalLink" in name or "drawing" in name]
        sheets = [parts.read(name) for name in parts.namelist() if name.startswith("xl/worksheets/")]
    assert not [sheet for sheet in sheets if b"<f>" in sheet or b"<hyperlink" in sheet]


def test_the_acceptance_sample_has_strata_both_values_and_a_choice(report: ValidationReport) -> None:
    sheet = openpyxl.load_workbook(report.xlsx)[catalogue("en")("sheet.uat")]
    rows = [row for row in sheet.iter_rows(min_row=2, values_only=True) if row[0] == "account"]
    whys = " ".join({str(row[3]) for row in rows})
    for part in (
        "of this source: crm",
        "largest revenue",
        "oldest since",
        "newest since",
        "Chinese",
        "status = 新客户",
    ):
        assert part in whys
    assert len({row[1] for row in rows}) <= 40
    assert sheet.data_validations.dataValidation[0].formula1 == '"yes,no"'
    assert any(row[6] for row in rows)


def test_the_same_seed_draws_the_same_sample(tmp_path: Path) -> None:
    def drawn(folder: Path, seed: int) -> set[str]:
        folder.mkdir()
        made = run(make_project(folder, accounts=300, contacts=0), seed=seed)
        return {row["record"] for row in json.loads((made.json.parent / "uat.json").read_text())}

    first, again, other = drawn(tmp_path / "a", 1), drawn(tmp_path / "b", 1), drawn(tmp_path / "c", 2)
    assert first == again
    assert first != other


def test_junit_tells_failures_errors_and_waivers_apart(report: ValidationReport) -> None:
    root = ET.parse(report.json.with_name("report.junit.xml")).getroot()  # noqa: S314 (our own file)
    suite = next(item for item in root if item.get("name") == "account")
    cases = {item.get("name"): item for item in suite}
    assert "=Li Na" in (cases["records.missing"].find("skipped").get("message") or "")  # type: ignore[union-attr]
    assert cases["fields.different/Order"].find("failure") is not None
    assert int(suite.get("failures") or 0) == len(suite.findall("testcase/failure")) > 0


def copy(report: ValidationReport, folder: Path, **changes: Any) -> Path:
    content = {**deepcopy(dict(report.content)), **changes}
    content["digest"] = content_digest(content)
    folder.mkdir(parents=True)
    write_json(folder / "report.json", content)
    return folder


def test_signatures_are_chained_and_every_change_is_noticed(report: ValidationReport, tmp_path: Path) -> None:
    folder = copy(report, tmp_path / "r1")
    for role, decision in (("scope", "reject"), ("quality", "accept-with-exceptions"), ("mapping", "reject")):
        sign(folder, role=role, name="王伟 <b>", decision=decision, comment="=1+1", at=AT)
    assert problems(folder) == ()
    assert [item.role for item in signatures(folder)] == ["scope", "quality", "mapping"]
    write_documents(folder, "zh_CN")
    assert "王伟 &lt;b&gt;" in (folder / "report.zh_CN.html").read_text()
    lines = (folder / FILE).read_text().splitlines()
    (folder / FILE).write_text("\n".join([lines[0].replace("reject", "accept"), *lines[1:]]) + "\n")
    assert "before signature 2" in problems(folder)[0]
    (folder / FILE).write_text("\n".join([lines[0], lines[2]]) + "\n")
    assert "before signature 2" in problems(folder)[0]
    (folder / FILE).write_text("\n".join(lines) + "\n")
    text = (folder / "report.json").read_text()
    (folder / "report.json").write_text(text.replace('"project": "Acme"', '"project": "Acne"'))
    assert "report.json is not as it was written" in problems(folder)
    with pytest.raises(DataError, match="cannot be signed"):
        sign(folder, role="scope", name="x", decision="reject", comment="", at=AT)


def test_a_report_that_is_not_ready_cannot_be_accepted_plainly(
    report: ValidationReport, tmp_path: Path
) -> None:
    assert report.verdict is Verdict.NOT_READY
    folder = copy(report, tmp_path / "r1")
    with pytest.raises(DataError, match="accept-with-exceptions"):
        sign(folder, role="scope", name="x", decision="accept", comment="", at=AT)
    assert not (folder / FILE).exists()


def test_the_trend_tells_new_mended_and_still_open() -> None:
    def content(run: str, states: dict[str, str]) -> dict[str, Any]:
        accounting = {"extracted": 5, "loaded": 4, "quarantined": 1}
        return {
            "run": run, "at": f"2026-11-0{run}", "verdict": "ready",
            "objects": [{"name": "account", "accounting": accounting}],
            "checks": [{"id": name, "status": status} for name, status in states.items()],
        }  # fmt: skip

    before = content("1", {"account/a": "fail", "account/b": "warn", "account/c": "pass", "gone/d": "fail"})
    now = content("2", {"account/a": "waived", "account/c": "could_not_check"})
    found = trend(now, Earlier((before,)))
    assert (found["new"], found["fixed"], found["still"]) == (["account/c"], ["account/b"], ["account/a"])
    assert [item["findings"] for item in found["runs"]] == [3, 2]
    assert trend(now, Earlier())["against"] is None


def test_earlier_reports_beside_this_one_are_compared_and_broken_ones_named(tmp_path: Path) -> None:
    project = make_project(tmp_path, accounts=8, contacts=2)
    for name, text in (("old", "{"), ("other", '{"project": "Other", "run": "x"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(text)
    first = run(project)
    assert first.content["trend"]["unread"] == ["old"]
    assert first.content["trend"]["against"] is None


def test_a_report_of_fifty_objects_stays_under_five_megabytes(report: ValidationReport) -> None:
    content = deepcopy(dict(report.content))
    base, checks = content["objects"][0], [item for item in content["checks"] if item["object"] == "account"]
    field = base["fields"]
    base["fields"] = [{**field[n % len(field)], "name": f"field {n}"} for n in range(40)]
    content["objects"] = [{**base, "name": f"object {n}"} for n in range(50)]
    content["checks"] += [
        {**item, "object": f"object {n}", "id": item["id"].replace("account", f"object {n}"), "examples": item["examples"] * 3}
        for n in range(50) for item in checks * 2
    ]  # fmt: skip
    page = render(content, "ms")
    assert 500_000 < len(page.encode()) < 5_000_000


def test_last_signatures_cut_off_are_noticed_by_what_the_ledger_keeps(
    report: ValidationReport, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.json").write_bytes(report.json.read_bytes())
    ends = [""]
    for name in ("Li Na", "Ravi", "Aminah"):
        sign(folder, role="owner", name=name, decision="reject", comment="", at=AT, end=ends[-1])
        ends.append(chain_end(folder))
    lines = (folder / FILE).read_text().splitlines(keepends=True)
    assert problems(folder, ends[-1]) == ()
    assert problems(folder, ends[1]) == ()  # a crash between line and ledger leaves the ledger behind
    for kept in (2, 1, 0):
        (folder / FILE).write_text("".join(lines[:kept]))
        assert problems(folder) == ()
        assert "taken out" in problems(folder, ends[-1])[0]
    with pytest.raises(DataError, match="taken out"):
        sign(folder, role="owner", name="Eve", decision="reject", comment="", at=AT, end=ends[-1])
