"""The tests of a mapping: rows in, through the query that the mapping is compiled to, rows out and compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, Problem, ProjectError
from migrator.core.mapped import Explosion, MappedSource
from migrator.core.schema import ObjectSchema
from migrator.mapping.bound import BoundMapping
from migrator.mapping.compile import CompiledMapping, compile_mapping
from migrator.mapping.constants import FALSE, TRUE
from migrator.mapping.hook_run import register_hooks
from migrator.mapping.model import MappingTest
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.run import check_query
from migrator.mapping.staged_columns import Schemas
from migrator.staging.columns import BAD, COPY, EXCLUDED, ID, ISSUES, PLACE, ROW
from migrator.staging.engine import Session

Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a test expects and does not get; `location` is that of the expectation."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one test ended."""

    mapping: str
    test: str
    location: Location
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether everything is as expected."""
        return not self.differences


def try_mapping(
    session: Session, mapping: ObjectMapping, bound: BoundMapping, schemas: Schemas
) -> list[Verdict]:
    """Run all tests of one mapping; `bound` must be bound to no staged data, since rows of tests are texts.

    Raises `ProjectError` with every row or expectation that names what is not there.
    """
    if not mapping.rule.tests:
        return []
    compiled = compile_mapping(bound)
    problems = list(_misnamed(mapping, bound, compiled, schemas))
    if problems:
        raise ProjectError(problems)
    for name, table in compiled.tables.items():
        session.table(name, table)
    register_hooks(session, compiled.hooks)
    bench = _Bench(session, mapping, bound, compiled, schemas)
    return [bench.run(number) for number in range(len(mapping.rule.tests))]


def _misnamed(
    mapping: ObjectMapping, bound: BoundMapping, compiled: CompiledMapping, schemas: Schemas
) -> Iterable[Problem]:
    names = [item.name for item in bound.sources]
    fields = bound.mapped.schema.field_names
    for number, test in enumerate(mapping.rule.tests):
        given = [_relation(bound, name) for name in test.rows]
        for (name, rows), relation in zip(test.rows.items(), given, strict=True):
            place = ("tests", number, "rows", name)
            if relation not in compiled.relations:
                hint = did_you_mean(name, [*names, *compiled.relations], noun="sources")
                at = mapping.document.locate_key(place)
                yield Problem(at, f"this mapping reads no rows of {name!r}", hint)
            elif given.count(relation) > 1:
                at = mapping.document.locate_key(place)
                yield Problem(at, f"the rows of {relation} stand here twice", "put them in one list")
            else:
                columns = _schema(schemas, relation).field_names
                for position, row in enumerate(rows):
                    yield from _unknown(mapping, (*place, position), row, columns, "columns")
        for position, row in enumerate(test.expect or ()):
            yield from _unknown(mapping, ("tests", number, "expect", position), row, fields, "fields")


def _unknown(
    mapping: ObjectMapping, path: tuple[str | int, ...], row: Row, known: Sequence[str], noun: str
) -> Iterable[Problem]:
    for name in row:
        if name not in known:
            at = mapping.document.locate_key((*path, name))
            yield Problem(at, f"{name!r} is not among the {noun} here", did_you_mean(name, known, noun=noun))


def _relation(bound: BoundMapping, name: str) -> str:
    """The staged dataset that `name` (a source of the mapping, else SYSTEM/OBJECT) stands for."""
    return next((item.source.staged for item in bound.sources if item.name == name), name)


def _schema(schemas: Schemas, relation: str) -> ObjectSchema:
    system, _, name = relation.partition("/")
    return schemas[system][name]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A compiled mapping with all that a test of it needs."""

    session: Session
    mapping: ObjectMapping
    bound: BoundMapping
    compiled: CompiledMapping
    schemas: Schemas

    def run(self, number: int) -> Verdict:
        """Lay out the rows of one test, run the query, and compare."""
        test = self.mapping.rule.tests[number]
        given = {_relation(self.bound, name): rows for name, rows in test.rows.items()}
        for relation in self.compiled.relations:
            schema = _schema(self.schemas, relation)
            rows = given.get(relation, ())
            self.session.table(relation, _staged(schema, rows, (schema.key,) if schema.key else ()))
        check_query(self.session, self.compiled)
        found = {row[ID]: row for row in self.session.fetch(self.compiled.sql).to_pylist()}
        ids = dict.fromkeys(
            name
            for item in self.bound.sources
            for name in _ids(item.source, given.get(item.source.staged, ()))
        )
        ordered = [found[name] for name in (*ids, *sorted(found.keys() - ids.keys())) if name in found]
        differences = tuple(_differences(self.mapping, number, test, ordered))
        return Verdict(self.mapping.name, test.name, self.mapping.at("tests", number), differences)


def _staged(schema: ObjectSchema, rows: Sequence[Row], keys: Sequence[str]) -> pa.Table:
    """Rows as extract stages those of an export: texts, and the number of each among the rows of its key."""
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in schema.field_names}
    columns[ROW] = pa.array(range(len(rows)), pa.int64())
    columns[PLACE] = pa.array([f"row {number}" for number in range(len(rows))], pa.string())
    columns[COPY] = pa.array(_copies(rows, keys), pa.int32())
    return pa.table(columns)


def _copies(rows: Sequence[Row], keys: Sequence[str]) -> list[int]:
    seen: dict[str, int] = {}
    copies = []
    for row in rows:
        value = _key(row, keys)
        copies.append(seen.get(value, 0) if value else 0)
        if value:
            seen[value] = copies[-1] + 1
    return copies


def _key(row: Row, keys: Sequence[str]) -> str:
    """The key of a row; '' when it has none."""
    texts = [row.get(name) or "" for name in keys]
    if len(texts) > 1 and all(texts):
        return "|".join(_escaped(text, "|") for text in texts)
    return texts[0] if len(texts) == 1 else ""


def _escaped(text: str, sign: str) -> str:
    return text.replace("\\", "\\\\").replace(sign, "\\" + sign)


def _ids(source: MappedSource, rows: Sequence[Row]) -> Iterable[str]:
    """The `__id` that the query gives each row, and each value of a row in its order."""
    copies = _copies(rows, source.keys)
    for number, (row, copy) in enumerate(zip(rows, copies, strict=True)):
        key = (_key(row, source.keys) or f"(row {number})") if source.keys else str(number)
        mark = f" (copy {copy})" if copy else ""
        if source.explode is None:
            yield f"{source.name}:{key}{mark}"
            continue
        name, seen = f"{key}{mark}", Counter[str]()
        yield f"{source.name}:{_escaped(name, '#')}"
        for value in _values(row, source.explode):
            again = f" (again {seen[value]})" if seen[value] else ""
            seen[value] += 1
            yield f"{source.name}:{_escaped(name + again, '#')}#{value}"


def _values(row: Row, explode: Explosion) -> list[str]:
    """The values of a row of a test in their order, as far as they are told apart without the engine."""
    text = row.get(explode.column) or ""
    if explode.split:
        return [part.strip() for part in text.split(explode.split)]
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


def _differences(
    mapping: ObjectMapping, number: int, test: MappingTest, rows: Sequence[Mapping[str, Any]]
) -> Iterable[Difference]:
    path = ("tests", number)
    if test.excluded is not None:
        for row in rows:
            if row[EXCLUDED] != test.excluded:
                yield Difference(mapping.at(*path, "excluded"), f"{row[ID]} {_fate(row)}")
    if test.issues is not None:
        rules = sorted(issue["rule"] for row in rows for issue in row[ISSUES])
        if rules != sorted(test.issues):
            told = "; ".join(_fate(row) for row in rows if row[ISSUES]) or "none was found"
            yield Difference(mapping.at(*path, "issues"), f"other issues: {told}")
    if test.expect is not None:
        yield from _compared(mapping, number, test.expect, rows)


def _compared(
    mapping: ObjectMapping, number: int, expected: Sequence[Row], rows: Sequence[Mapping[str, Any]]
) -> Iterable[Difference]:
    moving = [row for row in rows if row[EXCLUDED] is None and not row[BAD]]
    if len(moving) != len(expected):
        held = "; ".join(f"{row[ID]} {_fate(row)}" for row in rows if row not in moving)
        at = mapping.at("tests", number, "expect")
        words = f"{len(expected)} rows are expected to move, {len(moving)} do"
        yield Difference(at, f"{words}: {held}" if held else words)
        return
    for position, (wanted, row) in enumerate(zip(expected, moving, strict=True)):
        for name, text in wanted.items():
            if not same(text, row[name]):
                at = mapping.at("tests", number, "expect", position, name)
                yield Difference(at, f"{row[ID]}: {name} is {shown(row[name])}, not {shown(text)}")


def _fate(row: Mapping[str, Any]) -> str:
    """What became of a row, in words."""
    if row[EXCLUDED] is not None:
        return f"is excluded: {row[EXCLUDED]}"
    told = ", ".join(
        f"{item['rule']} in {item['field']}"
        + (f" ({shown(item['value'])})" if item["value"] is not None else "")
        for item in row[ISSUES]
    )
    return ("is in quarantine: " if row[BAD] else "moves") + (
        f" with {told}" if not row[BAD] and told else told
    )


def same(text: str | None, value: object) -> bool:
    """Whether a typed value of the engine is what `text` says; numbers by their worth, instants in any zone."""
    if text is None or value is None:
        return text is None and value is None
    if isinstance(value, bool):
        return text.lower() in (TRUE if value else FALSE)
    try:
        return bool(_READ.get(type(value), str)(text) == value)
    except (ValueError, InvalidOperation):
        return False


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_READ: Mapping[type, Callable[[str], object]] = {
    int: Decimal,
    Decimal: Decimal,
    float: float,
    datetime: _instant,
    date: date.fromisoformat,
    time: time.fromisoformat,
}


def shown(value: object) -> str:
    """A value as a mapping file writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return repr(value)
        case Decimal():
            return f"{value:f}"
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)
