"""One CSV file or member as a part: finds out encoding, dialect and names, then streams pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from connectors.files.csv_stream import CsvFormat, CsvLayout, ZeroBytes, read_layout, read_pages
from connectors.files.dialect import Dialect, DialectSettings, sniff
from connectors.files.part import PartPage
from connectors.files.text_file import TextFile
from migrator.core.schema import FieldSchema, FieldType

SNIFF_BYTES = 64 << 10


@dataclass
class CsvReader:
    """Reads one CSV or TSV; with `dialect` given nothing is sniffed."""

    file: TextFile
    settings: DialectSettings = field(default_factory=DialectSettings)
    suffix: str = ".csv"
    dialect: Dialect | None = None
    zero_bytes: ZeroBytes = ZeroBytes.REJECT
    _form: CsvFormat | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """The file's."""
        return self.file.place

    def form(self) -> CsvFormat:
        """How the file is read, found out once."""
        if self._form is None:
            dialect = self.dialect or self._sniff()
            layout: CsvLayout = read_layout(self.file.blocks(SNIFF_BYTES), dialect, self.file.place)
            self._form = CsvFormat(dialect, layout, self.file.place, self.zero_bytes)
        return self._form

    def _sniff(self) -> Dialect:
        blocks = self.file.blocks(SNIFF_BYTES)
        first = next(blocks, b"")
        complete = next(blocks, None) is None
        text = first.decode("utf-8", "surrogatepass")
        return sniff(text, self.settings, place=self.file.place, complete=complete, suffix=self.suffix)

    def fields(self) -> Sequence[FieldSchema]:
        """Text columns, all of them: what a value means is the mapping's to say."""
        return [FieldSchema(name, FieldType.STRING) for name in self.form().layout.header.names]

    def notes(self) -> Sequence[str]:
        """Encoding, dialect, and renamed columns."""
        form = self.form()
        empty = () if form.layout.width else ("the file is empty",)
        return (f"encoding {self.file.detection()}", str(form.dialect), *form.layout.header.notes, *empty)

    def count(self) -> int | None:
        """Not known without reading."""
        return None

    def pages(self, *, skip: int, page_rows: int) -> Iterator[PartPage]:
        """See `PartReader.pages`."""
        return read_pages(self.file.blocks(), self.form(), skip=skip, page_rows=page_rows)
