"""Losses that leave no trace in the rows: defaults for blanks, values that fall together, times that change their zone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from migrator.core.errors import Location, Problem, Severity
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.bound import BoundField, Column, Formula, Hook, Stored
from migrator.mapping.kinds import TEXTUAL
from migrator.mapping.model import Policy
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.values import ValueMap
from migrator.staging.fill import Fill

Fills: TypeAlias = Callable[[str], "Mapping[str, Fill] | None"]
"""How full the columns of a STAGED dataset 'system/object' are, or None while it is not staged."""

_CREATED = re.compile(
    r"(?:record_?)?(?:created|create|creation)_?(?:on|at|date|time|datetime|timestamp)?|date_?(?:created|entered)"
    r"|.+_(?:created(?:date|on|at)|created_(?:date|on|at)|createdate|createtime)|创建(?:时间|日期)|建立(?:时间|日期)",
    re.IGNORECASE,
)
_DATED = (FieldType.DATE, FieldType.DATETIME)


def unknown_fills(_: str) -> None:
    """`Fills` when nothing was staged yet."""
    return


def warning(code: str, place: Location, message: str, hint: str) -> Problem:
    """A warning of `migrator.mapping.warnings.WARNINGS`."""
    return Problem(place, message, hint, Severity.WARNING, code)


def is_created(field: FieldSchema | None) -> bool:
    """Whether a field says when its record was created: a date or an instant with such a name."""
    return field is not None and field.type in _DATED and _CREATED.fullmatch(field.name) is not None


def goes_back(mapping: ObjectMapping) -> bool:
    """Whether records will flow back into the old system."""
    return mapping.rule.sync is not None and mapping.rule.sync.direction != "forward"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the source that a field comes from."""

    schema: ObjectSchema
    fills: Mapping[str, Fill]
    back: bool
    """Records will flow back."""


def hidden(field: BoundField, seen: Seen) -> Iterable[Problem]:
    """The hidden losses of one field as one source fills it."""
    yield from _hidden_blank(field, seen)
    if seen.back and field.values is not None:
        yield from _one_way(field, field.values)
    if isinstance(field.input, Column) and not field.lookup and field.values is None:
        known = seen.schema.field(field.input.name)
        if known is not None:
            yield from _zone(field, field.input, known)


def _hidden_blank(field: BoundField, seen: Seen) -> Iterable[Problem]:
    if field.default is None or not isinstance(field.input, Column | Formula | Hook):
        return
    blank = ""
    if isinstance(field.input, Column):
        known, fill = seen.schema.field(field.input.name), seen.fills.get(field.input.name)
        if (fill is not None and fill.complete) or (known is not None and known.required and not fill):
            return
        lacking = fill.rows - fill.values if fill else 0
        blank = f"; {lacking:,} of {fill.rows:,} rows have no value" if fill and lacking else ""
    message = f"{field.name!r} gets {field.default!r} where the source has no value{blank}"
    hint = "afterwards nobody can tell the two apart: leave it empty, or accept it with a reason"
    yield warning("default.hides_blank", field.place, message, hint)


def _one_way(field: BoundField, values: ValueMap) -> Iterable[Problem]:
    olds: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    types = values.types or ("",) * len(values.entries)
    for (old, new), kind in zip(values.entries, types, strict=True):
        olds[kind, new].append(repr(old))
    if field.unmapped in (Policy.NULL, Policy.DEFAULT):
        for kind in dict.fromkeys(types):
            olds[kind, field.unmapped_text].append("values that the map does not know")
    for (kind, new), several in olds.items():
        if len(several) > 1:
            shown = ", ".join(several[:5]) + (f" and {len(several) - 5} more" if len(several) > 5 else "")
            of = f" of {kind!r}" if kind else ""
            became = "null" if new is None else repr(new)
            message = f"{field.name!r}: {shown}{of} all become {became}, and records are to flow back"
            hint = "the way back can write only one of them: give each a new value of its own"
            yield warning("values.one_way", field.place, message, hint)


def _zone(field: BoundField, column: Column, known: FieldSchema) -> Iterable[Problem]:
    into, stored = field.kind.type, column.stored
    if known.type is FieldType.DATETIME and into in TEXTUAL and into is not FieldType.JSON:
        message = f"{known.name!r} is an instant, {field.name!r} a text: nobody will know its zone"
        hint = "map it to a datetime, or write it out with expr: strftime(…)"
        yield warning("loss.zone", field.place, message, hint)
    elif known.type is FieldType.DATETIME and into is FieldType.TIME:
        message = f"{known.name!r} is an instant, {field.name!r} a time of day: its date and zone are lost"
        yield warning("loss.time", field.place, message, "map it to a datetime")
    elif field.zone or into is not FieldType.DATETIME:
        return
    elif known.type is FieldType.DATE:
        message = (
            f"{known.name!r} is a date, {field.name!r} an instant: midnight in UTC is another day elsewhere"
        )
        yield warning("loss.zone", field.place, message, "map it to a date, or say with zone: whose midnight")
    elif stored is Stored.LOCAL:
        message = f"times in {known.name!r} do not say their zone and are taken as UTC"
        yield warning("loss.zone", field.place, message, "say with zone: where they were written")
