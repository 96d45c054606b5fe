"""Records made bad on purpose, and the list of what was done to which: the truth that tests compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrator.testing.synthetic.chance import Chance, chosen
from migrator.testing.synthetic.phones import FULL_WIDTH, NATIONAL
from migrator.testing.synthetic.population import Rates
from migrator.testing.synthetic.values import BAD_AMOUNTS, BAD_DATES

_UNMAPPED = ("Spacefaring (legacy)", "旧值", "Z-OLD-17", "other/unknown")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


@dataclass(frozen=True, slots=True)
class BadCell:
    """One value that is wrong in the source, and in which way."""

    key: str
    field: str
    kind: str
    """'date', 'amount', 'unmapped', 'missing', 'too_long' or 'orphan'."""
    value: str


@dataclass(slots=True)
class Spoiler:
    """Spoils values of one chunk of one object; `bad` grows with every value spoiled."""

    chance: Chance
    rates: Rates
    keys: pa.Array
    numbers: np.ndarray
    bad: list[BadCell] = field(default_factory=list)

    def date(self, name: str, column: pa.Array) -> pa.Array:
        """Some days that no calendar has."""
        return self._spoil(name, "date", self.rates.bad_dates, column, self._one_of(name, BAD_DATES))

    def amount(self, name: str, column: pa.Array) -> pa.Array:
        """Some amounts that are no numbers."""
        return self._spoil(name, "amount", self.rates.bad_amounts, column, self._one_of(name, BAD_AMOUNTS))

    def picklist(self, name: str, column: pa.Array) -> pa.Array:
        """Some values that no list has."""
        return self._spoil(name, "unmapped", self.rates.unmapped, column, self._one_of(name, _UNMAPPED))

    def option(self, name: str, column: pa.Array) -> pa.Array:
        """Some option numbers that no list has."""
        return self._spoil(name, "unmapped", self.rates.unmapped, column, self._one_of(name, ("999999999",)))

    def required(self, name: str, column: pa.Array) -> pa.Array:
        """Some empty."""
        empty = pa.nulls(len(column), pa.string())
        return self._spoil(name, "missing", self.rates.missing, column, empty)

    def length(self, name: str, column: pa.Array, limit: int) -> pa.Array:
        """Some longer than `limit`."""
        here = self.chance.happens(f"too_long {name}", self.numbers, self.rates.too_long)
        here &= column.is_valid().to_numpy(zero_copy_only=False)
        times = np.where(here, limit + 1, 1)
        long = pc.utf8_slice_codeunits(pc.binary_repeat(column, times), 0, limit + 20)
        return self._put(name, "too_long", here, column, long)

    def orphans(
        self,
        name: str,
        column: pa.Array,
        strangers: Callable[[np.ndarray], pa.Array],
        *,
        spare: np.ndarray | None = None,
    ) -> pa.Array:
        """Some links to records that are not there; `strangers` makes ids that nobody has. `spare` stays whole."""
        here = self.chance.happens(f"orphan {name}", self.numbers, self.rates.orphans)
        here &= column.is_valid().to_numpy(zero_copy_only=False)
        return self._put(
            name, "orphan", here if spare is None else here & ~spare, column, strangers(self.numbers)
        )

    def _one_of(self, name: str, values: tuple[str, ...]) -> pa.Array:
        return self.chance.one_of(f"bad {name}", self.numbers, list(values))

    def _spoil(self, name: str, kind: str, rate: float, column: pa.Array, bad: pa.Array) -> pa.Array:
        here = self.chance.happens(f"{kind} {name}", self.numbers, rate)
        return self._put(name, kind, here, column, bad)

    def _put(self, name: str, kind: str, here: np.ndarray, column: pa.Array, bad: pa.Array) -> pa.Array:
        where = pa.array(np.flatnonzero(here))
        for key, value in zip(self.keys.take(where).to_pylist(), bad.take(where).to_pylist(), strict=True):
            self.bad.append(BadCell(key, name, kind, value or ""))
        return chosen(here, bad, column)


def notations(ask: Chance, numbers: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """How each phone is written: originals mostly plainly, copies in every way."""
    mixed = ask.below("notation", numbers, FULL_WIDTH + 2)
    plain = np.where(ask.happens("national", numbers, 0.1), NATIONAL, mixed % 2)
    return np.where(copies, mixed, plain)


def rewritten_email(ask: Chance, numbers: np.ndarray, copies: np.ndarray, email: pa.Array) -> pa.Array:
    """The same address as somebody else typed it: capitals, blanks around it."""
    how = np.where(copies, ask.below("retyped mail", numbers, 5), 9)
    email = chosen(how == 0, pc.ascii_upper(email), email)
    email = chosen(how == 1, pc.ascii_capitalize(email), email)
    return chosen(how == 2, pc.binary_join_element_wise(" ", email, "  ", ""), email)


def rewritten_name(ask: Chance, numbers: np.ndarray, copies: np.ndarray, name: pa.Array) -> pa.Array:
    """The same name as somebody else typed it: capitals, small letters, blanks, full-width letters."""
    how = np.where(copies, ask.below("retyped name", numbers, 7), 9)
    name = chosen(how == 0, pc.utf8_upper(name), name)
    name = chosen(how == 1, pc.utf8_lower(name), name)
    name = chosen(
        how == 2, pc.binary_join_element_wise("  ", pc.replace_substring(name, " ", "  "), " ", ""), name
    )
    wide = np.flatnonzero(how == 3)
    if len(wide):
        letters = np.full(len(numbers), None, object)
        letters[wide] = [
            text.translate(_WIDE) if text else text for text in name.take(pa.array(wide)).to_pylist()
        ]
        name = chosen(how == 3, pa.array(letters, pa.string()), name)
    return name
