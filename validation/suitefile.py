"""Suites as YAML files in the project's `validation/` folder: written for people, read strictly, refreshed only while untouched.

`validation/OBJECT.yaml` is written from the mapping. It carries a seal over its rules: while the seal fits, nobody has
edited the file and it is written anew when the mapping changes; once edited, it is the user's and stays as it is.
Any further `validation/*.yaml` with the same keys is run too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Location, Problem, raise_errors
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldType
from validation.expectations import PARAMETERS, SEVERITIES, Expectation, Suite, TotalsBy, When, derive_suite
from validation.variants import tell_apart

NO_SUITE = "waivers.yaml"
"""Stands in the same folder and is read by `validation.waivers`."""
_KEYS = ("object", "seal", "expectations", "totals")
_RULE_KEYS = ("type", "kwargs", "when", "severity", "name", "meta", "description")
_WHEN_KEYS = ("column", "in", "not_in")
_TOTAL_KEYS = ("field", "by")

_LINE_END, _DOCUMENT_END = "\n", "\n..."  # what PyYAML puts after a scalar

_HEADER = """\
# Rules for the records of {object} in the new system, run by Great Expectations after the load, in its own words:
# its gallery of expectations says what `type` and `kwargs` may be. `migrator validate` reports what breaks them.
# Written from the mapping. Edit freely: once you do, this file is yours and is never written over.
# severity: critical blocks the cutover, warning and info have to be accepted.
"""


def refresh_suites(folder: Path, objects: Sequence[MappedObject]) -> tuple[Path, ...]:
    """Write the derived suite of every object whose file is missing or untouched; returns what was written."""
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for mapped in objects:
        path = folder / f"{mapped.name.replace('/', '_')}.yaml"
        path = folder / "waivers_rules.yaml" if path.name == NO_SUITE else path
        text = suite_to_yaml(derive_suite(mapped))
        if path.exists() and (not _is_untouched(path) or path.read_text(encoding="utf-8") == text):
            continue
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return tuple(written)


def read_suites(folder: Path, objects: Sequence[MappedObject]) -> tuple[Suite, ...]:
    """Every suite in the folder, in order of file name; raises `ProjectError` with all problems and their places."""
    problems: list[Problem] = []
    known = {mapped.name: mapped for mapped in objects}
    suites = []
    for path in sorted(folder.glob("*.yaml")):
        if path.name == NO_SUITE:
            continue
        reader = _Reader(Document.read(path, shown_as=f"{folder.name}/{path.name}"), known)
        suites.append(reader.suite())
        problems += reader.problems
    raise_errors(problems)
    return tell_apart([suite for suite in suites if suite.object in known])


def suite_to_yaml(suite: Suite) -> str:
    """The suite as its file: a header, a seal, and one rule in a few lines."""
    body = _body(suite)
    lines = [_HEADER.format(object=suite.object), _dump({"object": suite.object, "seal": fingerprint(body)})]
    for part, items in body.items():
        if items:
            lines.append(f"{part}:\n")
            lines += [_indent(item) for item in items]
    return "".join(lines)


def _body(suite: Suite) -> dict[str, list[dict[str, Any]]]:
    rules = [
        {
            "type": r.type,
            "kwargs": dict(r.kwargs),
            **_when_body(r.when),
            "severity": r.severity,
            "meta": dict(r.meta),
        }
        for r in suite.expectations
    ]
    return {
        "expectations": rules,
        "totals": [{"field": item.field, "by": list(item.by)} for item in suite.totals],
    }


def _when_body(when: When | None) -> dict[str, Any]:
    if when is None:
        return {}
    return {"when": {"column": when.column, "not_in" if when.negated else "in": list(when.values)}}


def _is_untouched(path: Path) -> bool:
    data = Document.read(path).data
    if not isinstance(data, dict) or "seal" not in data:
        return False
    body = {part: data.get(part) or [] for part in ("expectations", "totals")}
    return bool(data["seal"] == fingerprint(body)) and set(data) <= set(_KEYS)


def _dump(data: object) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def _indent(item: Mapping[str, Any]) -> str:
    lines = []
    for name, value in item.items():
        text = yaml.safe_dump(
            value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**9
        )
        lines.append(f"{name}: {text.removesuffix(_LINE_END).removesuffix(_DOCUMENT_END)}")
    return "  - " + "\n    ".join(lines) + "\n"


class _Reader:
    """One file being read; problems are collected, so that all of them are told at once."""

    def __init__(self, document: Document, known: Mapping[str, MappedObject]) -> None:
        self.document = document
        self.known = known
        self.problems: list[Problem] = []

    def suite(self) -> Suite:
        data = self._mapping(self.document.data, (), _KEYS)
        name = data.get("object")
        if not isinstance(name, str) or name not in self.known:
            self._say(("object",), f"object: {name!r} is no mapping of this project",
                      did_you_mean(str(name or ""), self.known, noun="mappings"))  # fmt: skip
            return Suite("", ())
        rules = [
            self._rule(item, ("expectations", number), self.known[name])
            for number, item in enumerate(self._list(data, "expectations"))
        ]
        totals = [
            self._total(item, ("totals", i), self.known[name])
            for i, item in enumerate(self._list(data, "totals"))
        ]
        return Suite(
            name,
            tuple(rule for rule in rules if rule),
            tuple(total for total in totals if total),
            self.document.file,
        )

    def _rule(self, item: object, path: TreePath, mapped: MappedObject) -> Expectation | None:
        data = self._mapping(item, path, _RULE_KEYS)
        kind, kwargs = data.get("type"), data.get("kwargs", {})
        if not isinstance(kind, str):
            self._say(path, "a rule needs a `type`", "for example expect_column_values_to_not_be_null")
            return None
        if not isinstance(kwargs, dict):
            self._say((*path, "kwargs"), "kwargs is a mapping of names to values", "kwargs: {column: name}")
            return None
        severity = data.get("severity", "critical")
        if severity not in SEVERITIES:
            self._say((*path, "severity"), f"unknown severity {severity!r}",
                      did_you_mean(str(severity), SEVERITIES, noun="severities"))  # fmt: skip
        self._check_parameters(kwargs, (*path, "kwargs"))
        meta = data.get("meta") or {}
        return Expectation(
            kind, self._as_written(kwargs, (*path, "kwargs"), mapped), str(severity),
            meta if isinstance(meta, dict) else {}, str(data.get("description") or ""), self.document.locate(path),
            self._when(data, path, mapped), str(data.get("name") or ""),
        )  # fmt: skip

    def _when(self, data: Mapping[str, Any], path: TreePath, mapped: MappedObject) -> When | None:
        """`when: {column: record_type, in: [a, b]}`: the rule is about such records only."""
        if "when" not in data:
            return None
        place = (*path, "when")
        given = self._mapping(data["when"], place, _WHEN_KEYS)
        column = given.get("column")
        if column not in mapped.schema.field_names:
            self._say(place, f"{mapped.name} has no field {column!r}",
                      did_you_mean(str(column), mapped.schema.field_names, noun="fields"))  # fmt: skip
        way = "not_in" if "not_in" in given else "in"
        if not isinstance(given.get(way), list) or {"in", "not_in"} <= set(given):
            self._say(
                place,
                "`when` needs a column and one list, `in` or `not_in`",
                "when: {column: type, in: [a, b]}",
            )
            return None
        node: Any = self.document.texts()
        for part in (*place, way):
            node = node[part]
        return When(str(column), tuple(str(value) for value in node), negated=way == "not_in")

    def _as_written(
        self, kwargs: Mapping[str, Any], path: TreePath, mapped: MappedObject
    ) -> Mapping[str, Any]:
        """Values of a text column exactly as they stand in the file: NO is a country, 007 a code."""
        item = mapped.schema.field(str(kwargs.get("column")))
        typed = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN)
        if "value_set" not in kwargs or item is None or item.type in typed:
            return kwargs
        node: Any = self.document.texts()
        for part in path:
            node = node[part]
        return {**kwargs, "value_set": node["value_set"]}

    def _check_parameters(self, kwargs: Mapping[str, Any], path: TreePath) -> None:
        for name, value in kwargs.items():
            wanted = value.get("$PARAMETER") if isinstance(value, dict) else None
            if isinstance(value, dict) and "$PARAMETER" in value and wanted not in PARAMETERS:
                self._say((*path, name), f"unknown parameter {wanted!r}",
                          did_you_mean(str(wanted), PARAMETERS, noun="parameters"))  # fmt: skip

    def _total(self, item: object, path: TreePath, mapped: MappedObject) -> TotalsBy | None:
        data = self._mapping(item, path, _TOTAL_KEYS)
        name, by = data.get("field"), data.get("by", [])
        if not isinstance(name, str) or not isinstance(by, list):
            self._say(path, "a total needs a `field` and a list `by`", "- {field: amount, by: [currency]}")
            return None
        for part in (name, *by):
            if part not in mapped.schema.field_names:
                self._say(path, f"{mapped.name} has no field {part!r}",
                          did_you_mean(str(part), mapped.schema.field_names, noun="fields"))  # fmt: skip
        item_type = mapped.schema.field(name)
        if item_type is not None and item_type.type not in (FieldType.INTEGER, FieldType.DECIMAL):
            self._say(path, f"{name!r} is no exact number, so its sum would not be exact either")
        return TotalsBy(name, tuple(str(part) for part in by))

    def _mapping(self, item: object, path: TreePath, known: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(item, dict):
            self._say(path, f"a mapping with the keys {', '.join(known)} is expected here")
            return {}
        for name in item:
            if name not in known:
                self.problems.append(
                    Problem(self.document.locate_key((*path, name)), f"unknown key {name!r}",
                            did_you_mean(str(name), known, noun="keys"))
                )  # fmt: skip
        return cast("Mapping[str, Any]", item)

    def _list(self, data: Mapping[str, Any], name: str) -> list[Any]:
        found = data.get(name) or []
        if isinstance(found, list):
            return found
        self._say((name,), f"{name} is a list")
        return []

    def _say(self, path: TreePath, message: str, hint: str = "") -> None:
        place: Location = self.document.locate(path)
        self.problems.append(Problem(place, message, hint))
