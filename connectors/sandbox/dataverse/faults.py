"""What a Dataverse sandbox says when it refuses: the service's own codes and words."""

from __future__ import annotations

from connectors.http_answers import encode
from connectors.sandbox.violations import Refused, Violation

CODES: dict[Refused, tuple[int, str]] = {
    Refused.NO_OBJECT: (404, "0x80060888"),
    Refused.NO_FIELD: (400, "0x80060888"),
    Refused.NO_RECORD: (404, "0x80040217"),
    Refused.DELETED: (404, "0x80040217"),
    Refused.READ_ONLY: (400, "0x80048d19"),
    Refused.REQUIRED: (400, "0x80040200"),
    Refused.TYPE: (400, "0x80048d19"),
    Refused.LENGTH: (400, "0x80044331"),
    Refused.RANGE: (400, "0x80044330"),
    Refused.PICKLIST: (400, "0x80048408"),
    Refused.REFERENCE: (404, "0x80040217"),
    Refused.UNIQUE: (412, "0x80060892"),
    Refused.EXISTS: (412, "0x80040237"),
    Refused.RULE: (400, "0x80040265"),
    Refused.DUPLICATE: (412, "0x80040333"),
    Refused.LOCKED: (500, "0x80044151"),
    Refused.CHANGED: (412, "0x80060882"),
}


class Refusal(Exception):
    """A request that is not carried out: status, code and words of the service."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def refusal(error: Violation) -> Refusal:
    """What the service says of a violation."""
    status, code = CODES[error.kind]
    column = error.fields[0] if error.fields else ""
    said = {
        Refused.LENGTH: f"A validation error occurred. The length of the '{column}' attribute of the "
        f"'{error.object_name}' entity exceeded the maximum allowed length.",
        Refused.NO_RECORD: f"{error.object_name} With Id = {error.record} Does Not Exist",
        Refused.REFERENCE: f"Entity With Id = {error.record} Does Not Exist",
        Refused.UNIQUE: f"Entity Key {column} violated. A record with the same value for {column} already exists.",
        Refused.TYPE: f"Error identified in Payload provided by the user: '{column}' attribute: {error.message}",
        Refused.NO_FIELD: f"Could not find a property named '{column}' on type 'Microsoft.Dynamics.CRM.{error.object_name}'.",
    }
    return Refusal(status, code, said.get(error.kind, error.message))


def error_body(code: str, message: str) -> bytes:
    """The documented shape."""
    return encode({"error": {"code": code, "message": message}})
