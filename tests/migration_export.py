"""A small writer of Configuration Migration exports for tests: entities as plain values, written out by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from connectors.dynamics_export import DynamicsExport

_KEPT = {"\n": "&#xA;", "\r": "&#xD;", "\t": "&#x9;"}


@dataclass(frozen=True)
class Table:
    """A table: field name → type (or attributes of the field element), and records as name → value (or attributes)."""

    name: str
    fields: Mapping[str, str | Mapping[str, str]]
    records: Sequence[Mapping[str, Any]] = ()
    relationships: str = ""
    links: str = ""
    key: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def schema_xml(*tables: Table, order_first: bool = False, mode: str = "") -> str:
    order = "<entityImportOrder><entityName>x</entityName></entityImportOrder>"
    body = "".join(
        f'<entity name={quoteattr(table.name)} displayname="{table.name.title()}" etc="1" '
        f'primaryidfield="{table.key or table.name + "id"}" primarynamefield="name" disableplugins="false"><fields>'
        + "".join(_declared(name, kind) for name, kind in table.fields.items())
        + f"</fields>{table.relationships}</entity>"
        for table in tables
    )
    date_mode = f' dateMode="{mode}"' if mode else ""
    return (
        f"<entities{date_mode}>{order if order_first else ''}{body}{'' if order_first else order}</entities>"
    )


def data_xml(*tables: Table, layout: str = "\n  ") -> str:
    return "".join(
        [
            '<entities xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" timestamp="2024-06-15T14:30:00.0000000Z">',
            *(
                f'{layout}<entity name={quoteattr(table.name)} displayname="x">{layout}<records>'
                + "".join(record_xml(table, record, layout) for record in table.records)
                + f"{layout}</records>{layout}"
                + (f"<m2mrelationships>{table.links}</m2mrelationships>" if table.links else "")
                + "</entity>"
                for table in tables
            ),
            f"{layout}</entities>",
        ]
    )


def record_xml(table: Table, record: Mapping[str, Any], layout: str) -> str:
    key = table.key or f"{table.name}id"
    own = {"id": str(record.get("@id", record.get(key, "")))}
    own |= {name[1:]: str(value) for name, value in record.items() if name.startswith("@") and name != "@id"}
    fields = "".join(
        layout + field_xml(name, value)
        for name, value in record.items()
        if not name.startswith("@") and value is not None
    )
    return f"{layout}<record{_attributes(own)}>{fields}{layout}</record>"


def field_xml(name: str, value: Any) -> str:
    if isinstance(value, str):
        return f"<field{_attributes({'name': name, 'value': value})} />"
    inner = value.get("#inner", "")
    attributes = {"name": name, **{key: text for key, text in value.items() if key != "#inner"}}
    return (
        f"<field{_attributes(attributes)}>{inner}</field>" if inner else f"<field{_attributes(attributes)}/>"
    )


def write_zip(path: Path, *tables: Table, files: Mapping[str, bytes] | None = None) -> Path:
    return pack(path, schema_xml(*tables).encode(), data_xml(*tables).encode(), files)


def pack(path: Path, schema: bytes, data: bytes, files: Mapping[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "\ufeff<Types/>")
        archive.writestr("data_schema.xml", schema)
        archive.writestr("data.xml", data)
        for name, content in (files or {}).items():
            archive.writestr(name, content)
    return path


def read_all(path: Path, name: str, **options: Any) -> list[dict[str, Any]]:
    return [row for page in pages(path, name, **options) for row in page.rows.to_pylist()]


def pages(path: Path, name: str, **options: Any) -> Iterator[Any]:
    source = DynamicsExport(path)
    try:
        yield from source.read(name, **options)
    finally:
        source.close()


def _declared(name: str, kind: str | Mapping[str, str]) -> str:
    attributes = {"type": kind} if isinstance(kind, str) else dict(kind)
    return f"<field{_attributes({'displayname': name.title(), 'name': name, **attributes})}/>"


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoted(value)}" for name, value in values.items())


def quoted(value: str) -> str:
    """An attribute in double quotes always, as the export tool writes it."""
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    for letter, kept in _KEPT.items():
        escaped = escaped.replace(letter, kept)
    return f'"{escaped}"'
