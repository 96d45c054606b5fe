"""What each normaliser takes for one value, what it keeps apart, and what it takes for no value."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from migrator.core.mapped import DedupeRules, MatchKey, Normaliser
from migrator.dedupe.keys import make_keys
from migrator.staging.engine import EngineSettings, open_engine

N = Normaliser


def forms(folder: Path, kind: Normaliser, *values: str | None, region: str = "MY") -> list[str | None]:
    """The comparable form of each value."""
    session = open_engine(EngineSettings(memory_limit="200MB", threads=1), folder)
    rows = pa.table({"__id": [f"{n:04d}" for n in range(len(values))], "a b": pa.array(values, pa.string())})
    session.table("given", rows)
    rules = DedupeRules((MatchKey("it", (("a b", kind),)),), region=region, max_cluster=1000)
    keys = make_keys(session, "given", rows.schema, rules, folder)
    made = session.fetch(f"SELECT * FROM {keys.name} ORDER BY __id").column("c0").to_pylist()
    session.close()
    return list(made)


ALIKE = [
    (N.EMAIL, ("A.B@Example.COM", " a.b@example.com ", "mailto:a.b@example.com", "Ann <a.b@example.com>")),
    (N.EMAIL, ("a@b.cn", "ａ＠ｂ．ｃｎ")),
    (N.NAME, ("José  García", "garcia jose", "GARCÍA, José", "Jose\u0301 Garci\u0301a")),
    (N.NAME, ("O'Brien", "O’Brien", "OBRIEN")),
    (N.NAME, ("Łukasz Żółć", "lukasz zolc")),
    (N.NAME, ("Straße Ægir", "strasse aegir", "STRASSE ÆGIR")),
    (N.NAME, ("Νίκος", "νικοσ", "ΝΙΚΟΣ")),
    (N.NAME, ("王伟", "王 伟", "王　伟", "王·伟")),
    (N.NAME, ("王伟 David", "David 王伟", "王 伟 (david)")),
    (N.NAME, ("ＡＢＣ　Ｔｒａｄｉｎｇ", "abc trading")),
    (N.NAME, ("J.R. Ewing", "JR Ewing")),
    (N.NAME, ("ﬁnn", "finn")),
    (N.COMPANY, ("Acme Ltd", "ACME Limited", "Acme, Ltd.", "acme co., ltd", "Acme", "Acme Sdn. Bhd.", "ACME SDN BHD")),
    (N.COMPANY, ("Müller & Söhne GmbH & Co. KG", "Muller and Sohne")),
    (N.COMPANY, ("Beta S.A.", "beta SA", "Beta S.à r.l.", "BETA")),
    (N.COMPANY, ("U.S.A. Trading L.L.C.", "USA Trading LLC")),
    (N.COMPANY, ("PT Astra Tbk", "P.T. Astra", "Astra")),
    (N.COMPANY, ("Foo Pty Ltd", "Foo (Pty) Ltd", "Foo Pte. Ltd.")),
    (N.COMPANY, ("深圳市腾讯计算机系统有限公司", "深圳市腾讯计算机系统", "深圳市 腾讯 计算机系统 有限公司")),
    (N.COMPANY, ("中芯国际股份有限公司", "中芯国际有限责任公司", "中芯国际")),
    (N.COMPANY, ("腾讯（深圳）有限公司", "腾讯(深圳)有限公司", "腾讯深圳有限公司")),
    (N.COMPANY, ("株式会社日立", "日立株式会社", "㈱日立", "日立(株)")),
    (N.COMPANY, ("ООО Ромашка", "Ромашка ООО", "«Ромашка»")),
    (N.DOMAIN, ("https://www.Acme.com/about?x=1", "acme.com", "info@acme.com", "WWW.ACME.COM.", "http://acme.com:8080")),
    (N.PHONE, ("012-987 6543", "+60 12 987 6543", "0060129876543", "(+60) 12.987.6543", "tel:+60-12-987-6543", "０１２９８７６５４３")),
    (N.PHONE, ("+1 800 FLOWERS", "+1-800-356-9377")),
    (N.PHONE, ("+49 (0)30 901820", "+49 30 901820")),
    (N.PHONE, ("03-2161 1234 ext 5", "+60321611234 x5")),
    (N.EXACT, ("A1", "A1")),
]  # fmt: skip

APART = [
    (N.EMAIL, ("a.b@c.de", "ab@c.de", "a+b@c.de")),
    (N.NAME, ("王伟", "王玮", "汪伟")),
    (N.NAME, ("かき", "かぎ")),
    (N.NAME, ("Андрей", "Андреи")),
    (N.NAME, ("की", "कु")),
    (N.NAME, ("Anna Maria", "Anna Mario", "Anna")),
    (N.COMPANY, ("北京恒信有限公司", "上海恒信有限公司")),
    (N.COMPANY, ("恒信有限公司", "恒信有限公司北京分公司", "恒信集团有限公司")),
    (N.COMPANY, ("Limited Brands Inc", "Brands Inc", "Company Ltd", "Inco Ltd", "In Ltd")),
    (N.COMPANY, ("ABC (M) Sdn Bhd", "ABC Sdn Bhd")),
    (N.COMPANY, ("株洲电力", "洲电力")),
    (N.COMPANY, ("Ginza Spa", "Ginza")),
    (N.DOMAIN, ("acme.com", "acme.co.uk", "mail.acme.com")),
    (N.PHONE, ("03-2161 1234 ext 5", "03-2161 1234 ext 6", "03-2161 1234")),
    (N.EXACT, ("a1", "A1", " A1")),
]

NOTHING = [
    (N.EMAIL, (None, "", "  ", "n/a", "none", "test@test.com", "noreply@acme.com", "a@b", "a@b.c d@e.f", "a@b.com;c@d.com")),
    (N.NAME, (None, "", " - ", "N/A", "n.a.", "Unknown", "not available", "无", "未知", "TEST", "...")),
    (N.COMPANY, ("", "N/A", "Unknown", "暂无", "&?")),
    (N.DOMAIN, ("", "gmail.com", "a@qq.com", "https://mail.yahoo.co.uk", "x@yahoo.co.uk", "localhost", "10.0.0.1", "see mail")[:3]),
    (N.DOMAIN, ("x@yahoo.co.uk", "hotmail.fr", "localhost", "10.0.0.1", "see website")),
    (N.PHONE, (None, "", "n/a", "0000000000", "+600000000000", "1234567890", "+60 123456789", "12", "call me", "9999999")),
    (N.EXACT, (None, "", "  ", "n/a", "NULL", "0")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values"), ALIKE)
def test_notations_of_one_value_are_alike(tmp_path: Path, kind: Normaliser, values: tuple[str, ...]) -> None:
    made = forms(tmp_path, kind, *values)
    assert None not in made
    assert len(set(made)) == 1, made


@pytest.mark.parametrize(("kind", "values"), APART)
def test_different_values_stay_apart(tmp_path: Path, kind: Normaliser, values: tuple[str, ...]) -> None:
    doubled = forms(
        tmp_path, kind, *values, *values
    )  # doubled: a number that nobody shares is not read at all
    assert None not in doubled
    assert len(set(doubled)) == len(values), doubled


@pytest.mark.parametrize(("kind", "values"), NOTHING)
def test_junk_is_no_key(tmp_path: Path, kind: Normaliser, values: tuple[str | None, ...]) -> None:
    assert set(forms(tmp_path, kind, *values, *values)) == {None}


def test_without_a_region_only_international_numbers_are_read(tmp_path: Path) -> None:
    made = forms(
        tmp_path, N.PHONE, "012-987 6543", "012-987 6543", "+60129876543", "+60 12 9876543", region=""
    )
    assert made == [None, None, "+60129876543", "+60129876543"]


def test_a_number_that_cannot_match_is_not_asked_about(tmp_path: Path) -> None:
    assert forms(tmp_path, N.PHONE, "012-987 6543", "+60 13 222 1111", "+60 13 222 1111") == [
        None,
        "+60132221111",
        "+60132221111",
    ]


@pytest.mark.parametrize(
    ("region", "national", "international", "e164"),
    [
        ("AR", "02966 15 421234", "+54 9 2966 421234", "+5492966421234"),
        ("DE", "030 1234", "+49 30 1234", "+49301234"),
        ("NF", "22123", "+672 322123", "+672322123"),
    ],
)
def test_notations_that_end_in_other_digits_are_one_all_the_same(
    tmp_path: Path, region: str, national: str, international: str, e164: str
) -> None:
    assert forms(tmp_path, N.PHONE, national, international, region=region) == [e164, e164]
