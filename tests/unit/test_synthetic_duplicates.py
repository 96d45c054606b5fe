"""Contacts and firms with known duplicates: the share asked for, the same from the same seed, and the traps they are made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pytest

from migrator.testing.synthetic.chance import Chance
from migrator.testing.synthetic.duplicate_people import contacts
from migrator.testing.synthetic.duplicates import DUPLICATES, Subject, duplicates, write_duplicates
from migrator.testing.synthetic.edits import slipped
from migrator.testing.synthetic.population import Population, Rates

ROWS = 4_000


def made(subject: Subject, seed: int = 7) -> pa.Table:
    return pa.concat_tables(duplicates(subject, ROWS, seed=seed))


@pytest.mark.parametrize("subject", list(Subject))
def test_three_records_in_ten_are_somebody_again(subject: Subject) -> None:
    rows = made(subject)
    entities = pc.count_distinct(rows["entity_id"]).as_py()
    assert abs(1 - entities / rows.num_rows - DUPLICATES) < 0.03
    assert pc.count_distinct(rows["record_id"]).as_py() == ROWS


@pytest.mark.parametrize("subject", list(Subject))
def test_the_seed_decides_everything(subject: Subject) -> None:
    assert made(subject).equals(made(subject))
    assert not made(subject).equals(made(subject, seed=8))


def test_a_record_is_the_same_in_whatever_chunk_it_is_made() -> None:
    chance = Chance(7)
    population = Population(chance, Rates(duplicates=DUPLICATES), ROWS, 0)
    whole = contacts(chance, population, np.arange(500))
    assert contacts(chance, population, np.arange(200, 300)).equals(whole.slice(200, 100))


def test_people_who_look_alike_are_not_the_same() -> None:
    rows = made(Subject.CONTACTS).to_pylist()
    sons = [row for row in rows if (row["last_name"] or "").endswith(" Jr.")]
    fathers = {row["entity_id"]: row for row in rows}
    pairs = [(son, fathers.get(f"E{int(son['entity_id'][1:]) - 1:08d}")) for son in sons]
    alike = [(son, other) for son, other in pairs if other and other["street"] == son["street"] is not None]
    assert alike
    assert all(son["entity_id"] != other["entity_id"] for son, other in alike)


def test_firms_that_differ_in_the_city_are_two() -> None:
    names = pc.unique(made(Subject.FIRMS)["name"]).to_pylist()
    assert any(name.endswith("分公司") for name in names)
    assert any(" Branch)" in name for name in names)
    assert any("Co., Ltd." in name for name in names)


def test_a_slip_keeps_the_first_letter_and_changes_little() -> None:
    texts = pa.array(["Fernandez", "Li", None, "Müller"])
    numbers = np.arange(4)
    slips = [slipped(Chance(seed), "x", numbers, texts, np.ones(4, bool)).to_pylist() for seed in range(30)]
    assert {row[0][0] for row in slips} == {"F"}
    assert {len(row[0]) for row in slips} == {8, 9, 10}
    assert all(row[1:3] == ["Li", None] for row in slips)
    assert len({row[3] for row in slips}) > 5


def test_a_file_is_written_as_its_name_says(tmp_path: Path) -> None:
    write_duplicates(tmp_path / "firms.csv", Subject.FIRMS, 300)
    table = pc_csv.read_csv(tmp_path / "firms.csv")
    assert table.num_rows == 300
    assert "entity_id" in table.column_names
