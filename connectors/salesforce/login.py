"""Logging in to Salesforce: each kind of credentials becomes an access token and the address it is good for.

OAuth flows: vendor's "OAuth Authorization Flows"; the SOAP login is simple-salesforce's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

from connectors.salesforce.credentials import (
    AsUser,
    ByJwt,
    BySession,
    ClientCredentials,
    Refreshing,
)
from connectors.salesforce.failures import said_in
from connectors.salesforce.settings import SalesforceSettings, is_loopback
from connectors.salesforce.wire import GuardedSession, retry_after
from migrator.core.errors import FatalError, RetryableError

_TOKEN = "/services/oauth2/token"  # noqa: S105 (a path)
_LIFE = timedelta(minutes=3)
"""Of a signed assertion; Salesforce takes at most five minutes."""
_HINT = "check client_id, the user and their secrets, and that login_url is this organisation's (test. for sandboxes)"


@dataclass(frozen=True, slots=True)
class Token:
    """A session and where it is good."""

    access: str = field(repr=False)
    instance_url: str
    user: str = ""
    """The id of the user who is logged in, where the log-in told it."""


def log_in(settings: SalesforceSettings, session: GuardedSession) -> Token:
    """A new session; raises `FatalError` for credentials that are not taken, `RetryableError` when nobody answers."""
    match settings.credentials:
        case BySession(token):
            return Token(token, settings.instance_url)
        case AsUser() as user:
            return _soap(settings, session, user)
        case ClientCredentials(client, secret):
            form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        case Refreshing(client, secret, refresh):
            form = {"grant_type": "refresh_token", "client_id": client, "refresh_token": refresh}
            form |= {"client_secret": secret} if secret else {}
        case ByJwt() as jwt:
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": assertion(jwt, session),
            }
    return _oauth(settings, session, form)


def assertion(who: ByJwt, session: GuardedSession) -> str:
    """The signed claim that the app may act for the user, good for three minutes."""
    import jwt

    claims = {
        "iss": who.client_id,
        "sub": who.username,
        "aud": who.audience,
        "exp": int((session.clock.now() + _LIFE).timestamp()),
    }
    try:
        return jwt.encode(claims, who.private_key, algorithm="RS256")
    except (ValueError, TypeError, jwt.exceptions.PyJWTError) as error:
        raise FatalError(
            "the private key for the JWT cannot be read", hint="it must be an RSA key in PEM, whole"
        ) from error


def _oauth(settings: SalesforceSettings, session: GuardedSession, form: Mapping[str, str]) -> Token:
    response = session.request("POST", settings.login_url + _TOKEN, data=form)
    try:
        said = response.json()
    except ValueError as error:
        raise RetryableError("logging in to Salesforce: the answer is no JSON") from error
    if response.status_code >= 500 or response.status_code == 429:
        raise RetryableError(
            f"logging in to Salesforce: {said_in(said, response.status_code).code}",
            retry_after=retry_after(response.headers),
            throttled=response.status_code == 429,
        )
    if response.status_code != 200:
        found = said_in(said, response.status_code)
        raise FatalError(f"Salesforce does not let us in: {found.code}: {found.message[:200]}", hint=_HINT)
    if not isinstance(said, dict) or not isinstance(said.get("access_token"), str):
        raise FatalError("logging in to Salesforce: the answer holds no access token", hint=_HINT)
    user = str(said.get("id") or "").rpartition("/")[2]  # https://login.salesforce.com/id/ORGANISATION/USER
    return Token(said["access_token"], _instance(settings, said.get("instance_url")), user)


def _soap(settings: SalesforceSettings, session: GuardedSession, user: AsUser) -> Token:
    from simple_salesforce.exceptions import SalesforceAuthenticationFailed
    from simple_salesforce.login import SalesforceLogin

    try:
        access, host = SalesforceLogin(
            username=user.username,
            password=user.password,
            security_token=user.security_token,
            sf_version=settings.version,
            session=session,
            scratch_url=settings.login_url,
        )
    except SalesforceAuthenticationFailed as error:
        code = str(error.code or "")
        if code.startswith("5") or "LOGIN_RATE" in code or "SERVER_UNAVAILABLE" in code:
            raise RetryableError(f"logging in to Salesforce: {code}") from error
        raise FatalError(f"Salesforce does not let us in: {code}", hint=_HINT) from error
    except (ExpatError, UnicodeDecodeError) as error:
        raise RetryableError("logging in to Salesforce: the answer is no XML") from error
    scheme = urlsplit(settings.login_url).scheme
    return Token(access, _instance(settings, f"{scheme}://{host}"))


def _instance(settings: SalesforceSettings, said: Any) -> str:
    """Where the session is good: what the settings say, else what the answer says, if that may be spoken to."""
    if settings.instance_url:
        return settings.instance_url
    parts = urlsplit(said if isinstance(said, str) else "")
    login = urlsplit(settings.login_url)
    local = parts.scheme == "http" and is_loopback(parts.hostname or "") and is_loopback(login.hostname or "")
    if parts.hostname and (local or _of_salesforce(parts.hostname, parts.scheme, login.hostname or "")):
        return f"{parts.scheme}://{parts.netloc}"
    raise FatalError(
        f"the log-in named {parts.hostname or 'no'} host for the organisation, which is none of Salesforce's",
        hint="give the organisation's own address as instance_url",
    )


def _of_salesforce(host: str, scheme: str, login: str) -> bool:
    ours = host == login or host.endswith(
        (".salesforce.com", ".force.com", ".salesforce.mil", ".sfcrmapps.cn")
    )
    return scheme == "https" and ours
