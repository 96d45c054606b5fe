"""SOQL: a query's text becomes a tree; names are not looked up here.

Grammar: vendor's "SOQL SELECT Syntax"; of it fields, parents' fields, COUNT() and plain aggregates, WHERE, ORDER BY, LIMIT,
OFFSET, ALL ROWS and child queries of one level.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.tree import (
    Aggregate,
    All,
    AnyOf,
    Kind,
    Literal,
    Negated,
    Query,
    Sort,
    Term,
    Test,
)

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.)*')
    | (?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d)
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*(?::\d+)?)
    | (?P<sign>!=|<>|<=|>=|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "N": "\n", "R": "\r", "T": "\t"}
_FUNCTIONS = frozenset({"count", "count_distinct", "min", "max", "sum", "avg"})
_RELATIVE = re.compile(
    r"(?:yesterday|today|tomorrow|(?:last|this|next)_(?:week|month|year)|(?:last|next)_n_(?:days|weeks|months|years):\d+"
    r"|n_days_ago:\d+)", re.IGNORECASE
)  # fmt: skip
LONGEST = 100_000


def parse(text: str) -> Query:
    """The tree of a query; raises `SalesforceError` with MALFORMED_QUERY and the place."""
    if len(text) > LONGEST:
        raise SalesforceError(
            "QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100000 characters."
        )
    parser = _Parser(text)
    query = parser.query()
    if parser.kind:
        raise parser.unexpected()
    return query


def _unescaped(quoted: str, *, pattern: bool) -> str:
    """The text of a literal; in a LIKE pattern an escaped wildcard keeps its backslash."""

    def replace(match: re.Match[str]) -> str:
        letter = match[1]
        if pattern and letter in "%_\\":
            return match[0]
        return _ESCAPED.get(letter, letter)

    return _ESCAPE.sub(replace, quoted[1:-1])


class _Parser:
    """Recursive descent over tokens."""

    def __init__(self, text: str) -> None:
        self.source, self.place = text, 0
        self.start, self.kind = 0, ""
        self.token = ""
        self.step()

    def step(self) -> str:
        taken = self.token
        if _SPACE.fullmatch(self.source, self.place):
            self.kind = self.token = ""
            self.start = self.place
            return taken
        match = _TOKEN.match(self.source, self.place)
        if match is None:
            self.start, self.token = self.place, self.source[self.place : self.place + 10]
            raise self.unexpected()
        self.kind = match.lastgroup or ""
        self.token, self.start, self.place = match[self.kind], match.start(self.kind), match.end()
        return taken

    def unexpected(self) -> SalesforceError:
        near = self.source[max(0, self.start - 30) : self.start + 30]
        if not self.token:
            return SalesforceError("MALFORMED_QUERY", f"\n{near}\nunexpected token: '<EOF>'")
        row = self.source.count("\n", 0, self.start) + 1
        return SalesforceError(
            "MALFORMED_QUERY",
            f"\n{near}\n     ^\nERROR at Row:{row}:Column:{self.start + 1}\nunexpected token: '{self.token}'",
        )

    def at(self, *words: str) -> bool:
        return self.kind in {"name", "sign"} and self.token.casefold() in words

    def take(self, *words: str) -> bool:
        if self.at(*words):
            self.step()
            return True
        return False

    def want(self, word: str) -> None:
        if not self.take(word):
            raise self.unexpected()

    def name(self) -> str:
        if self.kind != "name" or ":" in self.token:
            raise self.unexpected()
        return self.step()

    def whole(self) -> int:
        if self.kind != "number" or not self.token.isdigit():
            raise self.unexpected()
        return int(self.step())

    def list_of(self, item: Callable[[], object]) -> list[object]:
        found = [item()]
        while self.take(","):
            found.append(item())
        return found

    def query(self) -> Query:
        self.want("select")
        fields = tuple(self.list_of(self.field))
        count = fields == (Aggregate("count", "", "expr0"),)
        self.want("from")
        object_name = self.name()
        if self.kind == "name" and not self.at("where", "order", "limit", "offset", "all", "for", "with"):
            self.step()  # an alias
        where = self.any_of() if self.take("where") else None
        order: tuple[Sort, ...] = ()
        if self.take("order"):
            self.want("by")
            order = tuple(self.list_of(self.sort))  # type: ignore[arg-type]
        limit = self.whole() if self.take("limit") else None
        offset = self.whole() if self.take("offset") else 0
        all_rows = self.take("all")
        if all_rows:
            self.want("rows")
        if self.take("for"):
            self.name()
        return Query(fields, object_name, where, order, limit, offset, count, all_rows)  # type: ignore[arg-type]

    def field(self) -> str | Aggregate | Query:
        if self.take("("):
            inner = self.query()
            self.want(")")
            return inner
        name = self.name()
        if not self.take("("):
            return name
        inside = "" if self.at(")") else self.name()
        self.want(")")
        if name.casefold() == "fields":
            return f"FIELDS({inside.upper()})"
        if name.casefold() in _FUNCTIONS:
            alias = self.step() if self.kind == "name" and not self.at("from") else ""
            return Aggregate(name.casefold(), inside, alias or "expr0")
        return inside  # toLabel(x), convertCurrency(x): the value itself

    def sort(self) -> Sort:
        name = self.name()
        descending = self.take("desc")
        if not descending:
            self.take("asc")
        last = False
        if self.take("nulls"):
            last = self.take("last")
            if not last:
                self.want("first")
        return Sort(name, descending, last)

    def any_of(self) -> Term:
        terms = [self.all_of()]
        while self.take("or"):
            terms.append(self.all_of())
        return terms[0] if len(terms) == 1 else AnyOf(tuple(terms))

    def all_of(self) -> Term:
        terms = [self.term()]
        while self.take("and"):
            terms.append(self.term())
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def term(self) -> Term:
        if self.take("not"):
            return Negated(self.term())
        if self.take("("):
            inner = self.any_of()
            self.want(")")
            return inner
        return self.test()

    def test(self) -> Test:
        name = self.name()
        if self.take("not"):
            self.want("in")
            return Test(name, "not in", self.literals())
        for word in ("in", "includes", "excludes"):
            if self.take(word):
                return Test(name, word, self.literals())
        if self.take("like"):
            return Test(name, "like", (self.literal(pattern=True),))
        if self.kind != "sign" or self.token in {"(", ")", ","}:
            raise self.unexpected()
        sign = self.step().replace("<>", "!=")
        return Test(name, sign, (self.literal(),))

    def literals(self) -> tuple[Literal, ...]:
        self.want("(")
        found = tuple(self.list_of(self.literal))
        self.want(")")
        return found  # type: ignore[return-value]

    def literal(self, *, pattern: bool = False) -> Literal:
        kind, word = self.kind, self.token
        match kind:
            case "text":
                found = Literal(Kind.TEXT, _unescaped(word, pattern=pattern))
            case "instant":
                found = Literal(Kind.INSTANT, word)
            case "date":
                found = Literal(Kind.DATE, word)
            case "number":
                found = Literal(Kind.NUMBER, word)
            case "name" if word.casefold() in {"true", "false"}:
                found = Literal(Kind.BOOLEAN, word.casefold())
            case "name" if word.casefold() == "null":
                found = Literal(Kind.NULL, "")
            case "name" if _RELATIVE.fullmatch(word):
                found = Literal(Kind.RELATIVE, word.casefold())
            case _:
                raise self.unexpected()
        self.step()
        return found
