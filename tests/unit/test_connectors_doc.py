"""The connector that docs/connectors.md shows is a real one: it runs and says what the page promises."""

import re
from pathlib import Path

from migrator.core.connector import Connector
from migrator.testing.conformance import SOURCE_CHECKS, SourceBench

PAGE = Path(__file__).parents[2] / "docs" / "connectors.md"


def test_the_documented_connector_reads_rows_and_rejects_what_is_no_record(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "CONNECTOR = " in block)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - running the page is the test
    book = tmp_path / "book.txt"
    book.write_text("王伟;+8613800138000\nno number here\nSiti;+60123456789\n", encoding="utf-8")

    connector = names["CONNECTOR"]
    assert isinstance(connector, Connector)
    assert connector.open_source is not None
    (page,) = connector.open_source({"path": str(book)}).read("entry")

    assert page.rows.to_pylist() == [
        {"name": "王伟", "number": "+8613800138000"},
        {"name": "Siti", "number": "+60123456789"},
    ]
    assert [(reject.place, reject.rule) for reject in page.rejects] == [("book.txt:2", "file.ragged")]

    open_book = connector.open_source
    for check in SOURCE_CHECKS:
        check(SourceBench(lambda: open_book({"path": str(book)}), "entry", expected=2))
