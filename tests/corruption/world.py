"""A loaded migration of any size: what was mapped, what the crosswalk says, and a real SQLite target that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from migrator.core.clock import FixedClock
from migrator.core.connector import Target, connector
from migrator.core.mapped import Link, MappedObject, MappedSource
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging import columns as c
from migrator.staging.engine import DuckSession, EngineSettings, open_engine, quote
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Kind, Store

USERS = 20
FIELDS = (
    FieldSchema("legacy_id", FieldType.ID, required=True, unique=True, length=20),
    FieldSchema("first name", FieldType.STRING, length=80, pii="name"),
    FieldSchema("last name", FieldType.STRING, length=80, pii="name"),
    FieldSchema("notes", FieldType.TEXT),
    FieldSchema("select", FieldType.STRING, length=80),
    FieldSchema("phone", FieldType.STRING, pii="phone"),
    FieldSchema("postcode", FieldType.STRING),
    FieldSchema("stage", FieldType.PICKLIST, values=("open", "won", "lost", "新客户")),
    FieldSchema("topics", FieldType.MULTI_PICKLIST),
    FieldSchema("currency", FieldType.PICKLIST, values=("CNY", "EUR", "JPY")),
    FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=2),
    FieldSchema("rate", FieldType.DECIMAL, precision=18, scale=6),
    FieldSchema("credit", FieldType.DECIMAL, precision=18, scale=2),
    FieldSchema("employees", FieldType.INTEGER),
    FieldSchema("born", FieldType.DATE),
    FieldSchema("created_at", FieldType.DATETIME),
    FieldSchema("modified_at", FieldType.DATETIME),
    FieldSchema("active", FieldType.BOOLEAN),
    FieldSchema("contract", FieldType.FILE),
    FieldSchema("owner", FieldType.REFERENCE, references=("app_user",)),
    FieldSchema("parent", FieldType.REFERENCE, references=("customer",)),
)
CUSTOMER = MappedObject(
    "customer", "new", "客户 table", "legacy_id", ObjectSchema("客户 table", "legacy_id", FIELDS),
    (MappedSource("crm", "crm", "Account", "Id"),),
    links=(Link("owner", ("user",)), Link("parent", ("customer",), deferred=True)),
)  # fmt: skip
USER = MappedObject(
    "user", "new", "app_user", "legacy_id",
    ObjectSchema("app_user", "legacy_id", (FieldSchema("legacy_id", FieldType.ID, required=True, unique=True),)),
    (MappedSource("crm", "crm", "User", "Id"),),
)  # fmt: skip
OBJECTS = {item.name: item for item in (CUSTOMER, USER)}

LOSER = "i % 997 = 1"
"""Merged into the record before it."""
EXCLUDED = "i % 991 = 5"

_VALUES = {
    "legacy_id": "'K' || lpad(CAST(i AS VARCHAR), 9, '0')",
    "first name": "['Zoë', 'María José', '伟', 'Otto', 'Ｋｅｎ'][i % 5 + 1] || ' ' || i",
    "last name": "['Gómez', '王', 'O''Brien & Sons', 'von Ärger', 'Schmidt'][(i // 3) % 5 + 1] || ' ' || (i * 7)",
    "notes": "CASE WHEN i % 6 = 0 THEN NULL WHEN i % 6 = 1 THEN '' ELSE 'Zeile «' || i || '»' || chr(10)"
    " || '第二行 <b>&</b> \"quoted\", and ' || repeat('more ', CAST(i % 9 + 2 AS INTEGER)) || 'end' END",
    "select": "CASE WHEN i % 8 = 0 THEN NULL ELSE 'Mixed Case ' || (i % 1000) END",
    "phone": "'+86 138 ' || lpad(CAST(i % 10000 AS VARCHAR), 4, '0') || ' ' || lpad(CAST((i * 7) % 10000 AS VARCHAR), 4, '0')",
    "postcode": "lpad(CAST(i * 13 % 99999 AS VARCHAR), 6, '0')",
    "stage": "CASE WHEN i % 9 = 0 THEN NULL ELSE ['open', 'won', 'lost', '新客户'][i % 4 + 1] END",
    "topics": "['news;events', 'events', 'sport;news;events'][i % 3 + 1]",
    "currency": "['CNY', 'EUR', 'JPY'][i % 3 + 1]",
    "amount": "CASE WHEN i % 10 = 0 THEN NULL ELSE CAST((i * 104729 % 99999937 + 137) / 100 AS DECIMAL(18, 2)) END",
    "rate": "CAST((i * 7919 % 99991 + 1) / 99991 AS DECIMAL(18, 6))",
    "credit": "CAST(1000 + (i * 31 % 9999999) / 100 AS DECIMAL(18, 2))",
    "employees": "CAST(i * 17 % 5000 + 3 AS BIGINT)",
    "born": "CASE WHEN i % 11 = 0 THEN NULL ELSE DATE '1950-01-01' + CAST(i * 37 % 18000 AS INTEGER) END",
    "created_at": "TIMESTAMPTZ '2015-01-01 01:02:03.456+00' + INTERVAL (i * 7919 % 200000000) SECOND",
    "modified_at": "TIMESTAMPTZ '2021-06-01 01:02:03.456+00' + INTERVAL (i * 104729 % 100000000) SECOND",
    "active": "i % 3 > 0",
    "contract": "CASE WHEN i % 4 = 0 THEN NULL ELSE 'sha256:' || sha256(CAST(i AS VARCHAR)) END",
    "owner": f"'user/crm:U' || (i % {USERS})",
    "parent": "CASE WHEN i < 1000 OR i % 5 = 0 THEN NULL ELSE 'customer/crm:' || 'K' || lpad(CAST(i // 1000 * 7 AS VARCHAR), 9, '0') END",
}
_LOADED_AT = datetime(2026, 11, 20, 8, tzinfo=UTC)


@dataclass
class World:
    """The store of a finished load and the database file it went to."""

    folder: Path
    store: Store
    database: Path

    @contextmanager
    def session(self) -> Iterator[DuckSession]:
        """An engine session."""
        session = open_engine(EngineSettings(memory_limit="1GB", threads=2), self.folder)
        try:
            yield session
        finally:
            session.close()

    def target(self) -> Target:
        """The target through its own connector."""
        opened = connector("sql").open_target
        assert opened is not None
        return opened({"url": f"sqlite:///{self.database}"})


def make_world(folder: Path, rows: int) -> World:
    """Map, merge, exclude and load `rows` records."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(
        folder / "staging", open_ledger(f"sqlite:///{folder / 'ledger.db'}", FixedClock(_LOADED_AT))
    )
    world = World(folder, store, folder / "new.db")
    with world.session() as session:
        values = ", ".join(f"{value} AS {quote(name)}" for name, value in _VALUES.items())
        # a golden record stands for the survivor, so a parent that was merged or excluded is resolved by the crosswalk
        session.execute(f"CREATE TABLE made AS SELECT i, {values} FROM range({rows}) r(i)")
        _put(session, store, Kind.MAPPED, "customer", _mapped_sql())
        key = "'crm:' || legacy_id"
        before = "'crm:K' || lpad(CAST(i - 1 AS VARCHAR), 9, '0')"
        _put(session, store, Kind.CLUSTERS, "customer",
             f"SELECT {key} AS __id, CASE WHEN {LOSER} THEN {before} ELSE {key} END AS survivor,"
             f" CASE WHEN {LOSER} THEN {before} ELSE {key} END AS cluster, 'email' AS rule, NULL::VARCHAR AS evidence"
             f" FROM made WHERE {LOSER} OR (i % 997 = 0 AND i + 1 < {rows})")  # fmt: skip
        _put(session, store, Kind.GOLDEN, "customer",
             _mapped_sql() + f" WHERE i % 997 = 0 AND i + 1 < {rows} AND NOT ({EXCLUDED})")  # fmt: skip
        sent = f"FROM made WHERE NOT ({LOSER}) AND NOT ({EXCLUDED})"
        _put(session, store, Kind.CROSSWALK, "customer", _crosswalk_sql(sent))
        users = f"(SELECT 'U' || i AS legacy_id FROM range({USERS}) r(i))"
        _put(session, store, Kind.CROSSWALK, "user", _crosswalk_sql(f"FROM {users}"))
        _load(session, world, sent, users)
        session.execute("DROP TABLE made")
    return world


def _mapped_sql() -> str:
    return (
        "SELECT 'crm:' || legacy_id AS __id, 'crm' AS __source, legacy_id AS __key,"
        f" CASE WHEN {EXCLUDED} THEN 'deleted' END AS __excluded, []::{c.ISSUES_TYPE} AS __issues, FALSE AS __bad,"
        " * EXCLUDE (i) FROM made"
    )


def _crosswalk_sql(sent: str) -> str:
    return (
        "SELECT 'crm:' || legacy_id AS __id, legacy_id AS target_key, legacy_id AS target_id, '1' AS __fp, 'created' AS outcome,"
        " NULL::VARCHAR AS code, NULL::VARCHAR AS field, NULL::VARCHAR AS message, 0::INTEGER AS __batch, 'r' AS run,"
        f" TIMESTAMPTZ '{_LOADED_AT.isoformat()}' AS at, NULL::VARCHAR AS links {sent}"
    )


def _put(session: DuckSession, store: Store, kind: Kind, name: str, sql: str) -> None:
    building = store.build(kind, name, "1")
    building.add(lambda path: session.write(sql, path))
    building.complete()


def _load(session: DuckSession, world: World, sent: str, users: str) -> None:
    """`credit` is kept as text there, as many targets keep numbers: what is no number can get in."""
    fields = tuple(
        FieldSchema(item.name, FieldType.STRING) if item.name in ("credit", "owner", "parent") else item
        for item in FIELDS
    )
    target = world.target()
    target.prepare([ObjectSchema(CUSTOMER.target_object, "legacy_id", fields), USER.schema])
    resolved = (
        "* EXCLUDE (i) REPLACE (CAST(credit AS VARCHAR) AS credit, replace(owner, 'user/crm:', '') AS owner,"
        " CASE WHEN parent IS NULL THEN NULL WHEN p % 997 = 1 THEN 'K' || lpad(CAST(p - 1 AS VARCHAR), 9, '0')"
        " WHEN p % 991 = 5 THEN NULL ELSE 'K' || lpad(CAST(p AS VARCHAR), 9, '0') END AS parent)"
    )
    query = f"SELECT * EXCLUDE (p) FROM (SELECT {resolved} FROM (SELECT *, i // 1000 * 7 AS p {sent}))"
    for batch in session.cursor().stream(query, 20_000):
        answers = target.upsert(CUSTOMER.target_object, pa.Table.from_batches([batch]), key="legacy_id")
        assert set(answers["outcome"].to_pylist()) == {"created"}, answers.slice(0, 3).to_pylist()
    target.upsert("app_user", session.fetch(f"SELECT * FROM {users}"), key="legacy_id")
    target.close()
