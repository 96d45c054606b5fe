"""What guards keep apart, what people's decisions do to clusters, and what is told of clusters that changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from migrator.core.errors import ProjectError
from migrator.core.mapped import DedupeRules, Judgement, MatchKey, Normaliser, Same
from migrator.core.progress import Quiet
from migrator.dedupe.cluster import DECISION
from migrator.dedupe.run import dedupe
from tests.dedupe_project import BY_EMAIL, BY_PHONE, contacts, open_project
from tests.property.test_cluster_laws import World, cluster, engine, groups

A, B, C, D, E, F = (f"crm:{letter}" for letter in "abcdef")


def made_of(*pairs: tuple[str, str, float], **more: object) -> set[frozenset[str]]:
    with engine() as session:
        return groups(cluster(session, replace(World(scored=pairs), **more))[0])  # type: ignore[arg-type]


def test_one_lucky_edge_does_not_join_two_groups_that_agree_within() -> None:
    left = [(one, other, 20.0) for one in (A, B, C) for other in (A, B, C) if one < other]
    right = [(one, other, 20.0) for one in (D, E, F) for other in (D, E, F) if one < other]
    assert made_of(*left, *right, (C, D, 4.0)) == {frozenset({A, B, C}), frozenset({D, E, F})}
    assert made_of(*left, *right, (C, D, 6.0)) == {frozenset({A, B, C, D, E, F})}


def test_a_pair_for_review_joins_nothing_but_counts() -> None:
    assert made_of((A, B, 9.0), (B, C, 1.0)) == {frozenset({A, B})}
    assert made_of((A, B, 9.5), (B, C, 9.0), (A, C, -12.0)) == {frozenset({A, B, C})}
    assert made_of((A, B, 9.5), (B, C, 9.0), (A, C, -14.0)) == {frozenset({A, B})}


def test_no_chain_goes_over_two_that_are_not_the_same() -> None:
    chain = ((A, B, 12.0), (B, C, 20.0))
    assert made_of(*chain, decided=(Judgement(A, C, Same.NOT_SAME),)) == {frozenset({B, C})}
    assert made_of(*chain, vetoes=((C, A),)) == {frozenset({B, C})}
    assert made_of(*chain, claims=((A, "tax", "1"), (C, "tax", "2"))) == {frozenset({B, C})}
    assert made_of(*chain, claims=((A, "tax", "1"), (C, "tax", "1"))) == {frozenset({A, B, C})}


def test_those_who_share_a_value_stay_together_when_the_first_of_them_goes_elsewhere() -> None:
    shared = tuple((A, other) for other in (B, C, D))
    vetoes = tuple((A, other) for other in (B, C, D))
    assert made_of(agreeing=shared, vetoes=vetoes) == {frozenset({B, C, D})}


def test_a_person_stands_above_rules_scores_and_limits() -> None:
    same = tuple(Judgement(A, other, Same.SAME) for other in (B, C))
    with engine() as session:
        home, _ = cluster(session, World(vetoes=((A, B),), decided=same, scored=((A, D, 30.0),)), most=2)
    assert groups(home) == {frozenset({A, B, C})}


def test_decisions_that_contradict_are_told_by_name() -> None:
    decided = (Judgement(A, B, Same.SAME), Judgement(C, B, Same.SAME), Judgement(C, A, Same.NOT_SAME))
    with pytest.raises(ProjectError, match=f"{C} and {A} were decided not to be the same.*{C} = {B} = {A}"):
        made_of(decided=decided)


def test_a_cluster_too_large_is_taken_apart_at_its_weakest_places_first() -> None:
    close = [(A, B, 20.0), (C, D, 20.0), (B, C, 8.0)]
    with engine() as session:
        home, report = cluster(session, World(scored=tuple(close)), most=3)
    assert groups(home) == {frozenset({A, B}), frozenset({C, D})}
    assert report.too_large == 0
    alike = [(one, other, 30.0) for one in (A, B, C, D) for other in (A, B, C, D) if one < other]
    with engine() as session:
        home, report = cluster(session, World(scored=tuple(alike)), most=3)
    assert groups(home) == set()
    assert (report.too_large, report.too_large_rows) == (1, 4)


def test_the_step_holds_to_decisions_keeps_names_and_tells_splits_and_merges(tmp_path: Path) -> None:
    rows = [
        {"id": "crm:1", "email": "a@b.de", "phone": "+60132223333"},
        {"id": "crm:2", "email": "a@b.de", "phone": "+60 13-222 3333"},
        {"id": "crm:3", "phone": "013 222 3333"},
        {"id": "crm:4", "email": "d@b.de"},
    ]
    mapped = contacts(DedupeRules((BY_EMAIL, BY_PHONE), region="MY"))
    apart = (Judgement("crm:1", "crm:3", Same.NOT_SAME), Judgement("crm:1", "crm:4", Same.SAME))
    with open_project(tmp_path) as project:
        assert project.groups(project.run(mapped, rows)) == {frozenset({"crm:1", "crm:2", "crm:3"})}
        held = dedupe(project.store, project.session, mapped, progress=Quiet(), judgements=apart)
        assert project.groups(held) == {frozenset({"crm:1", "crm:2", "crm:4"})}
        assert {row["cluster"] for row in project.rows(held.clusters)} == {"crm:1"}
        assert [row["rule"] for row in project.rows(held.clusters)] == [DECISION, "email", DECISION]
        assert held.clusters.detail["renamed"]["splits"] == [
            {"name": "crm:1", "names": ["crm:1", "crm:3"], "rows": 3}
        ]
        assert not dedupe(project.store, project.session, mapped, progress=Quiet(), judgements=apart).fresh
        back = dedupe(project.store, project.session, mapped, progress=Quiet())
        assert project.groups(back) == {frozenset({"crm:1", "crm:2", "crm:3"})}


def test_records_that_differ_in_what_one_has_once_are_never_one(tmp_path: Path) -> None:
    rows = [
        {"id": "crm:1", "email": "a@b.de", "company": "DE 123"},
        {"id": "crm:2", "email": "a@b.de", "company": None},
        {"id": "crm:3", "email": "a@b.de", "company": "de-123"},
        {"id": "crm:4", "email": "a@b.de", "company": "DE 124"},
        {"id": "crm:5", "name": "John Smith, Jr.", "phone": "+60132223333"},
        {"id": "crm:6", "name": "John Smith Sr", "phone": "+60132223333"},
        {"id": "crm:7", "name": "John Smith II", "phone": "+60132223333"},
    ]
    by_name = MatchKey("name", (("name", Normaliser.NAME),))
    rules = DedupeRules((BY_EMAIL, BY_PHONE, by_name), identity=("company",))
    with open_project(tmp_path) as project:
        found = project.groups(project.run(contacts(rules), rows))
        assert {group for group in found if "crm:5" in group} == {frozenset({"crm:5", "crm:7"})}
        assert any({"crm:1", "crm:3"} <= group for group in found)
        assert not any({"crm:4", other} <= group for group in found for other in ("crm:1", "crm:3"))
        unknown = contacts(DedupeRules((BY_EMAIL,), identity=("tax_id",)))
        with pytest.raises(ProjectError, match="no field 'tax_id'"):
            project.run(unknown, rows)
