"""Deciding pairs: what is asked and in which order, key by key in the terminal, undo, and that decisions hold in every rerun."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from migrator.cli.dedupe_review import ask
from migrator.cli.show_review import texts
from migrator.commands import steps
from migrator.commands.match_decisions import About, add_decision, list_decisions, withdraw
from migrator.commands.project import Project, load_project, open_workspace
from migrator.commands.review import Reviewer, reviewing, someone, waiting_pairs
from migrator.core.errors import FatalError, ProjectError
from migrator.core.mapped import Meaning, Same
from migrator.core.review import Asked, Band, Order
from migrator.dedupe.comparison import make_comparisons
from migrator.dedupe.contrast import Contrast, Difference, waterfall
from migrator.dedupe.features import KINDS, Feature
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.match_decisions import Way
from migrator.staging.store import Kind
from tests.e2e.demo_project import run
from tests.review_project import PAIRS, write_pairs, write_people
from validation.messages import LANGUAGES

ADA = Reviewer("Ada", Way.TERMINAL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_pairs(write_people(folder))
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    return load_project(Path(shutil.copytree(made, tmp_path / "p")))


def asked(project: Project, **wanted: object) -> list[str]:
    found = waiting_pairs(project, (), Asked(**wanted))  # type: ignore[arg-type]
    return [f"{pair.one} {pair.other}" for pair in found.pairs]


def test_pairs_come_in_the_order_asked_for(project: Project) -> None:
    assert asked(project) == ["crm:2 erp:8", "crm:1 crm:3", "crm:1 erp:7", "crm:3 erp:9"]
    assert asked(project, order=Order.WEIGHT, limit=2) == ["crm:3 erp:9", "crm:1 erp:7"]
    assert asked(project, band=Band.AUTOMATIC) == ["crm:4 erp:10"]
    by_chance = [asked(project, order=Order.RANDOM, band=Band.ALL, seed=seed) for seed in range(5)]
    assert all(sorted(found) == sorted(by_chance[0]) for found in by_chance)
    assert len({str(found) for found in by_chance}) > 1
    assert by_chance[3] == asked(project, order=Order.RANDOM, band=Band.ALL, seed=3)


def test_what_follows_from_decisions_is_not_asked_again(project: Project) -> None:
    add_decision(project, "contact", ("erp:7", "crm:1"), Same.SAME, who="Ada")
    add_decision(project, "contact", ("crm:3", "erp:7"), Same.NOT_SAME, who="Ada")
    add_decision(project, "contact", ("crm:2", "erp:8"), Same.UNSURE, who="Ada")
    assert asked(project) == ["crm:3 erp:9"], "crm:1 is erp:7, and that is not crm:3"
    assert asked(project, unsure=True) == ["crm:2 erp:8", "crm:3 erp:9"]


def test_lists_mask_what_is_personal_and_a_sitting_shows_it(project: Project) -> None:
    found = waiting_pairs(project, ["contact"], Asked(order=Order.WEIGHT))
    listed = json.dumps(found.to_json(unmask=False), ensure_ascii=False)
    assert "Wang Wei" not in listed
    assert "same order" in listed
    assert "Wang Wei" in json.dumps(found.to_json(unmask=True), ensure_ascii=False)
    listed_by_command = run(f"-C{project.folder}", "dedupe", "review", "contact")
    assert listed_by_command.code == 0, listed_by_command.err
    assert "erp:7" in listed_by_command.out
    assert "Wang" not in listed_by_command.out


def test_without_pairs_it_says_what_makes_them(project: Project) -> None:
    with open_workspace(project) as workspace, workspace.ledger.lease():
        workspace.store.discard(Kind.PAIRS, "contact")
    with pytest.raises(FatalError, match="no pairs of 'contact' yet"):
        waiting_pairs(project, (), Asked())
    with pytest.raises(ProjectError, match="contacts"):
        waiting_pairs(project, ["contacts"], Asked())


def sit(
    project: Project, keys: str, reasons: Sequence[str] = (), language: str = "en", **wanted: object
) -> str:
    """What the terminal shows while these keys are pressed."""
    said, pressed, lines = StringIO(), iter(keys), iter(reasons)
    with reviewing(project, (), Asked(**wanted), ADA) as review:  # type: ignore[arg-type]
        ask(
            review, Console(file=said, width=120), lambda: next(pressed), lambda: next(lines), texts(language)
        )
    assert next(pressed, None) is None, "it ended before all keys were pressed"
    return said.getvalue()


def said(project: Project, *, standing: bool = True) -> list[tuple[str, str, str]]:
    found = list_decisions(project, About(standing=standing))
    return [(item.one, item.other, item.said) for item in found]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh_CN", ("第 1 对，共 4 对", "不是同一个", "空格")),
        ("zh_TW", ("第 1 組，共 4 組", "略過")),
        ("ms", ("tidak sama", "ruang")),
    ],
)
def test_a_sitting_in_the_languages_of_the_page(
    project: Project, language: str, words: tuple[str, ...]
) -> None:
    shown = sit(project, "nq", language=language)
    assert said(project)[0][2] == "not_same"
    assert [word for word in words if word not in shown] == []
    assert "skip" not in shown


def test_every_level_of_the_model_has_a_name_in_every_language(tmp_path: Path) -> None:
    named = (Meaning.PERSON, Meaning.COMPANY, Meaning.FAMILY, Meaning.GIVEN)
    features = [
        Feature(number, meaning.value, meaning, kind, number if meaning in named else None)
        for number, (meaning, kind) in enumerate(KINDS.items())
    ]
    with closing(open_engine(EngineSettings("100MB", threads=1), tmp_path)) as session:
        comparisons = make_comparisons(session, features)
    labels = {"missing", "prior", "context", *(label for item in comparisons for label in item.labels)}
    for language in LANGUAGES:
        assert [name for name in labels if not texts(language).has(f"level.{name}")] == []


def test_a_sitting_key_by_key(project: Project) -> None:
    shown = sit(project, "wxSnb nq", ["they moved house"])
    assert said(project) == [("crm:2", "erp:8", "same"), ("crm:1", "erp:7", "not_same")]
    everything = list_decisions(project, About())
    assert [item.said for item in everything] == ["same", "not_same", "withdrawn", "not_same"]
    assert (everything[0].why, everything[0].who, everything[0].way) == (
        "they moved house",
        "Ada",
        Way.TERMINAL,
    )
    assert everything[0].weight == -0.5
    assert "王伟" in shown
    assert "2 of 4 decided (Same: 1, Not the same: 1, Unsure: 0, Open: 2)" in shown
    assert "migrator dedupe" in shown


def test_a_sitting_ends_when_every_pair_has_a_word_and_pairs_that_follow_count_as_one(
    project: Project,
) -> None:
    add_decision(project, "contact", ("crm:3", "erp:7"), Same.SAME, who="Bob")
    shown = sit(project, "nsu")
    assert ("crm:1", "erp:7", "same") not in said(project), "it follows, so it is not asked"
    assert shown.rstrip().splitlines()[-2].startswith("4 of 4 decided (Same: 2, "), shown
    assert sit(project, "bu", unsure=True).count("erp:9") >= 1
    assert "no pair waits" in sit(project, "")


def test_undo_brings_back_what_another_said_before(project: Project) -> None:
    with reviewing(project, (), Asked(), ADA) as review:
        add_decision(project, "contact", ("crm:2", "erp:8"), Same.NOT_SAME, who="Bob", why="seen")
        assert review.next_open(-1) == 1, "another's word is heard"
        assert review.decide(0, Same.SAME) == ()
        assert review.undo() == 0
        word = review.said(0)
        assert word is not None
        assert (word.verdict, word.why, word.who) == (Same.NOT_SAME, "undone: as Bob said seen", "Ada")
        assert review.undo() is None
        review.decide(2, Same.SAME, "a \0 b")
        add_decision(project, "contact", ("crm:1", "erp:7"), Same.UNSURE, who="Bob")
        assert review.undo() == 2
        word = review.said(2)
        assert word is not None
        assert (word.verdict, word.who) == (Same.UNSURE, "Bob"), "what another said since is not taken back"
        review.decide(3, Same.SAME, "a \0 b")
        assert review.undo() == 3
        assert review.said(3) is None


def test_values_cannot_command_the_terminal(project: Project) -> None:
    (project.folder / "in" / "crm" / "people.csv").write_text(
        'id,name,email,Order\n1,"\x1b]0;owned\x07 \u202eWang",wei@example.cn,x\n', encoding="utf-8"
    )
    steps.extract(project)
    steps.map_records(project)
    write_pairs(project, PAIRS[:1])
    shown = sit(project, "q")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "Wang" in shown


def test_decisions_hold_in_every_rerun_and_until_they_are_taken_back(project: Project) -> None:
    def groups() -> set[frozenset[str]]:
        steps.dedupe(project)
        with open_workspace(project) as workspace:
            made = workspace.store.need(Kind.CLUSTERS, "contact", made_by="dedupe")
            rows = [row for file in made.files for row in pq.read_table(file).to_pylist()]
        names = {row["cluster"] for row in rows}
        return {frozenset(row["__id"] for row in rows if row["cluster"] == name) for name in names}

    alone = groups()
    assert alone == {frozenset({"crm:4", "erp:10"})}, "their e-mail is the same"
    for pair, verdict in ((("crm:1", "erp:7"), Same.SAME), (("crm:4", "erp:10"), Same.NOT_SAME)):
        add_decision(project, "contact", pair, verdict, who="Ada")
    decided = groups()
    assert decided == {frozenset({"crm:1", "erp:7"})}
    text = project.folder / "mappings" / "contact.yaml"
    text.write_text(
        text.read_text(encoding="utf-8").replace("string(200), pii: name", "string(201), pii: name"),
        encoding="utf-8",
    )
    steps.map_records(project)
    assert groups() == decided, "mapped again"
    withdraw(project, About(by="Ada"), who="Bob", why="all wrong")
    assert groups() == alone


def test_a_decision_needs_a_name_two_records_and_a_mapping(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pair, mapping, words in (
        (("crm:1", "crm:99"), "contact", "no such record"),
        (("crm:1", "crm:1"), "contact", "is one record"),
        (("crm:1", "erp:7"), "contract", "contact"),
    ):
        with pytest.raises(ProjectError, match=words):
            add_decision(project, mapping, pair, Same.SAME, who="Ada")
    with pytest.raises(ProjectError, match="every decision"):
        withdraw(project, About(), who="Ada", why="")
    with pytest.raises(ProjectError, match="no standing decision"):
        withdraw(project, About(by="Nobody"), who="Ada", why="")
    assert someone(" Ada ") == "Ada"
    monkeypatch.setenv("LOGNAME", "lovelace")
    assert someone("") == "lovelace"


def test_a_contradiction_is_told_at_once_and_stops_the_step_until_it_is_gone(project: Project) -> None:
    folder = f"-C{project.folder}"
    add_decision(project, "contact", ("crm:1", "erp:7"), Same.SAME, who="Ada")
    add_decision(project, "contact", ("erp:7", "crm:3"), Same.SAME, who="Ada")
    done = run(folder, "dedupe", "decisions", "add", "contact", "crm:1", "crm:3", "not_same", "--who", "Bob")
    assert done.code == 0, done.err
    assert "contradicts" in done.out
    stopped = run(folder, "dedupe")
    assert stopped.code == 2
    assert "crm:1" in stopped.err
    assert run(folder, "dedupe", "decisions", "withdraw", "--by", "Bob", "--who", "Bob").code == 0
    assert run(folder, "dedupe").code == 0
    told = run(folder, "explain", "contact/crm:3", "--json").json()["stages"]["decisions"]
    assert list(told) == ["erp:7", "crm:1"]
    assert told["crm:1"].startswith("withdrawn, said Bob on ")
    listed = run(folder, "dedupe", "decisions", "list", "--standing", "--json").json()["decisions"]
    assert [item["verdict"] for item in listed] == ["same", "same"]


TEXTS = st.none() | st.text(max_size=30)


@given(TEXTS, TEXTS)
def test_the_pieces_of_two_values_are_the_values(one: str | None, other: str | None) -> None:
    contrast = Contrast("f", one, other)
    left, right = contrast.spans
    assert "".join(span.text for span in left) == (one or "")
    assert "".join(span.text for span in right) == (other or "")
    marked = any(span.differs for span in (*left, *right))
    assert marked <= (contrast.difference is Difference.DIFFERENT)


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ("王伟", "王伟 ", Difference.SAME),
        ("ＡＢＣ  Ltd", "abc ltd", Difference.ALIKE),
        ("王伟", "王玮", Difference.DIFFERENT),
        ("x", " ", Difference.ONE_ONLY),
        (None, "", Difference.NEITHER),
    ],
)
def test_how_two_values_differ(one: str | None, other: str | None, difference: Difference) -> None:
    assert Contrast("f", one, other).difference is difference


def test_a_weight_is_taken_apart_step_by_step() -> None:
    steps_of = waterfall(
        '[{"field": "", "level": "prior", "bits": -9}, {"field": "name", "level": "exact", "bits": 12.5}]'
    )
    assert [(step.field, step.before, step.after) for step in steps_of] == [("", 0, -9), ("name", -9, 3.5)]
    assert waterfall(None) == ()
