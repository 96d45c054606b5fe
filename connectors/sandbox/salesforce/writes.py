"""Records written as Salesforce takes them: rights, references by external ids, derived fields, and what it refuses."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.records import PLAIN, Write
from connectors.sandbox.salesforce.errors import SalesforceError, not_found, worded
from connectors.sandbox.salesforce.ids import canonical
from connectors.sandbox.salesforce.metadata import AUDIT, Entity, Info
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.violations import Violation

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PROBABILITIES = {"Closed Won": "100", "Closed Lost": "0"}


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes records of one organisation for one call."""

    org: Org
    write: Write = PLAIN
    user: str = ""
    """Who asks; '': the integration user."""
    reader: bool = False
    """Whether this user's profile lets nothing be written."""

    @property
    def me(self) -> str:
        """Whose name records are stamped with."""
        return self.user or self.org.user

    def create(self, entity: Entity, body: Mapping[str, Any]) -> str:
        """A new record; returns its id. Raises `SalesforceError`."""
        self._refuse_reader()
        if not entity.writable:
            raise SalesforceError(
                "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {entity.label}"
            )
        values = self._values(entity, body, creating=True)
        values = self._defaults(entity) | values
        return self._stored(entity, values)

    def update(self, entity: Entity, record: str, body: Mapping[str, Any]) -> None:
        """Set fields of a record. Raises `SalesforceError`."""
        self._refuse_reader()
        own = self.id_of(entity, record)
        values = self._values(entity, body, creating=False)
        values["LastModifiedById"] = self.me
        with self.org.store.transaction():
            values |= self._derived(entity, (self.org.store.get(entity.name, own) or {}) | values)
            try:
                self.org.store.update(entity.name, own, values, write=self.write)
            except Violation as error:
                raise worded(error) from error

    def delete(self, entity: Entity, record: str) -> None:
        """Move a record to the recycle bin. Raises `SalesforceError`."""
        self._refuse_reader()
        own = self.id_of(entity, record)
        try:
            self.org.store.delete(entity.name, own, write=self.write)
        except Violation as error:
            raise worded(error) from error

    def _refuse_reader(self) -> None:
        """Raise `SalesforceError` for a user who may only read."""
        if self.reader:
            raise SalesforceError(
                "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", status=403
            )

    def upsert(self, entity: Entity, key: Info, value: str, body: Mapping[str, Any]) -> tuple[str, bool]:
        """Update the record that has this value, or create one; returns its id, and whether it is new.

        Raises `SalesforceError`; with status 300 and the ids in `others` when several have it.
        """
        with self.org.store.transaction():
            found = self.found(entity, key, value)
            if len(found) > 1:
                raise SalesforceError(
                    "DUPLICATE_EXTERNAL_ID",
                    "duplicate external id",
                    (key.name,),
                    status=300,
                    others=tuple(found),
                )
            if found:
                self.update(entity, found[0], {name: item for name, item in body.items() if name != key.name})
                return found[0], False
            if key.name == "Id":
                raise not_found()
            return self.create(entity, {**body, key.name: value}), True

    def found(self, entity: Entity, key: Info, value: str) -> list[str]:
        """Ids of the records that have this value."""
        if key.name == "Id":
            own = canonical(value)
            there = own and self.org.store.get(entity.name, own)
            return [str(own)] if there else []
        if not value:
            raise SalesforceError("MISSING_ARGUMENT", f"{key.name} not specified", (key.name,))
        try:
            return self.org.store.find(entity.name, **{key.name: value})
        except Violation as error:
            raise worded(error) from error

    def key(self, entity: Entity, name: str) -> Info:
        """A field that records can be upserted by. Raises `SalesforceError`."""
        info = entity.find(name)
        if info is None or not info.key:
            raise SalesforceError(
                "NOT_FOUND",
                f"Provided external ID field does not exist or is not accessible: {name}",
                status=404,
            )
        return info

    def id_of(self, entity: Entity, record: str) -> str:
        """An id in its long form. Raises `SalesforceError` for what is none, or another object's."""
        own = canonical(record)
        if own is None:
            raise SalesforceError("MALFORMED_ID", f"malformed id {record}", ("Id",))
        if own[:3] != entity.prefix:
            raise SalesforceError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        return own

    # -- values ----------------------------------------------------------------------------------------------

    def _values(self, entity: Entity, body: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        values: dict[str, Any] = {}
        refused: list[str] = []
        for name, value in body.items():
            if name.casefold() in {"attributes", "id"}:
                continue
            info = entity.find(name)
            if info is None:
                reference = entity.through(name)
                if reference is None or not isinstance(value, Mapping):
                    info = self.org.field(entity, name)
                    continue
                values[reference.name] = self._referred(reference, value)
                continue
            if not self._may(info, creating=creating):
                refused.append(info.name)
            values[info.name] = self._value(info, value)
        if refused:
            listed = ", ".join(refused)
            raise SalesforceError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {listed}. Please check the security settings of this field and "
                "verify that it is read/write for your profile or permission set.",
                tuple(refused),
            )
        return values

    def _may(self, info: Info, *, creating: bool) -> bool:
        if "audit" in info.traits or info.name in AUDIT:
            return creating and self.org.switches.audit_fields
        return info.createable if creating else info.updateable

    def _value(self, info: Info, value: Any) -> Any:
        if value is None or value == "":
            return False if info.type == "boolean" else None
        match info.type:
            case "reference":
                record = canonical(value) if isinstance(value, str) else None
                if record is None:
                    raise SalesforceError(
                        "MALFORMED_ID", f"{info.words}: id value of incorrect type: {value}", (info.name,)
                    )
                self._right_object(info, record)
                return record
            case "email" if not _EMAIL.fullmatch(str(value)):
                raise SalesforceError(
                    "INVALID_EMAIL_ADDRESS", f"{info.words}: invalid email address: {value}", (info.name,)
                )
            case "base64":
                try:
                    return base64.b64decode(str(value), validate=True)
                except binascii.Error as error:
                    raise SalesforceError(
                        "JSON_PARSER_ERROR", f"{info.name}: not base64", (info.name,)
                    ) from error
            case "boolean" if not isinstance(value, bool) and str(value).casefold() not in {"true", "false"}:
                raise SalesforceError(
                    "JSON_PARSER_ERROR",
                    f"Cannot deserialize instance of boolean from VALUE_STRING value {value}",
                )
            case _:
                return value

    def _right_object(self, info: Info, record: str) -> None:
        target = self.org.of_prefix(record)
        if target is None or info.references in {(), ("*",)} or target.name in info.references:
            return
        raise SalesforceError(
            "FIELD_INTEGRITY_EXCEPTION", f"{info.words}: id value of incorrect type: {record}", (info.name,)
        )

    def _referred(self, reference: Info, value: Mapping[str, Any]) -> str:
        """The id of the record that a nested object names by one of its keys."""
        named = {name: item for name, item in value.items() if name not in {"attributes", "type"}}
        kind = value.get("type") or value.get("attributes", {}).get("type")
        target = self.org.entity(str(kind or reference.references[0]))
        if len(named) != 1:
            raise SalesforceError("INVALID_FIELD", f"{reference.relationship}: one external id is needed")
        name, wanted = next(iter(named.items()))
        key = self.key(target, name)
        found = self.found(target, key, str(wanted))
        if len(found) != 1:
            word = "not found" if not found else "is not unique"
            raise SalesforceError(
                "INVALID_FIELD",
                f"Foreign key external ID: {wanted} {word} for field {key.name} in entity {target.name}",
            )
        return found[0]

    # -- what Salesforce adds --------------------------------------------------------------------------------

    def _defaults(self, entity: Entity) -> dict[str, Any]:
        """Values of a new record that says nothing of them."""
        found: dict[str, Any] = {
            info.name: False
            for info in entity.fields.values()
            if info.type == "boolean" and info.name != "IsDeleted"
        }
        for name, value in (
            ("OwnerId", self.me), ("CreatedById", self.me), ("LastModifiedById", self.me),
            ("CurrencyIsoCode", "USD"),
        ):  # fmt: skip
            if entity.find(name):
                found[name] = value
        match entity.name:
            case "Lead":
                found["Status"] = "Open - Not Contacted"
            case "Case":
                found["Status"] = "New"
            case "Task":
                found |= {"Status": "Not Started", "Priority": "Normal"}
            case "User" | "RecordType" | "CurrencyType":
                found["IsActive"] = True
            case _:
                pass
        return found

    def _stored(self, entity: Entity, values: dict[str, Any]) -> str:
        store = self.org.store
        with store.transaction():
            values |= self._derived(entity, values)
            automatic = next((info for info in entity.fields.values() if "auto" in info.traits), None)
            if automatic:
                values[automatic.name] = f"{store.count(entity.name) + 1001:08d}"
            if "CreatedDate" in values:
                values.setdefault("LastModifiedDate", values["CreatedDate"])
            if entity.name == "ContentVersion":
                self._document(values)
            try:
                return store.insert(entity.name, values, write=self.write)
            except Violation as error:
                raise worded(error) from error

    def _derived(self, entity: Entity, row: Mapping[str, Any]) -> dict[str, Any]:
        """Fields that Salesforce computes from the others."""
        match entity.name:
            case "Contact" | "Lead" | "User":
                name = " ".join(str(row[part]) for part in ("FirstName", "LastName") if row.get(part))
                return {"Name": name[:121]}
            case "Opportunity":
                stage = str(row.get("StageName") or "")
                closed = stage.startswith("Closed")
                found: dict[str, Any] = {"IsClosed": closed, "IsWon": stage == "Closed Won"}
                if closed and stage in _PROBABILITIES:
                    found["Probability"] = _PROBABILITIES[stage]
                return found
            case "Case" | "Task":
                return {"IsClosed": str(row.get("Status")) in {"Closed", "Completed"}}
            case "Attachment":
                return {"BodyLength": len(row.get("Body") or b"")}
            case _:
                return {}

    def _document(self, values: dict[str, Any]) -> None:
        """A version's document: a new one, or a further version of one that is there, and its link."""
        store, data = self.org.store, values.get("VersionData") or b""
        path = str(values.get("PathOnClient") or "")
        extension = path.rpartition(".")[2] if "." in path else ""
        values.setdefault("Title", path.rpartition("/")[2].rpartition(".")[0] or path)
        facts = {
            "FileExtension": extension,
            "FileType": extension.upper() or "UNKNOWN",
            "ContentSize": len(data),
        }
        values |= {
            **facts, "Checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(), "IsLatest": True,
            "VersionNumber": "1",
        }  # fmt: skip
        me = {"CreatedById": self.me, "LastModifiedById": self.me}
        location = values.get("FirstPublishLocationId")
        if not values.get("ContentDocumentId"):
            made = {**facts, **me, "Title": values["Title"], "OwnerId": values.get("OwnerId")}
            values["ContentDocumentId"] = store.insert("ContentDocument", made)
        if location:
            link = {
                "ContentDocumentId": values["ContentDocumentId"], "LinkedEntityId": location, "ShareType": "V", **me,
            }  # fmt: skip
            store.insert("ContentDocumentLink", link)
