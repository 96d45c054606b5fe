"""The verbs that a step may command: what each does, whether it writes to a system, and what facts it establishes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from migrator.core.document import did_you_mean
from migrator.core.errors import Location, ProjectError
from migrator.core.phases import Phase

MANUAL = "manual"
ENTER = "runbook enter"


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb."""

    name: str
    what: str
    writes: bool = False
    """Whether it changes one of the two systems: then a step must say how that is taken back."""
    arguments: bool = False
    """Whether anything may follow it."""


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(MANUAL, "a person does it, and answers the form"),
        Verb(ENTER, "moves the groups into a phase, if its gate lets them", arguments=True),
        Verb("check", "checks all files against both schemas"),
        Verb("profile", "measures every staged column"),
        Verb("extract", "reads the sources into staging"),
        Verb("map", "maps what is staged"),
        Verb("dedupe", "finds duplicates among what was mapped"),
        Verb("plan", "says what a load would do"),
        Verb("load", "writes to the new side what changed", writes=True),
        Verb("run", "extracts, maps, dedupes, plans, loads", writes=True),
        Verb("validate", "compares every row and field, and writes the report"),
        Verb("status", "says what became of every record"),
        Verb("audit verify", "checks the journal"),
        Verb("audit head", "exports the journal's head into the evidence"),
        Verb("runbook backup", "copies ledger and staging, and reads the copy back"),
        Verb(
            "runbook freeze-proof",
            "proves that nobody edits or deletes on the old side any more",
            arguments=True,
        ),
        Verb("runbook final-delta", "pulls until two pulls in a row bring nothing", writes=True),
        Verb("runbook verdict", "compares every row and mapped field of both sides"),
        Verb("runbook canary", "writes, reads and deletes a marked record on the old side", arguments=True),
        Verb("runbook trace", "follows the first edits on the new side to the old one", arguments=True),
        Verb("runbook rehearse", "rehearses another runbook on copies", arguments=True),
        Verb("sync once", "one run of the sync", writes=True, arguments=True),
        Verb("sync check", "whether values come back over both sides as they were"),
        Verb("sync reconcile", "a full compare of both sides by the sync", arguments=True),
    )
}


@dataclass(frozen=True, slots=True)
class Call:
    """A verb and its arguments."""

    verb: Verb
    arguments: tuple[str, ...]

    @property
    def enters(self) -> Phase | None:
        """The phase that it moves groups into; None for other verbs."""
        return Phase(self.arguments[0]) if self.verb.name == ENTER else None


def parse_call(text: str, place: Location) -> Call:
    """The verb and arguments of a command; raises `ProjectError` for what is no verb of this tool."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ProjectError.at(place, f"this is no command: {error}", "close every quote") from error
    for length in (2, 1):
        verb = VERBS.get(" ".join(words[:length]))
        if verb is not None:
            return _checked(Call(verb, tuple(words[length:])), place)
    if words[:1] == ["cutover"]:
        raise ProjectError.at(
            place, f"there is no verb {text!r}", "the verbs of a cutover are called `runbook …`"
        )
    raise ProjectError.at(
        place, f"there is no verb {' '.join(words[:2])!r}",
        did_you_mean(" ".join(words[:2]), VERBS, noun="verbs") + "; another program stands as {external: [program, argument]}",
    )  # fmt: skip


def _checked(call: Call, place: Location) -> Call:
    if call.arguments and not call.verb.arguments:
        raise ProjectError.at(place, f"{call.verb.name} takes no arguments", "leave them out")
    if call.verb.name == ENTER and (len(call.arguments) != 1 or call.arguments[0] not in Phase.__members__):
        raise ProjectError.at(place, "which phase is entered?", f"for example: {ENTER} P5")
    return call
