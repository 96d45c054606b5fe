"""The documents of a validation drawn anew in another language or format, and the signatures on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from migrator.commands.project import Project, open_workspace
from migrator.core.clock import SystemClock
from migrator.core.document import did_you_mean
from migrator.core.errors import DataError, FatalError, ProjectError

_END = "signoff:{run}"
"""Under which name the ledger keeps the end of a report's chain of signatures."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Where each document was written."""

    files: dict[str, Path]

    def to_json(self) -> dict[str, str]:
        """For `--json`."""
        return {name: str(path) for name, path in self.files.items()}


@dataclass(frozen=True, slots=True)
class SignOff:
    """The signatures on a report, and what was changed since: nothing, when they hold."""

    folder: Path
    signatures: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "report": str(self.folder), "signatures": list(self.signatures), "problems": list(self.problems),
            "holds": not self.problems,
        }  # fmt: skip

    def raise_unless_it_holds(self) -> None:
        """Raise `DataError` when report or signatures were changed."""
        if self.problems:
            raise DataError("; ".join(self.problems), hint="validate again, and have that report signed")


def report(project: Project, run: str, *, language: str, formats: Sequence[str]) -> Drawn:
    """Draw the documents of a validation anew from its folder; `run` '' means the newest."""
    from validation.documents import FORMATS, write_documents

    for name in formats:
        if name not in FORMATS:
            raise ProjectError.at("--format", f"there is no format {name!r}", did_you_mean(name, FORMATS))
    return Drawn(write_documents(find_report(project, run), check_language(language), formats or FORMATS))


def sign(project: Project, run: str, *, role: str, name: str, decision: str, comment: str) -> SignOff:
    """Add a signature to a report and draw its documents with it."""
    from validation import signoff
    from validation.documents import write_documents

    for option, value in (("--role", role), ("--name", name)):
        if not value.strip():
            raise ProjectError.at(option, "is empty", "a signature needs a role and a name")
    if decision not in signoff.DECISIONS:
        hint = did_you_mean(decision, signoff.DECISIONS)
        raise ProjectError.at("--decision", f"there is no decision {decision!r}", hint)
    folder = find_report(project, run)
    with open_workspace(project) as workspace:
        key = _END.format(run=folder.name)
        signoff.sign(
            folder, role=role, name=name, decision=decision, comment=comment, at=SystemClock().now(),
            end=workspace.ledger.noted(key),
        )  # fmt: skip
        workspace.ledger.note(key, signoff.chain_end(folder))
    write_documents(folder, "en")
    return verify(project, folder.name)


def verify(project: Project, run: str) -> SignOff:
    """Whether a report and its signatures are as they were signed; `run` '' means the newest."""
    from validation import signoff

    folder = find_report(project, run)
    with open_workspace(project) as workspace:
        found = signoff.problems(folder, workspace.ledger.noted(_END.format(run=folder.name)))
    lines = () if found else tuple(asdict(item) for item in signoff.signatures(folder))
    return SignOff(folder, lines, found)


def check_language(language: str) -> str:
    """The catalogue's name of a language, 'zh-CN' for 'zh_CN' allowed; raises `ProjectError` for an unknown one."""
    from validation.messages import LANGUAGES

    known = {name.lower(): name for name in LANGUAGES}
    found = known.get(language.replace("-", "_").lower())
    if found is None:
        raise ProjectError.at(
            "--lang", f"there is no language {language!r}", f"known: {', '.join(LANGUAGES)}"
        )
    return found


def find_report(project: Project, run: str) -> Path:
    """The folder of a validation; raises `ProjectError` when there is none of that name."""
    folders = {path.parent.name: path for path in (project.folder / "reports").glob("*/report.json")}
    if not folders:
        raise ProjectError.at(
            str(project.folder / "reports"), "there is no report yet", "run: migrator validate"
        )
    if run and run not in folders:
        raise ProjectError.at(
            "RUN",
            f"there is no report of the run {run!r}",
            did_you_mean(run, folders, noun="runs with a report"),
        )
    return (folders[run] if run else max(folders.values(), key=_made)).parent


def _made(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["at"])
    except OSError as error:
        raise FatalError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        return ""
