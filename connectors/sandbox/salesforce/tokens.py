"""Logging in: OAuth in four ways and the SOAP login, tokens that end, and the check of every call's token.

Vendor's "OAuth Authorization Flows" and "login()" of the SOAP API.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from connectors.sandbox.salesforce.errors import SalesforceError
from connectors.sandbox.salesforce.org import Org

CREDENTIALS = {
    "client_id": "3MVG9sandbox",
    "client_secret": "sandbox-client-secret",
    "username": "admin@sandbox.example",
    "password": "sandbox-password",
    "security_token": "sandbox-security-token",
    "refresh_token": "sandbox-refresh-token",
}
"""Made up: they open nothing but a sandbox."""


@dataclass(slots=True)
class Tokens:
    """The sessions of an organisation."""

    org: Org
    ends: dict[str, float] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    """Token → the user it was given to."""

    def issue(self, user: str = "") -> str:
        """A new session of a user; of the integration user when none is named."""
        token = f"{self.org.id[:15]}!{secrets.token_hex(24)}"
        self.ends[token] = self.org.clock.monotonic() + self.org.switches.token_seconds
        self.users[token] = user or self.org.user
        return token

    def expire(self) -> None:
        """All sessions end."""
        self.ends.clear()

    def check(self, request: Request) -> str:
        """The user a call is made by.

        Raises `SalesforceError` with INVALID_SESSION_ID when its token is none, has ended, or is of a user who was
        deactivated since.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.casefold() not in {"bearer", "oauth"} or not token:
            raise SalesforceError("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE", status=401)
        if self.ends.get(token, 0.0) <= self.org.clock.monotonic():
            self.ends.pop(token, None)
            raise SalesforceError("INVALID_SESSION_ID", "Session expired or invalid", status=401)
        user = self.users.get(token, self.org.user)
        if not self._active(user):
            raise SalesforceError("INVALID_SESSION_ID", "Session expired or invalid", status=401)
        return user

    def _active(self, user: str) -> bool:
        return bool((self.org.store.get("User", user) or {}).get("IsActive"))

    def _user(self, name: str) -> str:
        """The user of a name; '' when there is none."""
        return next(iter(self.org.store.find("User", Username=name)), "") if name else ""

    async def token(self, request: Request) -> Response:
        """POST /services/oauth2/token."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        refused = _refusal(form, request.headers.get("authorization", ""), self._user)
        if refused:
            return JSONResponse({"error": refused[0], "error_description": refused[1]}, 400)
        user = self._user(form.get("username", "")) or self.org.user
        if not self._active(user):
            return JSONResponse({"error": "invalid_grant", "error_description": "inactive user"}, 400)
        url = _url(request)
        return JSONResponse(
            {
                "access_token": self.issue(user),
                "instance_url": url,
                "id": f"{url}/id/{self.org.id}/{user}",
                "token_type": "Bearer",
                "issued_at": str(int(self.org.clock.now().timestamp() * 1000)),
                "signature": "sandbox",
                "scope": "api",
            }
        )

    async def soap(self, request: Request) -> Response:
        """POST /services/Soap/u/VERSION: login and nothing else."""
        from defusedxml.ElementTree import ParseError, fromstring

        try:
            root = fromstring(await request.body())
        except ParseError:
            return _fault("UNKNOWN_EXCEPTION", "cannot parse the request")
        said: dict[str, str] = {item.tag.rpartition("}")[2]: item.text or "" for item in root.iter()}
        passwords = {CREDENTIALS["password"], CREDENTIALS["password"] + CREDENTIALS["security_token"]}
        if said.get("username") != CREDENTIALS["username"] or said.get("password") not in passwords:
            return _fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
        url, version = _url(request), request.path_params["version"]
        return _xml(
            f"<loginResponse><result><metadataServerUrl>{url}/services/Soap/m/{escape(version)}/{self.org.id}"
            f"</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>true</sandbox>"
            f"<serverUrl>{url}/services/Soap/u/{escape(version)}/{self.org.id}</serverUrl>"
            f"<sessionId>{self.issue()}</sessionId><userId>{self.org.user}</userId>"
            f"<userInfo><organizationId>{self.org.id}</organizationId><userName>{CREDENTIALS['username']}</userName>"
            "</userInfo></result></loginResponse>",
            200,
        )


def _url(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


def _refusal(form: dict[str, str], header: str, user: Callable[[str], str]) -> tuple[str, str] | None:
    """OAuth's error and its description, or None."""
    match form.get("grant_type"):
        case "client_credentials":
            sent = _basic(header) or (form.get("client_id"), form.get("client_secret"))
            if sent != (CREDENTIALS["client_id"], CREDENTIALS["client_secret"]):
                return "invalid_client", "invalid client credentials"
        case "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return _assertion(form.get("assertion", ""))
        case "refresh_token":
            if form.get("refresh_token") != CREDENTIALS["refresh_token"]:
                return "invalid_grant", "expired access/refresh token"
        case "password":
            names = ("client_id", "client_secret")
            secret = {CREDENTIALS["password"], CREDENTIALS["password"] + CREDENTIALS["security_token"]}
            if (
                any(form.get(name) != CREDENTIALS[name] for name in names)
                or form.get("password") not in secret
                or not user(form.get("username", ""))
            ):
                return "invalid_grant", "authentication failure"
        case _:
            return "unsupported_grant_type", "grant type not supported"
    return None


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, coded = header.partition(" ")
    if scheme.casefold() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(coded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret


def _assertion(text: str) -> tuple[str, str] | None:
    """Who signed is not checked, for the sandbox knows no keys: that it is RS256, for this app and user, and not over is."""
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(text, options={"verify_signature": False, "verify_exp": False})
        header = jwt.get_unverified_header(text)
    except jwt.InvalidTokenError:
        return "invalid_grant", "invalid assertion"
    if header.get("alg") != "RS256" or not text.rpartition(".")[2]:
        return "invalid_grant", "invalid assertion"
    if claims.get("iss") != CREDENTIALS["client_id"]:
        return "invalid_client_id", "client identifier invalid"
    if claims.get("sub") != CREDENTIALS["username"]:
        return "invalid_grant", "user hasn't approved this consumer"
    if not claims.get("aud"):
        return "invalid_grant", "audience is invalid"
    return None


def _fault(code: str, message: str) -> Response:
    return _xml(
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {escape(message)}</faultstring>"
        f"<detail><sf:LoginFault><sf:exceptionCode>{code}</sf:exceptionCode>"
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>",
        500,
    )


def _xml(body: str, status: int) -> Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" '
        f'xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>'
    )
    return Response(text, status, media_type="text/xml")
