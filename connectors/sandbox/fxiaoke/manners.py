"""How a Fxiaoke sandbox behaves around its verbs: HTTP 200 with an errorCode for everything, two kinds of token, limits by path."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse, Response

from connectors.sandbox.limits import Kept, Meter, Refusal
from connectors.sandbox.violations import Refused, Violation
from migrator.core.clock import Clock, SystemClock
from migrator.core.connector import Limits, Rate

TOKEN, LEGACY_TOKEN = "/oauth2.0/token", "/cgi/corpAccessToken/get/V2"
LIMITS = Limits(
    (Rate(100, 20.0, "*"), Rate(10, 60.0, TOKEN), Rate(10, 60.0, LEGACY_TOKEN)), daily=100_000, parallel=1_000
)
"""As documented: 100 calls in 20 seconds a path, packs of 100,000 a day, 10 tokens a minute."""
CREDENTIALS: Mapping[str, str] = {
    "app_id": "FSAID_sandbox", "app_secret": "sandbox-secret", "permanent_code": "sandbox-code", "user": "1000",
}  # fmt: skip
COMPANY_ID, COMPANY = "FSCID_SANDBOX", "sandbox"
NOT_SIGNED_IN, BAD_TOKEN, BAD_USER, BAD_SECRET = 20017, 20016, 10006, 10006
NO_OBJECT = 13002
CODES: Mapping[Refused, int] = {
    Refused.NO_OBJECT: NO_OBJECT, Refused.NO_FIELD: 320001, Refused.NO_RECORD: 320002, Refused.DELETED: 320003,
    Refused.READ_ONLY: 320004, Refused.REQUIRED: 320005, Refused.TYPE: 320006, Refused.LENGTH: 320007,
    Refused.RANGE: 320008, Refused.PICKLIST: 320009, Refused.REFERENCE: 320010, Refused.UNIQUE: 320011,
    Refused.EXISTS: 320012, Refused.RULE: 320013, Refused.DUPLICATE: 320014, Refused.LOCKED: 320015,
    Refused.CHANGED: 320016,
}  # fmt: skip
"""Made up but for the first: the real codes for refused records are documented nowhere, only that they are others than
those of the table of codes."""
_WORDS: Mapping[Refused, str] = {
    Refused.REQUIRED: "必填字段不能为空", Refused.UNIQUE: "数据重复，违反唯一性规则", Refused.REFERENCE: "关联的数据不存在",
    Refused.LOCKED: "数据已锁定，不可编辑", Refused.PICKLIST: "选项值不存在", Refused.DUPLICATE: "触发查重规则",
    Refused.NO_RECORD: "数据不存在或已作废", Refused.DELETED: "数据已作废", Refused.LENGTH: "超过最大长度",
}  # fmt: skip


class Denied(Exception):
    """A call that is answered with a code."""

    def __init__(self, code: int, message: str, description: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.description = code, message, description or message


def said(code: int, message: str, description: str = "", **more: Any) -> JSONResponse:
    """An answer, whatever it says: HTTP 200."""
    trace = f"E-O.{COMPANY}.-{secrets.token_hex(8)}"
    return JSONResponse(
        {
            "traceId": trace,
            "errorDescription": description or message,
            "errorMessage": message,
            "errorCode": code,
            **more,
        }
    )


def worded(violation: Violation) -> Denied:
    """What the store refuses, in the system's words; a person reads the field, nobody parses the text."""
    words = _WORDS.get(violation.kind, violation.message)
    fields = ", ".join(violation.fields)
    return Denied(CODES[violation.kind], f"{words}[{fields}]" if fields else words, violation.message)


@dataclass(slots=True)
class Doorman:
    """Gives out tokens, knows them again, and words what limits and faults make of a call."""

    token_seconds: float = 7200.0
    clock: Clock = field(default_factory=SystemClock)
    given: int = 0
    """Tokens given out so far."""
    busy: int = 0
    """Token calls that came while another was under way: the endpoint takes none."""
    _tokens: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(self, body: Mapping[str, Any]) -> tuple[str, int]:
        """A token for the right credentials, and its life in seconds."""
        for name in ("appId", "appSecret", "permanentCode"):
            if not isinstance(body.get(name), str):
                raise Denied(
                    BAD_SECRET, f"the parameter {name} is missing or illegal", "缺少参数或参数不合法"
                )
        if body["appSecret"] != CREDENTIALS["app_secret"]:
            raise Denied(BAD_SECRET, "the parameter appSecret is missing or illegal", "缺少参数或参数不合法")
        if body["permanentCode"] != CREDENTIALS["permanent_code"]:
            raise Denied(20015, "permanentCode is error")
        with self._lock:
            self.given += 1
            text = secrets.token_hex(16).upper()
            self._tokens[text] = self.clock.monotonic() + self.token_seconds
            return text, int(self.token_seconds)

    def check(self, token: object) -> None:
        """Refuse a token that was not given out or has run out."""
        if not isinstance(token, str) or not token:
            raise Denied(NOT_SIGNED_IN, "corpAccessToken为必填项，不能为空")
        if self._tokens.get(token, 0.0) <= self.clock.monotonic():
            raise Denied(BAD_TOKEN, "the cropId,cropAccessToken or authorization is error")

    # -- connectors.sandbox.moods.Manners

    def refused(self, refusal: Refusal) -> Response:
        """A call too many."""
        match refusal.kept:
            case Kept.DAILY:
                return said(30002, "the day quota is used up", "接口调用次数超过当日限额")
            case Kept.RATE:
                return said(30004, "call too frequently", "秒频次超限")
            case Kept.PARALLEL:
                return said(14001, "call limit exceeded", "超过调用次数限制")

    def failed(self, status: int) -> Response:
        """Down or broken: the gateway's word, for the API itself answers 200."""
        return JSONResponse({"errorCode": -1, "errorMessage": "service unavailable"}, status_code=status)

    def limited(self, path: str) -> str | None:
        """Each path counts by itself."""
        return path

    def headers(self, meter: Meter) -> dict[str, str]:  # noqa: ARG002 (the protocol's)
        """Fxiaoke tells nothing of its limits."""
        return {}

    def expire_tokens(self) -> None:
        """All tokens given out so far end."""
        with self._lock:
            self._tokens.clear()
