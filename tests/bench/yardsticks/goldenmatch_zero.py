"""goldenmatch without any configuration, as its documentation shows it first; with `probabilistic` as its own auto-built model."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import goldenmatch as gm
import polars as pl
import pyarrow as pa


def main() -> None:
    """Read the set named first, write clusters (or, linking, pairs) to the file named second."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    frames, ids = [], []
    for number, file in enumerate(job["files"]):
        frame = pl.read_csv(file, infer_schema_length=0)
        ids.append([f"{number}:{one}" for one in frame["id"].to_list()])
        frames.append(frame.drop("id", "entity"))
    if len(frames) == 1:
        config = gm.auto_configure_probabilistic_df(frames[0]) if "probabilistic" in sys.argv else None
        found = gm.dedupe_df(frames[0], config=config, allow_red_config=True)
        rows = [(ids[0][member], name) for name, info in found.clusters.items() for member in info["members"]]
        _write("record", "cluster", rows)
        return
    # linking: its rows are numbered through, the target's first
    numbered = [*ids[0], *ids[1]]
    config = None
    if "probabilistic" in sys.argv:
        config = gm.auto_configure_probabilistic_df(pl.concat(frames, how="diagonal"))
    found = gm.match_df(frames[0], frames[1], config=config, allow_red_config=True)
    matched = [] if found.matched is None else _rows(found.matched)
    _write(
        "one",
        "other",
        [(numbered[row["__target_row_id__"]], numbered[row["__ref_row_id__"]]) for row in matched],
    )


def _rows(frame: pl.DataFrame | pa.Table) -> list[dict[str, int]]:
    return frame.to_pylist() if isinstance(frame, pa.Table) else frame.to_dicts()


def _write(first: str, second: str, rows: list[tuple[str, object]]) -> None:
    with Path(sys.argv[2]).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([first, second])
        writer.writerows(rows)


main()
