"""Contacts or firms with known duplicates, in any size and always the same from the same seed: what dedupe is measured on.

`python -m migrator.testing.synthetic.duplicates contacts.csv --rows 100000`; a name that ends in .parquet gives Parquet. The
column `entity_id` is the truth. Chinese (both scripts), English and Malay names; three records in ten are somebody again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from migrator.testing.synthetic.chance import Chance
from migrator.testing.synthetic.duplicate_firms import firms
from migrator.testing.synthetic.duplicate_people import contacts
from migrator.testing.synthetic.population import Population, Rates, chunks

SEED = 7
DUPLICATES = 0.3
"""Share of records that speak of somebody whom an earlier record speaks of."""


class Subject(Enum):
    """What the records speak of."""

    CONTACTS = "contacts"
    FIRMS = "firms"


def duplicates(
    subject: Subject, rows: int, *, seed: int = SEED, share: float = DUPLICATES
) -> Iterator[pa.Table]:
    """So many records, a chunk at a time; memory is bounded by the chunk."""
    chance = Chance(seed).of(f"duplicates {subject.value}")
    population = Population(chance, Rates(duplicates=share), rows, 0)
    make = contacts if subject is Subject.CONTACTS else firms
    for records in chunks(rows):
        yield make(chance, population, records)


def write_duplicates(path: Path, subject: Subject, rows: int, *, seed: int = SEED) -> None:
    """Write them to a CSV file, or a Parquet file when the name says so."""
    tables = duplicates(subject, rows, seed=seed)
    first = next(tables, None)
    if first is None:
        raise ValueError("rows must be at least 1")
    writer = (
        pq.ParquetWriter(path, first.schema)
        if path.suffix == ".parquet"
        else pc_csv.CSVWriter(path, first.schema)
    )
    with writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def main() -> None:
    """Parse the arguments, write the file, say so."""
    parser = argparse.ArgumentParser(
        prog="python -m migrator.testing.synthetic.duplicates", description=__doc__
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=100_000, help="records (default %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=SEED, help="same seed, same records (default %(default)s)"
    )
    parser.add_argument("--firms", action="store_const", const=Subject.FIRMS, default=Subject.CONTACTS, dest="subject",
                        help="firms instead of contacts")  # fmt: skip
    arguments = parser.parse_args()
    write_duplicates(arguments.file, arguments.subject, arguments.rows, seed=arguments.seed)
    sys.stdout.write(f"{arguments.rows:,} {arguments.subject.value} in {arguments.file}\n")


if __name__ == "__main__":
    main()
