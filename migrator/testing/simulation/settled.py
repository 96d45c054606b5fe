"""What must hold when users and faults have rested: agreement or a named exception for every group, and not too many of those."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.testing.simulation.checker import NOBODYS, Checker
from migrator.testing.simulation.groups import Node
from migrator.testing.simulation.history import Actor, Deed, Held
from migrator.testing.simulation.shape import NEW, OLD, SHAPES, Kind, Pair, shape_of

ASIDE = "#"
"""Reason of a record that stands apart from its group until a person decides."""


def check_settled(checker: Checker, *, invariant: str = "I3") -> None:
    """Check section 17 on the world as it is; violations get `invariant`, or a narrower one."""
    checker.catch_up()
    world = checker.world
    nodes = [(side, id_) for side, crm in world.crms.items() for id_, row in crm.rows.items() if row.alive]
    listed = checker.witness.listed() if checker.witness else {}
    groups = [part for group in checker.groups.all(nodes) for part in checker.known_groups(group)]
    for group in groups:
        live = [node for node in group if world.crms[node[0]].alive(node[1])]
        reasons = tuple(reason for node in group for reason in listed.get(node, ()))
        _check_sides(checker, group, live, reasons, invariant)
        apart = [node for node in live if ASIDE in listed.get(node, ())]
        _check_fields(checker, group, [node for node in live if node not in apart], reasons, invariant)
    for side in world.crms:
        _check_keys(checker, side)
    _check_holds(checker, listed)
    for node in checker.witness.returned() if checker.witness else ():
        if not checker.may_have_returned(node):
            checker.broken(
                "I8", f"{node[0]} {node[1]} waits as if it had come back, and nobody ever deleted it"
            )


def _check_sides(
    checker: Checker, group: list[Node], live: list[Node], reasons: tuple[str, ...], invariant: str
) -> None:
    """Both sides live, or both dead, or the group is listed."""
    sides = {node[0] for node in live}
    if len(sides) != 1 or reasons:
        return
    side = next(iter(sides))
    ends = [event for node in group for event in checker.world.history.deletions(*node)]
    if any(event.deed is Deed.CONVERT for event in ends):
        return
    across_was = [node for node in group if node[0] != side]
    text = f"{live[0][0]} {live[0][1]} has no live partner ({[node[1] for node in across_was]}) and is listed nowhere"
    checker.broken(invariant, text)


def _check_fields(
    checker: Checker, group: list[Node], live: list[Node], reasons: tuple[str, ...], invariant: str
) -> None:
    olds = [node for node in live if node[0] == OLD]
    news = [node for node in live if node[0] == NEW]
    if not olds or not news or "" in reasons:
        return
    row = checker.world.crms[OLD].rows[olds[0][1]]
    for pair in shape_of(OLD, row.object).pairs:
        if pair.new not in reasons:
            _check_field(checker, pair, group, olds + news, invariant)


def _check_field(checker: Checker, pair: Pair, group: list[Node], live: list[Node], invariant: str) -> None:
    """The member changed last since the group was formed must agree with every other, as long as it lives."""
    changed = [
        (held.since, node, held) for node in group if (held := _entered(checker, pair, node)) is not None
    ]
    if not changed:
        return
    _, node, held = max(changed, key=lambda each: (each[0], each[1]))
    wrong = {"forward": NEW, "reverse": OLD}.get(pair.direction)
    if node[0] == wrong or node not in live:
        return
    for other_node in live:
        if other_node == node or (pair.direction != "both" and other_node[0] == node[0]):
            continue
        mine = checker.world.history.entered(*node, pair.name(node[0]))
        theirs = checker.world.history.entered(*other_node, pair.name(other_node[0]))
        if theirs is not None and theirs.actor is Actor.REACTION and theirs.since >= held.since:
            continue
        # a link that the system itself emptied when the sync deleted its record: what stands there is the base then (7.4),
        # and members that differ without a change stay as they are (3, 5.3)
        if mine is not None and mine.actor is Actor.REACTION and pair.kind is Kind.LINK:
            continue
        if other_node[0] == wrong and _stays(checker, pair, other_node, theirs, held):
            continue
        value, other_value = mine.value if mine else None, theirs.value if theirs else None
        if checker.judge.agrees(pair, node, value, other_node, other_value):
            continue
        if pair.consent and (other_value is True or value is True) and held.value is not True:
            continue
        narrower = "I17" if pair.kind is Kind.LINK else "I14" if value is None else invariant
        checker.broken(
            narrower,
            f"{pair.old}: {node[0]} {node[1]} has {value!r}, {other_node[0]} {other_node[1]} has {other_value!r}",
        )


def _stays(checker: Checker, pair: Pair, node: Node, stray: Held | None, last: Held) -> bool:
    """Whether a record has a value of its own against the direction, later than `last` and told: however its group fared since.

    "An edit on its wrong side is an out-of-policy edit: logged always, reverted only with `enforce: true`" (section 3).
    """
    if stray is None or stray.actor in NOBODYS or stray.since <= last.since or checker.witness is None:
        return False
    return checker.witness.logged(node[0], pair.new, stray.value)


def _entered(checker: Checker, pair: Pair, node: Node) -> Held | None:
    """The newest value that somebody else than the sync gave a field, later than the group was formed; None without."""
    line = checker.world.history.lines.get(node, {}).get(pair.name(node[0]), [])
    formed = checker.formed(node)
    own = checker.created_by_user(node)
    for held in reversed(line):
        if held.actor not in NOBODYS and (
            held.since > formed or (own and len(checker.groups.members(node)) == 2)
        ):
            # "changed(x, f): native value now differs from the base of the same member and field" (1): what is as it was
            # last carried did not change, whatever it was in between, and what another member got meanwhile stands
            return None if held is line[-1] and checker.is_back(pair, node, held) else held
    return None


def _check_keys(checker: Checker, side: str) -> None:
    """I5: no external key twice among the live records of a side."""
    for shape in SHAPES:
        seen: dict[object, str] = {}
        for row in checker.world.crms[side].live(shape.object(side)):
            key = row.values[shape.key(side)]
            if key is not None and key in seen:
                checker.broken("I5", f"{side} {shape.object(side)} {row.id} and {seen[key]} both carry {key}")
            seen[key] = row.id


def _check_holds(checker: Checker, listed: Mapping[Node, tuple[str, ...]]) -> None:
    """Groups may wait only for a reason that the checker knows too: their number is bounded by what happened."""
    for node in listed:
        if not checker.has_cause(node):
            checker.broken(
                "I3",
                f"{node[0]} {node[1]} waits ({', '.join(listed[node])}), and nothing ever happened to it",
            )
