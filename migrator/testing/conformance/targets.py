"""What every target must do: one function a promise of `migrator.core.connector.Target`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from migrator.core.connector import Identified, Paced
from migrator.testing.conformance.bench import TargetBench
from migrator.testing.conformance.refusals import CountingGate, fails

NASTY = (
    'O\'Brien "Bob"',
    "a\nline, and; another\ttab",
    "上海恒信科技有限公司 𠮷",
    "Zoë Ångström 👩‍👩‍👧",
    "%_\\' OR 1=1 -- ${env:HOME} {{x}}",
    '<b>&amp;</b>"]}',
    "=1+1",
    "0012",
)
"""Texts that break what is put together carelessly: SQL, SOQL, OData, CSV, JSON, XML, spreadsheets."""


def _words(answers: dict[str, dict[str, Any]]) -> list[str]:
    return [answers[key]["outcome"] for key in sorted(answers)]


def facts_make_sense(bench: TargetBench) -> None:
    """Facts and limits are data that a plan can be made from."""
    facts = bench.target.facts
    assert facts.batch_rows >= 1, "batch_rows must be at least 1"
    if isinstance(bench.target, Paced):
        limits = bench.target.limits
        assert limits.parallel >= 1, "parallel must be at least 1"
        assert all(rate.calls > 0 and rate.seconds > 0 for rate in limits.rates), "a rate permits nothing"


def describes_itself(bench: TargetBench) -> None:
    """`describe` names the object, its key and every field that can be written, the same each time."""
    target = bench.made()
    first, again = target.describe(), target.describe()
    assert list(first) == list(again), "describe differs from one call to the next"
    found = next((item for item in first if item.name == bench.object), None)
    assert found is not None, f"describe does not name {bench.object}"
    for name in (bench.key, bench.text, bench.decimal, bench.when, bench.day, *bench.fixed):
        assert not name or found.field(name) is not None, f"describe lacks the field {name}"


def prepares_twice(bench: TargetBench) -> None:
    """`prepare` may be called again; nothing is lost by it."""
    bench.made()
    bench.write(["k1"], **{bench.text: ["kept"]})
    bench.made()
    assert bench.held(["k1"], bench.text)["k1"][bench.text] == "kept", "prepare lost a record"


def creates(bench: TargetBench) -> None:
    """A new key makes one record, is answered 'created', with the record's id where the target makes ids."""
    bench.made()
    answers = bench.write(["k1", "k2"], **{bench.text: ["one", "two"]})
    assert _words(answers) == ["created", "created"], f"answers were {_words(answers)}"
    if bench.target.facts.assigns_ids:
        ids = {row["target_id"] for row in answers.values()}
        assert None not in ids and len(ids) == 2, "each record made must come with an id of its own"
    held = bench.held(["k1", "k2"], bench.text)
    assert {key: row[bench.text] for key, row in held.items()} == {"k1": "one", "k2": "two"}


def one_key_makes_one_record(bench: TargetBench) -> None:
    """The same call again, as after a lost answer, makes no second record and says so."""
    bench.made()
    first = bench.write(["k1", "k2"], **{bench.text: ["one", "two"]})
    again = bench.write(["k1", "k2"], **{bench.text: ["one", "two"]})
    assert set(_words(again)) <= {"unchanged", "updated"}, f"the second call answered {_words(again)}"
    if bench.target.facts.assigns_ids:
        assert {k: r["target_id"] for k, r in first.items()} == {k: r["target_id"] for k, r in again.items()}
    assert _count(bench, ["k1", "k2"]) == {"k1": 1, "k2": 1}, "a key has several records"


def _count(bench: TargetBench, keys: Sequence[str]) -> dict[str, int]:
    found = [
        str(value)
        for page in bench.target.read(bench.object, columns=[bench.key])
        for value in page.column(bench.key).to_pylist()
    ]
    return {key: found.count(key) for key in keys}


def upserts_what_is_there(bench: TargetBench) -> None:
    """One call may create and update; a column not sent keeps its value."""
    bench.made()
    bench.write(["k1"], **{bench.text: ["one"]})
    answers = bench.write(["k1", "k2"], **{bench.text: ["changed", "new"]})
    assert answers["k1"]["outcome"] in {"updated", "unchanged"}, answers["k1"]
    assert answers["k2"]["outcome"] == "created", answers["k2"]
    assert bench.held(["k1"], bench.text)["k1"][bench.text] == "changed"


def matches_by_key(bench: TargetBench) -> None:
    """Values belong to their keys, whatever the order of rows, old and new mixed."""
    bench.made()
    keys = [f"k{number}" for number in range(7)]
    bench.write(keys[::2], **{bench.text: [f"v{key}" for key in keys[::2]]})
    mixed = keys[::-1]
    bench.write(mixed, **{bench.text: [f"w{key}" for key in mixed]})
    held = bench.held(keys, bench.text)
    assert {key: row[bench.text] for key, row in held.items()} == {key: f"w{key}" for key in keys}


def updates_only_what_is_there(bench: TargetBench) -> None:
    """`update` sets the columns given; a key that is not there answers 'missing' and makes nothing."""
    bench.made()
    bench.write(["k1"], **{bench.text: ["one"]})
    answers = bench.change(["k1", "nobody"], **{bench.text: ["two", "two"]})
    assert answers["nobody"]["outcome"] == "missing", answers["nobody"]
    assert answers["k1"]["outcome"] == "updated", answers["k1"]
    held = bench.held(["k1", "nobody"], bench.text)
    assert list(held) == ["k1"], "update made a record"
    assert held["k1"][bench.text] == "two"


def deletes(bench: TargetBench) -> None:
    """`delete` takes the record away, once; what is not there answers 'missing'."""
    bench.made()
    bench.write(["k1", "k2"], **{bench.text: ["one", "two"]})
    answers = bench.remove(["k1", "nobody"])
    assert answers["k1"]["outcome"] == "deleted", answers["k1"]
    assert answers["nobody"]["outcome"] == "missing", answers["nobody"]
    assert list(bench.held(["k1", "k2"], bench.text)) == ["k2"], (
        "the record is still there, or another went too"
    )
    assert bench.remove(["k1"])["k1"]["outcome"] == "missing", "a second delete must answer 'missing'"


def makes_anew_after_delete(bench: TargetBench) -> None:
    """A key whose record was deleted can be written again."""
    bench.made()
    bench.write(["k1"], **{bench.text: ["one"]})
    bench.remove(["k1"])
    assert bench.write(["k1"], **{bench.text: ["again"]})["k1"]["outcome"] == "created"
    assert bench.held(["k1"], bench.text)["k1"][bench.text] == "again"


def fetches_exactly(bench: TargetBench) -> None:
    """`fetch` gives the records asked for and no other; no keys give an empty table with the columns."""
    bench.made()
    bench.write(["k1", "k10", "K1x"], **{bench.text: ["a", "b", "c"]})
    assert list(bench.held(["k1", "nobody"])) == ["k1"]
    empty = bench.target.fetch(bench.object, [], key=bench.key, columns=[bench.key, bench.text])
    assert (empty.num_rows, empty.column_names) == (0, [bench.key, bench.text])


def keys_are_data(bench: TargetBench) -> None:
    """A key with quotes, wildcards or another script finds its own record, and nothing else happens."""
    bench.made()
    keys = ["O'Brien", '"', "a%", "a_", "ab", "\\", "客户1", "' OR '1'='1", "x) or (1 eq 1"]
    bench.write(keys, **{bench.text: keys})
    for key in keys:
        held = bench.held([key], bench.text)
        assert {one: row[bench.text] for one, row in held.items()} == {key: key}, f"asked for {key!r}"


def texts_come_back(bench: TargetBench) -> None:
    """Text is stored as it was given, to the character, or refused in the system's own words; never mended."""
    bench.made()
    keys = [f"k{number}" for number in range(len(NASTY))]
    answers = bench.write(keys, **{bench.text: list(NASTY)})
    assert answers["k0"]["outcome"] == "created", answers["k0"]
    held = bench.held(keys, bench.text)
    for key, text in zip(keys, NASTY, strict=True):
        if answers[key]["outcome"] == "refused":
            assert answers[key]["message"], f"{text!r} was refused without a word"
            assert key not in held, f"{text!r} was refused, and is there"
        else:
            assert held[key][bench.text] == text, f"{text!r} came back as {held[key][bench.text]!r}"


def values_come_back(bench: TargetBench) -> None:
    """Decimals exactly, moments to the second as the same instant, days without a shift, null as null."""
    bench.made()
    values = {
        bench.decimal: [Decimal("9999999999.99"), Decimal("-0.01"), None],
        bench.when: [datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC), None],
        bench.day: [date(2024, 2, 29), date(1970, 1, 1), None],
    }
    given: dict[str, Any] = {name: column for name, column in values.items() if name}
    keys = ["k1", "k2", "k3"]
    bench.write(keys, **{bench.text: ["a", "b", "c"], **given})
    held = bench.held(keys, *given)
    for name, column in given.items():
        assert [held[key][name] for key in keys] == column, f"{name} came back otherwise"


def null_clears(bench: TargetBench) -> None:
    """Null in a column that is sent empties the field."""
    if not bench.decimal:
        return
    bench.made()
    values: dict[str, Any] = {bench.text: ["one"], bench.decimal: [Decimal("1.50")]}
    bench.write(["k1"], **values)
    bench.change(["k1"], **{bench.decimal: [None]})
    assert bench.held(["k1"], bench.decimal)["k1"][bench.decimal] is None, "the field kept its value"


def refuses_row_by_row(bench: TargetBench) -> None:
    """A row the system refuses is an outcome with its code and words; the others are written."""
    if not bench.refused or bench.target.facts.atomic:
        return
    bench.made()
    (name, bad), *_ = bench.refused.items()
    good = "good" if name == bench.text else bench.fixed.get(name)
    rows = bench.rows(["k1", "bad", "k2"], **{bench.text: ["one", "x", "two"]})
    column = pa.array([good, bad, good], bench.type_of(name))
    rows = (
        rows.set_column(rows.column_names.index(name), name, column)
        if name in rows.column_names
        else rows.append_column(name, column)
    )
    answers = bench._sent(bench.target.upsert, rows)
    assert answers["bad"]["outcome"] == "refused", answers["bad"]
    assert answers["bad"]["code"] and answers["bad"]["message"], "a refusal needs the system's code and words"
    assert {answers["k1"]["outcome"], answers["k2"]["outcome"]} == {"created"}, answers
    assert set(bench.held(["k1", "bad", "k2"])) == {"k1", "k2"}


def takes_a_full_batch(bench: TargetBench) -> None:
    """A call of batch_rows rows is taken whole (looked at up to 2,000)."""
    bench.made()
    size = min(bench.target.facts.batch_rows, 2_000)
    keys = [f"k{number:05d}" for number in range(size)]
    answers = bench.write(keys, **{bench.text: keys})
    assert set(_words(answers)) == {"created"}
    assert len(bench.held(keys)) == size


def reads_everything(bench: TargetBench) -> None:
    """`read` gives every record once, in pages no larger than asked for, with the columns asked for."""
    bench.made()
    keys = [f"k{number:03d}" for number in range(25)]
    bench.write(keys, **{bench.text: keys})
    pages = list(bench.target.read(bench.object, columns=[bench.text, bench.key], page_rows=10))
    assert all(page.num_rows <= 10 for page in pages), "a page is larger than asked for"
    assert all(page.column_names == [bench.text, bench.key] for page in pages), "not the columns asked for"
    found = [row[bench.key] for page in pages for row in page.to_pylist()]
    assert sorted(set(found) & set(keys)) == keys, "records are missing"
    assert len(found) == len(set(found)), "records came twice"


def refuses_what_it_does_not_know(bench: TargetBench) -> None:
    """An object or a column that is not there is a FatalError that names it."""
    target = bench.made()
    for call in (
        lambda: list(target.read("no such object")),
        lambda: target.upsert("no such object", bench.rows(["k1"]), key=bench.key),
        lambda: target.fetch(bench.object, ["k1"], key=bench.key, columns=["no_such_column"]),
    ):
        fails(call)


def asks_its_gate(bench: TargetBench) -> None:
    """A target with limits asks its gate before each request: when the gate is shut, nothing goes out."""
    if not isinstance(bench.target, Paced):
        return
    bench.made()
    counting = CountingGate()
    bench.target.pace(counting)
    bench.write(["k1"], **{bench.text: ["one"]})
    assert counting.requests, "requests went out without asking the gate"


def says_who_answers(bench: TargetBench) -> None:
    """`identify` names product and address, and no secret."""
    if isinstance(bench.target, Identified):
        found = bench.target.identify()
        assert found.product, "identify must name the product"
        assert found.address, "identify must name the address"


def closes_twice(bench: TargetBench) -> None:
    """`close` may be called again."""
    bench.made()
    bench.target.close()
    bench.target.close()


TARGET_CHECKS: tuple[Callable[[TargetBench], None], ...] = (
    facts_make_sense, describes_itself, prepares_twice, creates, one_key_makes_one_record, upserts_what_is_there,
    matches_by_key, updates_only_what_is_there, deletes, makes_anew_after_delete, fetches_exactly, keys_are_data,
    texts_come_back, values_come_back, null_clears, refuses_row_by_row, takes_a_full_batch, reads_everything,
    refuses_what_it_does_not_know, asks_its_gate, says_who_answers, closes_twice,
)  # fmt: skip
"""Every promise of a target, in the order in which a new connector best keeps them."""
