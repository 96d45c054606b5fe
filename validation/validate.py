"""The whole proof in one call: read the target back, reconcile it, run the rules, judge, and write the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from migrator.core.clock import Clock
from migrator.core.connector import Target
from migrator.core.errors import FatalError
from migrator.core.mapped import MappedObject
from migrator.core.progress import Progress
from migrator.staging.accounting import Accounting, ObjectAccount
from migrator.staging.engine import Session, quote
from migrator.staging.store import Store
from validation import measures, noticed, uat
from validation.absent import ABSENT, Reason, find_absent, lay_aside_held, reasons, roots
from validation.before import check_before
from validation.checks import Found, checks, control_checks, count_checks, file_checks, rule_checks
from validation.controls import NO_WAYS, Ways, controls
from validation.documents import REPORT, SAMPLE, write_documents, write_json
from validation.expectations import Suite, TotalsBy
from validation.facts import Heading, ObjectFacts, to_json
from validation.failing import (
    FAILING_RECORDS,
    Listing,
    differences_query,
    examples,
    rule_query,
    rules_queries,
    write_list,
)
from validation.files import find_files
from validation.groups import Counts, counts, linked_names
from validation.measures import Totals
from validation.naming import find_labels
from validation.owners import Owners, owner_field, owners
from validation.privacy import Privacy
from validation.readback import read_back
from validation.reconcile import Reconciled, reconcile
from validation.relations import ALL, Family, Pick, SessionFactory, Sides, open_sides
from validation.report import LANGUAGES
from validation.rules import RuleResult, check_suite, run_suite, start_failing
from validation.suitefile import read_suites, refresh_suites
from validation.trend import read_earlier
from validation.verdict import Check, Decision, Verdict, decide
from validation.waivers import UsedWaiver, apply_waivers, read_waivers

NO_ORIGINS: uat.Origins = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is validated."""

    objects: tuple[str, ...] = ()
    """Mappings; empty: all."""
    pick: Pick = ALL
    before: bool = True
    """Whether the rules are run over what was mapped, too."""


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What the validation found and where it is written."""

    verdict: Verdict
    decision: Decision
    checks: tuple[Check, ...]
    waivers: tuple[UsedWaiver, ...]
    html: Path
    xlsx: Path
    json: Path
    failing: Listing
    absent: Listing
    """Every record that is not in the target as a record of its own, with the reason."""
    content: Mapping[str, Any] = field(repr=False)
    """report.json as values."""

    @property
    def holds(self) -> bool:
        """Whether a command may end with 0."""
        return self.verdict.holds


def validate(
    store: Store,
    session_factory: SessionFactory,
    target: Target,
    objects: Sequence[MappedObject],
    accounting: Accounting,
    *,
    out: Path,
    progress: Progress,
    clock: Clock,
    suites: Path,
    project: str = "",
    language: str = "en",
    privacy: Privacy = Privacy.MASKED,
    origins: uat.Origins = NO_ORIGINS,
    seed: int = 7,
    scope: Scope = EVERYTHING,
    ways: Ways = NO_WAYS,
    costs: Sequence[Mapping[str, Any]] = (),
) -> ValidationReport:
    """Prove what the target holds of `objects`; writes report.html, .xlsx, .junit.xml, .json and the failing records to `out`.

    `suites` is the project's folder of rules: derived files there are refreshed while untouched, every file is run.
    Waivers stand there too. Earlier validations in the folder around `out` are what this one is compared with.
    `scope` may leave objects, records and the rules before the load out; `ways` are the fields that can be held against
    the source without the mapping. `origins` says which source columns make a field, `seed` draws the sample for acceptance.
    `costs` is what each step was predicted to take, and took.
    Raises `ProjectError` for a suite that is wrong (before anything is read) and `ConnectorError` from the target.
    """
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}, known: {', '.join(LANGUAGES)}")
    started = clock.monotonic()
    refresh_suites(suites, objects)
    rules = read_suites(suites, objects)
    for suite in rules:
        check_suite(suite)
    waivers = read_waivers(suites)
    examined = [mapped for mapped in objects if not scope.objects or mapped.name in scope.objects]
    for mapped in _to_read(objects, examined):
        read_back(store, target, mapped, progress=progress)
    session = session_factory()
    try:
        start_failing(session)
        run = _Run(
            store, session, objects, accounting, privacy, progress, clock, rules, origins, seed, scope, ways
        )
        done = [run.examine(mapped) for mapped in examined]
        found, waived = apply_waivers(
            [check for _, listed in done for check in listed], waivers, clock.now().date()
        )
        decision = decide(found)
        facts = [item for item, _ in done]
        _make_folder(out)
        failing = write_list(session, run.failing_queries(facts), out / "failing", FAILING_RECORDS)
        absent = write_list(session, [f"FROM {table}" for table in run.absent], out / "missing", ABSENT)
        heading = Heading(
            project, store.ledger.run, clock.now(), clock.monotonic() - started,
            ", ".join(sorted({mapped.target_system for mapped in objects})), privacy, failing.rows, absent.rows,
        )  # fmt: skip
        earlier = read_earlier(out.parent, out.name, project)
        content = to_json(
            heading, decision, found, facts, accounting, waivers=waived, earlier=earlier, roots=roots(session, run.absent),
            labels=lambda records: find_labels(session, store, objects, records, privacy), costs=costs,
        )  # fmt: skip
    finally:
        session.close()
    write_json(out / REPORT, content)
    write_json(out / SAMPLE, run.sampled)
    written = write_documents(out, language)
    return ValidationReport(
        decision.verdict,
        decision,
        found,
        waived,
        written["html"],
        written["xlsx"],
        out / REPORT,
        failing,
        absent,
        content,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """One validation in progress: what every object's examination needs."""

    store: Store
    session: Session
    objects: Sequence[MappedObject]
    accounting: Accounting
    privacy: Privacy
    progress: Progress
    clock: Clock
    suites: Sequence[Suite]
    origins: uat.Origins
    seed: int
    scope: Scope
    ways: Ways
    sampled: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the sample for acceptance, object after object."""
    queries_before: list[str] = field(default_factory=list)
    """Records that fail a rule before the load, as queries."""
    absent: list[str] = field(default_factory=list)
    """Tables of the records that are not there, one an object."""

    def examine(self, mapped: MappedObject) -> tuple[ObjectFacts, tuple[Check, ...]]:
        """Compare, measure and judge one object."""
        self.progress.start("validate", mapped.name, None)
        known = {item.name: item for item in self.objects}
        sides = open_sides(self.session, self.store, mapped, known, self.scope.pick)
        suites = [suite for suite in self.suites if suite.object == mapped.name]
        account = self._account(mapped)
        found = Found(
            mapped,
            account,
            reconcile(self.session, self.store, sides),
            tuple(
                self._totals(sides, by) for by in dict.fromkeys(by for suite in suites for by in suite.totals)
            ),
            tuple(measures.months(self.session, sides, item.name) for item in measures.dates(sides)),
            tuple(
                measures.orphans(self.session, self.store, sides, column, known)
                for column in sides.columns
                if column.family is Family.LINK
            ),
        )
        judged = self._rules(sides, suites)
        beside = controls(self.session, self.store, sides, self.ways)
        divided = counts(self.session, sides)
        kept = find_files(self.session, sides, self.store.root.parent / "files")
        rehearsed = self._rules_before(mapped, suites)
        held = lay_aside_held(self.session, self.store, mapped)
        owned = owners(self.session, self.store, mapped, self.privacy, held)
        facts = ObjectFacts(
            found, judged,
            self._reasons(mapped, found.reconciled, held),
            noticed.duplicates(self.session, self.store, mapped),
            tuple(measures.distribution(self.session, sides, item.name) for item in measures.choices(sides)),
            (*noticed.warnings(self.store, mapped), *_told_of(self.scope, found.reconciled)),
            noticed.counted_warnings(self.session, self.store, mapped),
            tuple(suite.file for suite in suites),
            owned,
            beside,
            divided,
            kept,
            self._names(mapped, found, divided, owned),
        )  # fmt: skip
        listed = (
            *checks(found, self.privacy),
            *count_checks(mapped.name, divided),
            *file_checks(mapped.name, kept),
            *control_checks(mapped.name, beside),
            *rehearsed,
            *rule_checks(mapped, judged, lambda item: self._examples(mapped, item)),
        )
        self.sampled.extend(
            uat.draw(
                self.session, self.store, sides, self.origins, records=uat.records_each(self.objects),
                seed=self.seed, privacy=self.privacy,
            )
        )  # fmt: skip
        self.progress.advance("validate", mapped.name, found.reconciled.actual)
        self.progress.done("validate", mapped.name, f"{sum(check.failed > 0 for check in listed)} findings")
        return facts, listed

    def failing_queries(self, facts: Sequence[ObjectFacts]) -> list[str]:
        """All failing records of all objects, as queries."""
        queries = list(self.queries_before)
        for item in facts:
            mapped, dataset = item.found.mapped, item.found.reconciled.dataset
            queries.append(differences_query(self.session, mapped, dataset, self.privacy))
            queries += rules_queries(self.session, self.store, mapped, item.rules, self.privacy)
        return queries

    def _names(
        self, mapped: MappedObject, found: Found, divided: Sequence[Counts], owned: Owners
    ) -> Mapping[str, str]:
        """What to call the owners that stand in counts, totals and the list of who can mend what."""
        field = owner_field(mapped)
        shown = {group.value for item in divided if item.field == field for group in item.groups}
        shown |= {
            value
            for total in found.totals
            if field in total.by
            for one in total.groups
            for value in one.group
        }
        shown |= {owner for owner, _ in owned.counts}
        return linked_names(
            self.session, self.store, mapped, field, objects={item.name: item for item in self.objects},
            values=shown, privacy=self.privacy,
        )  # fmt: skip

    def _reasons(self, mapped: MappedObject, compared: Reconciled, held: str) -> tuple[Reason, ...]:
        self.absent.append(
            find_absent(self.session, self.store, mapped, compared.dataset, self.privacy, held=held)
        )
        return reasons(self.session, self.absent[-1])

    def _rules_before(self, mapped: MappedObject, suites: Sequence[Suite]) -> tuple[Check, ...]:
        if not self.scope.before:
            return ()
        found = check_before(
            self.session, self.store, mapped, suites, now=self.clock.now(), privacy=self.privacy
        )
        self.queries_before.extend(found.queries)
        return found.checks

    def _rules(self, sides: Sides, suites: Sequence[Suite]) -> tuple[RuleResult, ...]:
        """The rules are about this project's records: those of others in the same object are not judged."""
        mapped = sides.mapped
        key = f"CAST({quote(mapped.key)} AS VARCHAR)"
        ours = (
            f"(SELECT r.* FROM ({sides.readback}) r WHERE EXISTS"
            f" (FROM {quote(sides.expected)} e WHERE e.__k = CAST(r.{quote(mapped.key)} AS VARCHAR)))"
        )
        merged = Suite(mapped.name, tuple(rule for suite in suites for rule in suite.expectations))
        return run_suite(self.session, ours, key, merged, now=self.clock.now())

    def _examples(self, mapped: MappedObject, result: RuleResult) -> tuple[Any, ...]:
        return examples(
            self.session, rule_query(self.session, self.store, mapped, result, self.privacy), mapped.name
        )

    def _totals(self, sides: Sides, by: TotalsBy) -> Totals:
        return measures.totals(self.session, sides, by.field, by.by)

    def _account(self, mapped: MappedObject) -> ObjectAccount:
        return next(item for item in self.accounting.objects if item.name == mapped.name)


def _to_read(objects: Sequence[MappedObject], examined: Sequence[MappedObject]) -> Iterator[MappedObject]:
    """What is examined, and what its links point to: without those nobody can tell an orphan."""
    wanted = {mapped.name for mapped in examined}
    wanted |= {name for mapped in examined for link in mapped.links for name in link.mappings}
    return (mapped for mapped in objects if mapped.name in wanted)


def _told_of(scope: Scope, found: Reconciled) -> Iterator[str]:
    """That not every record was looked at."""
    if scope.pick.partial:
        of = f"sample of {scope.pick.sample}" if scope.pick.sample is not None else "all"
        since = f" of those loaded since {scope.pick.since:%Y-%m-%d %H:%M}" if scope.pick.since else ""
        yield (
            f"{of}{since}: {found.expected} records compared; the target was read whole and then cut,"
            " records that only the target has were not looked for"
        )


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FatalError(
            f"cannot make the folder {path}: {error.strerror}", hint="is it writable?"
        ) from error
