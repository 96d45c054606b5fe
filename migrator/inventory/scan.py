"""One look at a system: all its components with their links, and the account of files, which always closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from migrator.core.components import (
    Component,
    ComponentKind,
    ComponentState,
    MetadataReader,
    NotUnderstood,
)
from migrator.core.fingerprint import fingerprint
from migrator.core.progress import Progress
from migrator.core.schema import FieldSchema, ObjectSchema
from migrator.inventory.links import Links, links
from migrator.inventory.oddities import Whole
from migrator.inventory.words import Literal, Mentions, address, mentions

NOTHING = Mentions(frozenset(), ())
SHOWN_LINKS, SHOWN_PERHAPS = 200, 20
"""Links of one component to those of one kind that are kept by name, sure ones and others; all are counted."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A component that mentions another, or is mentioned."""

    id: str
    kind: ComponentKind
    active: bool
    sure: bool
    """Named so that nothing else can be meant; False: it may be."""


@dataclass(frozen=True, slots=True)
class Item:
    """A component with what the rest of the system says of it."""

    id: str
    """'SYSTEM/TYPE/NAME': stable from scan to scan."""
    component: Component
    used_by: tuple[Reference, ...] = ()
    uses: tuple[Reference, ...] = ()
    used_by_count: int = 0
    uses_count: int = 0
    literals: tuple[Literal, ...] = ()

    @property
    def digest(self) -> str:
        """Of what it does: where it is written does not count."""
        item = self.component
        calls = [(call.direction.value, call.protocol, call.endpoint, call.trigger) for call in item.calls]
        return fingerprint(
            item.kind.value, item.state.value, item.label, dict(item.size), dict(item.facts), item.fires,
            dict(item.marks), calls, item.unread, sorted(one.text for one in self.literals),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """Where every file of the tree went: `files` = `in_components` + `not_understood`."""

    files: int
    in_components: int
    not_understood: tuple[NotUnderstood, ...]
    unaccounted: tuple[str, ...] = ()
    """Files that a reader forgot or counted twice: a fault of the reader, told and never hidden."""

    @property
    def closes(self) -> bool:
        """Whether the count closes."""
        return not self.unaccounted and self.files == self.in_components + len(self.not_understood)

    @property
    def blind(self) -> tuple[str, ...]:
        """Metadata that could not be read: what it refers to is not known."""
        return tuple(item.file for item in self.not_understood if item.refers)


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything found in one system."""

    system: str
    items: tuple[Item, ...]
    account: Account
    notes: tuple[str, ...] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Kind → components."""


def scan(
    reader: MetadataReader, path: Path, system: str, progress: Progress, data: Iterable[Component] = ()
) -> Scan:
    """Read a tree. `data` are fields that the records of the system have, whether or not the tree describes them."""
    listed = reader.files(path)
    progress.start("scan", system, len(listed))
    components: list[Component] = []
    mentioned: list[Mentions] = []
    unclear: list[NotUnderstood] = []
    for found in reader.read(path):
        if isinstance(found, NotUnderstood):
            unclear.append(found)
            progress.advance("scan", system, 1)
        else:
            components.append(_without_secrets(found.component))
            mentioned.append(mentions(found, reader.ids))
            progress.advance("scan", system, len(found.component.files))
    known = {(item.owner.lower(), item.name.lower()) for item in components}
    for item in data:
        if (item.owner.lower(), item.name.lower()) not in known:
            components.append(item)
            mentioned.append(NOTHING)
    account = _account(listed, components, unclear)
    done = _scan(system, components, mentioned, account)
    progress.done("scan", system, f"{len(done.items):,} components in {len(listed):,} files")
    return done


def _without_secrets(item: Component) -> Component:
    """Addresses lose users, passwords and queries before anybody sees them."""
    if not any("://" in call.endpoint for call in item.calls):
        return item
    calls = (replace(call, endpoint=address(call.endpoint)) for call in item.calls)
    return replace(item, calls=tuple(calls))


def scan_schemas(system: str, schemas: Sequence[ObjectSchema]) -> Scan:
    """What a live system or an export says of its objects and fields: a smaller inventory, without automation."""
    components = [part for schema in schemas for part in described(schema)]
    found = _scan(system, components, [NOTHING] * len(components), Account(0, 0, ()))
    note = "described objects and fields only: automation, rules, access and integrations were not looked at"
    return replace(found, notes=(note,))


def described(schema: ObjectSchema) -> Iterable[Component]:
    """An object and its fields, from a schema."""
    yield Component(
        "Object", schema.name, ComponentKind.OBJECT, "", label=schema.label, managed=None,
        size={"fields": len(schema.fields)}, facts={"seen in": "schema"},
    )  # fmt: skip
    for item in schema.fields:
        yield described_field(schema.name, item)


def described_field(owner: str, item: FieldSchema) -> Component:
    """A field, from a schema."""
    facts = {"type": item.type.value, "seen in": "schema"}
    if item.length:
        facts["length"] = str(item.length)
    if item.required:
        facts["required"] = "true"
    if item.read_only:
        facts["read_only"] = "true"
    if item.references:
        facts["references"] = ", ".join(item.references)
    return Component(
        "Field", f"{owner}.{item.name}", ComponentKind.FIELD, "", label=item.label, owner=owner, managed=None,
        facts=facts, size={"values": len(item.values)} if item.values else {},
        marks={"personal": item.pii} if item.pii else {},
    )  # fmt: skip


def _account(
    listed: Sequence[str], components: Iterable[Component], unclear: Sequence[NotUnderstood]
) -> Account:
    held = {file for item in components for file in item.files}
    outside = [item.file for item in unclear]
    twice = held.intersection(outside) | {file for file, count in Counter(outside).items() if count > 1}
    lost = set(listed).symmetric_difference(held.union(outside))
    return Account(len(listed), len(held), tuple(unclear), tuple(sorted(twice | lost)))


def _scan(system: str, components: Sequence[Component], mentioned: list[Mentions], account: Account) -> Scan:
    """Takes what was mentioned out of its list: words are many, and after the links nobody needs them."""
    ids = _ids(system, components)
    found = links(components, mentioned)
    literals = [said.literals for said in mentioned]
    mentioned.clear()
    whole = Whole(components)
    components = [_looked_at(number, components, found, whole) for number in range(len(components))]
    named = _References(ids, components, found)
    items = tuple(named.item(number, literals[number]) for number in range(len(components)))
    kinds = Counter(item.kind.value for item in components)
    return Scan(system, items, account, kinds=dict(sorted(kinds.items())))


def _looked_at(number: int, components: Sequence[Component], found: Links, whole: Whole) -> Component:
    """A component with what is odd about it among the others."""
    item = components[number]
    odd = tuple(whole.of(item, [components[other] for other in found.used_by.get(number, ())]))
    return replace(item, findings=(*item.findings, *odd)) if odd else item


def _ids(system: str, components: Sequence[Component]) -> list[str]:
    """One id each; what a reader names twice is kept apart, never folded."""
    seen: Counter[str] = Counter()
    ids = []
    for item in components:
        plain = f"{system}/{item.type}/{item.name}"
        seen[plain.lower()] += 1
        number = seen[plain.lower()]
        ids.append(plain if number == 1 else f"{plain} ({number})")
    return ids


class _References:
    """One reference to each component, shared by all that mention it: there are millions of mentions."""

    def __init__(self, ids: Sequence[str], components: Sequence[Component], found: Links) -> None:
        self._ids = ids
        self._components = components
        self._found = found
        self._made: dict[tuple[int, bool], Reference] = {}
        self._loose: dict[str, tuple[Reference, ...]] = {}

    def item(self, number: int, literals: tuple[Literal, ...]) -> Item:
        """A component with what it mentions and what mentions it."""
        part = self._components[number]
        used_by, uses = self._found.used_by.get(number, {}), self._found.uses.get(number, {})
        short = part.name.lower()[len(part.owner) + 1 :] if part.owner else ""
        loose = self._found.loose.get(short, ())
        perhaps = sum(1 for other in loose if other not in used_by and other != number)
        shown = self._of(used_by)
        if perhaps:
            known = {one.id for one in shown} | {self._ids[number]}
            shown = (*shown, *(one for one in self._all_loose(short) if one.id not in known))
        return Item(
            self._ids[number], part, shown, self._of(uses), len(used_by) + perhaps, len(uses), literals
        )

    def _all_loose(self, short: str) -> tuple[Reference, ...]:
        if short not in self._loose:
            self._loose[short] = self._of(dict.fromkeys(self._found.loose[short], False))
        return self._loose[short]

    def _of(self, numbers: Mapping[int, bool]) -> tuple[Reference, ...]:
        """The sure and the active ones first; so many of each kind that no kind, and nothing active, is hidden by others."""
        shown: Counter[tuple[ComponentKind, bool]] = Counter()
        kept = []
        found = [self._reference(number, sure) for number, sure in numbers.items()]
        for one in sorted(found, key=lambda one: (not one.sure, not one.active, one.id)):
            shown[one.kind, one.sure] += 1
            if shown[one.kind, one.sure] <= (SHOWN_LINKS if one.sure else SHOWN_PERHAPS):
                kept.append(one)
        return tuple(kept)

    def _reference(self, number: int, sure: bool) -> Reference:
        known = self._made.get((number, sure))
        if known is None:
            item = self._components[number]
            active = item.state in (ComponentState.ACTIVE, ComponentState.UNKNOWN)
            known = self._made[number, sure] = Reference(self._ids[number], item.kind, active, sure)
        return known
