"""data_schema.xml as objects with typed fields, and for each field where its parts in data.xml go.

Types of the export: `string` STRING · `memo` TEXT · `number`, `bigint` INTEGER · `decimal`, `money` DECIMAL · `float` FLOAT ·
`bool` BOOLEAN ('True', 'False') · `guid` ID or text · `datetime` DATETIME · `optionsetvalue`, `state`, `status` PICKLIST ·
`optionsetvaluecollection` MULTI_PICKLIST ('1;2') · `entityreference`, `lookup`, `customer`, `owner` REFERENCE ·
`partylist` JSON · `imagedata` TEXT (base64) · `filedata` FILE · everything else, `Unknown` for one, TEXT.

Columns beside the declared ones: `X__name` for every look-up (the name the other record had: user look-ups often point
to records outside of the export), `X__type` where a look-up may point to several kinds of record, `X__filename` for files,
and `undeclared_fields`: JSON text of whatever a record carries that the schema does not declare, else null.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, cast
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as DefusedTree
from defusedxml.common import DefusedXmlException

from migrator.core.errors import FatalError
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

UNDECLARED = "undeclared_fields"
LINK_KEY = "id"

_TYPES = {
    "string": FieldType.STRING,
    "memo": FieldType.TEXT,
    "number": FieldType.INTEGER,
    "bigint": FieldType.INTEGER,
    "decimal": FieldType.DECIMAL,
    "money": FieldType.DECIMAL,
    "float": FieldType.FLOAT,
    "bool": FieldType.BOOLEAN,
    "datetime": FieldType.DATETIME,
    "guid": FieldType.STRING,
    "optionsetvalue": FieldType.PICKLIST,
    "picklist": FieldType.PICKLIST,
    "state": FieldType.PICKLIST,
    "status": FieldType.PICKLIST,
    "optionsetvaluecollection": FieldType.MULTI_PICKLIST,
    "entityreference": FieldType.REFERENCE,
    "lookup": FieldType.REFERENCE,
    "customer": FieldType.REFERENCE,
    "owner": FieldType.REFERENCE,
    "partylist": FieldType.JSON,
    "filedata": FieldType.FILE,
}
_TARGETS: dict[str, tuple[str, ...]] = {"customer": ("account", "contact"), "owner": ("systemuser", "team")}
_LOOKUPS = {"entityreference", "lookup", "customer", "owner", "unknown"}
_SCALES = {"decimal": (28, 12), "money": (28, 10)}
"""Digits in all and behind the point. The export tells none; Dataverse allows at most these."""
_BASE64_FILES = {("annotation", "documentbody"), ("activitymimeattachment", "body")}
"""Memo fields that hold a file as base64."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """Where the parts of one declared field go: column names, '' where there is none."""

    name: str
    type: FieldType
    guid: bool = False
    """Values that are GUIDs are made lower case."""
    type_column: str = ""
    name_column: str = ""
    file_column: str = ""
    only_target: str = ""
    """The one entity this look-up may point to; another one in the data is told in `undeclared_fields`."""
    base64: bool = False
    parties: bool = False


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """How the records of one entity become columns."""

    entity: str
    key: str
    fields: dict[str, FieldPlan]
    columns: tuple[str, ...]

    @property
    def party_fields(self) -> tuple[str, ...]:
        """Fields that hold party lists."""
        return tuple(item.name for item in self.fields.values() if item.parties)


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """One side of a many-to-many relationship: the links that stand under `entity`."""

    object: str
    entity: str
    names: frozenset[str]
    """What data.xml may call it, lower case."""
    source_column: str
    target_column: str
    swapped: bool = False
    """True: this entity's records go into the second column, because the other side was declared first."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All that a schema says: objects in order, and how to read each."""

    objects: tuple[ObjectSchema, ...]
    entities: dict[str, EntityPlan]
    links: dict[str, tuple[LinkPlan, ...]] = field(default_factory=dict)
    """Object name of a many-to-many relationship → the sides it is exported from."""


def read_layout(text: str, place: str) -> Layout:
    """Parse data_schema.xml; raises `FatalError` when it is not well-formed or not such a schema."""
    root = _parsed(text, place)
    mode = root.get("dateMode", "")
    entities = [item for item in root.iter("entity") if item.get("name")]
    if root.tag != "entities" or not entities:
        raise FatalError(
            f"{place}: declares no entity (its root is <{root.tag}>)",
            hint="export again with at least one table",
        )
    also = _one_to_many(entities)
    objects, plans = [], {}
    for element in entities:
        schema, plan = _entity(element, mode, also, place)
        if plan.entity in plans:
            raise FatalError(f"{place}: entity {plan.entity!r} is declared twice")
        objects.append(schema)
        plans[plan.entity] = plan
    links, link_objects = _links(entities, objects, place)
    return Layout((*objects, *link_objects), plans, links)


def merge_layouts(layouts: Sequence[tuple[str, Layout]]) -> Layout:
    """One layout for several exports, each with its place; raises `FatalError` where they contradict each other."""
    _, merged = layouts[0]
    for place, layout in layouts[1:]:
        objects = {item.name: item for item in merged.objects}
        for item in layout.objects:
            known = objects.get(item.name)
            objects[item.name] = item if known is None else _merge_objects(known, item, place)
        entities = dict(merged.entities)
        for name, plan in layout.entities.items():
            old = entities.get(name)
            fields = {**(old.fields if old else {}), **plan.fields}
            entities[name] = replace(plan, fields=fields, columns=objects[name].field_names)
        links = {**layout.links, **merged.links}
        merged = Layout(tuple(objects.values()), entities, links)
    return merged


def _merge_objects(one: ObjectSchema, two: ObjectSchema, place: str) -> ObjectSchema:
    known = {item.name: item for item in one.fields}
    for item in two.fields:
        if item.name in known and known[item.name].type is not item.type:
            raise FatalError(
                f"{place}: {two.name}.{item.name} is {item.type.value} here and {known[item.name].type.value} in another "
                "export beside it",
                hint="exports of one system belong together; give each of these a system of its own",
            )
    new = [item for item in two.fields if item.name not in known]
    kept = [item for item in one.fields if item.name != UNDECLARED]
    last = [item for item in one.fields if item.name == UNDECLARED]
    return replace(one, fields=(*kept, *new, *last))


def _parsed(text: str, place: str) -> Element:
    try:
        return cast("Element", DefusedTree.fromstring(_undeclared_encoding(text), forbid_dtd=True))
    except ParseError as error:
        line, column = error.position
        raise FatalError(
            f"{place}:{line}:{column + 1}: this is not well-formed XML: {error.msg}",
            hint="the file was cut or changed on its way; export or copy it again",
        ) from error
    except DefusedXmlException as error:
        raise FatalError(
            f"{place}: a document type or entity declaration stands here; it is refused",
            hint="no export of Dynamics has one; remove it if you trust the file",
        ) from error


def _undeclared_encoding(text: str) -> bytes:
    """UTF-8 bytes whose declaration no longer names the encoding the file had before it was decoded."""
    head, end, rest = text.lstrip("\ufeff").partition("?>")
    if head.lstrip().startswith("<?xml") and end:
        return b"<?xml version='1.0'?>" + b"\n" * head.count("\n") + rest.encode()
    return text.encode()


def _one_to_many(entities: Iterable[Element]) -> dict[tuple[str, str], list[str]]:
    """(entity, field) → entities it may point to, from the 1:N relationships."""
    found: dict[tuple[str, str], list[str]] = {}
    for element in entities:
        for item in element.iterfind("relationships/relationship"):
            child, parent = item.get("referencingEntity"), item.get("referencedEntity")
            name = item.get("referencingAttribute")
            if child and parent and name:
                found.setdefault((child, name), []).append(parent)
    return found


def _entity(
    element: Element, mode: str, also: dict[tuple[str, str], list[str]], place: str
) -> tuple[ObjectSchema, EntityPlan]:
    entity = element.attrib["name"]
    declared = list(element.iterfind("fields/field"))
    key = element.get("primaryidfield") or next(
        (item.get("name", "") for item in declared if item.get("primaryKey") == "true"), f"{entity}id"
    )
    schemas: dict[str, FieldSchema] = {}
    plans: dict[str, FieldPlan] = {}
    if key not in {item.get("name") for item in declared}:
        schemas[key] = FieldSchema(key, FieldType.ID, required=True, unique=True)
        plans[key] = FieldPlan(key, FieldType.ID, guid=True)
    for item in declared:
        name = item.get("name", "")
        if not name:
            raise FatalError(f"{place}: entity {entity!r} declares a field without a name")
        plan, columns = _field(entity, key, item, mode=mode, also=also.get((entity, name), []))
        if plan.name in plans:
            raise FatalError(f"{place}: field {entity}.{plan.name} is declared twice")
        plans[plan.name] = plan
        for column in columns:
            if column.name in schemas:
                raise FatalError(f"{place}: {entity}: two columns would be called {column.name!r}")
            schemas[column.name] = column
    schemas[UNDECLARED] = FieldSchema(UNDECLARED, FieldType.JSON, label="Fields the schema does not declare")
    schema = ObjectSchema(entity, key, tuple(schemas.values()), element.get("displayname", ""))
    return schema, EntityPlan(entity, key, plans, schema.field_names)


def _field(
    entity: str, key: str, item: Element, *, mode: str, also: list[str]
) -> tuple[FieldPlan, list[FieldSchema]]:
    """How a declared field is read, and the columns it fills."""
    name, kind = item.attrib["name"], item.get("type", "").lower()
    base64 = (entity, name) in _BASE64_FILES
    type_ = FieldType.FILE if base64 else FieldType.ID if name == key else _TYPES.get(kind, FieldType.TEXT)
    precision, scale = _SCALES.get(kind, (None, None))
    lookup = kind in _LOOKUPS
    targets = _targets(item, kind, also) if lookup else ()
    column = FieldSchema(
        name,
        type_,
        _label(item, kind, mode),
        required=name == key,
        unique=name == key,
        precision=precision,
        scale=scale,
        references=targets if type_ is FieldType.REFERENCE else (),
        pii="image" if kind == "imagedata" else _personal().get(name, ""),
    )
    only = targets[0] if len(targets) == 1 else ""
    plan = FieldPlan(
        name,
        type_,
        guid=lookup or kind in {"guid", "filedata"} or name == key,
        type_column=f"{name}__type" if lookup and not only else "",
        name_column=f"{name}__name" if lookup else "",
        file_column=f"{name}__filename" if kind == "filedata" else "",
        only_target=only,
        base64=base64,
        parties=kind == "partylist",
    )
    return plan, [column, *_columns_beside(plan, column, targets)]


def _columns_beside(plan: FieldPlan, column: FieldSchema, targets: tuple[str, ...]) -> Iterable[FieldSchema]:
    if plan.name_column:
        yield FieldSchema(plan.name_column, FieldType.STRING, f"{column.label} (name)", pii="name")
    if plan.type_column:
        yield FieldSchema(plan.type_column, FieldType.STRING, f"{column.label} (type)", values=targets)
    if plan.file_column:
        yield FieldSchema(plan.file_column, FieldType.STRING, f"{column.label} (file name)")


def _targets(item: Element, kind: str, also: list[str]) -> tuple[str, ...]:
    named = [part.strip() for part in item.get("lookupType", "").split("|") if part.strip()]
    if kind == "unknown":
        return tuple(dict.fromkeys(named)) if len(named) > 1 else ()
    return tuple(dict.fromkeys(named or also or _TARGETS.get(kind, ())))


def _label(item: Element, kind: str, mode: str) -> str:
    label = item.get("displayname", "")
    how = item.get("dateMode") or mode
    return f"{label} (dates {how})".strip() if kind == "datetime" and how not in {"", "absolute"} else label


def _links(
    entities: Sequence[Element], objects: Sequence[ObjectSchema], place: str
) -> tuple[dict[str, tuple[LinkPlan, ...]], list[ObjectSchema]]:
    keys = {item.name: item.key for item in objects}
    shared = _shared_tables(entities)
    links: dict[str, tuple[LinkPlan, ...]] = {}
    schemas: list[ObjectSchema] = []
    for element in entities:
        for item in element.iterfind("relationships/relationship"):
            if item.get("manyToMany", "").lower() != "true":
                continue
            entity, target = element.attrib["name"], item.get("m2mTargetEntity", "")
            if not target:
                raise FatalError(
                    f"{place}: relationship {item.get('name')!r} of {entity!r} names no m2mTargetEntity"
                )
            source_key = keys[entity]
            target_key = item.get("m2mTargetEntityPrimaryKey") or keys.get(target) or f"{target}id"
            name = item.get("relatedEntityName") or item.get("name") or f"{entity}_{target}"
            if name in keys or name.lower() in shared:
                name = item.get("name") or f"{name}_links"
            told = [name.lower(), _lower(item, "name"), _lower(item, "relatedEntityName")]
            names = frozenset(filter(None, told)) - shared
            if source_key == target_key:
                source_key, target_key = f"{source_key}one", f"{source_key}two"
            known = links.get(name)
            if known is None:
                links[name] = (LinkPlan(name, entity, names, source_key, target_key),)
                schemas.append(_link_schema(name, (source_key, entity), (target_key, target)))
            elif known[0].entity != entity and (known[0].source_column, known[0].target_column) == (
                target_key,
                source_key,
            ):
                other = replace(known[0], entity=entity, names=names, swapped=True)
                links[name] = (*known, other)
            else:
                raise FatalError(
                    f"{place}: the many-to-many relationship {name!r} is declared twice in different ways"
                )
    return links, schemas


def _shared_tables(entities: Iterable[Element]) -> frozenset[str]:
    """Tables (small letters) that hold the pairs of several relationships (`listmember`: a list with contacts, leads or accounts)."""
    pairs: dict[str, set[frozenset[str]]] = {}
    for element in entities:
        for item in element.iterfind("relationships/relationship"):
            table, target = item.get("relatedEntityName"), item.get("m2mTargetEntity")
            if table and target and item.get("manyToMany", "").lower() == "true":
                pairs.setdefault(table.lower(), set()).add(frozenset((element.attrib["name"], target)))
    return frozenset(table for table, ends in pairs.items() if len(ends) > 1)


def _link_schema(name: str, source: tuple[str, str], target: tuple[str, str]) -> ObjectSchema:
    ends = (
        FieldSchema(column, FieldType.REFERENCE, required=True, references=(entity,))
        for column, entity in (source, target)
    )
    return ObjectSchema(
        name, LINK_KEY, (FieldSchema(LINK_KEY, FieldType.ID, required=True, unique=True), *ends)
    )


def _lower(item: Any, attribute: str) -> str:
    return str(item.get(attribute) or "").lower()


@cache
def _personal() -> dict[str, str]:
    """Field name → kind of personal data, of well-known fields of Dynamics."""
    text = files(__package__).joinpath("personal.csv").read_text(encoding="utf-8")
    return {row["field"]: row["kind"] for row in csv.DictReader(text.splitlines())}
