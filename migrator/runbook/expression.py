"""Conditions of a runbook: facts compared with values, parsed by a small grammar, never evaluated as code.

::

    condition := all ('or' all)*          all := one ('and' one)*
    one       := 'not' one | '(' condition ')' | FACT | FACT ('<'|'<='|'>'|'>='|'=='|'!=') (VALUE | FACT)
    VALUE     := 3 | 2.5 | 20% | 15m | 1h30m | yes | no | green        FACT := verdict.age, lag, …

A fact that is not known makes a comparison with it unknown, and what is unknown does not hold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from migrator.core.document import did_you_mean
from migrator.runbook.durations import seconds, spoken
from migrator.runbook.facts import CATALOGUE, Fact, Facts, Kind, Value

LONGEST = 500
"""Characters of a condition."""
DEEPEST = 20
_TOKEN = re.compile(
    r"\s*(?:(?P<time>(?:\d+(?:\.\d+)?[dhms])+)\b|(?P<number>\d+(?:\.\d+)?)%?|(?P<name>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)"
    r"|(?P<sign><=|>=|==|!=|<|>|\(|\)))"
)
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip
_FLAGS = {"yes": True, "no": False, "true": True, "false": False}


class NotACondition(ValueError):
    """A text is no condition: what is wrong, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Join(Enum):
    """How conditions are put together."""

    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A fact compared with a value or with another fact."""

    fact: Fact
    sign: str
    value: Value | Fact


@dataclass(frozen=True, slots=True)
class Negation:
    """What must not hold."""

    of: Condition


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions of which all, or one, must hold."""

    join: Join
    parts: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Negation | Joined


@dataclass(frozen=True, slots=True)
class Finding:
    """What a condition came to; `holds` is None when a fact that decides it is not known."""

    holds: bool | None
    read: dict[str, Value | None]
    """Every fact that was asked for, and what it was."""

    @property
    def told(self) -> str:
        """The facts in words: `verdict.age is 26h, feed.memory is not known`."""
        return ", ".join(f"{name} is {shown(name, value)}" for name, value in self.read.items())


def shown(name: str, value: Value | None) -> str:
    """A fact's value as people read it."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return spoken(value) if CATALOGUE[name].kind is Kind.DURATION else f"{value:g}"


def parse_condition(text: str) -> Condition:
    """The condition that a text is; raises `NotACondition` for anything else, unknown facts and unlike kinds included."""
    if len(text) > LONGEST:
        raise NotACondition(f"a condition of {len(text):,} characters", f"at most {LONGEST}; write several")
    reader = _Reader(_tokens(text))
    if sum(token in {"(", "not"} for _, token in reader.rest) > DEEPEST:
        raise NotACondition("this stands too deep inside itself", "write several conditions")
    found = reader.condition()
    if reader.rest:
        raise NotACondition(f"{reader.rest[0][1]!r} is too much here", "put 'and' or 'or' between conditions")
    return found


def evaluate(condition: Condition, facts: Facts, group: str) -> Finding:
    """What a condition comes to with these facts."""
    read: dict[str, Value | None] = {}
    return Finding(_holds(condition, facts, group, read), read)


def _holds(condition: Condition, facts: Facts, group: str, read: dict[str, Value | None]) -> bool | None:
    match condition:
        case Comparison():
            return _compare(condition, facts, group, read)
        case Negation(of=part):
            found = _holds(part, facts, group, read)
            return None if found is None else not found
        case Joined(join=join, parts=parts):
            found_all = [_holds(part, facts, group, read) for part in parts]
            decided = join is Join.OR
            if decided in found_all:
                return decided
            return None if None in found_all else not decided


def _compare(item: Comparison, facts: Facts, group: str, read: dict[str, Value | None]) -> bool | None:
    left = read[item.fact.name] = facts.value(item.fact.name, group)
    right: Value | None
    if isinstance(item.value, Fact):
        right = read[item.value.name] = facts.value(item.value.name, group)
    else:
        right = item.value
    if left is None or right is None:
        return None
    if item.sign in {"==", "!="}:
        return (left == right) is (item.sign == "==")
    return _COMPARE[item.sign](float(left), float(right))


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise NotACondition(
                f"{text[at:].split(maxsplit=1)[0]!r} cannot stand in a condition",
                "for example: verdict.age <= 24h",
            )
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class _Reader:
    """Reads a list of tokens from its front."""

    def __init__(self, rest: list[tuple[str, str]]) -> None:
        self.rest = rest

    def condition(self) -> Condition:
        return self._joined(Join.OR, lambda: self._joined(Join.AND, self._one))

    def _joined(self, join: Join, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._next_is(join.value):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(join, tuple(parts))

    def _one(self) -> Condition:
        if self._next_is("not"):
            return Negation(self._one())
        if self._next_is("("):
            found = self.condition()
            if not self._next_is(")"):
                raise NotACondition("a parenthesis is not closed")
            return found
        return self._comparison()

    def _comparison(self) -> Comparison:
        fact = self._fact()
        if not self.rest or self.rest[0][1] not in {*_COMPARE, "==", "!="}:
            if fact.kind is not Kind.FLAG:
                raise NotACondition(
                    f"{fact.name} is a {fact.kind.value}: compare it",
                    f"for example: {fact.name} {_example(fact)}",
                )
            return Comparison(fact, "==", value=True)
        sign = self.rest.pop(0)[1]
        if sign in _COMPARE and fact.kind in {Kind.FLAG, Kind.WORD}:
            raise NotACondition(
                f"{fact.name} is a {fact.kind.value} and has no order", "compare with == or !="
            )
        return Comparison(fact, sign, self._value(fact))

    def _fact(self) -> Fact:
        kind, text = self._take("a fact")
        if kind != "name":
            raise NotACondition(f"{text!r} is no fact", "a condition begins with a fact: verdict.age <= 24h")
        if text not in CATALOGUE:
            raise NotACondition(f"there is no fact {text!r}", did_you_mean(text, CATALOGUE, noun="facts"))
        return CATALOGUE[text]

    def _value(self, fact: Fact) -> Value | Fact:
        kind, text = self._take("a value")
        other = CATALOGUE.get(text)
        if other is not None and other.kind is fact.kind:
            return other
        match fact.kind, kind:
            case Kind.NUMBER, "number":
                return float(text)
            case Kind.DURATION, "time":
                return seconds(text)
            case Kind.FLAG, "name" if text in _FLAGS:
                return _FLAGS[text]
            case Kind.WORD, "name" if text in fact.words:
                return text
        raise NotACondition(
            f"{fact.name} is a {fact.kind.value}, {text!r} is none"
            + (f" of {', '.join(fact.words)}" if fact.words else ""),
            f"for example: {fact.name} {_example(fact)}",
        )

    def _take(self, wanted: str) -> tuple[str, str]:
        if not self.rest:
            raise NotACondition(f"{wanted} is missing at the end", "for example: verdict.age <= 24h")
        return self.rest.pop(0)

    def _next_is(self, word: str) -> bool:
        if self.rest and self.rest[0][1] == word:
            self.rest.pop(0)
            return True
        return False


def _example(fact: Fact) -> str:
    match fact.kind:
        case Kind.NUMBER:
            return "== 0"
        case Kind.DURATION:
            return "<= 1h"
        case Kind.FLAG:
            return "== yes"
        case Kind.WORD:
            return f"== {fact.words[0]}"
