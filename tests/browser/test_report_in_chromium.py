"""The report as a person opens it: offline, on a desk, on a phone, on paper, in every language, with a screen reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.paper import sheets
from validation.messages import LANGUAGES, catalogue

pytestmark = pytest.mark.xdist_group("chromium")


def test_it_opens_without_asking_the_network_for_anything(page: Page, reports: dict[str, Path]) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(reports["en"].as_uri())
    page.locator("#appendix").scroll_into_view_if_needed()
    assert [url for url in asked if not url.startswith("file:")] == []
    assert len(asked) == 1
    assert said == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways_in_any_language(
    page: Page, reports: dict[str, Path], language: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(reports[language].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text = catalogue(language)
    assert page.locator("html").get_attribute("lang") == text("lang")
    for name in ("accounting.title", "trend.title", "waivers.title", "sign.title"):
        assert page.get_by_role("heading", name=text(name), exact=True).is_visible()


def test_one_object_or_only_findings_can_be_looked_at(page: Page, reports: dict[str, Path]) -> None:
    page.goto(reports["en"].as_uri())
    table = page.locator("#records table").first
    assert table.locator("tbody tr:visible").count() == 2
    page.get_by_label("contact", exact=True).check()
    assert table.locator("tbody tr:visible").all_inner_texts()[0].startswith("contact\t")
    assert page.locator("[data-o='0']:visible").count() == 0
    page.get_by_label("All objects").check()
    assert table.locator("tbody tr:visible").count() == 2
    page.get_by_label("Only what has findings").check()
    assert page.locator("[data-c]:visible").count() == 0
    assert table.locator("tbody tr:visible").count() >= 1


def test_details_open_with_the_keyboard(page: Page, reports: dict[str, Path]) -> None:
    page.goto(reports["en"].as_uri())
    closed = page.locator("#fields details:not([open])").first
    assert not closed.locator("table").is_visible()
    closed.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#fields details[open] table").first.is_visible()


def test_the_first_screen_names_what_is_missing_and_why(page: Page, reports: dict[str, Path]) -> None:
    page.goto(reports["en"].as_uri())
    blocking = page.locator("section", has=page.get_by_role("heading", name="What blocks")).inner_text()
    assert "is gone from the new system" in blocking
    assert "account/crm:A00011" in blocking


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_prints_with_headings_repeated_on_every_page(
    chromium: Browser, reports: dict[str, Path], language: str, tmp_path: Path
) -> None:
    page = chromium.new_page()
    page.goto(reports[language].as_uri())
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 between its margins
    page.emulate_media(media="print")
    heads = "[...document.querySelectorAll('thead')].map(item => [getComputedStyle(item).display, getComputedStyle(item).position].join())"
    assert set(page.evaluate(heads)) == {"table-header-group,static"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    verdict, screen_only = catalogue(language)("verdict.not_ready"), catalogue(language)("filter.findings")
    shown = page.locator("body").inner_text()
    assert verdict in shown
    assert screen_only not in shown
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4", tagged=True)
    page.close()
    printed = sheets(tmp_path / "report.pdf")
    assert len(printed) >= 2
    assert screen_only not in " ".join(printed)
    # Without a Chinese font on the machine a PDF holds no Chinese that can be read back.
    if verdict.isascii():
        assert verdict in " ".join(printed)


@pytest.mark.parametrize(
    ("language", "scheme"), [*((language, "light") for language in LANGUAGES), ("en", "dark")]
)
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(
    page: Page, reports: dict[str, Path], language: str, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(reports[language].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
    found = Axe().run(page).response["violations"]
    serious = [
        (item["id"], [node["target"] for node in item["nodes"]][:3])
        for item in found
        if item["impact"] in ("serious", "critical")
    ]
    assert serious == []
