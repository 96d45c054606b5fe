"""What people decided about pairs: kept for ever on both databases, the last word on a pair stands, and decisions add up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from migrator.core.clock import FixedClock
from migrator.core.mapped import Judgement, Same
from migrator.dedupe.judged import against, chain, together
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.match_decisions import MatchDecision, Way, decisions, judgements, record, standing

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def word(one: str, other: str, verdict: Same | None, who: str = "Ada", **more: object) -> MatchDecision:
    return MatchDecision("contact", one, other, verdict, who, **more)  # type: ignore[arg-type]


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with closing(open_ledger(database_url, FixedClock(MONDAY), project="p")) as opened:
        yield opened


def test_the_last_word_on_a_pair_stands_and_everything_said_is_kept(ledger: Ledger) -> None:
    said = [
        word("crm:1", "erp:1", Same.SAME, why="same 王伟, \0 says \ud800 he", way=Way.PAGE, weight=-3.25),
        word("crm:2", "erp:2", Same.NOT_SAME),
        word("crm:3", "erp:3", Same.UNSURE),
        word("crm:1", "erp:1", Same.NOT_SAME, "Bob"),
        word("crm:2", "erp:2", None),
        MatchDecision("account", "crm:1", "erp:1", Same.SAME, "Ada"),
    ]
    record(ledger, said[:3])
    for item in said[3:]:
        record(ledger, [item])
    assert record(ledger, []) == ()
    kept = decisions(ledger)
    assert [(item.pair, item.verdict) for item in kept] == [(item.pair, item.verdict) for item in said]
    moments = [item.at for item in kept]
    assert moments == sorted(set(moments)), (
        "the clock stands still, and what is said later is later all the same"
    )
    assert (kept[0].way, kept[0].weight) == (Way.PAGE, -3.25)
    assert kept[0].why == "same 王伟, \N{REPLACEMENT CHARACTER} says ? he"
    assert judgements(ledger, "contact") == (
        Judgement("crm:1", "erp:1", Same.NOT_SAME),
        Judgement("crm:3", "erp:3", Same.UNSURE),
    )
    assert standing(kept)["contact", "crm:1", "erp:1"].who == "Bob"
    assert len(decisions(ledger, "account")) == 1


def test_a_decision_brought_in_with_an_older_date_does_not_overrule_a_later_one(ledger: Ledger) -> None:
    record(ledger, [word("crm:1", "erp:1", Same.SAME)])
    record(ledger, [word("crm:1", "erp:1", Same.NOT_SAME, at=MONDAY - timedelta(days=1))])
    assert judgements(ledger, "contact") == (Judgement("crm:1", "erp:1", Same.SAME),)


def test_a_pair_is_two_records_the_smaller_first(ledger: Ledger) -> None:
    for one, other in (("b", "a"), ("a", "a")):
        with pytest.raises(ValueError, match="smaller first"):
            record(ledger, [word(one, other, Same.SAME)])
    assert decisions(ledger) == []


def said(**pairs: Same) -> list[Judgement]:
    return [Judgement(name[0], name[1], verdict) for name, verdict in pairs.items()]


def test_decisions_say_more_together() -> None:
    known = together(said(ab=Same.SAME, bc=Same.SAME, cd=Same.NOT_SAME, de=Same.SAME, ef=Same.UNSURE))
    assert known.says("a", "c") is Same.SAME
    assert known.says("a", "e") is Same.NOT_SAME
    assert known.says("e", "f") is None
    assert known.says("a", "z") is None


def test_a_contradiction_is_told_with_the_whole_way_round() -> None:
    known = said(ab=Same.SAME, bc=Same.SAME, cd=Same.SAME, xy=Same.SAME)
    assert chain(known, "a", "d") == ("a", "b", "c", "d")
    assert chain(known, "a", "x") == ()
    parted = Judgement("a", "d", Same.NOT_SAME)
    assert against([*known, parted], parted) == tuple(known[:3])
    assert together([*known, parted]).says("a", "d") is Same.NOT_SAME
    joined = Judgement("b", "d", Same.SAME)
    apart = said(ab=Same.SAME, ac=Same.NOT_SAME, cd=Same.SAME)
    assert against([*apart, joined], joined) == tuple(apart)
    assert against(apart, Judgement("b", "d", Same.UNSURE)) == ()
    assert against(known, known[0]) == ()
