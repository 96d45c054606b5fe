"""Rules of survivorship as a mapping writes them: every form is understood, every mistake is told at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.core.document import Document
from migrator.core.errors import ProjectError
from migrator.core.mapped import Survivorship
from migrator.mapping import bind, parse_mapping
from migrator.mapping.bound import BoundMapping
from migrator.mapping.compile_survival import survival_hooks
from tests.mapping_kit import make_schema

SOURCE = make_schema(
    "T", name="string", tags="string", score="integer", street="string", city="string", up="string"
)
HEAD = """\
mapping: t
target: {system: new, object: t, key: k}
source: {system: old, object: T}
fields:
  k: {record_id: true}
  name: {from: name}
  tags: {from: tags, type: multi_picklist}
  score: {from: score, type: "decimal(9,2)"}
  street: {from: street}
  city: {from: city}
  parent: {from: up, lookup: t, defer: true}
dedupe:
  keys: {name: {name: name}}
"""
HOOKS = "def best(names, scores):\n    return names.list[0]\n"


def bound(text: str, folder: Path, *, hooks: bool = True) -> BoundMapping:
    (folder / "hooks.py").write_text(HOOKS, encoding="utf-8")
    mapping = parse_mapping(Document(HEAD + text, "t.yaml"), folder)
    return bind([mapping], {"old": {"T": SOURCE}}, hooks=hooks).mappings[0]


def test_every_form_is_understood(tmp_path: Path) -> None:
    found = bound(
        """\
  groups: {address: [street, city]}
  survivorship:
    default: most_trusted
    address: most_complete
    tags: union
    score: {expr: "max(score) + count(name)"}
    name: {python: hooks.best, using: [name, score]}
    k: {rule: first}
""",
        tmp_path,
    )
    rules = found.mapped.dedupe
    assert rules is not None
    assert (rules.default, rules.groups) == (Survivorship.MOST_TRUSTED, {"address": ("street", "city")})
    assert rules.survivorship["address"] is Survivorship.MOST_COMPLETE
    assert rules.separators == {"tags": ";"}
    score, name = rules.customs["score"], rules.customs["name"]
    assert (score.sql, score.gives) == ('MAX("score") + COUNT("name")', "DECIMAL(9, 2)")
    (hook,) = survival_hooks(found)
    assert (hook.name, hook.takes, hook.gives) == (
        name.function, ("VARCHAR", "TEXT[]", "DECIMAL(9, 2)[]"), "TEXT",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("  survivorship: {name: newest}\n", 14, "'newest' is not allowed here"),
        ("  survivorship: {name: custom}\n", 14, "'custom' is not allowed here"),
        ("  survivorship: {name: {union: ',', expr: max(name)}}\n", 14, "this says union and expr"),
        ("  survivorship: {nam: longest}\n", 14, "'nam' is no field"),
        ("  survivorship: {name: union}\n", 14, "say what stands between"),
        ("  survivorship: {score: union}\n", 14, "it holds one value"),
        ("  survivorship: {tags: {union: ','}}\n", 14, "joins its values in its own way"),
        ("  survivorship: {default: union}\n", 14, "cannot be the default"),
        ("  survivorship: {parent: {expr: max(parent)}}\n", 14, "is a link"),
        ("  survivorship: {score: {expr: score + 1}}\n", 14, "outside of an aggregate"),
        ("  survivorship: {score: {expr: max(min(score))}}\n", 14, "inside two aggregates"),
        ("  survivorship: {score: {expr: max(skore)}}\n", 14, "unknown column 'skore'"),
        ("  survivorship: {score: {expr: first(score)}}\n", 14, "'first' is not allowed"),
        ("  survivorship: {name: {python: hooks.none}}\n", 14, "no function 'none'"),
        ("  survivorship: {name: {python: hooks.best}}\n", 1, "does not take the 1 columns"),
        ("  survivorship: {name: {expr: max(name), using: [name]}}\n", 14, "only a function takes fields"),
        ("  groups: {name: [street, city]}\n", 14, "has the name of a field"),
        ("  groups: {a: [street, town]}\n", 14, "'town' is no field"),
        ("  groups: {a: [street, k]}\n", 14, "is the external key"),
        ("  groups: {a: [street, city], b: [city, name]}\n", 14, "is in the group 'a' already"),
        (
            "  groups: {a: [street, city]}\n  survivorship: {city: longest}\n",
            15,
            "survives with its group 'a'",
        ),
        ("  groups: {a: [street, city]}\n  survivorship: {a: union}\n", 15, "a group is not made of several"),
    ],
)
def test_a_mistake_is_told_at_its_line(text: str, line: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        bound(text, tmp_path)
    problems = [(item.location.line, item.message) for item in caught.value.problems]
    assert len(problems) == 1, problems
    assert problems[0][0] == line
    assert words in problems[0][1]


def test_functions_need_the_projects_leave(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="hooks switched off"):
        bound("  survivorship: {name: {python: hooks.best}}\n", tmp_path, hooks=False)
