"""All mappings of a project as the sheets of one workbook: one for each mapping, the value maps, and what was exported.

A hidden sheet keeps a digest of every cell as it was exported. So a change in the workbook can be told from one that was
made in the YAML meanwhile, and neither overwrites the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from migrator.core.schema import FieldType
from migrator.mapping.model import STATUSES
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.workbook_cells import (
    PARTS,
    REVIEW,
    Cells,
    Entries,
    Layer,
    Row,
    layers,
    rows_of,
    rules_of,
    written,
)
from migrator.mapping.workbook_sheets import Sheet, title_for
from migrator.mapping.workbook_yaml import YamlText

ID = "id of "
"""What the header of the hidden column begins with; the mapping's name follows."""
MAPS, EXPORTED, OVERVIEW = "value maps", "_exported", "overview"
MAP_COLUMNS = ("map", "old value", "new value")
FACTS = ("filled", "examples")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the staged data says of a source column: the share of rows with a value, and some values, masked."""

    filled: float
    examples: tuple[str, ...]


Known = Mapping[tuple[str, str, str], Facts]
"""(system, object, column) → what is known of it; empty before anything is staged."""


def sheets_of(mappings: Sequence[ObjectMapping], texts: Mapping[str, YamlText], known: Known) -> list[Sheet]:
    """The workbook of some mappings; `texts` holds each one's YAML by the mapping's name."""
    taken = {MAPS.casefold(), EXPORTED.casefold(), OVERVIEW.casefold(), "history"}
    pages: list[Sheet] = []
    maps: dict[str, Entries] = {}
    exported: list[dict[str, str]] = []
    about: list[dict[str, str]] = []
    for mapping in mappings:
        rows, found = rows_of(mapping, texts[mapping.name])
        maps |= found
        pages.append(_page(mapping, rows, title_for(mapping.name, taken), known))
        exported += [
            {"id": row_id(mapping.name, row.name), "digests": json.dumps(digests(row.cells))} for row in rows
        ]
        about.append(_about(mapping, rows, pages[-1].title))
    exported += _map_rows(maps)
    columns = ("mapping", "sheet", "target", "sources", "fields", *STATUSES)
    return [
        Sheet(OVERVIEW, columns, tuple(about), read_only=frozenset(columns)),
        *pages,
        _map_page(maps),
        Sheet(EXPORTED, ("id", "digests"), tuple(exported), hidden=True),
    ]


def row_id(mapping: str, field: str) -> str:
    """What a row is known by, whatever becomes of its cells; a mapping's name holds no '/'."""
    return f"{mapping}/{written(field)}"


def digests(cells: Cells) -> dict[str, str]:
    """Column → digest of its text."""
    return {column: digest(text) for column, text in cells.items()}


def digest(text: str) -> str:
    """A short digest of a cell."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def map_digest(entries: Entries) -> str:
    """A short digest of a value map, its order included."""
    return digest(json.dumps(list(entries.items())))


def _map_rows(maps: Mapping[str, Entries]) -> list[dict[str, str]]:
    return [
        {"id": f"{MAPS}/{written(name)}", "digests": json.dumps({"entries": map_digest(entries)})}
        for name, entries in maps.items()
    ]


def shown_layers(mapping: ObjectMapping) -> tuple[Layer, ...]:
    """The layers that the sheet of a mapping has columns for: a single source says its fields in common."""
    rules = rules_of(mapping)
    several = mapping.rule.source is None
    return tuple(item for item in layers(mapping) if not item.name or several or rules[item.name])


def _page(mapping: ObjectMapping, rows: Sequence[Row], title: str, known: Known) -> Sheet:
    parts = tuple(layer.column(part) for layer in shown_layers(mapping) for part in PARTS)
    hidden = f"{ID}{mapping.name}"
    columns = (hidden, "field", "type", "required", *parts, *FACTS, *REVIEW)
    transforms = {layer.column("transform"): 34 for layer in layers(mapping)}
    return Sheet(
        title,
        columns,
        tuple(_record(mapping, row, hidden, known) for row in rows),
        hidden_columns=frozenset({hidden}),
        read_only=frozenset(FACTS),
        choices={
            "status": STATUSES,
            "required": ("true", "false"),
            "type": tuple(item.value for item in FieldType),
        },
        open_choices=frozenset({"type"}),
        widths={
            "required": 10,
            "type": 16,
            "filled": 16,
            "examples": 34,
            "status": 10,
            "question": 40,
            **transforms,
        },
        frozen=2,
    )


def _record(mapping: ObjectMapping, row: Row, hidden: str, known: Known) -> dict[str, str]:
    found = {}
    for source in mapping.sources:
        column = mapping.field(source, row.name).rule.from_
        facts = known.get((source.system, source.rule.object, column or ""))
        if facts is not None:
            found[source.name] = facts
    several = len(mapping.sources) > 1
    filled = [(name, f"{item.filled:.1%}") for name, item in found.items()]
    examples = [(name, ", ".join(item.examples)) for name, item in found.items() if item.examples]
    return {
        hidden: row_id(mapping.name, row.name),
        "field": written(row.name),
        **row.cells,
        "filled": _lines(filled, several),
        "examples": _lines(examples, several),
    }


def _lines(told: Iterable[tuple[str, str]], several: bool) -> str:
    return "\n".join(f"{name}: {text}" if several else text for name, text in told)


def _about(mapping: ObjectMapping, rows: Sequence[Row], title: str) -> dict[str, str]:
    counts = {status: sum(row.cells.get("status") == status for row in rows) for status in STATUSES}
    target = mapping.rule.target
    sources = ", ".join(f"{item.system}/{item.rule.object}" for item in mapping.sources)
    return {
        "mapping": mapping.name,
        "sheet": title,
        "target": f"{target.system}/{target.object}",
        "sources": sources,
        "fields": str(len(rows)),
        **{status: str(count) for status, count in counts.items()},
    }


def _map_page(maps: Mapping[str, Entries]) -> Sheet:
    rows = [
        dict(
            zip(MAP_COLUMNS, (written(name), written(old), "" if new is None else written(new)), strict=True)
        )
        for name, entries in maps.items()
        for old, new in entries.items()
    ]
    empty = [
        dict(zip(MAP_COLUMNS, (written(name), "", ""), strict=True))
        for name, item in maps.items()
        if not item
    ]
    return Sheet(
        MAPS, MAP_COLUMNS, (*rows, *empty), widths={"map": 34, "old value": 40, "new value": 40}, frozen=1
    )
