"""The JSON Schema of runbooks: what editors complete and check by; a copy stands beside the shipped ones."""

from __future__ import annotations

from typing import Any

from migrator.runbook.model import RunbookRule


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a runbook, for editors."""
    schema = RunbookRule.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A runbook"}
