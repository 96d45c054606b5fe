"""What a record store refuses, as data: each sandbox words it in its own system's codes."""

from __future__ import annotations

from enum import Enum


class Refused(Enum):
    """Why a read or write was refused."""

    NO_OBJECT = "no such object"
    NO_FIELD = "no such field"
    NO_RECORD = "no such record"
    DELETED = "the record is deleted"
    READ_ONLY = "the field cannot be written"
    REQUIRED = "a required field is empty"
    TYPE = "the value is not of the field's type"
    LENGTH = "the text is too long"
    RANGE = "the number is out of range"
    PICKLIST = "the value is not in the list"
    REFERENCE = "the record referred to is not there"
    UNIQUE = "another record has this value"
    EXISTS = "a record with this id exists"
    RULE = "a validation rule does not hold"
    DUPLICATE = "a duplicate rule found others"
    LOCKED = "another transaction holds the record"
    CHANGED = "the record changed since it was read"


class Violation(Exception):
    """One refusal: `record` is the id of the record at fault, `others` those it collides with."""

    def __init__(
        self,
        kind: Refused,
        message: str,
        *,
        object_name: str = "",
        fields: tuple[str, ...] = (),
        record: str = "",
        others: tuple[str, ...] = (),
        rule: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.object_name = object_name
        self.fields = fields
        self.record = record
        self.others = others
        self.rule = rule
