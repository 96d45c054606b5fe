"""A small Sage CRM on loopback: SOAP web services over an SQLite database with Sage's own column names.

Built after the vendor's help and reports from running installations: predicates name prefixed columns, answers short
ones; empty fields are not sent; a batch at a time, `next` for more; one session, the next logon ends it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

BATCH = 4
PASSWORD = "sage-secret-1"


@dataclass
class SageBox:
    """Its address, its database, and who is logged on."""

    url: str = ""
    database: sqlite3.Connection = field(
        default_factory=lambda: sqlite3.connect(":memory:", check_same_thread=False)
    )
    session: str = ""
    logons: int = 0
    open_query: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def execute(self, statement: str, *values: object) -> None:
        """What a user of this CRM does."""
        self.database.execute(statement, values)

    def answer(self, verb: str, parts: dict[str, str], session: str) -> str:
        """The body of the SOAP answer."""
        self.calls.append(verb)
        if verb == "logon":
            return self._log_on(parts)
        if session != self.session:
            return _fault("The session is not valid any more")
        answers = {
            "logoff": self._log_off,
            "query": lambda: self._query(parts["entityname"], parts["queryString"]),
            "next": self._batch,
            "getversionstring": lambda: (
                "<getversionstringresponse><result>2024 R1</result></getversionstringresponse>"
            ),
        }
        return answers[verb]() if verb in answers else _fault(f"unknown method {verb}")

    def _log_off(self) -> str:
        self.session = ""
        return "<logoffresponsetype><success>true</success></logoffresponsetype>"

    def _log_on(self, parts: dict[str, str]) -> str:
        if parts["password"] != PASSWORD:
            return _fault("Username or password incorrect")
        self.logons += 1
        self.session = f"s{self.logons}"
        return (
            f"<logonresponsetype><result><sessionid>{self.session}</sessionid></result></logonresponsetype>"
        )

    def _query(self, entity: str, where: str) -> str:
        if entity == "campaign":
            return _fault("Entity 'campaign' is not Web Service enabled")
        try:
            cursor = self.database.execute(f"SELECT * FROM {entity} WHERE {where}")
        except sqlite3.Error:
            return _fault("Query failed to run successfully")
        names = [item[0].partition("_")[2] for item in cursor.description]
        self.open_query = [_record(entity, names, row) for row in cursor]
        return self._batch()

    def _batch(self) -> str:
        batch, self.open_query = self.open_query[:BATCH], self.open_query[BATCH:]
        more = "true" if self.open_query else "false"
        return f"<queryresponse><result><more>{more}</more>{''.join(batch)}</result></queryresponse>"


def _record(entity: str, names: list[str], row: tuple[object, ...]) -> str:
    cells = ""
    for name, value in zip(names, row, strict=True):
        if value is None:
            continue
        if name == "phones":
            numbers = "".join(
                f"<records><number>{escape(one)}</number></records>" for one in str(value).split(",")
            )
            cells += f"<phone>{numbers}</phone>"
        else:
            cells += f"<{name}>{escape(str(value))}</{name}>"
    return f'<records xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="{entity}">{cells}</records>'


def _fault(said: str) -> str:
    return f"<SOAP-ENV:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>{escape(said)}</faultstring></SOAP-ENV:Fault>"


@contextmanager
def sage_box() -> Iterator[SageBox]:
    """A server with a company table, empty."""
    box = SageBox()
    box.execute(
        "CREATE TABLE company (comp_companyid INTEGER PRIMARY KEY, comp_name TEXT, comp_phones TEXT, comp_city TEXT,"
        " comp_deleted INTEGER, comp_updateddate TEXT)"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            root = fromstring(self.rfile.read(int(self.headers["Content-Length"])))
            session = next((item.text or "" for item in root.iter() if item.tag.endswith("}sessionId")), "")
            (call,) = next(item for item in root if item.tag.endswith("}Body"))
            parts = {item.tag.rpartition("}")[2]: item.text or "" for item in call}
            told = box.answer(call.tag.rpartition("}")[2], parts, session)
            text = (
                '<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope'
                f' xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Body>{told}'
                "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
            ).encode()
            self.send_response(500 if "Fault" in told else 200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    box.url = f"http://127.0.0.1:{server.server_port}/crm/eware.dll/webservices/SOAP"
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        box.database.close()
