"""What the sync block of a mapping names, held against the fields that are there."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.core.document import TreePath, did_you_mean
from migrator.core.errors import Problem
from migrator.mapping.bound import BoundMapping
from migrator.mapping.model_sync import SyncRule
from migrator.mapping.parse import ObjectMapping


def misnamed(mapping: ObjectMapping, rule: SyncRule, bound: BoundMapping) -> Iterator[Problem]:
    """Names of no field, and sources that the sync cannot know records of."""
    names = set(bound.mapped.schema.field_names)
    deactivated = rule.delete.deactivated
    given: list[tuple[str, TreePath]] = [
        *((name, ("policy", name)) for name in rule.policy if name != "default"),
        *((name, ("enforce", number)) for number, name in enumerate(rule.enforce) if name != "*"),
        *((name, ("consent", name)) for name in rule.consent),
        *((name, ("fields", name)) for name in rule.fields),
        *((name, ("delete", "deactivate", "new", name)) for name in (deactivated.new if deactivated else ())),
    ]
    for name, path in given:
        if name not in names:
            at = mapping.document.locate_key(("sync", *path))
            yield Problem(
                at, f"{name!r} is no field of this mapping", did_you_mean(name, names, noun="fields")
            )
    for source in bound.sources:
        if source.explode is not None:
            hint = "sync the object that the values belong to, and load this one"
            yield Problem(mapping.at("sync"), "a source that is exploded cannot be synced", hint)
        if len(source.key) != 1 or source.source.own_key:
            hint = "leave key out of its source: the sync knows records by the system's own ids"
            yield Problem(mapping.at("sync"), f"{source.source.staged} is not read by its own key", hint)
