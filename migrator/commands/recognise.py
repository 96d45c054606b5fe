"""Which connector can read what a person named on the command line, and what the system will be called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from migrator.core.connector import Connector, Recognition, connectors
from migrator.core.document import Document, did_you_mean
from migrator.core.errors import ProjectError

_SURE_LEAD = 0.1
"""A connector must be this much surer than the next one, or a person has to say which."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A named thing, the connector that opens it, and why that one."""

    name: str
    connector: Connector
    settings: Mapping[str, Any]
    reason: str


def recognise(spec: str) -> Recognised:
    """Recognise `[NAME=][CONNECTOR:]WHAT`, where WHAT is a path or a database URL.

    Raises `ProjectError` when nothing, or more than one connector equally, claims it.
    """
    name, what = _split_name(spec)
    known = connectors()
    forced, what = _split_connector(what, known)
    claims = _claims(what, [known[forced]] if forced else list(known.values()))
    if not what or not claims:
        raise ProjectError.at("--source", *_why_nothing_reads(what, known))
    claims.sort(key=lambda claim: -claim[1].confidence)
    (best, found), *others = claims
    if others and found.confidence - others[0][1].confidence < _SURE_LEAD:
        listed = "; ".join(f"{item.name} ({claim.reason})" for item, claim in claims[:3])
        raise ProjectError.at(
            "--source", f"{what!r} could be read as {listed}", f"say which, for example: {best.name}:{what}"
        )
    return Recognised(name or _default_name(best.name, what), best, found.settings, found.reason)


def _why_nothing_reads(what: str, known: Mapping[str, Connector]) -> tuple[str, str]:
    """What is wrong with a thing that no connector claims, and what to do."""
    readable = ", ".join(item.name for item in known.values() if item.recognise)
    path = Path(what).expanduser()
    if not what or not ("://" in what or path.exists()):
        return f"there is no {what!r}", "name an export (a zip, a folder, a file) or a database URL"
    if path.suffix.lower() == ".zip" and path.is_file() and not is_zipfile(path):
        return f"{what!r} is no whole zip file", "download or copy it again, and compare its size"
    return f"nothing here can read {what!r}", f"installed connectors: {readable}"


def with_settings(recognised: Sequence[Recognised], settings: Sequence[str]) -> list[Recognised]:
    """The systems with '[SYSTEM.]NAME=VALUE' settings added; a VALUE is YAML.

    Raises `ProjectError` for an unknown system or setting, and when no system is named but there are several.
    """
    found = {item.name: item for item in recognised}
    for text in settings:
        path, equals, raw = text.partition("=")
        system, dot, name = path.rpartition(".")
        if not equals or (not dot and len(found) > 1) or (dot and system not in found):
            raise ProjectError.at(
                "--set",
                f"{text!r} is no setting of a source",
                f"for example {next(iter(found))}.encoding=cp1252",
            )
        item = found[system or next(iter(found))]
        if name not in item.connector.settings:
            hint = did_you_mean(name, item.connector.settings, noun="settings")
            raise ProjectError.at("--set", f"{item.connector.name} has no setting {name!r}", hint)
        value = Document(raw, "--set").data
        found[item.name] = replace(item, settings={**item.settings, name: value})
    return list(found.values())


def _claims(what: str, candidates: list[Connector]) -> list[tuple[Connector, Recognition]]:
    claims = []
    for candidate in candidates:
        found = candidate.recognise(what) if candidate.recognise else None
        if found is not None and found.confidence > 0:
            claims.append((candidate, found))
    return claims


def _split_name(spec: str) -> tuple[str, str]:
    match = re.match(r"([A-Za-z][A-Za-z0-9_-]*)=(.+)", spec, re.DOTALL)
    return (match[1], match[2]) if match else ("", spec)


def _split_connector(what: str, known: Mapping[str, Connector]) -> tuple[str, str]:
    head, colon, rest = what.partition(":")
    return (head, rest) if colon and head in known and not rest.startswith("//") else ("", what)


def _default_name(connector_name: str, what: str) -> str:
    if connector_name.endswith("-export"):
        return connector_name.removesuffix("-export")
    stem = re.sub(r"[^A-Za-z0-9]+", "_", what.rstrip("/").rpartition("/")[2].partition(".")[0]).strip("_")
    return stem.lower() if re.match(r"[A-Za-z]", stem) else "legacy"
