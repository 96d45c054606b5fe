"""A runbook as people open it: offline, on a desk, on a phone, on paper, with a screen reader; what it says cannot act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from migrator.runbook.record import REHEARSAL, write
from migrator.runbook.rehearsing import timings
from migrator.runbook.render import html, markdown
from migrator.runbook.view import BookView, view
from tests.browser.paper import sheets
from tests.runbook_kit import made, scene, shipped

pytestmark = pytest.mark.xdist_group("chromium")
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)> | `code` [link](javascript:alert(1)) 切换 \u202eabc"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The cutover as it stands in the middle of the night, and one full of what people should not write."""
    folder = tmp_path_factory.mktemp("runbook")
    (folder / "night.html").write_text(html(_night(folder)), encoding="utf-8")
    data: Any = shipped("decommission").document.texts()
    data["title"] = data["about"] = data["steps"][0]["title"] = HOSTILE
    data["steps"][0]["instructions"] = HOSTILE
    data["roles"]["data-owner"]["owner"] = HOSTILE
    (folder / "hostile.html").write_text(html(view(made(data))), encoding="utf-8")
    (folder / "hostile.md").write_text(markdown(view(made(data))), encoding="utf-8")
    (folder / "waves.html").write_text(html(view(shipped("staged-rollout"))), encoding="utf-8")
    return {path.name: path for path in folder.iterdir() if path.suffix in {".html", ".md"}}


def _night(folder: Path) -> BookView:
    from migrator.core.errors import DataError
    from migrator.core.phases import Phase
    from migrator.runbook.world import Cancelled

    def fails(name: str) -> None:
        if name == "runbook canary":
            raise DataError("no permission to delete")

    with scene(folder) as world:
        book = shipped("cutover")
        world.put("all", *tuple(Phase)[:5])
        world.rehearsed(book)
        world.approve(book)
        runner = world.runner(book)
        body = {
            "book": book.name,
            "content": runner.footing.content,
            "basis": runner.footing.basis,
            "ended": "done",
        }
        write(world.ledger, REHEARSAL, body | {"steps": {"P7-020": 7200.0, "P6-020": 900.0}, "drill": False})
        world.before = fails
        with pytest.raises(Cancelled):
            runner.run()
        look = runner.look()
        times = timings(look.facts.history, book, runner.footing)
        return view(
            book,
            timings=times,
            history=look.facts.history,
            plan=look.plan,
            standing={"all": "P4"},
            made="2026-03-06",
        )


def test_it_opens_without_asking_the_network_for_anything(page: Page, drawn: dict[str, Path]) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(drawn["night.html"].as_uri())
    assert asked == [drawn["night.html"].as_uri()]
    assert said == []


@pytest.mark.parametrize("name", ["night.html", "hostile.html", "waves.html"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways(page: Page, drawn: dict[str, Path], name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(drawn[name].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_shows_who_does_what_when_and_how_far_it_is(page: Page, drawn: dict[str, Path]) -> None:
    page.goto(drawn["night.html"].as_uri())
    verdict = page.locator("#P7-020")
    text = verdict.inner_text()
    for wanted in ("Sami", "sync-lead"):
        assert wanted in page.locator("body").inner_text()
    for wanted in ("rehearsed 2h / 2h", "ends by itself after 4h", "verdict.status == green", "undone"):
        assert wanted in text
    assert "G35" in page.locator("#P8-010").text_content()  # type: ignore[operator]
    assert "approved by Wang Fang, Rick" in page.locator("#P5-010").inner_text()
    page.get_by_role("link", name="P5 freeze").click()
    assert page.url.endswith("#part-2")


def test_the_point_of_no_return_cannot_be_overlooked(page: Page, drawn: dict[str, Path]) -> None:
    page.goto(drawn["hostile.html"].as_uri())
    assert page.locator("#P11-020 .final").is_visible()
    assert page.locator(".final").count() == 1


def test_what_people_wrote_cannot_act(page: Page, drawn: dict[str, Path]) -> None:
    page.goto(drawn["hostile.html"].as_uri())
    assert page.title() != "owned"
    assert page.locator("main script, main img").count() == 0
    assert HOSTILE.partition(" |")[0] in page.locator("#P9-010").inner_text()
    text = drawn["hostile.md"].read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "[link](" not in text


def test_a_screen_reader_finds_nothing_amiss(page: Page, drawn: dict[str, Path]) -> None:
    page.goto(drawn["night.html"].as_uri())
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_it_prints(chromium: Browser, drawn: dict[str, Path], tmp_path: Path) -> None:
    page = chromium.new_page()
    page.goto(drawn["night.html"].as_uri())
    page.pdf(path=str(tmp_path / "night.pdf"), format="A4", print_background=True)
    page.close()
    printed = " ".join(sheets(tmp_path / "night.pdf"))
    assert "Prove the reverse path" in printed
    assert "Break off if" in printed
