"""Encodings are told apart by how the text reads, and what is not clear is an error that names the candidates."""

from __future__ import annotations

import io

import pytest

from connectors.files.detection import SCAN_BYTES, TELLING_BYTES, Sample, detect, take_sample
from connectors.files.encoding import codec_name
from migrator.core.errors import ProjectError

CLEAR = {
    "gb18030": ["王伟", "李娜", "Id,Name\n1,陈小明\n2,欧阳修\n", "华为技术有限公司", "联通", "赵六；备注“好”", "臧天朔"],
    "cp950": ["王偉", "台灣積體電路製造股份有限公司", "林志玲", "香港九龍旺角彌敦道", "劉德華"],
    "cp932": ["田中太郎", "株式会社サンプル", "スズキ", "東京都港区六本木", "高橋"],
    "euc_jp": ["田中太郎 株式会社", "東京都港区六本木", "スズキ自動車"],
    "cp949": ["김철수", "삼성전자 주식회사", "서울특별시 강남구", "현대자동차"],
    "cp1252": ["José García", "Müller GmbH", "naïve café – “quoted”", "100 €", "Søren", "MÜLLER", "Ñandú", "São Paulo"],
    "utf-8": ["王伟", "José", "김", "😀", "plain"],
}  # fmt: skip


def sampled(data: bytes) -> Sample:
    return take_sample(io.BytesIO(data))


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in CLEAR.items() for text in texts]
)
def test_a_few_words_are_enough(encoding: str, text: str) -> None:
    found = detect(sampled(text.encode(encoding)), "f.csv")
    assert found.encoding == encoding
    assert found.confidence > 0.5
    assert found.reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])  # fmt: skip
def test_unicode_forms_are_told_by_mark_or_by_their_zeros(encoding: str) -> None:
    text = "Id,Name\n1,王伟 and a longer plain text\n"
    found = detect(sampled(text.encode(encoding)), "f.csv")
    assert text.encode(encoding).decode(found.encoding).removeprefix("\ufeff") == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1251", "Привет Москва"), ("cp1250", "Łódź Wałęsa"), ("cp1253", "Αθήνα"), ("cp1255", "שלום"), ("koi8-r", "Иванов"), ("mac_roman", "José Müller"), ("gb18030", "“")],
)  # fmt: skip
def test_what_we_do_not_know_for_sure_is_not_guessed(encoding: str, text: str) -> None:
    with pytest.raises(ProjectError, match=r"f\.csv: the (encoding is not clear|text is in no)") as caught:
        detect(sampled(text.encode(encoding)), "f.csv")
    assert "set `encoding:`" in str(caught.value)


def test_lines_beyond_ascii_are_found_far_into_a_file() -> None:
    data = b"plain,line\n" * 300_000 + "王伟,北京\n".encode("gb18030")
    sample = sampled(data)
    assert sample.telling == "王伟,北京".encode("gb18030")
    assert detect(sample, "f.csv").encoding == "gb18030"


def test_a_sample_is_small_and_cut_at_line_ends() -> None:
    line = "王伟,北京\n".encode("gb18030")
    sample = sampled(line * 50_000)
    assert len(sample.telling) <= TELLING_BYTES
    assert len(sample.telling) % len(line) in (0, len(line) - 1)
    assert sampled(line * 50_000 + b"x" * SCAN_BYTES).complete is False


def test_one_line_without_end_is_sampled_too() -> None:
    data = ("王伟北京" * 100_000).encode("gb18030")
    assert detect(sampled(data), "f.csv").encoding == "gb18030"


def test_names_of_encodings_mean_their_supersets() -> None:
    assert [codec_name(name, "x") for name in ("GB2312", "gbk", "Shift_JIS", "EUC-KR", "Big5", "UTF8", "utf-8-sig")] == [
        "gb18030", "gb18030", "cp932", "cp949", "cp950", "utf-8", "utf-8",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["gb18031", "rot13", "base64", "hex"])
def test_what_is_no_text_encoding_is_refused(name: str) -> None:
    with pytest.raises(ProjectError, match="unknown encoding"):
        codec_name(name, "x")
