"""`Translator` of a bound mapping: the same compiled SELECT over a batch of rows, and its opposite, links by the crosswalk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.schema import FieldSchema, FieldType
from migrator.core.translation import (
    DEFERRED,
    DEFERRED_TYPE,
    EXCLUDED,
    FAILED,
    FAILED_TYPE,
    NAMES_TYPE,
    ROW_ID,
    UNREADABLE,
    Crosswalk,
    PairedObject,
)
from migrator.mapping.bound import BoundField, BoundMapping, BoundSource
from migrator.mapping.columns_used import columns_read
from migrator.mapping.compile import CompiledMapping, compile_mapping
from migrator.mapping.hook_run import register_hooks
from migrator.mapping.kinds import Kind
from migrator.mapping.link_ids import Links
from migrator.mapping.pairing import SyncPlan
from migrator.staging.columns import COPY, ISSUES, KEY, PLACE, ROW
from migrator.staging.columns import EXCLUDED as LEFT_OUT
from migrator.staging.engine import Session

_TYPE = "__type of "
"""Before a link's name: what its type column holds."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One compiled direction of one plan."""

    source: BoundSource
    compiled: CompiledMapping
    """Values and what is wrong with them, also of rows that do not move."""
    judge: CompiledMapping | None
    """Which rows do not move and why; None where all do."""
    reads: Mapping[str, tuple[str, ...]]
    """Column that comes out → columns it is made of."""
    decides: tuple[str, ...]
    """Columns that decide whether a row moves at all."""

    @property
    def needed(self) -> frozenset[str]:
        """Every column that it reads, the key aside."""
        made = {name for names in self.reads.values() for name in names}
        return frozenset(made.union(self.decides).difference(self.source.source.keys))


@dataclass(slots=True)
class MappingTranslator:
    """See `migrator.core.translation.Translator`; one session serves one call at a time."""

    session: Session
    plans: tuple[SyncPlan, ...]
    crosswalk: Crosswalk
    _ways: dict[tuple[str, bool], _Way] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[PairedObject, ...]:
        """See `Translator.objects`."""
        return tuple(plan.paired for plan in self.plans)

    def to_new(self, name: str, rows: pa.Table) -> pa.Table:
        """See `Translator.to_new`."""
        plan = self._plan(name)
        way = self._way(plan, back=False)
        found = self._run(way, rows)
        keys = Links(self.crosswalk, back=False)
        for link, bound in plan.links.items():
            types = found[_TYPE + link].to_pylist() if bound.lookup_by is not None else None
            found = keys.resolve(found, link, bound.lookup, types)
        return found.drop_columns([item for item in found.column_names if item.startswith(_TYPE)])

    def to_old(self, name: str, rows: pa.Table) -> pa.Table:
        """See `Translator.to_old`; of a plan that brings nothing back only the ids."""
        plan = self._plan(name)
        if plan.back is None:
            return _empty(rows[ROW_ID].cast(pa.string()))
        way = self._way(plan, back=True)
        found = self._run(way, rows)
        keys = Links(self.crosswalk, back=True)
        for link, bound in plan.links.items():
            pair = plan.paired.pair(link)
            if pair is not None and pair.direction.goes_back:
                found = keys.resolve(found, pair.written_old[0], bound.lookup, None)
        return found

    def _plan(self, name: str) -> SyncPlan:
        return next(plan for plan in self.plans if plan.paired.name == name)

    def _way(self, plan: SyncPlan, *, back: bool) -> _Way:
        at = (plan.paired.name, back)
        if at not in self._ways:
            mapping = plan.back if back and plan.back is not None else _typed_links(plan)
            (source,) = mapping.sources
            bare = replace(source, fields=())
            judge = replace(mapping, sources=(bare,))
            values = replace(mapping, sources=(replace(source, where=None, exclude=()),))
            judged = source.where is not None or bool(source.exclude)
            self._ways[at] = _Way(
                source,
                compile_mapping(values),
                compile_mapping(judge) if judged else None,
                {item.name: tuple(column.name for column in item.columns) for item in source.fields},
                tuple(column.name for column in columns_read(bare) if column.name not in source.source.keys),
            )
        return self._ways[at]

    def _run(self, way: _Way, rows: pa.Table) -> pa.Table:
        """One pass for rows with distinct ids; a row that stands there again (as it was before) needs another."""
        ids = rows[ROW_ID].cast(pa.string()).to_pylist()
        passes = _distinct_passes(ids)
        if len(passes) == 1:
            return self._pass(way, rows)
        done = [self._pass(way, rows.take(pa.array(places))) for places in passes]
        order = [place for places in passes for place in places]
        return pa.concat_tables(done).take(pc.sort_indices(pa.array(order)))

    def _pass(self, way: _Way, rows: pa.Table) -> pa.Table:
        ids = rows[ROW_ID].cast(pa.string())
        self.session.table(way.source.source.staged, _staged(way.source, rows, ids))
        found = self._query(way.compiled, ids)
        columns = {ROW_ID: ids} | {name: found[name] for name in way.reads}
        failed = list(_failed(found[ISSUES], way.reads))
        excluded: Any = pa.nulls(len(ids), pa.string())
        unreadable, undecided = _unreadable_of(rows, way)
        if way.judge is not None:
            judged = self._query(way.judge, ids)
            excluded = pc.if_else(pa.array(undecided, pa.bool_()), None, judged[LEFT_OUT])
            told = _failed(judged[ISSUES], {})
            failed = [
                [*one, *other, *([_UNDECIDED] if unsure else [])]
                for one, other, unsure in zip(failed, told, undecided, strict=True)
            ]
        columns[FAILED] = pa.chunked_array([pa.array(failed, FAILED_TYPE)])
        columns[UNREADABLE] = pa.chunked_array([pa.array(unreadable, NAMES_TYPE)])
        columns[EXCLUDED] = excluded
        columns[DEFERRED] = pa.chunked_array([pa.array([[]] * len(ids), DEFERRED_TYPE)])
        return pa.table(columns)

    def _query(self, compiled: CompiledMapping, ids: pa.ChunkedArray) -> pa.Table:
        for name, table in compiled.tables.items():
            self.session.table(name, table)
        register_hooks(self.session, compiled.hooks)
        found = self.session.fetch(compiled.sql)
        return found.take(pc.index_in(ids.combine_chunks(), found[KEY].combine_chunks()))


_UNDECIDED = {
    "field": "",
    "rule": "where.unreadable",
    "value": None,
    "message": "a column that decides whether the record moves could not be read",
}


def _distinct_passes(ids: Sequence[str]) -> list[list[int]]:
    """Places of rows, so that no id stands twice in one list."""
    passes: list[list[int]] = [[]]
    seen: Counter[str] = Counter()
    for place, name in enumerate(ids):
        if seen[name] == len(passes):
            passes.append([])
        passes[seen[name]].append(place)
        seen[name] += 1
    return passes


def _typed_links(plan: SyncPlan) -> BoundMapping:
    """The forward mapping with one more field for each link whose type a column tells."""
    (source,) = plan.forward.sources
    more = []
    for name, bound in plan.links.items():
        if bound.lookup_by is not None:
            schema = FieldSchema(_TYPE + name, FieldType.STRING)
            more.append(BoundField(schema, Kind(FieldType.STRING), bound.lookup_by, bound.place))
    return replace(plan.forward, sources=(replace(source, fields=(*source.fields, *more)),))


def _staged(source: BoundSource, rows: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    """Rows as the query reads staged ones: every column it needs, whole floats without '.0', and our own columns."""
    columns: dict[str, Any] = {}
    for column in columns_read(source):
        if column.name in source.source.keys:
            columns[column.engine] = ids
        elif column.name in rows.column_names:
            columns[column.engine] = _plain(rows[column.name])
        else:
            columns[column.engine] = pa.nulls(len(rows), pa.string())
    columns[ROW] = pa.array(range(len(rows)), pa.int64())
    columns[PLACE] = pa.nulls(len(rows), pa.string())
    columns[COPY] = pa.array([0] * len(rows), pa.int32())
    return pa.table(columns)


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A float as the shortest text that says it, a whole one without a point; all else as it is."""
    if pa.types.is_null(values.type):
        return values.cast(pa.string())
    if not pa.types.is_floating(values.type):
        return values
    texts = values.cast(pa.string())
    return pc.replace_substring_regex(texts, r"^(-?\d+)\.0$", r"\1")


def _unreadable_of(rows: pa.Table, way: _Way) -> tuple[list[list[str]], list[bool]]:
    """For each row what is made of columns that could not be read, and whether it is unknown if it moves at all."""
    absent = way.needed.difference(rows.column_names)
    given = rows[UNREADABLE].to_pylist() if UNREADABLE in rows.column_names else [None] * len(rows)
    lacking = [absent.union(named or ()) for named in given]
    known = {
        some: [out for out, made in way.reads.items() if not some.isdisjoint(made)] for some in set(lacking)
    }
    return [known[some] for some in lacking], [not some.isdisjoint(way.decides) for some in lacking]


def _failed(
    issues: pa.ChunkedArray, reads: Mapping[str, tuple[str, ...]]
) -> Iterator[list[dict[str, str | None]]]:
    """The errors of each row, told of the fields that have no value for it; warnings do not stop a value."""
    if pc.max(pc.list_value_length(issues)).as_py() in (None, 0):
        yield from ([] for _ in range(len(issues)))
        return
    for row in issues.to_pylist():
        yield [
            {"field": name, "rule": item["rule"], "value": item["value"], "message": item["message"]}
            for item in row
            if item["severity"] == "error"
            for name in _concerned(item["field"], reads)
        ]


def _concerned(name: str, reads: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The fields that an issue is about: the one named, else all made of a column of that name, else the whole row."""
    return [name] if name in reads else [out for out, made in reads.items() if name in made] or [""]


def _empty(ids: pa.ChunkedArray) -> pa.Table:
    nothing: list[list[str]] = [[]] * len(ids)
    columns: dict[str, Any] = {ROW_ID: ids, FAILED: pa.array(nothing, FAILED_TYPE)}
    columns[UNREADABLE] = pa.array(nothing, NAMES_TYPE)
    columns[EXCLUDED] = pa.nulls(len(ids), pa.string())
    columns[DEFERRED] = pa.array(nothing, DEFERRED_TYPE)
    return pa.table(columns)
