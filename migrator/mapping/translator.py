"""`Translator` of a bound mapping: the same compiled SELECT over a batch of rows, and its opposite, links by the crosswalk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from migrator.mapping.bound import BoundField, BoundMapping, BoundSource, LookupTarget
from migrator.mapping.columns_used import columns_read
from migrator.mapping.compile import CompiledMapping, compile_mapping
from migrator.mapping.hook_run import register_hooks
from migrator.mapping.kinds import Kind
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
    reads: Mapping[str, tuple[str, ...]]
    """Column that comes out → columns it is made of."""
    decides: tuple[str, ...]
    """Columns that decide whether a row moves at all."""


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
        keys = _Links(self.crosswalk, back=False)
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
        keys = _Links(self.crosswalk, back=True)
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
            reads = {item.name: tuple(column.name for column in item.columns) for item in source.fields}
            bare = () if back else tuple(item.name for item in columns_read(replace(source, fields=())))
            decides = tuple(name for name in bare if name not in source.source.keys)
            self._ways[at] = _Way(source, compile_mapping(mapping), reads, decides)
        return self._ways[at]

    def _run(self, way: _Way, rows: pa.Table) -> pa.Table:
        ids = rows[ROW_ID].cast(pa.string())
        unreadable, undecided = _unreadable_of(rows, way)
        self.session.table(way.source.source.staged, _staged(way.source, rows, ids))
        for name, table in way.compiled.tables.items():
            self.session.table(name, table)
        register_hooks(self.session, way.compiled.hooks)
        found = self.session.fetch(way.compiled.sql)
        found = found.take(pc.index_in(ids.combine_chunks(), found[KEY].combine_chunks()))
        columns = {ROW_ID: ids} | {name: found[name] for name in way.reads}
        columns[FAILED] = pa.chunked_array([pa.array(list(_failed(found[ISSUES], way.reads)), FAILED_TYPE)])
        columns[UNREADABLE] = pa.chunked_array([pa.array(unreadable, NAMES_TYPE)])
        columns[EXCLUDED] = pc.if_else(pa.array(undecided), None, found[LEFT_OUT])
        columns[DEFERRED] = pa.chunked_array([pa.array([[]] * len(ids), DEFERRED_TYPE)])
        return pa.table(columns)


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
    needed = {name for made in way.reads.values() for name in made} | set(way.decides)
    absent = needed - set(rows.column_names) - set(way.source.source.keys)
    given = rows[UNREADABLE].to_pylist() if UNREADABLE in rows.column_names else [None] * len(rows)
    known: dict[frozenset[str], tuple[list[str], bool]] = {}
    for lacking in {frozenset(absent.union(named or ())) for named in given}:
        undecided = not lacking.isdisjoint(way.decides)
        lost = [out for out, made in way.reads.items() if undecided or not lacking.isdisjoint(made)]
        known[lacking] = (lost, undecided)
    found = [known[frozenset(absent.union(named or ()))] for named in given]
    return [lost for lost, _ in found], [undecided for _, undecided in found]


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


@dataclass(frozen=True, slots=True)
class _Links:
    """Keys of linked records as ids of the other side, one question to the crosswalk for each mapping and batch."""

    crosswalk: Crosswalk
    back: bool

    def resolve(
        self, rows: pa.Table, name: str, targets: Sequence[LookupTarget], types: Sequence[str | None] | None
    ) -> pa.Table:
        """`rows` with the column `name` as ids of the other side; a link without partner is null, and deferred."""
        held = rows[name].to_pylist()
        wanted = [
            [target for target in targets if types is None or types[row] in target.types] if value else []
            for row, value in enumerate(held)
        ]
        partners = self._ask(held, wanted)
        ids: list[str | None] = []
        deferred = rows[DEFERRED].to_pylist()
        for value, among, waiting in zip(held, wanted, deferred, strict=True):
            found = dict.fromkeys(
                partners[target.mapping, record]
                for target in among
                if (target.mapping, record := self._record(target, value)) in partners
            )
            ids.append(next(iter(found)) if len(found) == 1 else None)
            if not found:
                waiting += [
                    {"field": name, "mapping": target.mapping, "record": self._record(target, value)}
                    for target in among
                ]
        position = rows.column_names.index(name)
        resolved = rows.set_column(position, name, pa.array(ids, pa.string()))
        return resolved.set_column(
            resolved.column_names.index(DEFERRED), DEFERRED, pa.array(deferred, DEFERRED_TYPE)
        )

    def _record(self, target: LookupTarget, value: str) -> str:
        return value if self.back else f"{target.source.name}:{value}"

    def _ask(
        self, held: Sequence[str], wanted: Iterable[Sequence[LookupTarget]]
    ) -> dict[tuple[str, str], str]:
        """(Mapping, record) → id on the other side."""
        asked: dict[str, dict[str, LookupTarget]] = {}
        for value, among in zip(held, wanted, strict=True):
            for target in among:
                asked.setdefault(target.mapping, {})[self._record(target, value)] = target
        found: dict[tuple[str, str], str] = {}
        for mapping, records in asked.items():
            answer = self.crosswalk.old_ids if self.back else self.crosswalk.new_ids
            for record, partner in answer(mapping, list(records)).items():
                source, _, key = partner.partition(":")
                if not self.back or source == records[record].source.name:
                    found[mapping, record] = key if self.back else partner
        return found
