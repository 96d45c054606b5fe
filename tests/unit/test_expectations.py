"""Suites: what follows from a mapping, how the file is kept and read, and how every failing key comes back."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pyarrow as pa
import pytest

from migrator.core.errors import ProjectError
from migrator.core.mapped import MappedObject, MappedSource
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema
from migrator.staging.engine import DuckSession, EngineSettings, open_engine
from tests.unit.validation_project import ACCOUNTS, CONTACTS
from validation.expectations import (
    BETWEEN,
    COMPOUND_UNIQUE,
    IN_SET,
    LENGTHS,
    NOT_NULL,
    UNIQUE,
    Expectation,
    Suite,
    derive_suite,
)
from validation.rules import FAILING, RuleResult, check_suite, run_suite, start_failing
from validation.suitefile import read_suites, refresh_suites, suite_to_yaml
from validation.verdict import Status

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def run(
    session: DuckSession, rows: pa.Table, *rules: Expectation, chunk: int = 1000
) -> tuple[RuleResult, ...]:
    session.table("t", rows)
    start_failing(session)
    return run_suite(session, '"t"', "key", Suite("account", rules), now=NOW, chunk_rows=chunk)


@pytest.fixture
def session(tmp_path: Path) -> DuckSession:
    return open_engine(EngineSettings(memory_limit="512MB", threads=2), tmp_path)


def test_the_base_suite_follows_from_the_mapping() -> None:
    rules = {(rule.type, rule.kwargs["column"]) for rule in derive_suite(ACCOUNTS).expectations}
    assert (NOT_NULL, "legacy_id") in rules
    assert (UNIQUE, "legacy_id") in rules
    assert (LENGTHS, "name") in rules
    assert (IN_SET, "status") in rules
    assert (BETWEEN, "revenue") in rules
    assert (BETWEEN, "created at") in rules
    assert (LENGTHS, "company") not in {
        (rule.type, rule.kwargs["column"]) for rule in derive_suite(CONTACTS).expectations
    }


def test_all_four_thousand_failing_keys_come_back_over_chunks(session: DuckSession) -> None:
    rows = pa.table(
        {"key": [f"k{n}" for n in range(10_000)], "name": [None if n % 5 < 2 else "x" for n in range(10_000)]}
    )
    (found,) = run(session, rows, Expectation(NOT_NULL, {"column": "name"}))
    assert (found.status, found.checked, found.failed) == (Status.FAIL, 10_000, 4_000)
    kept = session.fetch(f'SELECT count(DISTINCT key) AS n FROM "{FAILING}"').column("n")[0].as_py()
    assert kept == 4_000


def test_a_duplicate_that_straddles_two_chunks_is_found(session: DuckSession) -> None:
    rows = pa.table({"key": [str(n) for n in range(3000)], "mail": [f"m{n % 2999}" for n in range(3000)]})
    (found,) = run(session, rows, Expectation(UNIQUE, {"column": "mail"}), chunk=1000)
    assert (found.status, found.failed) == (Status.FAIL, 2)
    assert sorted(session.fetch(f'SELECT key FROM "{FAILING}"').column("key").to_pylist()) == ["0", "2999"]


def test_compound_uniqueness_passes_over_rows_that_are_all_empty(session: DuckSession) -> None:
    rows = pa.table({"key": ["1", "2", "3", "4"], "a": ["x", "x", None, None], "b": ["y", None, None, None]})
    (found,) = run(session, rows, Expectation(COMPOUND_UNIQUE, {"column_list": ["a", "b"]}))
    assert (found.status, found.checked) == (Status.PASS, 2)


def test_no_frame_is_hashed_for_a_mark_that_nobody_asks_for() -> None:
    from validation import gx

    with gx._quiet():  # the first test of a process to import the library hears of its deprecated parts
        batch = gx._batches().get_batch(batch_parameters={"dataframe": pd.DataFrame({"a": [1]})})
    assert list(batch.batch_markers) == ["ge_load_time"]


def test_an_error_is_not_a_failure_and_spoils_nothing(session: DuckSession) -> None:
    rows = pa.table({"key": ["1", "2"], "name": ["secret", None], "n": [1, 2]})
    missing, broken, typed, fine = run(
        session, rows,
        Expectation(NOT_NULL, {"column": "nmae"}),
        Expectation("expect_column_values_to_match_regex", {"column": "name", "regex": "(("}),
        Expectation("expect_column_mean_to_be_between", {"column": "name", "max_value": 3}),
        Expectation(NOT_NULL, {"column": "name"}),
    )  # fmt: skip
    assert [item.status for item in (missing, broken, typed)] == [Status.COULD_NOT_CHECK] * 3
    assert "did you mean 'name'" in missing.error
    assert "secret" not in typed.error
    assert (fine.status, fine.failed) == (Status.FAIL, 1)


def test_nothing_to_look_at_is_no_pass(session: DuckSession) -> None:
    rows = pa.table({"key": pa.array(["1"], pa.string()), "name": pa.array([None], pa.string())})
    (found,) = run(session, rows, Expectation(LENGTHS, {"column": "name", "max_value": 3}))
    assert found.status is Status.NOTHING
    (empty,) = run(session, rows.slice(1), Expectation(NOT_NULL, {"column": "name"}))
    assert empty.status is Status.NOTHING


def test_severity_mostly_and_parameters(session: DuckSession) -> None:
    from datetime import timedelta

    rows = pa.table(
        {
            "key": ["1", "2", "3"],
            "at": pa.array(
                [NOW, NOW - timedelta(days=1), NOW + timedelta(seconds=1)], pa.timestamp("us", "UTC")
            ),
            "big": pa.array([2**53 + 1, None, 2**53], pa.int64()),
        }
    )
    late = {"column": "at", "max_value": {"$PARAMETER": "now"}}
    future, mostly, exact = run(
        session, rows,
        Expectation(BETWEEN, late, "warning"), Expectation(BETWEEN, {**late, "mostly": 0.5}),
        Expectation(IN_SET, {"column": "big", "value_set": [2**53 + 1]}),
    )  # fmt: skip
    assert (future.status, future.failed) == (Status.WARN, 1)
    assert (mostly.status, mostly.failed) == (Status.PASS, 1)
    assert (exact.status, exact.failed) == (Status.FAIL, 1)


def test_whole_column_rules_see_the_whole_column(session: DuckSession) -> None:
    rows = pa.table({"key": ["1", "2", "3"], "n": [1.0, 2.0, 6.0]})
    mean, count = run(
        session, rows,
        Expectation("expect_column_mean_to_be_between", {"column": "n", "min_value": 3, "max_value": 3}),
        Expectation("expect_table_row_count_to_equal", {"value": 4}), chunk=1,
    )  # fmt: skip
    assert mean.status is Status.PASS
    assert (count.status, count.observed) == (Status.FAIL, "3")


def test_a_derived_file_is_refreshed_until_somebody_edits_it(tmp_path: Path) -> None:
    folder = tmp_path / "validation"
    assert refresh_suites(folder, [ACCOUNTS, CONTACTS]) == (folder / "account.yaml", folder / "contact.yaml")
    assert refresh_suites(folder, [ACCOUNTS, CONTACTS]) == ()
    suites = read_suites(folder, [ACCOUNTS, CONTACTS])
    assert suites[0].expectations[0].kwargs == derive_suite(ACCOUNTS).expectations[0].kwargs
    assert [(rule.type, rule.kwargs) for rule in suites[0].expectations] == [
        (rule.type, rule.kwargs) for rule in derive_suite(ACCOUNTS).expectations
    ]
    assert suites[0].totals == derive_suite(ACCOUNTS).totals != ()
    (folder / "account.yaml").write_text(suite_to_yaml(Suite("account", ())))
    assert refresh_suites(folder, [ACCOUNTS]) == (folder / "account.yaml",)
    text = (folder / "account.yaml").read_text().replace("max_value: 80", "max_value: 70")
    (folder / "account.yaml").write_text(text)
    assert refresh_suites(folder, [ACCOUNTS]) == ()
    assert (folder / "account.yaml").read_text() == text


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "mine.yaml").write_text(dedent(text))
    return folder


def test_every_mistake_in_a_suite_is_told_with_its_place(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "validation",
        """\
        object: account
        expectation: []
        expectations:
          - type: expect_column_values_to_not_be_null
            kwargs: {column: name}
            severity: critcal
          - kwargs: {column: name}
          - {type: expect_column_values_to_be_between, kwargs: {column: since, max_value: {$PARAMETER: nwo}}}
        """,
    )
    with pytest.raises(ProjectError) as caught:
        read_suites(folder, [ACCOUNTS])
    told = [str(problem) for problem in caught.value.problems]
    assert [text.split(" ")[0] for text in told] == [
        "validation/mine.yaml:2:1:", "validation/mine.yaml:6:15:", "validation/mine.yaml:7:5:", "validation/mine.yaml:8:83:"
    ]  # fmt: skip
    assert "did you mean 'expectations'" in told[0]
    assert "did you mean 'critical'" in told[1]


def test_rules_that_cannot_be_run_or_pass_falsely_are_refused(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "validation",
        """\
        object: account
        expectations:
          - {type: expect_query_results_to_match_comparison, kwargs: {}}
          - {type: expect_column_values_to_not_be_nul, kwargs: {column: name}}
          - {type: expect_column_values_to_not_be_null, kwargs: {column: name, colour: red}}
          - {type: expect_column_values_to_not_be_null, kwargs: {column: name, row_condition: "a > 1"}}
        """,
    )
    (suite,) = read_suites(folder, [ACCOUNTS])
    with pytest.raises(ProjectError) as caught:
        check_suite(suite)
    assert len(caught.value.problems) == 4
    assert "did you mean 'expect_column_values_to_not_be_null'" in str(caught.value)


def test_values_of_a_text_column_stand_as_they_are_written(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "validation",
        """\
        object: account
        expectations:
          - {type: expect_column_values_to_be_in_set, kwargs: {column: status, value_set: [NO, 007, 新客户]}}
        """,
    )
    (suite,) = read_suites(folder, [ACCOUNTS])
    assert suite.expectations[0].kwargs["value_set"] == ["NO", "007", "新客户"]


def test_nothing_leaves_the_machine(tmp_path: Path) -> None:
    """In a process of its own, because the library must not have been imported before the doors are shut."""
    program = dedent(
        """
        import socket, sys
        def refuse(*args, **kwargs):
            raise SystemExit("the network was touched")
        socket.socket.connect = refuse
        socket.socket.sendto = refuse
        socket.getaddrinfo = refuse
        import validation.rules, validation.suitefile
        assert "great_expectations" not in sys.modules and "pandas" not in sys.modules
        import pandas as pd
        from validation import gx
        from validation.expectations import Expectation
        rule = Expectation("expect_column_values_to_not_be_null", {"column": "name"})
        found = gx.judge(pd.DataFrame({gx.KEY: ["1", "2"], "name": ["王伟", None]}), [rule])
        assert (found[0].failed, found[0].keys) == (1, ("2",)), found
        print("really ran")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2],
        env={"HOME": str(tmp_path), "PATH": ""}, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip().endswith("really ran"), done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_import_that_would_end_the_process_silently_is_an_error(tmp_path: Path) -> None:
    """As some pyspark beside great_expectations does: status 0, and the tests would pass without having run."""
    package = tmp_path / "great_expectations"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit(0)")
    program = "from validation import gx; gx.known_types()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60,
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "pyspark" in done.stderr


MONEY = ObjectSchema(
    "deal",
    "k",
    (
        FieldSchema("k", FieldType.ID, required=True, unique=True),
        FieldSchema("currency", FieldType.STRING),
        FieldSchema("amount", FieldType.DECIMAL, precision=18, scale=3),
        FieldSchema("kind", FieldType.PICKLIST, values=("person", "firm")),
        FieldSchema("tax_id", FieldType.STRING),
    ),
)
DEALS = MappedObject("deal", "new", "deal", "k", MONEY, (MappedSource("crm", "crm", "Deal", "Id"),))


def test_amounts_have_no_more_decimals_than_their_currency_and_some_fields_are_required_by_type(
    tmp_path: Path,
) -> None:
    (tmp_path / "team.yaml").write_text(
        "object: deal\nexpectations:\n"
        "  - {type: expect_column_values_to_not_be_null, kwargs: {column: tax_id}, when: {column: kind, in: [firm]}}\n"
    )
    refresh_suites(tmp_path, [DEALS])
    suites = read_suites(tmp_path, [DEALS])
    rules = tuple(rule for suite in suites for rule in suite.expectations)
    rows = [
        ("a", "JPY", "1000.000", "firm", "1"), ("b", "JPY", "1000.500", "person", None), ("c", "KWD", "1.125", "firm", None),
        ("d", "EUR", "1.120", "firm", "2"), ("e", "EUR", "1.125", "person", "3"), ("f", None, "1.125", None, None),
    ]  # fmt: skip
    names = ("k", "currency", "amount", "kind", "tax_id")
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(5)]
    columns[2] = columns[2].cast(pa.decimal128(18, 3))
    session = open_engine(EngineSettings(memory_limit="256MB", threads=1), tmp_path)
    session.table("t", pa.table(dict(zip(names, columns, strict=True))))
    start_failing(session)
    found = run_suite(session, '"t"', "k", Suite("deal", rules), now=datetime(2026, 1, 1, tzinfo=UTC))
    listed = session.fetch(f'SELECT field, key FROM "{FAILING}" ORDER BY ALL').to_pylist()
    assert [tuple(row.values()) for row in listed] == [("amount", "b"), ("amount", "e"), ("tax_id", "c")]
    assert all(item.status is not Status.COULD_NOT_CHECK for item in found)


TEAM = """\
object: account
expectations:
  - {type: expect_column_values_to_match_regex, kwargs: {column: Order, regex: '^PO'}, severity: warning}
  - {type: expect_column_values_to_match_regex, kwargs: {column: Order, regex: '[0-9]'}, severity: warning}
  - {type: expect_column_values_to_match_regex, kwargs: {column: Order, regex: 'Case$'}, name: ends, severity: warning}
  - {type: expect_column_value_lengths_to_be_between, kwargs: {column: name, min_value: 2}}
"""


def variants(folder: Path) -> dict[str, str]:
    """Regex or length → variant, of the rules on two fields."""
    found = read_suites(folder, [ACCOUNTS])
    return {
        str(rule.kwargs.get("regex") or rule.kwargs.get("min_value") or rule.kwargs.get("max_value")): rule.variant
        for suite in found
        for rule in suite.expectations
        if rule.subject in ("Order", "name") and len(rule.kwargs) > 1
    }  # fmt: skip


def test_rules_of_one_type_on_one_field_have_ids_of_their_own_that_stay(tmp_path: Path) -> None:
    refresh_suites(tmp_path, [ACCOUNTS])
    team = tmp_path / "team.yaml"
    team.write_text(TEAM)
    found = variants(tmp_path)
    assert found["80"] == found["40"] == ""  # derived ones keep the plain id
    assert found["Case$"] == "ends"
    assert len({found[name] for name in ("^PO", "[0-9]", "2")} - {"", "ends"}) == 3
    lines = TEAM.splitlines(keepends=True)
    team.write_text("".join([*lines[:2], *reversed(lines[2:])]))
    assert variants(tmp_path) == found
    team.write_text(TEAM + lines[2])
    with pytest.raises(
        ProjectError, match=r"team.yaml:7:5.*stands at validation.*team.yaml:3:5 too|stands at"
    ):
        read_suites(tmp_path, [ACCOUNTS])
