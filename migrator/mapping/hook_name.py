"""How a mapping names a function of its project: hooks.FUNCTION, or hooks.FILE.FUNCTION."""

from __future__ import annotations

import re

from migrator.mapping.model_base import problem

_HOOK = re.compile(r"hooks(?:\.[A-Za-z][A-Za-z0-9_]*)+")


def hook_name(value: str) -> str:
    """The name, if it is one."""
    if not _HOOK.fullmatch(value):
        raise problem(
            f"{value!r} is not a hook", "hooks.FUNCTION in hooks.py, or hooks.FILE.FUNCTION in hooks/FILE.py"
        )
    return value
