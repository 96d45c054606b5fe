"""What every source must do: one function a promise of `migrator.core.connector.Source`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from migrator.core.connector import ChangingSource, Identified, Paced, Source
from migrator.core.schema import ObjectSchema
from migrator.testing.conformance.refusals import CountingGate, fails


@dataclass(frozen=True)
class SourceBench:
    """A way to open one source with some records, and the object to read; for a live one, how to change it meanwhile."""

    open: Callable[[], Source]
    object: str
    text: str = ""
    """A field that holds text."""
    expected: int | None = None
    """How many records there are; None when nobody knows."""
    edit: Callable[[str], None] | None = None
    """Changes the record with this key in the system itself; None for a source that cannot change."""
    add: Callable[[], str] | None = None
    """Makes a record in the system itself and returns its key."""
    remove: Callable[[str], None] | None = None
    """Deletes the record with this key in the system itself."""

    def schema(self, source: Source) -> ObjectSchema:
        """The object as described."""
        found = next((item for item in source.describe() if item.name == self.object), None)
        assert found is not None, f"describe does not name {self.object}"
        return found


def _opened(bench: SourceBench) -> Iterator[Source]:
    source = bench.open()
    try:
        yield source
    finally:
        source.close()


def _whole(source: Source, name: str, **how: Any) -> pa.Table:
    pages = [page.rows for page in source.read(name, **how)]
    assert pages, "read must give at least one page, if without rows"
    return pa.concat_tables(pages)


def source_describes_itself(bench: SourceBench) -> None:
    """`describe` is the same each time, and the key it names is a field."""
    for source in _opened(bench):
        first = list(source.describe())
        assert first == list(source.describe()), "describe differs from one call to the next"
        for item in first:
            assert item.field(item.key) is not None, f"{item.name}: the key {item.key} is no field"
            assert len(set(item.field_names)) == len(item.fields), f"{item.name}: a field is named twice"


def source_reads_whole(bench: SourceBench) -> None:
    """Every record once, with the fields described, and the count right where it is known."""
    for source in _opened(bench):
        schema = bench.schema(source)
        rows = _whole(source, bench.object)
        assert set(rows.column_names) == set(schema.field_names), "columns are not the fields described"
        known = source.count(bench.object)
        assert known is None or known == rows.num_rows, f"count says {known}, read gave {rows.num_rows}"
        assert bench.expected is None or bench.expected == rows.num_rows, f"{rows.num_rows} rows"
        if not source.facts.copies_overlap:
            keys = rows.column(schema.key)
            assert len(pc.unique(keys)) == len(keys), "a record came twice"


def source_keeps_its_order(bench: SourceBench) -> None:
    """Two reads give the same rows in the same order, whatever the size of the page; pages are no larger than asked."""
    for source in _opened(bench):
        whole = _whole(source, bench.object)
        for page_rows in (3, 1000):
            pages = list(source.read(bench.object, page_rows=page_rows))
            assert all(page.rows.num_rows <= page_rows for page in pages), "a page is larger than asked for"
            again = pa.concat_tables([page.rows for page in pages]).select(whole.column_names)
            assert again.combine_chunks().equals(whole.combine_chunks()), (
                f"other rows in pages of {page_rows}"
            )


def source_says_where(bench: SourceBench) -> None:
    """Places, where there are any, are one text a row."""
    for source in _opened(bench):
        for page in source.read(bench.object, page_rows=5):
            assert page.places is None or len(page.places) == page.rows.num_rows, "not one place a row"


def source_goes_on_after_each_page(bench: SourceBench) -> None:
    """Reading again from a page's cursor gives exactly what came after it."""
    for source in _opened(bench):
        pages = list(source.read(bench.object, page_rows=4))
        for number, page in enumerate(pages[:8]):
            if page.cursor is None:
                continue
            rest = [item.rows for item in source.read(bench.object, cursor=page.cursor, page_rows=4)]
            wanted = [item.rows for item in pages[number + 1 :]]
            assert _equal(rest, wanted), f"from the cursor of page {number} another rest came"


def _equal(left: Sequence[pa.Table], right: Sequence[pa.Table]) -> bool:
    told = [[row for page in pages for row in page.to_pylist()] for pages in (left, right)]
    return told[0] == told[1]


def source_reads_page_by_page(bench: SourceBench) -> None:
    """The first page comes alone, and a reader left open does no harm."""
    for source in _opened(bench):
        first = next(iter(source.read(bench.object, page_rows=2)))
        assert first.rows.num_rows <= 2


def source_knows_its_content(bench: SourceBench) -> None:
    """The fingerprint of an unchanged source is the same when it is opened again; a live one may not know."""
    told = [source.fingerprint(bench.object) for _ in range(2) for source in _opened(bench)]
    assert told[0] == told[1], "the fingerprint changed though nothing did"


def source_refuses_what_it_does_not_know(bench: SourceBench) -> None:
    """An object that is not there is a FatalError that names it."""
    for source in _opened(bench):
        fails(lambda source=source: list(source.read("no such object")))  # type: ignore[misc]  # mypy cannot infer a lambda's default


def source_declares_what_it_is(bench: SourceBench) -> None:
    """`facts.changes` and the protocol say the same."""
    for source in _opened(bench):
        if source.facts.changes:
            assert isinstance(source, ChangingSource), "facts.changes, but no ChangingSource"
        assert not source.facts.deleted_feed or source.facts.changes, "a feed of deletes needs changes"
        assert source.facts.late_seconds >= 0, "nothing is visible before it happens"


def source_tells_changes(bench: SourceBench) -> None:
    """What was made or changed after the watermark comes, whole; what was deleted comes where that is promised."""
    for source in _opened(bench):
        if not (source.facts.changes and isinstance(source, ChangingSource) and bench.edit and bench.add):
            continue
        schema = bench.schema(source)
        before = _whole(source, bench.object).column(schema.key).to_pylist()
        since = source.watermark(bench.object)
        bench.edit(before[0])
        made = bench.add()
        if bench.remove is not None:
            bench.remove(before[1])
        pages = list(source.changes(bench.object, since=since))
        marks = [page.watermark for page in pages]
        assert marks[-1] is not None, "the last page must carry the next watermark"
        assert marks[:-1] == [None] * (len(marks) - 1), "only the last page may carry one"
        told = [key for page in pages for key in page.rows.column(schema.key).to_pylist()]
        assert {before[0], made} <= set(told), f"changes named {told}"
        assert all(set(page.rows.column_names) == set(schema.field_names) for page in pages), (
            "rows must be whole"
        )
        if bench.remove is not None and source.facts.deleted_feed:
            gone = [key for page in pages for key in page.deleted.to_pylist()]
            assert before[1] in gone, f"the deleted record is not among {gone}"
        later = list(source.changes(bench.object, since=marks[-1]))
        assert later[-1].watermark is not None, "asking again must give a watermark too"


def source_forgets_nothing_between(bench: SourceBench) -> None:
    """A change made after each watermark comes with the next: no gap between two calls."""
    for source in _opened(bench):
        if not (source.facts.changes and isinstance(source, ChangingSource) and bench.add):
            continue
        schema = bench.schema(source)
        mark: str | None = source.watermark(bench.object)
        for _ in range(3):
            made = bench.add()
            assert mark is not None
            pages = list(source.changes(bench.object, since=mark, page_rows=2))
            told = {key for page in pages for key in page.rows.column(schema.key).to_pylist()}
            assert made in told, f"{made} is not among the changes"
            mark = pages[-1].watermark


def source_asks_its_gate(bench: SourceBench) -> None:
    """A source with limits asks its gate before each request."""
    for source in _opened(bench):
        if isinstance(source, Paced):
            counting = CountingGate()
            source.pace(counting)
            _whole(source, bench.object)
            assert counting.requests, "requests went out without asking the gate"


def source_says_who_answers(bench: SourceBench) -> None:
    """`identify` names product and address."""
    for source in _opened(bench):
        if isinstance(source, Identified):
            found = source.identify()
            assert found.product, "identify must name the product"
            assert found.address, "identify must name the address"


def source_closes_twice(bench: SourceBench) -> None:
    """`close` may be called again."""
    for source in _opened(bench):
        source.describe()
        source.close()


SOURCE_CHECKS: tuple[Callable[[SourceBench], None], ...] = (
    source_describes_itself, source_reads_whole, source_keeps_its_order, source_says_where,
    source_goes_on_after_each_page, source_reads_page_by_page, source_knows_its_content,
    source_refuses_what_it_does_not_know, source_declares_what_it_is, source_tells_changes,
    source_forgets_nothing_between, source_asks_its_gate, source_says_who_answers, source_closes_twice,
)  # fmt: skip
"""Every promise of a source, in the order in which a new connector best keeps them."""
