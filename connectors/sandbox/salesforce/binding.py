"""A parsed query bound to an organisation: names become fields and paths, literals values of the fields' types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connectors.sandbox.reading import Read
from connectors.sandbox.salesforce import tree
from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.ids import canonical
from connectors.sandbox.salesforce.metadata import Entity, Info
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.spans import span
from connectors.sandbox.where import (
    EVERYTHING,
    Compare,
    Every,
    In,
    Like,
    Not,
    Null,
    Operator,
    Order,
    Path,
    Rows,
    Some,
    Where,
)

_ALLOWED = {
    "boolean": {tree.Kind.BOOLEAN}, "int": {tree.Kind.NUMBER}, "double": {tree.Kind.NUMBER},
    "currency": {tree.Kind.NUMBER}, "percent": {tree.Kind.NUMBER},
    "date": {tree.Kind.DATE, tree.Kind.RELATIVE}, "datetime": {tree.Kind.INSTANT, tree.Kind.RELATIVE},
}  # fmt: skip
"""Which literals a field takes; every other type takes text."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One field of the answer: the names it nests under, and the field itself."""

    steps: tuple[str, ...]
    """Names of the relationships, outermost first."""
    info: Info
    path: Path
    target: str = ""
    """With steps: the object of the record that carries it; '' when it may be one of several."""


@dataclass(frozen=True, slots=True)
class Child:
    """A child query: the records of `bound` whose field `via` refers to the outer record."""

    name: str
    via: str
    query: tree.Query


@dataclass(frozen=True, slots=True)
class Bound:
    """A query that can be run."""

    entity: Entity
    fields: tuple[Selected, ...]
    children: tuple[Child, ...]
    read: Read
    count: bool
    aggregates: tuple[tree.Aggregate, ...] = ()


def bind(org: Org, query: tree.Query, *, deleted_too: bool = False) -> Bound:
    """Look every name up; raises `SalesforceError` with INVALID_TYPE or INVALID_FIELD."""
    entity = org.entity(query.object)
    binder = _Binder(org, entity)
    children = tuple(binder.child(item) for item in query.fields if isinstance(item, tree.Query))
    aggregates = tuple(item for item in query.fields if isinstance(item, tree.Aggregate))
    fields = tuple(
        found
        for item in query.fields
        if isinstance(item, str)
        for found in binder.selected(item, query.limit)
    )
    read = Read(
        entity.name,
        tuple(item.path for item in fields if item.info.type != "address"),
        EVERYTHING if query.where is None else binder.where(query.where),
        tuple(Order(binder.sorted(item.field), item.descending, item.nulls_last) for item in query.order),
        query.limit, query.offset, Rows.ALL if deleted_too or query.all_rows else Rows.LIVE,
    )  # fmt: skip
    return Bound(entity, fields, children, read, query.count, () if query.count else aggregates)


@dataclass(frozen=True, slots=True)
class _Binder:
    org: Org
    entity: Entity

    def selected(self, name: str, limit: int | None) -> list[Selected]:
        """The fields that one item of the SELECT list means; a compound one brings its parts."""
        if name.startswith("FIELDS("):
            if name != "FIELDS(STANDARD)" and (limit is None or limit > 200):
                raise SalesforceError(
                    "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200"
                )
            wanted = {"FIELDS(ALL)": (True, False), "FIELDS(CUSTOM)": (True,), "FIELDS(STANDARD)": (False,)}
            return [
                Selected((), info, Path(info.name))
                for info in self.entity.fields.values()
                if info.custom in wanted.get(name, ()) and info.type != "address"
            ]
        found = self.resolve(name)
        if found.info.type != "address":
            return [found]
        return [found, *(Selected((), part, Path(part.name)) for part in self.entity.parts(found.info.name))]

    def resolve(self, name: str) -> Selected:
        """A field, perhaps of a parent: 'Account.Owner.Name'."""
        *steps, last = name.split(".")
        if steps and steps[0].casefold() == self.entity.name.casefold():
            steps = steps[1:]
        entity, via, targets = self.entity, [], [self.entity]
        for step in steps:
            reference = entity.through(step)
            if reference is None:
                raise SalesforceError(
                    "INVALID_FIELD",
                    f"Didn't understand relationship '{step}' in field path. If you are attempting to use a custom "
                    "relationship, be sure to append the '__r' after the custom relationship name.",
                )
            via.append(reference.name)
            targets = self._targets(reference)
            entity = next((item for item in targets if item.find(last)), targets[0])
        info = self.org.field(entity, last)
        if info.type == "base64" and steps:
            raise SalesforceError("INVALID_FIELD", f"{name} cannot be queried here", (name,))
        return Selected(
            tuple(steps), info, Path(info.name, tuple(via)), entity.name if len(targets) == 1 else ""
        )

    def _targets(self, reference: Info) -> list[Entity]:
        if reference.references == ("*",):
            return [self.org.entity("Account"), *self.org.entities.values()]
        return [self.org.entity(name) for name in reference.references]

    def sorted(self, name: str) -> Path:
        """The path of a sort key."""
        found = self.resolve(name)
        if found.info.type in {"address", "base64"} or (
            found.info.type == "textarea" and found.info.length > 255
        ):
            raise SalesforceError(
                "INVALID_FIELD", f"field '{name}' can not be sorted in a query call", (name,)
            )
        return found.path

    def child(self, query: tree.Query) -> Child:
        """A child query, found by the plural of an object or by a custom relationship's name."""
        wanted = query.object.casefold()
        for entity in self.org.entities.values():
            for info in entity.fields.values():
                if (
                    info.type == "reference"
                    and self.entity.name in info.references
                    and wanted == _children(entity)
                ):
                    return Child(query.object, info.name, query)
        raise SalesforceError(
            "INVALID_TYPE", f"Didn't understand relationship '{query.object}' in FROM part of query call."
        )

    def where(self, term: tree.Term) -> Where:
        """A condition."""
        match term:
            case tree.All(terms):
                return Every(tuple(self.where(item) for item in terms))
            case tree.AnyOf(terms):
                return Some(tuple(self.where(item) for item in terms))
            case tree.Negated(inner):
                return Not(self.where(inner))
            case tree.Test():
                return self.test(term)

    def test(self, test: tree.Test) -> Where:
        """A comparison; `!=` and NOT IN hold for empty fields too, and an empty checkbox is false."""
        found = self.resolve(test.field)
        if found.info.type in {"address", "base64"} or (
            found.info.type == "textarea" and found.info.length > 255
        ):
            raise SalesforceError(
                "INVALID_FIELD", f"field '{test.field}' can not be filtered in a query call", (test.field,)
            )
        match test.operator:
            case "in":
                return self._in(found, test)
            case "not in":
                return Not(self._in(found, test))
            case "like":
                return Like(found.path, self._text(found, test.literals[0]))
            case "includes" | "excludes":
                some = Some(tuple(self._includes(found, item) for item in test.literals))
                return Not(some) if test.operator == "excludes" else some
            case _:
                return self._compare(found, test.operator, test.literals[0])

    def _in(self, found: Selected, test: tree.Test) -> Where:
        null = any(item.kind is tree.Kind.NULL for item in test.literals)
        values = tuple(self._value(found, item) for item in test.literals if item.kind is not tree.Kind.NULL)
        return Some((In(found.path, values), Null(found.path))) if null else In(found.path, values)

    def _includes(self, found: Selected, literal: tree.Literal) -> Where:
        parts = [part.replace("%", r"\%").replace("_", r"\_") for part in literal.text.split(";")]
        return Every(
            tuple(
                Some(
                    tuple(Like(found.path, form) for form in (part, f"{part};%", f"%;{part}", f"%;{part};%"))
                )
                for part in parts
            )
        )

    def _compare(self, found: Selected, sign: str, literal: tree.Literal) -> Where:
        if literal.kind is tree.Kind.NULL:
            if sign not in {"=", "!="}:
                raise SalesforceError("MALFORMED_QUERY", f"null cannot be compared by '{sign}'")
            return Null(found.path) if sign == "=" else Not(Null(found.path))
        if literal.kind is tree.Kind.RELATIVE:
            return self._relative(found, sign, literal)
        value = self._value(found, literal)
        if sign == "!=":
            return Not(self._equal(found, value))
        return self._equal(found, value) if sign == "=" else Compare(found.path, Operator(sign), value)

    def _equal(self, found: Selected, value: object) -> Where:
        same = Compare(found.path, Operator.EQUAL, value)
        empty_too = value == "" or (found.info.type == "boolean" and value == "false")
        return Some((same, Null(found.path))) if empty_too else same

    def _text(self, found: Selected, literal: tree.Literal) -> str:
        if literal.kind is not tree.Kind.TEXT or found.info.type in _ALLOWED:
            raise SalesforceError(
                "INVALID_FIELD", f"invalid operator on {found.info.name} field", (found.info.name,)
            )
        return literal.text

    def _value(self, found: Selected, literal: tree.Literal) -> object:
        kinds = _ALLOWED.get(found.info.type, {tree.Kind.TEXT})
        if literal.kind not in kinds:
            quoted = " and should not be enclosed in quotes" if literal.kind is tree.Kind.TEXT else ""
            raise SalesforceError(
                "INVALID_FIELD",
                f"value of filter criterion for field '{found.info.name}' must be of type {found.info.type}{quoted}",
                (found.info.name,),
            )
        if found.info.type in {"id", "reference"} and literal.text:
            record = canonical(literal.text)
            if record is None:
                raise SalesforceError(
                    "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {literal.text}", (found.info.name,)
                )
            return record
        return literal.text

    def _relative(self, found: Selected, sign: str, literal: tree.Literal) -> Where:
        """A range of days: before it, in it, after it."""
        if found.info.type not in {"date", "datetime"}:
            self._value(found, literal)
        start, end = span(literal.text, self.org.clock.now())

        def at(moment: datetime) -> object:
            return moment.date() if found.info.type == "date" else moment

        inside = Every(
            (
                Compare(found.path, Operator.GREATER_EQUAL, at(start)),
                Compare(found.path, Operator.LESS, at(end)),
            )
        )
        ranges: dict[str, Where] = {
            "=": inside,
            "!=": Not(inside),
            "<": Compare(found.path, Operator.LESS, at(start)),
            "<=": Compare(found.path, Operator.LESS, at(end)),
            ">": Compare(found.path, Operator.GREATER_EQUAL, at(end)),
            ">=": Compare(found.path, Operator.GREATER_EQUAL, at(start)),
        }
        return ranges[sign]


def _children(entity: Entity) -> str:
    """The relationship name of an object's children: 'contacts', 'opportunities', 'orders__r'."""
    name = entity.name.casefold()
    if name.endswith("__c"):
        return f"{name[:-3]}s__r"
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
