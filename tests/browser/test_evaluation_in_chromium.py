"""The page of an evaluation as a person opens it: offline, on a desk and on a phone, with a screen reader, hostile values and all."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from migrator.commands.evaluate import evaluate_files
from migrator.commands.evaluate_data import DataFiles
from migrator.commands.evaluated import TruthFile, Wanted

pytestmark = pytest.mark.xdist_group("chromium")

NAMES = [
    "Anna Abbott",
    "Boris Becker",
    "王小明",
    "Clara Castle",
    "David Dawson",
    "Edith Eriksen",
    "Frank Fischer",
    "李红梅",
]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    rows = ["id,name,email,<b>note</b>,truth"]
    for number in range(48):
        entity = number * 2 // 3  # every third record is another one's double
        name = NAMES[entity % 8]
        note = "<img src=x onerror=alert(1)>" + "很长" * 40
        rows.append(
            f"{number},{name} {entity},p{entity}@example.org,{note if number % 5 == 0 else ''},e{entity}"
        )
    (folder / "people.csv").write_text("\n".join(rows) + "\n", "utf-8")
    data = DataFiles((str(folder / "people.csv"),), entity="truth")
    return evaluate_files(data, None, Wanted(TruthFile(), unmask=True, out=folder / "page.html")).page


@pytest.mark.parametrize("width", [1280, 390])
def test_the_evaluation_is_inert_fits_and_can_be_read_aloud(page: Page, evaluation: Path, width: int) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(evaluation.as_uri())
    assert asked == [evaluation.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_role("heading", name="Every threshold").is_visible()
    assert page.locator("svg.chart").count() == 2
    assert page.locator("img").count() == 0
    worst = ("serious", "critical")
    found = [item["id"] for item in Axe().run(page).response["violations"] if item["impact"] in worst]
    assert found == []
