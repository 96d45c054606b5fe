"""OData `$filter` and `$orderby` as conditions of the record store: a tokeniser, and a parser of one level a rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from connectors.sandbox.dataverse.faults import Refusal
from connectors.sandbox.where import Compare, Every, In, Like, Not, Null, Operator, Order, Path, Some, Where

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<stamp>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?)|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w./]*)|(?P<sign>[()\[\],=]))"
)
_OPERATORS = {"eq": Operator.EQUAL, "ne": Operator.UNEQUAL, "gt": Operator.GREATER, "ge": Operator.GREATER_EQUAL,
              "lt": Operator.LESS, "le": Operator.LESS_EQUAL}  # fmt: skip
_PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
_WORDS = {"null": None, "true": True, "false": False}
_IN = "Microsoft.Dynamics.CRM.In"


class Parser:
    """One filter; `column` turns a property into a column, or refuses it."""

    def __init__(self, text: str, column: Callable[[str], str]) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._column = column

    def parse(self) -> Where:
        """The whole of it; raises `Refusal`."""
        found = self._some()
        if self._at < len(self._tokens):
            raise _wrong(f"'{self._tokens[self._at][1]}' was not expected")
        return found

    def _some(self) -> Where:
        terms = [self._every()]
        while self._taken("or"):
            terms.append(self._every())
        return terms[0] if len(terms) == 1 else Some(tuple(terms))

    def _every(self) -> Where:
        terms = [self._term()]
        while self._taken("and"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Every(tuple(terms))

    def _term(self) -> Where:
        if self._taken("not"):
            return Not(self._term())
        if self._taken("("):
            found = self._some()
            self._need(")")
            return found
        name = self._name()
        if name == _IN:
            return self._in()
        if name in _PATTERNS:
            return self._pattern(name)
        return self._comparison(Path(self._column(name)))

    def _comparison(self, path: Path) -> Where:
        word = self._name()
        if word not in _OPERATORS:
            raise _wrong(f"'{word}' is no operator")
        value = self._value()
        if value is None:
            return Null(path) if word == "eq" else Not(Null(path))
        if word == "ne":
            return Some((Compare(path, Operator.UNEQUAL, value), Null(path)))
        return Compare(path, _OPERATORS[word], value)

    def _in(self) -> Where:
        for part in ("(", "PropertyName", "="):
            self._need(part)
        path = Path(self._column(str(self._value())))
        for part in (",", "PropertyValues", "=", "["):
            self._need(part)
        values: list[object] = []
        while not self._taken("]"):
            values.append(self._value())
            self._taken(",")
        self._need(")")
        return In(path, tuple(values))

    def _pattern(self, name: str) -> Where:
        self._need("(")
        path = Path(self._column(self._name()))
        self._need(",")
        sought = re.sub(r"([%_\\])", r"\\\1", str(self._value()))
        self._need(")")
        return Like(path, _PATTERNS[name].format(sought))

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "name":
            raise _wrong(f"a name was expected, not '{text}'")
        return text

    def _value(self) -> Any:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "name" and text in _WORDS:
            return _WORDS[text]
        if kind in {"guid", "stamp", "number"}:
            return text.lower() if kind == "guid" else text
        raise _wrong(f"a value was expected, not '{text}'")

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise _wrong("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _taken(self, text: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at][1] == text
        self._at += found
        return found

    def _need(self, text: str) -> None:
        if not self._taken(text):
            raise _wrong(f"'{text}' was expected")


def order(text: str, column: Callable[[str], str]) -> tuple[Order, ...]:
    """`$orderby`; raises `Refusal`."""
    found = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        name, _, direction = part.partition(" ")
        if direction.strip() not in {"", "asc", "desc"}:
            raise _wrong(f"'{direction}' is no direction")
        found.append(Order(Path(column(name)), descending=direction.strip() == "desc"))
    return tuple(found)


def after(orders: tuple[Order, ...], last: list[Any]) -> Where:
    """What comes after a record with these values in the order."""
    terms: list[Where] = []
    for number, item in enumerate(orders):
        same: list[Where] = [
            Null(one.path) if value is None else Compare(one.path, Operator.EQUAL, value)
            for one, value in zip(orders[:number], last, strict=False)
        ]
        value = last[number]
        if value is None:  # empty values come first
            beyond: Where = Not(Null(item.path))
        else:
            beyond = Compare(item.path, Operator.LESS if item.descending else Operator.GREATER, value)
        terms.append(Every((*same, beyond)))
    return Some(tuple(terms))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _wrong(f"it cannot be read from '{text[at : at + 20]}' on")
        at = found.end()
        kind = str(found.lastgroup)
        yield kind, found[kind]


def _wrong(why: str) -> Refusal:
    return Refusal(400, "0x80060888", f"Syntax error in the query: {why}.")
