"""What `bench_scale` puts beside the map step: the same SELECTs run bare in DuckDB, and the contact mapping in pandas.

`python -m tests.bench.scale_beside bare|vectorised|rows PROJECT` prints one JSON line with the rows and the CPU seconds. The two
pandas programs do by hand what the mapping does for contacts, on a slice: clean, map values, cast, look up, check.
"""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SLICE = 200_000
"""Contacts that pandas is given; rows in a loop get a tenth of them."""
LEAD = {"Web": "web", "Partner": "partner", "Trade Show": "trade_show", "Other": "other"}
TEXTS = {
    "salutation": ("Salutation", 20), "title": ("Title", 80), "department": ("Department", 80), "street": ("MailingStreet", 0),
    "city": ("MailingCity", 80), "postal_code": ("MailingPostalCode", 20), "country": ("MailingCountry", 60),
    "phone": ("Phone", 40), "owner": ("OwnerId", 18),
}  # fmt: skip
FLAGS = {"no_email": "HasOptedOutOfEmail", "no_calls": "DoNotCall"}
MOMENTS = {"created_at": "CreatedDate", "modified_at": "LastModifiedDate"}


def bare(project: Path) -> tuple[int, float]:
    """The SELECT of every mapping by the engine alone, to files that are thrown away."""
    from migrator.commands.binding import bind_project
    from migrator.commands.project import load_project, open_workspace
    from migrator.commands.target import flat
    from migrator.mapping.compile import compile_mapping
    from migrator.mapping.run import register
    from migrator.staging.store import Kind

    rows, spent = 0, 0.0
    with open_workspace(load_project(project)) as work:
        bound = bind_project(work)
        for obj in flat(bound.groups):
            found = bound.mapping(obj.name)
            assert found is not None
            compiled = compile_mapping(found)
            staged = {
                name: work.store.need(Kind.STAGED, name, made_by="extract") for name in compiled.relations
            }
            out = work.project.workspace / "bare.parquet"
            with closing(work.session()) as session:
                register(session, compiled, staged)
                started = time.process_time()
                copy = f"COPY ({compiled.sql}) TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
                rows += session.connection.execute(copy).fetchall()[0][0]
                spent += time.process_time() - started
            out.unlink()
    return rows, spent


def vectorised(project: Path) -> tuple[int, float]:
    """Contacts a column at a time."""
    import pandas as pd

    frame, accounts = _slice(project, SLICE)
    started = time.process_time()
    made = pd.DataFrame({"legacy_id": "salesforce:" + frame["Id"]})
    for name, column in (("last_name", "LastName"), ("first_name", "FirstName")):
        made[name] = _empty_is_null(frame[column].str.strip().str.replace(r"\s+", " ", regex=True))
    for name, (column, _) in TEXTS.items():
        made[name] = _empty_is_null(frame[column].str.strip())
    made["email"] = _empty_is_null(frame["Email"].str.strip().str.normalize("NFKC").str.lower())
    made["description"] = _empty_is_null(
        frame["Description"].str.replace("\r\n", "\n").str.replace("\r", "\n")
    )
    made["lead_source"] = _empty_is_null(frame["LeadSource"]).map(LEAD)
    made["birthday"] = pd.to_datetime(_empty_is_null(frame["Birthdate"]), format="%Y-%m-%d", errors="coerce")
    for name, column in MOMENTS.items():
        made[name] = pd.to_datetime(frame[column], utc=True, errors="coerce", format="ISO8601")
    for name, column in FLAGS.items():
        made[name] = frame[column].map({"1": True, "0": False, "true": True, "false": False}).fillna(False)
    for name, column, known in (("account", "AccountId", accounts), ("reports_to", "ReportsToId", frame[["Id"]])):  # fmt: skip
        found = frame[[column]].merge(
            known.rename(columns={"Id": column}).assign(there=True), on=column, how="left"
        )
        made[name] = (f"{name}/salesforce:" + frame[column]).where(found["there"].notna().to_numpy())
    made["bad"] = made["last_name"].isna() | (made["birthday"].isna() & (frame["Birthdate"].fillna("") != ""))
    for name, (_, length) in TEXTS.items():
        if length:
            made["bad"] |= made[name].str.len().fillna(0) > length
    made["excluded"] = frame["IsDeleted"] == "1"
    made.to_parquet(project / "pandas.parquet", compression="zstd")
    spent = time.process_time() - started
    (project / "pandas.parquet").unlink()
    return len(made), spent


def rows(project: Path) -> tuple[int, float]:
    """Contacts a record at a time, as a script does it."""
    import pandas as pd

    frame, accounts = _slice(project, SLICE // 10)
    known = {"account": set(accounts["Id"]), "reports_to": set(frame["Id"])}
    started = time.process_time()
    made = pd.DataFrame([_row(row, known) for _, row in frame.iterrows()])
    made.to_parquet(project / "pandas.parquet", compression="zstd")
    spent = time.process_time() - started
    (project / "pandas.parquet").unlink()
    return len(made), spent


def _row(row: Any, known: dict[str, set[str]]) -> dict[str, Any]:
    made: dict[str, Any] = {"legacy_id": f"salesforce:{row['Id']}", "excluded": row["IsDeleted"] == "1"}
    bad = False
    for name, column in (("last_name", "LastName"), ("first_name", "FirstName")):
        made[name] = re.sub(r"\s+", " ", _text(row[column]).strip()) or None
    for name, (column, length) in TEXTS.items():
        made[name] = _text(row[column]).strip() or None
        bad |= bool(length) and len(made[name] or "") > length
    made["email"] = unicodedata.normalize("NFKC", _text(row["Email"]).strip()).lower() or None
    made["description"] = _text(row["Description"]).replace("\r\n", "\n").replace("\r", "\n") or None
    made["lead_source"] = LEAD.get(_text(row["LeadSource"]))
    made["birthday"], failed = _cast(row["Birthdate"])
    for name, column in MOMENTS.items():
        made[name], _ = _cast(row[column])
    for name, column in FLAGS.items():
        made[name] = _text(row[column]) in {"1", "true"}
    for name, column in (("account", "AccountId"), ("reports_to", "ReportsToId")):
        made[name] = f"{name}/salesforce:{row[column]}" if row[column] in known[name] else None
    made["bad"] = bad or failed or made["last_name"] is None
    return made


def _cast(value: Any) -> tuple[Any, bool]:
    from datetime import datetime

    text = _text(value)
    if not text:
        return None, False
    try:
        return datetime.fromisoformat(text), False
    except ValueError:
        return None, True


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _empty_is_null(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.mask(column == "")


def _slice(project: Path, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Staged contacts with their columns, and the ids of staged accounts; reading them is not counted."""
    from migrator.commands.project import load_project, open_workspace
    from migrator.staging.store import Kind

    with open_workspace(load_project(project)) as work, closing(work.session()) as session:
        for name in ("Account", "Contact"):
            staged = work.store.need(Kind.STAGED, f"salesforce/{name}", made_by="extract")
            session.view(name, staged.files)
        contacts = session.fetch(f'SELECT * FROM "Contact" LIMIT {count}').to_pandas()
        ids = session.fetch('SELECT "Id" FROM "Account" LIMIT 1000000').to_pandas()
    return contacts, ids


WAYS: dict[str, Callable[[Path], tuple[int, float]]] = {"bare": bare, "vectorised": vectorised, "rows": rows}

if __name__ == "__main__":
    count, seconds = WAYS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"rows": count, "cpu": seconds}))
