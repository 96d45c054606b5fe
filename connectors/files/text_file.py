"""A text file of whatever encoding as UTF-8 blocks; what its encoding is, is found out once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.archive import is_web_page
from connectors.files.detection import Detection, detect, take_sample
from connectors.files.encoding import BLOCK_BYTES, Undecodable, transcode
from connectors.files.part import Opener
from migrator.core.errors import FatalError


@dataclass
class TextFile:
    """One file or member; `declared` is the codec a user has set, None to find it out."""

    place: str
    open: Opener
    declared: str | None = None
    undecodable: Undecodable = Undecodable.ERROR
    _detection: Detection | None = field(default=None, repr=False)

    def detection(self) -> Detection:
        """The encoding and why; raises `ProjectError` when it is not clear."""
        if self._detection is None:
            self._detection = Detection(self.declared, 1.0, "as set") if self.declared else self._detect()
        return self._detection

    def _detect(self) -> Detection:
        with self.open() as stream:
            return detect(take_sample(stream), self.place)

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The file from its start as UTF-8 (see `transcode`)."""
        encoding = self.detection().encoding
        with self.open() as stream:
            blocks = transcode(
                stream, encoding, place=self.place, undecodable=self.undecodable, block_bytes=block_bytes
            )
            for number, block in enumerate(blocks):
                if number == 0 and is_web_page(block[:64]):
                    raise FatalError(
                        f"{self.place}:1: this is a web page, not data",
                        hint="a sign-in or error page was saved in its place: sign in and download the export again",
                    )
                yield block
