"""Writes a Dynamics Configuration Migration zip: data_schema.xml, data.xml and the content types, as the tool lays them out."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO
from xml.sax.saxutils import quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic.chance import chosen, joined
from migrator.testing.synthetic.dynamics import ENTITIES, Column, Entity, Table, members
from migrator.testing.synthetic.keys import guids
from migrator.testing.synthetic.population import chunks
from migrator.testing.synthetic.truth import EntityWriter, Truth
from migrator.testing.synthetic.weekly import fixed
from migrator.testing.synthetic.world import World

CONTENT_TYPES = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/octet-stream" />'
    '<Default Extension="bin" ContentType="application/octet-stream" /></Types>'
)
_ESCAPES = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ('"', "&quot;"),
    ("\r", "&#xD;"),
    ("\n", "&#xA;"),
    ("\t", "&#x9;"),
)
LINKS = "listcontact_association"


def write_migration_zip(path: Path, world: World, truth: Truth, entities: EntityWriter) -> None:
    """Write the zip, and add what is in it to the truth."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        archive.writestr(fixed("[Content_Types].xml"), CONTENT_TYPES.encode())
        archive.writestr(fixed("data_schema.xml"), _schema(world).encode())
        with archive.open(fixed("data.xml"), "w", force_zip64=True) as stream:
            _write_data(stream, world, truth, entities)


def _schema(world: World) -> str:
    lines = ['<entities dateMode="absolute">']
    for entity in ENTITIES:
        lines.append(
            f'  <entity name="{entity.name}" displayname="{entity.label}" etc="{entity.code}" '
            f'primaryidfield="{entity.key}" primarynamefield="{entity.primary}" disableplugins="false">'
        )
        table = entity.make(world, np.arange(1, dtype=np.int64))
        lines.append("    <fields>")
        lines.extend(declared(entity.key, name, column) for name, column in table.fields.items())
        lines.append("    </fields>")
        if entity.name == "list":
            lines.append(
                f'    <relationships>\n      <relationship name="{LINKS}" manyToMany="true" isreflexive="false" '
                'relatedEntityName="listmember" m2mTargetEntity="contact" m2mTargetEntityPrimaryKey="contactid" />\n'
                "    </relationships>"
            )
        lines.append("  </entity>")
    order = "".join(f"<entityName>{entity.name}</entityName>" for entity in ENTITIES)
    lines.append(f"  <entityImportOrder>{order}</entityImportOrder>\n</entities>\n")
    return "\n".join(lines)


def declared(key: str, name: str, column: Column) -> str:
    """A field as data_schema.xml declares it; `key` is the name of the table's key."""
    extra = ' primaryKey="true"' if name == key else ""
    extra += f' lookupType="{column.lookup_type}"' if column.lookup_type else ""
    extra += ' customfield="true"' if name.startswith("new_") else ""
    return f'      <field displayname={quoteattr(column.label)} name="{name}" type="{column.type}"{extra} />'


def _write_data(stream: IO[bytes], world: World, truth: Truth, entities: EntityWriter) -> None:
    stream.write(
        b'<entities xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        b'timestamp="2026-01-18T03:15:00.0000000Z">\n'
    )
    for entity in ENTITIES:
        stream.write(
            f'  <entity name="{entity.name}" displayname="{entity.label}">\n    <records>\n'.encode()
        )
        for numbers in chunks(entity.count(world), 25_000):
            table = entity.make(world, numbers)
            write_records(stream, table)
            _tell(entity, table, truth, entities)
        stream.write(b"    </records>\n")
        if entity.name == "list":
            truth.links["dynamics/listmember"] = _write_links(stream, world)
        else:
            stream.write(b"    <m2mrelationships />\n")
        stream.write(b"  </entity>\n")
    stream.write(b"</entities>\n")


def _tell(entity: Entity, table: Table, truth: Truth, entities: EntityWriter) -> None:
    told, made = truth.of("dynamics", entity.name), table.made
    told.records += len(made.keys)
    told.rows += len(made.keys)
    told.bad.extend(made.bad)
    if made.circular is not None:
        told.circular.extend(made.keys.filter(pa.array(made.circular)).to_pylist())
    if made.entities is not None and made.deleted is not None:
        entities.write("dynamics", entity.name, made.keys, made.entities, made.deleted)
        entities.count("companies" if entity.name == "account" else "people", made.copies)


def write_records(stream: IO[bytes], table: Table) -> None:
    """One record element per row; a field that is null or empty is left out, as the tool does."""
    parts: list[pa.Array | str] = ['      <record id="', table.made.keys, '">\n']
    for name, column in table.fields.items():
        parts.append(_elements(name, column))
    parts.append("      </record>\n")
    rows = joined(*parts)
    offsets = np.frombuffer(rows.buffers()[1], np.int32)
    stream.write(
        rows.buffers()[2][int(offsets[rows.offset]) : int(offsets[rows.offset + len(rows)])].to_pybytes()
    )


def _elements(name: str, column: Column) -> pa.Array:
    if column.nested:
        return joined(f'        <field name="{name}" value="">', column.values, "</field>\n")
    rest: list[pa.Array | str] = []
    if column.entity:
        rest = ['" lookupentity="', column.entity]
        if column.entity_name is not None:
            rest += ['" lookupentityname="', escaped(column.entity_name)]
    text = joined(f'        <field name="{name}" value="', escaped(column.values), *rest, '" />\n')
    present = pc.fill_null(pc.greater(pc.binary_length(column.values), 0), False).to_numpy(
        zero_copy_only=False
    )
    return chosen(present, text, "")


def escaped(text: pa.Array) -> pa.Array:
    """Text as it may stand in an attribute; line ends and tabs are kept by escaping them."""
    for letter, escape in _ESCAPES:
        text = pc.replace_substring(text, letter, escape)
    return text


def _write_links(stream: IO[bytes], world: World) -> int:
    """The members of every list; returns the number of pairs."""
    pairs = 0
    stream.write(b"    <m2mrelationships>\n")
    keys = guids(world.chance, "list", np.arange(world.dynamics.lists)).to_pylist()
    for number, key in enumerate(keys):
        targets = members(world, number).to_pylist()
        pairs += len(targets)
        ids = "".join(f"<targetid>{target}</targetid>" for target in targets)
        stream.write(
            f'      <m2mrelationship sourceid="{key}" targetentityname="contact" targetentitynameidfield="contactid" '
            f'm2mrelationshipname="{LINKS}"><targetids>{ids}</targetids></m2mrelationship>\n'.encode()
        )
    stream.write(b"    </m2mrelationships>\n")
    return pairs
