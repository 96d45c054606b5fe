"""What every part of `migration.yaml` is checked for: keys that nobody reads, and values of another type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from migrator.core.document import Document, TreePath, did_you_mean
from migrator.core.errors import Problem


def unknown_keys(
    document: Document, path: TreePath, data: Mapping[Any, Any], known: Mapping[str, Any]
) -> list[Problem]:
    """Keys of a mapping that are not `known`."""
    return [
        Problem(
            document.locate_key((*path, str(key))),
            f"unknown key {key!r}",
            did_you_mean(str(key), known, noun="keys"),
        )
        for key in data
        if key not in known
    ]


def wrong_types(
    document: Document, path: TreePath, data: Mapping[Any, Any], known: Mapping[str, type]
) -> list[Problem]:
    """Values of a mapping that are not of their key's type; a key whose type is `object` may hold anything."""
    return [
        Problem(
            document.locate((*path, key)),
            f"{key} must be a {_WORDS[known[key]]}, not {value!r}",
            f"for example: {key}: {_EXAMPLES.get(key, '…')}",
        )
        for key, value in data.items()
        if key in known
        and known[key] is not object
        and (not isinstance(value, known[key]) or isinstance(value, bool) is not (known[key] is bool))
    ]


_EXAMPLES: Mapping[str, str] = {
    "project": "acme",
    "systems": "{crm: {connector: sql, url: 'sqlite:///new.db'}}",
    "mappings": "mappings",
    "ledger": "sqlite:///.migrator/ledger.db",
    "engine": "{memory_limit: 1GB}",
    "batch_rows": "10000",
    "hooks": "true",
    "sync": "{every: 5m}",
    "production": "true",
    "memory_limit": "1GB",
    "threads": "2",
    "temp_directory": "/mnt/large/spill",
    "kind": "spark",
    "spark": "{master: 'spark://host:7077'}",
    "master": "spark://host:7077",
    "place": "s3://bucket/folder",
    "options": "{key: '${env:S3_KEY}', secret: '${env:S3_SECRET}'}",
    "conf": "{spark.executor.memory: 4g}",
}
_WORDS: Mapping[type, str] = {str: "text", int: "whole number", dict: "mapping", bool: "yes or no"}
