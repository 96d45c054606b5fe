"""The fields of a mapping paired for the two-way sync: which way each may flow, and why not where it may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field

from migrator.core.document import did_you_mean
from migrator.core.errors import Problem, Severity
from migrator.core.fingerprint import fingerprint
from migrator.core.mapped import MappedSource
from migrator.core.sameness import Native, Sameness, sameness_of
from migrator.core.schema import FieldSchema, FieldType
from migrator.core.translation import Direction, Law, Pair, PairedObject, Policy, Rule
from migrator.mapping.bound import (
    BoundField,
    BoundMapping,
    BoundSource,
    Column,
    Constant,
    RecordId,
    Stored,
)
from migrator.mapping.columns_used import columns_read
from migrator.mapping.constants import fits
from migrator.mapping.inverse import Inverse, not_carried
from migrator.mapping.kinds import TEXTUAL, Kind
from migrator.mapping.model_sync import SyncRule
from migrator.mapping.parse import ObjectMapping
from migrator.mapping.scope import Scope, SourceView
from migrator.mapping.sync_constants import implied, native
from migrator.mapping.sync_names import misnamed
from migrator.mapping.ways_back import WaysBack

ONE_WAY = "sync.one_way"
"""Code of the warning that a field of a mapping that is synced back cannot come back."""
RECORD = "__record"
"""What the opposite mapping calls the id of a record of the new side."""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """One source of one mapping, ready for a translator."""

    paired: PairedObject
    forward: BoundMapping
    """The mapping with this source alone; links are keys of the old side, to be looked up in the crosswalk."""
    back: BoundMapping | None
    """The opposite mapping; None when nothing comes back."""
    links: Mapping[str, BoundField]
    """New field → the field as bound, with the mappings it may point to."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plans of one mapping, one a source, and the fields that cannot come back, each with a warning."""

    plans: tuple[SyncPlan, ...] = ()
    one_way: tuple[tuple[str, Problem], ...] = ()


def plan_sync(scope: Scope, mapping: ObjectMapping, bound: BoundMapping) -> Planned:
    """The plans of a mapping that is synced; nothing for one that is not. Errors go to the scope."""
    rule = mapping.rule.sync
    if rule is None:
        return Planned()
    problems = list(misnamed(mapping, rule, bound))
    scope.problems.extend(problems)
    if problems:
        return Planned()
    planner = _Planner(scope, mapping, rule, bound)
    views = zip(bound.sources, scope.views[mapping.name], strict=True)
    plans = tuple(plan for source, view in views if (plan := planner.plan(source, view)) is not None)
    return Planned(plans, tuple(planner.one_way))


_NUMBERS = frozenset(
    {FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.DATE, FieldType.DATETIME}
)
_MERGES = {
    Rule.UNION: (frozenset({FieldType.MULTI_PICKLIST}), "a multi_picklist"),
    Rule.MAX: (_NUMBERS, "a number or a date"),
    Rule.APPEND: (frozenset({FieldType.STRING, FieldType.TEXT}), "a text"),
}


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans of one mapping's sources."""

    scope: Scope
    mapping: ObjectMapping
    rule: SyncRule
    bound: BoundMapping
    one_way: list[tuple[str, Problem]] = dataclass_field(default_factory=list)

    def plan(self, source: BoundSource, view: SourceView) -> SyncPlan | None:
        """The plan of one source; None where its rows cannot be judged by themselves."""
        if self._judged_by_others(source):
            return None
        ways_back = WaysBack(self.scope, self.mapping, self.rule, self.bound)
        ways = {field.name: ways_back.of(field, view) for field in source.fields}
        pairs = [self._pair(field, view, ways[field.name]) for field in self._paired(source)]
        self._written_twice(pairs)
        carried = [field for field in source.fields if not not_carried(field)]
        forward = replace(
            self.bound,
            sources=(replace(source, fields=tuple(map(_unlinked, carried)), joins=()),),
            siblings=(),
        )
        kept = {pair.new for pair in pairs if pair.direction.goes_back}
        back = [way for name, inverse in ways.items() if name in kept for way in inverse.fields]
        opposite = self._opposite(source, back)
        links = {field.name: field for field in carried if field.lookup}
        paired = self._object(source, view, pairs, back)
        return SyncPlan(paired, forward, opposite if back else None, links)

    def _judged_by_others(self, source: BoundSource) -> bool:
        conditions = [formula for formula, _ in source.exclude] + ([source.where] if source.where else [])
        joined = sorted({column.of for formula in conditions for column in formula.operands if column.of})
        missing = any(join.missing.policy == "exclude" for join in source.joins)
        if joined or missing:
            named = joined[0] if joined else source.joins[0].name
            hint = "let where and exclude read columns of the record itself"
            message = (
                f"which records move depends on {named!r}, a joined object: a change there would go unseen"
            )
            self.scope.error(self.mapping.at("sync"), message, hint)
        return bool(joined or missing)

    def _paired(self, source: BoundSource) -> Iterator[BoundField]:
        key = self.bound.mapped.key
        return (field for field in source.fields if field.name != key)

    def _pair(self, field: BoundField, view: SourceView, inverse: Inverse) -> Pair:
        wanted = self._wanted(field)
        why, direction = not_carried(field), wanted
        if why:
            direction = Direction.NONE
        elif wanted.goes_back and not inverse.exists:
            direction = Direction.FORWARD if wanted is Direction.BOTH else Direction.NONE
            why = inverse.why
        if why:
            self._tell(field, inverse, why, carried=direction is not Direction.NONE)
        written = [way.name for way in inverse.fields] if direction.goes_back else []
        olds = tuple(dict.fromkeys((*written, *(column.name for column in field.columns if not column.of))))
        region, pii = self._region(), field.target.pii
        special = self.rule.fields.get(field.name)
        how = sameness_of(field.target, region=region)
        how = replace(how, by=special.same) if special is not None and special.same is not None else how
        return Pair(
            new=field.name, old=olds, direction=direction, policy=self._policy(field, direction),
            enforce="*" in self.rule.enforce or field.name in self.rule.enforce,
            consent=field.name in self.rule.consent, restrictive=self.rule.consent.get(field.name, ""),
            same_new=how, same_old={name: self._same_old(view, name, how, alone=len(olds) == 1) for name in olds},
            law=inverse.law if direction.goes_back else Law.NONE, why=why, place=field.place,
            links=tuple(dict.fromkeys(target.mapping for target in field.lookup)),
            required_new=field.target.required, pii=pii, written_old=tuple(written),
            required_old=any(way.target.required for way in inverse.fields) and direction.goes_back,
        )  # fmt: skip

    def _same_old(self, view: SourceView, name: str, how: Sameness, *, alone: bool) -> Sameness:
        """As the old column's type says; a text that stands for the new field alone is compared like that."""
        schema = view.schema.field(name) or FieldSchema(name, FieldType.STRING)
        own = sameness_of(schema, region=self._region())
        texts = schema.type in TEXTUAL and own == Sameness(region=own.region)
        return how if alone and texts and how.by.is_of_texts else own

    def _region(self) -> str:
        return self.mapping.rule.dedupe.region if self.mapping.rule.dedupe is not None else ""

    def _wanted(self, field: BoundField) -> Direction:
        special = self.rule.fields.get(field.name)
        return Direction((special.direction if special is not None else None) or self.rule.direction)

    def _policy(self, field: BoundField, direction: Direction) -> Policy:
        written = self.rule.policy.get(field.name)
        if written is None:
            default = self.rule.policy.get("default")
            return Policy(default.rule, default.skew) if default is not None else Policy()
        fitting = _MERGES.get(written.rule)
        place = self.mapping.at("sync", "policy", field.name)
        if fitting is not None and field.kind.type not in fitting[0]:
            message = f"{written.rule.value} needs {fitting[1]}; {field.name!r} is a {field.kind}"
            self.scope.error(place, message, "choose another policy")
        if fitting is not None and direction is not Direction.BOTH:
            message = f"{written.rule.value} needs a field that goes both ways; {field.name!r} does not"
            self.scope.error(place, message, "let it come back, or choose old_wins")
        return Policy(written.rule, written.skew)

    def _tell(self, field: BoundField, inverse: Inverse, why: str, *, carried: bool) -> None:
        """A field that was expected back is warned of; one that the file itself sends back is an error."""
        if isinstance(field.input, Constant | RecordId) or (carried and not inverse.fix):
            return
        special = self.rule.fields.get(field.name)
        asked = special is not None and special.direction in ("both", "reverse")
        what = "cannot come back" if carried else "is not carried by the sync"
        message = f"{field.name!r} {what}: {why}"
        if asked:
            place = self.mapping.at("sync", "fields", field.name, "direction")
            self.scope.error(place, message, inverse.fix)
            return
        found = Problem(field.place, message, inverse.fix, Severity.WARNING, ONE_WAY)
        self.one_way.append((field.name, found))

    def _written_twice(self, pairs: Sequence[Pair]) -> None:
        seen: dict[str, str] = {}
        for pair in pairs:
            for name in pair.written_old:
                other = seen.setdefault(name, pair.new)
                if other != pair.new:
                    hint = f"let one of them go forward only: sync: fields: {{{pair.new}: {{direction: forward}}}}"
                    message = f"{other!r} and {pair.new!r} would both be written back to {name!r}"
                    self.scope.error(pair.place, message, hint)

    def _opposite(self, source: BoundSource, back: Sequence[BoundField]) -> BoundMapping:
        """The mapping from the new side to the old: its rows are records of the new side, known by their own ids."""
        target = self.bound.mapped
        read = MappedSource("new", target.target_system, target.target_object, RECORD)
        key = Column(RECORD, RECORD, Kind(FieldType.ID), Stored.OTHER)
        opposite = replace(
            target, name=f"{self.bound.name} back", target_system=source.source.system,
            target_object=source.source.object, key="", sources=(read,), links=(), dedupe=None, firsts=(), amounts=(), unique=(),
            schema=replace(target.schema, fields=tuple(way.target for way in back)),
        )  # fmt: skip
        columns = BoundSource(read, (key,), None, (), tuple(back))
        return BoundMapping(opposite, (columns,), self.bound.place)

    def _object(
        self, source: BoundSource, view: SourceView, pairs: Sequence[Pair], back: Sequence[BoundField]
    ) -> PairedObject:
        mapped, rule = self.bound.mapped, self.rule
        bare = replace(source, fields=(), joins=())
        needed = (column.name for way in back for column in way.columns)
        links = {link.field for link in mapped.links if not link.deferred}
        after = [name for pair in pairs if pair.new in links for name in pair.links if name != mapped.name]
        deactivated = rule.delete.deactivated
        return PairedObject(
            mapping=mapped.name, source=source.name, old_system=source.source.system,
            old_object=source.source.object, new_system=mapped.target_system, new_object=mapped.target_object,
            new_key=mapped.key, old_key=self._old_key(view), pairs=tuple(pairs), delete=rule.delete.policy,
            deactivated_new=self._constants(deactivated.new, "new", _kinds_new(source)) if deactivated else {},
            deactivated_old=self._constants(deactivated.old, "old", _kinds_old(view)) if deactivated else {},
            after=tuple(dict.fromkeys(after)),
            filters=tuple(column.name for column in columns_read(bare)),
            needed_new=tuple(dict.fromkeys(needed)), created_old=implied(source),
            fingerprint=fingerprint(mapped.fingerprint, rule.model_dump(mode="json"), [repr(item) for item in pairs]),
        )  # fmt: skip

    def _old_key(self, view: SourceView) -> str:
        name = self.rule.key
        if name is None:
            return ""
        known = view.schema.field(name)
        if known is None:
            hint = did_you_mean(name, view.schema.field_names, noun="columns")
            self.scope.error(
                self.mapping.at("sync", "key"), f"{view.mapped.staged} has no column {name!r}", hint
            )
        elif known.read_only or name == view.schema.key:
            hint = "a text column of its own, unique, that the sync may write"
            self.scope.error(self.mapping.at("sync", "key"), f"{name!r} cannot be written", hint)
        return name

    def _constants(self, given: Mapping[str, str], side: str, kinds: Mapping[str, Kind]) -> dict[str, Native]:
        found: dict[str, Native] = {}
        for name, text in given.items():
            place = self.mapping.at("sync", "delete", "deactivate", side, name)
            if name not in kinds:
                self.scope.error(
                    place, f"the {side} side has no {name!r}", did_you_mean(name, kinds, noun="fields")
                )
            elif not fits(text, kinds[name]):
                self.scope.error(place, f"{text!r} is no {kinds[name]}", "write it in that side's own terms")
            else:
                found[name] = native(text, kinds[name])
        return found


def _kinds_new(source: BoundSource) -> dict[str, Kind]:
    return {field.name: field.kind for field in source.fields}


def _kinds_old(view: SourceView) -> dict[str, Kind]:
    return {name: column.kind for name, column in view.own.items()}


def _unlinked(field: BoundField) -> BoundField:
    """A link as the key that it holds: the crosswalk knows better than staged data which records are there."""
    if not field.lookup:
        return field
    bare = replace(field.target, required=False)
    return replace(field, target=bare, kind=Kind(FieldType.STRING), lookup=(), lookup_by=None, stand_in="")
