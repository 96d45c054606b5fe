"""`migrator rollback` on real databases: a migration that is taken back leaves the target as it was, to the last value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.e2e.demo_project import command

PEOPLE = 'id,name,boss,born\n1,Ann,2,2020-01-01\n2,王五,1,\n3,"O""Neil, x",,1999-12-31\n'
"""A circle of bosses, which only empty links let go of."""


def rows(url: str) -> list[tuple[Any, ...]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text('SELECT * FROM people ORDER BY "id"'))]


def edit(url: str, statement: str) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(statement))


def told(project: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = command(f"-C{project}", *arguments, "--json")
    assert done.code == code, done.err
    found: dict[str, Any] = done.json()
    return found


def test_two_runs_are_taken_back_one_after_the_other(database_url: str, tmp_path: Path) -> None:
    source, project = tmp_path / "in" / "people.csv", tmp_path / "project"
    source.parent.mkdir()
    source.write_text(PEOPLE, encoding="utf-8")
    made = command("init", project, "--source", f"old={source.parent}", "--target", database_url)
    assert made.code == 0, made.err
    told(project, "run", "--skip-validate")
    first = rows(database_url)
    source.write_text(PEOPLE.replace("Ann,2", "Anne,3") + "4,New,1,\n", encoding="utf-8")
    told(project, "run", "--skip-validate")
    assert len(rows(database_url)) == 4

    later, earlier = (item["run"] for item in told(project, "rollback")["runs"])
    refused = command(f"-C{project}", "rollback", later)
    assert refused.code == 5
    assert "--yes" in refused.err
    assert told(project, "rollback", later, "--dry-run")["objects"]["people"]["restored"] == 1
    assert len(rows(database_url)) == 4
    told(project, "rollback", later, "--yes")
    assert rows(database_url) == first

    edit(database_url, "UPDATE people SET name = 'edited here' WHERE id = '3'")
    kept = told(project, "rollback", earlier, "--yes", code=1)
    assert [item["detail"] for item in kept["kept"]] == ["changed since: name"]
    assert [row[1] for row in rows(database_url)] == ["edited here"]
    assert told(project, "status")["closed"] is False
    edit(database_url, "UPDATE people SET name = 'O\"Neil, x' WHERE id = '3'")
    assert told(project, "rollback", earlier, "--yes")["not_taken_back"] == 0
    assert rows(database_url) == []
    # and once more forward, from the same project
    told(project, "run", "--skip-validate")
    assert len(rows(database_url)) == 4
