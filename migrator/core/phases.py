"""The phases P0 to P11 in which a group of objects goes from the old system to the new one, and what may follow what."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """Where a group of objects stands; the order of the members is the order of the way."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"
    P6 = "P6"
    P7 = "P7"
    P8 = "P8"
    P9 = "P9"
    P10 = "P10"
    P11 = "P11"

    @property
    def number(self) -> int:
        """Its place on the way, from 0."""
        return int(self.value[1:])

    @property
    def title(self) -> str:
        """What happens in it, in words."""
        return _TITLES[self]

    @property
    def direction(self) -> str:
        """Which way changes flow in it: '-', 'forward', 'both' or 'reverse'."""
        return _DIRECTIONS[self]

    @property
    def policy(self) -> str:
        """Whose value wins a conflict: 'old_wins', 'per_field', 'new_wins', or '-' while nothing is in step."""
        return _POLICIES[self]


_TITLES = {
    Phase.P0: "prepare", Phase.P1: "initial load", Phase.P2: "catch-up", Phase.P3: "dual run, forward",
    Phase.P4: "dual run, both ways", Phase.P5: "freeze", Phase.P6: "final delta", Phase.P7: "verify",
    Phase.P8: "switch", Phase.P9: "reverse sync", Phase.P10: "rollback", Phase.P11: "retire",
}  # fmt: skip
_DIRECTIONS = {
    Phase.P0: "-", Phase.P1: "forward", Phase.P2: "forward", Phase.P3: "forward", Phase.P4: "both",
    Phase.P5: "both", Phase.P6: "forward", Phase.P7: "-", Phase.P8: "reverse", Phase.P9: "reverse",
    Phase.P10: "reverse", Phase.P11: "-",
}  # fmt: skip
_POLICIES = {
    Phase.P0: "-", Phase.P1: "old_wins", Phase.P2: "old_wins", Phase.P3: "old_wins", Phase.P4: "per_field",
    Phase.P5: "per_field", Phase.P6: "old_wins", Phase.P7: "old_wins", Phase.P8: "new_wins", Phase.P9: "new_wins",
    Phase.P10: "new_wins", Phase.P11: "new_wins",
}  # fmt: skip
_NEXT: dict[Phase | None, tuple[Phase, ...]] = {
    None: (Phase.P0,),
    **{phase: (after,) for phase, after in zip(tuple(Phase)[:9], tuple(Phase)[1:10], strict=True)},
    Phase.P9: (Phase.P10, Phase.P11),
    Phase.P10: (Phase.P4,),
    Phase.P11: (),
}
CUTOVER = (Phase.P5, Phase.P6, Phase.P7, Phase.P8)
"""The phases of the evening itself: every wait in them has a limit, and they must fit the window."""


def may_follow(now: Phase | None) -> tuple[Phase, ...]:
    """The phases that a group may enter from where it stands; None stands for a group that has not begun.

    Going back to P4 from P5, P6 or P7 is not among them: that is a cancelled cutover, which needs no gate.
    """
    return _NEXT[now]
