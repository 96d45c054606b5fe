"""pandas hooks: off unless the project says so, given typed batches, checked, timed, and every mistake at its line."""

from __future__ import annotations

import io
import itertools
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrator.cli.main import run_app
from migrator.core.errors import ProjectError
from migrator.core.schema import schemas_to_json
from migrator.mapping import Bound, compile_mapping
from migrator.mapping.hook_run import register_hooks
from tests.mapping_kit import bind_texts, engine, make_schema, staged_table

PLAIN = make_schema(
    "T", Industry="string", Employees="integer", Amount="decimal", Gone="boolean", At="datetime", Day="date"
)
SCHEMA = replace(
    PLAIN,
    fields=tuple(
        replace(item, precision=18, scale=2) if item.name == "Amount" else item for item in PLAIN.fields
    ),
)
HEAD = "mapping: t\ntarget: {system: new, object: t, key: k}\nsource: {system: old, object: T, exclude: [{when: Gone, reason: gone}]}\nfields:\n"
ROWS = [
    {"Id": "1", "Industry": "banking", "Employees": "10", "Amount": "1.50", "Day": "2024-02-29"},
    {"Id": "2", "Industry": None, "Employees": "900", "Amount": None, "Gone": "true"},
    {"Id": "3", "Industry": "工业", "Employees": None, "Amount": "7", "At": "2024-01-31T10:30:00Z"},
]


def bound(folder: Path, field: str, hooks: str | None = None, *, on: bool = True) -> Bound:
    if hooks is not None:
        (folder / "hooks.py").write_text(hooks, encoding="utf-8")
    return bind_texts({"t.yaml": f"{HEAD}  out: {field}\n"}, {"old": [SCHEMA]}, folder, hooks=on)


def mapped(folder: Path, field: str, hooks: str, rows: Any = ROWS) -> list[dict[str, Any]]:
    compiled = compile_mapping(bound(folder, field, hooks).mappings[0])
    with engine(folder) as session:
        session.table("old/T", staged_table(SCHEMA, rows))
        for name, table in compiled.tables.items():
            session.table(name, table)
        register_hooks(session, compiled.hooks, itertools.count().__next__)
        return sorted(session.fetch(compiled.sql).to_pylist(), key=lambda row: row["__id"])


def refused(folder: Path, field: str, hooks: str | None = None, *, on: bool = True) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        bound(folder, field, hooks, on=on)
    return [str(item) for item in caught.value.problems]


def broken(folder: Path, body: str, field: str = "{python: hooks.f, using: [Industry, Employees]}") -> str:
    with pytest.raises(ProjectError) as caught:
        mapped(folder, field, f"import pandas as pd\ndef f(a, b):\n    {body}\n")
    return str(caught.value)


SEGMENT = 'def segment(industry, employees):\n    return industry.str.upper().where(employees > 5, "SMALL")\n'
USED = "{python: hooks.segment, using: [Industry, Employees]"


def test_a_hook_makes_the_field_of_every_row_that_moves(tmp_path: Path) -> None:
    rows = mapped(tmp_path, f"{USED}}}", SEGMENT)
    assert [(row["__key"], row["out"], row["__excluded"]) for row in rows] == [
        ("1", "BANKING", None),
        ("2", None, "gone"),
        ("3", "SMALL", None),
    ]


@pytest.mark.parametrize(
    ("kind", "column", "body", "expected"),
    [
        ("'decimal(18,2)'", "Amount", "column * 2", [Decimal("3.00"), Decimal("14.00")]),
        ("integer", "Employees", "column + 1", [11, None]),
        ("boolean", "Employees", "column > 5", [True, None]),
        ("float", "Employees", "column / 4", [2.5, None]),
        ("date", "Day", "column", [date(2024, 2, 29), None]),
        ("datetime", "At", "column", [None, datetime(2024, 1, 31, 10, 30, tzinfo=UTC)]),
    ],
)
def test_types_go_in_and_out_exactly(
    kind: str, column: str, body: str, expected: list[Any], tmp_path: Path
) -> None:
    field = f"{{python: hooks.f, using: {column}, type: {kind}}}"
    rows = mapped(tmp_path, field, f"def f(column):\n    return {body}\n")
    assert [row["out"] for row in rows if row["__excluded"] is None] == expected


def test_the_steps_of_a_field_go_on_from_what_the_hook_returned(tmp_path: Path) -> None:
    field = f"{USED}, values: {{BANKING: Bank}}, unmapped: keep, length: 4, required: true}}"
    rows = mapped(tmp_path, field, SEGMENT)
    assert [(row["out"], [item["rule"] for item in row["__issues"]]) for row in rows] == [
        ("Bank", []),
        (None, []),
        (None, ["length.exceeded"]),
    ]


def test_a_text_that_is_no_value_of_its_column_is_an_issue_and_null_to_the_hook(tmp_path: Path) -> None:
    rows = mapped(tmp_path, f"{USED}}}", SEGMENT, [{"Id": "1", "Industry": "x", "Employees": "many"}])
    assert [item["rule"] for item in rows[0]["__issues"]] == ["expr.operand"]
    assert rows[0]["out"] == "SMALL"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return a.map({'banking': 'x'}.__getitem__)", "hooks.py:3: hooks.f, for 'out' at t.yaml:5:17, raised KeyError: '•••• (2)"),
        ("raise ValueError('no banking here')", "raised ValueError: no b•••• (7) here"),
        ("raise SystemExit(0)", "hooks.py:3: hooks.f, for 'out' at t.yaml:5:17, raised SystemExit"),
        ("return a.head(1)", "hooks.py:2:1: hooks.f, for 'out' at t.yaml:5:17, returned 1 values for 2 records"),
        ("return a.iloc[::-1]", "returned its values under another index"),
        ("return 'x'", "returned str, not a Series"),
        ("return None", "returned NoneType, not a Series"),
        ("return pd.DataFrame({'a': a})", "returned DataFrame, not a Series"),
        ("return b", "returned int64 where the mapping wants string"),
        ("return pd.Series([1, 'x'], dtype=object)", "returned values that are not of one type"),
        ("a[0] = 'x'; return a", "changed its input 'Industry'"),
        ("b.fillna(0, inplace=True); return a", "changed its input 'Employees'"),
    ],
)  # fmt: skip
def test_what_a_hook_does_wrong_is_told_with_file_line_and_records(
    body: str, told: str, tmp_path: Path
) -> None:
    message = broken(tmp_path, body)
    assert told in message
    assert "in a batch of 2 records: o•••• (5), o•••• (5)" in message
    assert "banking" not in message.replace("no banking", "")
    assert "工业" not in message


def test_a_value_with_more_digits_than_the_field_is_not_rounded(tmp_path: Path) -> None:
    field = "{python: hooks.f, using: Amount, type: 'decimal(18,2)'}"
    with pytest.raises(ProjectError, match=r"returned a value that is no decimal128\(18, 2\)"):
        mapped(tmp_path, field, "def f(column):\n    return column / 3\n")
    with pytest.raises(ProjectError, match=r"returned double where the mapping wants decimal128"):
        mapped(tmp_path, field, "def f(column):\n    return column.astype('float64')\n")


def test_hooks_are_off_and_nothing_of_theirs_is_read(tmp_path: Path) -> None:
    assert refused(tmp_path, f"{USED}}}", "this is no Python (", on=False) == [
        "t.yaml:5:17: this project has hooks switched off, and hooks.segment is one\n"
        "    it runs Python that lies in this project; if you trust it, say so in migration.yaml: hooks: true"
    ]


@pytest.mark.parametrize(
    ("field", "hooks", "told"),
    [
        ("{python: hooks.segmnt, using: Industry}", SEGMENT, "t.yaml:5:17: hooks.py has no function 'segmnt'\n    did you mean 'segment'?"),
        ("{python: hooks.segment, using: Industry}", SEGMENT, "hooks.py:1:1: hooks.segment does not take the 1 columns"),
        ("{python: hooks.segment}", SEGMENT, "t.yaml:5:17: nothing says what hooks.segment takes"),
        ("{python: hooks.segment, using: [Industri, Employees]}", SEGMENT, "t.yaml:5:40: old/T has no column 'Industri'\n    did you mean"),
        ("{from: Industry, using: Industry}", SEGMENT, "t.yaml:5:25: using means nothing without python"),
        ("{from: Industry, python: hooks.segment, using: Industry}", SEGMENT, "t.yaml:5:3: the field 'out' has from, python"),
        ("{python: hooks.more.f, using: Industry}", SEGMENT, "t.yaml:5:17: hooks.more.f: cannot read hooks/more.py"),
        ("{python: hooks.f, using: Industry}", "def f(:\n", "hooks.py:1:7: this is not Python"),
        ("{python: hooks.f, using: Industry}", "f = print\n", "t.yaml:5:17: hooks.py has no function 'f'"),
    ],
)  # fmt: skip
def test_a_hook_that_is_not_there_is_told_before_any_row(
    field: str, hooks: str, told: str, tmp_path: Path
) -> None:
    assert refused(tmp_path, field, hooks)[0].startswith(told)


@pytest.mark.parametrize(
    "name", ["os.system", "hooks", "hooks..f", "hooks/x.f", "hooks.__init__.f", "../hooks.f", "hooks.a b", "hooks.ｆ"]
)  # fmt: skip
def test_only_names_below_hooks_are_hooks(name: str, tmp_path: Path) -> None:
    assert "is not a hook" in refused(tmp_path, f"{{python: '{name}', using: Industry}}", SEGMENT)[0]


def test_a_hook_file_behind_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "evil.py").write_text(SEGMENT)
    (project / "hooks.py").symlink_to(tmp_path / "evil.py")
    assert "lies outside the project folder" in refused(project, f"{USED}}}")[0]
    (project / "hooks.py").unlink()
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "a.py").write_text(SEGMENT)
    (project / "hooks").symlink_to(tmp_path / "hooks")
    assert "lies outside" in refused(project, "{python: hooks.a.segment, using: [Industry, Employees]}")[0]


def test_the_fingerprint_follows_the_file(tmp_path: Path) -> None:
    first = bound(tmp_path, f"{USED}}}", SEGMENT).mappings[0].mapped.fingerprint
    assert bound(tmp_path, f"{USED}}}", SEGMENT).mappings[0].mapped.fingerprint == first
    assert bound(tmp_path, f"{USED}}}", SEGMENT + "#").mappings[0].mapped.fingerprint != first


def test_a_file_that_cannot_be_imported_is_told_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"^hooks.py:1: this cannot be imported: ModuleNotFoundError"):
        mapped(tmp_path, f"{USED}}}", "import no_such_library\n" + SEGMENT)


def test_batches_are_bounded_and_each_row_is_asked_once(tmp_path: Path) -> None:
    compiled = compile_mapping(bound(tmp_path, f"{USED}}}", SEGMENT).mappings[0])
    count = 20_000
    rows = staged_table(
        SCHEMA, [{"Id": str(number), "Industry": "x", "Employees": "9"} for number in range(count)]
    )
    with engine(tmp_path) as session:
        session.table("old/T", rows)
        (run,) = register_hooks(session, compiled.hooks, itertools.count().__next__)
        found = session.fetch(f"SELECT count(*) AS n FROM ({compiled.sql}) WHERE out = 'X'")
    assert found.to_pylist() == [{"n": count}]
    assert run.rows == count
    assert count / run.batches > 500
    assert run.seconds == run.batches, "each batch takes one tick of the clock"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "export").mkdir()
    lines = ["Id,Industry,Employees", "1,banking,10", "2,工业,900"]
    (tmp_path / "export" / "T.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "schemas").mkdir()
    schema = make_schema("T", Industry="string", Employees="integer")
    (tmp_path / "schemas" / "old.json").write_text(schemas_to_json([schema]), encoding="utf-8")
    (tmp_path / "mappings").mkdir()
    text = (
        "mapping: t\ntarget: {system: new, object: t, key: k}\nsource: {system: old, object: T}\n"
        f"fields:\n  out: {USED}}}\ntests:\n  - name: small ones\n"
        "    rows: {old: [{Id: a, Industry: x, Employees: 1}]}\n    expect: [{out: SMALL}]\n"
    )
    (tmp_path / "mappings" / "t.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "hooks.py").write_text(SEGMENT, encoding="utf-8")
    write_settings(tmp_path, hooks=True)
    return tmp_path


def write_settings(folder: Path, **more: Any) -> None:
    settings = {
        "systems": {
            "old": {"connector": "files", "path": "export"},
            "new": {"connector": "sql", "url": "sqlite:///new.db"},
        },
        **more,
    }
    (folder / "migration.yaml").write_text(json.dumps(settings), encoding="utf-8")


def command(folder: Path, *arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = run_app([f"-C{folder}", *arguments])
    return code, out.getvalue()


def test_the_commands_run_a_hook_only_where_the_project_lets_them(project: Path) -> None:
    assert command(project, "extract")[0] == 0
    assert command(project, "map", "test")[0] == 0
    code, told = command(project, "map", "--json")
    assert code == 0, told
    assert json.loads(told)["steps"][0]["hooks"]["hooks.segment → out"]["rows"] == 2
    assert "hooks.segment → out: 2 records in 1 batches" in command(project, "map")[1]
    assert '"old_hooked"' in command(project, "map", "show-sql", "t")[1]
    assert "hook hooks.segment for old.out" in command(project, "map", "show-sql", "t")[1]
    assert not (project / "__pycache__").exists()
    (project / "hooks.py").write_text(
        SEGMENT.replace("    return", "    print(1)\n    return").replace("SMALL", "TINY"), encoding="utf-8"
    )
    with redirect_stderr(io.StringIO()) as noise, redirect_stdout(io.StringIO()) as answer:
        assert run_app([f"-C{project}", "map", "--json"]) == 0
    assert json.loads(answer.getvalue())["steps"][0]["rows"] == 2
    assert noise.getvalue() == "1\n"
    code, told = command(project, "map", "test")
    assert (code, "out is 'TINY', not 'SMALL'" in told) == (1, True)
    for settings in ({}, {"hooks": False}):
        write_settings(project, **settings)
        for name in (["check"], ["map"], ["map", "test"], ["map", "show-sql", "t"], ["run"]):
            code, told = command(project, *name)
            assert (code, "this project has hooks switched off" in told) == (2, True), name
    write_settings(project, hooks="yes")
    assert "hooks must be a yes or no, not 'yes'" in command(project, "check")[1]


def test_a_hook_that_fails_ends_the_step_with_2_and_writes_nothing(project: Path) -> None:
    (project / "hooks.py").write_text("def segment(a, b):\n    return a.missing\n", encoding="utf-8")
    assert command(project, "check")[0] == 0, "what a hook does is seen only when it runs"
    command(project, "extract")
    code, told = command(project, "map")
    assert (code, "hooks.py:2: hooks.segment" in told) == (2, True), told
    assert not list((project / ".migrator" / "staging").glob("mapped/**/*.parquet"))


def test_hooks_know_the_arrow_types_of_typed_sources(tmp_path: Path) -> None:
    body = "def f(a, b):\n    return a.astype(str) + '|' + str(a.dtype) + '|' + str(b.dtype)\n"
    found = bind_texts(
        {"t.yaml": f"{HEAD}  out: {{python: hooks.f, using: [Employees, Amount]}}\n"},
        {"old": [SCHEMA]},
        write(tmp_path, body),
        hooks=True,
        staged=lambda _: pa.schema([("Employees", pa.int32()), ("Amount", pa.decimal128(9, 3))]),
    )
    types = {"Employees": pa.int32(), "Amount": pa.decimal128(9, 3)}
    compiled = compile_mapping(found.mappings[0])
    with engine(tmp_path) as session:
        session.table(
            "old/T", staged_table(SCHEMA, [{"Id": "1", "Employees": 5, "Amount": Decimal(1)}], types)
        )  # type: ignore[dict-item]
        register_hooks(session, compiled.hooks)
        assert (
            session.fetch(compiled.sql).to_pylist()[0]["out"] == "5|int64[pyarrow]|decimal128(9, 3)[pyarrow]"
        )


def write(folder: Path, body: str) -> Path:
    (folder / "hooks.py").write_text(body, encoding="utf-8")
    return folder
