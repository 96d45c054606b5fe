"""Whether two values of two records of one group say the same, as a person would judge who knows every quirk of both systems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from migrator.testing.simulation.groups import Groups, Node
from migrator.testing.simulation.quirks import normalised
from migrator.testing.simulation.shape import BY_NAME, OLD, Kind, Pair, Value, across, same
from migrator.testing.simulation.world import World


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares values of records; knows normalisers, value maps and what truly belongs together."""

    world: World
    groups: Groups

    def agrees(self, pair: Pair, one: Node, value: Value, two: Node, theirs: Value) -> bool:
        """Whether either value, carried over to the other record and stored there, gives what stands there."""
        return self.carries(pair, one, value, two[0], theirs) or self.carries(
            pair, two, theirs, one[0], value
        )

    def carries(self, pair: Pair, source: Node, value: Value, side: str, written: Value) -> bool:
        """Whether `value` of `source`, carried over to `side`, is `written`, or is stored as what `written` is stored as."""
        if pair.kind is Kind.LINK:
            return self._links(source[0], value, side, written)
        carried = value if source[0] == side else across(pair, source[0], value)
        if same(pair, carried, written):
            return True
        if source[0] == side and same(pair, across(pair, side, value), across(pair, side, written)):
            return True
        if same(pair, normalised(side, *_place(pair, side), carried), written):
            return True
        back = written if source[0] == side else across(pair, side, written)
        return same(pair, normalised(source[0], *_place(pair, source[0]), back), value)

    def becomes(self, pair: Pair, source: Node, value: Value, side: str, written: Value) -> bool:
        """Whether `written` is exactly what the mapping makes of `value`: nothing normalised is ever written.

        Several old values may stand for one new one: each of them will do (complement rule).
        """
        if pair.kind is Kind.LINK:
            return self._links(source[0], value, side, written)
        if pair.kind is Kind.PICK:
            return _as_new(pair, source[0], value) == _as_new(pair, side, written)
        return type(value) is type(written) and value == written

    def _links(self, source: str, value: Value, side: str, written: Value) -> bool:
        if value is None or written is None:
            return value is written or (value is not None and not self._has_partner(source, value, side))
        return self.groups.together((source, str(value)), (side, str(written)))

    def _has_partner(self, source: str, value: Value, side: str) -> bool:
        """Whether the record a link names has a live partner over there that the link could name."""
        members = self.groups.members((source, str(value)))
        return any(node[0] == side and self.world.crms[side].alive(node[1]) for node in members)


def _as_new(pair: Pair, side: str, value: Value) -> Value:
    return across(pair, side, value) if side == OLD else value


@lru_cache(maxsize=1000)
def _place(pair: Pair, side: str) -> tuple[str, str]:
    shape = next(shape for shape in BY_NAME.values() if pair in shape.pairs)
    return shape.object(side), pair.name(side)
