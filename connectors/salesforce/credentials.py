"""The ways to log in to Salesforce, and what each of them sends; secrets never show in a representation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth client credentials: the app acts as the user it is set up to run as."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ByJwt:
    """OAuth JWT bearer: a key that the app knows signs for a user."""

    client_id: str
    username: str
    private_key: str = field(repr=False)
    audience: str


@dataclass(frozen=True, slots=True)
class Refreshing:
    """OAuth refresh token, once granted in a browser."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AsUser:
    """The SOAP login with a password, and the user's security token where the address is not trusted."""

    username: str
    password: str = field(repr=False)
    security_token: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class BySession:
    """An access token that somebody else got; it cannot be renewed."""

    session_id: str = field(repr=False)


Credentials: TypeAlias = ClientCredentials | ByJwt | Refreshing | AsUser | BySession
