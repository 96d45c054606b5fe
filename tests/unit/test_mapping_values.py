"""Value maps: read strictly, every problem with its line, and only from inside the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.errors import Location, ProjectError
from migrator.mapping.values import read_values

AT = Location("m.yaml", 3, 7)


def problems(file: str, project: Path) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        read_values(file, project, AT)
    return [str(item).splitlines()[0] for item in caught.value.problems]


def test_an_empty_target_is_null_and_other_columns_are_remarks(tmp_path: Path):
    (tmp_path / "v.csv").write_text(
        'Source,remark,TARGET\n"a,b",x,A\nc,,\n\n"d\ne",,"E"\n', encoding="utf-8-sig"
    )
    assert read_values("v.csv", tmp_path, AT).entries == (("a,b", "A"), ("c", None), ("d\ne", "E"))


def test_every_wrong_line_is_told(tmp_path: Path):
    (tmp_path / "v.csv").write_text("source,target\na,A\nb\na,B\na,A\nc,d,e\n")
    assert problems("v.csv", tmp_path) == [
        "v.csv:3: 1 cells where the header has 2",
        "v.csv:4: the old value 'a' stands here twice, with different new values",
        "v.csv:6: 3 cells where the header has 2",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"old,new\na,b\n", "v.csv:1:1: a value map needs the columns source and target"),
        (b"", "v.csv:1:1: a value map needs the columns source and target"),
        (b'source,target\n"a,b\n', "v.csv:2: this is not valid CSV"),
        (b"source,target\n\xff,b\n", "m.yaml:3:7: cannot read the value map 'v.csv': it is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_value_map_is_told(content: bytes, expected: str, tmp_path: Path):
    (tmp_path / "v.csv").write_bytes(content)
    assert problems("v.csv", tmp_path)[0].startswith(expected)


@pytest.mark.parametrize(
    "file", ["../secret.csv", "values/../../secret.csv", "/etc/passwd", "link.csv", "linked/secret.csv", "\0"]
)
def test_nothing_outside_the_project_is_read(file: str, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("source,target\na,b\n")
    project = tmp_path / "project"
    (project / "values").mkdir(parents=True)
    (project / "link.csv").symlink_to(tmp_path / "secret.csv")
    (project / "linked").symlink_to(tmp_path)
    (line,) = problems(file, project)
    assert "lies outside the project" in line or "is not a path" in line


def test_a_missing_file_is_told(tmp_path: Path):
    assert problems("none.csv", tmp_path) == [
        "m.yaml:3:7: cannot read the value map 'none.csv': No such file or directory"
    ]
