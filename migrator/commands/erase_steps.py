"""The steps by which a person is forgotten: tables and tombstones, systems, datasets, backups, and the proof that nothing is left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from migrator.commands.binding import bind_project
from migrator.commands.erase_keep_out import linked_among, staged_among
from migrator.commands.erase_proof import in_bases, scrub, search, telling
from migrator.commands.erase_result import BOTH, Erasure, places_of, told
from migrator.commands.erase_subject import Search, Subject, named
from migrator.commands.production import permit
from migrator.commands.project import Project, Workspace
from migrator.core.boundary import boundary
from migrator.core.errors import MigratorError, ProjectError, SafetyStop
from migrator.core.mapped import MappedObject
from migrator.core.twoway import UNREADABLE, Delete, Outcome, Side
from migrator.staging import erasures, journal
from migrator.staging.erasures import Digests, Name, Place, Request
from migrator.staging.ledger import Ledger, open_ledger
from migrator.staging.orphans import remove_orphans
from migrator.staging.purge import Doomed, purge
from migrator.staging.store import Store, writing
from migrator.sync import erasing

OpenSide: TypeAlias = Callable[[Project, str], Side]


@dataclass(slots=True)
class Eraser:
    """One command at work: each step harmless when it was done before."""

    workspace: Workspace
    search: Search
    open_system: OpenSide
    opened: ExitStack
    sides: dict[str, Side | None] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """Of the project."""
        return self.workspace.ledger

    @property
    def objects(self) -> Mapping[str, MappedObject]:
        """Mapping → what it maps."""
        return self.search.objects

    def subject(self, record: str) -> Subject:
        """Everything that stands for the person of a record."""
        name = named(record, self.objects)
        if not self.search.is_known(name):
            raise ProjectError.at(
                "RECORD", f"nothing is known of {record!r}", "is it spelled as `migrator explain` names it?"
            )
        found = self.search.everything([name])
        names = dict.fromkeys([*found.names, *self._in_target(found)])
        return replace(found, names=tuple(sorted(names)))

    def _in_target(self, subject: Subject) -> Iterator[Name]:
        """Records that the new side has under the keys of these, whatever it calls them."""
        for mapping, keys in self.search.target_keys(subject).items():
            obj = self.objects[mapping]
            side = self.side(obj.target_system)
            for record in side.find(obj.target_object, obj.key, sorted(keys), ()) if side else ():
                yield mapping, record.id

    def side(self, system: str) -> Side | None:
        """A system, opened once; None for one that cannot be written to from here."""
        if system not in self.sides:
            try:
                self.sides[system] = self.opened.enter_context(
                    closing(self.open_system(self.workspace.project, system))
                )
            except ProjectError:
                self.sides[system] = None
        side = self.sides[system]
        return None if side is None or side.facts.read_only else side

    def seen(self, place: Place) -> str:
        """What would become of a record."""
        if place.state != "open":
            return place.state
        side = self.side(place.system)
        if side is None:
            return "by hand"
        return "would be deleted" if side.fetch(place.object, [place.id], ()) else "absent"

    def permit(self, places: Sequence[Place], named: Sequence[str]) -> None:
        """Raise `SafetyStop` for production that nobody named."""
        for system in dict.fromkeys(place.system for place in places if place.state not in erasures.DONE):
            if self.side(system) is not None:
                permit(self.workspace.project, system, system if system in named else "")

    def refuse_twice(self, names: Sequence[Name]) -> None:
        """One request at a time is about a record."""
        mine = set(names)
        for request in erasures.requests(self.ledger, open_only=True):
            if any(place.name in mine for place in request.places):
                raise SafetyStop(
                    f"request {request.number} is about this person, and is not done",
                    hint="go on with it: migrator erase again",
                )

    def carry_out(self, request: Request, subject: Subject) -> Erasure:
        """All steps, each harmless when it was done before."""
        values = self._values(request)
        keys = self.search.target_keys(subject)
        forgotten, request = self._forget(request)
        erasures.write_file(self.workspace.project.folder, self.ledger)
        boundary("erase.forgotten")
        request = self._delete(request)
        doomed = subject.doomed(keys)
        taken = purge(self.workspace.store, self.search.session, doomed)
        folder = self.workspace.project.workspace / "files"
        members = remove_orphans(self.workspace.store, self.search.session, folder)
        taken |= {"files": members} if members else {}
        backups = dict(self._backups(request, doomed))
        scrub(self.ledger)
        found = Erasure(request.number, (), forgotten, taken, backups, subject.linked)
        return self._conclude(request, self._proved(request, doomed, values, found))

    def _values(self, request: Request) -> tuple[str, ...]:
        """What is known of the person now: what the search looks for afterwards. Kept in memory only."""
        names = [place.name for place in request.places]
        with self.ledger.read() as connection:
            values: list[object] = list(in_bases(erasing.values_of(connection, names)))
        for place in request.places:
            side = self.side(place.system)
            schema = (
                next((one for one in side.describe() if one.name == place.object), None) if side else None
            )
            if side is not None and schema is not None:
                for record in side.fetch(place.object, [place.id], schema.field_names):
                    values += [value for value in record.values.values() if value is not UNREADABLE]
        return telling(values, names)

    def _forget(self, request: Request) -> tuple[dict[str, int], Request]:
        """One transaction: from here on nothing brings the person back."""
        names = [place.name for place in request.places]
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            asked = request if request.number else erasures.ask(connection, self.ledger, request)
            touched = erasing.forget(connection, self.ledger, names, _kept(request))
            if not request.number:
                hashes = sorted(Digests.of(self.ledger).digest(name) for name in names)
                body = {
                    "request": asked.number,
                    "records": hashes,
                    "who": request.who,
                    "second": request.second,
                }
                journal.append(connection, "erase", body, at=self.ledger.clock.now(), run=self.ledger.run)
        return touched, asked

    def _delete(self, request: Request) -> Request:
        """In the systems; new side first, since an old one may be read again and a new one is what people see."""
        for place in sorted(request.places, key=lambda item: "/" in item.stream):
            if place.state in erasures.DONE:
                continue
            state = self._delete_one(place)
            places = tuple(replace(one, state=state) if one == place else one for one in request.places)
            request = replace(request, places=places)
            with self.ledger.begin() as connection:
                self.ledger.check_fence(connection)
                erasures.put(connection, request)
            boundary("erase.deleted")
        return request

    def _delete_one(self, place: Place) -> str:
        side = self.side(place.system)
        if side is None:
            return "by hand"
        there = side.fetch(place.object, [place.id], ())
        if not there:
            return "absent"
        (answer,) = side.delete(place.object, [Delete(place.id, there[0].version)])
        match answer.outcome:
            case Outcome.DELETED:
                return "deleted"
            case Outcome.MISSING:
                return "absent"
            case _:
                return f"{answer.outcome.value} {answer.code}".strip()

    def _backups(self, request: Request, doomed: Doomed) -> Iterator[tuple[str, str]]:
        """Copies of ledger and staging that runbooks made, each forgetting the same."""
        names = [place.name for place in request.places]
        for folder in sorted((self.workspace.project.workspace / "backups").glob("*")):
            path = folder / "ledger.db"
            if not path.is_file():
                continue
            try:
                copy = open_ledger(
                    f"sqlite:///{path}", self.ledger.clock, project=self.workspace.project.name
                )
                with closing(copy):
                    with copy.begin() as connection:
                        erasing.forget(connection, copy, names, _kept(request))
                        hashed = erasures.hashed(request.places)
                        erasures.keep_hashes(connection, Digests.of(copy), hashed, request.number)
                    purge(Store(folder / "staging", copy), self.search.session, doomed)
                    scrub(copy)
            except MigratorError as error:
                yield folder.name, f"not done: {error.message.splitlines()[0]}"
            else:
                yield folder.name, "forgotten"

    def _proved(self, request: Request, doomed: Doomed, values: Sequence[str], found: Erasure) -> Erasure:
        """Count and search again."""
        names = [place.name for place in request.places]
        with self.ledger.read() as connection:
            left = erasing.left(connection, names)
            holds = journal.verify(connection).holds
        left |= purge(self.workspace.store, self.search.session, doomed)
        return replace(
            found, left=left, journal_holds=holds, searched=search(self.workspace.project.workspace, values),
            places=tuple(told(place, Digests.of(self.ledger)) for place in request.places),
        )  # fmt: skip

    def _conclude(self, request: Request, found: Erasure) -> Erasure:
        whole = (
            not found.by_hand
            and not found.left
            and all(state == "forgotten" for state in found.backups.values())
        )
        now = self.ledger.clock.now()
        path = self.workspace.project.workspace / "erasures" / f"{request.number}.json"
        found = replace(found, done=whole, proof=str(path))
        text = json.dumps(found.to_json() | {"at": now.isoformat()}, ensure_ascii=False, indent=1) + "\n"
        _write(path, text)
        with self.ledger.begin() as connection:
            self.ledger.check_fence(connection)
            erasures.put(connection, replace(request, done_at=now if whole else None))
            body = {
                "request": request.number,
                "done": whole,
                "proof": hashlib.sha256(text.encode()).hexdigest(),
            }
            journal.append(connection, "erased", body, at=now, run=self.ledger.run)
        return found

    def take_up_restored(self) -> None:
        """Make requests anew for whom the file names and a restored ledger knows; the others are only kept out."""
        project, ledger = self.workspace.project, self.ledger
        fresh = erasures.unknown(project.folder, ledger)
        if not fresh:
            return
        known = erasures.of_lines(ledger, fresh)
        names = list(dict.fromkeys(linked_among(self.workspace, known)))
        names += staged_among(self.workspace.store, self.search.session, self.objects, known)
        found = places_of(self.search.everything(names), BOTH) if names else ()
        places = tuple(replace(one, state=erasures.KEPT) if known.stays(one.name) else one for one in found)
        with ledger.begin() as connection:
            ledger.check_fence(connection)
            erasures.keep_lines(connection, fresh)
            if places:
                why = "the ledger was restored from before it was done"
                erasures.ask(connection, ledger, Request(0, ledger.clock.now(), "", "", why, places))


def _kept(request: Request) -> frozenset[Name]:
    """Records on the side that the order is not about."""
    return frozenset(place.name for place in request.places if place.state == erasures.KEPT)


@contextmanager
def at_work(workspace: Workspace, open_system: OpenSide) -> Iterator[Eraser]:
    """What it opens is closed at the end."""
    with ExitStack() as opened:
        session = opened.enter_context(closing(workspace.session()))
        objects = {item.name: item for group in bind_project(workspace).groups for item in group}
        yield Eraser(workspace, Search(workspace, session, objects), open_system, opened)


def _write(path: Path, text: str) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
