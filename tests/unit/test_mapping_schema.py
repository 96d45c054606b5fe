"""The editor schema: every key is explained, shipped files name it and hold to it, mistakes do not, and a project's copy stays current."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from migrator.commands.check import check
from migrator.commands.project import load_project
from migrator.core.schema import schemas_to_json
from migrator.mapping import json_schema
from migrator.mapping.scaffold import MODELINE
from tests.mapping_kit import make_schema

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "mappings").glob("*/mappings/*.yaml"))
SOUND = "mapping: t\ntarget: {system: new, object: t, key: k}\nsource: {system: old, object: T}\n"


class Core(yaml.SafeLoader):
    """Scalars as the language servers of editors read them (YAML 1.2): NO and dates are texts."""


Core.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":bool"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", yaml.resolver.re.compile("true|false"), list("tf"))  # type: ignore[no-untyped-call,attr-defined]


def complaints(text: str) -> list[str]:
    data = yaml.load(text, Loader=Core)  # noqa: S506
    return sorted(
        ".".join(map(str, item.absolute_path)) for item in Draft7Validator(json_schema()).iter_errors(data)
    )


def described(node: Any, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key that an author can write, with what the schema says of it."""
    if isinstance(node, dict):
        for key, item in node.get("properties", {}).items():
            yield f"{name}.{key}", item
        for key, item in node.items():
            yield from described(item, key)


def test_it_is_a_schema_and_every_key_has_a_hover_text() -> None:
    schema = json_schema()
    Draft7Validator.check_schema(schema)
    keys = [
        (name, item)
        for name, item in described(schema)
        if name.split(".")[0] in {"json", "$defs", *schema["$defs"]}
    ]
    assert len(keys) > 60
    bare = [name for name, item in keys if "description" not in item and "$ref" not in item]
    assert [name for name in bare if name.split(".")[0] in {"FieldRule", "SourceRule", "MappingTest", "Acceptance", "SyncRule", "SyncField", "WayBack", "Deactivated"}] == []  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_shipped_files_name_the_schema_and_hold_to_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == MODELINE
    assert complaints(text) == []


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("feilds: {}", ""),
        ("fields: {a: {form: Name}}", "fields.a"),
        ("fields: {a: {from: [Name]}}", "fields.a.from"),
        ("fields: {a: {from: A, clean: [trimm]}}", "fields.a.clean"),
        ("fields: {a: {from: A, required: maybe}}", "fields.a.required"),
        ("fields: {a: {from: A, unmapped: skip}}", "fields.a.unmapped"),
        ("accept: [{warning: loss.lenght, field: a, reason: b}]", "accept.0.warning"),
        ("accept: [{warning: loss.length, field: a}]", "accept"),
        ("sync: {direction: sideways}", "sync"),
        ("sync: {direction: both, policy: {a: old_win}}", "sync"),
        ("sync: {direction: both, fields: {a: {revers: x}}}", "sync"),
        ("dedupe: {keys: {}}", "dedupe"),
    ],
)
def test_an_editor_underlines_what_the_check_would_tell(more: str, place: str) -> None:
    assert complaints(SOUND) == []
    assert place in [item.removesuffix(".0") for item in complaints(f"{SOUND}{more}\n")]


def test_the_copy_of_a_project_is_made_current_by_a_check(tmp_path: Path) -> None:
    for name in ("mappings", "schemas", ".migrator"):
        (tmp_path / name).mkdir()
    (tmp_path / "migration.yaml").write_text(
        "systems:\n  old: {connector: files, path: nowhere}\n  new: {connector: sql, url: 'sqlite:///new.db'}\n"
    )
    (tmp_path / "schemas" / "old.json").write_text(schemas_to_json([make_schema("T")]))
    (tmp_path / "mappings" / "t.yaml").write_text(f"{MODELINE}\n{SOUND}", encoding="utf-8")
    written = (tmp_path / "mappings" / MODELINE.partition("$schema=")[2]).resolve()
    written.write_text("of a version before")
    check(load_project(tmp_path))
    assert json.loads(written.read_text(encoding="utf-8")) == json_schema()
    first = written.stat().st_mtime_ns
    check(load_project(tmp_path))
    assert written.stat().st_mtime_ns == first
