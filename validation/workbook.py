"""The report as a workbook to work with and to sign: the same tables, the failing records, and a sample for acceptance.

Every text is written as text: nothing that stood in the data becomes a formula or a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from validation.messages import Catalogue
from validation.pictures import CLASSES
from validation.signoff import Signature
from validation.words import cell_reason, plain, remedy, say, why

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

MOST_FAILING = 20_000
"""Failing records in the workbook; all of them are in failing.csv and failing.parquet."""
_LONGEST = 2000
_COLOURS = {
    "pass": "#1d7a46", "warn": "#8a5a00", "waived": "#8a5a00", "fail": "#b3261e", "could_not_check": "#5b4bb5",
    "nothing_to_check": "#566475",
}  # fmt: skip

Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class Mark:
    """A status: its word, in its colour."""

    status: str


def write_workbook(
    path: Path,
    folder: Path,
    content: Mapping[str, Any],
    *,
    sample: Sequence[Mapping[str, Any]],
    signed: Sequence[Signature],
    text: Catalogue,
) -> None:
    """Write a workbook of report.json's content, the acceptance sample and the lists in `folder`, in bounded memory."""
    from xlsxwriter import Workbook

    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
        "in_memory": False,
    }  # fmt: skip
    with Workbook(str(path), options) as book:
        book.set_properties({"title": f"{text('title')} · {plain(content['project'])}"})
        pen = _Pen(book, text)
        pen.sheet("summary", (26, 44, 20, 14, 60), _summary(content, text))
        pen.sheet("accounting", (24, *[14] * 6, 14), _accounting(content, text))
        pen.sheet("totals", (20, 24, *[20] * 5, 16), _totals(content, text))
        pen.sheet("counts", (20, 24, 44, 14, 14, 14, 16), _counts(content, text))
        pen.sheet("controls", (20, 24, 44, 36, 14, 24, 24, 16), _controls(content, text))
        pen.sheet("links", (20, 24, 24, *[16] * 6, 16), _links(content, text))
        pen.sheet("differences", (20, 24, 26, 14, 14, 18, 36, 30, 30), _differences(content, text))
        pen.sheet(
            "failing", (18, 34, 26, 40, 22, 34, 34), _failing(folder / "failing.parquet", content, text)
        )
        pen.sheet("reasons", (20, 16, 12, 24, 60, 60), _reasons(content, text))
        pen.sheet(
            "missing", (18, 50, 16, 20, 26, 60, 50, 60), _missing(folder / "missing.parquet", content, text)
        )
        rows = pen.sheet("uat", (18, 34, 26, 34, 24, 34, 34, 10, 36), _uat(sample, text))
        pen.choices("uat", 7, rows, [text("uat.yes"), text("uat.no")])
        pen.sheet("sign", (30, 30, 30, 24, 40, 68), _sign(content, signed, text))


class _Pen:
    """Writes rows of a sheet: numbers as numbers, all else as text."""

    def __init__(self, book: Workbook, text: Catalogue) -> None:
        self._book, self._text = book, text
        base = {"valign": "top", "text_wrap": True, "font_size": 10}
        self._plain = book.add_format(base)
        self._number = book.add_format({**base, "num_format": "#,##0"})
        self._head = book.add_format({**base, "bold": True, "bg_color": "#eef1f5", "bottom": 1})
        self._marks = {
            name: book.add_format({**base, "bold": True, "font_color": hue}) for name, hue in _COLOURS.items()
        }

    def sheet(self, name: str, widths: Sequence[int], rows: Iterable[Row]) -> int:
        """A sheet whose first row is its heading; returns how many rows it has."""
        sheet = self._book.add_worksheet(self._text(f"sheet.{name}"))
        for number, width in enumerate(widths):
            sheet.set_column(number, number, width)
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        count = 0
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                self._write(sheet, number, column, value, self._head if number == 0 else None)
            count = number
        if count:
            sheet.autofilter(0, 0, count, len(widths) - 1)
        return count

    def choices(self, name: str, column: int, rows: int, values: Sequence[str]) -> None:
        """A drop-down in a column of a sheet."""
        sheet = self._book.get_worksheet_by_name(self._text(f"sheet.{name}"))
        if rows and sheet is not None:
            sheet.data_validation(1, column, rows, column, {"validate": "list", "source": list(values)})

    def _write(self, sheet: Any, row: int, column: int, value: object, shape: Format | None) -> None:
        match value:
            case None:
                sheet.write_blank(row, column, None, shape or self._plain)
            case Mark(status):
                sheet.write_string(row, column, self._text(f"status.{status}"), self._marks[status])
            case int():
                sheet.write_number(row, column, value, shape or self._number)
            case _:
                sheet.write_string(row, column, plain(value)[:_LONGEST], shape or self._plain)


def _summary(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    yield text("title"), plain(content["project"])
    yield text("trend.verdict"), text(f"verdict.{content['verdict']}")
    yield "", text(f"verdict.{content['verdict']}.why")
    yield text("target"), content["target"]
    yield text("made"), text.moment(content["at"])
    yield text("run"), content["run"]
    yield text("sign.digest"), content["digest"]
    yield "", text(f"values.{content['values']}")
    for name, count in content["counts"].items():
        yield text(f"status.{name}"), count
    waived = {item["check"]: item for item in content["waivers"]}
    by_id = {check["id"]: check for check in content["checks"]}
    yield ()
    yield text("object"), text("check"), text("status"), text("failed"), text("waivers.reason")
    for name in (*content["blocking"], *content["exceptions"]):
        check = by_id[name]
        note = text("waivers.of", **waived[name]) if check["status"] == "waived" and name in waived else ""
        yield check["object"], say(check, text), Mark(check["status"]), check["failed"], note
    for item in content["waivers"]:
        if item["state"] != "active":
            yield (
                text("waivers.title"),
                item["check"],
                text(f"waivers.state.{item['state']}"),
                None,
                text("waivers.of", **item),
            )


def _accounting(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    yield (
        text("object"),
        text("class.extracted"),
        *(text(f"class.{name}") for name in CLASSES),
        text("status"),
    )
    for item in content["objects"]:
        counts = item["accounting"]
        state = Mark("pass" if counts["closed"] else "fail")
        yield item["name"], counts["extracted"], *(counts[name] for name in CLASSES), state


def _named(field: Mapping[str, Any], text: Catalogue) -> str:
    """A field by its name, and by what people call it in the reader's language."""
    label = field.get("labels", {}).get(text.language)
    return f"{field['name']} ({label})" if label else str(field["name"])


def _totals(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    names = ("totals.source", "totals.not_moved", "expected", "actual", "difference")
    yield text("object"), text("field"), *(text(name) for name in names), text("status")
    for item in content["objects"]:
        for field in item["fields"]:
            if "sum" in field:
                sums = field["sum"]
                values = [sums[name] for name in ("source", "not_moved", "expected", "actual", "difference")]
                state = Mark("pass" if sums["expected"] == sums["actual"] else "fail")
                yield item["name"], _named(field, text), *map(text.amount, values), state
        for total in item["totals"]:
            for group in total["groups"]:
                label = " · ".join(
                    text("value.empty") if part is None else plain(part) for part in group["group"]
                )
                sums = (text.amount(group["expected"]), text.amount(group["actual"]))
                yield (
                    item["name"], text("totals.by", field=total["field"], by=label), None, None, *sums, None,
                    Mark("pass" if group["equal"] else "fail"),
                )  # fmt: skip


def _counts(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    yield tuple(
        text(name) for name in ("object", "field", "value", "totals.source", "expected", "actual", "status")
    )
    for item in content["objects"]:
        for count in item["counts"]:
            for group in count["groups"]:
                state = Mark("pass" if group["expected"] == group["actual"] else "fail")
                value = text("value.empty") if group["value"] is None else group["value"]
                yield (
                    item["name"],
                    count["field"],
                    value,
                    group["source"],
                    group["expected"],
                    group["actual"],
                    state,
                )


def _controls(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    """Controls that go round the mapping, one kind after the other, told apart by the third column."""
    yield (
        text("object"), text("field"), text("controls.old"), text("controls.new"), text("records"),
        text("controls.plain"), text("actual"), text("status"),
    )  # fmt: skip
    for item in content["objects"]:
        found = item["controls"]
        for total in found["totals"]:
            state = Mark("pass" if Decimal(total["source"]) == Decimal(total["target"]) else "fail")
            sums = (text.amount(total["source"]), text.amount(total["target"]))
            yield item["name"], total["field"], None, None, total["records"], *sums, state
        for tab in found["crosstabs"]:
            for pair in tab["pairs"]:
                state = Mark("pass" if pair["wanted"] else "fail")
                yield (
                    item["name"],
                    tab["field"],
                    pair["source"],
                    pair["target"],
                    pair["records"],
                    None,
                    None,
                    state,
                )
        for link in found["children"]:
            for one in link["values"]:
                label = text("controls.children.of", n=int(one["value"]))
                state = Mark("pass" if one["expected"] == one["actual"] else "fail")
                yield (
                    item["name"], link["field"], label, None, None, text.number(one["expected"]),
                    text.number(one["actual"]), state,
                )  # fmt: skip


def _links(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    names = ("to", "source", "expected", "actual", "wrong", "unresolved", "orphans")
    yield text("object"), text("field"), *(text(f"links.{name}") for name in names), text("status")
    for item in content["objects"]:
        for field in item["fields"]:
            if "link" in field:
                link, filled = field["link"], field["filled"]
                bad = field["different"] - link["unresolved"] > 0 or link["orphans"]
                state = "fail" if bad else "warn" if link["unresolved"] else "pass"
                yield (
                    item["name"], _named(field, text), ", ".join(link["to"]), filled["source"], filled["expected"],
                    filled["actual"], field["different"], link["unresolved"], link["orphans"], Mark(state),
                )  # fmt: skip


def _differences(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    yield (
        text("object"), text("field"), text("reason"), text("checked"), text("failed"), text("status"),
        text("record"), text("expected"), text("actual"),
    )  # fmt: skip
    for check in content["checks"]:
        if check["failed"] and check["section"] in ("fields", "links", "records"):
            reason = cell_reason(check["rule"].partition(".")[2], text)
            head = (
                check["object"],
                check["subject"],
                reason,
                check["checked"],
                check["failed"],
                Mark(check["status"]),
            )
            for example in check["examples"] or [{"record": None, "expected": None, "actual": None}]:
                yield *head, example["record"], example["expected"], example["actual"]


def _failing(path: Path, content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    names = ("object", "record", "key", "check", "field", "expected", "actual")
    yield tuple(text(name) for name in names)
    if not path.exists():
        return
    with pq.ParquetFile(path) as found:
        rows = (row for batch in found.iter_batches(2000) for row in batch.to_pylist())
        for row in islice(rows, MOST_FAILING):
            yield tuple(row[name] for name in names)
    if content["failing"] > MOST_FAILING:
        yield (text("xlsx.cut", n=content["failing"] - MOST_FAILING),)


def _reasons(content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    names = ("object", "status", "records", "field", "reasons.why", "reasons.todo")
    yield tuple(text(name) for name in names)
    for item in content["objects"]:
        for reason in item["reasons"]:
            yield (
                item["name"], text(f"class.{reason['state']}"), reason["count"], reason["field"], why(reason, text),
                remedy(reason, text, item.get("file") or item["name"]),
            )  # fmt: skip
        for owner, count in item["owners"]["counts"]:
            label = text("owners.nobody") if owner is None else owner
            yield (
                item["name"],
                text("class.quarantined"),
                count,
                item["owners"]["field"],
                text("owners.owner"),
                label,
            )


def _missing(path: Path, content: Mapping[str, Any], text: Catalogue) -> Iterator[Row]:
    names = ("object", "record", "status", "field", "value", "reasons.why", "reasons.towards", "reasons.todo")
    yield tuple(text(name) for name in names)
    if not path.exists():
        return
    files = {item["name"]: item.get("file") for item in content["objects"]}
    with pq.ParquetFile(path) as found:
        rows = (row for batch in found.iter_batches(2000) for row in batch.to_pylist())
        for row in islice(rows, MOST_FAILING):
            yield (
                row["object"], row["record"] or row["place"], text(f"class.{row['state']}"), row["field"], row["value"],
                why(row, text), row["towards"], remedy(row, text, files.get(row["object"]) or row["object"]),
            )  # fmt: skip
    if content["absent"] > MOST_FAILING:
        yield (text("xlsx.cut", n=content["absent"] - MOST_FAILING),)


def _uat(sample: Sequence[Mapping[str, Any]], text: Catalogue) -> Iterator[Row]:
    names = ("object", "record", "key", "uat.why", "field", "uat.old", "uat.new", "uat.ok", "uat.comment")
    yield tuple(text(name) for name in names)
    for row in sample:
        why = "; ".join(text(f"uat.why.{item['kind']}", value=item["value"]) for item in row["why"])
        yield row["object"], row["record"], row["key"], why, row["field"], row["old"], row["new"], None, None


def _sign(content: Mapping[str, Any], signed: Sequence[Signature], text: Catalogue) -> Iterator[Row]:
    names = ("role", "name", "decision", "date", "comment", "hash")
    yield tuple(text(f"sign.{name}") for name in names)
    for role in ("scope", "quality", "mapping"):
        yield text(f"sign.{role}"), None, text("sign.choice"), None, None, None
    for item in signed:
        yield (
            item.role,
            item.name,
            text(f"sign.decision.{item.decision}"),
            text.moment(item.at),
            item.comment,
            item.report,
        )
    yield ()
    yield text("sign.digest"), content["digest"]
