"""`migrator dedupe evaluate`: the worst errors with their reasons, odd files read or refused with a hint, a page that is inert."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.cli.main import run_app
from migrator.commands.evaluate import evaluate_files
from migrator.commands.evaluate_data import RECORDS, DataFiles, read_records, read_table
from migrator.commands.evaluated import TruthFile, Wanted
from migrator.core.errors import ProjectError
from migrator.core.mapped import DedupeRules, Reach
from migrator.dedupe.bands import Bands
from migrator.dedupe.cluster import make_clusters
from migrator.dedupe.edges import create_edges
from migrator.dedupe.evaluate import Asked, Evaluation, evaluate
from migrator.dedupe.match import Matched
from migrator.dedupe.mistakes import Missed, Why
from migrator.dedupe.scoring import Scored
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests.small_migration import assert_told, migrator, write_small

PARTS = json.dumps(
    [{"field": "", "level": "prior", "bits": -9.0}, {"field": "name", "level": "exact", "bits": 12.5}]
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with closing(open_engine(EngineSettings(threads=1), tmp_path_factory.mktemp("engine"))) as session:
        yield session


def evaluated(
    session: Session, entities: dict[str, str], edges: list[tuple[str, str, float | None, str]]
) -> Evaluation:
    """Measure edges (one, other, bits, band) against entities of records."""
    session.table("records", pa.table({"__id": list(entities), "__source": [name[0] for name in entities]}))
    session.table("told", pa.table({"__id": list(entities), "entity": list(entities.values())}))
    session.execute("CREATE OR REPLACE TEMP TABLE evaluate_truth AS FROM told")
    create_edges(session)
    for one, other, bits, band in edges:
        rule, weight, chance = (
            ("model", f"{bits}", f"{1 / (1 + 2**-bits)!r}") if bits is not None else ("email", "NULL", "NULL")
        )
        parts = f"'{PARTS}'" if bits is not None else "NULL"
        session.execute(
            f"INSERT INTO dedupe_edges VALUES ('{one}', '{other}', '{rule}', 0, NULL, {weight}, {chance}, '{band}', {parts})"
        )
    matched = Matched(make_clusters(session, 50), scored=Scored(Bands(0.99, 0.5, 0.1), {}))
    return evaluate(session, "records", matched, Asked(DedupeRules(keys=())))


def test_the_worst_errors_are_named_with_their_reasons(engine: Session) -> None:
    entities = {f"a:{number}": f"e{number // 2}" for number in range(10)}
    found = evaluated(
        engine, entities,
        [
            ("a:0", "a:1", 12.0, "automatic"),
            ("a:1", "a:2", 9.0, "automatic"),  # wrong: two entities
            ("a:2", "a:3", 2.0, "review"),
            ("a:4", "a:5", -3.0, "none"),
            ("a:6", "a:7", None, "automatic"),
        ],
    )  # fmt: skip
    assert [(item.why, item.one, item.other, item.weight) for item in found.joins] == [
        (Why.JOINED, "a:1", "a:2", 9.0)
    ]
    assert found.joins[0].pairs == 2
    assert [(part.field, part.bits) for part in found.joins[0].parts] == [("", -9.0), ("name", 12.5)]
    assert set(found.missed) == {
        Missed(Why.REVIEW, 1, 1),
        Missed(Why.LOW, 1, 1),
        Missed(Why.UNCOMPARED, 1, 1),
    }
    named = {(item.one, item.other): item.why for item in found.misses}
    assert named == {("a:2", "a:3"): Why.REVIEW, ("a:4", "a:5"): Why.LOW, ("a:8", "a:9"): Why.UNCOMPARED}
    assert (found.review.pairs, found.review.right, found.review.records) == (1, 1, 2)
    assert {(item.rule, item.pairs, item.right) for item in found.rules} == {("model", 2, 1), ("email", 1, 1)}
    assert sum(bar.same + bar.different for bar in found.bars) == 4


def test_every_threshold_is_clustered_anew(engine: Session) -> None:
    entities = {"a:0": "x", "a:1": "x", "a:2": "y", "a:3": "y"}
    found = evaluated(engine, entities, [("a:0", "a:1", 8.0, "automatic"), ("a:2", "a:3", 1.0, "review")])
    assert found.automatic.pairs.recall == 0.5
    assert found.likely is not None
    assert found.likely.pairs.recall == 1
    recalls = {rung.threshold: rung.scores.pairs.recall for rung in found.rungs}
    assert (recalls[0.5], recalls[0.9], recalls[0.9999]) == (1, 0.5, 0)


def read(session: Session, tmp_path: Path, content: bytes, **options: str) -> pa.Table:
    (tmp_path / "客户 list.csv").write_bytes(content)
    settings = tuple(text for text in [options.pop("settings", "")] if text)
    read_records(session, DataFiles((str(tmp_path / "客户 list.csv"),), settings=settings, **options))
    return session.fetch(f"SELECT * FROM {RECORDS} ORDER BY __id")


@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-8-sig", ""), ("utf-16", ""), ("gb18030", "encoding=gb18030"), ("utf-8", "")]
)
def test_files_as_people_have_them_are_read(
    engine: Session, tmp_path: Path, encoding: str, mark: str
) -> None:
    text = "编号;姓名;Order\n" + "".join(f"{n};王小{c};“引号”, {n}\n" for n, c in enumerate("明红军丽华"))
    found = read(engine, tmp_path, text.encode(encoding), id="编号", settings=mark)
    assert found.column_names == ["__id", "__source", "姓名", "Order"]
    assert found["姓名"][0].as_py() == "王小明"


def test_without_a_column_of_keys_rows_are_counted(engine: Session, tmp_path: Path) -> None:
    found = read(engine, tmp_path, b"name,select\nAnn,\nBob,x\n")
    assert [name.rpartition(":")[2] for name in found["__id"].to_pylist()] == ["1", "2"]
    assert found["select"].to_pylist() == [None, "x"]


def test_a_column_called_like_a_key_that_is_one_is_the_key_and_nobody_compares_it(
    engine: Session, tmp_path: Path
) -> None:
    found = read(engine, tmp_path, b"tax_id,rec_id,name\n7,r-1,Ann\n7,r-2,Bob\n")
    assert [name.rpartition(":")[2] for name in found["__id"].to_pylist()] == ["r-1", "r-2"]
    assert found.column_names == ["__id", "__source", "tax_id", "name"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"id": "nam"}, "did you mean 'name'"),
        ({"id": "name"}, "2 of its values are empty or come again"),
        ({"entity": "who"}, "no column 'who'"),
    ],
)
def test_wrong_columns_are_told(engine: Session, tmp_path: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(said)):
        read(engine, tmp_path, b"name,city\nAnn,x\nAnn,\n,y\n", **options)


def test_of_labelled_pairs_those_count_that_are_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,Ann Abbott\n2,Ann Abbott\n3,Bob Becker\n", "utf-8")
    (tmp_path / "labels.csv").write_text("l,r,score\n1,2,1.0\n1,3,0.0\n", "utf-8")
    truth = TruthFile(str(tmp_path / "labels.csv"), "l", "r", pairs=True, match="score")
    data = DataFiles((str(tmp_path / "a.csv"),))
    found = evaluate_files(data, None, Wanted(truth, out=tmp_path / "page.html"))
    assert (found.truth.entities, found.evaluation.automatic.pairs.real) == (1, 1)
    with pytest.raises(ProjectError, match="did you mean 'score'"):
        evaluate_files(data, None, Wanted(replace(truth, match="scor")))


def test_what_is_no_file_is_told_at_its_option(engine: Session, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"^--truth: there is no"):
        read_table(engine, str(tmp_path / "nothing.csv"), (), "--truth", 0)


def test_a_truth_is_asked_for_before_anything_is_matched(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,x\n2,y\n", "utf-8")
    (tmp_path / "truth.csv").write_text("id,name,entity\n1,x,e\n", "utf-8")
    data = DataFiles((str(tmp_path / "a.csv"),))
    with pytest.raises(ProjectError, match="say where the truth is"):
        evaluate_files(data, None, Wanted(TruthFile()))
    with pytest.raises(ProjectError, match="--key and --entity say which two"):
        evaluate_files(data, None, Wanted(TruthFile(str(tmp_path / "truth.csv"))))
    with pytest.raises(ProjectError, match="name two files"):
        evaluate_files(data, None, Wanted(TruthFile("x"), Reach.ACROSS))


FIRST = ["Anna", "Boris", "Clara", "David", "Edith", "Frank", "Greta", "Henry", "Irina", "James"]
LAST = ["Abbott", "Becker", "Castle", "Dawson", "Eriksen", "Fischer", "Garner", "Holden", "Irving", "Jensen"]


def test_a_plain_file_is_measured_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["id;name;email;note;truth"]
    for number in range(60):
        name, mail = f"{FIRST[number % 10]} {LAST[number // 6]}", f"p{number}@example.org"
        rows.append(f"{number};{name};{mail};<script>alert(1)</script>;e{number}")
        if number % 3 == 0:
            rows.append(f"{number + 100};{name.upper()};{mail if number % 2 else ''};;e{number}")
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n", "utf-8-sig")
    page = tmp_path / "page.html"
    asked = [
        "dedupe",
        "evaluate",
        "--data",
        str(tmp_path / "people.csv"),
        "--entity",
        "truth",
        "--out",
        str(page),
    ]
    code = run_app([*asked, "--min-recall", "1", "--worst", "3", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["records"] == 80
    assert found["automatic"]["pairs"]["real"] == 20
    assert code == (1 if found["below"] else 0)
    assert run_app(asked) == 0
    shown = capsys.readouterr().out
    assert "80 records, truth known of 80" in shown
    assert re.search(r"best guess +pairs +[01]", shown)
    assert "Becker" not in shown
    html = page.read_text("utf-8")
    assert "<script" not in html
    assert "Content-Security-Policy" in html
    assert "Becker" not in html
    assert not re.search(r"(src|href)=\"(?!#)", html)


@pytest.mark.slow
def test_a_project_is_measured_by_its_own_rules_and_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_small(tmp_path)
    for step in ("extract", "map"):
        assert migrator(folder, capsys, step).code == 0
    truth = folder / "truth.csv"
    truth.write_text(
        "key,who\nsalesforce:001000000000001AAA,acme\na0000000-0000-0000-0000-000000000001,acme\n", "utf-8"
    )
    before = sorted(str(path) for path in (folder / ".migrator" / "staging").rglob("*"))
    said = migrator(
        folder,
        capsys,
        "dedupe",
        "evaluate",
        "-o",
        "account",
        "--truth",
        str(truth),
        "--out",
        str(folder / "p.html"),
        "--json",
    )
    found = json.loads(said.out)
    assert said.code == 0
    assert found["automatic"]["pairs"]["real"] == 1
    assert found["bands"] is None
    assert sorted(str(path) for path in (folder / ".migrator" / "staging").rglob("*")) == before
    assert_told(
        migrator(folder, capsys, "dedupe", "evaluate", "--truth", str(truth)),
        2,
        "several mappings",
        "account",
    )
    assert_told(
        migrator(folder, capsys, "dedupe", "evaluate", "-o", "contact", "--truth", str(truth)),
        2,
        "no duplicate rules",
    )
