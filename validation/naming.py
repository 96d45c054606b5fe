"""What a person would call a record: the name-like field of its object, and its owner, masked where they are personal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from migrator.core.mapped import MappedObject
from migrator.core.schema import FieldSchema, FieldType
from migrator.staging import columns as c
from migrator.staging.engine import Session, literal, quote
from migrator.staging.relation import reference, relation
from migrator.staging.store import Kind, Store
from validation.owners import owner_field
from validation.privacy import Privacy, shown_choices

_TEXTS = frozenset({FieldType.STRING, FieldType.TEXT})
_PERSON = ("fullname", "姓名", "全名", "namapenuh")
_GIVEN = ("firstname", "givenname", "forename", "名", "名字", "namapertama")
_FAMILY = ("lastname", "familyname", "surname", "姓", "姓氏", "namaakhir")
_THING = ("name", "displayname", "名称", "名稱", "nama")
_ABOUT = ("subject", "topic", "title", "主题", "主題", "标题", "標題", "subjek", "tajuk")
_NUMBER = ("number", "编号", "編號", "nombor")
_CHUNK = 1000
"""Records asked for in one query."""


@dataclass(frozen=True, slots=True)
class Label:
    """How people know a record."""

    name: str | None = None
    owner: str | None = None


def name_fields(mapped: MappedObject) -> tuple[FieldSchema, ...]:
    """The field that evidently names a record, or a person's given and family name; empty when none does.

    A person's name is personal whether or not the mapping says so.
    """
    own = [mapped.name, mapped.target_object, mapped.target_object.removesuffix("s")]
    thing = (_of(own, "name", _THING),)
    ways = ((thing, False), ((_PERSON,), True), ((_GIVEN, _FAMILY), True), ((_ABOUT,), False))
    for parts, personal in (*ways, ((_of(own, "number", _NUMBER),), False)):
        found = [item for words in parts if (item := _called(mapped, words)) is not None]
        if found:
            return tuple(replace(item, pii=item.pii or "name") if personal else item for item in found)
    return ()


def find_labels(
    session: Session, store: Store, objects: Sequence[MappedObject], records: Iterable[str], privacy: Privacy
) -> dict[str, Label]:
    """Labels of records by OBJECT/SOURCE:KEY; those without name and owner have none."""
    asked = tuple(dict.fromkeys(records))
    known = {item.name: item for item in objects}
    found: dict[str, Label] = {}
    for mapped in objects:
        ids = [one.removeprefix(f"{mapped.name}/") for one in asked if one.startswith(f"{mapped.name}/")]
        for start in range(0, len(ids), _CHUNK):
            found |= _labels(
                session, store, mapped, ids[start : start + _CHUNK], known=known, privacy=privacy
            )
    return found


def _labels(
    session: Session,
    store: Store,
    mapped: MappedObject,
    ids: Sequence[str],
    *,
    known: Mapping[str, MappedObject],
    privacy: Privacy,
) -> dict[str, Label]:
    made = store.current(Kind.MAPPED, mapped.name)
    if made is None:
        return {}
    listed = ", ".join(literal(one) for one in ids)
    owner, joined = _owner_sql(session, store, mapped, known, privacy)
    rows = session.fetch(
        f"SELECT m.{c.ID} AS id, {_name_sql(mapped, privacy)} AS name, {owner} AS owner"
        f" FROM {relation(session, made)} m {joined} WHERE m.{c.ID} IN ({listed})"
    ).to_pylist()
    return {
        f"{mapped.name}/{row['id']}": Label(row["name"], row["owner"])
        for row in rows
        if row["name"] or row["owner"]
    }


def _name_sql(mapped: MappedObject, privacy: Privacy) -> str:
    """The label of the record in `m`, null when there is none."""
    parts = []
    for item in name_fields(mapped):
        value = f"nullif(CAST(m.{quote(item.name)} AS VARCHAR), '')"
        one = replace(mapped, schema=replace(mapped.schema, fields=(item,)))
        shown = shown_choices(value, literal(item.name), one, privacy)
        parts.append(f"CASE WHEN {value} IS NOT NULL THEN {shown} END")
    return f"nullif(concat_ws(' ', {', '.join(parts)}), '')" if parts else "NULL"


def _owner_sql(
    session: Session, store: Store, mapped: MappedObject, known: Mapping[str, MappedObject], privacy: Privacy
) -> tuple[str, str]:
    """Who owns the record in `m`, and the join it takes: the linked record's label and reference, or the text that stands there."""
    field = owner_field(mapped)
    if mapped.schema.field(field) is None:
        return "NULL", ""
    value, link = f"CAST(m.{quote(field)} AS VARCHAR)", mapped.link(field)
    if link is None:
        return f"CASE WHEN {value} <> '' THEN {shown_choices(value, literal(field), mapped, privacy)} END", ""
    people = [
        f"SELECT {reference(other.name, f'm.{c.ID}')} AS ref, {_name_sql(other, privacy)} AS name"
        f" FROM {relation(session, made)} m"
        for other in (known[name] for name in link.mappings if name in known)
        if (made := store.current(Kind.MAPPED, other.name)) is not None
    ]
    if not people:
        return value, ""
    return (
        f"coalesce(p.name || ' (' || p.ref || ')', {value})",
        f"LEFT JOIN ({' UNION ALL '.join(people)}) p ON p.ref = {value}",
    )


def _of(objects: Sequence[str], ending: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Words, and those with the object's name in front: 'dealname', 'CaseNumber'."""
    return (*words, *(_plain(name) + ending for name in objects))


def _called(mapped: MappedObject, words: Sequence[str]) -> FieldSchema | None:
    """The text field that is called so by its name or by a label; the external key names nothing."""
    own = [item for item in mapped.fields if item.type in _TEXTS and item.name != mapped.key]
    return next((item for word in words for item in own if word in _names(mapped, item)), None)


def _names(mapped: MappedObject, item: FieldSchema) -> Iterator[str]:
    yield _plain(item.name)
    yield _plain(item.label)
    for label in mapped.labels.get(item.name, {}).values():
        yield _plain(label)


def _plain(text: str) -> str:
    """A name without case, signs and the suffix of custom fields."""
    return "".join(char for char in text.casefold().removesuffix("__c") if char.isalnum())
