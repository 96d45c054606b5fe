"""recordlinkage: blocking by hand, Jaro-Winkler 0.85 for names and texts, Damerau-Levenshtein 0.8 for numbers, ECM without labels."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pandas as pd
import recordlinkage as rl

warnings.simplefilter("ignore")


def main() -> None:
    """Read the set named first, write pairs to the file named second."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    frames = []
    for number, file in enumerate(job["files"]):
        frame = pd.read_csv(file, dtype=str)
        frame.index = [f"{number}:{one}" for one in frame["id"]]
        frames.append(
            frame.drop(columns=["id", "entity"]).apply(lambda column: column.str.lower().str.strip())
        )
    indexer = rl.Index()
    for block in job["blocks"]:
        indexer.block(list(block))
    pairs = indexer.index(*frames)
    compare = rl.Compare()
    for name, kind in job["compare"].items():
        if kind in {"name", "text", "email"}:
            compare.string(name, name, method="jarowinkler", threshold=0.85, label=name)
        elif kind == "code":
            compare.string(name, name, method="damerau_levenshtein", threshold=0.8, label=name)
        else:
            compare.exact(name, name, label=name)
    features = compare.compute(pairs, *frames)
    found = rl.ECMClassifier(binarize=0.5).fit_predict(features)
    pd.DataFrame({"one": found.get_level_values(0), "other": found.get_level_values(1)}).to_csv(
        sys.argv[2], index=False
    )


main()
