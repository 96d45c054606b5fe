"""Who is to be forgotten: every record that stands for one person, in both systems and in everything that is staged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.commands.project import Workspace
from migrator.core.document import did_you_mean
from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject, MappedSource
from migrator.core.twoway import Which
from migrator.staging import columns
from migrator.staging.engine import Session, literal, quote, row_count
from migrator.staging.erasures import Name
from migrator.staging.purge import Doomed
from migrator.staging.relation import RECORD, relation, staged_records
from migrator.staging.store import Dataset, Kind
from migrator.sync.erasing import groups_of, members_of

_ID = quote(columns.ID)
_COPY = re.compile(r" \(copy \d+\)$")
FORM = "MAPPING/SOURCE:KEY, as `migrator sync stuck` and `migrator explain` name it, or MAPPING:ID for a record of the new side"


@dataclass(frozen=True, slots=True)
class Subject:
    """The records of one person."""

    names: tuple[Name, ...]
    objects: Mapping[str, MappedObject]
    """Mapping → object, of all mappings."""
    linked: Mapping[str, int] = field(default_factory=dict)
    """Mapping → records that stay, and that point to one of these."""

    def which(self, name: Name) -> Which:
        """The side that a record is on."""
        return Which.OLD if "/" in name[0] else Which.NEW

    def home(self, name: Name) -> tuple[str, str]:
        """System and object of a record."""
        obj = self.objects[name[0].partition("/")[0]]
        source = source_of(obj, name[0])
        return (obj.target_system, obj.target_object) if source is None else (source.system, source.object)

    def doomed(self, keys: Mapping[str, frozenset[str]]) -> Doomed:
        """As the staged data name them; `keys`: mapping → keys in the target."""
        ids: dict[str, set[str]] = {}
        for stream, name in self.names:
            mapping, _, source = stream.partition("/")
            if source:
                ids.setdefault(mapping, set()).add(f"{source}:{name}")
        sources: dict[str, tuple[tuple[str, MappedSource], ...]] = {}
        for obj in self.objects.values():
            for one in obj.sources:
                sources[one.staged] = (*sources.get(one.staged, ()), (obj.name, one))
        held = {
            name: (obj.key, keys.get(name, frozenset()) | frozenset(ids.get(name, ())))
            for name, obj in self.objects.items()
        }
        return Doomed({name: frozenset(found) for name, found in ids.items()}, sources, held)


def source_of(obj: MappedObject, stream: str) -> MappedSource | None:
    """The source that a stream of the old side is of; None for the new side."""
    wanted = stream.partition("/")[2]
    return next((item for item in obj.sources if item.name == wanted), None) if wanted else None


def named(text: str, objects: Mapping[str, MappedObject]) -> Name:
    """The record that a person names; raises `ProjectError` for what names none."""
    stream, colon, name = text.partition(":")
    mapping, slash, source = stream.partition("/")
    if not colon or not name:
        raise ProjectError.at("RECORD", f"{text!r} names no record", f"write {FORM}")
    if mapping not in objects:
        raise ProjectError.at(
            "RECORD", f"there is no mapping {mapping!r}", did_you_mean(mapping, objects, noun="mappings")
        )
    if slash and source_of(objects[mapping], stream) is None:
        known = [item.name for item in objects[mapping].sources]
        raise ProjectError.at(
            "RECORD", f"{mapping!r} has no source {source!r}", did_you_mean(source, known, noun="sources")
        )
    return stream, name


@dataclass(frozen=True, slots=True)
class Search:
    """Where records of one person are looked for."""

    workspace: Workspace
    session: Session
    objects: Mapping[str, MappedObject]

    def everything(self, starts: Sequence[Name]) -> Subject:
        """All records that stand for the same person: partners, merged ones, those that other mappings make of them."""
        found: dict[Name, None] = {}
        todo = list(starts)
        while todo:
            name = todo.pop()
            if name not in found:
                found[name] = None
                todo += self._beside(name)
        names = tuple(sorted(found))
        subject = Subject(names, self.objects)
        return Subject(names, self.objects, self._linked(subject))

    def is_known(self, name: Name) -> bool:
        """Whether anything is known of a record."""
        return any(True for _ in self._beside(name)) or self._is_staged(name)

    def target_keys(self, subject: Subject) -> dict[str, frozenset[str]]:
        """Mapping → external keys that the records have in the target."""
        found: dict[str, set[str]] = {}
        for stream, name in subject.names:
            mapping, _, source = stream.partition("/")
            if source:
                found.setdefault(mapping, set()).add(f"{source}:{name}")
                crosswalk = self._rows(
                    Kind.CROSSWALK, mapping, f"{_ID} = {literal(f'{source}:{name}')}", "target_key"
                )
                found[mapping] |= {key for (key,) in crosswalk if key}
        return {mapping: frozenset(keys) for mapping, keys in found.items()}

    def _beside(self, name: Name) -> Iterator[Name]:
        with self.workspace.ledger.read() as connection:
            yield from members_of(connection, groups_of(connection, [name]))
        stream, key = name
        mapping, _, source = stream.partition("/")
        if not source:
            for (record,) in self._rows(Kind.CROSSWALK, mapping, f"target_id = {literal(key)}", _ID):
                yield old_name(mapping, record)
            return
        yield from self._merged(mapping, f"{source}:{key}")
        for (target,) in self._rows(
            Kind.CROSSWALK, mapping, f"{_ID} = {literal(f'{source}:{key}')}", "target_id"
        ):
            if target:
                yield mapping, target
        yield from self._of_same_row(mapping, source, key)

    def _merged(self, mapping: str, record: str) -> Iterator[Name]:
        for kind in (Kind.CLUSTERS, Kind.MERGED):
            for (survivor,) in self._rows(kind, mapping, f"{_ID} = {literal(record)}", "survivor"):
                yield old_name(mapping, survivor)
            for (member,) in self._rows(kind, mapping, f"survivor = {literal(record)}", _ID):
                yield old_name(mapping, member)

    def _of_same_row(self, mapping: str, source: str, key: str) -> Iterator[Name]:
        """What this and other mappings make of the row that the record is made of: copies, values of lists, parts."""
        mine = next(item for item in self.objects[mapping].sources if item.name == source)
        staged = self.workspace.store.current(Kind.STAGED, mine.staged)
        if staged is None:
            return
        rows = self._staged_rows(mine, staged, f"{source}:{key}")
        if not rows:
            return
        listed = ", ".join(map(str, rows))
        for obj in self.objects.values():
            for one in obj.sources:
                if one.staged == mine.staged:
                    records = staged_records(self.session, one, staged)
                    sql = f"SELECT {quote(RECORD)} AS r FROM ({records}) WHERE {quote(columns.ROW)} IN ({listed})"
                    for record in self.session.fetch(sql).column("r").to_pylist():
                        yield old_name(obj.name, record)

    def _staged_rows(self, source: MappedSource, staged: Dataset, record: str) -> list[int]:
        bare = _COPY.sub("", record)
        name, text = quote(RECORD), literal(bare)
        # copies of a record, and the values of a list in it, are called by its name and something more
        where = f"{name} = {text} OR starts_with({name}, {text} || ' (copy ') OR starts_with({name}, {text} || '#')"
        records = staged_records(self.session, source, staged)
        found = self.session.fetch(
            f"SELECT DISTINCT {quote(columns.ROW)} AS row FROM ({records}) WHERE {where}"
        )
        rows: list[int] = found.column("row").to_pylist()
        return rows

    def _is_staged(self, name: Name) -> bool:
        mapping, _, source = name[0].partition("/")
        if not source:
            return False
        mine = next(item for item in self.objects[mapping].sources if item.name == source)
        staged = self.workspace.store.current(Kind.STAGED, mine.staged)
        return staged is not None and bool(self._staged_rows(mine, staged, f"{source}:{name[1]}"))

    def _rows(self, kind: Kind, name: str, where: str, *wanted: str) -> list[tuple[str, ...]]:
        dataset = self.workspace.store.current(kind, name)
        if dataset is None or not dataset.files:
            return []
        sql = f"SELECT DISTINCT {', '.join(wanted)} FROM {relation(self.session, dataset)} WHERE {where}"
        found = self.session.fetch(sql)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def _linked(self, subject: Subject) -> dict[str, int]:
        """Records of the target that point to one of these: they stay, and are for a person to look at."""
        records = [literal(f"{stream}:{name}") for stream, name in subject.names if "/" in stream]
        found: dict[str, int] = {}
        for obj in self.objects.values():
            mapped = self.workspace.store.current(Kind.MAPPED, obj.name)
            if mapped is None or not mapped.files or not obj.links or not records:
                continue
            among = f"IN ({', '.join(records)})"
            where = " OR ".join(f"{quote(link.field)} {among}" for link in obj.links)
            mine = ", ".join(
                literal(f"{stream.partition('/')[2]}:{name}")
                for stream, name in subject.names
                if stream.startswith(f"{obj.name}/")
            )
            others = f"({where}) AND {_ID} NOT IN ({mine})" if mine else f"({where})"
            if number := row_count(self.session, f"{relation(self.session, mapped)} WHERE {others}"):
                found[obj.name] = number
        return found


def old_name(mapping: str, record: str) -> Name:
    """'SOURCE:KEY' of a mapping as stream and id."""
    source, _, key = record.partition(":")
    return f"{mapping}/{source}", key
