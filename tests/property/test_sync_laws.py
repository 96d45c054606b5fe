"""Laws of the pure decision of the sync: for any values and bases of a group, and any policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.core.translation import DeletePolicy, Direction, Pair, Policy, Rule
from migrator.core.twoway import UNREADABLE, Evidence, EvidenceKind, Which
from migrator.sync.decide import FieldDecision, Member, Terms, Verdict, decide
from migrator.sync.life import LifeAct, Presence, decide_life, is_later, presence
from migrator.sync.values import from_text, row_fingerprints, table_fingerprints, to_text

VALUES = st.sampled_from([None, "a", "b", "c"])
RULES = st.sampled_from(list(Rule))
OLD, NEW = "m/s", "m"


def member(which: Which, value: object, base: object, number: int = 0) -> Member:
    """A record with one field, the same on both sides."""
    if which is Which.OLD:
        return Member(
            which,
            OLD,
            f"o{number}",
            "1",
            {"F": value},
            {"F": base},
            {"f": value},
            {"f": base},
            primary=number == 0,
        )  # type: ignore[dict-item]
    return Member(which, NEW, f"n{number}", "1", {"f": value}, {"f": base}, {f"{OLD}.F": value})  # type: ignore[dict-item]


def pairs(rule: Rule = Rule.OLD_WINS, **more: object) -> dict[str, dict[str, Pair]]:
    """The one pair."""
    found = Pair("f", ("F",), Direction.BOTH, Policy(rule))
    return {OLD: {"f": replace(found, **more)}}  # type: ignore[arg-type]


def carried_out(members: list[Member], found: tuple[FieldDecision, ...]) -> list[Member]:
    """The group after a decision was carried out, with both systems keeping exactly what was written."""
    values = [next(iter(one.values.values())) for one in members]
    bases = [next(iter(one.base.values())) for one in members]
    for item in found:
        for write in item.writes:
            values[write.member] = write.value
            if not item.again:
                bases[write.member] = write.value
        for place in item.advance:
            bases[place] = values[place]  # type: ignore[assignment]
    return [
        member(one.which, value, base, int(one.id[1:]))
        for one, value, base in zip(members, values, bases, strict=True)
    ]


GROUPS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=3).flatmap(
    lambda olds: st.tuples(VALUES, VALUES).map(
        lambda new: [
            *(member(Which.OLD, value, base, at) for at, (value, base) in enumerate(olds)),
            member(Which.NEW, *new),
        ]
    )
)


@given(GROUPS, RULES)
def test_what_nobody_changed_is_left_alone(members: list[Member], rule: Rule) -> None:
    still = [replace(one, values=dict(one.base)) for one in members]
    still = [member(one.which, *one.values.values(), *one.base.values(), int(one.id[1:])) for one in still]
    assert decide(pairs(rule), still, Terms()) == ()


@given(GROUPS, RULES)
def test_decisions_settle(members: list[Member], rule: Rule) -> None:
    for _ in range(3):
        found = decide(pairs(rule), members, Terms())
        members = carried_out(members, found)
    held = {item.verdict for item in decide(pairs(rule), members, Terms())}
    assert held <= {Verdict.HELD}


@given(GROUPS, RULES)
def test_what_is_overwritten_is_on_the_other_side_or_logged(members: list[Member], rule: Rule) -> None:
    for item in decide(pairs(rule), members, Terms()):
        for write in item.writes:
            before = next(iter(members[write.member].values.values()))
            unchanged = before == next(iter(members[write.member].base.values()))
            assert unchanged or item.is_logged


@given(GROUPS, RULES)
def test_nothing_is_invented(members: list[Member], rule: Rule) -> None:
    entered = {next(iter(one.values.values())) for one in members}
    for item in decide(pairs(rule), members, Terms()):
        if item.verdict is not Verdict.MERGE:
            assert {write.value for write in item.writes} <= entered


@given(GROUPS, RULES)
def test_one_changed_value_reaches_every_member(members: list[Member], rule: Rule) -> None:
    changed = [one for one in members if list(one.values.values()) != list(one.base.values())]
    values = {next(iter(one.values.values())) for one in changed}
    if len(values) == 1:
        after = carried_out(members, decide(pairs(rule), members, Terms()))
        assert {next(iter(one.values.values())) for one in after} == values


@given(GROUPS, RULES, st.sets(st.integers(0, 3), min_size=1))
def test_what_cannot_be_read_stops_its_pair(members: list[Member], rule: Rule, hidden: set[int]) -> None:
    seen = [
        replace(one, values=dict.fromkeys(one.values, UNREADABLE)) if at in hidden else one
        for at, one in enumerate(members)
    ]
    if seen != members:
        assert [item.verdict for item in decide(pairs(rule), seen, Terms())] == [Verdict.BLOCKED]


@given(GROUPS, RULES)
def test_a_lost_base_overwrites_nothing(members: list[Member], rule: Rule) -> None:
    bare = [replace(one, base={}) for one in members]
    (item,) = decide(pairs(rule), bare, Terms())
    same = len({next(iter(one.values.values())) for one in members}) == 1
    assert item.verdict is (Verdict.ADOPT if same else Verdict.HELD)
    assert item.writes == ()


@given(GROUPS, RULES, st.sampled_from([Direction.FORWARD, Direction.REVERSE]))
def test_a_one_way_field_is_never_written_the_other_way(
    members: list[Member], rule: Rule, direction: Direction
) -> None:
    into = Which.NEW if direction is Direction.FORWARD else Which.OLD
    for item in decide(pairs(rule, direction=direction), members, Terms()):
        assert all(members[write.member].which is into for write in item.writes)


@given(GROUPS, RULES, st.sets(st.sampled_from(list(Which))))
def test_a_frozen_side_is_never_written(members: list[Member], rule: Rule, frozen: set[Which]) -> None:
    for item in decide(pairs(rule), members, Terms(frozen=frozenset(frozen))):
        assert all(members[write.member].which not in frozen for write in item.writes)


@pytest.mark.parametrize("values", list(product(["true", "false", None], repeat=4)))
def test_consent_ends_with_the_most_restrictive(values: tuple[str | None, ...]) -> None:
    old, old_base, new, new_base = values
    members = [member(Which.OLD, old, old_base), member(Which.NEW, new, new_base)]
    found = decide(pairs(consent=True, restrictive="true"), members, Terms())
    after = [next(iter(one.values.values())) for one in carried_out(members, found)]
    if found and "true" in (old, new):
        assert after == ["true", "true"]


def test_reopening_brings_back_the_value_that_was_the_base() -> None:
    old = Member(Which.OLD, OLD, "o0", "2", {"F": "Closed"}, {"F": "Hot"}, {"f": "closed"}, {"f": "open"})
    new = Member(Which.NEW, NEW, "n0", "2", {"f": "open"}, {"f": "other"}, {f"{OLD}.F": "Warm"})
    (item,) = decide(pairs(Rule.NEW_WINS), [old, new], Terms())
    assert [write.value for write in item.writes] == ["Hot"]


PRESENCES = st.sampled_from(list(Presence))


@given(
    PRESENCES, PRESENCES, st.booleans(), st.sampled_from(list(DeletePolicy)), st.sampled_from([None, *Which])
)
def test_a_delete_needs_proof_from_the_other_side(
    old: Presence, new: Presence, edited: bool, policy: DeletePolicy, said: Which | None
) -> None:
    found = decide_life(old, new, edited=edited, policy=policy, resolved=said)
    if found.act in (LifeAct.DELETE, LifeAct.DEACTIVATE, LifeAct.TOMBSTONE):
        assert Presence.ABSENT not in (old, new)
        dead, alive = (old, new) if found.on is Which.NEW else (new, old)
        if found.act is not LifeAct.TOMBSTONE and said is None:
            assert dead in (Presence.DELETED, Presence.MERGED)
            assert alive is Presence.LIVE
            assert not edited


def test_the_sync_s_own_delete_is_no_word_of_a_user() -> None:
    told = Evidence(EvidenceKind.DELETED, "1", "7")
    ours = Evidence(EvidenceKind.DELETED, "1", "7", how="sync")
    assert presence([(told, False)])[0] is Presence.DELETED
    assert presence([(ours, True), (told, False)])[0] is Presence.OURS
    assert presence([])[0] is Presence.ABSENT


@pytest.mark.parametrize(
    ("version", "known", "later"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("b", "a", True)],
)
def test_versions_are_numbers_where_they_look_like_some(version: str, known: str, later: bool) -> None:
    assert is_later(version, known) is later


NATIVES = st.one_of(
    st.none(), st.text(), st.booleans(), st.integers(-(2**60), 2**60), st.dates(), st.times(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-10**9, max_value=10**9),
    st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip


@settings(max_examples=30)
@given(st.dictionaries(st.text() | st.sampled_from(["$n", "$t"]), NATIVES, max_size=4))
def test_natives_survive_the_store(values: dict[str, object]) -> None:
    found = from_text(to_text(values))
    assert found == values
    assert [type(one) for one in found.values()] == [type(found[name]) for name in found]


COLUMNS = st.sampled_from([st.text(), st.integers(-(2**60), 2**60), st.booleans(), st.dates()]).flatmap(
    lambda one: st.lists(st.none() | one, min_size=3, max_size=3)
)


@settings(max_examples=30)
@given(st.lists(COLUMNS, min_size=1, max_size=4))
def test_a_page_and_its_rows_have_the_same_fingerprints(columns: list[list[object]]) -> None:
    import pyarrow as pa

    names = [f"c{at}" for at in range(len(columns))]
    arrays = [pa.array(cells) for cells in columns]
    if any(pa.types.is_null(one.type) for one in arrays):
        arrays = [one.cast(pa.string()) if pa.types.is_null(one.type) else one for one in arrays]
    table = pa.table(dict(zip(names, arrays, strict=True)))
    assert table_fingerprints(table, names) == row_fingerprints(table.to_pylist(), names)
