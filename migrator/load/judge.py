"""The query that judges every survivor of one object, as SQL text: links rewritten, fingerprint, action, reason, issues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.core.mapped import Link, MappedObject
from migrator.load.canonical import row_fingerprint
from migrator.staging import columns
from migrator.staging.action import SENT, Action, listed
from migrator.staging.engine import literal, quote

CLAIM = "__claim"
"""The external key as text."""
_ID, _FP = quote(columns.ID), quote(columns.FINGERPRINT)
_OWN = (columns.ID, columns.SOURCE, columns.KEY)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the judging query reads: SQL for the survivors, and names of relations."""

    survivors: str
    crosswalk: str
    merged: Mapping[str, str]
    """Link field → (ref, survivor): where references to merged records lead. A field is not there when nothing was merged
    that it may point to: each relation joined is held by the engine at once."""
    blocked: Mapping[str, str]
    """Link field, not deferred → (ref, excluded, root): records that cannot be linked to, and why; as above."""
    claims: str
    """(claim, claims, first, last): external keys that several records claim; '' when there are none."""
    retry: str
    """SQL condition over the crosswalk row `x`: whether a refused row is tried again."""


def judged(obj: MappedObject, given: Inputs) -> str:
    """One row per survivor. Fields are called `f0`, `f1`, … here, so that no field name can meet a name of the engine's."""
    own = ", ".join(f"r.{quote(name)}" for name in _OWN)
    fields = ", ".join(f"r.{quote(item.name)} AS f{place}" for place, item in enumerate(obj.fields))
    claims = given.claims or "(SELECT NULL AS claim, 0 AS claims, NULL AS first, NULL AS last WHERE false)"
    return f"""
WITH survivors AS NOT MATERIALIZED ({given.survivors}),
pointed AS NOT MATERIALIZED ({_pointed(obj, given.merged)}),
checked AS NOT MATERIALIZED ({_checked(obj, given.blocked)}),
printed AS NOT MATERIALIZED (
  SELECT *, {row_fingerprint(obj)} AS {_FP}, CAST({quote(obj.key)} AS VARCHAR) AS {quote(CLAIM)} FROM checked),
held AS NOT MATERIALIZED (
  SELECT r.*, x.at AS {quote(columns.KNOWN)}, x.target_id AS __target_id, x.outcome AS __outcome,
         x.{_FP} AS __before, x.code AS __code, {given.retry} AS __again,
         {_key_rule()} AS __key_rule, {_key_reason(obj)} AS __key_reason
  FROM printed AS r
  LEFT JOIN {given.crosswalk} AS x ON x.{_ID} = r.{_ID}
  LEFT JOIN {claims} AS d ON d.claim = r.{quote(CLAIM)})
SELECT {own}, {fields}, r.{_FP}, {_action()} AS {quote(columns.ACTION)},
       CASE {_action()} WHEN {literal(Action.WAIT.value)} THEN r.__waits
                        WHEN {literal(Action.KEY_CONFLICT.value)} THEN r.__key_reason
                        WHEN {literal(Action.ORPHANED.value)} THEN r.__orphan_root
                        WHEN {literal(Action.REFUSED.value)} THEN r.__code END AS {quote(columns.REASON)},
       {_issues(obj)} AS {quote(columns.ISSUES)}, r.{quote(columns.KNOWN)}
FROM held AS r"""


def ordered(obj: MappedObject, judged_file: str, *, families: bool) -> str:
    """Places (row numbers in the judged file) of the rows to send, in the order they go: children of one parent together
    (`families`), or by the external key.

    Only this narrow column is sorted and written; its own row numbers are the order. A window function would do the
    same, but the engine cannot spill one, and sorting whole rows costs thrice.
    """
    places = {item.name: place for place, item in enumerate(obj.fields)}
    links = [f"f{places[name]} NULLS FIRST" for name in places if _holds(obj, name)]
    first = links[:1] if families else [f"f{places[obj.key]}"]
    return (
        f"SELECT file_row_number AS place FROM {_numbered_rows(judged_file)}"
        f" WHERE {quote(columns.ACTION)} IN ({listed(SENT)}) ORDER BY {', '.join([*first, _ID])}"
    )


def numbered(obj: MappedObject, judged_file: str, ordered_file: str, batch_rows: int) -> str:
    """The PLAN itself: judged rows under their own names, those to send numbered into batches."""
    own = ", ".join(f"r.{quote(name)}" for name in _OWN)
    fields = ", ".join(f"r.f{place} AS {quote(item.name)}" for place, item in enumerate(obj.fields))
    rest = ", ".join(
        f"r.{quote(name)}"
        for name in (columns.FINGERPRINT, columns.ACTION, columns.REASON, columns.ISSUES, columns.KNOWN)
    )
    return (
        f"SELECT {own}, {fields}, {rest},"
        f" CAST(n.file_row_number // {batch_rows:d} AS INTEGER) AS {quote(columns.BATCH)}"
        f" FROM {_numbered_rows(judged_file)} AS r"
        f" LEFT JOIN {_numbered_rows(ordered_file)} AS n ON n.place = r.file_row_number"
    )


def _numbered_rows(file: str) -> str:
    return f"read_parquet({literal(file)}, file_row_number = true, hive_partitioning = false)"


def _holds(obj: MappedObject, name: str) -> bool:
    link = obj.link(name)
    return link is not None and not link.deferred


def _pointed(obj: MappedObject, merged: Mapping[str, str]) -> str:
    """References to a merged record lead to its survivor."""
    links = [link.field for link in obj.links if link.field in merged]
    shown = [
        f"coalesce(m{links.index(item.name)}.survivor, s.{quote(item.name)}) AS {quote(item.name)}"
        if item.name in links
        else f"s.{quote(item.name)}"
        for item in obj.fields
    ]
    joins = " ".join(
        f"LEFT JOIN {merged[name]} AS m{place} ON m{place}.ref = s.{quote(name)}"
        for place, name in enumerate(links)
    )
    return f"SELECT {', '.join(f's.{quote(name)}' for name in _OWN)}, {', '.join(shown)} FROM survivors AS s {joins}"


def _checked(obj: MappedObject, blocked: Mapping[str, str]) -> str:
    """Links that hold their row: what it waits for, whether it is orphaned, what was emptied."""
    links = [link for link in obj.links if link.field in blocked]
    emptied = {link.field: place for place, link in enumerate(links) if not link.required}
    shown = [
        f"CASE WHEN b{emptied[item.name]}.excluded THEN NULL ELSE p.{quote(item.name)} END AS {quote(item.name)}"
        if item.name in emptied
        else f"p.{quote(item.name)}"
        for item in obj.fields
    ]
    waits = [f"CASE WHEN NOT b{place}.excluded THEN b{place}.root END" for place in range(len(links))]
    must = [(place, link) for place, link in enumerate(links) if link.required]
    orphan = [f"CASE WHEN b{place}.excluded THEN {literal(link.field)} END" for place, link in must]
    root = [f"CASE WHEN b{place}.excluded THEN b{place}.root END" for place, _ in must]
    notes = [_note(place, link) for place, link in enumerate(links) if not link.required]
    joins = " ".join(
        f"LEFT JOIN {blocked[link.field]} AS b{place} ON b{place}.ref = p.{quote(link.field)}"
        for place, link in enumerate(links)
    )
    return (
        f"SELECT {', '.join(f'p.{quote(name)}' for name in _OWN)}, {', '.join(shown)},"
        f" {_first(waits)} AS __waits, {_first(orphan)} AS __orphan, {_first(root)} AS __orphan_root,"
        f" {_present(notes)} AS __notes FROM pointed AS p {joins}"
    )


def _note(place: int, link: Link) -> str:
    issue = _issue(
        literal(link.field), literal("lookup.excluded"), f"p.{quote(link.field)}",
        f"'the link was left empty: ' || b{place}.root", "warning",
    )  # fmt: skip
    return f"CASE WHEN b{place}.excluded THEN {issue} END"


def _issue(name: str, rule: str, value: str, message: str, severity: str) -> str:
    return f"{{'field': {name}, 'rule': {rule}, 'value': {value}, 'message': {message}, 'severity': {literal(severity)}}}"


def _first(expressions: list[str]) -> str:
    return f"coalesce({', '.join(expressions)})" if expressions else "CAST(NULL AS VARCHAR)"


def _present(issues: list[str]) -> str:
    if not issues:
        return f"CAST([] AS {columns.ISSUES_TYPE})"
    return f"CAST(list_filter([{', '.join(issues)}], lambda __n: __n IS NOT NULL) AS {columns.ISSUES_TYPE})"


def _key_rule() -> str:
    """What is wrong with the external key. Who was loaded under a key keeps it; a record never changes its key silently."""
    claim = f"r.{quote(CLAIM)}"
    return (
        f"CASE WHEN coalesce({claim}, '') = '' THEN 'key.missing'"
        f" WHEN x.target_key <> {claim} THEN 'key.changed'"
        f" WHEN d.claims > 1 AND x.target_key IS NULL THEN 'key.conflict' END"
    )


def _key_reason(obj: MappedObject) -> str:
    claim, name = f"r.{quote(CLAIM)}", obj.key.replace("'", "''")
    return (
        f"CASE WHEN coalesce({claim}, '') = '' THEN 'the external key {name} is empty'"
        f" WHEN x.target_key <> {claim} THEN 'it was loaded as ' || x.target_key || ', its {name} is now ' || {claim}"
        f" ELSE d.claims || ' records claim the {name} ' || {claim} || ', ' || d.first || ' and ' || d.last || ' among them' END"
    )


def _action() -> str:
    """The first that holds; what the target has already is left alone whatever else is true of the row."""
    return (
        f"CASE WHEN r.__target_id IS NOT NULL AND r.__outcome <> 'refused' AND r.__before = r.{_FP} THEN {literal(Action.UNCHANGED.value)}"
        f" WHEN r.__key_rule IS NOT NULL THEN {literal(Action.KEY_CONFLICT.value)}"
        f" WHEN r.__orphan IS NOT NULL THEN {literal(Action.ORPHANED.value)}"
        f" WHEN r.__waits IS NOT NULL THEN {literal(Action.WAIT.value)}"
        f" WHEN r.__outcome = 'refused' AND r.__before = r.{_FP} AND NOT r.__again THEN {literal(Action.REFUSED.value)}"
        f" WHEN r.__target_id IS NULL THEN {literal(Action.CREATE.value)}"
        f" ELSE {literal(Action.UPDATE.value)} END"
    )


def _issues(obj: MappedObject) -> str:
    key = _issue(literal(obj.key), "r.__key_rule", f"r.{quote(CLAIM)}", "r.__key_reason", "error")
    orphan = _issue(
        "r.__orphan", literal("lookup.excluded"), "r.__orphan_root",
        "'it must point to a record that does not move: ' || r.__orphan_root", "error",
    )  # fmt: skip
    return (
        f"CASE {_action()} WHEN {literal(Action.KEY_CONFLICT.value)} THEN CAST([{key}] AS {columns.ISSUES_TYPE})"
        f" WHEN {literal(Action.ORPHANED.value)} THEN CAST([{orphan}] AS {columns.ISSUES_TYPE}) ELSE r.__notes END"
    )
