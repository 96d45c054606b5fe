"""Where Salesforce meets other systems by configuration: connected apps, credentials, remote sites, packages."""

from __future__ import annotations

from connectors.xml_nodes import Node
from migrator.core.components import Call, Direction

_ADDRESSES = (
    "endpoint", "url", "endpointUrl", "urlPattern", "oauthConfig/callbackUrl", "startUrl", "loginUrl", "authorizeUrl",
    "siteUrl", "subdomain", "urlPathPrefix", "destinationResourceName", "emailServicesAddresses/localPart",
)  # fmt: skip
_HOW: dict[str, tuple[Direction, str, str]] = {
    "ConnectedApp": (Direction.IN, "API", "on request"),
    "ExternalClientApplication": (Direction.IN, "API", "on request"),
    "NamedCredential": (Direction.OUT, "HTTP", "code or flow"),
    "ExternalCredential": (Direction.OUT, "HTTP", "code or flow"),
    "RemoteSiteSetting": (Direction.OUT, "HTTP", "code"),
    "CspTrustedSite": (Direction.OUT, "browser", "screen"),
    "CorsWhitelistOrigin": (Direction.IN, "browser", "screen"),
    "ExternalServiceRegistration": (Direction.OUT, "REST", "flow"),
    "ExternalDataSource": (Direction.OUT, "external objects", "on request"),
    "AuthProvider": (Direction.IN, "single sign-on", "sign-in"),
    "SamlSsoConfig": (Direction.IN, "single sign-on", "sign-in"),
    "CallCenter": (Direction.BOTH, "CTI", "telephone call"),
    "EmailServicesFunction": (Direction.IN, "e-mail", "e-mail"),
    "EventRelayConfig": (Direction.OUT, "events", "event"),
    "PlatformEventChannel": (Direction.OUT, "events", "event"),
    "PlatformEventChannelMember": (Direction.OUT, "change data capture", "record saved"),
    "CustomSite": (Direction.IN, "web site", "visitor"),
    "Network": (Direction.IN, "web site", "visitor"),
    "InstalledPackage": (Direction.UNKNOWN, "package", ""),
}
_CREDENTIALS = (
    "principalType",
    "authProvider",
    "externalCredential",
    "consumerKey",
    "protocol",
    "providerType",
)


def calls_of(kind: str, root: Node, file: str) -> tuple[Call, ...]:
    """What a component of that type says of the other side; the names of secrets, never secrets."""
    direction, protocol, trigger = _HOW.get(kind, (Direction.UNKNOWN, "", ""))
    addresses = [*(root.first(path) for path in _ADDRESSES), *_parameters(root)]
    node = next((item for item in addresses if item is not None and item.text.strip()), None)
    return (
        Call(
            direction, protocol, node.text.strip() if node is not None else "",
            f"{file}:{node.line if node is not None else root.line}", trigger, _credential(root),
        ),
    )  # fmt: skip


def _parameters(root: Node) -> list[Node | None]:
    """Addresses of named credentials as they are written since 2022."""
    found = [item for item in root.all("namedCredentialParameters") if item.value("parameterType") == "Url"]
    return [item.first("parameterValue") for item in found]


def _credential(root: Node) -> str:
    named = [name for name in _CREDENTIALS if name != "consumerKey" and root.value(name)]
    told = [f"{name} {root.value(name)}" for name in named]
    if root.value("oauthConfig/consumerKey"):
        told.append("an OAuth consumer key")
    return ", ".join(told)
