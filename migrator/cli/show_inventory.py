"""How the inventory is shown on a terminal: what a scan found, lines of the register, one component, integrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from migrator.commands.inventory import ScanReport
from migrator.commands.inventory_integrations import Integrations
from migrator.commands.inventory_register import Entered, Register
from migrator.inventory.register import Operation, Row
from migrator.inventory.rules import Decision
from migrator.inventory.usage import values_told

_MOST = 12
_LOOKS = {
    Decision.KEEP: "green", Decision.OPTIMISE: "yellow", Decision.RETIRE: "red", Decision.BUILD: "magenta",
    Decision.MERGE: "yellow", Decision.DEFER: "cyan", Decision.ARCHIVE: "cyan", Decision.UNDECIDED: "dim",
}  # fmt: skip


def scanned(found: ScanReport, console: Console) -> None:
    """What a scan found, and where every file went."""
    table = Table("kind", "components", box=None, header_style="bold")
    table.columns[1].justify = "right"
    for kind, count in found.kinds.items():
        table.add_row(kind, f"{count:,}")
    console.print(table)
    account = found.account
    console.print(
        f"{found.system}: {account.files:,} files = {account.in_components:,} in {found.components:,} components"
        f" + {len(account.not_understood):,} not understood; use measured of {found.measured:,} fields",
        highlight=False,
    )
    for one in account.not_understood[:_MOST]:
        look = "red" if one.refers else "dim"
        console.print(
            f"[{look}]  {escape(one.file)}: {escape(one.reason)}[/]", highlight=False, soft_wrap=True
        )
    _more(len(account.not_understood), console)
    if account.blind:
        console.print(
            f"[yellow]{len(account.blind):,} files of metadata could not be read: what they mention is not known, so"
            " nothing is proposed for retirement because nobody mentions it[/]",
            soft_wrap=True,
        )
    if found.drift is not None:
        changed = found.drift
        console.print(
            f"since the scan before: {len(changed.added):,} new, {len(changed.changed):,} changed,"
            f" {len(changed.vanished):,} vanished",
            highlight=False,
        )
        for word, ids in (
            ("new", changed.added),
            ("changed", changed.changed),
            ("vanished", changed.vanished),
        ):
            for name in ids[:_MOST]:
                console.print(f"[dim]  {word}: {escape(name)}[/]", highlight=False, soft_wrap=True)
            _more(len(ids), console)
    for note in found.notes:
        console.print(f"[dim]{escape(note)}[/]", highlight=False, soft_wrap=True)


def _more(count: int, console: Console) -> None:
    if count > _MOST:
        console.print(f"[dim]  and {count - _MOST:,} more (--json has them)[/]", highlight=False)


def listed(register: Register, rows: Sequence[Row], limit: int, console: Console) -> None:
    """Lines of the register."""
    table = Table("component", "state", "use", "proposed", "decision", box=None, header_style="bold")
    for row in rows[:limit]:
        decided = row.decision
        said = f"{decided.value} ({row.decided_by})" if row.decided_by else ""
        table.add_row(
            escape(row.item.id), row.item.component.state.value, escape(str(row.evidence.because)),
            f"[{_LOOKS[row.proposal.decision]}]{row.proposal.decision.value}[/] [dim]{row.proposal.rule}[/]",
            f"[{_LOOKS[decided]}]{escape(said)}[/]",
        )  # fmt: skip
    console.print(table)
    counts = Counter(row.decision.value for row in rows)
    told = ", ".join(f"{count:,} {word}" for word, count in counts.most_common())
    console.print(f"{min(limit, len(rows)):,} of {len(rows):,} components: {told or 'none'}", highlight=False)
    _notes(register, console)


def _notes(register: Register, console: Console) -> None:
    for note in register.notes:
        console.print(f"[yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)
    if register.gone:
        console.print(
            f"[yellow]{len(register.gone):,} components that people decided about are no longer there:"
            f" {escape(', '.join(register.gone[:5]))}[/]",
            highlight=False, soft_wrap=True,
        )  # fmt: skip


def shown(row: Row, console: Console) -> None:
    """Everything about one component."""
    part, usage = row.item.component, row.evidence.usage
    console.print(f"[bold]{escape(row.item.id)}[/]", highlight=False)
    lines = [
        ("what", f"{part.kind.value}, {part.state.value}" + (", managed" if part.managed else "")),
        ("label", part.label),
        ("where", f"{part.file}:{part.line}" if part.file else ""),
        ("step", row.capability),
        ("runs at", ", ".join(part.fires)),
        ("size", ", ".join(f"{name} {count}" for name, count in part.size.items())),
        ("use", f"{row.evidence.use.value}: {row.evidence.because}"),
        ("segments", "; ".join(f"{one.by} {one.value or '–'} {one.filled:,}/{one.rows:,}" for one in usage.segments[:8]) if usage else ""),
        ("values", "; ".join(values_told(usage)) if usage else ""),
        ("newest", f"{usage.newest} ({usage.newest_by})" if usage and usage.newest else ""),
        ("used by", f"{row.item.used_by_count}: " + ", ".join(f"{one.id}{'' if one.sure else ' (perhaps)'}" for one in row.item.used_by[:8]) if row.item.used_by else ""),
        ("uses", f"{row.item.uses_count}: " + ", ".join(one.id for one in row.item.uses[:8]) if row.item.uses else ""),
        ("hard-coded", ", ".join(f"{one.text} ({one.place})" for one in row.item.literals[:8])),
        ("access", f"named by {row.access} profiles, permission sets or roles" if row.access else ""),
        ("marks", ", ".join(f"{name} {text}" for name, text in part.marks.items())),
        ("findings", "; ".join(part.findings)),
        ("legacy", part.legacy),
        ("losses", "; ".join(row.losses)),
        ("protection", row.protection_gap),
        ("counterpart", f"{row.counterpart.coverage.value} {row.counterpart.name} {row.counterpart.differences} {row.counterpart.method}".strip()),
        ("proposed", f"{row.proposal.decision.value} by rule {row.proposal.rule}: {row.proposal.reason}"),
        ("decision", f"{row.decision.value} by {row.decided_by} on {row.decided_on}" if row.decided_by else "nobody decided yet"),
        *((name, text) for name, text in row.answers.items() if name != "decision"),
    ]  # fmt: skip
    table = Table.grid(padding=(0, 2))
    for name, text in lines:
        if text:
            table.add_row(f"[dim]{escape(name)}[/]", escape(text))
    console.print(table)
    for one in row.history:
        told = "; ".join(f"{name} = {text or '(taken back)'}" for name, text in one.changes.items())
        console.print(
            f"[dim]{one.at:%Y-%m-%d %H:%M} {escape(one.who)} ({one.way}): {escape(told)}[/]",
            highlight=False,
            soft_wrap=True,
        )


def entered(done: Entered, console: Console) -> None:
    """What was put on record."""
    console.print(f"{len(done.rows):,} on record, {done.unchanged:,} stood so already", highlight=False)
    for text in done.warnings:
        console.print(f"[yellow]{escape(text)}[/]", highlight=False, soft_wrap=True)


def integrations(found: Integrations, console: Console) -> None:
    """The register of integrations."""
    table = Table(
        "integration",
        "partner",
        "way",
        "through",
        "endpoint",
        "moves",
        "becomes",
        box=None,
        header_style="bold",
    )
    for one in found.found:
        said = found.answers.get(one.item.id, {})
        table.add_row(
            escape(one.item.id), escape(f"{said.get('partner') or one.partner or '?'} ({said.get('partner_kind') or one.partner_kind})"),
            one.direction, escape(one.protocol), escape(", ".join(one.endpoints[:2])), str(len(one.moves)),
            escape(said.get("target_design", "undecided")),
        )  # fmt: skip
    console.print(table)
    console.print(
        f"{len(found.found):,} integrations, {len(found.steps):,} work today and need a step", highlight=False
    )


def operations(found: Sequence[Operation], console: Console) -> None:
    """Old and new, for the handbook."""
    table = Table("step", "today", "in the new system", "note", box=None, header_style="bold")
    for one in found:
        table.add_row(one.capability, escape(one.old), escape(one.new), escape(one.note))
    console.print(table)
