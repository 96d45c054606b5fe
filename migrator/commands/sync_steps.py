"""What a person does about each kind of hold, and about each reason why a record fails: one verb for every one of them."""

from __future__ import annotations

from collections.abc import Mapping

ASKED = frozenset({"conflict", "members-differ", "too-close-to-call", "base-lost", "other-source"})
"""Kinds of holds of fields that each have an open conflict, under which a person finds them."""
NEEDS_A_PERSON = frozenset({"delete-vs-edit", "delete-policy", "undelete", "erased"})
"""Kinds of holds of whole records that never end by themselves."""
_ANSWER = "migrator sync conflicts list --reason {}, then resolve: the side that stands"
_GONE = "if it was deleted for good, two people say so: migrator sync gone RECORD --second NAME --why …"
HOLD_STEPS: Mapping[str, str] = {
    **{kind: _ANSWER.format(kind) for kind in sorted(ASKED)},
    "delete-vs-edit": _ANSWER.format("delete-vs-edit"),
    "delete-policy": _ANSWER.format("delete-policy"),
    "undelete": "migrator sync conflicts list --reason undelete, then resolve: the side it is on lets it live, the other deletes it again",
    "erased": "a person who was erased is there again: migrator sync stuck names the record, migrator erase forgets it again",
    "missing": f"is the record hidden from the sync's user? it heals by itself once it can be read; {_GONE}",
    "missing-both": f"neither side shows the record: can the sync's user see it? it heals by itself; {_GONE}",
    "unreadable": "give the sync's user the right to read the field on both sides",
    "untranslatable": "the other side cannot hold the value: change it there, or the mapping",
    "drift": "a schema changed: adjust the mapping, then migrator sync resume --drift SYSTEM --second NAME --why …",
    "side-frozen": "the phase forbids the write; it flows once the side is no longer frozen (sync: frozen in migration.yaml)",
    "no-way-back": "the field has no way back: declare one (docs/mapping.md, Both ways), or undo the edit",
    "no-direction": "the field flows no way: give it a direction in the mapping, or undo the edit",
}
"""Kind of hold → next step."""
CODE_STEPS: Mapping[str, str] = {
    "absent": "it was changed and cannot be read: can the sync's user see it? a full comparison clears it: migrator sync reconcile",
    "duplicate-key": "it carries the key of a record that has another partner: empty its key field there",
    "key-of-deleted": "it carries the key of a deleted record: empty its key field there, or delete it",
    "key-without-record": "it carries a key, and no record has it: can the sync's user see that record? else empty its key field there",
    "side-frozen": "the phase forbids the write; it flows once the side is no longer frozen (sync: frozen in migration.yaml)",
    "undecidable": "its values cannot be compared: migrator sync stuck --unmask says why; mend them there, or the mapping",
    "untranslatable": "the other side cannot hold a value: change it there, or the mapping",
    "unknown": "nothing yet: the answer was lost, and the next run looks it up",
}
"""Code of a failure that the sync itself gives → next step; every other one is the system's own."""
RESTORED_STEP = (
    "the ledger was lost or restored: answer the conflicts, let a run look for every partner, then two people say so: "
    "migrator sync resume --restored --second NAME --why …"
)
OTHER_CODE = "the system refuses it: migrator sync stuck --unmask says why; mend the record there, or the mapping; it is tried daily"


def hold_step(kind: str) -> str:
    """What a person does about a hold."""
    return HOLD_STEPS.get(kind, "migrator sync stuck")


def code_step(code: str) -> str:
    """What a person does about a record that fails."""
    return CODE_STEPS.get(code, OTHER_CODE)
