"""Sage CRM's SOAP: one session at a time, a method called, an answer read without entities, a fault told for what it is.

Shapes after the vendor's help (logon, query, next, logoff; namespace http://tempuri.org/type) and public reports from
running installations: predicates name columns with their prefix, answers name them without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connectors.http import Client
from migrator.core.connector import Gate
from migrator.core.errors import FatalError, RetryableError

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">'
    '<soap:Header>{header}</soap:Header><soap:Body><{verb} xmlns="http://tempuri.org/type">{body}</{verb}></soap:Body>'
    "</soap:Envelope>"
)
_HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}


class Soap:
    """A session with one installation, begun at the first call; the server ends any other of the same user."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._user, self._password = str(settings["user"]), str(settings["password"])
        self._url = str(settings["url"])
        root = self._url.partition("/eware.dll")[0]
        self._client = Client(root, ca_file=settings.get("ca_file"), hidden=(self._password,))
        self._session = ""

    @property
    def address(self) -> str:
        """The web services' address."""
        return self._url

    def pace(self, gate: Gate) -> None:
        """From now on every request asks this gate first."""
        self._client.gate = gate

    def call(self, verb: str, **parts: str) -> Element:
        """The result of a method; raises `FatalError` or `RetryableError` for a fault."""
        if not self._session:
            self._log_on()
        return self._asked(verb, parts)

    def query(self, entity: str, where: str) -> Iterator[list[Element]]:
        """Batches of records of an entity, in the server's order; the size of a batch is a setting of the server."""
        result = self.call("query", queryString=where, entityname=entity)
        yield _children(result, "records")
        while _text(result, "more").lower() == "true":
            batch = _children(result := self.call("next"), "records")
            if not batch:
                raise RetryableError(
                    f"{self._url}: {entity}: more records were promised, and none came", hint="run again"
                )
            yield batch

    def close(self) -> None:
        """Log off, so that the next one may log on; may be called twice."""
        if self._session:
            try:
                self._asked("logoff", {"sessionid": self._session})
            except (FatalError, RetryableError):
                pass  # a session that cannot be ended ends by itself; what was read was read
            finally:
                self._session = ""
        self._client.close()

    def _log_on(self) -> None:
        result = self._asked("logon", {"username": self._user, "password": self._password})
        self._session = _text(result, "sessionid")
        if not self._session:
            raise FatalError(
                f"{self._url}: {self._user} may not log on",
                hint="wrong credentials lock the account: check them before you try again",
            )

    def _asked(self, verb: str, parts: Mapping[str, str]) -> Element:
        session = f'<SessionHeader xmlns="http://tempuri.org/type"><sessionId>{escape(self._session)}</sessionId></SessionHeader>'
        body = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items())
        text = _ENVELOPE.format(header=session if self._session else "", verb=verb, body=body)
        answer = self._client.post(self._url, content=text.encode(), headers=_HEADERS, scope=verb)
        try:
            root: Element = fromstring(answer.body, forbid_dtd=True)
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise RetryableError(
                f"{answer.asked} ({verb}) answered {answer.status} with what is no XML of ours: {answer.excerpt()}",
                hint="a proxy may stand between, or the answer was cut: run again",
            ) from error
        fault = next((item for item in root.iter() if _name(item) == "Fault"), None)
        if fault is not None:
            raise self._fault(verb, _text(fault, "faultstring") or "no reason given")
        result = next((item for item in root.iter() if _name(item) == "result"), None)
        if result is None and verb != "logoff":
            raise answer.unexpected("a SOAP result")
        return result if result is not None else root

    def _fault(self, verb: str, said: str) -> FatalError | RetryableError:
        what = f"{self._url}: {verb}: {said}"
        if "already logged on" in said:
            return RetryableError(
                what, hint="this user has another session: end it, or give the migration a user of its own"
            )
        if verb != "logon" and "session" in said.lower():
            self._session = ""
            return RetryableError(
                what, hint="the session was ended, perhaps by another program that logged on: run again"
            )
        if "not Web Service enabled" in said:
            return FatalError(
                what, hint="an administrator can allow it: Customization, the entity, External Access"
            )
        return FatalError(what, hint="check the entity, its prefix and the user's rights")


def values(record: Element) -> dict[str, Any]:
    """The fields of a record by short name: text, or a list of records for what is nested in it."""
    found: dict[str, Any] = {}
    for item in record:
        name = _name(item)
        if len(item):
            nested = (
                [values(child) for child in item] if all(len(child) for child in item) else [values(item)]
            )
            found.setdefault(name, []).extend(nested)
        else:
            found[name] = item.text
    return found


def _name(item: Element) -> str:
    return str(item.tag).rpartition("}")[2]


def _children(item: Element, name: str) -> list[Element]:
    return [child for child in item if _name(child) == name]


def _text(item: Element, name: str) -> str:
    found = next((child for child in item.iter() if _name(child) == name), None)
    return (found.text or "").strip() if found is not None else ""
