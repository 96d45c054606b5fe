"""Answers of people to the forms of manual steps: read from a file for those who prepared them, checked wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.core.document import Document, did_you_mean
from migrator.core.errors import ProjectError, SafetyStop
from migrator.runbook.durations import seconds
from migrator.runbook.facts import CATALOGUE, Kind, Value
from migrator.runbook.model import Question
from migrator.runbook.parse import Placed

_YES, _NO = frozenset({"yes", "y", "true"}), frozenset({"no", "n", "false"})
BY = "by"


def read_answer(name: str, question: Question, text: str) -> Value:
    """The value that an answer means; raises `ValueError`, saying what it must be."""
    said = text.strip()
    fact = CATALOGUE.get(name)
    match question.type:
        case "yes_no":
            if said.lower() in _YES | _NO:
                return said.lower() in _YES
            raise ValueError("yes or no")
        case "number":
            try:
                return float(said.removesuffix("%").replace(",", ""))
            except ValueError:
                raise ValueError("a number") from None
        case "time":
            try:
                return seconds(said)
            except ValueError:
                raise ValueError("a time such as 15m or 2h") from None
        case "text" if fact is not None and fact.kind is Kind.WORD and said not in fact.words:
            raise ValueError(f"one of: {', '.join(fact.words)}")
        case "text" | "file":
            if not said:
                raise ValueError("something: it is on record afterwards")
            return said


@dataclass(frozen=True, slots=True)
class NobodyThere:
    """Nobody can be asked."""

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """Raises `SafetyStop` always."""
        raise SafetyStop(
            f"{placed.id} ({placed.rule.title}) waits for a person",
            hint="run it in a terminal, or give the answers with --answers FILE",
        )


class FileAnswers:
    """Answers in a YAML file: step → field → answer, and `by`: who answered. What is not in it is asked of `otherwise`."""

    def __init__(self, path: Path, otherwise: Any) -> None:
        self._document = Document.read(path)
        data = self._document.texts()
        if not isinstance(data, dict):
            raise ProjectError.at(
                str(path), "answers stand under the ids of their steps", "STEP: {by: NAME, FIELD: yes}"
            )
        self._data: dict[str, Any] = data
        self._otherwise = otherwise

    def answers(self, placed: Placed) -> tuple[str, Mapping[str, Value]]:
        """The answers to one form; raises `ProjectError` at the place of an answer that is none."""
        name = placed.id if placed.id in self._data else placed.rule.id
        given = self._data.get(name)
        if given is None:
            found: tuple[str, Mapping[str, Value]] = self._otherwise.answers(placed)
            return found
        if not isinstance(given, dict) or not given.get(BY):
            raise ProjectError.at(self._document.locate((name,)), f"who answered {name}?", "by: NAME")
        form = placed.rule.form
        for field in given:
            if field != BY and field not in form:
                hint = did_you_mean(field, form, noun="fields")
                raise ProjectError.at(
                    self._document.locate_key((name, field)), f"{name} does not ask {field!r}", hint
                )
        return str(given[BY]), {
            field: self._value(name, field, question, given) for field, question in form.items()
        }

    def _value(self, step: str, field: str, question: Question, given: Mapping[str, Any]) -> Value:
        if field not in given:
            raise ProjectError.at(
                self._document.locate((step,)), f"{step} asks {field}: {question.ask}", "answer it"
            )
        try:
            return read_answer(field, question, str(given[field] or ""))
        except ValueError as error:
            place = self._document.locate((step, field))
            raise ProjectError.at(
                place, f"{field} must be {error}, not {given[field]!r}", question.ask
            ) from error


def ask_each(placed: Placed, ask: Callable[[str], str], tell: Callable[[str], None]) -> dict[str, Value]:
    """Ask every question of a form until its answer is one."""
    found: dict[str, Value] = {}
    for name, question in placed.rule.form.items():
        while name not in found:
            try:
                found[name] = read_answer(name, question, ask(question.ask))
            except ValueError as error:
                tell(f"it must be {error}")
    return found
