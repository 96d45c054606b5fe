"""The review page as a person uses it: by keyboard alone, on a desk and on a phone, with a screen reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from migrator.commands.match_decisions import About, list_decisions
from migrator.commands.project import Project
from migrator.commands.review import Reviewer, reviewing
from migrator.commands.review_page.app import TEXTS
from migrator.commands.review_page.serve import served
from migrator.core.review import Asked, Band
from migrator.staging.match_decisions import Way
from tests.review_project import write_pairs, write_people
from validation.messages import catalogue

pytestmark = pytest.mark.xdist_group("chromium")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = write_people(tmp_path_factory.mktemp("people"))
    write_pairs(project)
    return project


@pytest.fixture
def desk(chromium: Browser) -> Iterator[Page]:
    """A page under its own policy, so that a script of the data would be stopped as for a person."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, service_workers="block")
    yield context.new_page()
    context.close()


def press(page: Page, key: str, leads_to: str) -> None:
    page.keyboard.press(key)
    page.wait_for_url(f"**/{leads_to}")


def test_pairs_are_decided_by_keyboard_alone(desk: Page, project: Project) -> None:
    asked: list[str] = []
    told: list[str] = []
    desk.on("request", lambda request: asked.append(request.url))
    desk.on("console", lambda message: told.append(message.text))
    desk.on("dialog", lambda dialog: told.append(dialog.message))
    with (
        reviewing(project, (), Asked(), Reviewer("Ada", Way.PAGE)) as review,
        served(review, "people") as page,
    ):
        desk.goto(page.url)
        desk.get_by_text("<b onmouseover=alert(1)>Tan</b>").hover()
        desk.keyboard.press("w")
        desk.keyboard.type("same voice")
        desk.keyboard.press("Enter")
        assert desk.url.endswith("/pair/0"), "Enter leaves the reason, it decides nothing"
        press(desk, "s", "pair/1")
        press(desk, "n", "pair/2")
        press(desk, "b", "pair/1")
        press(desk, "ArrowRight", "pair/2")
        press(desk, "u", "pair/3")
        assert desk.get_by_text("Not the same: 0").is_visible()
        press(desk, "q", "end")
        assert desk.get_by_role("heading", name="The review has ended").is_visible()
        page.wait()
    assert [(item.said, item.why) for item in list_decisions(project, About())] == [
        ("same", "same voice"), ("not_same", ""), ("withdrawn", "undone"), ("unsure", ""),
    ]  # fmt: skip
    assert [url for url in asked if not url.startswith((page.url, "data:"))] == []
    assert told == []


def test_nothing_stands_in_the_way_of_a_screen_reader_and_no_page_scrolls_sideways(
    page: Page, project: Project
) -> None:
    everything = Asked(band=Band.ALL, unsure=True)
    looks = [("en", "light", 1280), ("ms", "light", 390), ("zh_TW", "dark", 390)]
    page.context.set_offline(False)
    for language, scheme, width in looks:
        reviewer = Reviewer("Ada", Way.PAGE)
        with (
            reviewing(project, (), everything, reviewer) as review,
            served(review, "people", language=language) as there,
        ):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.goto(there.url)
            first = review.next_open(-1)
            assert first is not None
            press(page, "ArrowRight", f"pair/{review.next_open(first)}")
            text = catalogue(language, TEXTS)
            assert page.get_by_role("heading", name=text("question")).is_visible()
            assert page.locator("html").get_attribute("lang") == text("lang")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found = Axe().run(page).response["violations"]
            assert [(item["id"], [node["target"] for node in item["nodes"]][:3]) for item in found] == []
