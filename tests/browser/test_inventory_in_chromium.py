"""The report on functions as a person opens it: offline, on a desk and on a phone, in both languages, hostile names and all."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from migrator.commands.inventory_register import decide
from migrator.commands.inventory_report import write_report
from tests.inventory_project import EVIL, make_project, scan_it

pytestmark = pytest.mark.xdist_group("chromium")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    project = make_project(tmp_path_factory.mktemp("functions"))
    scan_it(project)
    said = {
        "decision": "optimise",
        "reason": EVIL,
        "owner": "<script>alert(1)</script>",
        "wave": "\u202e1",
        "cutover": "2026-12-01",
    }
    decide(project, ["Account.Tier__c", "Rate"], said, who="王芳")
    decide(project, ["Rate"], {"result": "passed", "new_action": "很长" * 60}, who="王芳")
    decide(project, ["Account.Old__c"], {"decision": "archive data only", "reason": "x"}, who="Bob")
    return {name: write_report(project, language=name, switch="2030-01-31").path for name in ("en", "zh_CN")}


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_is_inert_fits_and_can_be_read_aloud(
    page: Page, written: dict[str, Path], width: int, language: str
) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(written[language].as_uri())
    assert asked == [written[language].as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img, script").count() == 0
    assert page.locator("svg.chart polyline").count() == 3
    title = {"en": "By step of lead-to-cash", "zh_CN": "按业务环节"}[language]
    assert page.get_by_role("heading", name=title, exact=True).is_visible()
    assert page.get_by_text(EVIL).first.is_visible()
    worst = ("serious", "critical")
    found = [item["id"] for item in Axe().run(page).response["violations"] if item["impact"] in worst]
    assert found == []


def test_both_languages_have_the_same_texts() -> None:
    from migrator.commands.inventory_report import LANGUAGES, TEXTS
    from validation.messages import catalogue

    english, *others = (catalogue(name, TEXTS).texts for name in LANGUAGES)
    for texts in others:
        assert texts.keys() == english.keys()
        assert all(texts.values())
