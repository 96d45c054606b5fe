"""The step as a whole: what takes part, what it writes, when it is idle, and what it leaves apart on purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from migrator.core.errors import FatalError, ProjectError
from migrator.core.mapped import DedupeRules, MatchKey, Normaliser
from migrator.core.progress import Quiet
from migrator.core.schema import FieldSchema, FieldType
from migrator.dedupe import golden as golden_step
from migrator.dedupe import run as step
from migrator.staging import columns
from migrator.staging.store import Kind
from tests.dedupe_project import (
    BY_EMAIL,
    BY_NAME_COMPANY,
    BY_NAME_PHONE,
    BY_PHONE,
    CONTACT,
    contacts,
    key,
    open_project,
)

TWINS = [
    {"id": "crm:1", "email": "a@b.de"},
    {"id": "erp:1", "email": "A@B.de"},
    {"id": "crm:2", "email": "c@b.de"},
]


@pytest.mark.parametrize("rules", [None, DedupeRules(())])
def test_without_rules_there_are_empty_datasets_of_the_right_columns(
    tmp_path: Path, rules: DedupeRules | None
) -> None:
    with open_project(tmp_path) as project:
        made = project.run(contacts(rules), TWINS)
        mapped = project.store.need(Kind.MAPPED, "contact", made_by="map")
        assert made.clusters.schema() == columns.CLUSTERS
        assert made.golden.schema() == mapped.schema()
        assert (made.merged, made.clusters.rows, made.golden.rows) == (0, 0, 0)


@pytest.mark.parametrize("rows", [[], TWINS[:1], TWINS])
def test_golden_has_the_columns_and_types_of_mapped(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    with open_project(tmp_path) as project:
        made = project.run(
            contacts(DedupeRules((BY_EMAIL, BY_NAME_PHONE, BY_NAME_COMPANY), region="MY")), rows
        )
        mapped = project.store.need(Kind.MAPPED, "contact", made_by="map")
        assert made.golden.schema().remove_metadata().equals(mapped.schema().remove_metadata())
        assert made.clusters.schema().names == columns.CLUSTERS.names
        assert made.clusters.schema().types == columns.CLUSTERS.types


def test_the_second_run_is_idle_and_a_changed_rule_is_not(tmp_path: Path) -> None:
    mapped = contacts(DedupeRules((BY_EMAIL,)))
    with open_project(tmp_path) as project:
        first = project.run(mapped, TWINS)
        again = step.dedupe(project.store, project.session, mapped, progress=Quiet())
        assert first.fresh
        assert not again.fresh
        assert again.clusters.id == first.clusters.id
        other = replace(mapped, dedupe=DedupeRules((BY_EMAIL,), max_cluster=1))
        changed = step.dedupe(project.store, project.session, other, progress=Quiet())
        assert changed.fresh
        assert (first.merged, changed.merged) == (1, 0)


def test_nothing_is_left_in_the_session_or_on_disk(tmp_path: Path) -> None:
    with open_project(tmp_path) as project:
        rows = [{**row, "phone": "+6012 987 6543", "name": "Ａ"} for row in TWINS]
        made = project.run(contacts(DedupeRules((BY_EMAIL, BY_NAME_PHONE), region="MY", max_cluster=2)), rows)
        assert project.session.fetch("SELECT * FROM information_schema.tables").num_rows == 0
        files = {
            path.name
            for made_of in (made.clusters, made.golden)
            for path in made_of.parts[0].path.parent.iterdir()
        }
        assert files == {"part-000000.parquet"}


def test_bad_and_excluded_rows_take_no_part(tmp_path: Path) -> None:
    rows = [
        {"id": "crm:1", "email": "a@b.de", "__bad": True},
        {"id": "crm:2", "email": "a@b.de", "__excluded": "old"},
        {"id": "crm:3", "email": "a@b.de"},
    ]
    with open_project(tmp_path) as project:
        assert project.run(contacts(DedupeRules((BY_EMAIL,))), rows).merged == 0


def test_rules_join_hands_and_the_first_explains(tmp_path: Path) -> None:
    rows = [
        {"id": "crm:1", "email": "a@b.de", "phone": "012-987 6543"},
        {"id": "crm:2", "email": "a@b.de", "phone": "+60 13-222 3333"},
        {"id": "crm:3", "phone": "013 222 3333"},
        {"id": "crm:4", "phone": "013 222 3334"},
    ]
    with open_project(tmp_path) as project:
        made = project.run(contacts(DedupeRules((BY_EMAIL, BY_PHONE), region="MY")), rows)
        assert project.groups(made) == {frozenset({"crm:1", "crm:2", "crm:3"})}
        assert [(row["__id"], row["rule"], row["evidence"]) for row in project.rows(made.clusters)] == [
            ("crm:1", "email", "a@b.de"),
            ("crm:2", "email", "a@b.de"),
            ("crm:3", "phone", "+60132223333"),
        ]


def test_a_null_in_any_part_matches_nothing(tmp_path: Path) -> None:
    rows = [
        {"id": f"crm:{n}", "name": "Wang Wei", "company": company}
        for n, company in enumerate([None, "", None, "x"])
    ]
    with open_project(tmp_path) as project:
        assert project.run(contacts(DedupeRules((BY_NAME_COMPANY,))), rows).merged == 0


def test_a_value_on_too_many_rows_joins_nothing_and_is_reported(tmp_path: Path) -> None:
    name_born = key("name and born", name=Normaliser.NAME, born=Normaliser.EXACT)
    rows = [{"id": f"crm:{n}", "name": "Wang Wei", "company": "Acme Ltd"} for n in range(6)]
    rows += [{"id": f"erp:{n}", "name": "Li Na", "company": "Acme Ltd"} for n in range(2)]
    with open_project(tmp_path) as project:
        made = project.run(contacts(DedupeRules((BY_NAME_COMPANY, name_born), max_cluster=5)), rows)
        assert project.groups(made) == {frozenset({"erp:0", "erp:1"})}
        detail = made.clusters.detail
    assert detail["shared"] == [{"rule": "name and company", "rows": 6, "value": "w•••• (8) · a•••• (4)"}]
    assert detail["by_rule"]["name and company"] == {
        "values": 1, "members": 2, "pairs": 1, "shared_values": 1, "shared_rows": 6,
    }  # fmt: skip


def test_an_address_or_number_shared_by_many_proves_nothing_even_beside_a_name(tmp_path: Path) -> None:
    rows = [
        {"id": f"crm:{n}", "name": f"Person {n % 4}", "phone": "03-2161 1234", "email": "desk@b.de"}
        for n in range(8)
    ]
    mail_name = key("mail and name", email=Normaliser.EMAIL, name=Normaliser.NAME)
    with open_project(tmp_path) as project:
        made = project.run(
            contacts(DedupeRules((BY_NAME_PHONE, mail_name), region="MY", max_cluster=5)), rows
        )
        assert made.merged == 0
        assert made.clusters.detail["junk"] == {
            "phone": {"values": 1, "rows": 8},
            "email": {"values": 1, "rows": 8},
        }
        assert (
            project.run(contacts(DedupeRules((BY_NAME_PHONE,), region="MY", max_cluster=9)), rows).merged == 4
        )


def test_a_chain_longer_than_a_cluster_may_be_is_reported_not_merged(tmp_path: Path) -> None:
    rows = [
        {"id": f"crm:{n}", "email": f"m{n // 2}@b.de", "phone": f"+6012987654{(n + 1) // 2}"}
        for n in range(8)
    ]
    with open_project(tmp_path) as project:
        made = project.run(contacts(DedupeRules((BY_EMAIL, BY_PHONE), max_cluster=7)), rows)
        assert made.merged == 0
        assert made.clusters.detail["too_large"] == [{"rule": "email", "rows": 8, "example": "crm:0"}]
        assert made.clusters.detail["too_large_rows"] == 8


def test_golden_rows_are_the_same_whatever_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"id": f"{source}:{n}", "email": f"m{n}@b.de", "name": f"{source} {n}"}
        for n in range(9)
        for source in ("crm", "erp")
    ]
    mapped = contacts(DedupeRules((BY_EMAIL,), trust=("erp",)))
    with open_project(tmp_path) as project:
        whole = project.run(mapped, rows)
        monkeypatch.setattr(golden_step, "CELLS_A_PAGE", 4 * 16)
        (tmp_path / "2").mkdir()
        with open_project(tmp_path / "2") as other:
            paged = other.run(mapped, rows)
            assert len(paged.golden.parts) == 3

            def by_id(row: dict[str, str]) -> str:
                return row["__id"]

            assert sorted(other.rows(paged.golden), key=by_id) == sorted(
                project.rows(whole.golden), key=by_id
            )
            assert [part.path.name for part in paged.golden.parts] == sorted(
                p.name for p in paged.golden.parts[0].path.parent.iterdir()
            )


def test_hostile_names_and_values_are_only_names_and_values(tmp_path: Path) -> None:
    odd = 'a"b; DROP TABLE x --'
    fields = (*CONTACT, FieldSchema(odd, FieldType.STRING), FieldSchema("own", FieldType.STRING), FieldSchema("trust", FieldType.STRING))  # fmt: skip
    fields += tuple(
        FieldSchema(name, FieldType.STRING)
        for name in ("rule", "cluster", "n", "c0", "select", "姓 名", "recent")
    )
    rules = DedupeRules(
        (MatchKey("it's \"here\"", ((odd, Normaliser.NAME), ("select", Normaliser.EXACT), ("姓 名", Normaliser.NAME))),),
        trust=("o'hara",), recency="own",
    )  # fmt: skip
    rows = [
        {
            "id": f"o'hara:{n}",
            odd: "x'; DROP TABLE y; --",
            "select": "') OR 1=1 --",
            "姓 名": "王伟\n",
            "cluster": "z",
            "own": str(n),
        }
        for n in range(2)
    ]
    with open_project(tmp_path) as project:
        made = project.run(contacts(rules, fields), rows)
        assert project.groups(made) == {frozenset({"o'hara:0", "o'hara:1"})}
        assert project.rows(made.clusters)[0]["rule"] == 'it\'s "here"'
        assert project.rows(made.golden)[0]["__id"] == "o'hara:1"


def test_every_type_can_be_a_key(tmp_path: Path) -> None:
    rules = DedupeRules(
        (
            key(
                "all",
                born=Normaliser.EXACT,
                revenue=Normaliser.EXACT,
                Order=Normaliser.NAME,
                active=Normaliser.EXACT,
            ),
        )
    )
    from tests.dedupe_project import AMOUNT, DAY

    rows = [{"id": f"crm:{n}", "born": DAY, "revenue": AMOUNT, "Order": 7, "active": True} for n in range(2)]
    with open_project(tmp_path) as project:
        assert project.run(contacts(rules), rows).merged == 1


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (DedupeRules((key("k", emial=Normaliser.EMAIL),)), "no field 'emial'\n    did you mean 'email'?"),
        (DedupeRules((BY_EMAIL,), recency="chnged"), "did you mean 'changed'?"),
        (DedupeRules((BY_PHONE,), region="UK"), "unknown region 'UK'"),
    ],
)
def test_rules_that_cannot_hold_are_refused(tmp_path: Path, rules: DedupeRules, said: str) -> None:
    with open_project(tmp_path) as project, pytest.raises(ProjectError, match=said.replace("?", r"\?")):
        project.run(contacts(rules), TWINS)


def test_without_a_mapping_it_says_what_to_run(tmp_path: Path) -> None:
    with open_project(tmp_path) as project, pytest.raises(FatalError, match="migrator map"):
        step.dedupe(project.store, project.session, contacts(None), progress=Quiet())
