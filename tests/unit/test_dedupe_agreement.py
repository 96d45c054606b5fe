"""Names and companies in several languages: what agrees, what only looks so, and how well both are told apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.dedupe.agreement import Agreement
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests.dedupe_pairs import agreements, pairs, score

A = Agreement

LEVELS = [
    ("person", "王小明", "WANG, Xiao-Ming", A.ACROSS),
    ("person", "王小明先生", "王小明", A.SAME),
    ("person", "王伟", "王玮", A.DIFFERENT),
    ("person", "Bob Smith", "Robert Smith", A.COMPATIBLE),
    ("person", "Tan Wei Ming", "Chen Weiming", A.COMPATIBLE),
    ("person", "J. Smith", "John Smith", A.PART),
    ("person", "Ahmad Faizal bin Ismail", "Ahmad Faizal", A.PART),
    ("person", "陈小明", "David Chen", A.OPEN),
    ("person", "陈大卫", "David Chen", A.COMPATIBLE),
    ("person", "Henry Ford", "Henry Ford II", A.OPEN),
    ("person", "John Smith, Sr.", "Smith, John Jr.", A.CONTRADICTION),
    ("person", "Nur binti Ali", "Nur bin Ali", A.CONTRADICTION),
    ("person", "John Smith", "Jane Doe", A.DIFFERENT),
    ("person", "", "John Smith", None),
    ("company", "腾讯", "深圳市腾讯计算机系统有限公司", A.PART),
    ("company", "华为技术有限公司", "Huawei Technologies Co., Ltd.", A.ACROSS),
    ("company", "Acme Ltd", "ACME", A.SAME),
    ("company", "恒信贸易有限公司", "北京恒信贸易有限公司", A.PART),
    ("company", "北京恒信贸易有限公司", "上海恒信贸易有限公司", A.CONTRADICTION),
    ("company", "北京恒信贸易有限公司", "北京恒信贸易有限公司上海分公司", A.CONTRADICTION),
    ("company", "平安银行", "平安保险", A.CONTRADICTION),
    ("company", "恒信集团有限公司", "恒信贸易有限公司", A.OPEN),
    ("company", "Acme Ltd", "Apex Ltd", A.DIFFERENT),
    ("company", "---", "Apex Ltd", None),
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    opened = open_engine(EngineSettings(memory_limit="200MB", threads=1), tmp_path_factory.mktemp("engine"))
    yield opened
    opened.close()


@pytest.mark.parametrize("kind", ["person", "company"])
def test_levels(session: Session, kind: str) -> None:
    chosen = [row[1:] for row in LEVELS if row[0] == kind]
    left, right, wanted = (list(column) for column in zip(*chosen, strict=True))
    assert agreements(session, kind, left, right) == wanted
    assert agreements(session, kind, right, left) == wanted


@pytest.mark.parametrize("name", ["people", "companies", "second", "third", "fourth", "held_out"])
def test_pairs_are_told_apart(session: Session, name: str) -> None:
    found = score(session, pairs(name))
    assert found.recall >= 0.90, found.wrong
    assert found.precision >= 0.98, found.wrong


def test_there_are_enough_pairs_and_as_many_traps() -> None:
    listed = [
        pair
        for path in (Path(__file__).parents[1] / "dedupe_pairs").glob("*.csv")
        for pair in pairs(path.stem)
    ]
    assert len(listed) >= 200
    assert 0.4 < sum(pair.same for pair in listed) / len(listed) < 0.6
