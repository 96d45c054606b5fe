"""Ours, `model: auto`: no settings, no labels. Clusters of the automatic band, and of the model's best guess."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from migrator.commands.evaluate_data import RECORDS, DataFiles, read_records
from migrator.core.mapped import DedupeRules, MatchModel, Reach
from migrator.dedupe.cluster import MEMBERS
from migrator.dedupe.evaluate import join_from
from migrator.dedupe.match import match
from migrator.staging.engine import EngineSettings, Session, open_engine


def main() -> None:
    """Read the set named first, write clusters to the file named second, what else is to be known to OUT.json."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    out = Path(sys.argv[2])
    reach = Reach.ACROSS if len(job["files"]) > 1 else Reach.ALL
    rules = DedupeRules(keys=(), model=MatchModel(reach=reach))
    with TemporaryDirectory() as folder, closing(open_engine(EngineSettings(), Path(folder))) as session:
        records = read_records(session, DataFiles(tuple(job["files"]), "id", (), "entity"))
        names = {source: str(number) for number, source in enumerate(records.sources)}
        found = match(session, RECORDS, records.fields, rules, Path(folder))
        automatic = _clusters(session, names)
        asked = session.fetch(
            f"WITH pairs AS (SELECT one, other FROM dedupe_edges e LEFT JOIN {MEMBERS} a ON e.one = a.__id "
            f"LEFT JOIN {MEMBERS} b ON e.other = b.__id WHERE band = 'review' "
            "AND (a.__cluster IS NULL OR b.__cluster IS NULL OR a.__cluster <> b.__cluster)) "
            "SELECT count(*) AS n FROM (SELECT one FROM pairs UNION SELECT other FROM pairs)"
        ).column("n")[0].as_py()  # fmt: skip
        likely = automatic
        if found.bands is not None:
            join_from(session, found, found.bands.likely, rules)
            likely = _clusters(session, names)
    _write(out, likely)
    _write(out.with_suffix(".automatic.csv"), automatic)
    bands = {"automatic": found.bands.automatic, "likely": found.bands.likely} if found.bands else {}
    out.with_suffix(".json").write_text(json.dumps({"review": asked / records.rows, **bands}), "utf-8")


def _clusters(session: Session, names: dict[str, str]) -> list[tuple[str, str]]:
    found = session.fetch(
        f"SELECT __id, __cluster::VARCHAR AS cluster FROM {MEMBERS} ORDER BY __id"
    ).to_pylist()
    told = []
    for row in found:
        source, _, key = row["__id"].partition(":")
        told.append((f"{names[source]}:{key}", row["cluster"]))
    return told


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    path.write_text("record,cluster\n" + "".join(f"{one},{cluster}\n" for one, cluster in rows), "utf-8")


main()
