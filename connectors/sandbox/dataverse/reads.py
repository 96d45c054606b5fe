"""Sets of rows: pages by a cookie that goes on after the last row, changes since a version, deletions, parties."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from connectors.sandbox.dataverse import query
from connectors.sandbox.dataverse.faults import Refusal
from connectors.sandbox.dataverse.model import PARTY, UNTRACKED, set_name
from connectors.sandbox.dataverse.wire import Rows, column_of
from connectors.sandbox.reading import Read
from connectors.sandbox.records import Store
from connectors.sandbox.values import parse_instant
from connectors.sandbox.where import Every, In, Order, Path, Where
from migrator.core.schema import FieldSchema, FieldType, ObjectSchema

MOST_ROWS = 5_000
EXPIRED = "0x80044352"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request for rows asks, as the address and `Prefer` say it."""

    options: Mapping[str, str]
    prefer: str
    address: str
    """Of the set, absolute: what links begin with."""

    def option(self, name: str) -> str:
        """A query option without its dollar sign; '' when it is not given."""
        return self.options.get(f"${name}", "")

    @property
    def page(self) -> int:
        """How many rows a page has."""
        found = re.search(r"odata\.maxpagesize=(\d+)", self.prefer)
        return max(1, min(int(found[1]) if found else MOST_ROWS, MOST_ROWS))

    @property
    def annotated(self) -> bool:
        """Whether formatted values and the tables of look-ups are wanted."""
        return "odata.include-annotations" in self.prefer

    @property
    def tracked(self) -> bool:
        """Whether changes are tracked from here on."""
        return "odata.track-changes" in self.prefer or "$deltatoken" in self.options

    def link(self, **more: str) -> str:
        """A link of the answer: the same request with other options."""
        kept = {
            name: value for name, value in self.options.items() if name not in {"$skiptoken", "$deltatoken"}
        }
        listed = kept | {f"${name}": value for name, value in more.items()}
        return f"{self.address}?" + "&".join(
            f"{name}={quote(value, safe='')}" for name, value in listed.items()
        )


@dataclass(slots=True)
class Reader:
    """Reads one table for requests."""

    store: Store
    schema: ObjectSchema
    days: int = 7
    """How long a version is remembered."""

    def page(self, wanted: Wanted) -> dict[str, Any]:
        """A page of rows, or of changes; raises `Refusal`."""
        if wanted.tracked:
            return self._tracked(wanted)
        orders = self._orders(wanted)
        where = self._where(wanted)
        cookie = _cookie(wanted.option("skiptoken"))
        terms = [where] + ([query.after(orders, cookie["after"])] if cookie else [])
        top = int(wanted.option("top") or 0) - (cookie or {}).get("seen", 0) if wanted.option("top") else None
        size = wanted.page if top is None else min(wanted.page, top)
        found = self._select(wanted, Every(tuple(terms)), orders, size + 1)
        told: dict[str, Any] = {"value": self._told(wanted, [values for values, _ in found[:size]])}
        if wanted.option("count") == "true":
            told["@odata.count"] = min(self.store.count(self.schema.name, where), MOST_ROWS)
        if len(found) > size and (top is None or size < top):
            seen = (cookie or {}).get("seen", 0) + size
            told["@odata.nextLink"] = wanted.link(
                skiptoken=_sealed({"after": found[size - 1][1], "seen": seen})
            )
        return told

    def one(self, wanted: Wanted, record: str) -> dict[str, Any] | None:
        """One row, or None."""
        rows = self._rows(wanted)
        own = In(Path(self.schema.key), (record,))
        found = self.store.select(Read(self.schema.name, rows.paths(), own))
        return self._told(wanted, found)[0] if found else None

    # -- changes

    def _tracked(self, wanted: Wanted) -> dict[str, Any]:
        if self.schema.name in UNTRACKED:
            raise Refusal(400, "0x80048d1a", f"Change tracking is not enabled for entity {self.schema.name}")
        if any(wanted.option(name) for name in ("filter", "orderby", "expand", "top")):
            raise Refusal(400, "0x80060888", "The query options are not supported with change tracking")
        cookie = _cookie(wanted.option("skiptoken"))
        since = self._since(wanted.option("deltatoken"))
        begun = {"since": since, "upto": self.store.version} if cookie is None else cookie
        orders = (Order(Path(self.schema.key)),)
        after = query.after(orders, cookie["after"]) if cookie else Every(())
        found = self._select(wanted, after, orders, wanted.page + 1, since=begun["since"])
        rows = self._told(wanted, [values for values, _ in found[: wanted.page]])
        if len(found) > wanted.page:
            more = {**begun, "after": found[wanted.page - 1][1]}
            return {"value": rows, "@odata.nextLink": wanted.link(skiptoken=_sealed(more))}
        if begun["since"] is not None:
            rows += [
                {
                    "@odata.context": f"{wanted.address.rpartition('/')[0]}/$metadata#{set_name(self.schema.name)}/$deletedEntity",
                    "id": item.id,
                    "reason": "deleted",
                }
                for item in self.store.deletions(self.schema.name, since=begun["since"])
            ]
        token = f"{begun['upto']}!{self.store.now()}"
        return {"value": rows, "@odata.deltaLink": wanted.link(deltatoken=token)}

    def _since(self, token: str) -> int | None:
        if not token:
            return None
        version, _, at = token.partition("!")
        try:
            given, number = parse_instant(at), int(version)
        except ValueError as error:
            raise Refusal(400, "0x80060888", "The delta token is not valid") from error
        if self.store.clock.now() - given > timedelta(days=self.days):
            raise Refusal(
                400,
                EXPIRED,
                "Version stamp associated with the client has expired. Please perform a full sync.",
            )
        return number

    # -- parts of a read

    def _rows(self, wanted: Wanted) -> Rows:
        names = [name for name in wanted.option("select").split(",") if name]
        fields: Sequence[FieldSchema] = (
            [column_of(self.schema, name.strip()) for name in names]
            if names
            else [item for item in self.schema.fields if item.type is not FieldType.JSON]
        )
        shown = [item for item in fields if item.name != self.schema.key]
        return Rows(self.store, self.schema, shown, annotated=wanted.annotated)

    def _select(
        self, wanted: Wanted, where: Where, orders: tuple[Order, ...], limit: int, *, since: int | None = None
    ) -> list[tuple[tuple[Any, ...], list[Any]]]:
        """Rows, and for each the values it was sorted by."""
        paths = self._rows(wanted).paths()
        read = Read(
            self.schema.name, (*paths, *(item.path for item in orders)), where, orders, limit, since=since
        )
        return [(row[: len(paths)], list(row[len(paths) :])) for row in self.store.select(read)]

    def _orders(self, wanted: Wanted) -> tuple[Order, ...]:
        found = query.order(wanted.option("orderby"), lambda name: column_of(self.schema, name).name)
        own = Order(Path(self.schema.key))
        return found if own.path in [item.path for item in found] else (*found, own)

    def _where(self, wanted: Wanted) -> Where:
        text = wanted.option("filter")
        return (
            query.Parser(text, lambda name: column_of(self.schema, name).name).parse() if text else Every(())
        )

    def _told(self, wanted: Wanted, found: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        rows = self._rows(wanted).told(found)
        parties = f"{self.schema.name}_activity_parties"
        if wanted.option("expand").startswith(parties):
            self._with_parties(rows, parties, annotated=wanted.annotated)
        elif wanted.option("expand"):
            raise Refusal(400, "0x80060888", "This sandbox expands the parties of activities only")
        return rows

    def _with_parties(self, rows: list[dict[str, Any]], name: str, *, annotated: bool) -> None:
        shown = [item for item in PARTY.fields if item.name != PARTY.key]
        told = Rows(self.store, PARTY, shown, annotated=annotated)
        wanted = In(Path("activityid"), tuple(row[self.schema.key] for row in rows))
        by_activity: dict[str, list[dict[str, Any]]] = {}
        for item in told.told(
            self.store.select(Read(PARTY.name, told.paths(), wanted, (Order(Path(PARTY.key)),)))
        ):
            by_activity.setdefault(item["_activityid_value"], []).append(item)
        for row in rows:
            row[name] = by_activity.get(row[self.schema.key], [])


def _sealed(cookie: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(cookie).encode()).decode()


def _cookie(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text))
    except ValueError as error:
        raise Refusal(400, "0x80060888", "The skip token is not valid") from error
    return dict(found)
