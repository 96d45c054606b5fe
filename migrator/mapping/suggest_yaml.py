"""A suggestion as a mapping file: what is sure enough as rules with their evidence, all else as comments for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from migrator.core.schema import FieldSchema, FieldType
from migrator.mapping.scaffold import MODELINE, comment, scalar
from migrator.mapping.suggest import Candidate, Line, Suggestion
from migrator.staging.engine import quote

NO_KEY = "legacy_id"
"""The key named where the target has no field that could be one; `migrator check` then says so."""
_TEXTS = (FieldType.STRING, FieldType.TEXT, FieldType.ID, FieldType.PICKLIST)


def write_suggestion(
    found: Suggestion,
    *,
    name: str,
    systems: tuple[str, str],
    links: Mapping[str, str],
) -> str:
    """The YAML of a suggestion as the mapping `name` from the first of `systems` into the second.

    `links` tells the mapping of each source object that has one, this one included: references to it become lookups.
    """
    source, target = systems
    key = found.key.name if found.key else NO_KEY
    lines = [
        MODELINE,
        *comment(
            f"suggested by `migrator map suggest` from {source}/{found.source.name} to {target}/{found.target.name}:"
            " read every line before it moves a record"
        ),
        f"mapping: {scalar(name)}",
        f"target: {{system: {scalar(target)}, object: {scalar(found.target.name)}, key: {scalar(key)}}}"
        + _end(_key_remark(found)),
        f"source: {{system: {scalar(source)}, object: {scalar(found.source.name)}{_source_key(found)}}}",
        "fields:",
        f"  {scalar(key)}: {{record_id: true}}",
        *(text for line in found.lines for text in _line(line, found, links)),
        *_listed("target fields that nothing fits", _without(found)),
        *_listed("source columns that go nowhere yet", [item.name for item in found.unused]),
    ]
    return "\n".join(lines) + "\n"


def question_of(line: Line, links: Mapping[str, str]) -> str:
    """What a person must decide on a line that is proposed."""
    asked = [line.question] if line.question else []
    if line.chosen is not None and _is_link(line.chosen, line.target):
        lost = [name for name in line.chosen.column.references if name not in links]
        if lost:
            asked.append(f"no mapping of {', '.join(lost)} yet: look it up once there is one")
        elif not line.chosen.column.references:
            asked.append("which mapping is it a lookup to?")
    return " ".join(asked)


def _key_remark(found: Suggestion) -> str:
    key = found.key
    if key is None:
        return "add a unique text field for the external key to the target"
    if key.read_only or key.type not in _TEXTS:
        return f"{key.name} can hardly hold the external key: add a unique text field for it"
    return "" if key.unique or key.name == found.target.key else "must be unique in the target"


def _source_key(found: Suggestion) -> str:
    return f", key: {scalar(found.source.key)}" if found.source.key else ""


def _line(line: Line, found: Suggestion, links: Mapping[str, str]) -> Iterator[str]:
    if line.chosen is not None:
        rule = _rule(line, line.chosen, links)
        yield f"  {scalar(line.target.name)}: {rule}{_end(_why(line.chosen))}"
        return
    if line.parts:
        joined = f"concat_ws(' ', {', '.join(quote(name) for name in line.parts)})"
        remark = "no column holds it whole: mind the order of the parts"
        yield f"  # {scalar(line.target.name)}: {{expr: {scalar(joined)}}}{_end(remark)}"
        return
    best = next(iter(line.others), None)
    if best is None and not line.target.required:
        return
    needed = "required, " if line.target.required else ""
    if best is None:
        yield f"  # {scalar(line.target.name)}: {{from: …}}{_end(f'{needed}nothing fits')}"
        return
    taken = {column: target for target, column in found.chosen.items()}
    why = f"{needed}below {found.threshold:g}"
    if best.confidence >= found.threshold:
        why = f"{needed}{best.column.name} fits {taken.get(best.column.name, 'another field')} better"
    yield f"  # {scalar(line.target.name)}: {{from: {scalar(best.column.name)}}}{_end(f'{why}; {_why(best)}')}"


def _rule(line: Line, chosen: Candidate, links: Mapping[str, str]) -> str:
    column, target = chosen.column, line.target
    parts = [f"from: {scalar(column.name)}"]
    if line.values is not None and line.values.needed and line.values.entries:
        pairs = ", ".join(f"{scalar(old)}: {scalar(new)}" for old, new in line.values.entries)
        parts.append(f"values: {{{pairs}}}")
    if _is_link(chosen, target):
        known = list(dict.fromkeys(links[name] for name in column.references if name in links))
        if known:
            parts.append(f"lookup: {scalar(known[0]) if len(known) == 1 else _flow(known)}")
    if target.required:
        parts.append("required: true")
    if pii := target.pii or column.pii:
        parts.append(f"pii: {scalar(pii)}")
    if asked := question_of(line, links):
        parts.append(f"review: {{status: open, question: {scalar(asked)}}}")
    return "{" + ", ".join(parts) + "}"


def _is_link(chosen: Candidate, target: FieldSchema) -> bool:
    return FieldType.REFERENCE in (chosen.column.type, target.type)


def _why(candidate: Candidate) -> str:
    return f"{candidate.confidence:.2f}: {'; '.join(candidate.evidence)}"


def _end(text: str) -> str:
    return "".join(f"  {line}" for line in comment(text))


def _flow(names: Sequence[str]) -> str:
    return "[" + ", ".join(scalar(name) for name in names) + "]"


def _without(found: Suggestion) -> list[str]:
    return [
        line.target.name for line in found.lines if not (line.ranked or line.parts or line.target.required)
    ]


def _listed(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    (text,) = comment(f"{title}: {', '.join(names)}")
    return textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="  #   ", break_long_words=False)
