"""Writes Salesforce weekly export zips: objects spread over several zips, copies that overlap, columns that differ by zip."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv

from migrator.testing.synthetic.keys import salesforce_ids
from migrator.testing.synthetic.population import chunks
from migrator.testing.synthetic.salesforce import MAKERS, Made, body_lengths
from migrator.testing.synthetic.truth import EntityWriter, Truth
from migrator.testing.synthetic.world import World

ORGANISATION = "00D5g000004XyZaEAK"
STAMP = (2026, 1, 18, 3, 15, 0)
_QUOTED = pc_csv.WriteOptions(include_header=True, quoting_style="all_valid")


@dataclass(frozen=True, slots=True)
class Span:
    """The rows of an object in one zip: from `start` to `end`, of which those before `new` stood in the zip before."""

    name: str
    start: int
    end: int
    new: int
    without: tuple[str, ...] = ()
    """Columns that this zip's file does not have."""


def spread(name: str, count: int, parts: int, overlap: float, *, without: Sequence[str] = ()) -> list[Span]:
    """An object over several zips; the second repeats the end of the first, the last lacks some columns."""
    edges = [count * part // parts for part in range(parts + 1)]
    repeated = int((edges[1] - edges[0]) * overlap) if parts > 1 else 0
    return [
        Span(
            name,
            edges[part] - (repeated if part == 1 else 0),
            edges[part + 1],
            edges[part],
            tuple(without) if part > 1 and part == parts - 1 else (),
        )
        for part in range(parts)
    ]


def write_weekly(folder: Path, world: World, truth: Truth, entities: EntityWriter) -> None:
    """Write WE_…_1.ZIP and so on into `folder`, and add what is in them to the truth."""
    sizes, overlap = world.salesforce, world.rates.overlap
    account = spread("Account", sizes.accounts, 2, overlap)
    contact = spread("Contact", sizes.contacts, 3, overlap, without=("Salutation", "Department"))
    (opportunity,) = spread("Opportunity", sizes.opportunities, 1, overlap)
    (task,) = spread("Task", sizes.activities, 1, overlap)
    (user,) = spread("User", sizes.users, 1, overlap)
    (order,) = spread("Order__c", sizes.orders, 1, overlap)
    (attachment,) = spread("Attachment", sizes.attachments, 1, overlap)
    parts = (
        (account[0], Span("Campaign", 0, 0, 0), contact[0], user),
        (account[1], contact[1], opportunity, order),
        (attachment, contact[2], task),
    )
    write_parts(folder, world, truth, entities, parts)


def write_parts(
    folder: Path,
    world: World,
    truth: Truth,
    entities: EntityWriter,
    parts: Sequence[Sequence[Span]],
    *,
    compression: int | None = None,
) -> None:
    """Write one zip per group of spans; a low `compression` (zlib's level) halves the time."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, spans in enumerate(parts, 1):
        path = folder / f"WE_{ORGANISATION}_{number}.ZIP"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for span in spans:
                member = fixed(f"{span.name}.csv", compression)
                with archive.open(member, "w", force_zip64=True) as stream:
                    _write_span(stream, span, world, truth, entities)
                if span.name == "Attachment":
                    _write_bodies(archive, span, world)


def fixed(name: str, compression: int | None = None) -> zipfile.ZipInfo:
    """A member with a time that never changes, so that one seed gives one file."""
    info = zipfile.ZipInfo(name, STAMP)
    info._compresslevel = compression  # type: ignore[attr-defined]  # what the archive is opened with does not reach members made by hand
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _write_span(stream: IO[bytes], span: Span, world: World, truth: Truth, entities: EntityWriter) -> None:
    make = MAKERS[span.name]
    ranges = [
        *chunks(span.new, start=span.start),
        *chunks(span.end, start=span.new),
    ] or [np.arange(0, dtype=np.int64)]
    told = truth.of("salesforce", span.name)
    writer: pc_csv.CSVWriter | None = None
    for numbers in ranges:
        made = make(world, numbers)
        table = pa.table({name: item for name, item in made.columns.items() if name not in span.without})
        # Salesforce writes "" for null
        table = pa.table({name: table[name].fill_null("") for name in table.column_names})
        writer = writer or pc_csv.CSVWriter(stream, table.schema, write_options=_QUOTED)
        writer.write_table(table)
        told.rows += len(numbers)
        if len(numbers) and numbers[0] >= span.new:
            _tell(made, truth, span.name, entities)
    if writer is not None:
        writer.close()


def _tell(made: Made, truth: Truth, name: str, entities: EntityWriter) -> None:
    told = truth.of("salesforce", name)
    told.records += len(made.keys)
    told.bad.extend(made.bad)
    if made.deleted is not None:
        told.deleted += int(made.deleted.sum())
    if made.circular is not None:
        told.circular.extend(made.keys.filter(pa.array(made.circular)).to_pylist())
    if made.entities is not None and made.deleted is not None:
        entities.write("salesforce", name, made.keys, made.entities, made.deleted)
        entities.count("companies" if name == "Account" else "people", made.copies)


def _write_bodies(archive: zipfile.ZipFile, span: Span, world: World) -> None:
    numbers = np.arange(span.start, span.end, dtype=np.int64)
    lengths = body_lengths(world, numbers)
    for number, key, length in zip(
        numbers.tolist(), salesforce_ids("Attachment", numbers).to_pylist(), lengths.tolist(), strict=True
    ):
        noise = world.chance.of("body").bits(str(number), np.arange(length // 8 + 1)).tobytes()
        archive.writestr(fixed(f"Attachments/{key}"), noise[:length])
