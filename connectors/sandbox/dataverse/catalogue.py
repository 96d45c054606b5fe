"""The sandbox's tables as Dataverse defines them: EntityDefinitions, attributes, option sets, keys and relationships."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from connectors.sandbox.dataverse.model import UNTRACKED, navigation, set_name
from connectors.sandbox.records import Store
from connectors.sandbox.where import Compare, Every, In, Like, Not, Null, Operator, Some, Where
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

_KINDS = {
    FieldType.STRING: "String",
    FieldType.TEXT: "Memo",
    FieldType.INTEGER: "Integer",
    FieldType.FLOAT: "Double",
    FieldType.BOOLEAN: "Boolean",
    FieldType.DATE: "DateTime",
    FieldType.DATETIME: "DateTime",
    FieldType.ID: "Uniqueidentifier",
    FieldType.MULTI_PICKLIST: "MultiSelectPicklist",
    FieldType.JSON: "PartyList",
    FieldType.FILE: "File",
}
LANGUAGES = {1033: "", 2052: "（中文）"}
"""Languages of labels, and what is added to a label in each."""


def kind(field: FieldSchema) -> str:
    """The attribute type of a column."""
    match field.type:
        case FieldType.DECIMAL:
            return "Money" if field.scale == 4 else "Decimal"
        case FieldType.PICKLIST:
            return {"statecode": "State", "statuscode": "Status"}.get(field.name, "Picklist")
        case FieldType.REFERENCE if field.name == "ownerid":
            return "Owner"
        case FieldType.REFERENCE:
            return "Customer" if set(field.references) == {"account", "contact"} else "Lookup"
        case _:
            return _KINDS[field.type]


def definition(schema: ObjectSchema, store: Store) -> dict[str, Any]:
    """A table, with its keys and relationships."""
    custom = schema.name.partition("_")[2] != ""
    return {
        "MetadataId": metadata_id(schema.name),
        "LogicalName": schema.name,
        "SchemaName": schema.name if custom else schema.name.capitalize(),
        "EntitySetName": set_name(schema.name),
        "PrimaryIdAttribute": schema.key,
        "PrimaryNameAttribute": next(
            (n for n in ("name", "subject", "fullname", "title") if schema.field(n)), schema.key
        ),
        "DisplayName": _label(schema.label or schema.name),
        "IsCustomEntity": custom,
        "IsIntersect": False,
        "IsPrivate": False,
        "TableType": "Standard",
        "ObjectTypeCode": 10_000 + len(schema.name),
        "ChangeTrackingEnabled": schema.name not in UNTRACKED,
        "Keys": [_key(schema, item) for item in store.shape(schema.name).keys],
        "ManyToOneRelationships": [
            {
                "ReferencingEntity": schema.name,
                "ReferencingAttribute": field.name,
                "ReferencedEntity": target,
                "ReferencingEntityNavigationPropertyName": navigation(
                    schema.name, field.name, target, len(field.references)
                ),
            }
            for field in schema.fields
            if field.name != "ownerid"
            for target in field.references
        ],
        "OneToManyRelationships": [],
        "ManyToManyRelationships": [],
    }


def attributes(schema: ObjectSchema) -> list[dict[str, Any]]:
    """Columns, each of its own type; shadow columns among them, as the service has them."""
    found: list[dict[str, Any]] = []
    for field in schema.fields:
        named = kind(field)
        found.append(_attribute(schema, field, named))
        if named in {"Lookup", "Owner", "Customer"}:
            shadow = FieldSchema(f"{field.name}name", FieldType.STRING, read_only=True)
            found.append({**_attribute(schema, shadow, "String"), "AttributeOf": field.name})
        if named in {"Owner", "Customer"}:
            kind_of = FieldSchema(f"{field.name}type", FieldType.STRING, read_only=True)
            found.append({**_attribute(schema, kind_of, "EntityName"), "IsValidODataAttribute": False})
    return found


def option_sets(schema: ObjectSchema, cast: str) -> list[dict[str, Any]]:
    """Columns of one kind with their options."""
    return [
        {
            "LogicalName": field.name,
            "MetadataId": metadata_id(f"{schema.name}.{field.name}"),
            "OptionSet": {
                "Options": [
                    {"Value": int(value), "Label": _label(field.labels.get(value, value))}
                    for value in field.values
                ]
            },
            "GlobalOptionSet": None,
        }
        for field in schema.fields
        if f"{kind(field)}AttributeMetadata" == cast
    ]


def metadata_id(name: str) -> str:
    """The same GUID for the same name."""
    return str(uuid5(NAMESPACE_URL, f"sandbox:{name}"))


def chosen(item: Mapping[str, Any], select: str, expand: str) -> dict[str, Any]:
    """What `$select` and `$expand` of definitions leave."""
    names = [name for name in select.split(",") if name]
    expanded = {part.partition("(")[0] for part in _parts(expand)}
    parts = {"Keys", "ManyToOneRelationships", "OneToManyRelationships", "ManyToManyRelationships"}
    return {
        name: value
        for name, value in item.items()
        if (name in expanded if name in parts else not names or name in names or name == "MetadataId")
    }


def holds(where: Where, item: Mapping[str, Any]) -> bool:  # noqa: PLR0911 (one a kind of term)
    """Whether a definition meets a filter."""
    match where:
        case Every(terms):
            return all(holds(term, item) for term in terms)
        case Some(terms):
            return any(holds(term, item) for term in terms)
        case Not(term):
            return not holds(term, item)
        case Null(path):
            return item.get(path.field) is None
        case In(path, values):
            return item.get(path.field) in values
        case Like(path, pattern):
            return pattern.strip("%").lower() in str(item.get(path.field)).lower()
        case Compare(path, operator, value):
            found = item.get(path.field)
            return _COMPARISONS[operator](found, value)


_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: lambda one, two: bool(one == two),
    Operator.UNEQUAL: lambda one, two: bool(one != two),
    Operator.LESS: lambda one, two: bool(one < two),
    Operator.LESS_EQUAL: lambda one, two: bool(one <= two),
    Operator.GREATER: lambda one, two: bool(one > two),
    Operator.GREATER_EQUAL: lambda one, two: bool(one >= two),
}


def _attribute(schema: ObjectSchema, field: FieldSchema, named: str) -> dict[str, Any]:
    key = field.name == schema.key
    only_new = field.name == "overriddencreatedon"
    told: dict[str, Any] = {
        "@odata.type": f"#Microsoft.Dynamics.CRM.{named}AttributeMetadata",
        "MetadataId": metadata_id(f"{schema.name}.{field.name}"),
        "LogicalName": field.name,
        "SchemaName": field.name.capitalize(),
        "DisplayName": _label(field.label or field.name),
        "AttributeType": "Virtual" if named in {"File", "MultiSelectPicklist"} else named,
        "AttributeTypeName": {"Value": f"{named}Type"},
        "AttributeOf": None,
        "IsPrimaryId": key,
        "IsPrimaryName": False,
        "IsValidForRead": True,
        "IsValidForCreate": not field.read_only,
        "IsValidForUpdate": not (field.read_only or key or only_new),
        "RequiredLevel": {
            "Value": "SystemRequired" if key else "ApplicationRequired" if field.required else "None"
        },
    }
    match named:
        case "String" | "Memo":
            told["MaxLength"] = field.length or 1_048_576
        case "DateTime":
            told["DateTimeBehavior"] = {"Value": "DateOnly" if field.type is FieldType.DATE else "UserLocal"}
        case "Money" | "Decimal":
            told["Precision"] = field.scale
        case "Lookup" | "Customer" | "Owner":
            told["Targets"] = list(field.references)
        case _:
            pass
    return told


def _key(schema: ObjectSchema, columns: tuple[str, ...]) -> dict[str, Any]:
    return {
        "LogicalName": f"key_{'_'.join(columns)}",
        "MetadataId": metadata_id(f"{schema.name} {columns}"),
        "KeyAttributes": list(columns),
        "EntityKeyIndexStatus": "Active",
    }


def _label(text: str) -> dict[str, Any]:
    labels = [
        {"Label": text + suffix, "LanguageCode": code, "IsManaged": True}
        for code, suffix in LANGUAGES.items()
    ]
    return {"LocalizedLabels": labels, "UserLocalizedLabel": labels[0]}


def _parts(expand: str) -> list[str]:
    """`$expand` cut at its outer commas."""
    found, depth, start = [], 0, 0
    for at, sign in enumerate(expand):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            found.append(expand[start:at])
            start = at + 1
    return [*found, expand[start:]]
