"""What is known of who is who, laid beside the records: entities of records, or pairs of records that are one."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.core.errors import ProjectError
from migrator.dedupe.components import COMPONENTS, find_components
from migrator.dedupe.measure import TRUTH
from migrator.staging.engine import Session, literal, quote

_RAW = "evaluate_truth_rows"
_NAMES = "evaluate_names"


@dataclass(frozen=True, slots=True)
class Told:
    """A relation that says who is who: a key and an entity in each row, or the keys of two records that are one."""

    relation: str
    columns: tuple[str, str]
    place: str
    """What a person calls it: a file."""
    sources: tuple[str, str] = ("", "")
    """Whose keys stand in each column; '' when the keys say it themselves, or there is one source."""


@dataclass(frozen=True, slots=True)
class TruthUse:
    """How far a truth reaches."""

    rows: int
    """Rows of the truth."""
    records: int
    """Records whose entity is known by it; only these are judged."""
    unknown: int
    """Keys in the truth that no record has."""
    entities: int
    """Entities of two records and more."""


def entities_of_records(session: Session, relation: str, told: Told) -> TruthUse:
    """Make `TRUTH` of the entity that each row names for a key (`SOURCE:KEY`, or KEY where that is unique).

    Raises `ProjectError` when keys are ambiguous, a record has two entities, or nothing fits.
    """
    key, entity = (f"{quote(column)}::VARCHAR" for column in told.columns)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_RAW} AS SELECT {key} AS key, {entity} AS entity "
        f"FROM {told.relation} WHERE {key} <> '' AND {entity} <> ''"
    )
    _name_records(session, relation)
    _refuse_ambiguous(session, "key", told.place)
    _refuse_torn(session, told.place)
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {TRUTH} AS SELECT DISTINCT __id, entity FROM {_RAW} JOIN {_NAMES} USING (key)"
    )
    return _use(session, ("key",), told.place)


def pairs_of_records(session: Session, relation: str, told: Told) -> TruthUse:
    """Make `TRUTH` of rows that name two records each; what no row names is an entity of its own.

    Pairs are taken to be all there are, and for closed: a = b and b = c says a = c. Raises `ProjectError` as above.
    """
    first, second = (_prefixed(*item) for item in zip(told.columns, told.sources, strict=True))
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_RAW} AS SELECT {first} AS key, {second} AS other FROM {told.relation} "
        f"WHERE {quote(told.columns[0])} <> '' AND {quote(told.columns[1])} <> ''"
    )
    _name_records(session, relation)
    for column in ("key", "other"):
        _refuse_ambiguous(session, column, told.place)
    session.execute(
        "CREATE OR REPLACE TEMP TABLE evaluate_pairs AS SELECT a.__id AS one, b.__id AS other "
        f"FROM {_RAW} r JOIN {_NAMES} a USING (key) JOIN {_NAMES} b ON r.other = b.key WHERE a.__id <> b.__id"
    )
    find_components(session, "evaluate_pairs")
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {TRUTH} AS SELECT r.__id, coalesce(c.component::VARCHAR, r.__id) AS entity "
        f"FROM {relation} r LEFT JOIN {COMPONENTS} c USING (__id)"
    )
    return _use(session, ("key", "other"), told.place)


def _prefixed(column: str, source: str) -> str:
    text = f"{quote(column)}::VARCHAR"
    return f"{literal(source + ':')} || {text}" if source else text


def _name_records(session: Session, relation: str) -> None:
    """Every record by its id, and by its key alone."""
    session.execute(
        f"CREATE OR REPLACE TEMP TABLE {_NAMES} AS SELECT __id AS key, __id FROM {relation} "
        f"UNION ALL SELECT substr(__id, length(__source) + 2), __id FROM {relation}"
    )


def _refuse_ambiguous(session: Session, column: str, place: str) -> None:
    found = session.fetch(
        f"SELECT key, min(__id) AS one, max(__id) AS other FROM (SELECT DISTINCT {column} AS key FROM {_RAW}) "
        f"JOIN {_NAMES} USING (key) GROUP BY key HAVING count(*) > 1 ORDER BY key LIMIT 1"
    ).to_pylist()
    if found:
        first = found[0]
        raise ProjectError.at(
            place,
            f"the key {first['key']!r} could be {first['one']!r} or {first['other']!r}",
            "write keys of several sources as SOURCE:KEY",
        )


def _refuse_torn(session: Session, place: str) -> None:
    found = session.fetch(
        f"SELECT key FROM {_RAW} GROUP BY key HAVING count(DISTINCT entity) > 1 ORDER BY key LIMIT 3"
    )
    torn = found.column("key").to_pylist()
    if torn:
        raise ProjectError.at(
            place,
            f"these keys belong to several entities: {', '.join(torn)}",
            "a record is of one entity; for pairs of records say --pairs",
        )


def _use(session: Session, columns: tuple[str, ...], place: str) -> TruthUse:
    keys = " UNION ".join(f"SELECT {column} AS key FROM {_RAW}" for column in columns)
    counts = session.fetch(
        f"SELECT (SELECT count(*) FROM {_RAW}) AS rows, (SELECT count(*) FROM {TRUTH}) AS records, "
        f"(SELECT count(*) FROM ({keys}) ANTI JOIN {_NAMES} USING (key)) AS unknown, "
        f"(SELECT count(*) FROM (SELECT entity FROM {TRUTH} GROUP BY entity HAVING count(*) > 1)) AS entities"
    ).to_pylist()[0]
    use = TruthUse(**counts)
    if not use.entities:
        raise ProjectError.at(place, *_why_nothing_fits(session, use, keys))
    return use


def _why_nothing_fits(session: Session, use: TruthUse, keys: str) -> tuple[str, str]:
    """What is wrong with a truth that knows no two records of one entity, and what to do."""
    if not use.rows:
        return "the truth has no row with a value in both columns", "give a record and its entity in each row"
    if use.unknown:
        told, here = (
            session.fetch(f"SELECT min(key) AS key FROM ({query})").column("key")[0].as_py()
            for query in (
                f"SELECT key FROM ({keys}) ANTI JOIN {_NAMES} USING (key)",
                f"SELECT key FROM {_NAMES}",
            )
        )
        return (
            f"no two records of one entity: the truth speaks of {told!r}, the records are called like {here!r}",
            "--key names the truth's column of keys, --id the data's",
        )
    return (
        "every record is an entity of its own by this truth: there is nothing to find",
        "when both columns hold keys of records, say --pairs",
    )
