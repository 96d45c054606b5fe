"""The mapping law, generated from a mapping file: whatever value its old columns may hold, it comes back as promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.core.schema import FieldSchema, FieldType
from migrator.core.translation import Direction, Law
from migrator.mapping.laws import hold_laws
from migrator.mapping.translator import MappingTranslator
from tests.mapping_kit import bind_texts, engine, make_schema

SCHEMA = make_schema(
    "Contact", Name="string", Mail="string", Stage="picklist", Level="picklist", Amount="decimal", Rate="float",
    Count="integer", Born="date", Seen="datetime", Opt="boolean", Tags="multi_picklist", Coded="string", Zoned="string",
    Both="string",
)  # fmt: skip
SIZED = replace(
    SCHEMA,
    fields=tuple(
        replace(item, precision=18, scale=2) if item.type is FieldType.DECIMAL else item
        for item in SCHEMA.fields
    ),
)
MAPPING = """
mapping: contact
target: {system: new, object: person, key: legacy_id}
source: {system: old, object: Contact}
fields:
  name: {from: Name}
  mail: {from: Mail, clean: [trim, null_if_empty], pii: email}
  stage: {from: Stage, values: {Hot: open, Warm: open, Won: won, Lost: lost}}
  level: {from: Level, values: {a: x, b: y, c: z}, unmapped: keep, default: none}
  amount: {from: Amount}
  rate: {from: Rate}
  count: {from: Count, type: string}
  born: {from: Born}
  seen: {from: Seen}
  opt: {from: Opt, values: {'true': Yes, 'false': No}}
  tags: {from: Tags, values: {a: x, b: y}}
  coded: {from: Coded, type: date, format: '%d.%m.%Y'}
  zoned: {from: Zoned, type: datetime, zone: Asia/Shanghai}
  first: {expr: "split_part(Both, '|', 1)"}
sync:
  direction: both
  fields:
    first: {direction: forward}
"""
texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=12)
days = st.dates(date(1, 1, 2), date(9999, 12, 30))
instants = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda found: found.replace(microsecond=0)
)
BY_TYPE: Mapping[FieldType, st.SearchStrategy[Any]] = {
    FieldType.STRING: texts,
    FieldType.PICKLIST: st.sampled_from(["Hot", "Warm", "Won", "Lost", "a", "b", "c", "x", "odd"]),
    FieldType.MULTI_PICKLIST: st.lists(st.sampled_from("abq"), max_size=3).map(";".join),
    FieldType.DECIMAL: st.decimals(-(10**12), 10**12, places=2).map(
        lambda found: found.quantize(Decimal("0.01"))
    ),
    FieldType.FLOAT: st.floats(allow_nan=False, allow_infinity=False, width=64),
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.DATE: days,
    FieldType.DATETIME: instants,
}
SPECIAL: Mapping[str, st.SearchStrategy[Any]] = {
    "Coded": days.map(lambda found: f"{found:%d.%m.}{found.year:04d}") | texts,
    "Zoned": st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)).map(  # noqa: DTZ001
        lambda found: f"{found:%Y-%m-%d %H:%M:%S}"
    ),
}


def values_of(field: FieldSchema) -> st.SearchStrategy[Any]:
    return st.none() | SPECIAL.get(field.name, BY_TYPE.get(field.type, texts))


rows = st.lists(
    st.fixed_dictionaries({field.name: values_of(field) for field in SIZED.fields if field.name != "Id"}),
    min_size=1,
    max_size=12,
)


class NoLinks:
    def new_ids(self, _: str, __: Sequence[str]) -> Mapping[str, str]:
        return {}

    def old_ids(self, _: str, __: Sequence[str]) -> Mapping[str, str]:
        return {}


def table(found: Sequence[Mapping[str, Any]]) -> pa.Table:
    names = [field.name for field in SIZED.fields if field.name != "Id"]
    kinds = {FieldType.DECIMAL: pa.decimal128(38, 2), FieldType.DATETIME: pa.timestamp("us", tz="UTC")}
    columns = {
        name: pa.array([row[name] for row in found], kinds.get(field.type))
        for name, field in ((name, SIZED.field(name)) for name in names)
        if field is not None
    }
    return pa.table({"__id": [f"{number}" for number in range(len(found))], **columns})


def test_every_value_comes_back_as_its_field_promises(tmp_path: Path) -> None:
    bound = bind_texts({"c.yaml": MAPPING}, {"old": [SIZED]}, tmp_path)
    (plan,) = bound.synced
    promised = {pair.new: pair.law for pair in plan.paired.pairs if pair.direction is Direction.BOTH}
    assert [name for name, law in promised.items() if law is Law.EXACT] == [
        "name", "amount", "rate", "count", "born", "seen", "opt", "tags",
    ]  # fmt: skip
    assert len(promised) == 13
    with engine(tmp_path) as session:
        translator = MappingTranslator(session, bound.synced, NoLinks())

        @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
        @given(rows)
        def law(found: list[dict[str, Any]]) -> None:
            broken = [item for item in hold_laws(translator, plan.paired, table(found)) if not item.holds]
            assert broken == []

        law()


def test_a_way_back_that_lies_is_found_by_the_values(tmp_path: Path) -> None:
    text = MAPPING.replace("first: {direction: forward}", "name: {reverse: {expr: upper(name)}}").replace(
        "  mail:", "  other: {from: Both, type: integer}\n  mail:"
    )
    bound = bind_texts({"c.yaml": text}, {"old": [SIZED]}, tmp_path)
    (plan,) = bound.synced
    blank = dict.fromkeys([field.name for field in SIZED.fields if field.name != "Id"])
    with engine(tmp_path) as session:
        translator = MappingTranslator(session, bound.synced, NoLinks())
        given_rows = [
            {**blank, "Name": "Li", "Stage": "Warm", "Both": "007"},
            {**blank, "Name": "LI", "Stage": "Hot"},
        ]
        found = {item.field: item for item in hold_laws(translator, plan.paired, table(given_rows))}
    name, stage, other = found["name"], found["stage"], found["other"]
    assert (name.holds, name.lost, name.exact, name.examples) == (False, 1, 1, ("'Li'",))
    assert (stage.holds, stage.law, stage.kept, stage.exact) == (True, Law.COMPLEMENT, 1, 1)
    assert (other.holds, other.kept, other.exact) == (True, 1, 1)
