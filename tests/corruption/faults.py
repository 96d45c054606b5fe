"""The faults: what each does to a record in the target's database, and under which name the reconcile has to find it."""

from __future__ import annotations

import html
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tests.corruption.world import CUSTOMER

TABLE = '"' + CUSTOMER.target_object + '"'
Row = dict[str, Any]
Finding = tuple[str, str, str]
"""(external key, field or '' for the whole record, class)."""


@dataclass(frozen=True)
class Fault:
    """One kind of damage to one field: `change` gets the stored value and gives the damaged one."""

    name: str
    field: str
    reason: str
    change: Callable[[Any], Any]
    where: str = "TRUE"
    """SQL over the target's rows in which the fault can show at all."""


def _day(days: int) -> Callable[[str], str]:
    return lambda text: (date.fromisoformat(text) + timedelta(days=days)).isoformat()


def _moment(change: Callable[[datetime], datetime]) -> Callable[[str], str]:
    return lambda text: str(change(datetime.fromisoformat(text)))


def _moved(**by: int) -> Callable[[str], str]:
    return _moment(lambda at: at + timedelta(**by))


def _latin(text: str) -> str:
    return text.encode().decode("latin-1")


_NOTE = "length(notes) > 20"
_AMOUNT = "amount IS NOT NULL AND amount > 100 AND CAST(round(amount * 100) AS INTEGER) % 10 BETWEEN 2 AND 8"

FAULTS = (
    Fault("cut text", "notes", "truncated", lambda text: text[:15], _NOTE),
    Fault("cut in the middle of a name", "last name", "truncated", lambda text: text[:-2], "length(\"last name\") > 6"),
    Fault("mojibake: UTF-8 read as Latin-1", "first name", "encoding", _latin, "\"first name\" LIKE 'Zo%'"),
    Fault("mojibake of Chinese", "last name", "encoding", _latin, "\"last name\" LIKE '王%'"),
    Fault("letters lost to question marks", "notes", "encoding", lambda text: text.encode("ascii", "replace").decode(), _NOTE),
    Fault("case change", "select", "case", str.upper, '"select" IS NOT NULL'),
    Fault("value lost", "phone", "value_vs_null", lambda _: None),
    Fault("value where none was", "notes", "null_vs_value", lambda _: "made up", "notes IS NULL"),
    Fault("null became empty", "notes", "null_vs_empty", lambda _: "", "notes IS NULL"),
    Fault("empty became null", "notes", "empty_vs_null", lambda _: None, "notes = ''"),
    Fault("stale value", "select", "different", lambda _: "as it was last year", '"select" IS NOT NULL'),
    Fault("doubled spaces", "select", "whitespace", lambda text: text.replace(" ", "  "), '"select" IS NOT NULL'),
    Fault("space at the end", "select", "whitespace", lambda text: text + " ", '"select" IS NOT NULL'),
    Fault("line ends", "notes", "line_ends", lambda text: text.replace("\n", "\r\n"), _NOTE),
    Fault("line breaks became spaces", "notes", "whitespace", lambda text: text.replace("\n", " "), _NOTE),
    Fault("full width became half width", "first name", "width", lambda text: text.replace("Ｋｅｎ", "Ken"), "\"first name\" LIKE 'Ｋｅｎ%'"),
    Fault("HTML escaped", "notes", "escaped", html.escape, _NOTE),
    Fault("phone reformatted", "phone", "formatting", lambda text: text.replace(" ", "-"), "phone IS NOT NULL"),
    Fault("leading zeros lost", "postcode", "leading_zeros", lambda text: text.lstrip("0"), "postcode LIKE '0%' AND postcode <> '000000'"),
    Fault("composed letters taken apart", "first name", "unicode_form", lambda text: unicodedata.normalize("NFD", text), "\"first name\" LIKE 'María%'"),
    Fault("wrong pick-list value", "stage", "other_value", lambda text: "won" if text != "won" else "lost", "stage IS NOT NULL"),
    Fault("pick-list value lost", "stage", "value_vs_null", lambda _: None, "stage IS NOT NULL"),
    Fault("one of several values lost", "topics", "other_value", lambda text: text.partition(";")[0], "topics LIKE '%;%'"),
    Fault("several values in another order", "topics", "reordered", lambda text: ";".join(reversed(text.split(";"))), "topics LIKE '%;%'"),
    Fault("wrong currency", "currency", "other_value", lambda text: "EUR" if text != "EUR" else "CNY"),
    Fault("off by 0.01", "amount", "last_digit", lambda value: round(value + 0.01, 2), _AMOUNT),
    Fault("rounded to whole numbers", "amount", "rounding", round, _AMOUNT),
    Fault("rounded to two digits", "rate", "rounding", lambda value: round(value, 2), "round(rate, 2) <> rate AND rate > 0.02"),
    Fault("sign flipped", "amount", "sign", lambda value: -value, _AMOUNT),
    Fault("decimal point shifted", "amount", "shifted_decimal", lambda value: round(value * 100, 2), _AMOUNT),
    Fault("amount lost", "amount", "value_vs_null", lambda _: None, _AMOUNT),
    Fault("number as text with thousands separator", "credit", "not_comparable", lambda text: f"{float(text):,.2f}"),
    Fault("digits swapped", "employees", "different", lambda value: value + 9, "employees > 100"),
    Fault("shifted day", "born", "shifted_day", _day(-1), "born IS NOT NULL"),
    Fault("day and month swapped", "born", "swapped_day_month",
          lambda text: f"{text[:4]}-{text[8:10]}-{text[5:7]}",
          "CAST(substr(born, 9, 2) AS INTEGER) <= 12 AND abs(CAST(substr(born, 9, 2) AS INTEGER) - CAST(substr(born, 6, 2) AS INTEGER)) > 1"),
    Fault("century wrong", "born", "century", lambda text: f"20{text[2:]}", "born LIKE '19%' AND born NOT LIKE '%-02-29'"),
    Fault("hours shifted", "created_at", "shifted_zone", _moved(hours=8)),
    Fault("summer time", "created_at", "shifted_zone", _moved(hours=-1)),
    Fault("half-hour zone", "created_at", "shifted_zone", _moved(hours=5, minutes=30)),
    Fault("instant shifted a day", "created_at", "shifted_day", _moved(days=1)),
    Fault("fraction of a second lost", "created_at", "precision", _moment(lambda at: at.replace(microsecond=0))),
    Fault("time of day lost", "created_at", "time_lost",
          _moment(lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0))),
    Fault("boolean flipped", "active", "flipped", lambda value: 1 - value),
    Fault("file reference lost", "contract", "value_vs_null", lambda _: None, "contract IS NOT NULL"),
    Fault("another file", "contract", "wrong_file", lambda text: text[:7] + text[:6:-1], "contract IS NOT NULL"),
    Fault("wrong owner", "owner", "wrong_link", lambda text: "U1" if text != "U1" else "U2"),
    Fault("wrong parent for one child", "parent", "wrong_link", lambda _: "K000000008", "parent IS NOT NULL AND parent <> 'K000000008'"),
    Fault("parent detached", "parent", "value_vs_null", lambda _: None, "parent IS NOT NULL"),
)  # fmt: skip

RECORD_FAULTS = (
    "lost row", "double row under another key", "merged record present", "excluded record present",
    "a stranger's row", "two owners swapped", "first and last name swapped", "edited in the target after the load",
)  # fmt: skip


class Planter:
    """Plants faults, never two in one record, and remembers what has to be found."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.row_factory = sqlite3.Row
        self._used: set[str] = set()

    def plant(self, each: int) -> Iterator[tuple[str, list[Finding]]]:
        """Each fault in `each` records; gives its name and what has to be found of it."""
        for fault in FAULTS:
            yield fault.name, [self._change(row, fault) for row in self._rows(fault.where, each)]
        kinds = (
            self._lose, self._copy, self._merged, self._excluded, self._stranger, self._swap_owners, self._swap_names,
            self._edit,
        )  # fmt: skip
        for name, kind in zip(RECORD_FAULTS, kinds, strict=True):
            yield name, [finding for row in self._rows("TRUE", each) for finding in kind(row)]
        self._database.commit()

    def _rows(self, where: str, each: int) -> Sequence[Row]:
        """Records scattered over the table that nothing was done to yet; parents are left alone, so that they stay parents."""
        wanted = each + len(self._used)
        found = self._database.execute(
            f"SELECT * FROM {TABLE} WHERE ({where}) AND legacy_id > 'K000007999' AND length(legacy_id) = 10"
            " ORDER BY substr(legacy_id, 8), legacy_id"
            f" LIMIT {wanted}"
        ).fetchall()
        fresh = [dict(row) for row in found if row["legacy_id"] not in self._used][:each]
        assert len(fresh) == each, f"too few records where {where}"
        self._used |= {row["legacy_id"] for row in fresh}
        return fresh

    def _set(self, key: str, **values: object) -> None:
        for name, value in values.items():
            self._database.execute(
                f'UPDATE {TABLE} SET "{name.replace("_name", " name")}" = ? WHERE legacy_id = ?', (value, key)
            )

    def _change(self, row: Row, fault: Fault) -> Finding:
        key, before = row["legacy_id"], row[fault.field]
        after = fault.change(before)
        assert after != before, fault.name
        self._database.execute(f'UPDATE {TABLE} SET "{fault.field}" = ? WHERE legacy_id = ?', (after, key))
        return (key, fault.field, fault.reason)

    def _lose(self, row: Row) -> list[Finding]:
        self._database.execute(f"DELETE FROM {TABLE} WHERE legacy_id = ?", (row["legacy_id"],))
        return [(row["legacy_id"], "", "missing")]

    def _insert(self, row: Row, **changed: object) -> str:
        made = {**row, **changed}
        marks = ", ".join("?" * len(made))
        self._database.execute(
            f"INSERT INTO {TABLE} ({', '.join(f'{chr(34)}{name}{chr(34)}' for name in made)}) VALUES ({marks})",
            tuple(made.values()),
        )
        return str(made["legacy_id"])

    def _copy(self, row: Row) -> list[Finding]:
        return [(self._insert(row, legacy_id=row["legacy_id"] + "-1"), "", "copy")]

    def _absent(self, remainder: Callable[[int], bool]) -> str:
        number = 8000
        while not remainder(number) or f"K{number:09d}" in self._used:
            number += 1
        key = f"K{number:09d}"
        self._used.add(key)
        return key

    def _merged(self, row: Row) -> list[Finding]:
        key = self._absent(lambda i: i % 997 == 1)
        return [(self._insert(row, legacy_id=key, select="a loser"), "", "superseded")]

    def _excluded(self, row: Row) -> list[Finding]:
        key = self._absent(lambda i: i % 991 == 5 and i % 997 != 1)
        return [(self._insert(row, legacy_id=key, select="excluded"), "", "superseded")]

    def _stranger(self, row: Row) -> list[Finding]:
        return [(self._insert(row, legacy_id=f"X{row['legacy_id']}", select="not ours"), "", "extra")]

    def _swap_owners(self, row: Row) -> list[Finding]:
        other = self._rows(f"owner <> '{row['owner']}'", 1)[0]
        self._set(row["legacy_id"], owner=other["owner"])
        self._set(other["legacy_id"], owner=row["owner"])
        return [(one["legacy_id"], "owner", "wrong_link") for one in (row, other)]

    def _swap_names(self, row: Row) -> list[Finding]:
        self._set(row["legacy_id"], first_name=row["last name"], last_name=row["first name"])
        return [(row["legacy_id"], name, "swapped_field") for name in ("first name", "last name")]

    def _edit(self, row: Row) -> list[Finding]:
        at = row["modified_at"]
        later = at.replace(at[:4], "2026", 1).replace(at[5:10], "11-21", 1)
        self._set(row["legacy_id"], phone="+1 555 0100", modified_at=later)
        return [(row["legacy_id"], name, "later_edit") for name in ("phone", "modified_at")]
