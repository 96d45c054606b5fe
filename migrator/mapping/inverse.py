"""The way back of one field: the rule that brings its value to the old side again, or why there is none.

A rule of a mapping is turned into a rule of the opposite mapping, so that one compiler serves both ways and a value that
the old side cannot hold fails there as any other misfit does: told, never cut or guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from migrator.core.schema import FieldSchema, FieldType
from migrator.core.translation import Law
from migrator.mapping.bound import BoundField, Column, Constant, Formula, Hook, Input, RecordId, Stored
from migrator.mapping.constants import FALSE, TRUE
from migrator.mapping.expressions import operand_name
from migrator.mapping.kinds import TEXTUAL, Kind, kind_of
from migrator.mapping.model import Policy
from migrator.mapping.values import ValueMap
from migrator.staging.engine import literal, quote

HARMLESS = frozenset({"trim", "collapse", "width", "nfc", "newlines", "strip_control", "null_if_empty"})
"""Clean verbs that only take disorder out of a text: what comes back is the tidy text."""


@dataclass(frozen=True, slots=True)
class Inverse:
    """How the columns of a field come back; without `fields` it cannot, and `why` says so."""

    fields: tuple[BoundField, ...] = ()
    law: Law = Law.NONE
    why: str = ""
    fix: str = "say how in sync: fields: {FIELD: {reverse: {expr: …}}}, or direction: forward"

    @property
    def exists(self) -> bool:
        """Whether it comes back."""
        return bool(self.fields)


def new_column(field: BoundField) -> Column:
    """A field of the new side as the opposite mapping reads it."""
    return Column(field.name, field.name, field.kind, Stored.OTHER)


def not_carried(field: BoundField) -> str:
    """Why the sync cannot carry a field in either direction, though the load can; '' when it can."""
    joined = sorted({column.of for column in field.columns if column.of})
    if joined:
        return f"it reads {joined[0]!r}, a joined object: a change there does not show in this record"
    if any(target.inactive is not None for target in field.lookup):
        return "whether the linked record is inactive stands in another object"
    if any(not target.by_key for target in field.lookup):
        return "the link is matched by another column than the key of the linked object"
    return ""


def inverse_of(field: BoundField, old: FieldSchema | None) -> Inverse:
    """The way back of `field`, which comes from the column `old` of the old side (None: from no single column)."""
    match field.input:
        case Constant() | RecordId():
            return Inverse(why="the same in every record: there is nothing to bring back", fix="")
        case Formula():
            return Inverse(why="it is made by an expression")
        case Hook():
            return Inverse(why="it is made by a function of the project")
        case Column() as column:
            if old is None:
                return Inverse(why=f"the old side has no column {column.name!r} of its own")
            return _of_column(field, old)


def _of_column(field: BoundField, old: FieldSchema) -> Inverse:
    why = _refusal(field, old)
    if why:
        return Inverse(why=why)
    if field.lookup:
        target = Kind(FieldType.STRING)
        return Inverse((_back(field, old, new_column(field), kind=target),), _law(field, Law.EXACT))
    if field.values is not None:
        return _of_values(field, old, field.values)
    return _of_cast(field, old)


def _refusal(field: BoundField, old: FieldSchema) -> str:
    """Why there is no way back; '' when there may be."""
    lossy = next((verb for verb in field.clean if verb not in HARMLESS), "")
    by, kind = field.values_by, field.lookup_by
    reasons = {
        f"{old.name!r} is read-only on the old side": old.read_only,
        "its amounts are converted, and no rate is ever inverted": field.conversion is not None,
        f"its value map depends on {by.name if by else ''} of the old side": by is not None,
        f"clean: {lossy} gives up what the old side holds": bool(lossy),
        "its keys are mapped before the record is looked up": field.lookup and field.values is not None,
        f"{kind.name if kind else ''} tells the type of the link, and would have to change with it": kind
        is not None,
    }
    plain = not field.lookup and field.values is None
    return next((why for why, holds in reasons.items() if holds), _lossy_cast(field, old) if plain else "")


def _lossy_cast(field: BoundField, old: FieldSchema) -> str:
    zoned = field.zone not in ("", "UTC", "Etc/UTC")
    match old.type, field.kind.type:
        case FieldType.DATETIME, FieldType.DATE:
            return "the old side holds a time of day, the new side a day only"
        case FieldType.DATETIME, FieldType.TIME:
            return "the old side holds an instant, the new side a time of day only"
        case ((FieldType.DATETIME | FieldType.DATE), FieldType.DATETIME) if zoned:
            return f"times of the old side do not say their zone ({field.zone})"
        case ours, FieldType.BOOLEAN if ours in TEXTUAL:
            return "nobody knows which words the old side uses for true and false"
        case _:
            return ""


def _of_cast(field: BoundField, old: FieldSchema) -> Inverse:
    column, kind = new_column(field), kind_of(old)
    given: Input = column
    law = Law.EXACT
    if kind.type in TEXTUAL and field.kind.type not in TEXTUAL:
        given, law = _written_out(field, column), Law.COMPLEMENT
    elif field.kind.type is FieldType.BOOLEAN and kind.type is not FieldType.BOOLEAN:
        own = quote(operand_name(column))
        given = _formula(field, column, f"CASE WHEN {own} THEN '1' WHEN NOT {own} THEN '0' END")
    return Inverse((_back(field, old, given, kind=kind),), _law(field, law))


def _written_out(field: BoundField, column: Column) -> Input:
    """A day or an instant as the text that the old side reads: its first declared format, else ISO."""
    own, zone = quote(operand_name(column)), field.zone
    utc = zone in ("", "UTC", "Etc/UTC")
    match field.kind.type:
        case FieldType.DATE:
            pattern = field.formats[0] if field.formats else "%Y-%m-%d"
        case FieldType.DATETIME:
            pattern = "%Y-%m-%dT%H:%M:%SZ" if utc else "%Y-%m-%d %H:%M:%S"
            pattern = field.formats[0] if field.formats else pattern
            own = f"timezone({literal('UTC' if utc else zone)}, {own})"
        case FieldType.TIME if field.formats:
            own, pattern = f"(CAST('2000-01-01' AS DATE) + {own})", field.formats[0]
        case _:
            return column
    return _formula(field, column, f"strftime({own}, {literal(pattern)})")


def _of_values(field: BoundField, old: FieldSchema, values: ValueMap) -> Inverse:
    column = new_column(field)
    if field.kind.type in (FieldType.FLOAT, FieldType.DATETIME, FieldType.TIME):
        return Inverse(
            why=f"its value map yields {field.kind.type.value}s, which are never compared by their letters"
        )
    back: dict[str, str | None] = {}
    for ours, theirs in values.entries:
        if theirs is not None:
            back.setdefault(_letters(theirs, field.kind), ours)
    if field.default is not None:
        back.setdefault(_letters(field.default, field.kind), None)
    olds = [theirs for _, theirs in values.entries]
    whole = len(set(olds)) == len(olds) and None not in olds and field.unmapped is Policy.QUARANTINE
    given: Input = column
    if field.kind.type not in TEXTUAL:
        given = _formula(field, column, f"CAST({quote(operand_name(column))} AS TEXT)")
    table = ValueMap(f"{values.name} back", tuple(back.items()))
    kept = Policy.KEEP if field.unmapped is Policy.KEEP else Policy.QUARANTINE
    way = replace(_back(field, old, given, kind=kind_of(old)), values=table, unmapped=kept)
    return Inverse((way,), _law(field, Law.EXACT if whole else Law.COMPLEMENT))


def _letters(text: str, kind: Kind) -> str:
    """How the engine writes a value of a kind, so that it is found by its letters."""
    word = text.strip()
    match kind.type:
        case FieldType.BOOLEAN:
            return "true" if word.lower() in TRUE else "false" if word.lower() in FALSE else word
        case FieldType.INTEGER:
            return str(int(word)) if word.lstrip("+-").isdigit() else word
        case FieldType.DECIMAL:
            from decimal import Decimal

            return f"{Decimal(word):.{kind.scale or 0}f}"
        case _:
            return text


def declared_back(
    field: BoundField, olds: Sequence[FieldSchema], ways: Mapping[str, Formula | ValueMap]
) -> Inverse:
    """The way back that the mapping declares: old column → expression over new fields, or value map."""
    found = []
    for old in olds:
        match ways[old.name]:
            case Formula() as formula:
                found.append(_back(field, old, formula, kind=kind_of(old)))
            case ValueMap() as values:
                column = new_column(field)
                given: Input = column
                if field.kind.type not in TEXTUAL:
                    given = _formula(field, column, f"CAST({quote(operand_name(column))} AS TEXT)")
                    entries = tuple((_letters(new, field.kind), old) for new, old in values.entries)
                    values = replace(values, entries=entries)
                found.append(replace(_back(field, old, given, kind=kind_of(old)), values=values))
    return Inverse(tuple(found), Law.COMPLEMENT)


def _law(field: BoundField, law: Law) -> Law:
    """What is tidied or defaulted on the way there does not come back as it was."""
    return Law.COMPLEMENT if field.clean or field.default is not None else law


def _formula(field: BoundField, column: Column, sql: str) -> Formula:
    return Formula(sql, (column,), f"{field.name} on its way back", field.place)


def _back(field: BoundField, old: FieldSchema, given: Input, *, kind: Kind) -> BoundField:
    listed = old.values if kind.type in (FieldType.PICKLIST, FieldType.MULTI_PICKLIST) else ()
    return BoundField(replace(old, unique=False), kind, given, field.place, allowed=listed)
