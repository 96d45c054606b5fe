"""Rows a second and peak memory of the file readers, each in a process of its own: `python tests/bench/bench_files.py [ROWS]`.

Memory must not grow with the data: every CSV way is measured on ROWS and on a quarter of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from connectors.files import FilesSource
from connectors.salesforce_export import SalesforceExport

COLUMNS = ["Id", "AccountId", "OwnerId", "IsDeleted", *[f"Field_{n}__c" for n in range(20)], "SystemModstamp"]
HEADER = ",".join(f'"{name}"' for name in COLUMNS) + "\n"


def row(number: int) -> str:
    """A row of 25 quoted fields: ids of 18 characters, some Chinese, an escaped quote and a newline now and then."""
    odd = (
        'said ""hello""\nand left'
        if number % 50 == 0
        else "北京市朝阳区"
        if number % 10 == 0
        else "plain text"
    )
    cells = [f"003{number:012d}AAA", f"001{number % 9973:012d}AAA", "005000000000001AAA", "0"]
    cells += [f"value {number + n}" if n % 3 else odd if n == 3 else "" for n in range(20)]
    return ",".join(f'"{cell}"' for cell in [*cells, "2024-01-15T10:30:00.000Z"]) + "\n"


def write_csv(path: Path, rows: int, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as stream:
        stream.write(HEADER)
        for start in range(0, rows, 10_000):
            stream.write("".join(row(number) for number in range(start, min(start + 10_000, rows))))
    return path


def write_zip(path: Path, content: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        archive.write(content, "Contact.csv")
    return path


def write_messy(path: Path, rows: int) -> Path:
    """Unquoted, with an inch sign in every tenth row: the tolerant way."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write(",".join(COLUMNS) + "\n")
        for number in range(rows):
            cells = [f"{number}", *["value"] * 23, '5" pipe' if number % 10 == 0 else "x"]
            stream.write(",".join(cells) + "\n")
    return path


def write_json(path: Path, rows: int) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        for number in range(rows):
            stream.write(json.dumps(dict.fromkeys(COLUMNS, f"value {number}"), ensure_ascii=False) + "\n")
    return path


def write_excel(path: Path, rows: int) -> Path:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Contact")
    sheet.append(COLUMNS)
    for number in range(rows):
        sheet.append([number, *[f"value {number}"] * 12, *[number * 1.5] * 12])
    book.save(path)
    return path


def peak_mb() -> int:
    """Most memory this process ever held; `ru_maxrss` would begin with that of the parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) >> 10


def measure(kind: str, path: str) -> None:
    """In a child: read everything, print rows, seconds, CPU seconds, and peak memory before and after."""
    source = SalesforceExport({"path": path}) if kind == "salesforce" else FilesSource({"path": path})
    (name,) = source.object_names()
    before = peak_mb()
    started, cpu = time.perf_counter(), time.process_time()
    rows = sum(page.rows.num_rows for page in source.read(name))
    print(json.dumps([rows, time.perf_counter() - started, time.process_time() - cpu, before, peak_mb()]))


def report(label: str, kind: str, path: Path) -> float:
    """Print one line; returns the memory that reading added, in MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", kind, str(path)], capture_output=True, text=True, check=True
    )
    rows, seconds, cpu, before, peak = json.loads(done.stdout)
    size = path.stat().st_size / 1e6
    print(
        f"{label:34} {rows:>9,} rows {size:7.0f} MB {rows / seconds:>9,.0f} rows/s"
        f" {cpu / rows * 1e6:6.2f} CPU µs/row  peak {peak:5} MB (+{peak - before})"
    )
    return float(peak - before)


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-files-") as name:
        folder = Path(name)
        quarter = write_csv(folder / "quarter.csv", rows // 4)
        whole = write_csv(folder / "Contact.csv", rows)
        ways: list[tuple[str, str, Callable[[], Path]]] = [
            ("CSV, UTF-8, a quarter", "files", lambda: quarter),
            ("CSV, UTF-8", "files", lambda: whole),
            ("CSV, GB18030", "files", lambda: write_csv(folder / "gb.csv", rows, "gb18030")),
            ("CSV, UTF-16", "files", lambda: write_csv(folder / "utf16.csv", rows, "utf-16")),
            ("CSV, odd quotes", "files", lambda: write_messy(folder / "messy.csv", rows)),
            ("Salesforce zip, a quarter", "salesforce", lambda: write_zip(folder / "quarter.zip", quarter)),
            ("Salesforce zip", "salesforce", lambda: write_zip(folder / "WE_1.zip", whole)),
            ("Parquet", "files", lambda: _parquet(folder / "Contact.parquet", whole)),
            ("JSON Lines", "files", lambda: write_json(folder / "Contact.jsonl", rows // 5)),
            ("Excel", "files", lambda: write_excel(folder / "Contact.xlsx", rows // 25)),
        ]
        added = {label: report(label, kind, make()) for label, kind, make in ways}
        for label in ("CSV, UTF-8", "Salesforce zip"):
            ratio = added[label] / max(added[f"{label}, a quarter"], 1.0)
            print(f"{label}: four times the rows cost {ratio:.2f} times the memory")
            if ratio > 1.5:
                sys.exit(1)


def _parquet(path: Path, content: Path) -> Path:
    options = pacsv.ParseOptions(newlines_in_values=True)
    pq.write_table(pacsv.read_csv(content, parse_options=options), path)
    return path


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
