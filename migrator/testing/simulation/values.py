"""Values that simulated users type, of every kind of field: odd spacing, Chinese, days around clock changes, trailing zeros."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from migrator.testing.simulation.shape import OLD, Kind, Pair, Value

_WORDS = ("北京", "Müller & Söhne", "O'Neill", "acme", "Łódź", '华东 "一部"', "two\nlines", "x;y")
_EDGES = (date(2026, 3, 29), date(2026, 10, 25), date(2024, 2, 29), date(1900, 1, 1), date(2026, 12, 31))


def draw(chance: random.Random, pair: Pair, side: str) -> Value:  # noqa: PLR0911 (one kind, one line)
    """A value a user of `side` could enter; None now and then."""
    if chance.random() < 0.06:
        return None
    match pair.kind:
        case Kind.PICK:
            return chance.choice(pair.values)[0 if side == OLD else 1]
        case Kind.MULTI:
            return ";".join(
                sorted(chance.sample(("vip", "partner", "press", "重点", "trial"), chance.randint(1, 3)))
            )
        case Kind.FLAG:
            return chance.random() < 0.5
        case Kind.DECIMAL:
            return Decimal(chance.randint(-99_999, 9_999_999)).scaleb(-2)
        case Kind.DATE:
            return chance.choice(_EDGES) + timedelta(days=chance.randint(-2, 2))
        case Kind.INSTANT:
            edge = datetime.combine(chance.choice(_EDGES), datetime.min.time(), UTC)
            return edge + timedelta(seconds=chance.randint(-90_000, 90_000))
        case Kind.PHONE:
            return f"+4930{chance.randint(100_000, 9_999_999)}"
        case Kind.EMAIL:
            return f"Person{chance.randint(1, 10**8)}@Example.org"
        case Kind.RICH:
            return f"{chance.choice(_WORDS)} <b>{chance.randint(1, 10**8)}</b>"
        case _:
            blank = "  " if chance.random() < 0.2 else " "
            return f"{chance.choice(_WORDS)}{blank}{chance.randint(1, 10**8)}"
