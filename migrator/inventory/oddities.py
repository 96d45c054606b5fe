"""What a person should look at that only the whole tells: objects that grew too large, screens and record types nobody gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from migrator.core.components import Component, ComponentKind

LIMITS = {
    ComponentKind.FIELD: (350, "fields"),
    ComponentKind.LAYOUT: (15, "layouts and forms"),
    ComponentKind.VALIDATION: (20, "validation rules"),
    ComponentKind.AUTOMATION: (20, "automations"),
}
"""Most of a kind that one object may have before it is told; after the score rules of Org Check."""
FULL_LAYOUT = 100
_GIVEN = frozenset({ComponentKind.LAYOUT, ComponentKind.RECORD_TYPE})


class Whole:
    """All components, counted so that each can be looked at beside the others."""

    def __init__(self, components: Sequence[Component]) -> None:
        self._counts = Counter((item.owner.casefold(), item.kind) for item in components if item.owner)
        self._profiles = {item.type for item in components if item.kind is ComponentKind.PERMISSION}
        self._owned = {item.type for item in components if item.kind in _GIVEN and item.owner}

    def of(self, item: Component, used_by: Sequence[Component]) -> Iterator[str]:
        """What is odd about one of them."""
        if item.kind is ComponentKind.OBJECT:
            for kind, (most, word) in LIMITS.items():
                count = self._counts[item.name.casefold(), kind]
                if count > most:
                    yield f"{count} {word}"
        if item.kind is ComponentKind.LAYOUT and item.size.get("fields", 0) > FULL_LAYOUT:
            yield f"{item.size['fields']} fields on it"
        if item.kind in _GIVEN and item.type in self._owned and self._assigns(used_by) is False:
            yield "no profile or permission set of this export gives it to anybody"

    def _assigns(self, used_by: Sequence[Component]) -> bool | None:
        """Whether a permission names it; None when the export holds none."""
        if not self._profiles:
            return None
        return any(one.kind is ComponentKind.PERMISSION for one in used_by)
