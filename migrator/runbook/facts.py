"""The facts that a runbook may ask for: what each is called, what it means, of what kind it is, and who may say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

Value: TypeAlias = bool | float | str
"""A fact's value: a flag, a number (times in seconds, shares in per cent), or a word."""


class Kind(Enum):
    """What values of a fact are like, and therefore what they may be compared with."""

    NUMBER = "number"
    DURATION = "time"
    FLAG = "yes or no"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact as the catalogue knows it."""

    name: str
    kind: Kind
    what: str
    words: tuple[str, ...] = ()
    """Of a WORD: what it can be."""
    said: bool = False
    """Whether a person's answer or a declared program may state it; the others are computed by the tool alone."""


class Facts(Protocol):
    """Where facts come from."""

    def value(self, name: str, group: str) -> Value | None:
        """What a fact is now for a group of objects; None when it is not known, which never counts as holding."""
        ...


def _catalogue() -> dict[str, Fact]:
    number, time, flag, word = Kind.NUMBER, Kind.DURATION, Kind.FLAG, Kind.WORD
    computed = (
        # the plan itself
        ("journal.intact", flag, "every row of the journal is as it was written"),
        ("fall_back.answered", flag, "the runbook says whether a way back is wanted"),
        ("exceptions.signed", number, "exceptions that the plan allows"),
        ("parallel.required", time, "how long both systems are kept after the switch"),
        ("rehearsals.counted", number, "rehearsals of this runbook that reached the end with this mapping and this tool"),
        ("rollback_drill.done", flag, "the way back was drilled with this mapping and this tool"),
        ("window.left", time, "what is left of the window"),
        # P0 to P2
        ("lint.errors", number, "mistakes in the mappings"),
        ("lint.warnings", number, "warnings about the mappings"),
        ("external_keys.missing", number, "target objects without a unique external key"),
        ("profile.objects", number, "staged objects that were profiled"),
        ("backup.done", flag, "ledger and staging were copied, and the copy read back"),
        ("dry_run.refused", number, "records that the target is going to refuse"),
        ("dedupe.undecided", number, "pairs of records that wait for a person"),
        ("accounting.closed", flag, "extracted = loaded + merged + excluded + quarantined + pending, for every object"),
        ("load.pending", number, "records that wait to be loaded"),
        ("load.held", number, "records quarantined or waiting that nobody decided to leave behind"),
        ("watermark.before_load", flag, "the watermark of the sync is older than the load"),
        ("exceptions.count", number, "records left behind: quarantined, waiting or waived"),
        # the dual run
        ("lag", time, "how far the new side is behind the old one"),
        ("unexplained", number, "mismatches that nothing explains, older than two runs"),
        ("nights.green", number, "green nights in a row, forward"),
        ("nights.both_ways", number, "green nights in a row, both ways"),
        ("echo.writes", number, "writes of an idle run"),
        ("conflicts.open", number, "conflicts that nobody decided"),
        ("conflicts.oldest", time, "age of the oldest open conflict"),
        ("holds.open", number, "groups on which the sync writes nothing until a person decides"),
        ("laws.broken", number, "fields in both directions whose mapping does not come back"),
        ("brakes.armed", flag, "limits on deletes and mass changes are set and none is lifted"),
        ("deferred_references", number, "links that wait for their target"),
        ("feed.age", time, "since when the feed of changes was not read"),
        ("feed.memory", time, "how long the systems remember changes"),
        # the evening
        ("freeze.age", time, "since the users of the old side were frozen"),
        ("freeze_proof.foreign_edits", number, "rows changed after the freeze by anyone but the integration and the platform"),
        ("freeze_proof.deletes", number, "deletions after the freeze"),
        ("freeze_proof.rows_changed", number, "objects whose row count is not what it was at the freeze"),
        ("freeze_proof.age", time, "since the freeze was proven"),
        ("overlap.needed", time, "longest transaction of the old side: what may still come after the freeze"),
        ("final_delta.empty_pulls", number, "pulls in a row without a change"),
        ("final_delta.age", time, "since the last pull"),
        ("verdict.age", time, "since the full compare began"),
        ("verdict.same_mapping", flag, "the verdict is on this mapping and this tool"),
        ("verdict.after_final_delta", flag, "the full compare began after the final delta"),
        ("verdict.writes_since", number, "rows written on either side since the verdict, canaries apart"),
        ("verdict.not_matching", number, "objects in any other state than matching"),
        ("canary.after_freeze", flag, "the canary ran after the freeze"),
        ("canary.age", time, "since the canary ran"),
        ("switch.age", time, "since the switch"),
        ("first_edits.traced", number, "edits of users on the new side that were followed to the old one"),
        ("first_edits.lost", number, "such edits that did not arrive"),
        # the way back, and the end
        ("reverse_lag", time, "how far the old side is behind the new one"),
        ("reverse.mismatches", number, "mismatches of the last reverse reconcile"),
        ("cannot_go_back.open", number, "values that the old side cannot hold and nobody accepted to lose"),
        ("erasure.backlog", number, "requests to be forgotten that are not done"),
        # waves
        ("references.found", number, "links of this wave to records of waves that have not come as far"),
        ("parents.behind", number, "groups that this one refers to and that are in an earlier phase"),
    )  # fmt: skip
    said = (
        ("permissions.missing", number, "permissions that the integration users lack"),
        ("permissions.old_read_only", flag, "the old side is read with an identity that cannot write"),
        ("automations.listed", flag, "automations of both sides are listed with a decision each"),
        ("quota.sized", flag, "calls and storage were measured against the limits of both sides"),
        ("quota.headroom", number, "per cent of the day's calls that are left"),
        ("dedupe.frozen", flag, "the decisions on duplicates are final"),
        ("representability.lost", number, "values of the sample or the full data that the other side cannot hold"),
        ("conflicts.unowned", number, "fields with conflicts that nobody owns"),
        ("freeze.active", flag, "users of the old side can no longer edit"),
        ("integration.can_write", flag, "the integration user can still write to the old side"),
        ("on_call.named", flag, "somebody is named for the night and reachable"),
        ("business.go", flag, "the business says go"),
        ("users.moved", flag, "users were sent to the new system"),
        ("old.reads", number, "reads of the old side by integrations in the last week"),
        ("retention.done", flag, "what must be kept by law is exported"),
        ("archive.readable", flag, "the archive was opened and searched"),
        ("keys.destroyed", flag, "keys and logins of the old side are gone"),
        ("training.done", flag, "users of the wave are trained"),
        ("support.ready", flag, "the help desk knows what changed"),
        ("wave.accepted", flag, "the business unit accepted its records"),
        ("references.across", number, "links of this wave to records of waves to come that nobody decided about"),
        ("restore.proven", flag, "a backup was restored and looked at"),
    )  # fmt: skip
    words = (
        ("verdict.status", ("green", "yellow", "red"), "what the full compare came to", False),
        ("canary.result", ("pass", "fail"), "whether a marked record could be written, read and deleted on the old side", False),
        ("representability.scan", ("none", "sample", "full"), "what was scanned for values the other side cannot hold", True),
    )  # fmt: skip
    facts = [Fact(name, kind, what) for name, kind, what in computed]
    facts += [Fact(name, kind, what, said=True) for name, kind, what in said]
    facts += [Fact(name, word, what, choices, spoken) for name, choices, what, spoken in words]
    return {fact.name: fact for fact in facts}


CATALOGUE: Mapping[str, Fact] = _catalogue()
"""Every fact by name. `.age` of a fact says how long ago what it belongs to was established."""
