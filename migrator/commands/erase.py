"""The command `erase`: a person forgotten on both sides, or on one, and in everything that is kept here, with a proof.

First the request, the hashes and the tombstones are put on record and every value is taken out of the sync's tables, all in
one transaction; then the systems are asked to delete; then datasets and backups are rewritten. Whatever ends it in between,
`erase again` does what is left: by then no run of the sync, no extract and no restored ledger brings the person back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from migrator.commands.erase_result import Erasure, Order, places_of, told
from migrator.commands.erase_steps import OpenSide, at_work
from migrator.commands.erase_subject import Subject, named
from migrator.commands.project import QUIET, Project, open_workspace, work_on
from migrator.commands.sync_people import Approvers
from migrator.commands.sync_sides import open_side
from migrator.core.errors import ProjectError
from migrator.core.progress import Progress
from migrator.staging import erasures, journal
from migrator.staging.erasures import Request


def preview(project: Project, order: Order, open_system: OpenSide = open_side) -> Erasure:
    """Who would be forgotten, and where; changes nothing."""
    with open_workspace(project) as workspace, at_work(workspace, open_system) as eraser:
        subject = eraser.subject(order.record)
        places = places_of(subject, order.on)
        states = [replace(place, state=eraser.seen(place)) for place in places]
        return Erasure(0, tuple(told(place, None) for place in states), linked=subject.linked, dry_run=True)


def erase(
    project: Project,
    order: Order,
    by: Approvers,
    progress: Progress = QUIET,
    open_system: OpenSide = open_side,
) -> Erasure:
    """Forget a person. Raises `SafetyStop` unless two people say so and why, and for production that was not named."""
    by.check()
    with work_on(project, "erase", progress) as workspace, at_work(workspace, open_system) as eraser:
        eraser.refuse_twice([named(order.record, eraser.objects)])
        subject = eraser.subject(order.record)
        eraser.refuse_twice(subject.names)
        places = places_of(subject, order.on)
        eraser.permit(places, order.production)
        request = Request(0, workspace.ledger.clock.now(), by.who, by.second, by.why, places)
        return eraser.carry_out(request, subject)


def again(
    project: Project,
    production: Sequence[str] = (),
    progress: Progress = QUIET,
    open_system: OpenSide = open_side,
) -> tuple[Erasure, ...]:
    """Do what is left of every open request, and forget again whom a restored ledger remembers."""
    with work_on(project, "erase again", progress) as workspace, at_work(workspace, open_system) as eraser:
        eraser.take_up_restored()
        done = []
        for request in erasures.requests(workspace.ledger, open_only=True):
            eraser.permit(request.places, production)
            subject = Subject(tuple(place.name for place in request.places), eraser.objects)
            done.append(eraser.carry_out(request, subject))
        return tuple(done)


def done_by_hand(project: Project, number: int, system: str, by: Approvers) -> Request:
    """Put on record that people deleted a person in a system that cannot be reached from here."""
    by.check()
    with open_workspace(project) as workspace, workspace.ledger.lease():
        ledger = workspace.ledger
        request = next(
            (item for item in erasures.requests(ledger, open_only=True) if item.number == number), None
        )
        if request is None:
            raise ProjectError.at("NUMBER", f"no open request has the number {number}", "migrator erase list")
        if not any(place.system == system and place.state not in erasures.DONE for place in request.places):
            raise ProjectError.at(
                "--system", f"nothing of request {number} is open in {system!r}", "migrator erase list"
            )
        places = tuple(
            replace(place, state="deleted") if place.system == system else place for place in request.places
        )
        found = replace(request, places=places)
        with ledger.begin() as connection:
            ledger.check_fence(connection)
            erasures.put(connection, found)
            body = {"request": number, "system": system, "who": by.who, "second": by.second, "why": by.why}
            journal.append(connection, "override", body, at=ledger.clock.now(), run=ledger.run)
        return found


def listed(project: Project) -> tuple[Request, ...]:
    """All requests there ever were."""
    with open_workspace(project) as workspace:
        return erasures.requests(workspace.ledger)
