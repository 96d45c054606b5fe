"""The Web API of one environment: headers, pages that must end, and what its answers recommend.

Sources: "Compose HTTP requests and handle errors", "Page results", "Send parallel requests" (x-ms-dop-hint).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from connectors.dataverse.faults import fatal
from connectors.dataverse.settings import DataverseSettings
from connectors.dataverse.sign_in import EntraToken, GivenToken, credentials
from connectors.http import Client
from connectors.http_answers import Answer
from migrator.core.connector import Gate, Limits, Rate
from migrator.core.errors import FatalError

PAGE_ROWS = 5_000
"""Most rows a page of Dataverse holds."""
ANNOTATIONS = 'odata.include-annotations="OData.Community.Display.V1.FormattedValue,Microsoft.Dynamics.CRM.lookuplogicalname"'
_ALWAYS = {
    "Accept": "application/json",
    "OData-Version": "4.0",
    "OData-MaxVersion": "4.0",
    "If-None-Match": "null",
}
_RATE = Rate(6_000, 300.0)
"""Requests of one user to one web server; "Service protection API limits"."""
_UNKNOWN_PARALLEL = 4
_MOST_PARALLEL = 52


@dataclass(frozen=True, slots=True)
class RowsPage:
    """One page of rows as JSON objects, and the link to the next one."""

    rows: list[dict[str, Any]]
    next_link: str | None
    delta_link: str | None
    answer: Answer


@dataclass(slots=True)
class Service:
    """Requests to one environment."""

    settings: DataverseSettings
    client: Client = field(init=False)
    asker: GivenToken | EntraToken = field(init=False)
    recommended: int = 0
    """x-ms-dop-hint of the last answer that had one."""

    def __post_init__(self) -> None:
        self.asker = credentials(self.settings)
        self.client = Client(
            self.settings.root,
            self.asker,
            ca_file=self.settings.ca_file or None,
            hidden=[item for item in (self.settings.client_secret, self.settings.token) if item],
        )

    @property
    def label(self) -> str:
        """How messages call the environment."""
        return self.settings.url

    @property
    def limits(self) -> Limits:
        """Documented limits; how many at once by the settings, else as the service last recommended."""
        parallel = self.settings.parallel or self.recommended or _UNKNOWN_PARALLEL
        return Limits(rates=(_RATE,), parallel=min(parallel, _MOST_PARALLEL))

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate."""
        self.client.gate = gate

    def ask(
        self,
        method: str,
        path: str,
        *,
        prefer: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        document: object = None,
        content: bytes | None = None,
    ) -> Answer:
        """The answer, whatever its status; see `Client.request` for what is raised."""
        said = {name: value for name, value in {**_ALWAYS, **(headers or {})}.items() if value}
        if prefer:
            said["Prefer"] = ",".join(prefer)
        answer = self.client.request(method, path, headers=said, document=document, content=content)
        hint = answer.headers.get("x-ms-dop-hint", "")
        if hint.isdecimal() and 0 < int(hint) < 10_000:
            self.recommended = int(hint)
        return answer

    def one(self, path: str, *, prefer: Sequence[str] = ()) -> tuple[dict[str, Any], Answer]:
        """One JSON object; raises `FatalError` when the answer is an error or something else."""
        answer = self.ask("GET", path, prefer=prefer)
        if answer.status != 200:
            raise fatal(answer)
        return answer.object(), answer

    def pages(
        self, path: str, *, page_rows: int = PAGE_ROWS, prefer: Sequence[str] = (), key: str = ""
    ) -> Iterator[RowsPage]:
        """Pages in order, by the service's own links; raises `FatalError` when they go in a circle.

        With `key` no two pages may begin with the same record.
        """
        wanted = (f"odata.maxpagesize={min(page_rows, PAGE_ROWS)}", *prefer)
        link: str | None = path
        links, firsts = {hash(path)}, set()
        while link is not None:
            page = self.page(link, wanted)
            first = page.rows[0].get(key) if key and page.rows else None
            if (page.next_link and hash(page.next_link) in links) or (
                first is not None and hash(first) in firsts
            ):
                raise FatalError(
                    f"{page.answer.asked}: the pages do not end: the same one comes again",
                    hint="this is a fault of the service; ask its support",
                )
            links.add(hash(page.next_link))
            firsts.add(hash(first))
            yield page
            link = page.next_link

    def page(self, link: str, prefer: Sequence[str]) -> RowsPage:
        """One page; raises `FatalError` when it is an error or has another shape."""
        answer = self.ask("GET", link, prefer=prefer)
        if answer.status != 200:
            raise fatal(answer)
        return read_page(answer)

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self.client.close()
        self.asker.close()


def read_page(answer: Answer) -> RowsPage:
    """A page of rows; raises `FatalError` when the answer has another shape."""
    told = answer.object()
    rows = told.get("value")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise answer.unexpected("a list of rows")
    return RowsPage(rows, _link(told, "nextLink", answer), _link(told, "deltaLink", answer), answer)


@contextmanager
def shaped(answer: Answer, wanted: str) -> Iterator[None]:
    """What is read inside must have the documented shape; else `FatalError`."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise answer.unexpected(wanted) from error


def _link(told: Mapping[str, Any], kind: str, answer: Answer) -> str | None:
    link = told.get(f"@odata.{kind}")
    if link is not None and not isinstance(link, str):
        raise answer.unexpected(f"a text as {kind}")
    return link or None
