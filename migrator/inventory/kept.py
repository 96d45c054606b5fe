"""Scanned components as rows of a dataset, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import pyarrow as pa

from migrator.core.components import Call, Component, ComponentKind, ComponentState, Direction
from migrator.inventory.scan import Item, Reference
from migrator.inventory.usage import Segment, Usage
from migrator.inventory.words import Literal, LiteralKind

FUNCTIONS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("owner", pa.string(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("body", pa.string(), nullable=False),
    ]
)
"""One row a component; `body` is JSON: the item, and what was measured of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A component as it was scanned, with what was measured then."""

    item: Item
    usage: Usage | None = None
    not_measured: str = ""


def to_table(kept: Sequence[Kept]) -> pa.Table:
    """Rows in the order of the scan."""
    columns: dict[str, list[str]] = {name: [] for name in FUNCTIONS.names}
    for one in kept:
        part = one.item.component
        told = (one.item.id, part.kind.value, part.owner, one.item.digest, _body(one))
        for name, value in zip(FUNCTIONS.names, told, strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=FUNCTIONS)


def from_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Kept]:
    """The inverse of `to_table`, row by row."""
    shared = References()
    for row in rows:
        raw = json.loads(row["body"])
        usage = raw["usage"]
        if usage is not None:
            usage["segments"] = tuple(Segment(**one) for one in usage["segments"])
            usage["top"] = tuple((value, count) for value, count in usage.get("top", ()))
        yield Kept(_item(row["id"], raw, shared), Usage(**usage) if usage else None, raw["not_measured"])


def _body(one: Kept) -> str:
    raw = {
        "component": _plain(one.item.component),
        "used_by": [_reference(item) for item in one.item.used_by],
        "uses": [_reference(item) for item in one.item.uses],
        "counts": [one.item.used_by_count, one.item.uses_count],
        "literals": [[item.kind.value, item.text, item.place] for item in one.item.literals],
        "usage": asdict(one.usage) if one.usage else None,
        "not_measured": one.not_measured,
    }
    return json.dumps(raw, ensure_ascii=False, default=_word)


def _plain(part: Component) -> dict[str, Any]:
    """A component without what is as it is by default."""
    raw = asdict(part)
    return {name: value for name, value in raw.items() if value not in ("", (), {}, [])}


def _word(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{value!r} is not kept")


def _reference(one: Reference) -> list[Any]:
    return [one.id, one.kind.value, one.active, one.sure]


def _item(name: str, raw: Mapping[str, Any], shared: References) -> Item:
    used_by_count, uses_count = raw["counts"]
    literals = (Literal(LiteralKind(kind), text, place) for kind, text, place in raw["literals"])
    return Item(
        name, _component(raw["component"]), shared.of(raw["used_by"]), shared.of(raw["uses"]),
        used_by_count, uses_count, tuple(literals),
    )  # fmt: skip


class References:
    """One reference to each component, shared by all rows that mention it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool, bool], Reference] = {}

    def of(self, raw: Sequence[Sequence[Any]]) -> tuple[Reference, ...]:
        """References of one row."""
        return tuple(self._one(name, kind, active, sure) for name, kind, active, sure in raw)

    def _one(self, name: str, kind: str, active: bool, sure: bool) -> Reference:
        key = (name, active, sure)
        if key not in self._known:
            self._known[key] = Reference(name, ComponentKind(kind), active, sure)
        return self._known[key]


def _component(raw: Mapping[str, Any]) -> Component:
    said = dict(raw)
    said["kind"], said["state"] = ComponentKind(said["kind"]), ComponentState(said["state"])
    said["file"] = said.get("file", "")
    said["calls"] = tuple(
        Call(**{**one, "direction": Direction(one["direction"])}) for one in said.get("calls", ())
    )
    for name in ("fires", "languages", "findings", "more_files"):
        said[name] = tuple(said.get(name, ()))
    return Component(**said)
