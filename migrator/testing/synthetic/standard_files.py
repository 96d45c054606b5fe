"""Lays records of a saved schema out as their system exports them: Salesforce's weekly zip, Dynamics' migration zip."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.testing.synthetic.chance import Chance
from migrator.testing.synthetic.keys import guids, salesforce_ids
from migrator.testing.synthetic.legacy import LegacyTruth
from migrator.testing.synthetic.migration_zip import CONTENT_TYPES
from migrator.testing.synthetic.standard import FAULTS, Row, standard
from migrator.testing.synthetic.weekly import ORGANISATION, fixed

Tables = dict[str, list[Row]]


@dataclass(slots=True)
class StandardTruth(LegacyTruth):
    """What was written, records and all."""

    tables: Tables = field(default_factory=dict)


_TYPES = {
    FieldType.ID: "guid", FieldType.STRING: "string", FieldType.TEXT: "memo", FieldType.INTEGER: "number",
    FieldType.DECIMAL: "decimal", FieldType.BOOLEAN: "bool", FieldType.DATETIME: "datetime",
    FieldType.PICKLIST: "optionsetvalue", FieldType.JSON: "partylist", FieldType.FILE: "memo",
}  # fmt: skip
_BINARIES = {"Attachment": ("Attachments", "Body"), "ContentVersion": ("ContentVersion", "VersionData")}
_LINKS = "_association"


def content(number: int) -> bytes:
    """The bytes of the file of a record: its number a few times over, so that all differ."""
    return f"file {number} 文件\n".encode() * (number + 1)


def generate_standard(
    folder: Path, system: str, schemas: Sequence[ObjectSchema], *, count: int = 8
) -> StandardTruth:
    """Write the export of one system with every object and column of its schemas; same arguments, same records."""
    if system == "dynamics":
        path = folder / "dynamics" / "export.zip"
        tables = write_dynamics(path, schemas, count=count)
    else:
        path = folder / "salesforce"
        tables = write_salesforce(path, schemas, count=count)
    truth = StandardTruth(path, tables=tables)
    for schema in schemas:
        _tell(truth, schema, tables)
    return truth


def _tell(truth: StandardTruth, schema: ObjectSchema, tables: Tables) -> None:
    rows = tables[schema.name]
    truth.records[schema.name] = len(rows)
    truth.deleted[schema.name] = {str(row[schema.key]) for row in rows if row.get("IsDeleted") == "1"}
    spoiled = {what for (name, _), what in FAULTS.items() if name == schema.name}
    if spoiled:
        truth.faults[schema.name, str(rows[-2][schema.key])] = spoiled.pop()
    sound = [row for row in rows[:-2] if row[schema.key] is not None]
    for item in schema.fields:
        known = [name for name in item.references if name in tables]
        if known:
            truth.links[schema.name, item.name] = {
                str(row[schema.key]): (row.get(f"{item.name}__type") or _target(item, row, tables), to)
                for row in sound
                if (to := row[item.name]) is not None
            }


def _target(item: FieldSchema, row: Row, tables: Tables) -> str:
    """The object that a link of Salesforce leads to: the one that has the record."""
    keys = ((name, key) for name in item.references for key in ("Id", f"{name}id"))
    return next(
        (name for name, key in keys if any(one.get(key) == row[item.name] for one in tables.get(name, ()))),
        item.references[0],
    )


def write_salesforce(folder: Path, schemas: Sequence[ObjectSchema], *, count: int = 8) -> Tables:
    """Write WE_…_1.ZIP into `folder`; returns the records by object."""
    tables = standard(schemas, _salesforce_id, count=count)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"WE_{ORGANISATION}_1.ZIP", "w", zipfile.ZIP_DEFLATED) as archive:
        for schema in schemas:
            names = [item.name for item in schema.fields if item.type is not FieldType.FILE]
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, names, quoting=csv.QUOTE_ALL, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(tables[schema.name])
            archive.writestr(fixed(f"{schema.name}.csv"), text.getvalue().encode())
            if schema.name in _BINARIES:
                for number, row in enumerate(tables[schema.name]):
                    archive.writestr(fixed(f"{_BINARIES[schema.name][0]}/{row['Id']}"), content(number))
    return tables


def write_dynamics(path: Path, schemas: Sequence[ObjectSchema], *, count: int = 8) -> Tables:
    """Write a Configuration Migration zip; objects called X_association are the pairs of a many-to-many relationship."""
    chance = Chance(7, "standard")
    tables = standard(
        schemas, lambda name, number: str(guids(chance, name, np.array([number]))[0].as_py()), count=count
    )
    entities = [item for item in schemas if not item.name.endswith(_LINKS)]
    links = [item for item in schemas if item.name.endswith(_LINKS)]
    for item in links:  # the reader makes the key of a pair of its two ends
        for row in tables[item.name]:
            row["id"] = ":".join(str(row[name]) for name in item.field_names[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(fixed("[Content_Types].xml"), CONTENT_TYPES.encode())
        archive.writestr(fixed("data_schema.xml"), "\n".join(_schema(entities, links)).encode())
        archive.writestr(fixed("data.xml"), "\n".join(_data(entities, links, tables)).encode())
    return tables


def _salesforce_id(name: str, number: int) -> str:
    return str(salesforce_ids(name or "Profile", np.array([number]))[0].as_py())


def _declared(schema: ObjectSchema) -> Iterable[FieldSchema]:
    """Fields of the table itself; others stand beside a look-up in the reader's schema only."""
    return (item for item in schema.fields if "__" not in item.name and item.name != "undeclared_fields")


def _schema(entities: Iterable[ObjectSchema], links: Sequence[ObjectSchema]) -> Iterable[str]:
    yield '<entities dateMode="absolute">'
    for schema in entities:
        yield (
            f'  <entity name="{schema.name}" displayname={quoteattr(schema.label)} etc="1" '
            f'primaryidfield="{schema.key}" primarynamefield="" disableplugins="false">\n    <fields>'
        )
        for item in _declared(schema):
            kind = _TYPES.get(item.type, "entityreference" if len(item.references) == 1 else "lookup")
            extra = f' lookupType="{"|".join(item.references)}"' if item.references else ""
            yield f'      <field displayname={quoteattr(item.label or item.name)} name="{item.name}" type="{kind}"{extra} />'
        yield "    </fields>"
        mine = [link for link in links if link.fields[1].references == (schema.name,)]
        if mine:
            yield "    <relationships>"
            for link in mine:
                target = link.fields[2]
                yield (
                    f'      <relationship name="{link.name}" manyToMany="true" isreflexive="false" relatedEntityName="listmember" '
                    f'm2mTargetEntity="{target.references[0]}" m2mTargetEntityPrimaryKey="{target.name}" />'
                )
            yield "    </relationships>"
        yield "  </entity>"
    yield "</entities>"


def _data(
    entities: Iterable[ObjectSchema], links: Sequence[ObjectSchema], tables: Mapping[str, list[Row]]
) -> Iterable[str]:
    yield '<entities timestamp="2026-01-18T03:15:00.0000000Z">'
    for schema in entities:
        yield f'  <entity name="{schema.name}" displayname={quoteattr(schema.label)}>\n    <records>'
        for number, row in enumerate(tables[schema.name]):
            yield f'      <record id="{row[schema.key]}">'
            for item in _declared(schema):
                yield from _field(item, row, number)
            yield "      </record>"
        yield "    </records>\n    <m2mrelationships>"
        for link in links:
            if link.fields[1].references == (schema.name,):
                yield from _pairs(link, tables[link.name])
        yield "    </m2mrelationships>\n  </entity>"
    yield "</entities>"


def _field(item: FieldSchema, row: Row, number: int) -> Iterable[str]:
    text = row[item.name]
    if text is None:
        return
    start = f'        <field name="{item.name}" value='
    match item.type:
        case FieldType.JSON:
            yield f'{start}"">{"".join(_party(party) for party in json.loads(text))}</field>'
        case FieldType.BOOLEAN:
            yield f'{start}"{text == "1"}" />'
        case FieldType.FILE:
            yield f'{start}"{base64.b64encode(content(number)).decode()}" />'
        case FieldType.REFERENCE:
            target = row.get(f"{item.name}__type") or (item.references[0] if item.references else "")
            name = quoteattr(row.get(f"{item.name}__name") or "")
            yield f'{start}"{text}" lookupentity="{target}" lookupentityname={name} />'
        case _:
            yield f"{start}{quoteattr(text, {chr(10): '&#xA;'})} />"


def _party(party: Mapping[str, Any]) -> str:
    return (
        f'<activitypointerrecords id="{party["id"]}"><field name="partyid" value="{party["partyid"]}" '
        f'lookupentity="{party["partyid__type"]}" /><field name="participationtypemask" '
        f'value="{party["participationtypemask"]}" /></activitypointerrecords>'
    )


def _pairs(link: ObjectSchema, rows: Iterable[Row]) -> Iterable[str]:
    one, two = link.fields[1], link.fields[2]
    for row in rows:
        yield (
            f'      <m2mrelationship sourceid="{row[one.name]}" targetentityname="{two.references[0]}" '
            f'targetentitynameidfield="{two.name}" m2mrelationshipname="{link.name}"><targetids>'
            f"<targetid>{row[two.name]}</targetid></targetids></m2mrelationship>"
        )
