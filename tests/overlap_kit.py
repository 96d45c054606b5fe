"""What tests of overlapping runs share: projects generated at random, sources and targets that take their time, and a look at the end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.commands.project import Project
from migrator.core.connector import Page, Source, Target
from tests.faults.crash_project import CrashProject
from tests.small_migration import sheet

SETTINGS = """\
project: drawn
systems:
  north: {connector: files, path: north}
  south: {connector: files, path: south}
  crm: {connector: sql, url: "sqlite:///crm.db", batch_rows: 4}
engine: {memory_limit: 500MB, threads: 1}
batch_rows: 4
"""
NAMES = ("a", "b", "c", "d", "e", "f")
ROWS = 9


class SlowSource:
    """Any source that takes its time before each page; `seconds` of an object, or of a page's rows."""

    def __init__(self, source: Source, seconds: Callable[[str, int], float]) -> None:
        self.inside, self._seconds = source, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def read(self, object_name: str, *, cursor: str | None = None, page_rows: int = 50_000) -> Iterator[Page]:
        for page in self.inside.read(object_name, cursor=cursor, page_rows=page_rows):
            time.sleep(self._seconds(object_name, page.rows.num_rows))
            yield page


class SlowTarget:
    """Any target that takes its time over each call; `seconds` of an object and its rows."""

    def __init__(self, target: Target, seconds: Callable[[str, int], float]) -> None:
        self.inside, self._seconds = target, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def upsert(self, object_name: str, rows: pa.Table, *, key: str) -> pa.Table:
        time.sleep(self._seconds(object_name, rows.num_rows))
        return self.inside.upsert(object_name, rows, key=key)


def wrap(
    patch: pytest.MonkeyPatch,
    source: Callable[[Source], Any] = lambda one: one,
    target: Callable[[Target], Any] = lambda one: one,
) -> None:
    """From now on every source and target that is opened is wrapped."""
    open_source, open_target = Project.open_source, Project.open_target
    patch.setattr(Project, "open_source", lambda self, name: source(open_source(self, name)))
    patch.setattr(Project, "open_target", lambda self, name: target(open_target(self, name)))


def write_drawn(folder: Path, seed: int) -> CrashProject:
    """A project drawn by lot: links of all kinds between five objects of two systems, and rows of all kinds in them."""
    chance = random.Random(seed)
    ends = {}
    for name in NAMES:
        known = [
            one for one in NAMES if _system(one) == _system(name)
        ]  # a key means nothing in the other system
        ends[name] = {column: chance.choice([*known, "", ""]) for column in ("One", "Two")}
    for name, text in {"migration.yaml": SETTINGS, **_mappings(chance, ends)}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in NAMES:
        path = folder / _system(name) / f"{name.upper()}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            sheet([("Id", "Name", "State", "One", "Two", "Day"), *_rows(chance, name, ends[name])]),
            encoding="utf-8",
        )
    return CrashProject(folder)


def _system(name: str) -> str:
    return "north" if name in "abcd" else "south"


def _mappings(chance: random.Random, ends: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    found = {}
    for place, name in enumerate(NAMES):
        lines = ["legacy_id: {record_id: true}", "name: {from: Name, type: string(40), required: true}"]
        lines += ["day: {from: Day, type: date}"]
        for column, end in ends[name].items():
            if end:
                required = ", required: true" if NAMES.index(end) < place and chance.random() < 0.3 else ""
                missing = chance.choice(["", ', missing: "null"']) if not required else ""
                lines.append(f"{column.lower()}: {{from: {column}, lookup: {end}{missing}{required}}}")
        first = ", first: open" if chance.random() < 0.3 else ""
        lines.append(f"state: {{from: State, type: string(10){first}}}")
        joined, join = chance.choice([*NAMES, "", "", ""]), ""
        if joined not in ("", name):
            join = f", join: {{j: {{system: {_system(joined)}, object: {joined.upper()}, on: {{Two: Id}}, missing: keep}}}}"
            lines.append("beside: {from: j.Name, type: string(40)}")
        dedupe = "dedupe:\n  keys: {name: {name: exact}}\n" if chance.random() < 0.5 else ""
        fields = "\n".join(f"  {line}" for line in lines)
        source = f"{{system: {_system(name)}, object: {name.upper()}, key: Id{join}}}"
        found[f"mappings/{name}.yaml"] = (
            f"mapping: {name}\ntarget: {{system: crm, object: {name}, key: legacy_id}}\nsource: {source}\n"
            f"fields:\n{fields}\n{dedupe}"
        )
    return found


def _rows(chance: random.Random, name: str, ends: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for number in range(ROWS):
        called = chance.choice(["王", "O'Neil", *[f"n{number}"] * 6, ""])
        linked = [
            f"{end}{chance.randrange(ROWS + 1)}" if chance.random() < 0.8 else "" for end in ends.values()
        ]
        day = chance.choice(["2024-02-29", "2024-02-30", *[""] * 8])
        yield (f"{name}{number}", called, chance.choice(["open", "won"]), *linked, day)
