"""Laws of the Dynamics reader: what was written is read back, and the swift and the careful way give the same rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.dynamics_export import records
from connectors.dynamics_export.batch import Piece, Position
from connectors.dynamics_export.careful import read_careful
from connectors.dynamics_export.schema import read_layout
from connectors.dynamics_export.swift import read_plain
from tests.migration_export import Table, data_xml, pack, pages, quoted, schema_xml, write_zip

TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn"), include_characters="\n\r\t")
    | st.sampled_from("\"'&<>;=")
)
GUIDS = st.uuids().map(str)
FIELDS = {
    "aid": "guid",
    "name": "string",
    "note": "memo",
    "bossid": {"type": "lookup", "lookupType": "a"},
    "customerid": "customer",
    "file": "filedata",
    "to": "partylist",
    "cc": "partylist",
}
LOOKUP = st.fixed_dictionaries(
    {"value": GUIDS, "lookupentity": st.sampled_from(["a", "account", "contact"])},
    optional={"lookupentityname": TEXT},
)
RECORD = st.fixed_dictionaries(
    {"aid": GUIDS},
    optional={"name": TEXT, "note": TEXT, "bossid": LOOKUP, "customerid": LOOKUP, "file": st.fixed_dictionaries({"value": GUIDS, "filename": TEXT})},
)  # fmt: skip


def expected(record: dict[str, Any]) -> dict[str, str]:
    row: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, str):
            row[name] = value
            continue
        row[name] = f"files/{value['value']}.bin" if name == "file" else value["value"]
        row |= {f"{name}__name": value["lookupentityname"]} if "lookupentityname" in value else {}
        row |= {f"{name}__filename": value["filename"]} if "filename" in value else {}
        row |= {f"{name}__type": value["lookupentity"]} if name == "customerid" else {}
        if name == "bossid" and value["lookupentity"] != "a":
            row["undeclared_fields"] = f'{{"bossid@lookupentity": "{value["lookupentity"]}"}}'
    return row


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORD, max_size=12), st.sampled_from(["", "\n", "\r\n    "]), st.integers(1, 5))
def test_what_was_written_is_read_back(rows: list[dict[str, Any]], layout: str, page_rows: int) -> None:
    table = Table("a", FIELDS, rows)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "data_schema.xml").write_text(schema_xml(table), encoding="utf-8")
        (Path(folder) / "data.xml").write_bytes(data_xml(table, layout=layout).encode())
        found = [
            row for page in pages(Path(folder), "a", page_rows=page_rows) for row in page.rows.to_pylist()
        ]
    assert [{name: value for name, value in row.items() if value is not None} for row in found] == [
        expected(row) for row in rows
    ]


VALUE = st.lists(
    TEXT.map(lambda text: quoted(text)[1:-1])
    | st.sampled_from(
        ["\n", "\r\n", "\r", "\t", "&#38;", "&#38;amp;", "&amp;lt;", "&#x1F600;", "&apos;", "&#9;"]
    ),
    max_size=4,
).map("".join)
PARTY = st.builds(
    lambda guid, value, rest, more: (
        f'<activitypointerrecords id="{guid}"><field name="partyid" value="{guid.upper()}"{rest} />\n'
        f'<field name="addressused" value="{value}"/>{more}</activitypointerrecords>'
    ),
    GUIDS,
    VALUE.filter(lambda value: not set(value) & set("\n\r\t")),
    st.sampled_from(
        ["", ' lookupentity="contact"', ' lookupentity="contact" lookupentityname="A &amp; B"', ' odd="1"']
    ),
    st.just("")
    | st.sampled_from(
        ['<field name="addressused" value="2"/>', "<field name='x' value='1'/>", '<field name="y"/>']
    ),
)
PLAIN_PARTY = PARTY.filter(
    lambda text: text.count("addressused") == 1 and "='" not in text and "y" not in text[-50:]
)
PLAIN = {"name": "plain", "end": " />", "rest": "", "blank": "\n  ", "record": ' id="A"'}
ODD = {
    "name": [*FIELDS, "new_unknown"],
    "end": ["/>", "></field>", "> </field >", "><!-- x --></field>", ">text</field>", '><field name="note" value="y"/></field>', '/><record id="2"/>'],
    "rest": ["", ' lookupentity="account"', ' lookupentity="a" lookupentityname="&#xA;"', ' filename="f"', ' other="x"'],
    "blank": ["", " ", "\r\n ", "<!-- </record> -->", "words"],
    "record": ["", ' id="{0A000000-0000-0000-0000-00000000000A}"', ' id="1" newId="2"', ' id="0"'],
}  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_both_ways_of_reading_agree(data: st.DataObject) -> None:
    """Also on what the export tool never writes: raw line ends, any escape, and one oddity at a time."""
    oddity = data.draw(st.sampled_from(["", "party", *ODD]))

    def part(what: str) -> str:
        return data.draw(st.sampled_from(ODD[what])) if what == oddity else PLAIN[what]

    def field(name: str) -> str:
        if name in {"to", "cc"} and oddity != "name":
            parties = data.draw(st.lists(PARTY if oddity == "party" else PLAIN_PARTY, max_size=3))
            return (
                f'<field name="{name}" value="">{"".join(parties)}</field>'
                if parties
                else f'<field name="{name}" value=""/>'
            )
        return f'<field name="{name}" value="{data.draw(VALUE)}"{part("rest")}{part("end")}{part("blank")}'

    def record() -> str:
        known = list(FIELDS)[0 if oddity == "record" else 1 :]  # a key unlike the id is an oddity too
        names = data.draw(st.permutations(known))[: data.draw(st.integers(0, 4))]
        fields = "".join(field(part("name") if oddity == "name" else name) for name in names)
        return f"{part('blank')}<record{part('record')}>{fields}</record>"

    text = "".join(record() for _ in range(data.draw(st.integers(1, 4)))) + part("blank")
    plan = read_layout(schema_xml(Table("a", FIELDS)), "schema").entities["a"]
    raw = text.encode()
    piece = Piece(raw, Position(100, 7), Position(100 + len(raw), 7 + raw.count(b"\n")))
    swift = read_plain(piece, plan)
    assert swift is not None or oddity
    if swift is None:
        return
    careful = read_careful(piece, plan, "data.xml")
    assert swift.rows.to_pylist() == careful.rows.to_pylist()
    assert swift.starts.tolist() == careful.starts.tolist()
    assert swift.lines.tolist() == careful.lines.tolist()
    assert not careful.rejects


def test_the_plain_layout_is_read_swiftly() -> None:
    """Guards the law above: it would hold if the swift way always gave up."""
    rows = [
        {
            "aid": "0a000000-0000-0000-0000-00000000000a",
            "name": 'x & "y"',
            "customerid": {"value": "1", "lookupentity": "b"},
        }
    ]
    table = Table("a", FIELDS, rows * 3)
    text = data_xml(table)
    begin, end = text.index("<records>") + 9, text.index("</records>")
    plan = read_layout(schema_xml(table), "schema").entities["a"]
    piece = Piece(text[begin:end].encode(), Position(0, 1), Position(end - begin, 1))
    batch = read_plain(piece, plan)
    assert batch is not None
    assert batch.rows["customerid__type"].to_pylist() == ["b"] * 3


@pytest.mark.parametrize("piece", [1, 700, 5000])
def test_the_size_of_pieces_does_not_matter(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"aid": f"{n:032x}", "name": "x" * (n * 37 % 900)} for n in range(60)]
    path = write_zip(tmp_path / "e.zip", Table("a", FIELDS, rows))
    monkeypatch.setattr("connectors.dynamics_export.spans.BLOCK", 512)
    monkeypatch.setattr(records, "PIECE", piece)
    found = [row for page in pages(path, "a", page_rows=13) for row in page.rows.to_pylist()]
    assert [(row["aid"], row["name"]) for row in found] == [(row["aid"], row["name"]) for row in rows]


@pytest.mark.parametrize("piece", [1, 300])
def test_comments_over_the_edges_of_pieces_do_no_harm(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table("a", FIELDS, [{"aid": f"{n:032x}"} for n in range(20)])
    comment = "<!-- <record id='x'></record> " + "</record>" * 40 + "-->"
    text = data_xml(table).replace("</record>", f"</record>{comment}")
    path = pack(tmp_path / "e.zip", schema_xml(table).encode(), text.encode())
    monkeypatch.setattr("connectors.dynamics_export.spans.BLOCK", 64)
    monkeypatch.setattr(records, "PIECE", piece)
    assert sum(page.rows.num_rows for page in pages(path, "a")) == 20
