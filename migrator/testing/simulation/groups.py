"""Which records truly belong together: what the load linked, what creates by key joined, what users merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from migrator.testing.simulation.history import Event

Node = tuple[str, str]
"""Side and id."""


class Groups:
    """Groups of records, joined and never parted."""

    def __init__(self) -> None:
        self._parent: dict[Node, Node] = {}
        self._members: dict[Node, list[Node]] = {}
        self._ties: dict[Node, list[tuple[Node, Event | None]]] = {}
        """Record -> what it was joined with, and the merge that did it."""
        self.formed: dict[Node, float] = {}
        """By root: when the group last changed."""

    def root(self, node: Node) -> Node:
        """What stands for the group of a record."""
        path = []
        while (parent := self._parent.get(node, node)) != node:
            path.append(node)
            node = parent
        for each in path:
            self._parent[each] = node
        return node

    def join(self, one: Node, two: Node, at: float, merge: Event | None = None) -> None:
        """From `at` on the two belong together, because of a merge or by load or key."""
        self.tie(one, two, merge)
        first, second = self.root(one), self.root(two)
        if first != second:
            self._parent[second] = first
            self._members[first] = [*self._of(first), *self._of(second)]
            self._members.pop(second, None)
        self.formed[first] = at

    def tie(self, one: Node, two: Node, merge: Event | None = None) -> None:
        """Note what leads from one record of a group to another."""
        self._ties.setdefault(one, []).append((two, merge))
        self._ties.setdefault(two, []).append((one, merge))

    def reached(self, node: Node, counts: Callable[[Event], bool]) -> set[Node]:
        """Records of its group that loads, keys and those merges lead to which count."""
        found, ahead = {node}, [node]
        while ahead:
            ties = self._ties.get(ahead.pop(), ())
            near = {each for each, merge in ties if merge is None or counts(merge)} - found
            found |= near
            ahead += near
        return found

    def members(self, node: Node) -> list[Node]:
        """Every record of a group, dead ones too, in the order they joined."""
        return self._of(self.root(node))

    def partners(self, node: Node) -> list[Node]:
        """The others of its group."""
        return [each for each in self.members(node) if each != node]

    def together(self, one: Node, two: Node) -> bool:
        """Whether two records belong together."""
        return self.root(one) == self.root(two)

    def changed(self, node: Node) -> float:
        """When its group last changed."""
        return self.formed.get(self.root(node), 0.0)

    def all(self, nodes: Iterable[Node]) -> list[list[Node]]:
        """The groups of these records, each once."""
        return [self._of(root) for root in dict.fromkeys(self.root(node) for node in nodes)]

    def _of(self, root: Node) -> list[Node]:
        return self._members.get(root, [root])
