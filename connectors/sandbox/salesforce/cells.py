"""Values as the store holds them, written as Salesforce writes them: in JSON, and in the CSV of the Bulk API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.sandbox.salesforce.metadata import Info
from connectors.sandbox.where import SqlValue


def json_cell(info: Info) -> Callable[[SqlValue], Any] | None:
    """How a field's values go into JSON; None when they go as they are."""
    match info.type:
        case "boolean":
            return bool
        case "datetime":
            return lambda value: None if value is None else f"{str(value)[:23]}+0000"
        case "double" | "currency" | "percent":
            return lambda value: None if value is None else float(str(value))
        case "time":
            return lambda value: None if value is None else f"{value!s}Z"
        case _:
            return None


def csv_cell(info: Info) -> Callable[[SqlValue], str] | None:
    """How a field's values go into CSV; None when they are text already. Null and empty are the same there."""
    match info.type:
        case "boolean":
            return lambda value: "true" if value else "false"
        case "datetime":
            return lambda value: "" if value is None else f"{str(value)[:23]}Z"
        case "time":
            return lambda value: "" if value is None else f"{value!s}Z"
        case "double" | "currency" | "percent":
            return lambda value: "" if value is None else str(value)
        case _:
            return None
