"""Labels by language: read strictly, known to later steps, shown in the report's own language."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from openpyxl import load_workbook

from migrator.core.clock import FixedClock
from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject
from migrator.staging.accounting import Accounting, ObjectAccount
from tests.mapping_kit import bind_texts, make_schema
from tests.unit.validation_project import QUIET, make_project
from validation.validate import validate

DEAL = make_schema("Deal", Stage="picklist", Name="string")


def mapped(tmp_path: Path, *lines: str) -> MappedObject:
    listed = "".join(f"  {line}\n" for line in lines)
    text = (
        "mapping: deal\ntarget: {system: new, object: deal, key: id}\nsource: {system: crm, object: Deal}\n"
        f"fields:\n  id: {{from: Id}}\n{listed}"
    )
    return bind_texts({"deal.yaml": text}, {"crm": [DEAL]}, tmp_path).mappings[0].mapped


def test_a_label_is_one_text_or_one_a_language(tmp_path: Path):
    found = mapped(
        tmp_path,
        "stage: {from: Stage, label: {zh_CN: 阶段, en: Stage of it}}",
        "name: {from: Name, label: Called}",
    )
    assert [item.label for item in found.fields] == ["", "Stage of it", "Called"]
    assert [found.label("stage", language) for language in ("en", "zh_CN", "ms")] == [
        "Stage of it", "阶段", "Stage of it",
    ]  # fmt: skip
    assert [found.label(name, "zh_TW") for name in ("name", "id", "nobody")] == ["Called", "", ""]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("{de: Stufe}", "deal.yaml:6:31: unknown language 'de'"),
        ("{en: }", "deal.yaml:6:31: the label in en is no text"),
        ("{}", "deal.yaml:6:31: this is no label"),
        ("[a]", "deal.yaml:6:31: this is no label"),
    ],
)
def test_what_is_no_label_is_told(tmp_path: Path, label: str, told: str):
    with pytest.raises(ProjectError) as caught:
        mapped(tmp_path, f"stage: {{from: Stage, label: {label}}}")
    assert [str(item).splitlines()[0] for item in caught.value.problems] == [told]


def test_the_report_and_its_workbook_call_a_field_what_its_readers_call_it(tmp_path: Path):
    project = make_project(tmp_path, accounts=8, contacts=4)
    labels = {"revenue": {"en": "Turnover", "zh_CN": "年营业额"}, "company": {"zh_CN": "所属客户"}}
    objects = [replace(item, labels=labels) for item in project.objects]
    sizes = {"account": 8, "contact": 4}
    accounts = tuple(
        ObjectAccount(name, n, {"loaded": n}, {"loaded": {"created": n}}) for name, n in sizes.items()
    )
    report = validate(
        project.store, project.session, project.target, objects, Accounting(accounts), out=tmp_path / "report",
        progress=QUIET, clock=FixedClock(datetime(2026, 11, 20, 9, tzinfo=UTC)), suites=tmp_path / "validation",
        project="Acme", language="zh_CN",
    )  # fmt: skip
    page = report.html.read_text(encoding="utf-8")
    assert '<bdi>revenue</bdi> <span class="soft"><bdi>年营业额</bdi></span>' in page
    assert "所属客户" in page
    book = load_workbook(next(report.html.parent.glob("*.xlsx")))
    texts = {str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row}
    assert "revenue (年营业额)" in texts
