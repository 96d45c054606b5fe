"""Times as people write them in a runbook: `90s`, `15m`, `1h30m`, `14d`; as seconds inside."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_ONE = r"\d+(?:\.\d+)?[dhms]"
PATTERN = re.compile(rf"(?:{_ONE})+")


def seconds(text: str) -> float:
    """The seconds that a text means; raises `ValueError` when it means none."""
    if not PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is not a time")
    return sum(float(part[:-1]) * _UNITS[part[-1]] for part in re.findall(_ONE, text))


def spoken(duration: float) -> str:
    """Seconds as people write them: two units at most, `0s` for none."""
    left, parts = round(duration), []
    for unit, size in _UNITS.items():
        count, left = divmod(left, int(size))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
