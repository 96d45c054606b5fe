"""The review page over HTTP: who may not use it, what its data cannot do to it, its way without a script, its texts in every language."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from migrator.commands.match_decisions import About, add_decision, list_decisions
from migrator.commands.project import Project, load_project
from migrator.commands.review import Reviewer, reviewing
from migrator.commands.review_page.app import TEXTS
from migrator.commands.review_page.serve import ServedPage, served
from migrator.core.mapped import Same
from migrator.core.review import Asked
from migrator.staging.match_decisions import Way
from tests.review_project import write_pairs, write_people
from validation.messages import LANGUAGES, catalogue


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_pairs(write_people(folder))
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return load_project(Path(shutil.copytree(made, tmp_path / "p")))


@pytest.fixture
def page(project: Project) -> Iterator[ServedPage]:
    with (
        reviewing(project, (), Asked(), Reviewer("Ada", Way.PAGE)) as review,
        served(review, "people & co") as there,
    ):
        yield there


@pytest.fixture
def browser(page: ServedPage) -> Iterator[httpx.Client]:
    """A browser without scripts, that follows where it is led."""
    with httpx.Client(base_url=page.url, follow_redirects=True) as client:
        yield client


def said(project: Project) -> list[tuple[str, str, str]]:
    return [(item.one, item.other, item.said) for item in list_decisions(project, About())]


def test_a_sitting_works_by_forms_alone(browser: httpx.Client, project: Project, page: ServedPage) -> None:
    shown = browser.get("")
    assert shown.url.path.endswith("pair/0")
    shown = browser.post("pair/0", data={"verdict": "not_same", "why": "两个人"})
    assert shown.url.path.endswith("pair/1")
    shown = browser.post("undo", data={})
    assert shown.url.path.endswith("pair/0")
    for number, verdict in ((0, "same"), (1, "not_same"), (2, "unsure"), (3, "same")):
        shown = browser.post(f"pair/{number}", data={"verdict": verdict, "why": ""})
    assert shown.url.path.endswith("done")
    assert "Every pair here has a decision" in shown.text
    assert [verdict for _, _, verdict in said(project)] == [
        "not_same", "withdrawn", "same", "not_same", "unsure", "same",
    ]  # fmt: skip
    first, *_ = list_decisions(project, About())
    assert (first.who, first.why, first.way) == ("Ada", "两个人", Way.PAGE)
    assert "you may close this page" in browser.post("end").text
    page.wait()


def test_nobody_else_gets_in(browser: httpx.Client, project: Project) -> None:
    form, here = {"verdict": "same"}, browser.base_url
    for place in ("/", "/guess/pair/0"):
        assert browser.get(here.copy_with(path=place)).status_code == 404
        assert browser.post(here.copy_with(path=place), data=form).status_code == 404
    assert browser.get("pair/0", headers={"host": f"evil.example:{here.port}"}).status_code == 400
    for origin in ("http://evil.example", "http://127.0.0.1:9", "null"):
        for place in ("pair/0", "undo", "end"):
            assert browser.post(place, data=form, headers={"origin": origin}).status_code == 403
    assert browser.get("undo").status_code == 405
    assert said(project) == []
    own = browser.post("pair/0", data=form, headers={"origin": f"http://127.0.0.1:{here.port}"})
    assert own.status_code == 200
    assert len(said(project)) == 1


@pytest.mark.parametrize(
    ("place", "form", "code"),
    [
        ("pair/0", {"verdict": "perhaps"}, 400),
        ("pair/0", {}, 400),
        ("pair/99", {"verdict": "same"}, 400),
        ("pair/0", {"verdict": "same", "why": "x" * 70_000}, 403),
        ("pair/0", {f"field{number}": "x" for number in range(20)}, 403),
        ("pair/-1", {"verdict": "same"}, 404),
    ],
)
def test_forms_that_are_none_of_ours_change_nothing(
    browser: httpx.Client, project: Project, place: str, form: dict[str, str], code: int
) -> None:
    assert browser.post(place, data=form).status_code == code
    assert browser.get("pair/4").status_code == 404
    assert said(project) == []


def test_values_are_texts_and_nothing_is_loaded_from_elsewhere(browser: httpx.Client) -> None:
    answer = browser.get("pair/0")
    assert "<b onmouseover" not in answer.text
    assert "&lt;b onmouseover" in answer.text
    assert "<i>part" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert " style=" not in answer.text
    assert set(re.findall(r"(?:src|href|action)=\"([a-z]+:)", answer.text)) == {"data:"}


def test_a_contradiction_is_shown_where_it_was_made(browser: httpx.Client, project: Project) -> None:
    add_decision(project, "contact", ("crm:1", "erp:8"), Same.SAME, who="Bob")
    add_decision(project, "contact", ("crm:2", "erp:8"), Same.SAME, who="Bob")
    add_decision(project, "contact", ("crm:2", "crm:3"), Same.SAME, who="Bob")
    shown = browser.post("pair/1", data={"verdict": "not_same"})
    assert shown.url.path.endswith("pair/1"), "crm:1 is crm:3 by way of erp:8 and crm:2"
    alert = re.search(r'role="alert">(.*?)</div>', shown.text, re.DOTALL)
    assert alert is not None
    assert "migrator dedupe" in alert[1]
    assert alert[1].count("<li>") == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_places_to_fill(language: str) -> None:
    english, other = catalogue("en", TEXTS).texts, catalogue(language, TEXTS).texts
    assert set(other) == set(english)
    for name, text in english.items():
        assert set(re.findall(r"{\w+}", str(other[name]))) == set(re.findall(r"{\w+}", str(text)))
        assert language == "en" or other[name] != text or len(str(text)) < 5, name
