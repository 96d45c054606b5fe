"""CSV as people really write it: places are true, odd rows are rejects, and the dialect is told or asked for."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.files.csv_records import Splitter
from connectors.files.csv_stream import CsvFormat, ZeroBytes, read_layout, read_pages
from connectors.files.dialect import Dialect, DialectSettings, sniff
from connectors.files.encoding import Undecodable, transcode
from connectors.files.naming import key_of, name_columns
from connectors.files.part import PartPage
from migrator.core.errors import FatalError, ProjectError


def read(
    data: bytes,
    dialect: Dialect = Dialect(),  # noqa: B008 (frozen)
    *,
    undecodable: Undecodable = Undecodable.ERROR,
    zero_bytes: ZeroBytes = ZeroBytes.REJECT,
    block: int = 1 << 20,
    skip: int = 0,
) -> list[PartPage]:
    def blocks():
        return transcode(io.BytesIO(data), "utf-8", place="f.csv", undecodable=undecodable, block_bytes=block)

    form = CsvFormat(dialect, read_layout(blocks(), dialect, "f.csv"), "f.csv", zero_bytes)
    return list(read_pages(blocks(), form, skip=skip, page_rows=100))


def rows(pages: list[PartPage]) -> list[list[str | None]]:
    return [list(row.values()) for page in pages for row in page.rows.to_pylist()]


def places(pages: list[PartPage]) -> list[str]:
    return [place for page in pages for place in page.places.to_pylist()]


def rejects(pages: list[PartPage]) -> list[tuple[str, str, str]]:
    return [(item.place, item.rule, item.raw) for page in pages for item in page.rejects]


MESSY = b'a,b\r\n1,2\r\n"x\r\ny",""\r\n\r\n5" pipe,\r\n1,2,3\r\n"a"b,2\r\nq,\x00\r\n\xe4\xb8\xad\xe4,3\r\nonly\r\nlast,"1"'


@pytest.mark.parametrize("block", [1, 2, 3, 5, 8, 1000])
def test_messy_rows_are_told_apart_whatever_the_blocks(block: int) -> None:
    pages = read(MESSY, undecodable=Undecodable.QUARANTINE, block=block)
    assert rows(pages) == [["1", "2"], ["x\r\ny", ""], ['5" pipe', None], ["last", "1"]]
    assert places(pages) == ["f.csv:2", "f.csv:3", "f.csv:6", "f.csv:12"]
    assert rejects(pages) == [
        ("f.csv:7", "file.ragged", "1,2,3"),
        ("f.csv:8", "file.quoting", '"a"b,2'),
        ("f.csv:9", "file.zero-byte", "q,\\x00"),
        ("f.csv:10", "file.undecodable", "中\\xE4,3"),
        ("f.csv:11", "file.ragged", "only"),
    ]
    assert pages[-1].consumed == 9


@pytest.mark.parametrize("skip", range(10))
def test_skipping_leaves_out_records_refused_ones_too(skip: int) -> None:
    pages = read(MESSY, undecodable=Undecodable.QUARANTINE, skip=skip)
    told = sorted(
        int(place.rpartition(":")[2]) for place in places(pages) + [item[0] for item in rejects(pages)]
    )
    assert told == [2, 3, 6, 7, 8, 9, 10, 11, 12][skip:]


def test_zero_bytes_can_be_kept() -> None:
    assert rows(read(b"a,b\nx\x00y,2\n", zero_bytes=ZeroBytes.KEEP)) == [["x\0y", "2"]]


def test_a_byte_order_mark_inside_the_data_is_data() -> None:
    assert rows(read(b"\xef\xbb\xbfa,b\n\xef\xbb\xbfx,1\n")) == [["\ufeffx", "1"]]


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 6, 7])
def test_a_line_end_cut_in_two_is_one(block: int) -> None:
    assert rows(read(b'a\r\n5" x\r\ny\r\n', block=block)) == [['5" x'], ["y"]]


def test_every_byte_of_a_broken_character_is_shown() -> None:
    pages = read(b"a,b\n\xe4\xb8,3\n\xe4\xb8\n,4\n", undecodable=Undecodable.QUARANTINE)
    assert [item[2] for item in rejects(pages)] == ["\\xE4\\xB8,3", "\\xE4\\xB8"]
    assert rows(pages) == [[None, "4"]]


def test_null_is_apart_from_empty_unless_the_dialect_says_otherwise() -> None:
    data = b'a,b,c\n,"",x\n'
    assert rows(read(data)) == [[None, "", "x"]]
    assert rows(read(data, Dialect(null_quoted=True))) == [[None, None, "x"]]


def test_words_that_look_like_null_stay() -> None:
    words = ["NA", "N/A", "#N/A", "NULL", "null", "nan", "None", "-", "0", "false"]
    assert rows(read(b"a,b\n" + b"".join(f"{word},x\n".encode() for word in words))) == [
        [word, "x"] for word in words
    ]


def test_a_blank_line_is_a_record_only_where_there_is_one_column() -> None:
    assert rows(read(b"a\nx\n\ny\n")) == [["x"], [None], ["y"]]
    assert rows(read(b"a,b\nx,1\n\ny,2\n")) == [["x", "1"], ["y", "2"]]


@pytest.mark.parametrize(
    ("data", "line"), [(b'a,b\n1,2\n3,"x\ny\n', 3), (b'a,b\n"1\n2","x\n', 3), (b'"a', 1)]
)
def test_a_quote_that_never_closes_is_found_at_its_line(data: bytes, line: int) -> None:
    with pytest.raises(FatalError, match=rf"^f\.csv:{line}: a quoted field begins here"):
        read(data)


def test_a_header_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(FatalError, match="first record"):
        read(b'"a"b,c\n1,2\n')


def test_without_header_columns_are_numbered_and_the_first_line_is_data() -> None:
    pages = read(b"1,2\n3,4\n", Dialect(header=False))
    assert rows(pages) == [["1", "2"], ["3", "4"]]
    assert pages[0].rows.column_names == ["column_1", "column_2"]


def test_large_fields_are_whole() -> None:
    large = "王" * 2_000_000
    data = f'a,b\n"{large}",1\n{"y" * 131_072},2\n'.encode()
    assert rows(read(data, block=4096)) == [[large, "1"], ["y" * 131_072, "2"]]


def test_an_undecodable_byte_far_into_ascii_is_an_error_at_its_place() -> None:
    data = b"a,b\n" + b"1,2\n" * 100_000 + "3,王伟\n".encode("gb18030")
    with pytest.raises(FatalError, match=r"f\.csv:100002: byte 0xCD at offset 400006 is not utf-8") as caught:
        read(data, block=1000)
    assert "gb18030" in caught.value.hint
    assert "undecodable: quarantine" in caught.value.hint


@given(
    st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"a", b"b ", b'""']), max_size=40).map(
        b"".join
    )
)
def test_the_fast_and_the_tolerant_way_agree(data: bytes) -> None:
    splitter = Splitter(ord(","), ord('"'), keep_blank=True)
    data = data.rstrip(b"\r")  # a CR at the end waits for what follows
    fast = splitter.split(data)
    ends, _ = splitter._scan(data)
    assert (fast.ends - 1).tolist() == ends.tolist()


# --- dialect ---------------------------------------------------------------------------------------


def told(text: str, **settings: object) -> Dialect:
    return sniff(text, DialectSettings(**settings), place="f.csv", complete=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_told_from_equal_widths(delimiter: str) -> None:
    lines = [["Name", "Note", "City"], ['"A, B; C"', "x", "Berlin"], ["1,5", "y", "Bonn"]]
    found = told("\n".join(delimiter.join(line) for line in lines if delimiter != "," or "1,5" not in line))
    assert (found.delimiter, found.quote, found.header) == (delimiter, '"', True)


def test_a_delimiter_that_is_not_clear_is_asked_for() -> None:
    text = "Name;Sum,EUR\nx;1,5\ny;2,5\n"
    with pytest.raises(ProjectError, match=r"f\.csv:1: the delimiter is not clear: .*comma"):
        told(text)
    assert told(text, delimiter=";").delimiter == ";"


def test_excel_says_its_delimiter_in_the_first_line() -> None:
    found = told("sep=|\na|b\n1|2\n", header=True)
    assert (found.delimiter, found.skip_lines) == ("|", 1)
    assert rows(read(b"sep=|\na|b\n1|2\n", found)) == [["1", "2"]]


def test_apostrophes_quote_only_where_every_line_has_them() -> None:
    assert told("'a','b'\n'x','y'\n").quote == "'"
    assert told("a,b\nO'Brien,'t Hooft\n").quote == '"'


@pytest.mark.parametrize("first", ["x@example.com,Bob", "2024-01-31,Bob", "0035g00000AAAAAAAB,Bob"])
def test_a_first_line_of_data_is_no_header(first: str) -> None:
    assert told(f"{first}\n{first}\n").header is False


def test_numbers_in_the_first_line_are_asked_about() -> None:
    with pytest.raises(ProjectError, match="not clear whether this row holds column names"):
        told("Region,2023\nNorth,17\n")
    assert told("Region,2023\nNorth,17\n", header=True).header is True


# --- names -----------------------------------------------------------------------------------------


def test_names_are_unique_whatever_their_case_and_never_ours() -> None:
    found = name_columns([" Name ", "name", "", "Name_2", "__row", "Order", 'a"b', "NAME"])
    assert found.names == ("Name", "name_3", "column_3", "Name_2", "x__row", "Order", 'a"b', "NAME_4")
    assert len(found.notes) == 5


@given(
    st.lists(
        st.sampled_from(["a", "A", "a_2", "A_2", "a_3", "", " a", "column_2", "__a", "x__a"]), max_size=12
    )
)
def test_no_column_is_ever_lost(cells: list[str]) -> None:
    names = name_columns(cells).names
    assert len(names) == len(cells)
    assert len({name.casefold() for name in names}) == len(cells)
    assert not any(name.startswith("__") or not name for name in names)


@pytest.mark.parametrize(
    ("owner", "names", "key"),
    [("account", ["Name", "AccountId", "ID"], "ID"), ("accounts", ["Name", "account_id"], "account_id"), ("x", ["GUID"], "GUID"), ("x", ["Name"], ""), ("Book.Deals", ["DealID"], "DealID")],
)  # fmt: skip
def test_keys_are_told_by_name_only(owner: str, names: list[str], key: str) -> None:
    assert key_of(owner, names) == key
