"""The canary: one marked record written to the old side with the sync's own identity, read back, and deleted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from migrator.commands.binding import bind_project, read_mappings, source_objects
from migrator.commands.project import Project, open_workspace
from migrator.core.clock import new_id
from migrator.core.connector import Target
from migrator.core.errors import ConnectorError, ProjectError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.runbook.doing import Place, options
from migrator.runbook.execute import Outcome

MARK = "MIGRATOR-CANARY"
_VALUES: Mapping[FieldType, Any] = {
    FieldType.INTEGER: 0, FieldType.DECIMAL: Decimal(0), FieldType.FLOAT: 0.0, FieldType.BOOLEAN: False,
    FieldType.DATE: datetime(2000, 1, 1, tzinfo=UTC).date(), FieldType.DATETIME: datetime(2000, 1, 1, tzinfo=UTC),
}  # fmt: skip


def canary(place: Place, arguments: Sequence[str]) -> Outcome:
    """Write, read and delete a marked record on the old side: `--side old|SYSTEM`, `--object NAME`, `--ops write,read,delete`.

    What the system answers to it is the result, not an error: `canary.result` is `fail`, and the evidence says why.
    """
    given = options(arguments, {"side": "old", "object": "", "ops": "write,read,delete"})
    project = place.project
    read = source_objects(read_mappings(project))
    system = next(iter(read)) if given["side"] == "old" else given["side"]
    with closing(project.open_target(system)) as target:
        keys = _own_keys(project, system)
        schema = _chosen(target, given["object"], system, read.get(system, ()), keys)
        key = keys.get(schema.name, schema.key)
        row = _row(schema, key)
        document: dict[str, Any] = {"system": system, "object": schema.name, "key": str(row[key])}
        try:
            document |= _fly(target, schema, row, key)
        except ConnectorError as error:
            document |= {"result": "fail", "why": error.message}
    return Outcome({"canary.result": document["result"]}, document)


def _own_keys(project: Project, system: str) -> dict[str, str]:
    """Object → the field that the sync writes its own key into: what a system gives as id cannot be chosen."""
    with open_workspace(project) as workspace:
        synced = bind_project(workspace, staged=lambda _: None).synced
    paired = (plan.paired for plan in synced)
    return {item.old_object: item.old_key for item in paired if item.old_system == system and item.old_key}


def _fly(target: Target, schema: ObjectSchema, row: Mapping[str, Any], by: str) -> dict[str, Any]:
    """Each operation and its answer, as far as it came; a record that was written is deleted whatever came after."""
    key = row[by]
    table = pa.table({name: [value] for name, value in row.items()})
    (written,) = target.upsert(schema.name, table, key=by).to_pylist()
    told: dict[str, Any] = {"write": written["outcome"]}
    if written["outcome"] not in {"created", "updated"}:
        return told | {"result": "fail", "why": written["message"] or written["code"]}
    try:
        found = target.fetch(schema.name, [str(key)], key=by, columns=list(row)).to_pylist()
        told["read"] = "found" if len(found) == 1 else f"{len(found)} records"
    finally:
        (deleted,) = target.delete(schema.name, [str(key)], key=by).to_pylist()
        told["delete"] = deleted["outcome"]
    left = target.fetch(schema.name, [str(key)], key=by, columns=[by]).num_rows
    passed = told["read"] == "found" and told["delete"] == "deleted" and not left
    return told | {"left": left, "result": "pass" if passed else "fail"}


def _chosen(
    target: Target, name: str, system: str, read: Sequence[str], keys: Mapping[str, str]
) -> ObjectSchema:
    """The object that was named, else of those that mappings read the one that asks for the fewest values and no record."""
    objects = {
        item.name: item for item in target.describe() if item.field(keys.get(item.name, item.key)) is not None
    }
    objects = {key: item for key, item in objects.items() if not read or key in read or key == name}
    if name and name not in objects:
        raise ProjectError.at(
            "--object", f"{system} has no object {name!r} with a key", f"known: {', '.join(objects)}"
        )
    free = [item for item in objects.values() if not any(_asks_for_a_record(field) for field in item.fields)]
    if not name and not free:
        raise ProjectError.at(
            "--object", f"every object of {system} asks for another record", "name one with --object"
        )
    return objects[name] if name else min(free, key=lambda item: sum(field.required for field in item.fields))


def _asks_for_a_record(field: FieldSchema) -> bool:
    return field.required and bool(field.references)


def _row(schema: ObjectSchema, key: str) -> dict[str, Any]:
    """The marked record: its key, what is required, and the mark in every text that has room for it."""
    row: dict[str, Any] = {}
    for field in schema.fields:
        text = field.type in {FieldType.STRING, FieldType.TEXT, FieldType.ID} and not field.references
        if field.name == key:
            row[field.name] = (
                -int(new_id()[:7], 16)
                if field.type is FieldType.INTEGER
                else f"{MARK}-{new_id()}"[: field.length]
            )
        elif field.read_only or not field.required or field.name == schema.key:
            continue
        elif text:
            row[field.name] = (field.values or (MARK,))[0][: field.length]
        else:
            row[field.name] = field.values[0] if field.values else _VALUES.get(field.type)
    return row
