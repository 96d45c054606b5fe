"""Every cast and clean verb in the engine gives what a plain Python reference gives, on any text."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.schema import FieldType
from migrator.mapping.casts import cast_text
from migrator.mapping.columns import filled
from migrator.mapping.kinds import Kind, parse_kind
from migrator.mapping.transforms import VERBS, clean
from migrator.staging.engine import DuckSession
from tests.mapping_kit import engine

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u200a\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.text(SPACES + "aÄ王ß１Ａ<>&;/bré'\"", max_size=15),
    st.sampled_from(["<p>a&amp;b</p>x<br/>", "a\r\nb\rc", "３Ｆ　大厦", "<script>x</script>y", "&lt;b&gt;"]),
)


@pytest.fixture(scope="module")
def session() -> Iterator[DuckSession]:
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as opened:
        yield opened


def compute(session: DuckSession, sql: str, texts: list[str | None]) -> list[object]:
    session.table("given", pa.table({"n": range(len(texts)), "t": pa.array(texts, pa.string())}))
    found = session.fetch(f"SELECT {sql} AS v FROM given ORDER BY n")
    return found.column("v").to_pylist()


def cast(session: DuckSession, texts: list[str | None], kind: Kind, **options: object) -> list[object]:
    session.table("raw", pa.table({"n": range(len(texts)), "t": pa.array(texts, pa.string())}))
    sql = cast_text("t", kind, **options).sql  # type: ignore[arg-type]
    found = session.fetch(f"SELECT {sql} AS v FROM (SELECT n, {filled('t')} AS t FROM raw) ORDER BY n")
    return found.column("v").to_pylist()


def letters(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(char) for char in text)


def html_to_text(text: str) -> str:
    text = re.sub(r"(?is)<(?:script|style)\b.*?</(?:script|style)\s*>|<!--.*?-->", "", text)
    text = re.sub(r"(?i)<br\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", "\n", text)
    text = re.sub(r"</?[A-Za-z!][^>]*>", "", text)
    for entity, char in (
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", '"'),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ):
        text = text.replace(entity, char)
    return text.strip(SEPARATORS)


SEPARATORS = "".join(
    chr(code)
    for code in range(0x10000)
    if chr(code) in "\t\n\v\f\r\x85\u200b\ufeff" or unicodedata.category(chr(code))[0] == "Z"
)
_SPACE_CLASS = f"[{re.escape(SEPARATORS)}]+"

GUID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z_])"


def check_letters(body: str) -> str:
    """The three last characters of a Salesforce id, by the description in its maker's manual."""
    groups = (body[start : start + 5] for start in (0, 5, 10))
    return "".join(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[sum(1 << n for n, c in enumerate(group) if "A" <= c <= "Z")]
        for group in groups
    )


def find_id(text: str) -> str | None:
    for word in re.findall(f"{GUID}|[0-9A-Za-z]{{15,}}", re.sub("%[0-9A-Fa-f]{2}", " ", text)):
        if "-" in word:
            return word.lower()
        digit = any(c in "0123456789" for c in word[:3]) and (word[0].islower() or word[0].isdigit())
        tail = check_letters(word)
        short = len(word) == 15 and not word[3:].isdigit()
        if digit and (short or (len(word) == 18 and word[15:].upper() == tail)):
            return word[:15] + tail
    return None


REFERENCES: dict[str, Callable[[str], str | None]] = {
    "trim": lambda text: text.strip(SEPARATORS),
    "collapse": lambda text: re.sub(_SPACE_CLASS, " ", text),
    "digits": lambda text: re.sub(r"[^0-9]", "", text),
    "width": lambda text: letters(
        text, lambda c: chr(ord(c) - 0xFEE0) if "\uff01" <= c <= "\uff5e" else " " if c == "\u3000" else c
    ),
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "newlines": lambda text: re.sub(r"\r\n?", "\n", text),
    "strip_control": lambda text: re.sub(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text),
    "strip_html": html_to_text,
    "null_if_empty": lambda text: text or None,
    "find_id": find_id,
}


@pytest.mark.parametrize("verb", sorted(REFERENCES))
@settings(max_examples=20, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=20))
def test_clean_verbs_agree_with_python(session: DuckSession, verb: str, texts: list[str | None]):
    expected = [None if text is None else REFERENCES[verb](text) for text in texts]
    assert compute(session, clean("t", [verb]), texts) == expected


BODIES = st.from_regex(r"\A(?:0[01][0-9A-Zq]|a[0-9]B|Abc|aBc)[0-9A-Za-z]{12}\Z").filter(str.isascii)
IDS = st.one_of(
    BODIES,
    BODIES.map(lambda body: body + check_letters(body)),
    BODIES.map(lambda body: body + check_letters(body).lower()),
    BODIES.map(lambda body: body + "ZZZ"),
    st.uuids().map(str),
    st.uuids().map(lambda found: f"%7B{str(found).upper()}%7D"),
    st.sampled_from(["001000000000001", "001000000000001AAA", "Internationales", "371449635398431", ""]),
)
BETWEEN = st.sampled_from(["", " ", "/", "%2F", "客户", "_", "-", "?id=", "a", "https://x.y/", "\n"])


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.lists(st.one_of(IDS, BETWEEN), max_size=6).map("".join), min_size=1, max_size=20))
def test_the_first_id_hidden_in_a_text_is_found_in_its_one_form(session: DuckSession, texts: list[str]):
    assert compute(session, clean("t", ["find_id"]), texts) == [find_id(text) for text in texts]


def test_ids_are_found_where_people_leave_them(session: DuckSession):
    texts = [
        "see https://x.lightning.force.com/lightning/r/Account/0015g00000AbCdE/view",
        "main.aspx?etn=account&id=%7b3F2504E0-4F89-11D3-9A0C-0305E82C3301%7d",
        "card 371449635398431, Internationales",
    ]
    found = ["0015g00000AbCdEAAV", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", None]
    assert compute(session, clean("t", ["find_id"]), texts) == found


# Letters whose case is one to one in every Unicode version: the engine maps letters one by one, Python maps words.
CASED = st.text("abcXYZ éÉüÜñÑабвАБВαβγΑΒΓ王小明 123-'", max_size=20)


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(CASED, min_size=1, max_size=20))
def test_verbs_of_case_agree_with_python(session: DuckSession, texts: list[str]):
    assert compute(session, clean("t", ["upper"]), texts) == [text.upper() for text in texts]
    assert compute(session, clean("t", ["lower"]), texts) == [text.lower() for text in texts]
    titled = [" ".join(word[:1].upper() + word[1:].lower() for word in text.split(" ")) for text in texts]
    assert compute(session, clean("t", ["title"]), texts) == titled


def test_every_verb_has_a_reference_here():
    assert set(VERBS) == set(REFERENCES) | {"upper", "lower", "title"}


SIGNED = st.sampled_from(["", "+", "-"])
DIGITS = st.text("0123456789", max_size=22)
NUMBERS = st.one_of(
    st.builds(
        lambda sign, whole, rest: f"{sign}{whole}{rest}",
        SIGNED,
        DIGITS,
        st.one_of(st.just(""), DIGITS.map(lambda d: "." + d)),
    ),
    st.builds(
        lambda sign, number, power: f"{sign}{number}{power}",
        SIGNED,
        st.sampled_from(["1", "1.5", "9.25", "0.0", "1.005"]),
        st.sampled_from(["e3", "E-2", "e+1", "E7", "e-9", "e40", "E"]),
    ),
    st.integers(-(2**70), 2**70).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(
        [
            "",
            " ",
            "1_000",
            "1,000",
            "١٢",
            "0x1f",
            " 12 ",
            "inf",
            "nan",
            "9223372036854775807",
            "-9223372036854775808.0",
            "9223372036854775808",
        ]
    ),
)


def integer(text: str) -> int | None:
    word = text.strip(" ")
    if not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", word):
        return None
    value = int(word.partition(".")[0])
    return value if -(2**63) <= value < 2**63 else None


def decimal(text: str, precision: int, scale: int) -> Decimal | None:
    word = text.strip(" ")
    plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", word)
    power = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,2}", word)
    if not (plain or power):
        return None
    with localcontext(prec=400):
        value = Decimal(word)
        if value != round(value, scale) or abs(value) >= Decimal(10) ** (precision - scale):
            return None
        return round(value, scale)


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(NUMBERS, min_size=1, max_size=20))
def test_integers_agree_with_python(session: DuckSession, texts: list[str]):
    assert cast(session, list(texts), Kind(FieldType.INTEGER)) == [integer(text) for text in texts]


@pytest.mark.parametrize(
    "written", ["decimal(18,2)", "decimal(38,10)", "decimal(5,0)", "decimal(2,2)", "decimal(38,38)"]
)
@settings(max_examples=30, deadline=None)
@given(texts=st.lists(NUMBERS, min_size=1, max_size=20))
def test_decimals_agree_with_python_and_never_round(session: DuckSession, written: str, texts: list[str]):
    kind = parse_kind(written)
    expected = [decimal(text, kind.precision or 0, kind.scale or 0) for text in texts]
    assert cast(session, list(texts), kind) == expected


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(
        st.sampled_from(
            ["1", "0", "true", "False", "YES", "no", "T", "f", "y", "N", " true ", "2", "", "on", "是", "tru"]
        ),
        min_size=1,
    )
)
def test_booleans_agree_with_python(session: DuckSession, texts: list[str]):
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "t": True,
        "y": True,
        "0": False,
        "false": False,
        "no": False,
        "f": False,
        "n": False,
    }
    assert cast(session, list(texts), Kind(FieldType.BOOLEAN)) == [
        words.get(text.strip().lower()) for text in texts
    ]


DAYS = st.one_of(
    st.dates().map(lambda day: day.isoformat()),
    st.sampled_from(
        [
            "0001-01-01",
            "9999-12-31",
            "2024-02-29",
            "2023-02-29",
            "0000-01-01",
            "10000-01-01",
            "2024-1-5",
            "2024/01/05",
            "infinity",
            "epoch",
            "20240105",
            "2024-01-05 (BC)",
        ]
    ),
)
TIMES = st.one_of(
    st.times().map(lambda moment: moment.isoformat()),
    st.sampled_from(
        [
            "00:00",
            "00:00:00",
            "00:00:00.000",
            "10:30",
            "24:00:00",
            "23:59:60",
            "9:30",
            "10:30:00.1234567",
            "00:00:00.0000000",
        ]
    ),
)
OFFSETS = st.sampled_from(["", "Z", "+0000", "+01:00", "-0530", "+14:00", " Z", "+01", "+15:00", "z"])
MOMENTS = st.builds(
    lambda day, mark, moment, offset: f"{day}{mark}{moment}{offset}",
    DAYS,
    st.sampled_from(["T", " "]),
    TIMES,
    OFFSETS,
)

_DAY = re.compile(r"(?!0000)(\d{4}-\d{2}-\d{2})", re.ASCII)
_TIME = r"(([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?)"
_MOMENT = re.compile(_DAY.pattern + rf"(?:[T ]{_TIME}(?: ?(Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?))?)?", re.ASCII)


def parts(text: str) -> tuple[datetime, str] | None:
    match = _MOMENT.fullmatch(text.strip(" "))
    if not match:
        return None
    try:
        moment = match[2] or "00:00"
        whole, _, fraction = moment.partition(".")
        naive = datetime.fromisoformat(f"{match[1]}T{whole}")
        return naive + timedelta(microseconds=int(fraction.ljust(6, "0")[:6] or 0)), match[6] or ""
    except (ValueError, OverflowError):
        return None


def instant(text: str, zone: str = "UTC") -> datetime | None:
    found = parts(text)
    if found is None:
        return None
    naive, offset = found
    try:
        if not offset:
            return naive.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if offset == "Z":
            return naive.replace(tzinfo=UTC)
        digits = offset[1:].replace(":", "").ljust(4, "0")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return (naive - shift if offset[0] == "+" else naive + shift).replace(tzinfo=UTC)
    except OverflowError:
        return None


def seen(value: object) -> object:
    """An engine's instant as Python's; what lies outside the years 1 to 9999 is withheld by the mapping later."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.one_of(MOMENTS, DAYS), min_size=1, max_size=20))
def test_instants_agree_with_python(session: DuckSession, texts: list[str]):
    texts = [
        text for text in texts if not text.startswith(("0001-01-01", "9999-12-31")) or text.endswith("Z")
    ]
    found = [seen(value) for value in cast(session, list(texts), Kind(FieldType.DATETIME))]
    assert found == [instant(text) for text in texts]


@settings(max_examples=25, deadline=None)
@given(moments=st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)), min_size=1, max_size=20))  # noqa: DTZ001  # local times are the point
def test_local_times_of_a_declared_zone_agree_with_python(session: DuckSession, moments: list[datetime]):
    """Asia/Shanghai has had no clock change since 1991-09: every local time there means one instant."""
    kept = [moment for moment in moments if moment.year > 1991]
    texts = [moment.isoformat(sep=" ") for moment in kept]
    found = [
        seen(value) for value in cast(session, list(texts), Kind(FieldType.DATETIME), zone="Asia/Shanghai")
    ]
    assert found == [instant(text, "Asia/Shanghai") for text in texts]


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.one_of(MOMENTS, DAYS), min_size=1, max_size=20))
def test_a_date_never_shifts(session: DuckSession, texts: list[str]):
    def reference(text: str) -> date | None:
        found = parts(text)
        return found[0].date() if found and found[0].time() == time() and not lost(text) else None

    def lost(text: str) -> bool:
        return re.search(r"\.0*[1-9]", text) is not None

    assert cast(session, list(texts), Kind(FieldType.DATE)) == [reference(text) for text in texts]


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.one_of(TIMES, st.sampled_from(["10:00:00.000Z", "25:00", ""])), min_size=1, max_size=20)
)
def test_times_of_day_agree_with_python(session: DuckSession, texts: list[str]):
    def reference(text: str) -> time | None:
        match = re.fullmatch(rf"{_TIME}Z?", text)
        if not match:
            return None
        whole, _, fraction = match[1].partition(".")
        return time.fromisoformat(whole).replace(microsecond=int(fraction.ljust(6, "0")[:6] or 0))

    assert cast(session, list(texts), Kind(FieldType.TIME)) == [reference(text) for text in texts]


def test_declared_formats_are_tried_first_and_iso_still_counts(session: DuckSession):
    texts: list[str | None] = ["6/15/2024 2:30 PM", "2024-06-15 14:30:00", "15.06.2024", "31.02.2024", None]
    formats = ["%m/%d/%Y %I:%M %p", "%d.%m.%Y"]
    found = [seen(value) for value in cast(session, texts, Kind(FieldType.DATETIME), formats=formats)]
    moment = datetime(2024, 6, 15, 14, 30, tzinfo=UTC)
    assert found == [moment, moment, datetime(2024, 6, 15, tzinfo=UTC), None, None]
    days = cast(session, texts, Kind(FieldType.DATE), formats=formats)
    assert days == [None, None, date(2024, 6, 15), None, None]


def test_with_a_zone_an_instant_becomes_the_calendar_day_there(session: DuckSession):
    texts: list[str | None] = [
        "2024-01-15T23:30:00Z",
        "2024-01-15T02:00:00+0000",
        "2024-01-15 23:30:00",
        "2024-01-15",
    ]
    found = cast(session, texts, Kind(FieldType.DATE), zone="Asia/Shanghai")
    assert found == [date(2024, 1, 16), date(2024, 1, 15), date(2024, 1, 15), date(2024, 1, 15)]


@settings(max_examples=20)
@given(texts=st.lists(NUMBERS, min_size=1, max_size=20))
def test_floats_agree_with_python(session: DuckSession, texts: list[str]):
    def reference(text: str) -> float | None:
        word = text.strip(" ")
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?", word):
            return None
        return float(word) if abs(float(word)) != float("inf") else None

    assert cast(session, list(texts), Kind(FieldType.FLOAT)) == [reference(text) for text in texts]


DECLARED = ["%d/%m/%Y %H:%M", "%B %d, %Y", "%y%m%d", "%Y-%m-%d %H:%M:%S.%f"]


@settings(max_examples=30)
@given(
    moments=st.lists(st.datetimes(datetime(1000, 1, 1)), min_size=1, max_size=20),  # noqa: DTZ001
    form=st.sampled_from(DECLARED),
)
def test_declared_formats_read_what_python_writes_in_them(
    session: DuckSession, moments: list[datetime], form: str
):
    texts = [moment.strftime(form) for moment in moments]
    found = [seen(value) for value in cast(session, list(texts), Kind(FieldType.DATETIME), formats=[form])]
    assert found == [datetime.strptime(text, form).replace(tzinfo=UTC) for text in texts]
