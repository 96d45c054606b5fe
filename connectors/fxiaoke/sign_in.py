"""Signing in, both generations: a token lives two hours, is renewed in time, never twice at once, and never shown."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.fxiaoke.settings import Auth, FxiaokeSettings
from migrator.core.errors import FatalError

TOKEN_PATHS: Mapping[Auth, str] = {
    Auth.LEGACY: "/cgi/corpAccessToken/get/V2",
    Auth.CURRENT: "/oauth2.0/token",
}
USER_BY_MOBILE = "/cgi/user/getByMobile"
_SLACK = 550.0
"""Seconds before its end at which a token is renewed: of 7200, after 6650."""
_SHARE = 0.9
"""Of a shorter life."""

Post = Callable[[str, Mapping[str, str], Mapping[str, Any]], dict[str, Any]]
"""Path, headers, body → the answer of a call that needs no token, judged."""


@dataclass(frozen=True, slots=True)
class Token:
    """What proves who asks, until `until` (monotonic seconds)."""

    text: str = field(repr=False)
    company: str
    user: str
    until: float

    def proof(self, auth: Auth) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and members of the body that carry it."""
        if auth is Auth.CURRENT:
            return {
                "authorization": f"Bearer {self.text}",
                "x-fs-ea": self.company,
                "x-fs-userid": self.user,
            }, {}
        return {}, {
            "corpAccessToken": self.text,
            "corpId": self.company,
            "currentOpenUserId": self.user,
        }


class SignIn:
    """The token of one tenant's app, asked for by one thread at a time."""

    def __init__(self, settings: FxiaokeSettings, post: Post, monotonic: Callable[[], float]) -> None:
        self._settings, self._post, self._monotonic = settings, post, monotonic
        self._name = _name(settings)

    def token(self) -> Token:
        """A token that is still good; asks for one when there is none."""
        with _SHELF.lock:
            kept = _SHELF.tokens.get(self._name)
            if kept is None or self._monotonic() >= kept.until:
                kept = _SHELF.tokens[self._name] = self._asked()
            return kept

    def renew(self, refused: Token) -> Token:
        """Another token than the one the system refused; several threads that were refused ask once."""
        with _SHELF.lock:
            if _SHELF.tokens.get(self._name) == refused:
                del _SHELF.tokens[self._name]
        return self.token()

    def _asked(self) -> Token:
        settings = self._settings
        body = {
            "appId": settings.app_id,
            "appSecret": settings.app_secret,
            "permanentCode": settings.permanent_code,
        }
        current = settings.auth is Auth.CURRENT
        if current:
            body["grantType"] = "app_secret"
        asked_at = self._monotonic()
        said = self._post(TOKEN_PATHS[settings.auth], {}, body)
        text, company = (
            _text(said, name)
            for name in (("accessToken", "ea") if current else ("corpAccessToken", "corpId"))
        )
        life = said.get("expiresIn")
        if isinstance(life, bool) or not isinstance(life, int) or life <= 0:
            raise FatalError(f"{TOKEN_PATHS[settings.auth]}: the token has no life: expiresIn is {life!r}")
        user = settings.user or self._user(text, company)
        return Token(text, company, user, asked_at + max(life - _SLACK, life * _SHARE))

    def _user(self, token: str, company: str) -> str:
        said = self._post(
            USER_BY_MOBILE,
            {},
            {"corpAccessToken": token, "corpId": company, "mobile": self._settings.mobile},
        )
        found = said.get("empList")
        if isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict):
            return _text(found[0], "openUserId")
        raise FatalError(
            "the setting mobile names no employee, or several", hint="give the FSUID_… as user instead"
        )


@dataclass(slots=True)
class _Shelf:
    """Tokens of this process by digest of the credentials: source and target of one tenant share one.

    The lock is held while a token is asked for: the endpoint takes no two calls at once.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    tokens: dict[str, Token] = field(default_factory=dict)


_SHELF = _Shelf()


def _name(settings: FxiaokeSettings) -> str:
    parts = (
        settings.address, settings.auth.value, settings.app_id, settings.app_secret,
        settings.permanent_code, settings.user, settings.mobile,
    )  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return value
    raise FatalError(
        f"the sign-in was answered without {name}", hint="check `auth` and `host` in the settings"
    )
