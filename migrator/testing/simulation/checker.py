"""The checker: knows what users did and the histories of both systems, sees each write of the sync, and names broken invariants.

It never reads the state that the sync decides from. Of the sync's own records it reads the three that people go by: the
conflict log (a value that is overwritten must stand there first), the list of intents (a write must have one), and the
list of what waits for a person (which it also bounds: a sync that holds everything must not pass).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from migrator.core.twoway import Evidence, EvidenceKind
from migrator.testing.simulation.agreement import Judge
from migrator.testing.simulation.crm import Row
from migrator.testing.simulation.groups import Groups, Node
from migrator.testing.simulation.history import Actor, Deed, Event, Held
from migrator.testing.simulation.shape import NEW, OLD, Pair, Shape, Value, other, partner_of, same, shape_of
from migrator.testing.simulation.world import World

CARRIED = frozenset({Actor.SYNC, Actor.LOAD})
"""Values that came from the other side."""
NOBODYS = CARRIED | {Actor.REACTION}
"""Values that are no loss to anybody: what the system makes of a write of the sync may be taken as base (section 7.4)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant."""

    invariant: str
    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} on night {self.at / 86_400:.3f}: {self.text}"


class Witness(Protocol):
    """The records of the sync that people go by; what is committed, read anew at each question."""

    def logged(self, side: str, field: str, value: Value) -> bool:
        """Whether the conflict log has this value of this field (name on the new side)."""
        ...

    def intended(self, side: str, id_: str, key: str) -> bool:
        """Whether an intent is committed for this record, or for a create with this key."""
        ...

    def intents(self) -> frozenset[str]:
        """Ids of records, and keys of creates, for which an intent is committed."""
        ...

    def listed(self) -> Mapping[Node, tuple[str, ...]]:
        """What waits for a person or a later run: record -> reasons, with the field where it is one field's."""
        ...

    def returned(self) -> Iterable[Node]:
        """Records of groups that wait because one of theirs is said to have come back."""
        ...

    def approved(self, object_name: str) -> bool:
        """Whether a person lifted the brake of an object for this run."""
        ...

    def is_rebuilt(self) -> bool:
        """Whether a run went through to its end since the store was lost, and a person has not let it count again yet."""
        ...


@dataclass(slots=True)
class Checker:
    """See `migrator.testing.simulation.side.Watcher`; `witness` is set once the sync exists."""

    world: World
    groups: Groups = field(default_factory=Groups)
    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    witness: Witness | None = None
    started: float = 0.0
    """When the present run began."""
    _unsure: set[Node] = field(default_factory=set)
    _latest: list[tuple[str, str, str]] = field(default_factory=list)
    """Side, id and field of what this run wrote."""
    touched: set[str] = field(default_factory=set)
    """Ids of records with a lasting reason to wait: poisoned, of a drifted object, of a lost store. Hidden ones must heal."""
    _seen: int = 0
    _proven: dict[Node, float] = field(default_factory=dict)
    """Record -> when its end was first proved to the sync."""
    _merged: dict[Node, float] = field(default_factory=dict)
    """Record -> when the sync was last told that it was merged away."""
    _forgotten: set[Node] = field(default_factory=set)
    """Merged records of which the sync lost what it was told, with its store, and was not told again."""
    _reads: dict[Node, list[float]] = field(default_factory=dict)
    _written: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """Side, id, field -> start of the run that last wrote it."""
    _sent: dict[tuple[str, str, str], tuple[float, Value]] = field(default_factory=dict)
    """When and what it wrote last, which is not always what the system made of it."""
    _begun: dict[Node, Mapping[str, Value]] = field(default_factory=dict)
    """By side and partner: what a create was sent."""
    _deleted: Counter[str] = field(default_factory=Counter)
    _made: dict[Node, str] = field(default_factory=dict)
    """Records that this run created, and the key that each was given."""
    _untold: set[Node] = field(default_factory=set)
    """Records created by the sync that it was never told of: the answer was lost, or it died before it wrote it down."""
    _on_its_way: frozenset[str] = frozenset()
    """What a process had an intent for when it was suspended: its call may have been on its way, and another one settled them."""

    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(self.world, self.groups)
        for _, old, new in self.world.links:
            self.groups.join((OLD, old), (NEW, new), 0.0)

    # ---- a run begins and ends

    def begin(self) -> None:
        """A run begins."""
        self.started = self.world.now
        self._deleted.clear()
        self._latest.clear()
        self._made.clear()
        self._on_its_way = frozenset()

    def end(self, *, green: bool) -> None:
        """A run ended by itself; green means that nothing was left out."""
        if green and (waiting := self._witness.listed()):
            self.broken("I13", f"green, though {len(waiting)} records wait: {next(iter(waiting.items()))}")

    def broken(self, invariant: str, text: str) -> None:
        """Note a violation."""
        self.violations.append(Violation(invariant, self.world.now, text))

    # ---- what the sync was shown

    def proven(self, side: str, given: Iterable[Evidence]) -> None:
        """Evidence was given."""
        for each in given:
            self._proven.setdefault((side, each.id), self.world.now)
            if each.kind is EvidenceKind.MERGED:
                self._merged[side, each.id] = self.world.now
                self._forgotten.discard((side, each.id))

    def read(self, side: str, ids: Iterable[str]) -> None:
        """Rows were given."""
        for id_ in ids:
            self._reads.setdefault((side, id_), []).append(self.world.now)

    def unanswered(self, side: str, ids: Iterable[str]) -> None:
        """What became of these writes the sync must find out; where the system stores another value, it may have to write again."""
        self.catch_up()
        nodes = [(side, id_) for id_ in ids]
        self._unsure.update(nodes)
        self._untold.update(node for node in nodes if node in self._made)

    def lost(self, kept: float) -> None:
        """The store is put back as it was at `kept`: merges that were told since are known to nobody.

        After a loss the sync "rebuilds the crosswalk from the external keys" (section 16): a merge leaves none.
        """
        after = [node for node, at in self._merged.items() if at > kept]
        for node in after:
            del self._merged[node]
        self._forgotten.update(after)

    def known_groups(self, group: list[Node]) -> list[list[Node]]:
        """A group, parted where nothing ties its records but a merge that was forgotten with a lost store."""
        found: list[list[Node]] = []
        left = dict.fromkeys(group)
        while left:
            near = self.groups.reached(
                next(iter(left)), lambda merge: (merge.side, merge.id) not in self._forgotten
            )
            found.append([node for node in left if node in near])
            left = {node: None for node in left if node not in near}
        return found

    def killed(self) -> None:
        """The run died: what it wrote last it may not know."""
        self.catch_up()
        self._unsure.update((side, id_) for side, id_, _ in self._latest)
        made = self._made.items()
        self._untold.update(node for node, key in made if self._witness.intended(node[0], "", key))

    def suspended(self) -> None:
        """Another process takes over: what this one has not written down by now nobody ever hears from it.

        "Every remote write has a committed intent" (section 16): the call that it was about to send had one.
        """
        self.killed()
        self._on_its_way = self._witness.intents()

    # ---- what the sync writes

    def _is_intended(self, side: str, id_: str, key: str) -> bool:
        return self._witness.intended(side, id_, key) or (key or id_) in self._on_its_way

    def creating(self, side: str, object_name: str, key: str, values: Mapping[str, Value]) -> None:
        """I5, I7, I2 of a create, and that it was recorded first."""
        self.catch_up()
        self.counts["creates"] += 1
        source = (other(side), str(partner_of(key)))
        self._begun[source] = values
        what = f"{side} {object_name} for {source[1]}"
        shape = shape_of(side, object_name)
        if not self._is_intended(side, "", key):
            self.broken("I11", f"create of {what} without an intent")
        known = self._told_partners(side, source)
        live = [node for node in known if self._alive(node)]
        if live:
            self.broken("I5", f"create of {what}, but {live[0][1]} is there already")
        self._check_resurrection(known, source, what)
        for name, value in values.items():
            pair = shape.pair(side, name)
            if (
                pair is not None
                and value is not None
                and not self._comes_from(pair, side, value, [source], 0.0)
            ):
                self.broken("I2", f"create of {what}: {name}={value!r} was never entered there")

    def _told_partners(self, side: str, source: Node) -> list[Node]:
        """Partners of a record, dead ones too: what load, keys and merges tie it to that are told."""
        told = self.groups.reached(source, self._is_told)
        return [node for node in self.groups.members(source) if node[0] == side and node in told]

    def _is_undone(self, merge: Event) -> bool:
        """Whether a user took the loser out of the bin again: an event of its own (section 8), and it ties nobody any more."""
        return any(
            event.deed is Deed.UNDELETE and event.at >= merge.at
            for event in self._life((merge.side, merge.id))
        )

    def _merges(self, node: Node) -> list[Event]:
        """Merges that the record came out of, or went into."""
        of_group = [event for each in self.groups.members(node) for event in self._life(each)]
        return [
            event for event in of_group if event.deed is Deed.MERGE and node[1] in (event.id, *event.named)
        ]

    def _is_told(self, merge: Event) -> bool:
        """Whether the sync was shown a merge, or would be if it asked.

        What a system forgot before it ever showed it is known to those alone who did it (that it told of an earlier end of the
        same record says nothing of this one), and so is what its bin does not list
        yet: each adapter declares its "index lag" (section 19), and what is asked for meanwhile is not among the answers. Nor can anybody know what users merged
        in this very run: a write "states a precondition wherever the platform accepts one" (11.2), and a merge does not move
        its master's version.
        """
        crm = self.world.crms[merge.side]
        oldest = crm.clock - crm.traits.bin_memory
        kept = any(
            proof.id == merge.id and proof.stamp >= oldest and proof.visible <= self.world.now
            for proof in crm.proofs[merge.object]
        )
        return self._merged.get((merge.side, merge.id), -1.0) >= merge.at or (
            kept and merge.at < self.started
        )

    def _names(self, one: Node, two: Node) -> bool:
        """Whether a record carries another one's key."""
        row = self.world.crms[one[0]].rows.get(one[1])
        return row is not None and partner_of(row.values[shape_of(one[0], row.object).key(one[0])]) == two[1]

    def _check_resurrection(self, known: list[Node], source: Node, what: str) -> None:
        heard = [node for node in known if not self._is_unheard_of(node)]
        ended = [event for node in heard for event in self.world.history.deletions(*node)]
        # also of a record that was merged into the source: its return is the undelete event that I7 asks for
        kin = [each for each in self.groups.members(source) if each[0] == source[0]]
        returned = any(event.deed is Deed.UNDELETE for each in kin for event in self._life(each))
        if ended and ended[-1].deed is not Deed.UNDELETE and not returned:
            self.broken("I7", f"create of {what}, whose partner {ended[-1].id} was deleted")
        if source[1] not in self.world.crms[source[0]].rows:
            self.broken("I2", f"create of {what}, which never existed")
        elif not self._alive(source) and self._ended_at(source) < self.started:
            self.broken("I7", f"create of {what}, which was deleted before this run")

    def _is_unheard_of(self, node: Node) -> bool:
        """Whether the sync could never learn that it made a record: no answer came, and nothing it was shown since had it.

        "An id with a tombstone never becomes live again" (I7): this one never had any. "Search by key; if absent, insert with
        the key" (7.3). That some record of that id was deleted says nothing of whose partner it was: a proof names no key.
        """
        return node in self._untold and node not in self._reads

    def updating(self, side: str, row: Row, values: Mapping[str, Value]) -> None:
        """I1, I2, I4 and S16 of an update, and that it was recorded first."""
        self.catch_up()
        self.counts["updates"] += 1
        shape, node = shape_of(side, row.object), (side, row.id)
        if not self._is_intended(side, row.id, ""):
            self.broken("I11", f"update of {side} {row.id} without an intent")
        for name, value in values.items():
            pair = shape.pair(side, name)
            if pair is None:
                self._check_key(side, shape, row, name, value)
                continue
            self.counts["fields"] += 1
            self._check_write(pair, node, row, value)
            self._written[side, row.id, name] = self.started
            self._sent[side, row.id, name] = self.world.now, value
            self._latest.append((side, row.id, name))
        self._unsure.discard(node)

    def _check_write(self, pair: Pair, node: Node, row: Row, value: Value) -> None:
        side, name = node[0], pair.name(node[0])
        present = row.values[name]
        what = f"{side} {row.object} {row.id}.{name}: {present!r} -> {value!r}"
        if pair.direction == ("forward" if side == OLD else "reverse"):
            self.broken("I2", f"{what}: the field does not flow that way")
        if pair.consent and present is True and value is not True:
            self.broken("S16", what)
        partners = self.groups.partners(node)
        known = self._comes_from(pair, side, value, partners, self.started)
        if not known and not self._is_union(pair, node, value):
            self.broken("I14" if value is None else "I2", f"{what}: no partner had it during this run")
        if present != value:
            self._check_loss("I1", pair, node, what)
        self._check_provoked(pair, node, what)

    def _check_loss(self, invariant: str, pair: Pair, node: Node, what: str) -> None:
        """A value that somebody entered must be across already, or in the conflict log."""
        side = node[0]
        entered = self.world.history.entered(side, node[1], pair.name(side))
        if entered is None or entered.actor in NOBODYS or self._is_known(pair, node, entered):
            return
        if self.is_back(pair, node, entered):
            return
        if self._witness.logged(side, pair.new, entered.value):
            self.counts["logged"] += 1
        elif self._is_unguarded(pair, side) and entered.since > self._reads.get(node, [0.0])[-1]:
            self.counts["raced"] += 1
        else:
            self.broken(
                invariant,
                f"{what}: {entered.value!r} is lost, entered by {entered.actor} {self.world.now - entered.since:.0f} s ago",
            )

    def _is_unguarded(self, pair: Pair, side: str) -> bool:
        """Whether no precondition tells that the value changed since it was read: formula fields move no version (section 19)."""
        return self.world.crms[side].traits.cas != "exact" or (pair.silent and side == OLD)

    def _is_known(self, pair: Pair, node: Node, entered: Held) -> bool:
        return any(
            self.judge.agrees(pair, node, entered.value, partner, held.value)
            for partner in self.groups.partners(node)
            for held in self.world.history.held(partner[0], partner[1], pair.name(partner[0]), entered.since)
        )

    def is_back(self, pair: Pair, node: Node, entered: Held) -> bool:
        """Of the present value: whether the value is the last carried one again, and nothing in between was carried: then nothing changed.

        "Equivalence per type" (2.4) says whether it is the same one, for a set in whatever order.
        """
        line = self.world.history.lines[node][pair.name(node[0])]
        for held, after in zip(reversed(line[:-1]), reversed(line[1:]), strict=True):
            seen = any(held.since <= moment < after.since for moment in self._reads.get(node, ()))
            if held.actor in CARRIED or (seen and self._was_carried(pair, node, held, after.since)):
                return same(pair, held.value, entered.value)
        return False

    def _was_carried(self, pair: Pair, node: Node, entered: Held, until: float) -> bool:
        """Whether a partner had the value from the sync, or the sync saw it there, before it was replaced."""
        for partner in self.groups.partners(node):
            seen = [moment for moment in self._reads.get(partner, ()) if entered.since <= moment < until]
            for held in self.world.history.held(partner[0], partner[1], pair.name(partner[0]), entered.since):
                if held.value is None and entered.value is not None:
                    continue  # a link that names nobody over there agrees with none, and is carried when it has a partner
                told = held.actor is Actor.SYNC or any(moment >= held.since for moment in seen)
                if told and self.judge.agrees(pair, node, entered.value, partner, held.value):
                    return True
        return False

    def _comes_from(self, pair: Pair, side: str, value: Value, partners: list[Node], since: float) -> bool:
        """Whether a partner had, since then, a value that becomes this one."""
        return any(
            self.judge.becomes(pair, partner, held.value, side, value)
            for partner in partners
            for held in self.world.history.held(partner[0], partner[1], pair.name(partner[0]), since)
        )

    def _is_union(self, pair: Pair, node: Node, value: Value) -> bool:
        """Whether a merge of this record's value with a partner's may have given it."""
        if pair.policy != "merge:union":
            return False
        all_ = [
            _items(held.value)
            for member in self.groups.members(node)
            for held in self.world.history.held(member[0], member[1], pair.name(member[0]), self.started)
        ]
        return _items(value) <= set().union(*all_)

    def _check_provoked(self, pair: Pair, node: Node, what: str) -> None:
        """Somebody must have changed the field, or the group, since the sync last wrote it."""
        last = self._written.get((node[0], node[1], pair.name(node[0])), 0.0)
        if (
            node[1] in self._on_its_way
            or node in self._unsure
            or (self.groups.changed(node) >= last and self.groups.changed(node) > 0)
        ):
            return
        for member in self.groups.members(node):
            if self._proven.get(member, -1.0) >= last > 0 or self._is_kept_otherwise(pair, member, last):
                return
            line = self.world.history.lines.get(member, {}).get(pair.name(member[0]), [])
            if any(held.since >= last and held.actor not in CARRIED for held in reversed(line)):
                return
        several = len([each for each in self.groups.members(node) if each[0] == OLD]) > 1
        self.broken("I16" if several else "I4", f"{what}: nobody changed it since it was last written")

    def _is_kept_otherwise(self, pair: Pair, node: Node, last: float) -> bool:
        """Whether a system made something else of what it was sent since then, and told nobody.

        "The base of the written side comes from the write's own response (post-image and version). Anything read back later
        counts as base only if it carries exactly that version" (11.3): where a write is answered with neither, or its answer
        is lost, nobody can tell it from an edit, and it goes the way of one, once.
        """
        side, name = node[0], pair.name(node[0])
        at, sent = self._sent.get((side, node[1], name), (-1.0, None))
        now = self.world.history.entered(side, node[1], name)
        if now is None or (self.world.crms[side].traits.post_image and node not in self._unsure):
            return False
        return last <= at and now.since <= at and now.value != sent

    def _check_key(self, side: str, shape: Shape, row: Row, name: str, value: Value) -> None:
        node, named = (side, row.id), (other(side), str(partner_of(value)))
        if name != shape.key(side):
            self.broken("I2", f"{side} {row.id}.{name} is not mapped")
        elif self.groups.together(node, named):
            self.groups.tie(node, named)
        else:
            self.groups.join(node, named, self.world.now)
            self.broken("I5", f"{side} {row.id} gets the key of {value}, which it does not belong to")

    def deleting(self, side: str, row: Row) -> None:
        """I6, I1 and I18 of a delete, and that it was recorded first."""
        self.catch_up()
        self.counts["deletes"] += 1
        node = (side, row.id)
        what = f"delete of {side} {row.object} {row.id}"
        if not self._is_intended(side, row.id, ""):
            self.broken("I11", f"{what} without an intent")
        self._check_proof(node, what)
        for pair in shape_of(side, row.object).pairs:
            if pair.direction != ("forward" if side == NEW else "reverse") and not pair.consent:
                self._check_loss("I1", pair, node, f"{what} with its {pair.name(side)}")
        self._count_delete(side, row.object)

    def _check_proof(self, node: Node, what: str) -> None:
        """I6. The partner of a record that was merged away may go too, as long as the group keeps one on that side."""
        partners = self._told_partners(other(node[0]), node)
        proven = [each for each in partners if each in self._proven and self._ended_by_user(each)]
        if not proven:
            self.broken("I6", f"{what}: no proof that a user deleted {[each[1] for each in partners]}")
            return
        living = [each for each in partners if self._alive(each) and self._born(each) < self.started]
        if any(self._is_undone(event) for event in self._merges(node)):
            living = [each for each in living if self._names(each, node) or self._names(node, each)]
        merged = any(event.deed is Deed.MERGE for each in proven for event in self._life(each)[-1:])
        kept = any(each[0] == node[0] and self._alive(each) for each in self.groups.partners(node))
        if living and not (merged and kept):
            self.broken("I6", f"{what}, but {living[0][1]} lives")

    def _count_delete(self, side: str, object_name: str) -> None:
        self._deleted[f"{side} {object_name}"] += 1
        live = sum(1 for _ in self.world.crms[side].live(object_name))
        limit = max(20.0, 0.005 * live)
        if self._deleted[f"{side} {object_name}"] > limit and not self._witness.approved(object_name):
            self.broken("I18", f"more than {limit:.0f} deletes of {side} {object_name} in one run")

    def dangling(self, side: str, object_name: str, field: str, value: Value) -> None:
        """I17: a write named an id that was never there, or whose end the sync had proof of before this run."""
        node = (side, str(value))
        unknown = node[1] not in self.world.crms[side].rows
        if unknown or (node in self._proven and self._ended_at(node) < self.started):
            self.broken("I17", f"{side} {object_name}.{field} = {value!r}, which is not live there")
        self.counts["dangling"] += 1

    # ---- what the checker knows of records

    @property
    def _witness(self) -> Witness:
        assert self.witness is not None, "no sync to be watched"  # noqa: S101 (set before the first run)
        return self.witness

    def catch_up(self) -> None:
        """Follow the histories: creates by key join groups, so do merges."""
        events = self.world.history.events
        while self._seen < len(events):
            self._follow(events[self._seen])
            self._seen += 1

    def _follow(self, event: Event) -> None:
        node = (event.side, event.id)
        shape = shape_of(event.side, event.object)
        if event.deed is Deed.CREATE and event.actor is Actor.SYNC:
            source = (other(event.side), str(partner_of(event.after[shape.key(event.side)])))
            self.groups.join(node, source, event.at)
            self._made[node] = str(event.after[shape.key(event.side)])
            for name, value in self._begun.get(source, {}).items():
                self._sent[event.side, event.id, name] = event.at, value
        elif event.deed is Deed.MERGE:
            self.groups.join((event.side, event.named[0]), node, event.at, event)
        elif event.deed is Deed.UNDELETE:
            self.groups.formed[self.groups.root(node)] = event.at

    def created_by_user(self, node: Node) -> bool:
        """Whether a user made the record."""
        line = self.world.history.lines.get(node, {})
        return any(held[0].actor is Actor.USER for held in line.values())

    def has_cause(self, node: Node, asked: frozenset[Node] = frozenset()) -> bool:
        """Whether anything happened to the group that could make a person, or a later run, look at it."""
        members = self.groups.members(node)
        if any(self._life(member) or member[1] in self.touched for member in members):
            return True
        row = self.world.crms[node[0]].rows.get(node[1])
        if row is None:
            return False
        pairs = shape_of(node[0], row.object).pairs
        return any(self._contested(pair, members) for pair in pairs) or self._waits_for_other(
            members, asked | {*members}
        )

    def may_have_returned(self, node: Node) -> bool:
        """Whether a record of the group was undeleted, converted, or ended by anybody but a user, or named one that the sync deleted.

        What was only hidden never came back; a record that went with one of our deletes may do so.
        """
        members = self.groups.members(node)
        ends = [event for member in members for event in self._life(member)]
        named = [each for one in self._named(members) for each in self.groups.members(one)]
        return (
            any(member[1] in self.touched for member in members)
            or any(
                event.deed in {Deed.UNDELETE, Deed.CONVERT} or event.actor is not Actor.USER for event in ends
            )
            or any(event.actor is Actor.SYNC for each in named for event in self._life(each))
            or any(self._went_with_ours(event) for event in ends)
        )

    def _went_with_ours(self, end: Event) -> bool:
        """Whether it ended within a minute of a delete of the sync there, and may have gone with it as far as anybody can tell.

        "A delete propagates only on proof that a user deleted the record" (section 8). A delete begins before it takes effect.
        """
        return any(
            event.actor is Actor.SYNC and event.side == end.side and abs(end.at - event.at) <= 61
            for events in self.world.history.ends.values()
            for event in events
        )

    def _named(self, members: list[Node]) -> list[Node]:
        """Every record that one of them ever pointed to."""
        found: dict[Node, None] = {}
        for side, id_ in members:
            shape = shape_of(side, self.world.crms[side].rows[id_].object)
            line = self.world.history.lines.get((side, id_), {})
            for pair in shape.pairs:
                if pair.target:
                    found |= dict.fromkeys((side, str(held.value)) for held in line.get(pair.name(side), []))
        return list(found)

    def _waits_for_other(self, members: list[Node], asked: frozenset[Node]) -> bool:
        """Whether a record that one of them names has itself a reason to wait."""
        for side, id_ in members:
            row = self.world.crms[side].rows[id_]
            links = [pair.name(side) for pair in shape_of(side, row.object).pairs if pair.target]
            named = [(side, str(row.values[name])) for name in links if row.values[name]]
            if any(node not in asked and self.has_cause(node, asked) for node in named):
                return True
        return False

    def _contested(self, pair: Pair, members: list[Node]) -> bool:
        wrong = {"forward": NEW, "reverse": OLD}.get(pair.direction)
        changed = {
            member
            for member in members
            for held in self.world.history.lines.get(member, {}).get(pair.name(member[0]), [])
            if held.actor not in NOBODYS
        }
        return len(changed) > 1 or any(member[0] == wrong for member in changed)

    def formed(self, node: Node) -> float:
        """When its group last changed, as far as the sync could know: at the merge, or when it was told of it."""
        told = [self._proven.get(each, 0.0) for each in self.groups.members(node) if self._life(each)]
        return max([self.groups.changed(node), *told])

    def _alive(self, node: Node) -> bool:
        return self.world.crms[node[0]].alive(node[1])

    def _life(self, node: Node) -> list[Event]:
        return self.world.history.deletions(*node)

    def _ended_at(self, node: Node) -> float:
        life = self._life(node)
        return life[-1].at if life and not self._alive(node) else float("inf")

    def _born(self, node: Node) -> float:
        life = [event.at for event in self._life(node) if event.deed is Deed.UNDELETE]
        return life[-1] if life else 0.0

    def _ended_by_user(self, node: Node) -> bool:
        ends = [event for event in self._life(node) if event.deed in {Deed.DELETE, Deed.CONVERT, Deed.MERGE}]
        return bool(ends) and ends[-1].actor in {Actor.USER, Actor.AUTOMATION}


def _items(value: Value) -> set[str]:
    return set(str(value).split(";")) if value else set()
