"""A first mapping for an object, ready to edit: the target mirrors the source, field by field, with its types and links."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.mapping.kinds import TEXTUAL, Kind, kind_of

_LONGEST_NAME = 60
"""Bytes; PostgreSQL cuts identifiers at 63."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_YAML_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
MODELINE = "# yaml-language-server: $schema=../.migrator/mapping.schema.json"


def mapping_names(schemas: Iterable[ObjectSchema]) -> dict[str, str]:
    """Object name → mapping name, which is also the target object's name; distinct, and stable for the same list."""
    return _distinct((schema.name for schema in schemas), taken=(), first="object")


def write_mapping(
    schema: ObjectSchema,
    *,
    source: str,
    target: str,
    names: Mapping[str, str] | None = None,
    keyless: Container[str] = (),
) -> str:
    """YAML of a mapping that mirrors `schema` of the system `source` into the system `target`.

    `names` (from `mapping_names`) holds the objects of the project: references to them become lookups, others stay
    text, and so do references to objects in `keyless`, whose records have no key. The record's own key becomes the external key where there is one, else the record id of the migration.
    """
    known = dict(names or mapping_names([schema]))
    name = known[schema.name]
    linked = {item: mapping for item, mapping in known.items() if item not in keyless}
    fields = _distinct(schema.field_names, taken=("record_id",), first="field")
    key = fields.get(schema.key, "record_id")
    lines = [
        MODELINE,
        *comment(schema.label),
        f"mapping: {scalar(name)}",
        f"target: {{system: {scalar(target)}, object: {scalar(name)}, key: {scalar(key)}}}",
        f"source: {{system: {scalar(source)}, object: {scalar(schema.name)}{_key_of(schema)}}}",
        "fields:",
    ]
    if not schema.key:
        lines.append("  record_id: {record_id: true}  # the source has no key: SOURCE:ROW stands for it")
    lines.extend(f"  {scalar(fields[item.name])}: {_rule(item, schema, linked)}" for item in schema.fields)
    return "\n".join(lines) + "\n"


def _key_of(schema: ObjectSchema) -> str:
    return f", key: {scalar(schema.key)}" if schema.key else ""


def _rule(item: FieldSchema, schema: ObjectSchema, names: Mapping[str, str]) -> str:
    parts = [f"from: {scalar(item.name)}"]
    linked = [names[name] for name in item.references if name in names] if _is_link(item, schema) else []
    complete = linked and len(linked) == len(item.references)
    if complete:
        parts.append(
            f"lookup: {scalar(linked[0]) if len(linked) == 1 else '[' + ', '.join(map(scalar, linked)) + ']'}"
        )
        parts.append("missing: null" if not item.required else "missing: quarantine")
    else:
        parts.append(f"type: {scalar(str(_kind(item, schema)))}")
    if item.pii:
        parts.append(f"pii: {scalar(item.pii)}")
    label = item.label if item.label != item.name else ""
    return "{" + ", ".join(parts) + "}" + "".join(f"  {line}" for line in comment(label))


def _is_link(item: FieldSchema, schema: ObjectSchema) -> bool:
    return item.type is FieldType.REFERENCE and item.name != schema.key


def _kind(item: FieldSchema, schema: ObjectSchema) -> Kind:
    kind = kind_of(item)
    length = kind.length if kind.length is not None and 1 <= kind.length <= 99_999 else None
    if item.type is FieldType.REFERENCE:
        return Kind(FieldType.ID if item.name == schema.key else FieldType.STRING, length)
    return Kind(kind.type, length, kind.precision, kind.scale) if kind.type in TEXTUAL else kind


def comment(text: str) -> list[str]:
    """The text as a YAML comment of one line; nothing for a blank text."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return [f"# {shown}"] if shown else []


def _distinct(names: Iterable[str], *, taken: Sequence[str], first: str) -> dict[str, str]:
    """Name → a name that is a plain word in any alphabet, distinct without regard to case."""
    used = {name.casefold() for name in taken}
    found: dict[str, str] = {}
    for name in names:
        word = _word(name) or first
        chosen, number = word, 1
        while chosen.casefold() in used:
            number += 1
            chosen = f"{_fit(word, _LONGEST_NAME - 1 - len(str(number)))}_{number}"
        used.add(chosen.casefold())
        found[name] = chosen
    return found


def _word(name: str) -> str:
    word = re.sub(r"\W+", "_", name).strip("_")
    if word and not word[0].isalpha():
        word = f"x_{word}"
    return _fit(word, _LONGEST_NAME)


def _fit(word: str, size: int) -> str:
    return word.encode()[:size].decode(errors="ignore")


def scalar(text: str) -> str:
    """The text as a YAML scalar: plain where that is safe for every reader, else in double quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS:
        return text
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable() and char != "\ufeff":
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
