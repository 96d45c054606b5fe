"""Any table of text comes back the same from CSV, in every encoding that can hold it, however the blocks are cut."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files.csv_stream import CsvFormat, read_layout, read_pages
from connectors.files.dialect import Dialect
from connectors.files.encoding import transcode

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030", "cp950", "cp932", "cp949", "cp1252", "latin-1"]  # fmt: skip
NASTY = ['"', '""', ",", ";", "\n", "\r\n", "\r", "\t", "王伟", "李 娜", "é", "’", "😀", "\ufeff", "'", " ", "한국", "カナ", "ｱ", "a", "0", "NA", "null", "|"]  # fmt: skip

texts = st.lists(st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=3), max_size=6).map("".join)  # fmt: skip
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.none() | texts, min_size=width, max_size=width), min_size=0, max_size=12
    )
)


def written(rows: list[list[str | None]], dialect: Dialect, newline: str) -> str:
    """Every value quoted, nulls bare: the one form that tells the two apart."""
    quote = dialect.quote

    def cell(value: str | None) -> str:
        return "" if value is None else f"{quote}{value.replace(quote, quote * 2)}{quote}"

    return "".join(dialect.delimiter.join(map(cell, row)) + newline for row in rows)


def read(
    data: bytes, dialect: Dialect, encoding: str, *, block: int, page_rows: int
) -> list[list[str | None]]:
    def blocks():
        return transcode(io.BytesIO(data), encoding, place="t.csv", block_bytes=block)

    form = CsvFormat(dialect, read_layout(blocks(), dialect, "t.csv"), "t.csv")
    pages = list(read_pages(blocks(), form, skip=0, page_rows=page_rows))
    assert not any(page.rejects for page in pages)
    assert all(page.rows.num_rows <= page_rows for page in pages)
    return [list(row.values()) for page in pages for row in page.rows.to_pylist()]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(
    rows=tables,
    delimiter=st.sampled_from(",;\t|"),
    quote=st.sampled_from("\"'"),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    block=st.integers(1, 40),
    page_rows=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_read(
    encoding: str,
    rows: list[list[str | None]],
    delimiter: str,
    quote: str,
    newline: str,
    block: int,
    page_rows: int,
) -> None:
    dialect = Dialect(delimiter, quote)
    rows = [[value and value.encode(encoding, "ignore").decode(encoding) for value in row] for row in rows]
    header = [[f"c{number}" for number in range(len(rows[0]) if rows else 1)]]
    text = written([*header, *rows], dialect, newline)
    assert read(text.encode(encoding), dialect, encoding, block=block, page_rows=page_rows) == rows
