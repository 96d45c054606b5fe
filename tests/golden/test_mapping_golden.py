"""Mapping, staged rows, mapped rows and the SQL between them, side by side in files that a person can check.

To accept a change of behaviour: `python -m tests.golden.test_mapping_golden`, and read the diff.
"""

from __future__ import annotations

import tempfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from migrator.mapping import compile_mapping, readable
from tests.mapping_kit import bind_texts, engine, make_schema, run_sql, staged_table

FOLDER = Path(__file__).with_name("mapping")
CASES = sorted(FOLDER.glob("*.yaml"))
MARK = "# --- from here on written by: python -m tests.golden.test_mapping_golden ---\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_file_says_what_the_mapping_does(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert render(text, tmp_path) == text


def render(text: str, folder: Path) -> str:
    """The file with its answer made anew."""
    given = text.partition(MARK)[0]
    case: Any = yaml.safe_load(given)
    schemas = {
        system: [make_schema(name, **types) for name, types in objects.items()]
        for system, objects in case["schemas"].items()
    }
    for name, lines in case.get("files", {}).items():
        (folder / name).write_text(lines, encoding="utf-8")
    bound = bind_texts({f"{name}.yaml": body for name, body in case["mappings"].items()}, schemas, folder)
    item = bound.mapping(case["show"])
    assert item is not None
    compiled = compile_mapping(item)
    staged = {
        f"{system}/{schema.name}": staged_table(schema, case["staged"].get(f"{system}/{schema.name}", []))
        for system, objects in schemas.items()
        for schema in objects
    }
    with engine(folder) as session:
        rows = run_sql(session, compiled, staged)
    answer = [
        f"warnings:\n{listed(str(warning) for warning in bound.warnings)}",
        f"rows:\n{listed(map(shown, rows))}",
    ]
    sql = "".join(f"  {line}\n" for line in readable(compiled.sql).splitlines())
    return f"{given}{MARK}{''.join(answer)}sql: |\n{sql}"


def listed(items: Any) -> str:
    return "".join(f"  - |-\n{indented(item)}" for item in items)


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def shown(row: dict[str, Any]) -> str:
    """One row: its fields, then a line for each issue."""
    fields = [
        f"{name}: {value(found)}" for name, found in row.items() if name != "__issues" and found is not None
    ]
    issues = [
        f"! {item['severity']} {item['field']} {item['rule']} {value(item['value'])}: {item['message']}"
        for item in row["__issues"]
    ]
    return "\n".join([", ".join(fields), *issues])


def value(found: object) -> str:
    match found:
        case Decimal() | date() | datetime():
            return str(found)
        case _:
            return repr(found)


def rewrite() -> None:
    """Accept what the mappings do now."""
    for path in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path.write_text(render(path.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
