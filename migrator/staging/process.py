"""Whose process is whose: whether the owner of a lease or of a spill folder may still work."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def machine() -> str:
    """What process numbers of this process can be compared within: host, boot and process namespace."""
    name = socket.gethostname()[:100]
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:  # no Linux: the host name has to do
        return name
    return f"{name}/{boot}/{namespace}"


def is_alive(place: str, pid: int) -> bool:
    """Whether a process may still work; one in another place than `machine()` is taken for alive until its lease expires."""
    if place != machine():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
