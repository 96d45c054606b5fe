"""What a printed page says: the text of a PDF, sheet by sheet, as a reader would type it."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

from pypdf import PdfReader


def sheets(pdf: Path) -> list[str]:
    """The text of each sheet on one line; ligatures are undone, for a font may set "fi" and "ff" as one glyph each."""
    return [" ".join(normalize("NFKC", sheet.extract_text()).split()) for sheet in PdfReader(pdf).pages]
