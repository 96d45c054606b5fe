"""Laws of deduplication: what no order of rows, number of threads or oddity of values may change."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.mapped import DedupeRules, MatchKey, Normaliser, Survivorship
from migrator.dedupe.keys import make_keys
from migrator.dedupe.phone import phone_region, to_e164
from migrator.staging.engine import EngineSettings, open_engine
from tests.dedupe_project import CONTACT, Project, contacts, key, open_project

MOST = 6
BY = (
    key("email", email=Normaliser.EMAIL),
    MatchKey("name and company", (("name", Normaliser.EXACT), ("company", Normaliser.EXACT))),
    key("order", Order=Normaliser.EXACT),
)
ROW = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["crm", "erp"]),
        "name": st.sampled_from([None, "", "Ann", "Bo", "王伟"]),
        "email": st.sampled_from([None, "", "n/a", *(f"m{n}@b.de" for n in range(12))]),
        "company": st.sampled_from([None, " ", "c'1", 'c"2', "c3"]),
        "Order": st.none() | st.integers(1, 9),
        "changed": st.none() | st.integers(1, 4).map(lambda day: datetime(2026, 1, day, tzinfo=UTC)),
        "__bad": st.sampled_from([False, False, False, True]),
        "__excluded": st.sampled_from([None, None, None, "old"]),
    }
)
ROWS = st.lists(ROW, max_size=24).map(
    lambda rows: [{"id": f"{row.pop('source')}:{n}", **row} for n, row in enumerate(dict(r) for r in rows)]
)
CHOSEN = [rule for rule in Survivorship if not rule.is_made]
RULES = st.builds(
    DedupeRules,
    st.just(BY),
    st.dictionaries(st.sampled_from(["name", "company", "Order"]), st.sampled_from(CHOSEN)),
    st.sampled_from(CHOSEN),
    st.sampled_from(["", "changed"]),
    st.sampled_from([(), ("erp", "crm")]),
    max_cluster=st.just(MOST),
)
FEW = settings(max_examples=15, deadline=None)


def outcome(project: Project, rules: DedupeRules, rows: list[dict[str, Any]], parts: int = 1) -> Any:
    made = project.run(contacts(rules), rows, parts=parts)
    golden = sorted(project.rows(made.golden), key=lambda row: str(row["__id"]))
    return project.rows(made.clusters), golden, dict(made.clusters.detail)


def good(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows if not row["__bad"] and row["__excluded"] is None}


@FEW
@given(ROWS, RULES, st.randoms(use_true_random=False))
def test_order_parts_and_threads_change_nothing(
    rows: list[dict[str, Any]], rules: DedupeRules, rng: random.Random
) -> None:
    shuffled = rng.sample(rows, len(rows))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        with open_project(Path(one), threads=1) as project:
            first = outcome(project, rules, rows)
        with open_project(Path(other), threads=4) as project:
            assert outcome(project, rules, shuffled, parts=3) == first


@FEW
@given(ROWS, RULES)
def test_every_good_row_is_survivor_merged_or_alone(rows: list[dict[str, Any]], rules: DedupeRules) -> None:
    with tempfile.TemporaryDirectory() as folder, open_project(Path(folder)) as project:
        clusters, golden, detail = outcome(project, rules, rows)
    members = [row["__id"] for row in clusters]
    survivors = {row["__id"] for row in clusters if row["survivor"] == row["__id"]}
    assert len(members) == len(set(members)) == detail["members"]
    assert set(members) <= set(good(rows))
    assert survivors == {row["__id"] for row in golden} == {row["survivor"] for row in clusters}
    assert len(members) - len(survivors) == detail["merged"]
    sizes = Counter(row["cluster"] for row in clusters)
    assert all(2 <= size <= MOST for size in sizes.values())
    assert all(
        row["cluster"] == min(r["__id"] for r in clusters if r["cluster"] == row["cluster"])
        for row in clusters
    )


@FEW
@given(ROWS, RULES)
def test_a_survivor_lacks_nothing_that_a_member_has(rows: list[dict[str, Any]], rules: DedupeRules) -> None:
    with tempfile.TemporaryDirectory() as folder, open_project(Path(folder)) as project:
        clusters, golden, _ = outcome(project, rules, rows)
    given_rows, fields = good(rows), [item.name for item in CONTACT if item.name != "legacy_id"]
    for row in golden:
        members = [given_rows[r["__id"]] for r in clusters if r["survivor"] == row["__id"]]
        assert row["legacy_id"] == row["__id"].partition(":")[2]
        for name in fields:
            held = [value for member in members if not _blank(value := member.get(name))]
            assert row[name] in held if held else _blank(row[name])


@FEW
@given(ROWS, RULES)
def test_clusters_are_closed_under_the_keys(rows: list[dict[str, Any]], rules: DedupeRules) -> None:
    """Two good rows that agree in a key are in one cluster, unless too many rows share the value or the cluster."""
    with tempfile.TemporaryDirectory() as folder, open_project(Path(folder)) as project:
        clusters, _, detail = outcome(project, rules, rows)
    home = {row["__id"]: row["cluster"] for row in clusters}
    if detail["too_large_clusters"]:
        return
    for rule in BY:
        agreeing: dict[tuple[str, ...], list[str]] = {}
        for row in good(rows).values():
            values = tuple(
                str(row[name]) for name, _ in rule.fields if not _blank(row[name]) and row[name] != "n/a"
            )
            if len(values) == len(rule.fields):
                agreeing.setdefault(values, []).append(row["id"])
        for ids in agreeing.values():
            if 2 <= len(ids) <= MOST:
                assert len({home[one] for one in ids}) == 1


@FEW
@given(ROWS, RULES)
def test_survivors_hold_no_exact_duplicates_any_more(rows: list[dict[str, Any]], rules: DedupeRules) -> None:
    """Deduping what is left finds nothing that the first time did not leave apart: one rule, no shared values."""
    one = DedupeRules(
        (BY[0],), rules.survivorship, rules.default, rules.recency, rules.trust, max_cluster=100
    )
    with tempfile.TemporaryDirectory() as folder, open_project(Path(folder)) as project:
        clusters, golden, _ = outcome(project, one, rows)
        merged = {row["__id"] for row in clusters}
        left = [row for name, row in good(rows).items() if name not in merged]
        again = outcome(project, one, [*left, *({**row, "id": row["__id"]} for row in golden)])
    assert again[0] == []


HOMES = ["AR", "AU", "BR", "CN", "DE", "GB", "HK", "IT", "MY", "NF", "SG", "SM", "US", ""]


@pytest.mark.parametrize("home", HOMES)
def test_notations_are_equal_exactly_when_e164_is(home: str, tmp_path: Path) -> None:
    """Numbers of every country at once, far enough apart that a number asked about was asked for its own notations."""
    rng = random.Random(f"numbers at {home}")
    numbers = [
        number for region in sorted(phonenumbers.SUPPORTED_REGIONS) for number in _numbers(region, rng, 1)
    ]
    texts = [text for number in numbers for text in _notations(number, home)]
    texts += [text for number in _numbers(home, rng, 60) for text in _notations(number, home)]
    rng.shuffle(texts)
    session = open_engine(EngineSettings(memory_limit="200MB", threads=1), tmp_path)
    rows = pa.table({"__id": [f"{n:04d}" for n in range(len(texts))], "phone": pa.array(texts, pa.string())})
    session.table("given", rows)
    rules = DedupeRules((key("phone", phone=Normaliser.PHONE),), region=home, max_cluster=1000)
    keys = make_keys(session, "given", rows.schema, rules, tmp_path)
    made = session.fetch(f"SELECT c0 FROM {keys.name} ORDER BY __id").column("c0").to_pylist()
    session.close()
    wanted = to_e164(pa.array(texts, pa.string()), phone_region(home)).to_pylist()
    twice = {number for number, count in Counter(wanted).items() if count > 1}
    for text, found, number in zip(texts, made, wanted, strict=True):
        assert found == number or (found is None and (number not in twice or _junk(text))), text
    assert len(twice) > 200


def _numbers(region: str, rng: random.Random, count: int) -> list[phonenumbers.PhoneNumber]:
    """Valid numbers of a region: examples of all its kinds with most or all digits changed."""
    kinds = sorted(phonenumbers.PhoneNumberType.values())
    found: list[phonenumbers.PhoneNumber] = []
    for kind in kinds * (count if region else 0):
        number = phonenumbers.example_number_for_type(region, kind) if kind >= 0 else None
        if number is not None:
            size = len(str(number.national_number))
            low = 10 ** rng.randint(size // 2, size)
            number.national_number += rng.randrange(low // 10, low) - number.national_number % low
            found += [number] if phonenumbers.is_valid_number(number) else []
    return rng.sample(found, min(len(found), count * 2))


def _notations(number: phonenumbers.PhoneNumber, home: str) -> list[str]:
    """The ways of writing a number, the national ones only at home."""
    style = phonenumbers.PhoneNumberFormat
    kinds = [style.E164, style.INTERNATIONAL]
    kinds += [style.NATIONAL] if phonenumbers.region_code_for_number(number) == home else []
    found = [phonenumbers.format_number(number, kind) for kind in kinds]
    found += [text.translate(str.maketrans(" -", "- ")) for text in found[1:]]
    return [*found, phonenumbers.format_out_of_country_calling_number(number, home)] if home else found


def _junk(text: str) -> bool:
    digits = [char for char in text if char.isdigit()]
    return any("".join(digits[drop:]) in "01234567890" or len(set(digits[drop:])) == 1 for drop in range(4))


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
