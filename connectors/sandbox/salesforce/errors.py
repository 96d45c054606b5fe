"""Salesforce's own words for what goes wrong: a status, a code, a message and the fields.

Codes: vendor's StatusCode and REST "Status Codes and Error Responses"; wording as recorded in the protocol sheet.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from connectors.sandbox.violations import Refused, Violation


class SalesforceError(Exception):
    """One error, of a request or of one row."""

    def __init__(
        self,
        code: str,
        message: str,
        fields: tuple[str, ...] = (),
        *,
        status: int = 400,
        others: tuple[str, ...] = (),
        rule: str = "",
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.fields, self.status = code, message, fields, status
        self.others, self.rule = others, rule

    def single(self) -> list[dict[str, Any]]:
        """The body of a request for one record, or of a request that failed as a whole."""
        found: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields:
            found["fields"] = list(self.fields)
        if self.code == "DUPLICATES_DETECTED":
            found["duplicateResut"] = self._duplicates()  # sic
        return [found]

    def of_row(self) -> dict[str, Any]:
        """One error inside an answer about many rows."""
        found: dict[str, Any] = {
            "statusCode": self.code,
            "message": self.message,
            "fields": list(self.fields),
        }
        if self.code == "DUPLICATES_DETECTED":
            found["duplicateResult"] = self._duplicates()
        return found

    def of_bulk(self) -> str:
        """The column sf__Error."""
        return f"{self.code}:{self.message}:{' '.join(self.fields)} --"

    def response(self) -> Response:
        """The answer to a request."""
        return JSONResponse(self.single(), self.status)

    def _duplicates(self) -> dict[str, Any]:
        return {
            "allowSave": True,
            "duplicateRule": self.rule,
            "errorMessage": self.message,
            "matchResults": [
                {
                    "rule": self.rule,
                    "matchEngine": "ExactMatchEngine",
                    "matchRecords": [
                        {"record": {"Id": other}, "matchConfidence": 100.0} for other in self.others
                    ],
                }
            ],
        }


_CODES = {
    Refused.NO_OBJECT: "INVALID_TYPE",
    Refused.NO_FIELD: "INVALID_FIELD",
    Refused.NO_RECORD: "NOT_FOUND",
    Refused.DELETED: "ENTITY_IS_DELETED",
    Refused.READ_ONLY: "INVALID_FIELD_FOR_INSERT_UPDATE",
    Refused.REQUIRED: "REQUIRED_FIELD_MISSING",
    Refused.TYPE: "JSON_PARSER_ERROR",
    Refused.LENGTH: "STRING_TOO_LONG",
    Refused.RANGE: "NUMBER_OUTSIDE_VALID_RANGE",
    Refused.PICKLIST: "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    Refused.REFERENCE: "INVALID_CROSS_REFERENCE_KEY",
    Refused.UNIQUE: "DUPLICATE_VALUE",
    Refused.EXISTS: "DUPLICATE_VALUE",
    Refused.RULE: "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    Refused.DUPLICATE: "DUPLICATES_DETECTED",
    Refused.LOCKED: "UNABLE_TO_LOCK_ROW",
    Refused.CHANGED: "PRECONDITION_FAILED",
}
_STATUS = {"NOT_FOUND": 404, "ENTITY_IS_DELETED": 404, "INVALID_TYPE": 400}


def worded(error: Violation) -> SalesforceError:
    """A refusal of the record store in Salesforce's words."""
    code = _CODES[error.kind]
    message = error.message
    match error.kind:
        case Refused.LOCKED:
            message = f"unable to obtain exclusive access to this record or 1 records: {error.record}"
        case Refused.NO_RECORD:
            message = "The requested resource does not exist"
        case Refused.DELETED:
            message = "entity is deleted"
        case Refused.LENGTH:
            message = f"{error.fields[0]}: {message}"
        case _:
            pass
    return SalesforceError(
        code, message, error.fields,
        status=_STATUS.get(code, 400), others=error.others, rule=error.rule,
    )  # fmt: skip


def not_found() -> SalesforceError:
    """There is no such resource."""
    return SalesforceError("NOT_FOUND", "The requested resource does not exist", status=404)
