"""Personal values made unreadable for logs, reports and quarantine lists, yet recognisable to who knows them."""

from __future__ import annotations


def mask(value: str | None) -> str:
    """Keep the first character and the length class of a value, hide the rest; an address keeps its '@'.

    >>> mask("Maria Gómez"), mask("a.b@example.com"), mask("王伟"), mask(None)
    ('M•••• (11)', 'a•••@e••• (15)', '王•••• (2)', '∅')
    """
    if value is None:
        return "∅"
    if not value:
        return "''"
    size = len(value)
    local, at, domain = value.partition("@")
    if at and local and domain:
        return f"{local[0]}•••@{domain[0]}••• ({size})"
    return f"{value[0]}•••• ({size})"
