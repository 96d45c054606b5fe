"""Exact match: records that agree in all fields of one key, case and blanks aside, are one."""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path


def main() -> None:
    """Read the set named first, write clusters to the file named second."""
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    parent: dict[str, str] = {}

    def top(one: str) -> str:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    blocks: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for number, file in enumerate(job["files"]):
        with Path(file).open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                one = f"{number}:{row['id']}"
                parent[one] = one
                for key in job["exact"]:
                    values = [" ".join(row[name].lower().split()) for name in key]
                    if all(values):
                        blocks[(*key, *values)].append(one)
    for members in blocks.values():
        for other in members[1:]:
            parent[top(other)] = top(members[0])
    with Path(sys.argv[2]).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["record", "cluster"])
        writer.writerows((one, top(one)) for one in parent)


main()
