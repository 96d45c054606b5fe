"""What to do about a quarantined record, by rule: one sentence a person can act on."""

from __future__ import annotations

_HINTS = {
    "key.missing": "give the record a key in the source, or exclude such rows in the mapping",
    "key.duplicate": "remove the copy in the source, or exclude it in the mapping",
    "key.conflict": "make the external key unique: derive it from the source's own key, or merge these records (dedupe)",
    "key.changed": "keep the external key stable: derive it from the source's own key",
    "required.missing": "fill it in the source, or give the field a default in the mapping",
    "length.exceeded": "shorten it in the source, cut it on purpose in the mapping, or widen the target's field",
    "value.unmapped": "add the value to the value map, or say unmapped: keep, null or a default",
    "value.unknown": "add a value map to the field, or the value to the target's list",
    "lookup.missing": "bring the linked record in, or say missing: null or a default for this link",
    "lookup.ambiguous": "link by a field that is unique",
    "lookup.excluded": "do not require this link, or let the record it points to move",
    "merged": "settle the record it was merged into; this one follows",
    "constraint.unique": "another record of the target has this value: merge the two, or correct one",
    "constraint.not-null": "fill it in the source, or give the field a default in the mapping",
    "constraint.foreign-key": "the record it points to is not in the target: load that one first",
    "missing": "the record was deleted in the target: retry, and it is made anew",
}
_FAMILIES = {
    "cast": "correct the value in the source, or say in the mapping how it is written (type, format, zone, clean)",
    "expr": "correct the value in the source, or make the expression in the mapping bear it",
    "file": "correct the file at this place, or say in migration.yaml how it is written (encoding, delimiter, quoting)",
    "xml": "correct the file at this place, or export it again",
    "value": "correct the value in the source or in the mapping so that the target's field can hold it",
    "constraint": "correct the value in the mapping, or the rule in the target, then: migrator quarantine retry",
}
_OTHERWISE = {
    "extract": "correct the source at this place and extract again",
    "map": "correct the mapping or the source, then run again: only what changed is loaded",
    "plan": "correct the mapping or the source, then run again",
    "load": "correct the value in the mapping, or the rule in the target, then: migrator quarantine retry",
}


def hint(rule: str, step: str) -> str:
    """The advice for a rule; for one of a system's own, the advice for the step that it was met in."""
    return _HINTS.get(rule) or _FAMILIES.get(rule.partition(".")[0]) or _OTHERWISE[step]
