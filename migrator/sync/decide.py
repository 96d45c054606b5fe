"""What is to be done with one group of records that belong together, field by field; pure, from natives and bases only.

A field is changed when it differs from the last synced value of the same member. No time of one system is compared with
a time of the other, but for the policy `newest`. Nothing here reads a clock, a store or a system, and everything is worked
through in the order given, so that equal inputs give equal decisions, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from migrator.core.sameness import appended, canonical, greater, most_restrictive, union
from migrator.core.translation import Direction, Pair, Policy, Rule
from migrator.core.twoway import UNREADABLE, Native, Value, Which


@dataclass(frozen=True, slots=True)
class Failed:
    """In place of a value that the other side cannot hold."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Pending:
    """In place of a link to a record that has no partner yet."""

    mapping: str
    record: str


Carried: TypeAlias = Value | Failed | Pending
"""A value as the other side would hold it, or why there is none."""


@dataclass(frozen=True, slots=True)
class Member:
    """One record of a group as it is now, as it was when last synced, and both as the other side would hold them."""

    which: Which
    stream: str
    """MAPPING/SOURCE for old records, MAPPING for new ones."""
    id: str
    version: str
    values: Mapping[str, Value]
    base: Mapping[str, Native]
    """Field → last synced native; a field without one has lost its base."""
    carried: Mapping[str, Carried] = field(default_factory=dict)
    """Old member: new field → `to_new(values)`. New member: 'STREAM.column' → `to_old(values)`."""
    base_carried: Mapping[str, Carried] = field(default_factory=dict)
    """Old member: new field → `to_new(base)`."""
    stamp: datetime | None = None
    primary: bool = True
    owed: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """New field → members (stream, id) that did not get its value yet, though its base is that value; empty: nobody did."""


class Verdict(Enum):
    """What was decided for one field."""

    NOTHING = "nothing"
    WRITE = "write"
    ADOPT = "adopt"
    """Both sides came to the same value by themselves: bases advance, nothing is written."""
    CONFLICT = "conflict"
    """Settled by a policy that overwrites: logged first."""
    MERGE = "merge"
    HELD = "held"
    """Nothing is written until a person or new facts resolve it."""
    STRAY = "stray"
    """An edit on the side that the field does not flow from; reverted when enforced."""
    BLOCKED = "blocked"
    """Cannot be read, or has no form on the other side; nothing is written."""
    DEFERRED = "deferred"
    """A link whose record has no partner yet."""


@dataclass(frozen=True, slots=True)
class Write:
    """One field of one member to be set."""

    member: int
    """Its place in the group."""
    field: str
    value: Native


@dataclass(frozen=True, slots=True)
class FieldDecision:
    """What becomes of one pair of fields."""

    field: str
    verdict: Verdict
    writes: tuple[Write, ...] = ()
    advance: tuple[int, ...] = ()
    """Members whose base becomes their native of now, once a write of this decision is done; at once without writes."""
    source: int | None = None
    """The member whose value is written, and owed to those whose write is not done."""
    reason: str = ""
    policy: str = ""
    again: bool = False
    """The group is to be decided once more when this is done: the second half of a merge."""
    waits_for: Pending | None = None

    @property
    def is_logged(self) -> bool:
        """Whether it stands in the conflict log before anything is written; a write that waits for a phase is no conflict."""
        return self.verdict in _LOGGED and self.reason != SIDE_FROZEN


SIDE_FROZEN = "side-frozen"
"""The reason of what may not be written in this phase, and flows by itself in another."""
_LOGGED = frozenset({Verdict.CONFLICT, Verdict.MERGE, Verdict.HELD, Verdict.STRAY})


@dataclass(frozen=True, slots=True)
class Terms:
    """What decisions of one run go by, besides the mapping."""

    policy: Rule | None = None
    """Of the phase, in place of the fields' own policies where those are not merge or hold; None: as the mapping says."""
    skew: float = 0.0
    """Sum of the skew bounds of both sides, seconds."""
    mirror: bool = True
    """False: of several members of a side only the primary is written."""
    frozen: frozenset[Which] = frozenset()
    """Sides that are not written in this phase."""
    drifted: frozenset[str] = frozenset()
    """New fields whose pair stands still: the schema of one side is not what the mapping was approved with."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """One member, seen by one pair."""

    place: int
    member: Member
    fields: tuple[str, ...]
    natives: tuple[Value, ...]
    changed: bool
    """Its value is not its base, or not everybody got it yet."""
    owed: Sequence[tuple[str, str]] | None
    """Who alone did not get its value, which is its base; None: it is to go to all."""
    lost: bool
    value: Carried
    """In new's form."""
    canon: object


def decide(
    pairs: Mapping[str, Mapping[str, Pair]],
    members: Sequence[Member],
    terms: Terms,
    resolved: Mapping[str, Which] | None = None,
) -> tuple[FieldDecision, ...]:
    """Decisions of a group, in the order of the mapping; what needs nothing is left out.

    `pairs`: stream of old records → new field → pair. `members`: at least one of each side, all live. `resolved`: what a
    person said of held fields: the side whose value stands.
    """
    names = dict.fromkeys(name for stream in pairs.values() for name in stream)
    found = []
    for name in names:
        decision = _field(name, pairs, members, terms, (resolved or {}).get(name))
        if decision.verdict is not Verdict.NOTHING:
            found.append(decision)
    return tuple(found)


def _field(
    name: str,
    pairs: Mapping[str, Mapping[str, Pair]],
    members: Sequence[Member],
    terms: Terms,
    resolved: Which | None,
) -> FieldDecision:
    pair = next(stream[name] for stream in pairs.values() if name in stream)
    if pair.direction is Direction.NONE or not any(_stirs(member, name, pairs) for member in members):
        return _nothing(name)
    standing = [_stand(place, member, name, pairs) for place, member in enumerate(members)]
    here = [item for item in standing if item is not None]
    touched = [item for item in here if item.changed or item.lost]
    unread = any(_unreadable(item) for item in here)
    if len({item.member.which for item in here}) < 2 or not (touched or unread):
        return _nothing(name)
    if name in terms.drifted or unread:
        return _blocked(name, "drift" if name in terms.drifted else "unreadable")
    return _Case(name, pair, pairs, here, terms).settle(touched, resolved)


def _nothing(name: str) -> FieldDecision:
    return FieldDecision(name, Verdict.NOTHING)


def _blocked(name: str, reason: str) -> FieldDecision:
    return FieldDecision(name, Verdict.BLOCKED, reason=reason)


def _unreadable(item: _Standing) -> bool:
    return any(value is UNREADABLE for value in item.natives)


def _stirs(member: Member, name: str, pairs: Mapping[str, Mapping[str, Pair]]) -> bool:
    """Whether a member could have anything to say: a value that is not exactly its base, or that was not read."""
    if member.which is Which.NEW:
        fields: tuple[str, ...] = (name,)
    else:
        pair = pairs.get(member.stream, {}).get(name)
        if pair is None:
            return False
        fields = pair.old
    if name in member.owed:
        return True
    for one in fields:
        value, before = member.values.get(one, UNREADABLE), member.base.get(one, UNREADABLE)
        if value is UNREADABLE or value != before or type(value) is not type(before):
            return True
    return False


def _stand(
    place: int, member: Member, name: str, pairs: Mapping[str, Mapping[str, Pair]]
) -> _Standing | None:
    """How a member stands to a pair; None for an old record whose source does not map the field."""
    pair = _pair_of(member, name, pairs)
    if pair is None:
        return None
    fields = pair.old if member.which is Which.OLD else (name,)
    natives = tuple(member.values.get(item, UNREADABLE) for item in fields)
    lost = name not in member.owed and any(item not in member.base for item in fields)
    changed = not lost and any(
        value is not UNREADABLE
        and not same_native(pair, member.which, item, value, member.base.get(item, UNREADABLE))
        for item, value in zip(fields, natives, strict=True)
    )
    value = member.carried.get(name, UNREADABLE) if member.which is Which.OLD else natives[0]
    owed = None if changed or lost else (member.owed.get(name) or None)
    changed = changed or (name in member.owed and not lost)
    return _Standing(place, member, fields, natives, changed, owed, lost, value, _canon(pair, value))


def _pair_of(member: Member, name: str, pairs: Mapping[str, Mapping[str, Pair]]) -> Pair | None:
    if member.which is Which.OLD:
        return pairs.get(member.stream, {}).get(name)
    return next((stream[name] for stream in pairs.values() if name in stream), None)


def same_native(pair: Pair, which: Which, name: str, one: Value, other: Value) -> bool:
    """Whether two natives of one field of one side say the same."""
    if one is UNREADABLE or other is UNREADABLE:
        return one is other
    how = pair.same_new if which is Which.NEW else pair.same_old.get(name, pair.same_new)
    return (one == other and type(one) is type(other)) or canonical(how, one) == canonical(how, other)


def _canon(pair: Pair, value: Carried) -> object:
    """What equal values of the pair share; values that are none share it with nothing else."""
    if isinstance(value, Failed | Pending) or value is UNREADABLE:
        return value
    return canonical(pair.same_new, value)


@dataclass(frozen=True, slots=True)
class _Case:
    """One pair of fields of one group in which something changed."""

    name: str
    pair: Pair
    pairs: Mapping[str, Mapping[str, Pair]]
    here: Sequence[_Standing]
    terms: Terms

    def settle(self, touched: Sequence[_Standing], resolved: Which | None) -> FieldDecision:
        """The table of section 3, for any number of members."""
        if any(item.lost for item in touched):
            return self._without_base(resolved)
        if self.pair.consent:
            return self._most_restrictive()
        strays = [item for item in touched if not self._flows_from(item.member.which)]
        if strays:
            return self._stray(strays)
        if _distinct(touched) == 1:
            agreed = len({item.member.which for item in touched}) == 2
            return self._spread(touched, Verdict.ADOPT if agreed else Verdict.WRITE)
        return self._conflict(touched, resolved)

    def _flows_from(self, which: Which) -> bool:
        direction = self.pair.direction
        return direction.goes_forward if which is Which.OLD else direction.goes_back

    def _without_base(self, resolved: Which | None) -> FieldDecision:
        """A lost base means a conflict, whatever the policy: equal values are adopted, differing ones are held."""
        if _distinct(self.here) == 1:
            return FieldDecision(
                self.name, Verdict.ADOPT, advance=tuple(item.place for item in self.here), reason="base-lost"
            )
        if resolved is not None:
            return self._side_wins(resolved, "resolved")
        return FieldDecision(self.name, Verdict.HELD, reason="base-lost", policy="hold")

    def _most_restrictive(self) -> FieldDecision:
        """Consent: whatever was changed where, the most restrictive value of all stands. Never widened."""
        values = [_native(item.value) for item in self.here if _is_native(item.value)]
        if len(values) < len(self.here):
            return self._no_form(self.here)
        value = most_restrictive(values, self.pair.restrictive)
        wanted = _canon(self.pair, value)
        winners = [item for item in self.here if item.canon == wanted]
        differs = len(winners) < len(self.here)
        done = self._spread(winners, Verdict.CONFLICT if differs else Verdict.ADOPT, everyone=True)
        return _with_policy(done, "most_restrictive") if differs else done

    def _stray(self, strays: Sequence[_Standing]) -> FieldDecision:
        """An edit against the direction. It never flows; the other side's own change still overwrites it, once it is logged."""
        sources = [item for item in self.here if self._flows_from(item.member.which)]
        own = [item for item in sources if item.changed]
        if not sources:
            return _blocked(self.name, "no-direction")
        if own or self.pair.enforce:
            chosen = own or [item for item in sources if item.member.primary] or sources[:1]
            if _distinct(chosen) > 1:
                return FieldDecision(self.name, Verdict.HELD, reason="members-differ", policy="hold")
            done = self._spread(chosen, Verdict.STRAY, everyone=True)
            return _with_policy(done, "enforce" if not own else self.pair.direction.value)
        if all(item.canon == sources[0].canon for item in strays):
            return FieldDecision(self.name, Verdict.ADOPT, advance=tuple(item.place for item in strays))
        return FieldDecision(self.name, Verdict.STRAY, reason="against-direction", policy="report")

    def _conflict(self, touched: Sequence[_Standing], resolved: Which | None) -> FieldDecision:
        if resolved is not None:
            return self._side_wins(resolved, "resolved")
        rule = self._rule()
        if rule.is_merge:
            return self._merge(rule, touched)
        match rule:
            case Rule.OLD_WINS:
                return self._side_wins(Which.OLD, rule.value)
            case Rule.NEW_WINS:
                return self._side_wins(Which.NEW, rule.value)
            case Rule.NEWEST:
                return self._newest(touched)
            case _:
                return FieldDecision(self.name, Verdict.HELD, reason="conflict", policy=rule.value)

    def _rule(self) -> Rule:
        policy: Policy = self.pair.policy
        own = policy.rule
        if self.terms.policy is None or own.is_merge or own is Rule.HOLD:
            return own
        return self.terms.policy

    def _side_wins(self, which: Which, policy: str) -> FieldDecision:
        """The value of one side stands; members of that side that changed to several values are held for a person."""
        side = [item for item in self.here if item.member.which is which]
        changed = [item for item in side if item.changed] or side
        if _distinct(changed) > 1 and policy == "resolved":
            changed = [item for item in side if item.member.primary] or side[:1]
        if _distinct(changed) > 1:
            return FieldDecision(self.name, Verdict.HELD, reason="members-differ", policy="hold")
        return _with_policy(self._spread(changed, Verdict.CONFLICT, everyone=True), policy)

    def _newest(self, touched: Sequence[_Standing]) -> FieldDecision:
        """The only place where times of two systems meet."""
        held = FieldDecision(self.name, Verdict.HELD, reason="too-close-to-call", policy=Rule.NEWEST.value)
        dated = [(item.member.stamp, item.place) for item in touched if item.member.stamp is not None]
        if len(dated) < len(touched):
            return held
        (latest, place), rest = max(dated), [stamp for stamp, at in dated if at != max(dated)[1]]
        bound = max(self.terms.skew, self.pair.policy.skew)
        if not bound or any((latest - stamp).total_seconds() <= bound for stamp in rest):
            return held
        winner = next(item for item in self.here if item.place == place)
        return _with_policy(self._spread([winner], Verdict.CONFLICT, everyone=True), Rule.NEWEST.value)

    def _merge(self, rule: Rule, touched: Sequence[_Standing]) -> FieldDecision:
        """Half of it now: new gets the merged value, old's base advances. Then new alone has changed, and flows back."""
        olds = [item for item in touched if item.member.which is Which.OLD]
        news = [item for item in touched if item.member.which is Which.NEW]
        if not news or _distinct(olds) != 1 or _distinct(news) != 1:
            return FieldDecision(self.name, Verdict.HELD, reason="members-differ", policy="hold")
        if not _is_native(olds[0].value):
            return self._no_form(olds)
        one, other = _native(olds[0].value), _native(news[0].value)
        merged = _merged(rule, one, other, news[0].member.base.get(self.name))
        writes = tuple(
            Write(item.place, self.name, merged)
            for item in self.here
            if item.member.which is Which.NEW and item.canon != canonical(self.pair.same_new, merged)
        )
        if writes and Which.NEW in self.terms.frozen:
            return FieldDecision(self.name, Verdict.HELD, reason=SIDE_FROZEN, policy=rule.value)
        return FieldDecision(
            self.name,
            Verdict.MERGE,
            writes,
            tuple(item.place for item in olds),
            policy=rule.value,
            again=True,
        )

    def _spread(
        self, sources: Sequence[_Standing], verdict: Verdict, *, everyone: bool = False
    ) -> FieldDecision:
        """Bring the one value of `sources` to all other members; those that have it already only advance."""
        source = sources[0]
        if not _is_native(source.value) and self._reaches_new(sources):
            return self._no_form(sources)
        writes: list[Write] = []
        advance = [item.place for item in sources]
        for item in self.here:
            if item.place in advance:
                continue
            if item.canon == source.canon:
                if item.changed or item.lost:
                    advance.append(item.place)
                continue
            if not self._flows_to(item.member.which):
                if item.changed and everyone:
                    advance.append(item.place)
                continue
            if not self._is_written(item) or _has_it(item, sources):
                continue
            got = self._for(item, source)
            if isinstance(got, FieldDecision):
                return got
            writes += got
        kind = verdict if writes or verdict in _LOGGED else Verdict.ADOPT
        return FieldDecision(self.name, kind, tuple(writes), tuple(sorted(advance)), source=source.place)

    def _reaches_new(self, sources: Sequence[_Standing]) -> bool:
        return any(item.member.which is Which.NEW for item in self.here if item not in sources)

    def _flows_to(self, which: Which) -> bool:
        return self._flows_from(which.other)

    def _is_written(self, item: _Standing) -> bool:
        return self.terms.mirror or item.member.primary or item.changed

    def _for(self, target: _Standing, source: _Standing) -> list[Write] | FieldDecision:
        """The writes that bring `source`'s value to `target`; a decision when there is no such value, or it may not be written."""
        if target.member.which in self.terms.frozen:
            return FieldDecision(self.name, Verdict.HELD, reason=SIDE_FROZEN, policy="phase")
        if target.member.which is Which.NEW:
            value = source.value
            return (
                [Write(target.place, self.name, _native(value))]
                if _is_native(value)
                else self._no_form([source])
            )
        if not self.pair.direction.goes_back and source.member.which is Which.NEW:
            return _blocked(self.name, "no-way-back")
        return self._back(target, source)

    def _back(self, target: _Standing, source: _Standing) -> list[Write] | FieldDecision:
        """Columns of an old member: exactly its base when that says the same (complement rule), else what `to_old` gives."""
        before = target.member.base_carried.get(self.name, UNREADABLE)
        if not target.lost and _is_native(before) and _canon(self.pair, before) == source.canon:
            return self._columns(target, [target.member.base[name] for name in target.fields])
        if source.member.which is Which.OLD:
            if source.member.stream != target.member.stream:
                return FieldDecision(self.name, Verdict.HELD, reason="other-source", policy="hold")
            return self._columns(target, source.natives)
        carried = [
            source.member.carried.get(f"{target.member.stream}.{name}", UNREADABLE) for name in target.fields
        ]
        wrong = [value for value in carried if not _is_native(value)]
        return self._refused(wrong[0]) if wrong else self._columns(target, carried)

    def _columns(self, target: _Standing, values: Sequence[Carried]) -> list[Write]:
        pair = self.pairs[target.member.stream][self.name]
        return [
            Write(target.place, name, _native(value))
            for name, value, now in zip(target.fields, values, target.natives, strict=True)
            if not same_native(pair, Which.OLD, name, _native(value), now)
        ]

    def _no_form(self, items: Sequence[_Standing]) -> FieldDecision:
        return self._refused(next(item.value for item in items if not _is_native(item.value)))

    def _refused(self, value: Carried) -> FieldDecision:
        match value:
            case Pending():
                return FieldDecision(self.name, Verdict.DEFERRED, reason="link", waits_for=value)
            case Failed():
                return _blocked(self.name, f"untranslatable: {value.rule}")
            case _:
                return _blocked(self.name, "unreadable")


def _has_it(item: _Standing, sources: Sequence[_Standing]) -> bool:
    """Whether a member got the value of `sources` before, and its system keeps it in another form: it is not written twice."""
    owed = [source.owed for source in sources if source.changed]
    key = (item.member.stream, item.member.id)
    return (
        not item.changed
        and not item.lost
        and bool(owed)
        and all(keys is not None and key not in keys for keys in owed)
    )


def _distinct(items: Sequence[_Standing]) -> int:
    return len({repr(item.canon) if not _is_native(item.value) else item.canon for item in items})


def _is_native(value: Carried) -> bool:
    return value is not UNREADABLE and not isinstance(value, Failed | Pending)


def _native(value: Carried) -> Native:
    if value is UNREADABLE or isinstance(value, Failed | Pending):
        raise TypeError("not a value")
    return value


def _with_policy(decision: FieldDecision, policy: str) -> FieldDecision:
    if decision.verdict in (Verdict.BLOCKED, Verdict.DEFERRED, Verdict.HELD):
        return decision
    return replace(decision, policy=policy)


def _merged(rule: Rule, one: Native, other: Native, base: Native) -> Native:
    match rule:
        case Rule.UNION:
            return union(one, other, base)
        case Rule.MAX:
            return greater(one, other)
        case _:
            return appended(one, other, base)
