"""Personal values made unreadable for logs, reports and quarantine lists, yet recognisable to who knows them."""

from __future__ import annotations


def mask(value: str | None) -> str:
    """Keep the first character and the length of a value, hide the rest; an address keeps its '@'.

    Of one or two characters nothing is kept: the first would be a whole Chinese family name.

    >>> mask("Maria Gómez"), mask("a.b@example.com"), mask("王伟"), mask(None)
    ('M•••• (11)', 'a•••@e••• (15)', '•••• (2)', '∅')
    """
    if value is None:
        return "∅"
    if not value:
        return "''"
    size = len(value)
    local, at, domain = value.partition("@")
    if at and local and domain:
        return f"{local[0]}•••@{domain[0]}••• ({size})"
    return f"{value[0] if size > 2 else ''}•••• ({size})"
