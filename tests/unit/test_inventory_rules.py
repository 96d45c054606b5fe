"""Proposals: each rule on cases of its own, and what no rule may ever do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.core.components import Call, Component, ComponentKind, ComponentState, Direction
from migrator.inventory.drift import Drift, drift
from migrator.inventory.evidence import Use, evidence
from migrator.inventory.rules import RULES, Case, Counterpart, Coverage, Decision, Proposal, propose, rivals
from migrator.inventory.scan import Item, Reference
from migrator.inventory.usage import Usage
from migrator.inventory.words import address

K, S = ComponentKind, ComponentState
EMPTY = Usage(rows=100, filled=0, distinct=0, longest=0)
OLD = Usage(
    rows=100,
    filled=40,
    distinct=9,
    longest=5,
    newest="2023-01-15",
    newest_by="LastModifiedDate",
    newest_record="2026-03-01",
)
FRESH = replace(OLD, newest="2026-02-01")


def item(kind: K = K.FIELD, state: S = S.ACTIVE, *used_by: Reference, **more: Any) -> Item:
    part = Component(
        "T",
        more.pop("name", "Account.Tier__c"),
        kind,
        "f.xml",
        owner=more.pop("owner", "Account"),
        state=state,
        **more,
    )
    return Item(f"old/T/{part.name}", part, used_by, (), len(used_by))


def by(kind: K, *, active: bool = True) -> Reference:
    return Reference(f"old/X/{kind.value}", kind, active, sure=True)


def proposal(one: Item, usage: Usage | None = None, **more: Any) -> Proposal:
    known = more.pop("counterpart", Counterpart())
    return propose(Case(one, evidence(one, usage, "not extracted" if usage is None else ""), known, **more))


CASES = [
    ("not-analysed", item(unread="line 3: mismatched tag"), EMPTY, {}, Decision.UNDECIDED),
    ("not-analysed", item(), None, {}, Decision.UNDECIDED),
    ("not-analysed", item(), EMPTY, {"blind": ("flows/Bad.flow",)}, Decision.UNDECIDED),
    ("not-analysed", item(K.AUTOMATION, S.INACTIVE), None, {"blind": ("flows/Bad.flow",)}, Decision.UNDECIDED),
    ("never-filled", item(), EMPTY, {}, Decision.RETIRE),
    ("never-filled", item(K.FIELD, S.ACTIVE, by(K.PERMISSION), by(K.TRANSLATION)), EMPTY, {}, Decision.RETIRE),
    ("counterpart-unknown", item(K.FIELD, S.ACTIVE, by(K.LAYOUT)), EMPTY, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(K.FIELD, S.ACTIVE, by(K.AUTOMATION, active=False)), EMPTY, {}, Decision.UNDECIDED),
    ("no-rule", item(facts={"seen in": "records only"}), EMPTY, {}, Decision.UNDECIDED),
    ("abandoned", item(K.FIELD, S.ACTIVE, by(K.LAYOUT)), OLD, {}, Decision.RETIRE),
    ("abandoned-but-run", item(K.FIELD, S.ACTIVE, by(K.AUTOMATION)), OLD, {}, Decision.UNDECIDED),
    ("abandoned-but-run", item(K.FIELD, S.ACTIVE, by(K.INTEGRATION_OUT)), OLD, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(), FRESH, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(), replace(OLD, newest_record="2023-05-01"), {}, Decision.UNDECIDED),
    ("covered", item(), FRESH, {"counterpart": Counterpart(Coverage.CONFIGURE, "field", "a.tier")}, Decision.KEEP),
    ("to-extend", item(), FRESH, {"counterpart": Counterpart(Coverage.EXTEND)}, Decision.BUILD),
    ("no-counterpart", item(), FRESH, {"counterpart": Counterpart(Coverage.NONE)}, Decision.BUILD),
    ("inactive-unreferenced", item(K.VALIDATION, S.INACTIVE), None, {}, Decision.RETIRE),
    ("inactive-unreferenced", item(K.AUTOMATION, S.DRAFT), None, {}, Decision.RETIRE),
    ("inactive-unreferenced", item(K.AUTOMATION, S.SUPERSEDED), None, {}, Decision.RETIRE),
    ("no-rule", item(K.AUTOMATION, S.INACTIVE, by(K.CODE)), None, {}, Decision.UNDECIDED),
    ("no-rule", item(K.AUTOMATION, S.UNKNOWN), None, {}, Decision.UNDECIDED),
    ("unsupported", item(K.AUTOMATION, fires=("Account/create",), legacy="support ended"), None, {}, Decision.OPTIMISE),
    ("inactive-unreferenced", item(K.AUTOMATION, S.INACTIVE, legacy="support ended"), None, {}, Decision.RETIRE),
    ("same-event", item(K.AUTOMATION, fires=("Account/create",)), None, {"rivals": ("old/Flow/B",)}, Decision.OPTIMISE),
    ("counterpart-unknown", item(K.AUTOMATION, fires=("Account/create",)), None, {}, Decision.UNDECIDED),
    ("code", item(K.CODE, S.INACTIVE), None, {}, Decision.UNDECIDED),
    ("code", item(K.SCHEDULED_JOB), None, {}, Decision.UNDECIDED),
    ("integration", item(K.OUTBOUND_MESSAGE, S.INACTIVE), None, {}, Decision.UNDECIDED),
    ("integration", item(K.INTEGRATION_IN, S.INACTIVE), None, {}, Decision.UNDECIDED),
    ("integration", item(K.INTEGRATION_OUT), None, {}, Decision.UNDECIDED),
    ("integration", item(K.INTEGRATION_OUT, S.INACTIVE), None, {"counterpart": Counterpart(Coverage.STANDARD)}, Decision.UNDECIDED),
    ("integration", item(K.AUTOMATION, S.INACTIVE, calls=(Call(Direction.OUT, "HTTP"),)), None, {}, Decision.UNDECIDED),
    ("not-analysed", item(K.PERMISSION), None, {}, Decision.UNDECIDED),
    ("not-analysed", item(K.REPORT), None, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(K.LAYOUT, S.ACTIVE, by(K.PERMISSION)), None, {}, Decision.UNDECIDED),
    ("no-rule", item(K.LAYOUT), None, {}, Decision.UNDECIDED),
    ("inactive-unreferenced", item(K.RECORD_TYPE, S.INACTIVE), None, {}, Decision.RETIRE),
    ("no-rule", item(K.VALUE_SET), None, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(K.VALUE_SET, S.ACTIVE, by(K.FIELD)), None, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(K.ASSIGNMENT), None, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(K.APPROVAL), None, {}, Decision.UNDECIDED),
    ("counterpart-unknown", item(K.SHARING), None, {}, Decision.UNDECIDED),
    ("not-analysed", item(K.NOTIFICATION), None, {}, Decision.UNDECIDED),
    ("no-rule", item(K.TRANSLATION), None, {}, Decision.UNDECIDED),
    ("no-rule", item(K.OTHER), None, {}, Decision.UNDECIDED),
    ("not-analysed", item(K.OBJECT), None, {}, Decision.UNDECIDED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "one", "usage", "more", "decision"), CASES, ids=[f"{row[0]}-{n}" for n, row in enumerate(CASES)]
)
def test_a_rule_on_a_case(
    rule: str, one: Item, usage: Usage | None, more: dict[str, Any], decision: Decision
) -> None:
    found = proposal(one, usage, **more)
    assert (found.rule, found.decision) == (rule, decision)
    assert str(found.reason)


def test_every_rule_and_every_kind_has_a_case() -> None:
    assert {row[0] for row in CASES} == set(RULES)
    assert {row[1].component.kind for row in CASES} == set(K)


usages = st.builds(
    lambda rows, share, newest, default: Usage(
        rows, rows * share // 4, rows * share // 4, 3, default=default, newest=newest if share else "",
        newest_by="m", newest_record="2026-03-01",
    ),
    st.integers(0, 9), st.integers(0, 4), st.sampled_from(["2020-01-01", "2026-02-02"]), st.sampled_from([None, 0, 2]),
)  # fmt: skip
items = st.builds(
    lambda kind, state, used, calls, unread, seen: item(
        kind, state, *(by(one) for one in used), calls=(Call(Direction.OUT, "HTTP"),) if calls else (), unread=unread,
        facts={"seen in": "schema"} if seen else {},
    ),
    st.sampled_from(list(K)), st.sampled_from(list(S)), st.lists(st.sampled_from(list(K)), max_size=2, unique=True),
    st.booleans(), st.sampled_from(["", "line 1: broken"]), st.booleans(),
)  # fmt: skip


@given(items, st.none() | usages, st.sampled_from(list(Coverage)), st.booleans())
def test_retirement_is_never_proposed_where_it_must_not_be(
    one: Item, usage: Usage | None, coverage: Coverage, blind: bool
) -> None:
    found = proposal(one, usage, counterpart=Counterpart(coverage), blind=("x",) if blind else ())
    if found.decision is not Decision.RETIRE:
        return
    part = one.component
    assert not blind
    assert not part.unread
    assert not part.calls
    assert part.kind not in (K.CODE, K.SCHEDULED_JOB, K.INTEGRATION_IN, K.INTEGRATION_OUT, K.OUTBOUND_MESSAGE)
    if part.state in (S.ACTIVE, S.UNKNOWN):
        assert usage is not None, "missing evidence is not zero"
        assert usage.rows > 0
        assert "seen in" not in part.facts
        using = {reference.kind for reference in one.used_by} - {K.PERMISSION, K.TRANSLATION, K.OTHER}
        assert found.archive or not using, "never on fill rate alone"


@given(items, st.none() | usages)
def test_nothing_is_called_not_seen_without_having_been_looked_at(one: Item, usage: Usage | None) -> None:
    found = evidence(one, usage, "")
    if found.use is Use.NOT_SEEN:
        assert not one.component.unread
        assert usage is not None or one.component.kind not in (K.FIELD, K.OBJECT)
    assert str(found.because)


def test_a_default_on_every_row_and_a_boolean_that_is_never_true_are_no_use() -> None:
    everywhere = Usage(rows=50, filled=50, distinct=1, longest=3, default=50)
    never = Usage(rows=50, filled=50, distinct=1, longest=5, true=0)
    assert evidence(item(), everywhere).use is Use.NOT_SEEN
    assert evidence(item(), never).use is Use.NOT_SEEN
    assert evidence(item(), replace(never, true=1)).use is Use.USED


def test_rivals_are_active_automations_at_one_event() -> None:
    def named(name: str, state: S, *events: str) -> Item:
        return replace(item(K.AUTOMATION, state, name=name, fires=events), id=name)

    found = rivals([
        named("a", S.ACTIVE, "Account/create", "Account/update"), named("b", S.ACTIVE, "account/update"),
        named("c", S.INACTIVE, "Account/create"), named("d", S.ACTIVE, "Case/create"),
    ])  # fmt: skip
    assert found == {"a": ("b",), "b": ("a",)}


def test_drift_tells_new_changed_and_vanished() -> None:
    found = drift({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"})
    assert (found.added, found.changed, found.vanished) == (("d",), ("b",), ("c",))
    assert drift({"a": "1"}, {"a": "1"}) == Drift()


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://u:p@erp.example.com/orders?token=1", "https://erp.example.com/orders"),
        ("https://hooks.example.com/services/T024BE7LD/Xb4kQ9zR2mN7pL5vT8wY1aJc", "https://hooks.example.com/services/T024BE7LD/…"),
        ("https://erp.example.com/v1/internal-purchase-orders-archive/x.", "https://erp.example.com/v1/internal-purchase-orders-archive/x"),
    ],
)  # fmt: skip
def test_an_address_loses_what_may_be_secret(url: str, kept: str) -> None:
    assert address(url) == kept
