"""Nothing in a mapping, value map or workbook runs code, reads a file outside the project or reaches the network.

Each attack points at a canary file, at a marker that code would leave, or at a listener that must hear nothing.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import openpyxl
import pytest

from migrator.core.errors import FatalError
from migrator.core.schema import schemas_to_json
from migrator.mapping.expressions import parse_formula
from migrator.mapping.staged_columns import columns_of
from migrator.staging.engine import EngineSettings, open_engine
from tests.e2e.demo_project import Answer, run
from tests.mapping_kit import make_schema

SECRET = "canary-7f3a"
SCHEMA = make_schema("T", Name="string", Day="date")
SOUND = (
    "mapping: t\ntarget: {system: new, object: t, key: k}\nsource: {system: old, object: T}\n"
    "fields:\n  name: {from: Name}\n  day: {from: Day}\n"
)


@dataclass(frozen=True, slots=True)
class Bait:
    """A project, and what an attack on it would touch."""

    folder: Path
    canary: Path
    marker: Path
    listener: socket.socket

    @property
    def url(self) -> str:
        """An address that must not be asked."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/values.csv"

    def lay(self, text: str) -> str:
        """An attack with the places it is after."""
        return (
            text.replace("CANARY", str(self.canary))
            .replace("MARKER", str(self.marker))
            .replace("URL", self.url)
        )

    def write(self, mapping: str) -> None:
        (self.folder / "mappings" / "t.yaml").write_text(self.lay(mapping), encoding="utf-8")

    def check(self, mapping: str, *command: str) -> Answer:
        """Run a command on the project with this mapping."""
        self.write(mapping)
        return run(f"-C{self.folder}", *(command or ("check",)))

    def is_untouched(self, answer: Answer) -> bool:
        """Nothing was read, run or asked."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return SECRET not in answer.out + answer.err and not self.marker.exists()
        return False


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Bait]:
    project = tmp_path / "project"
    (project / "mappings").mkdir(parents=True)
    (project / "schemas").mkdir()
    (project / "schemas" / "old.json").write_text(schemas_to_json([SCHEMA]))
    (project / "migration.yaml").write_text(
        "systems:\n  old: {connector: files, path: export}\n  new: {connector: sql, url: 'sqlite:///new.db'}\n"
    )
    canary = tmp_path / "canary.csv"
    canary.write_text(f"source,target\n{SECRET},{SECRET}\n")
    (project / "values").mkdir()
    (project / "values" / "link.csv").symlink_to(canary)
    (project / "values" / "folder").symlink_to(tmp_path)
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield Bait(project, canary, tmp_path / "marker", listener)


def refused(bait: Bait, answer: Answer) -> None:
    assert answer.code == 2, answer.out + answer.err
    assert re.search(r"mappings/t\.yaml:\d+:\d+: |migration\.yaml", answer.err), answer.err
    assert bait.is_untouched(answer)


def test_the_project_is_sound_without_an_attack(bait: Bait) -> None:
    assert bait.check(SOUND).code == 0


@pytest.mark.parametrize(
    "text",
    [
        '!!python/object/apply:os.system ["touch MARKER"]',
        "!!python/object/new:os.system [touch MARKER]",
        "!!python/name:os.system",
        "!!python/module:os",
        '!!python/object/apply:subprocess.check_output [[touch, MARKER]]',
        "!include CANARY",
        "!!binary Q0FOQVJZ",
        "{from: !!python/object/apply:os.getcwd []}",
    ],
)  # fmt: skip
def test_tags_of_yaml_make_nothing(text: str, bait: Bait) -> None:
    refused(bait, bait.check(f"{SOUND}  x: {text}\n"))


def test_bombs_of_anchors_end_soon(bait: Bait) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 40)
    )
    answer = bait.check(bomb + SOUND + "  x: {from: *a39, values: *a39}\ntests: *a39\ndedupe: {keys: *a39}\n")
    refused(bait, answer)
    assert len(answer.err) < 100_000
    refused(bait, bait.check("x: &x {y: *x}\n" + SOUND))
    assert bait.check("a: " + "[" * 5_000 + "]" * 5_000 + "\n" + SOUND).code == 2


@pytest.mark.parametrize(
    "path",
    [
        "../canary.csv", "values/../../canary.csv", "CANARY", "values/link.csv", "values/folder/canary.csv",
        "'\\\\server\\share\\x.csv'", "//127.0.0.1/share/x.csv", "URL", "'file://CANARY'", "'~/.ssh/id_rsa'",
        "'C:\\Windows\\win.ini'", "/dev/stdin", "/proc/self/environ", "'values/a\\0.csv'", '"values/\\0.csv"', "values", "'*.csv'",
    ],
)  # fmt: skip
def test_a_value_map_lies_inside_the_project_or_is_not_read(path: str, bait: Bait) -> None:
    refused(bait, bait.check(f"{SOUND}  x: {{from: Name, values: {path}}}\n"))


ATTACKS = [
    "read_csv('CANARY')", "read_text('CANARY')", "read_blob('CANARY')", "read_parquet('URL')", "glob('/*')",
    "getenv('HOME')", "(select content from read_text('CANARY'))", "(select 1)", "exists (select 1 from 'CANARY')",
    "Name in (select source from 'CANARY')", '"CANARY"', '"CANARY".source', "Name; attach 'MARKER'", "attach 'MARKER'",
    "copy (select 1) to 'MARKER'", "pragma database_list", "install httpfs", "load httpfs", "set lock_configuration = false",
    "create macro f(a) as a", "f(Name)", "system('touch MARKER')", "shell('touch MARKER')", "query('select 1')",
    "query_table('CANARY')", "current_setting('temp_directory')", "duckdb_settings()", "pragma_version()", "nextval('x')",
    "sniff_csv('CANARY')", "parquet_scan('CANARY')", "unnest([1])", "list_transform([1], lambda x: x)", "struct_pack(a := 1)",
    "getvariable('a')", "$1", "?", "*", "columns('.*')", "Name::json", "cast(Name as blob)", "row_number() over ()",
    "Name /* */ union select 1", "Name -- \n; drop table x", "main.current_user", "user()", "'a' collate nocase", "sleep_ms(1000)",
    "regexp_matches(Name, getenv('HOME'))", "hex(read_text('CANARY'))", "error('x')", "write_log('x')", "random()", "now()", "uuid()",
]  # fmt: skip


@pytest.mark.parametrize("expression", ATTACKS)
def test_an_expression_computes_and_does_nothing_else(expression: str, bait: Bait) -> None:
    quoted = expression.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    both = SOUND.replace("object: T}", f'object: T, where: "{quoted}"}}')
    answer = bait.check(f'{both}  x: {{expr: "{quoted}"}}\n')
    refused(bait, answer)
    assert "t.yaml:3:" in answer.err
    assert "t.yaml:7:" in answer.err


def test_names_that_are_paths_stay_names(bait: Bait) -> None:
    for old, new in (
        ("object: T}", "object: '../canary.csv'}"),
        ("from: Name", "from: CANARY"),
        ("system: old", "system: URL"),
    ):
        refused(bait, bait.check(SOUND.replace(old, new)))  # fmt: skip


def test_code_of_the_project_stays_off(bait: Bait) -> None:
    (bait.folder / "hooks.py").write_text(bait.lay("open('MARKER', 'w').close()\ndef f(a):\n    return a\n"))
    hooked = f"{SOUND}  x: {{python: hooks.f, using: Name}}\n"
    for command in (["check"], ["map", "test"], ["map"], ["map", "show-sql", "t"]):
        refused(bait, bait.check(hooked, *command))
    settings = bait.folder / "migration.yaml"
    settings.write_text(settings.read_text() + "hooks: true\n")
    assert bait.check(hooked).code == 0
    assert not bait.marker.exists(), "check reads a hook and does not run it"
    for name in ("os.system", "hooks.f.__globals__", "../hooks.f", "hooks/../x.f"):
        refused(bait, bait.check(f"{SOUND}  x: {{python: '{name}', using: Name}}\n"))


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        ("expr: read_text('CANARY')", "is not allowed in an expression"),
        ("values: ../canary.csv", "lies outside the project folder"),
        ("python: hooks.f", "hooks switched off"),
        ("clean: !!python/object/apply:os.system ['touch MARKER']", ""),
        ("=WEBSERVICE(\"URL\")", "holds a formula"),
    ],
)  # fmt: skip
def test_a_workbook_can_do_no_more_than_the_yaml(transform: str, told: str, bait: Bait) -> None:
    bait.write(SOUND)
    file = bait.folder / "m.xlsx"
    assert run(f"-C{bait.folder}", "map", "to-xlsx", "--out", str(file)).code == 0
    book = openpyxl.load_workbook(file)
    page = book["t"]
    columns = {cell.value: cell.column for cell in page[1]}
    row = next(row for row in range(2, page.max_row + 1) if page.cell(row, columns["field"]).value == "name")
    column = "source" if transform.startswith(("expr", "python")) else "transform"
    page.cell(row, columns[column]).value = bait.lay(transform)
    book.save(file)
    answer = run(f"-C{bait.folder}", "map", "from-xlsx", str(file))
    assert answer.code == 2, answer.out
    assert told in answer.err
    assert bait.is_untouched(answer)
    assert (bait.folder / "mappings" / "t.yaml").read_text() == SOUND


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('CANARY')", "SELECT * FROM 'CANARY'", "SELECT * FROM read_text('URL')", "ATTACH 'MARKER' AS x",
        "COPY (SELECT 1) TO 'MARKER'", "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true", "RESET enable_external_access",
        "SET lock_configuration = false", "SET allowed_directories = ['/']", "SET TimeZone = 'Asia/Shanghai'", "EXPORT DATABASE 'MARKER'",
        "SELECT getenv('HOME')", "PRAGMA enable_profiling", "SELECT * FROM glob('/*')", "IMPORT DATABASE 'CANARY'", "SELECT * FROM bait",
    ],
)  # fmt: skip
def test_even_free_sql_gets_no_further_than_the_workspace(sql: str, bait: Bait) -> None:
    """The second wall: what the engine would do if an attack came past the parser."""
    workspace = bait.folder / ".migrator"
    workspace.mkdir()
    opened = closing(open_engine(EngineSettings(threads=1), workspace))
    with opened as session, pytest.raises((duckdb.Error, FatalError)) as caught:
        session.fetch(bait.lay(sql))
    assert bait.is_untouched(Answer(2, "", str(caught.value)))


def test_what_an_expression_becomes_names_columns_and_allowed_functions_only() -> None:
    formula = parse_formula(
        "concat(Name, ' -- ; drop', '''', \"Day\") /* remark */",
        columns_of(SCHEMA, None),
        lambda _: None,  # type: ignore[arg-type,return-value]
    )
    assert formula.sql == "CONCAT(\"Name\", ' -- ; drop', '''', \"__value Day\")"
    assert os.sep not in formula.sql
