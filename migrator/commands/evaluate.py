"""The evaluate command: duplicates looked for as the dedupe step would, in a project or in plain files, and held against a truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from migrator.commands.binding import bind_project, selected
from migrator.commands.evaluate_data import (
    RECORDS,
    DataFiles,
    Table,
    check_settings,
    read_records,
    read_table,
)
from migrator.commands.evaluate_page import write_page
from migrator.commands.evaluated import Measured, TruthFile, Wanted
from migrator.commands.project import Project, open_workspace
from migrator.commands.target import flat
from migrator.core.clock import SystemClock
from migrator.core.document import did_you_mean
from migrator.core.errors import Location, ProjectError
from migrator.core.mapped import DedupeRules, Judgement, MappedObject, MatchModel, Reach
from migrator.core.mask import mask
from migrator.core.progress import Progress, Quiet
from migrator.core.schema import FieldSchema
from migrator.dedupe.evaluate import Asked, evaluate
from migrator.dedupe.match import match
from migrator.dedupe.run import good_rows
from migrator.dedupe.truth import Told, TruthUse, entities_of_records, pairs_of_records
from migrator.mapping.match_model import find_model, read_model
from migrator.staging.engine import EngineSettings, Session, literal, open_engine, quote, row_count
from migrator.staging.match_decisions import judgements
from migrator.staging.store import Kind

QUIET = Quiet()
STEP = "evaluate"
PAGE = "dedupe-evaluation.html"
_YES = ("true", "yes", "y", "same", "match", "是")
"""What says of a pair that it is one, besides numbers from 0.5 on."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """Which records are measured, how duplicates are looked for in them, and which of their fields are masked."""

    name: str
    fields: tuple[FieldSchema, ...]
    rules: DedupeRules
    notes: tuple[str, ...] = ()
    open_fields: frozenset[str] = frozenset()
    judgements: tuple[Judgement, ...] = ()


def chosen_model(name: str) -> MatchModel | None:
    """The model of that name, in a file or among the project's; None for '', which leaves the choice to the mapping."""
    if not name:
        return None
    file = Path(name)
    return read_model(file) if file.is_file() else find_model(name, Path(), Location("--model"))


def evaluate_files(
    data: DataFiles, model: MatchModel | None, wanted: Wanted, progress: Progress = QUIET
) -> Measured:
    """Look for duplicates in plain files with `model`; no project is needed, none is made.

    Raises `ProjectError` when files, columns or truth are not what was said.
    """
    truth = wanted.truth
    if bool(truth.file) == bool(data.entity):
        raise ProjectError.at(
            "--truth", "say where the truth is: --truth FILE, or --entity COLUMN of the data"
        )
    if wanted.reach is Reach.ACROSS and len(data.files) < 2:
        raise ProjectError.at("--across", "there is one file", "name two files with --data")
    check_settings(data.settings, [name for name in (*data.files, truth.file) if name])
    with _engine() as (session, folder):
        records = read_records(session, data)
        told = Told(RECORDS, ("__id", data.entity), "--entity")
        use, notes = (
            _lay_down(session, RECORDS, truth, records.sources, data.settings)
            if truth.file
            else (entities_of_records(session, RECORDS, told), ())
        )
        rules = DedupeRules(keys=(), model=replace(model or MatchModel(), reach=wanted.reach))
        subject = _Subject(
            " + ".join(Path(name).name for name in data.files),
            records.fields,
            rules,
            (*records.notes, *notes),
        )
        return _measure(session, subject, use, wanted, scratch=folder, progress=progress)


def evaluate_project(
    project: Project, name: str, model: MatchModel | None, wanted: Wanted, progress: Progress = QUIET
) -> Measured:
    """Look for duplicates among the mapped records of an object by its own rules (`model`: by that), and measure.

    Writes nothing but the page. Raises `ProjectError` when the object has no duplicate rules or the truth does not fit.
    """
    truth = wanted.truth
    if not truth.file:
        raise ProjectError.at(
            "--truth", "say where the truth is", "--truth FILE: a record key and an entity in each row"
        )
    with open_workspace(project) as workspace:
        mapped = _only(flat(selected(bind_project(workspace), [name] if name else [])))
        rules = _rules(mapped, model)
        if wanted.reach is Reach.ACROSS and rules.model is not None:
            rules = replace(rules, model=replace(rules.model, reach=wanted.reach))
        rows = workspace.store.need(Kind.MAPPED, mapped.name, made_by="map")
        with closing(workspace.session()) as session, TemporaryDirectory(dir=project.workspace) as scratch:
            good = good_rows(session, rows)
            session.execute(f"CREATE OR REPLACE TEMP VIEW {RECORDS} AS SELECT * FROM {good}")
            use, notes = _lay_down(session, RECORDS, truth, tuple(item.name for item in mapped.sources))
            open_fields = frozenset(mapped.schema.field_names) - mapped.pii
            subject = _Subject(
                mapped.name,
                mapped.fields,
                rules,
                notes,
                open_fields,
                judgements(workspace.ledger, mapped.name),
            )
            return _measure(session, subject, use, wanted, scratch=Path(scratch), progress=progress)


def _only(chosen: Sequence[MappedObject]) -> MappedObject:
    if len(chosen) != 1:
        names = ", ".join(item.name for item in chosen)
        raise ProjectError.at(
            "--object", f"the project has several mappings: {names}", "say which one to measure"
        )
    return chosen[0]


def _rules(mapped: MappedObject, model: MatchModel | None) -> DedupeRules:
    if model is not None:
        return replace(mapped.dedupe or DedupeRules(keys=()), model=model)
    if mapped.dedupe is None or not (mapped.dedupe.keys or mapped.dedupe.model):
        raise ProjectError.at(
            mapped.file or mapped.name,
            f"{mapped.name} has no duplicate rules to measure",
            "--model auto measures without",
        )
    return mapped.dedupe


@contextmanager
def _engine() -> Iterator[tuple[Session, Path]]:
    """An engine of its own and a folder for scratch files, both gone afterwards."""
    with (
        TemporaryDirectory(prefix="migrator-evaluate-") as folder,
        closing(open_engine(EngineSettings(), Path(folder))) as session,
    ):
        yield session, Path(folder)


def _lay_down(
    session: Session, relation: str, truth: TruthFile, sources: Sequence[str], settings: Sequence[str] = ()
) -> tuple[TruthUse, tuple[str, ...]]:
    named = [text for text in settings if "." in text.partition("=")[0]]  # what is said of all is of the data
    table = read_table(session, truth.file, named, "--truth", 0)
    columns = _columns(table, truth)
    session.execute(
        f"CREATE OR REPLACE TEMP VIEW evaluate_told AS SELECT {_texts(columns)} FROM {table.relation} "
        f"{_where(table, truth)}"
    )
    if not truth.pairs:
        return entities_of_records(session, relation, Told("evaluate_told", columns, truth.file)), table.notes
    pair = (
        (sources[0], sources[1])
        if len(sources) == 2 and not _prefixed(session, columns, sources)
        else ("", "")
    )
    return pairs_of_records(session, relation, Told("evaluate_told", columns, truth.file, pair)), table.notes


def _where(table: Table, truth: TruthFile) -> str:
    """Which rows of a truth count."""
    if not truth.match:
        return ""
    if not truth.pairs or truth.match not in table.schema.field_names:
        hint = (
            did_you_mean(truth.match, table.schema.field_names, noun="columns")
            if truth.pairs
            else "it goes with --pairs"
        )
        raise ProjectError.at("--match", f"no column {truth.match!r} says which pairs are one", hint)
    text = f"lower(trim({quote(truth.match)}::VARCHAR))"
    yes = ", ".join(map(literal, _YES))
    return f"WHERE {text} IN ({yes}) OR try_cast({text} AS DOUBLE) >= 0.5"


def _texts(columns: tuple[str, str]) -> str:
    return ", ".join(f"{quote(name)}::VARCHAR AS {quote(name)}" for name in columns)


def _prefixed(session: Session, columns: tuple[str, str], sources: Sequence[str]) -> bool:
    """Whether the keys of a truth say their source themselves."""
    first = quote(columns[0])
    begins = " OR ".join(f"starts_with({first}, {literal(source + ':')})" for source in sources)
    found = session.fetch(f"SELECT coalesce(bool_and({begins}), false) AS all_of_them FROM evaluate_told")
    return bool(found.column("all_of_them")[0].as_py())


def _columns(table: Table, truth: TruthFile) -> tuple[str, str]:
    """The two columns that count: as said, else the only two there are."""
    names = table.schema.field_names
    for option, name in (("--key", truth.key), ("--entity", truth.entity)):
        if name and name not in names:
            raise ProjectError.at(
                option, f"the truth has no column {name!r}", did_you_mean(name, names, noun="columns")
            )
    rest = [name for name in names if name not in {truth.key, truth.entity}]
    given = [name for name in (truth.key, truth.entity) if name]
    if len(names) != 2 and len(given) < 2:
        listed = ", ".join(map(repr, names))
        raise ProjectError.at(
            truth.file,
            f"the truth has {len(names)} columns: {listed}",
            "--key and --entity say which two of them count",
        )
    key = truth.key or rest.pop(0)
    return key, truth.entity or rest.pop(0)


def _measure(
    session: Session, subject: _Subject, use: TruthUse, wanted: Wanted, *, scratch: Path, progress: Progress
) -> Measured:
    rows = row_count(session, RECORDS)
    progress.start(STEP, subject.name, rows)
    matched = match(session, RECORDS, subject.fields, subject.rules, scratch, judgements=subject.judgements)
    progress.advance(STEP, subject.name, rows)
    asked = Asked(subject.rules, wanted.reach, subject.judgements, wanted.worst)
    found = evaluate(session, RECORDS, matched, asked)
    values = _values(
        session, subject, [name for item in (*found.joins, *found.misses) for name in (item.one, item.other)]
    )
    progress.done(STEP, subject.name, f"{use.records} records of known truth")
    page = wanted.out or Path(PAGE)
    measured = Measured(
        subject.name, rows, use, found, matched.report,
        values if wanted.unmask else {name: _masked(row, subject.open_fields) for name, row in values.items()},
        {(item.one, item.other): _equal(values[item.one], values[item.other]) for item in (*found.joins, *found.misses)},
        subject.notes, wanted.least, page,
    )  # fmt: skip
    write_page(measured, SystemClock())
    return measured


def _values(session: Session, subject: _Subject, ids: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """The fields of these records as text."""
    if not ids:
        return {}
    listed = ", ".join(literal(name) for name in sorted(set(ids)))
    fields = ", ".join(f"{quote(item.name)}::VARCHAR AS {quote(item.name)}" for item in subject.fields)
    found = session.fetch(f"SELECT __id, {fields} FROM {RECORDS} WHERE __id IN ({listed})")
    return {row.pop("__id"): row for row in found.to_pylist()}


def _masked(row: Mapping[str, str | None], open_fields: frozenset[str]) -> dict[str, str | None]:
    return {
        name: value if name in open_fields or value is None else mask(value) for name, value in row.items()
    }


def _equal(one: Mapping[str, str | None], other: Mapping[str, str | None]) -> frozenset[str]:
    return frozenset(name for name, value in one.items() if value is not None and value == other[name])
