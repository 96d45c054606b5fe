"""In which encoding a text file is: from its BOM, from strict decoding, and from how plausible the text then reads.

Nothing is guessed silently: a choice that is not clear cut is an error that names the candidates.
"""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from connectors.files.common_characters import JAPANESE, KOREAN, SIMPLIFIED, TRADITIONAL
from migrator.core.errors import ProjectError

SCAN_BYTES = 16 << 20
"""How far into a file we look for bytes beyond ASCII; past it the strict decoder is the judge."""
TELLING_BYTES = 64 << 10
"""How many bytes of lines beyond ASCII are enough to judge by."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"\x84\x31\x95\x33", "gb18030"),
)


@dataclass(frozen=True, slots=True)
class Detection:
    """The encoding to read with, how sure (0 to 1), and why in words a user understands."""

    encoding: str
    confidence: float
    reason: str

    def __str__(self) -> str:
        return f"{self.encoding} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Sample:
    """What encodings are told by: the first bytes, and whole lines that hold bytes beyond ASCII."""

    head: bytes
    telling: bytes
    complete: bool = False
    """The whole file was looked at."""

    def __add__(self, other: Sample) -> Sample:
        telling = (self.telling + b"\n" + other.telling).strip(b"\n")
        return Sample(self.head or other.head, telling[:TELLING_BYTES], self.complete and other.complete)


def take_sample(stream: BinaryIO, *, scan_bytes: int = SCAN_BYTES) -> Sample:
    """Read at most `scan_bytes` of a stream; lines are cut at LF, which is never part of a character in our candidates."""
    telling: list[bytes] = []
    head, rest, seen = b"", b"", 0
    while seen < scan_bytes and sum(len(line) for line in telling) < TELLING_BYTES:
        block = stream.read(1 << 18)
        head, seen = head or block, seen + len(block)
        if not block:
            telling += _telling(rest)
            return Sample(head, b"\n".join(telling)[:TELLING_BYTES], complete=True)
        whole, newline, rest = (rest + block).rpartition(b"\n")
        telling += _telling(whole)
        if not newline and len(rest) > TELLING_BYTES:
            telling, rest = [*telling, *_telling(rest)], b""
    return Sample(head, _whole_lines(b"\n".join(telling)))


def _telling(block: bytes) -> list[bytes]:
    return [] if block.isascii() else [line for line in block.split(b"\n") if not line.isascii()]


def _whole_lines(text: bytes) -> bytes:
    if len(text) <= TELLING_BYTES:
        return text
    return text[: text.rfind(b"\n", 0, TELLING_BYTES) + 1] or text[:TELLING_BYTES]


def detect(sample: Sample, place: str) -> Detection:
    """The encoding of a sample; raises `ProjectError` naming the candidates when it is not clear cut."""
    found = _by_mark(sample.head) or _by_zeros(sample.head)
    if found:
        return found
    if not sample.telling:
        what = "in all of it" if sample.complete else "in what was looked at"
        return Detection("utf-8", 1.0, f"only ASCII {what}; every byte is checked while reading")
    if _decodes(sample.telling, "utf-8"):
        return Detection("utf-8", 0.99, "every character in the sample is valid UTF-8")
    return _by_plausibility(sample.telling, place)


def _by_mark(head: bytes) -> Detection | None:
    found = next((encoding for mark, encoding in _BOMS if head.startswith(mark)), None)
    return Detection(found, 1.0, "byte order mark") if found else None


def _by_zeros(head: bytes) -> Detection | None:
    """UTF-16 and UTF-32 without a mark: separators and digits leave zeros at every second or fourth place."""
    sample = head[: min(len(head), TELLING_BYTES) // 4 * 4]
    zeros = [sample[offset::4].count(0) / max(len(sample) // 4, 1) for offset in range(4)]
    little16, big16 = min(zeros[1], zeros[3]), min(zeros[0], zeros[2])
    shapes = (
        ("utf-32-le", min(zeros[2], zeros[3]) > 0.9 and zeros[0] < 0.1),
        ("utf-32-be", min(zeros[0], zeros[1]) > 0.9 and zeros[3] < 0.1),
        ("utf-16-le", little16 > 0.05 and max(zeros[0], zeros[2]) < little16 / 5),
        ("utf-16-be", big16 > 0.05 and max(zeros[1], zeros[3]) < big16 / 5),
    )
    for encoding, fits in shapes:
        if fits and _decodes(sample, encoding):
            return Detection(
                encoding, 0.95, "zero bytes stand where this encoding puts them; no byte order mark"
            )
    return None


def _decodes(data: bytes, encoding: str) -> bool:
    return _decode(data, encoding) is not None


def _decode(data: bytes, encoding: str) -> str | None:
    """Strictly, or None; a character cut off at the end is a fault only when the sample was not cut."""
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(data, len(data) < TELLING_BYTES)
    except UnicodeDecodeError:
        return None


# --- plausibility ----------------------------------------------------------------------------------


def _weigh_simplified(char: str) -> float:
    return _weigh_han(char, SIMPLIFIED, "gb2312", 0xB0, 0xD7)


def _weigh_traditional(char: str) -> float:
    return _weigh_han(char, TRADITIONAL, "big5", 0xA4, 0xC6)


def _weigh_han(char: str, common: frozenset[str], charset: str, first: int, last: int) -> float:
    """Common characters, then the charset's level of frequent ones, then its rare ones, then what it should not hold."""
    if char in common:
        return 1.0
    if "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uff5f" or char in "“”‘’…—·":
        return 0.7
    if "\u4e00" <= char <= "\u9fff":
        lead = char.encode(charset, "replace")[0]
        return 0.45 if first <= lead <= last else 0.15 if lead > last else 0.0
    return -0.5 if _is_private(char) else 0.1


def _weigh_japanese(char: str) -> float:
    if "\u3041" <= char <= "\u30ff":
        return 0.9
    if char in JAPANESE:
        return 1.0
    if "\uff61" <= char <= "\uff9f":
        return 0.05
    return _weigh_han(char, JAPANESE, "cp932", 0x88, 0x97)


def _weigh_korean(char: str) -> float:
    if char in KOREAN:
        return 1.0
    if "\uac00" <= char <= "\ud7a3":
        return 0.3 if len(char.encode("euc_kr", "ignore")) == 2 else 0.05
    return _weigh_han(char, frozenset(), "euc_kr", 0xFE, 0xFE)


def _is_private(char: str) -> bool:
    return "\ue000" <= char <= "\uf8ff" or char >= "\U000f0000" or char < "\xa0" or char == "\ufffd"


_WESTERN_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿœŒ")
_BEFORE_WORDS = frozenset("«»‹›“„‘‚¿¡©–—…•·†‡±")
_AFTER_WORDS = frozenset("«»‹›”“’‘´®™°ªº²³–—…•·†‡‰")
_ALONE = frozenset("€£§½¼¾\xa0") | _BEFORE_WORDS | _AFTER_WORDS
_WORD = re.compile(r"[^\W\d_]+")


def _score_western(text: str) -> float:
    """Accented letters are the minority of a word, signs stand beside words: elsewhere it is another script."""
    total = sum(1 for char in text if not char.isascii())
    weight = sum(_weigh_word(match[0]) for match in _WORD.finditer(text))
    for match in re.finditer(r"[^\x00-\x7f]", text):
        if not _WORD.match(match[0]) or match[0] in "ªº":
            weight += _weigh_sign(
                match[0], text[max(match.start() - 1, 0) : match.start()], text[match.end() : match.end() + 1]
            )
    return weight / max(total, 1)


def _weigh_word(word: str) -> float:
    letters = [char for char in word if not char.isascii() and char not in "ªº"]
    if len(letters) * 2 > len(word) and len(word) > 1:
        return 0.1 * len(letters)
    shouting = not word.isupper() and any(char.isupper() for char in word[1:] if not char.isascii())
    known = sum(1.0 for char in letters if char in _WESTERN_LETTERS)
    return known * (0.3 if shouting else 1.0)


def _weigh_sign(sign: str, before: str, after: str) -> float:
    if sign not in _ALONE:
        return 0.0
    word_before, word_after = before.isalpha(), after.isalpha()
    if word_before and word_after:
        return 0.8 if sign in "’–—" else -0.3
    fits = sign in _AFTER_WORDS if word_before else sign in _BEFORE_WORDS if word_after else True
    return 0.8 if fits else -0.3


def _score(weigh: Callable[[str], float]) -> Callable[[str], float]:
    def score(text: str) -> float:
        counts = Counter(char for char in text if not char.isascii())
        # the square root keeps one word repeated in every row from deciding alone
        spread = {char: math.sqrt(count) for char, count in counts.items()}
        return sum(weigh(char) * share for char, share in spread.items()) / max(sum(spread.values()), 1.0)

    return score


_CANDIDATES: tuple[tuple[str, Sequence[str], Callable[[str], float]], ...] = (
    ("gb18030", ("gb18030",), _score(_weigh_simplified)),
    ("big5", ("cp950", "big5hkscs"), _score(_weigh_traditional)),
    ("cp932", ("cp932",), _score(_weigh_japanese)),
    ("euc-jp", ("euc_jp",), _score(_weigh_japanese)),
    ("euc-kr", ("cp949",), _score(_weigh_korean)),
    ("cp1252", ("cp1252",), _score_western),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoding that decodes the sample strictly, and how plausible the text reads then (about 0 to 1)."""

    name: str
    codec: str
    score: float
    text: str


def candidates(telling: bytes) -> list[Candidate]:
    """Legacy encodings that decode these bytes, most plausible first."""
    found = []
    for name, tried, score in _CANDIDATES:
        for codec in tried:
            text = _decode(telling, codec)
            if text is not None:
                found.append(Candidate(name, codec, score(text), text))
                break
    return sorted(found, key=lambda item: -item.score)


CLEAR_SCORE = 0.55
CLEAR_LEAD = 0.2


def _by_plausibility(telling: bytes, place: str) -> Detection:
    ranked = candidates(telling)
    if not ranked:
        raise ProjectError.at(
            place, f"the text is in no encoding that we can tell{_not_utf8(telling)}", _hint(ENCODINGS)
        )
    best = ranked[0]
    lead = best.score - (ranked[1].score if len(ranked) > 1 else 0.0)
    if best.score < CLEAR_SCORE or lead < CLEAR_LEAD:
        shown = "; ".join(f"{item.name} reads {_excerpt(item.text)!r}" for item in ranked[:3])
        raise ProjectError.at(
            place,
            f"the encoding is not clear: {shown}{_not_utf8(telling)}",
            _hint([item.name for item in ranked[:3]]) + _OTHERS,
        )
    confidence = round(min(0.5 + lead / 2 + best.score / 4, 0.98), 2)
    return Detection(
        best.codec,
        confidence,
        f"not UTF-8; of {_names(ranked)} this reads most plausibly: {_excerpt(best.text)!r}",
    )


def _not_utf8(telling: bytes) -> str:
    """Which line keeps a text from being UTF-8, when others beyond ASCII are: damage more likely than a choice."""
    lines = telling.split(b"\n")
    bad = [line for line in lines if not _decodes(line, "utf-8")]
    if len(bad) == len(lines):
        return ""
    shown = "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02X}" for byte in bad[0][:60])
    return f"; {len(lines) - len(bad)} of {len(lines)} lines looked at are UTF-8, but not: {shown}"


_OTHERS = ", or to another one, such as cp1250 (Central Europe), cp1251 (Cyrillic), cp1253 (Greek), cp1254 (Turkish)"
ENCODINGS = ("utf-8", "utf-16", "utf-32", "gb18030", "big5", "cp932", "euc-kr", "cp1252", "latin-1")
"""What we name to a user; any text encoding of Python may be set."""


def _names(ranked: Iterable[Candidate]) -> str:
    return ", ".join(item.name for item in ranked)


def _excerpt(text: str) -> str:
    """A few characters around the first one beyond ASCII."""
    first = next((index for index, char in enumerate(text) if not char.isascii()), 0)
    return " ".join(text[max(first - 4, 0) : first + 12].split())


def _hint(names: Iterable[str]) -> str:
    return f"set `encoding:` of this system in migration.yaml, for example to one of: {', '.join(names)}"
