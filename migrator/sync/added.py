"""Fields that a system has since the last look, and that no mapping knows: told once, for somebody may want them mapped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from migrator.core.schema import ObjectSchema
from migrator.sync.work import Work


def note_added(work: Work, described: Mapping[str, Sequence[ObjectSchema]]) -> None:
    """Tell fields of mapped objects that were never seen before; one that was hidden for a while is none of them."""
    for system, schemas in described.items():
        objects = {
            stream.object for scene in work.scenes for stream in scene.streams if stream.system == system
        }
        now = {
            schema.name: [one.name for one in schema.fields] for schema in schemas if schema.name in objects
        }
        fact = f"fields/{system}"[:64]
        before: dict[str, list[str]] = json.loads(work.store.fact(fact) or "{}")
        fresh = {
            name: [one for one in fields if one not in before[name]]
            for name, fields in now.items()
            if name in before
        }
        work.report.added += [f"{system}: {name}.{one}" for name, fields in fresh.items() for one in fields]
        known = {name: [*before.get(name, ()), *fresh.get(name, fields)] for name, fields in now.items()}
        if known != {name: before.get(name) for name in known}:
            work.store.note(fact, json.dumps({**before, **known}, ensure_ascii=False))
