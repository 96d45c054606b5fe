"""migration.yaml is parsed strictly, all problems at once, each with its place; secrets are named and never told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.commands.project import anchor_sqlite, load_project, open_workspace
from migrator.core.errors import FatalError, Location, MigratorError, ProjectError
from migrator.core.secrets import resolve

GOOD = """\
project: acme
systems:
  old: {connector: files, path: exports}
  new: {connector: sql, url: "sqlite:///new.db"}
ledger: sqlite:///.migrator/other.db
engine: {memory_limit: 512MB, threads: 2}
batch_rows: 500
"""
SECRET = "hunter2-秘密"


def project(folder: Path, text: str = GOOD) -> Path:
    (folder / "migration.yaml").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load_project(project(folder, text))
    return [str(item) for item in caught.value.problems]


def test_all_settings_are_read(tmp_path: Path) -> None:
    found = load_project(project(tmp_path))
    assert (found.name, found.batch_rows, found.mappings) == ("acme", 500, "mappings")
    assert {name: item.connector for name, item in found.systems.items()} == {"old": "files", "new": "sql"}
    assert found.ledger_url == f"sqlite:///{tmp_path / '.migrator' / 'other.db'}"
    assert (found.engine.memory_limit, found.engine.threads) == ("512MB", 2)


def place(problem: str) -> tuple[int, int]:
    """Line and column."""
    line, column = re.findall(r"migration\.yaml:(\d+):(\d+)", problem)[0]
    return int(line), int(column)


def test_all_problems_are_told_at_once_each_with_its_place(tmp_path: Path) -> None:
    text = """\
projcet: acme
systems:
  old: {connector: flies, path: exports}
  new: {connector: sql, ulr: "sqlite:///new.db"}
  2nd: {url: x}
engine: {memory_limit: much, thread: 2}
batch_rows: "500"
"""
    told = problems(tmp_path, text)
    assert [line for line, _ in sorted(enumerate(told), key=lambda item: place(item[1]))] == list(range(8))
    file = str(tmp_path / "migration.yaml")
    places = {item.split(": ")[0].removeprefix(file + ":"): item for item in told}
    assert "did you mean 'project'" in places["1:1"]
    assert "did you mean 'files'" in places["3:20"]
    assert "did you mean 'url'" in places["4:25"]
    assert any("'2nd' cannot name a system" in item for item in told)
    assert any("system '2nd' has no connector" in item for item in told)
    assert "did you mean 'threads'" in places["6:30"]
    assert "'much' is not an amount of memory" in places["6:24"]
    assert "batch_rows must be a whole number" in places["7:13"]
    assert len(told) == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a mapping"),
        ("- a\n", "must be a mapping"),
        ("project: x\n", "systems is missing"),
        ("systems: []\n", "systems must be a mapping"),
        ("systems: {}\nbatch_rows: 0\n", "batch_rows must be at least 1"),
        ("systems: {}\nbatch_rows: true\n", "batch_rows must be a whole number"),
        ("systems: {}\nsystems: {}\n", "stands here twice"),
        ("systems: {new: sql}\n", "has no connector"),
        ("systems: {\n", "not valid YAML"),
        ("systems: !!python/object/apply:os.system [x]\n", "not valid YAML"),
    ],
)
def test_what_is_no_project_is_told_in_words(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in item for item in problems(tmp_path, text))


def test_a_folder_that_is_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"migration\.yaml: no such file") as caught:
        load_project(tmp_path)
    assert "migrator init" in str(caught.value)


def test_an_unknown_system_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="did you mean 'old'"):
        load_project(project(tmp_path)).open_source("odl")


def test_a_source_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(
        ProjectError, match=r"migration\.yaml:3:3: the connector 'files' cannot be written to"
    ):
        load_project(project(tmp_path)).open_target("old")


def test_a_saved_schema_that_is_broken_says_what_to_do(tmp_path: Path) -> None:
    found = load_project(project(tmp_path))
    found.schema_file("old").parent.mkdir()
    found.schema_file("old").write_text("{", encoding="utf-8")
    with pytest.raises(ProjectError, match="delete it"):
        found.saved_schema("old")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / ".migrator").write_text("a file where a folder must be", encoding="utf-8")
    with pytest.raises(FatalError, match="cannot write in"), open_workspace(load_project(project(tmp_path))):
        pass


@given(name=st.from_regex(r"[\w .-]{1,20}\.db", fullmatch=True))
def test_a_relative_sqlite_file_is_the_same_from_everywhere(name: str) -> None:
    folder = Path("/srv/some where")
    anchored = anchor_sqlite(f"sqlite:///{name}", folder)
    assert anchored == f"sqlite:///{(folder / name).resolve()}"
    assert anchor_sqlite(anchored, Path("/elsewhere")) == anchored


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////abs/x.db",
        "postgresql://h/db",
        "sqlite:///file:x?uri=true",
    ],
)
def test_other_urls_stay_as_they_are(url: str) -> None:
    assert anchor_sqlite(url, Path("/srv")) == url


def test_secrets_are_found_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PASSWORD", SECRET)
    (tmp_path / "token").write_text("from a file\n", encoding="utf-8")
    settings = {
        "url": "postgresql://me:${env:CRM_PASSWORD}@host/db", "plain": 7,
        "more": {"token": ["${file:" + str(tmp_path / "token") + "}"]},
    }  # fmt: skip
    assert resolve(settings, Location("migration.yaml")) == {
        "url": f"postgresql://me:{SECRET}@host/db", "plain": 7, "more": {"token": ["from a file"]},
    }  # fmt: skip


def test_a_secret_of_the_keyring_is_asked_for_by_service_and_user() -> None:
    import keyring
    from keyring.backends.null import Keyring

    class Ring(Keyring):
        def get_password(self, service: str, username: str) -> str | None:
            return SECRET if (service, username) == ("crm/prod", "me") else None

    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    try:
        assert resolve({"password": "${keyring:crm/prod/me}"}, Location("m")) == {"password": SECRET}
        with pytest.raises(ProjectError, match="the keyring has no entry 'crm/prod/you'"):
            resolve({"password": "${keyring:crm/prod/you}"}, Location("m"))
        with pytest.raises(ProjectError, match="no entry 'me'"):
            resolve({"password": "${keyring:me}"}, Location("m"))
    finally:
        keyring.set_keyring(before)


def test_a_secret_that_is_not_there_is_told_with_the_place_of_its_system(tmp_path: Path) -> None:
    text = GOOD.replace("sqlite:///new.db", "sqlite:///${env:NOT_SET_ANYWHERE}")
    with pytest.raises(
        ProjectError, match=r"migration\.yaml:4:3: the environment variable NOT_SET_ANYWHERE is not set"
    ):
        load_project(project(tmp_path, text)).open_target("new")
    with pytest.raises(ProjectError, match="cannot read the secret file"):
        resolve({"x": "${file:" + str(tmp_path / "none") + "}"}, Location("m"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:${env:CRM_PASSWORD}@/db?host=/nowhere",
        "postgresql+psycopg://me:${env:CRM_PASSWORD}@127.0.0.1:1/db",
        "nonsense+nonsense://me:${env:CRM_PASSWORD}@host/db",
        "${env:CRM_PASSWORD}",
    ],
)
def test_no_error_tells_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CRM_PASSWORD", SECRET)
    text = GOOD.replace("sqlite:///new.db", url)
    with pytest.raises(MigratorError) as caught:
        load_project(project(tmp_path, text)).open_target("new").describe()
    assert SECRET not in str(caught.value)

    text = GOOD.replace("sqlite:///.migrator/other.db", '"' + url + '"')
    with pytest.raises(MigratorError) as caught, open_workspace(load_project(project(tmp_path, text))):
        pass
    assert SECRET not in str(caught.value)
