"""Who asks: a token from Microsoft Entra by msal, renewed before it runs out, or one given in the settings.

Source: "Use OAuth authentication with Microsoft Dataverse": client credentials, scope `ENVIRONMENT/.default`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.dataverse.settings import DataverseSettings
from connectors.http_answers import excerpt
from migrator.core.errors import FatalError, RetryableError

_SECONDS = 30
_LATER = frozenset({"temporarily_unavailable", "server_error"})


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A token that somebody else got; when the system refuses it there is no other."""

    token: str

    def headers(self) -> Mapping[str, str]:
        """The token as a bearer header."""
        return {"Authorization": f"Bearer {self.token}"}

    def renew(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002 (the protocol's)
        """There is no other."""
        return False

    def close(self) -> None:
        """Nothing to release."""


@dataclass(slots=True)
class EntraToken:
    """A token for an application, got at the first request and kept by msal until five minutes before its end."""

    settings: DataverseSettings
    _app: Any = None
    _session: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def headers(self) -> Mapping[str, str]:
        """A bearer header with a token that is valid now; `FatalError` when the sign-in is refused."""
        with self._lock:
            return {"Authorization": f"Bearer {self._token()}"}

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Forget what msal keeps when it is what was refused (revoked before its time)."""
        with self._lock:
            if self._app is not None and refused == {"Authorization": f"Bearer {self._token()}"}:
                self._app.remove_tokens_for_client()
        return True

    def close(self) -> None:
        """Release the connections to the authority; may be called twice."""
        if self._session is not None:
            self._session.close()

    def _token(self) -> str:
        import requests

        try:
            if self._app is None:
                self._app = self._application()
            told = self._app.acquire_token_for_client(scopes=[f"{self.settings.url.rstrip('/')}/.default"])
        except requests.exceptions.SSLError as error:
            raise FatalError(
                f"{self.settings.authority}: the certificate is not trusted",
                hint="give the certificates of your company or of the sandbox as ca_file; checking is never switched off",
            ) from error
        except requests.RequestException as error:
            raise RetryableError(
                f"{self.settings.authority} cannot be reached for a token ({type(error).__name__})",
                hint="check the network and the proxy; then run again",
            ) from error
        except ValueError as error:
            raise FatalError(
                f"{self.settings.authority} gives no tokens for {self.settings.tenant!r}: {self._masked(error)}",
                hint="check tenant and authority",
            ) from error
        return self._read(told)

    def _read(self, told: Mapping[str, Any]) -> str:
        token = told.get("access_token")
        if isinstance(token, str) and token:
            return token
        code = str(told.get("error", "no token"))
        said = f"the sign-in as {self.settings.client_id} is refused: {code}: {self._masked(told.get('error_description', ''))}"
        if code in _LATER:
            raise RetryableError(said, hint="run again")
        raise FatalError(
            said, hint="check client_id, client_secret or certificate, and that they have not run out"
        )

    def _application(self) -> Any:
        import msal

        self._session = self._session or _session(self.settings.ca_file)
        return msal.ConfidentialClientApplication(
            self.settings.client_id,
            authority=f"{self.settings.authority.rstrip('/')}/{self.settings.tenant}",
            client_credential=self._credential(),
            instance_discovery=None if self.settings.authority.endswith(_KNOWN) else False,
            http_client=self._session,
        )

    def _credential(self) -> str | dict[str, str]:
        if not self.settings.certificate:
            return self.settings.client_secret
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256

        pem = Path(self.settings.certificate).read_bytes()
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError as error:
            raise FatalError(
                f"{self.settings.certificate} holds no certificate",
                hint="it needs the key and the certificate",
            ) from error
        return {
            "private_key": pem.decode(),
            "thumbprint_sha256": certificate.fingerprint(SHA256()).hex(),
            "public_certificate": pem.decode(),
        }

    def _masked(self, said: object) -> str:
        return excerpt(str(said).encode(), [self.settings.client_secret])


def _session(ca_file: str) -> Any:
    """How msal asks: not for ever, sent to no other host, and the settings' certificates before the environment's."""
    import requests

    class Session(requests.Session):
        def merge_environment_settings(self, *asked: Any) -> Any:
            merged = super().merge_environment_settings(*asked)
            return {**merged, "verify": ca_file} if ca_file else merged

        def request(self, method: str, url: str, **how: Any) -> Any:  # type: ignore[override]  # msal names the rest
            return super().request(method, url, **{"timeout": _SECONDS, **how, "allow_redirects": False})

    return Session()


_KNOWN = (".microsoftonline.com", ".microsoftonline.cn", ".microsoftonline.us")


def credentials(settings: DataverseSettings) -> GivenToken | EntraToken:
    """Who asks, by these settings; nothing is asked yet."""
    return GivenToken(settings.token) if settings.token else EntraToken(settings)
