"""Project, mapping and value files broken as people break them: the place, what is wrong, a hint, exit code 2, nothing moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.small_migration import (
    COUNTRIES,
    assert_told,
    migrator,
    replace_in,
    staged_data,
    target_rows,
)

PROJECT, VALUES = "migration.yaml", "values/country.csv"
ACCOUNT, CONTACT, ORDER = (f"mappings/{name}.yaml" for name in ("account", "contact", "order"))
Break = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One way to break the files of a project, and what `migrator run` must say of it."""

    broken: Break
    says: tuple[str, ...]
    code: int = 2


def edit(file: str, old: str, new: str) -> Break:
    return lambda folder: replace_in(folder / file, {old: new})


def content(file: str, text: str | bytes) -> Break:
    def broken(folder: Path) -> None:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return broken


def encoded(file: str, encoding: str, old: str = "", new: str = "") -> Break:
    def broken(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        (folder / file).write_bytes(text.replace(old, new).encode(encoding))

    return broken


def gone(file: str) -> Break:
    return lambda folder: (folder / file).unlink()


def a_folder(file: str) -> Break:
    return lambda folder: ((folder / file).unlink(missing_ok=True), (folder / file).mkdir())


def linked(file: str, to: str) -> Break:
    return lambda folder: ((folder / file).unlink(missing_ok=True), (folder / file).symlink_to(to))


def of_shop(setting: str) -> Break:
    """A setting of the system 'shop'."""
    return edit(PROJECT, "path: exports/shop", setting)


def of_target(url: str) -> Break:
    return edit(PROJECT, "sqlite:///crm.db", url)


def of_ledger(url: str) -> Break:
    return edit(PROJECT, "project: small", f'project: small\nledger: "{url}"')


def of_engine(setting: str) -> Break:
    return edit(PROJECT, "{memory_limit: 500MB, threads: 1}", setting)


def of_name(rule: str) -> Break:
    """Another rule in the place of `{from: Name}` of the mapping account."""
    return edit(ACCOUNT, "{from: Name}", rule)


PROJECT_FILE: Mapping[str, Case] = {
    "missing": Case(gone(PROJECT), ("migration.yaml: no such file", "migrator init")),
    "a folder": Case(a_folder(PROJECT), ("migration.yaml: cannot read this file: Is a directory",)),
    "empty": Case(content(PROJECT, ""), ("migration.yaml:1:1: migration.yaml must be a mapping", "systems")),
    "a list": Case(content(PROJECT, "- a\n"), ("migration.yaml:1:1: migration.yaml must be a mapping",)),
    "no systems": Case(content(PROJECT, "project: x\n"), ("migration.yaml:1:1: systems is missing",)),
    "empty systems": Case(content(PROJECT, "systems:\n"), ("migration.yaml:1:9: systems must be a mapping",)),
    "a tab": Case(edit(PROJECT, "  shop:", "\tshop:"), ("migration.yaml:5:1: ", "a tab stands here")),
    "a brace not closed": Case(
        edit(PROJECT, "exports/shop}", "exports/shop"), ("migration.yaml:6:", "not valid YAML")
    ),
    "UTF-16": Case(encoded(PROJECT, "utf-16"), ("migration.yaml:1: byte 0xFF is not UTF-8", "save the file")),
    "Latin-1": Case(
        encoded(PROJECT, "latin-1", "exports/shop", "exports/Läden"), ("migration.yaml:5: byte 0xE4 is not UTF-8",)
    ),
    "a zero byte": Case(
        edit(PROJECT, "small", "sm\0all"), ("migration.yaml:1: this is not valid YAML", "remove that")
    ),
    "a key twice": Case(
        edit(PROJECT, "batch_rows: 2", "batch_rows: 2\nbatch_rows: 3"),
        ("migration.yaml:9:1: the key 'batch_rows' stands here twice",),
    ),
    "an unknown key": Case(
        edit(PROJECT, "batch_rows", "batch_row"),
        ("migration.yaml:8:1: unknown key 'batch_row'", "did you mean 'batch_rows'?"),
    ),
    "a text for a number": Case(
        edit(PROJECT, "batch_rows: 2", "batch_rows: many"),
        ("migration.yaml:8:13: batch_rows must be a whole number, not 'many'",),
    ),
    "yes for a number": Case(edit(PROJECT, "batch_rows: 2", "batch_rows: yes"), ("migration.yaml:8:13: ",)),
    "no rows in a batch": Case(
        edit(PROJECT, "batch_rows: 2", "batch_rows: 0"), ("migration.yaml:8:13: batch_rows must be at least 1",)
    ),
    "an empty name": Case(
        edit(PROJECT, "project: small", 'project: ""'), ("migration.yaml:1:10: project is empty",)
    ),
    "a name of a system": Case(
        edit(PROJECT, "  shop:", '  "my shop":'), ("migration.yaml:5:3: 'my shop' cannot name a system",)
    ),
    "a system without connector": Case(
        edit(PROJECT, "connector: files, ", ""), ("migration.yaml:5:3: system 'shop' has no connector",)
    ),
    "an unknown connector": Case(
        edit(PROJECT, "connector: files", "connector: file"),
        ("migration.yaml:5:21: unknown connector 'file'", "did you mean 'files'?"),
    ),
    "a connector that only reads": Case(
        edit(PROJECT, 'connector: sql, url: "sqlite:///crm.db"', "connector: salesforce-export, path: x"),
        ("migration.yaml:6:3: the connector 'salesforce-export' cannot be written to",),
    ),
    "no mappings": Case(
        lambda folder: shutil.rmtree(folder / "mappings"), ("mappings: no mapping in this folder", "migrator init")
    ),
}  # fmt: skip

SETTINGS: Mapping[str, Case] = {
    "unknown": Case(of_shop("paht: exports/shop"), ("migration.yaml:5:28: unknown key 'paht'", "'path'?")),
    "missing": Case(edit(PROJECT, ", path: exports/shop", ""), ("migration.yaml:5:3: `path` is missing",)),
    "a list": Case(of_shop("path: [a, b]"), ("migration.yaml:5:3: `path` must be text",)),
    "encoding": Case(
        of_shop("path: exports/shop, encoding: utf-9"), ("migration.yaml:5:3: unknown encoding 'utf-9'", "'utf-8'?")
    ),
    "delimiter": Case(of_shop('path: exports/shop, delimiter: "||"'), ("migration.yaml:5:3: `delimiter` must",)),
    "url of nothing": Case(of_target("crm.db"), ("migration.yaml:6:3: the url cannot be read", "dialect://")),
    "url of no dialect": Case(
        of_target("sqlit:///crm.db"), ("migration.yaml:6:3: no SQLAlchemy dialect is called 'sqlit'", "'sqlite'?")
    ),
    "url without its driver": Case(
        of_target("oracle://u:p@h/db"), ("migration.yaml:6:3: the driver for 'oracle' is not installed",)
    ),
    "secret not set": Case(
        of_target("postgresql://u:${env:NOT_SET_HERE}@h/db"),
        ("migration.yaml:6:3: the environment variable NOT_SET_HERE is not set", "export NOT_SET_HERE="),
    ),
    "secret of another kind": Case(
        of_target("postgresql://u:${evn:PASSWORD}@h/db"), ("migration.yaml:6:3: secrets are not looked up in 'evn'",)
    ),
    "secret file missing": Case(
        of_target("postgresql://u:${file:/nowhere/secret}@h/db"),
        ("migration.yaml:6:3: cannot read the secret file /nowhere/secret: No such file",),
    ),
    "engine a text": Case(of_engine("500MB"), ("migration.yaml:7:9: there is no engine '500MB'",)),
    "engine unknown": Case(of_engine("{thread: 1}"), ("migration.yaml:7:10: unknown key 'thread'", "'threads'?")),
    "engine memory": Case(of_engine("{memory_limit: lots}"), ("migration.yaml:7:24: 'lots' is not an amount",)),
    "engine memory tiny": Case(of_engine("{memory_limit: 1MB}"), ("migration.yaml:7:24: 1MB is too little",)),
    "engine threads": Case(of_engine("{threads: 100000}"), ("migration.yaml:7:19: the engine cannot have",)),
    "engine folder": Case(
        of_engine("{temp_directory: migration.yaml}"), ("no room to spill to", "engine.temp_directory"), code=3
    ),
    "ledger of nothing": Case(of_ledger("here"), ("migration.yaml:2:9: ledger is not a database URL",)),
    "ledger with a bad port": Case(
        of_ledger("postgresql://u:secret@h:x/db"), ("migration.yaml:2:9: ledger is not a database URL",)
    ),
    "ledger without its driver": Case(of_ledger("mysql://h/db"), ("migration.yaml:2:9: ", "SQLite or PostgreSQL")),
    "ledger in memory": Case(of_ledger("sqlite://"), ("migration.yaml:2:9: a ledger in memory",)),
    "ledger in a file's folder": Case(
        of_ledger("sqlite:///migration.yaml/l.db"), ("cannot make the folder of the ledger",), code=3
    ),
    "ledger that is no database": Case(
        of_ledger("sqlite:///migration.yaml"), ("cannot open the ledger", "not a database"), code=3
    ),
    "ledger on no server": Case(
        of_ledger("postgresql://u:secret@127.0.0.1:1/db"), ("the ledger postgresql://u:***@127.0.0.1:1/db does",), code=4
    ),
    "another ledger": Case(of_ledger("sqlite:///other.db"), ("belongs to another ledger", "set `ledger`"), code=5),
    "ledger of another project": Case(
        edit(PROJECT, "project: small", "project: large"), ("belongs to the project 'small', not to 'large'",)
    ),
}  # fmt: skip

MAPPINGS: Mapping[str, Case] = {
    "empty": Case(content(ACCOUNT, ""), ("mappings/account.yaml:1:1: a mapping file holds keys",)),
    "a folder": Case(a_folder("mappings/x.yaml"), ("mappings/x.yaml: cannot read this file: Is a directory",)),
    "a link to nothing": Case(linked("mappings/x.yaml", "nowhere"), ("mappings/x.yaml: no such file",)),
    "Latin-1": Case(
        encoded(ACCOUNT, "latin-1", "deleted in", "gelöscht"), ("mappings/account.yaml:6: byte 0xF6 is not UTF-8",)
    ),
    "a tab": Case(edit(ACCOUNT, "  country: {type", "\tcountry: {type"), ("account.yaml:22:1: ", "a tab stands")),
    "code in a tag": Case(
        content("mappings/x.yaml", 'mapping: !!python/object/apply:os.system ["false"]\n'),
        ("mappings/x.yaml:1:10: this is not valid YAML",),
    ),
    "nested without end": Case(content("mappings/x.yaml", "[" * 3000 + "]" * 3000), ("mappings/x.yaml:1:101: ", "deep")),
    "a key twice": Case(
        edit(ACCOUNT, "  country: {type", "  name: {}\n  country: {type"), ("account.yaml:22:3: the key 'name'",)
    ),
    "an unknown key": Case(edit(ACCOUNT, "sources:", "sorces:"), ("account.yaml:3:1: unknown key 'sorces'", "'sources'?")),
    "an unknown key of a field": Case(
        edit(ACCOUNT, "clean: [trim", "cleen: [trim"), ("account.yaml:21:28: unknown key 'cleen'", "'clean'?")
    ),
    "a wrong type": Case(edit(ACCOUNT, "[trim, collapse]", "{trim: 1}"), ("account.yaml:21:35: clean must be a list",)),
    "an unknown column": Case(of_name("{from: Naem}"), ("account.yaml:8:20: salesforce/Account has no column", "'Name'?")),
    "an unknown object": Case(edit(ACCOUNT, "object: Account", "object: Acount"), ("account.yaml:5:13: ", "'Account'?")),
    "an unknown system": Case(
        edit(ACCOUNT, "  salesforce:", "  salesforse:"),
        ("account.yaml:4:3: there is no system 'salesforse' in migration.yaml", "did you mean 'salesforce'?"),
    ),
    "an unknown target": Case(edit(ACCOUNT, "system: crm", "system: crn"), ("account.yaml:2:18: there is no", "'crm'?")),
    "an unknown verb": Case(edit(ACCOUNT, "[trim, coll", "[trim, col"), ("account.yaml:21:42: unknown clean verb",)),
    "an unknown type": Case(edit(ACCOUNT, "string(80)", "strng(80)"), ("account.yaml:21:16: 'strng(80)' is not a type",)),
    "a type without quotes": Case(
        edit(ACCOUNT, '"decimal(18,2)"', "decimal(18,2)"), ("account.yaml:24:19: ", "a comma ends the value")
    ),
    "an unknown function": Case(of_name('{expr: "uper(Name)"}'), ("account.yaml:8:20: the function 'uper'", "'upper'?")),
    "a query": Case(of_name('{expr: "(select 1)"}'), ("account.yaml:8:29: a query is not allowed",)),
    "a file function": Case(of_name("{expr: \"read_text('/etc/passwd')\"}"), ("account.yaml:8:20: the function 'read_text'",)),
    "an environment function": Case(of_name("{expr: \"getenv('HOME')\"}"), ("account.yaml:8:20: the function 'getenv'",)),
    "two statements": Case(of_name('{expr: "Name; drop table x"}'), ("account.yaml:8:20: ", "more than one statement")),
    "half an expression": Case(of_name('{expr: "upper(Name"}'), ("account.yaml:8:27: this is not an SQL expression",)),
    "an unknown column in SQL": Case(of_name('{expr: "upper(Naem)"}'), ("account.yaml:8:27: unknown column", "'Name'?")),
    "a condition cut off": Case(edit(ACCOUNT, "when: IsDeleted", "when: IsDeleted ="), ("account.yaml:6:32: ",)),
    "an unknown look-up": Case(
        edit(CONTACT, "lookup: account", "lookup: acount"), ("contact.yaml:22:21: lookup to 'acount'", "'account'?")
    ),
    "a circle of required links": Case(
        edit(ACCOUNT, 'account, missing: "null"', "account, required: true"), ("account.yaml:23:20: ", "drop required")
    ),
    "two of one name": Case(
        lambda folder: shutil.copy(folder / ACCOUNT, folder / "mappings/account2.yml"),
        ("mappings/account2.yml:1:10: a second mapping is called 'account'",),
    ),
    "an unknown key column": Case(edit(ORDER, "key: No.", "key: Nr."), ("order.yaml:6:8: unknown column 'Nr.'", "'No.'?")),
    "an unknown normaliser": Case(edit(ACCOUNT, "name: company", "name: compny"), ("account.yaml:26:23: ", "'company'?")),
    "an unknown zone": Case(edit(CONTACT, "{type: date}", "{type: date, zone: Mars/X}"), ("contact.yaml:23:28: ",)),
    "a saved schema cut off": Case(content("schemas/shop.json", '{"obj'), ("schemas/shop.json: ", "delete it")),
    "a saved schema of another kind": Case(content("schemas/shop.json", "[1]"), ("schemas/shop.json: ", "delete it")),
    "a saved schema that is a folder": Case(a_folder("schemas/shop.json"), ("schemas/shop.json: cannot read",)),
}  # fmt: skip

VALUE_MAPS: Mapping[str, Case] = {
    "missing": Case(gone(VALUES), ("account.yaml:22:38: cannot read the value map", "relative to the project")),
    "outside": Case(edit(ACCOUNT, VALUES, "../../secret.csv"), ("account.yaml:22:38: ", "outside the project folder")),
    "a link outside": Case(linked(VALUES, "/etc/passwd"), ("account.yaml:22:38: ", "outside the project folder")),
    "a folder": Case(a_folder(VALUES), ("account.yaml:22:38: cannot read the value map", "Is a directory")),
    "a value twice": Case(
        content(VALUES, "source,target\nChina,CN\nChina,DE\n"), ("values/country.csv:3: the old value 'China'", "keep one")
    ),
    "another header": Case(content(VALUES, "old,new\nChina,CN\n"), ("values/country.csv:1:1: ", "old, new")),
    "semicolons": Case(content(VALUES, "source;target\nChina;CN\n"), ("values/country.csv:1:1: ", "source;target")),
    "empty": Case(content(VALUES, ""), ("values/country.csv:1:1: a value map needs the columns",)),
    "ragged": Case(content(VALUES, "source,target\nA,B,C\n"), ("values/country.csv:2: 3 cells", "quote cells")),
    "a quote not closed": Case(content(VALUES, 'source,target\n"A,B\n'), ("values/country.csv:2: this is not valid CSV",)),
    "GBK": Case(content(VALUES, COUNTRIES.encode("gbk")), ("account.yaml:22:38: ", "not UTF-8", "save it as CSV UTF-8")),
}  # fmt: skip

CASES = {
    f"{family}: {name}": case
    for family, cases in {
        "project file": PROJECT_FILE,
        "setting": SETTINGS,
        "mapping": MAPPINGS,
        "value map": VALUE_MAPS,
    }.items()
    for name, case in cases.items()
}
WRITTEN_BY_PEOPLE = ("migration.yaml", "mappings", "values", "schemas")


@pytest.mark.parametrize("name", CASES)
def test_a_broken_file_is_told_at_its_place_and_moves_nothing(
    name: str, shared: Path, small_done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    case.broken(shared)
    try:
        said = migrator(shared, capsys, "run", "--skip-validate")
    finally:
        _mend(shared, small_done)
    assert_told(said, case.code, *case.says)
    assert len(set(_errors(said.err))) == len(_errors(said.err)), f"told twice: {said}"
    assert not list(shared.glob(".migrator/crash*"))
    assert "secret@" not in said.err
    assert staged_data(shared) == staged_data(small_done)
    assert target_rows(shared / "crm.db") == target_rows(small_done / "crm.db")
    assert migrator(shared, capsys, "check").code == 0


def _errors(told: str) -> list[str]:
    return [line for line in told.splitlines() if line.startswith("error ")]


def _mend(folder: Path, whole: Path) -> None:
    for name in WRITTEN_BY_PEOPLE:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        source = whole / name
        shutil.copytree(source, path) if source.is_dir() else shutil.copy2(source, path)
