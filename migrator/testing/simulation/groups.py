"""Which records truly belong together: what the load linked, what creates by key joined, what users merged."""

from __future__ import annotations

from collections.abc import Iterable

Node = tuple[str, str]
"""Side and id."""


class Groups:
    """Groups of records, joined and never parted."""

    def __init__(self) -> None:
        self._parent: dict[Node, Node] = {}
        self._members: dict[Node, list[Node]] = {}
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

    def join(self, one: Node, two: Node, at: float) -> None:
        """From `at` on the two belong together."""
        first, second = self.root(one), self.root(two)
        if first != second:
            self._parent[second] = first
            self._members[first] = [*self._of(first), *self._of(second)]
            self._members.pop(second, None)
        self.formed[first] = at

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
