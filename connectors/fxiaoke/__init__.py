"""Fxiaoke / ShareCRM 纷享销客 over its OpenAPI, as source and as target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.fxiaoke.settings import HOSTS, SETTINGS, parse
from migrator.core.connector import Connector, Recognition, Source, Target

_HOST = re.compile(r"(?:https://)?(" + "|".join(re.escape(host) for host in HOSTS) + r")/?")


def open_source(settings: Mapping[str, Any]) -> Source:
    """A source over one tenant; signs in at the first call."""
    from connectors.fxiaoke.source import FxiaokeSource

    return FxiaokeSource(parse(settings))


def open_target(settings: Mapping[str, Any]) -> Target:
    """A target over one tenant; signs in at the first call."""
    from connectors.fxiaoke.target import FxiaokeTarget

    return FxiaokeTarget(parse(settings))


def recognise(what: str) -> Recognition | None:
    """The address of one of Fxiaoke's clouds."""
    found = _HOST.fullmatch(what)
    if found is None:
        return None
    return Recognition(0.9, f"the address of {HOSTS[found[1]]}", {"host": found[1]})


CONNECTOR = Connector(
    name="fxiaoke",
    summary="Fxiaoke / ShareCRM 纷享销客 over its OpenAPI",
    settings=SETTINGS,
    open_source=open_source,
    open_target=open_target,
    recognise=recognise,
)
