"""Whether what is to be written fits the tables of an environment, told before the first row, every difference at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connectors.dataverse.metadata import Listed
from connectors.dataverse.tables import TYPE, Table
from migrator.core.document import did_you_mean
from migrator.core.schema import ObjectSchema


def missing_table(name: str, listed: Mapping[str, Listed]) -> str:
    """What to say of a table that is not there."""
    hint = did_you_mean(name, listed, noun="tables")
    return f"{name}: there is no such table{f' ({hint})' if hint else ''}"


def misfits(table: Table, wanted: ObjectSchema) -> Iterator[str]:
    """Every column that is not there or cannot be written, and a key that is none."""
    for item in wanted.fields:
        attribute = table.attributes.get(item.name)
        base = table.attributes.get(item.name.removesuffix(TYPE))
        if attribute is None:
            if not (item.name.endswith(TYPE) and base is not None and base.is_lookup):
                hint = did_you_mean(item.name, table.attributes, noun="columns")
                yield f"{table.name}.{item.name}: there is no such column{f' ({hint})' if hint else ''}"
        elif not (attribute.creates or attribute.updates):
            instead = "; write overriddencreatedon instead" if item.name == "createdon" else ""
            yield f"{table.name}.{item.name}: the service sets this column itself{instead}"
        elif attribute.kind == "file" or (table.name, item.name) == ("annotation", "documentbody"):
            yield f"{table.name}.{item.name}: files are not written with their record"
    if wanted.key != table.key and wanted.key not in table.alternate_keys:
        known = ", ".join(sorted(table.alternate_keys)) or "none"
        yield (
            f"{table.name}: {wanted.key} is no alternate key that is ready (there are: {known}); define a key of this "
            "column alone and wait until it is active: without one, nothing keeps a record from being made twice"
        )
