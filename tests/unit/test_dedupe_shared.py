"""A value on many names is no key: it is found by itself, compared nowhere, and told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.mapped import Meaning
from migrator.dedupe.features import FEATURES, KINDS, Feature
from migrator.dedupe.shared_values import MOST_NAMES, drop_shared, drop_values
from migrator.staging.engine import EngineSettings, Session, open_engine

NAME = Feature(0, "name", Meaning.PERSON, KINDS[Meaning.PERSON])
PHONE = Feature(1, "phone", Meaning.PHONE, KINDS[Meaning.PHONE])


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = open_engine(EngineSettings(memory_limit="200MB", threads=1), tmp_path)
    yield opened
    opened.close()


def fill(session: Session) -> None:
    """A switchboard of many people, and one person who was written down as often."""
    many = MOST_NAMES + 1
    names = [*(f"person {n}" for n in range(many)), *(["jane doe"] * many)]
    session.table("given", pa.table({"v0": names, "v1": ["71000000"] * many + ["72000000"] * many}))
    session.execute(f"CREATE OR REPLACE TEMP TABLE {FEATURES} AS SELECT * FROM given")


def phones(session: Session) -> set[str | None]:
    return set(session.fetch(f"SELECT v1 FROM {FEATURES}").column("v1").to_pylist())


def test_a_value_of_many_names_is_left_out_and_told(session: Session) -> None:
    fill(session)
    (found,) = drop_shared(session, (NAME, PHONE))
    assert (found.field, len(found.values), found.records) == ("phone", 1, MOST_NAMES + 1)
    assert "71000000" not in found.examples
    assert phones(session) == {None, "72000000"}


def test_a_later_run_leaves_the_same_values_out(session: Session) -> None:
    fill(session)
    (found,) = drop_shared(session, (NAME, PHONE))
    fill(session)
    drop_values(session, (NAME, PHONE), {"phone": found.values})
    assert phones(session) == {None, "72000000"}


def test_without_names_nothing_is_known_to_be_shared(session: Session) -> None:
    fill(session)
    assert drop_shared(session, (PHONE,)) == ()
