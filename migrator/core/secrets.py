"""Secrets come from the environment, a mounted file or the keyring, named in settings as ${env:NAME}; never from YAML."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, ProjectError

_REFERENCE = re.compile(r"\$\{(\w+):([^}]+)\}")
_KINDS = ("env", "file", "keyring")


def resolve(settings: Mapping[str, Any], place: Location) -> dict[str, Any]:
    """Settings with every ${env:NAME}, ${file:PATH} and ${keyring:SERVICE/USER} in a text replaced by what it names.

    Raises `ProjectError` when a name is not set; a secret's value appears in no message.
    """
    return {name: _resolve_value(value, place) for name, value in settings.items()}


def _resolve_value(value: Any, place: Location) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _look_up(match[1], match[2], place), value)
    if isinstance(value, Mapping):
        return resolve(value, place)
    if isinstance(value, list):
        return [_resolve_value(item, place) for item in value]
    return value


def _look_up(kind: str, name: str, place: Location) -> str:
    match kind:
        case "env":
            found = os.environ.get(name)
            if found is None:
                raise ProjectError.at(
                    place, f"the environment variable {name} is not set", f"export {name}=… and run again"
                )
            return found
        case "file":
            try:
                return Path(name).read_text(encoding="utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ProjectError.at(
                    place,
                    f"cannot read the secret file {name}: {why}",
                    "it must hold the secret and nothing else, and be readable for this user",
                ) from error
        case "keyring":
            return _from_keyring(name, place)
        case _:
            raise ProjectError.at(
                place, f"secrets are not looked up in {kind!r}", did_you_mean(kind, _KINDS, noun="places")
            )


def _from_keyring(name: str, place: Location) -> str:
    import keyring

    service, _, user = name.rpartition("/")
    found = keyring.get_password(service, user) if service else None
    if found is None:
        raise ProjectError.at(
            place,
            f"the keyring has no entry {name!r}",
            f"set it with: keyring set {service or 'SERVICE'} {user}",
        )
    return found
