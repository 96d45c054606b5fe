"""A small company's whole CRM, system by system the same people and deals: what the shipped mappings are tried on.

`Legacy` says in plain columns what the company knows; the modules beside it (`legacy_salesforce`, `legacy_dynamics`,
`legacy_sage`) lay the same records out as their system exports them. Of each kind the first records are reserved for
planted faults and the last lies in the recycle bin; nothing refers to either, so that a fault holds back itself only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from migrator.testing.synthetic import values
from migrator.testing.synthetic.chance import Chance, as_text, chosen, joined
from migrator.testing.synthetic.entities import companies, company_domains, people
from migrator.testing.synthetic.phones import SPACED

RESERVED = 3
"""Records of each kind, from number 0 on, that may be spoiled."""
INDUSTRIES = 5
SOURCES = 4
STAGES = 5
"""Open, open, open, won, lost."""
WON, LOST = 3, 4
CURRENCIES = ("CNY", "USD", "HKD", "EUR", "JPY")
_DECIMALS = np.array([2, 2, 2, 2, 0])
NOBODY = 9_000_000
"""The number of a record that exists nowhere."""

Columns = Mapping[str, pa.Array]
Numbers = np.ndarray


@dataclass(slots=True)
class LegacyTruth:
    """What was written, for tests to compare with."""

    path: Path
    """What a project names as its source."""
    records: dict[str, int] = field(default_factory=dict)
    """Object → records, deleted ones too."""
    deleted: dict[str, set[str]] = field(default_factory=dict)
    """Object → keys of records that the old system itself had thrown away."""
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    """(object, key) → what is wrong with it: 'missing', 'orphan', 'unmapped', 'amount' or 'date'."""
    links: dict[tuple[str, str], dict[str, tuple[str, str]]] = field(default_factory=dict)
    """(object, column) → key of a sound record → (object, key) that it points to."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """Everything the company knows; numbers of records stand for their keys, -1 for nobody."""

    size: int
    seed: int = 7

    def count(self, kind: str) -> int:
        """Records of a kind."""
        few = RESERVED + 4
        shares = {
            "user": max(6, self.size // 10), "product": few, "campaign": few, "file": few,
            "contact": 2 * self.size, "line": 2 * self.size, "member": self.size,
            "document": few, "call": few, "case": max(self.size // 2, few), "event": max(self.size // 2, few), "note": max(self.size // 2, few),
        }  # fmt: skip
        return max(shares.get(kind, self.size), few)

    def numbers(self, kind: str) -> Numbers:
        """All records of a kind."""
        return np.arange(self.count(kind), dtype=np.int64)

    def ask(self, kind: str) -> Chance:
        """Chance for a kind."""
        return Chance(self.seed, f"legacy {kind}")

    def some(self, kind: str, what: str, target: str, *, share: float = 1.0) -> Numbers:
        """For each record of `kind` a sound record of `target`, or -1."""
        ask, numbers = self.ask(kind), self.numbers(kind)
        found = RESERVED + ask.below(what, numbers, self.count(target) - RESERVED - 1)
        return np.where(ask.happens(f"any {what}", numbers, share), found, -1)

    def earlier(self, kind: str, what: str, share: float) -> Numbers:
        """For each record a sound one of its own kind with a smaller number, or -1: parents, managers."""
        ask, numbers = self.ask(kind), self.numbers(kind)
        room = numbers - RESERVED
        found = RESERVED + ask.below(what, numbers, np.maximum(room, 1))
        return np.where(ask.happens(f"any {what}", numbers, share) & (room > 0), found, -1)

    def deleted(self, kind: str) -> Numbers:
        """A mask: the last record lies in the recycle bin."""
        mask: Numbers = self.numbers(kind) == self.count(kind) - 1
        return mask

    def index(self, kind: str, what: str, limit: int) -> Numbers:
        """A place in a value list for each record; the systems have lists of their own."""
        return self.ask(kind).below(what, self.numbers(kind), limit)

    def text(self, kind: str, what: str, choices: list[str]) -> pa.Array:
        """One of the texts for each record."""
        return self.ask(kind).one_of(what, self.numbers(kind), choices)

    def instants(self, kind: str, what: str = "audit") -> tuple[Numbers, Numbers]:
        """Created and modified, in seconds since 1970."""
        return values.instants(self.ask(kind).of(what), self.numbers(kind))

    def days(self, kind: str, what: str, first: str = "2023-01-01") -> pa.Array:
        """Calendar days."""
        return values.days(self.ask(kind), what, self.numbers(kind), first, 900)

    def notes(self, kind: str) -> pa.Array:
        """Free text, mostly empty."""
        return values.notes(self.ask(kind), self.numbers(kind))

    def money(self, kind: str) -> tuple[pa.Array, Numbers]:
        """ISO codes, and how many decimals each has."""
        index = self.index(kind, "currency", len(CURRENCIES))
        return pa.array(CURRENCIES).take(pa.array(index)), _DECIMALS[index]

    def amounts(self, kind: str, what: str, limit: int = 1_000_000) -> pa.Array:
        """Amounts with as many decimals as the record's currency has; some are empty."""
        return values.amounts(self.ask(kind), what, self.numbers(kind), self.money(kind)[1], limit)

    def companies(self, kind: str, spare: int = 0) -> Columns:
        """Name, domain, place and phone of a company for each record; `spare` keeps kinds apart."""
        numbers = self.numbers(kind) + spare
        found = companies(self.ask("people"), numbers)
        return {
            "name": found.name, "domain": found.domain, "city": found.place.city, "country": found.place.country,
            "phone": found.phone,
        }  # fmt: skip

    def people(self, kind: str, spare: int = 0) -> Columns:
        """Names, address and title of a person for each record; `spare` keeps kinds apart."""
        numbers = self.numbers(kind) + spare
        plain = np.full(len(numbers), SPACED)
        found = people(self.ask("people"), numbers, company_domains(self.ask("people"), numbers), plain)
        return {
            "first": found.first, "last": found.last, "email": found.email, "phone": found.phone,
            "title": found.title, "city": found.place.city, "country": found.place.country,
        }  # fmt: skip

    def streets(self, kind: str) -> pa.Array:
        """Streets, some of two lines."""
        street = self.text(kind, "street", ["High Street", "Main St\nSuite 5", "人民路", "中山東路二段"])
        return joined(as_text(self.index(kind, "house", 400) + 1), " ", street)


def put(column: pa.Array, number: int, value: str | None) -> pa.Array:
    """The column with another value in one place."""
    here = np.arange(len(column)) == number
    return chosen(here, value, column)


def refer(numbers: Numbers, keys: Callable[[Numbers], pa.Array]) -> pa.Array:
    """Keys of the records with these numbers, null for -1."""
    return chosen(numbers >= 0, keys(np.maximum(numbers, 0)), None)


def one_of(choices: tuple[str, ...], index: Numbers) -> pa.Array:
    """The text at each place of a value list."""
    return pa.array(choices, pa.string()).take(pa.array(index))
