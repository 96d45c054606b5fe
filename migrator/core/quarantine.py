"""The words of quarantine that the command line speaks too."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Whether somebody decided that a complaint may stand."""

    OPEN = "open"
    WAIVED = "waived"
