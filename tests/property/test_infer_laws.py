"""Whatever stands in a column, the type inferred for it casts every value by the mapping's own rules, and loses none."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.extract.infer import infer
from migrator.extract.profile import profile
from migrator.mapping.casts import cast_text
from migrator.mapping.kinds import TEXTUAL, engine_type, kind_of
from migrator.staging.engine import EngineSettings, open_engine
from migrator.staging.ledger import open_ledger
from migrator.staging.store import Kind, Store

_DIGITS = st.text("0123456789", min_size=1, max_size=25)
_NUMBERS = st.builds("{}{}{}{}".format, st.sampled_from(["", "-", "+", "0"]), _DIGITS, st.sampled_from(["", "."]), st.text("0123456789", max_size=22))  # fmt: skip
_DAYS = st.builds("{:04d}-{:02d}-{:02d}".format, st.sampled_from([0, 1, 1969, 2024, 9999]), st.integers(0, 13), st.integers(0, 32))  # fmt: skip
_CLOCKS = st.builds("{:02d}:{:02d}{}{}".format, st.integers(0, 24), st.integers(0, 60), st.sampled_from(["", ":00", ":59", ":60"]), st.sampled_from(["", ".0", ".123", ".1234560", ".1234567", ".000000001"]))  # fmt: skip
_MOMENTS = st.builds("{}{}{}{}".format, _DAYS, st.sampled_from(["T", " ", ""]), _CLOCKS, st.sampled_from(["", "Z", "+02:00", "-0530", "+14", " Z", "+15:00"]))  # fmt: skip
_WORDS = st.sampled_from(["true", "False", "yes", "NO", "t", "1", "0", "NaN", "1e5", "Infinity", " 1", "1 ", "１２", "", "null"])  # fmt: skip
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_FAMILIES = [_NUMBERS, _DAYS, _MOMENTS, _WORDS, _TEXT, st.integers(-(2**70), 2**70).map(str), st.decimals(allow_nan=False, allow_infinity=False).map(str)]  # fmt: skip
_COLUMN = st.one_of(*(st.lists(st.none() | family, max_size=8) for family in [*_FAMILIES, st.one_of(_FAMILIES)]))  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(_COLUMN, min_size=1, max_size=4))
def test_every_value_casts_under_the_inferred_type(columns: list[list[str | None]]) -> None:
    size = max(len(column) for column in columns)
    table = pa.table(
        {f"c{at}": pa.array([*column, *[None] * (size - len(column))], pa.string()) for at, column in enumerate(columns)}
    )  # fmt: skip
    schema = ObjectSchema("o", "", tuple(FieldSchema(name, FieldType.STRING) for name in table.column_names))
    with tempfile.TemporaryDirectory() as folder, closing(open_ledger(f"sqlite:///{folder}/l.db")) as ledger:
        building = Store(Path(folder) / "staging", ledger).build(Kind.STAGED, "s/o", "f")
        building.add_table(table)
        dataset = building.complete()
        with closing(open_engine(EngineSettings(threads=1), Path(folder))) as session:
            found = infer(schema, profile(session, dataset, schema))
            session.table("given", table)
            for item in found.fields:
                kind = kind_of(item)
                if kind.type in TEXTUAL:
                    longest = max((len(value) for value in table[item.name].to_pylist() if value), default=0)
                    assert item.length is None or item.length >= longest
                    continue
                cast = cast_text('"t"', kind).sql
                lost = session.fetch(
                    f"SELECT t FROM (SELECT nullif({item.name}, '') AS t FROM given)"
                    f" WHERE t IS NOT NULL AND ({cast}) IS NULL"
                )
                assert lost.num_rows == 0, (item, lost.to_pylist())
                if kind.type in (FieldType.INTEGER, FieldType.DECIMAL):
                    _assert_same_number(session.fetch(
                        f"SELECT t, CAST(CAST(({cast}) AS {engine_type(kind)}) AS VARCHAR) AS back"
                        f" FROM (SELECT nullif({item.name}, '') AS t FROM given) WHERE t IS NOT NULL"
                    ))  # fmt: skip


def _assert_same_number(rows: pa.Table) -> None:
    for row in rows.to_pylist():
        whole, _, fraction = row["t"].partition(".")
        back_whole, _, back_fraction = row["back"].partition(".")
        same = (whole.lstrip("-") or "0", fraction.rstrip("0"))
        assert same == (back_whole.lstrip("-"), back_fraction.rstrip("0")), row
