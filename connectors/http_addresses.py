"""Which addresses may be spoken to, and whose certificates are trusted there."""

from __future__ import annotations

import ipaddress
import ssl

import httpx

from migrator.core.errors import ProjectError


def require_safe(address: str) -> str:
    """The address, if it may be spoken to: https, or plain http on this machine; else a `ProjectError`."""
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise ProjectError.at(
            "migration.yaml", f"this is no address: {address!r}", "write https://host"
        ) from error
    if url.userinfo:
        raise ProjectError.at(
            "migration.yaml",
            f"an address holds no user or password: https://{url.host}",
            "use the settings for it",
        )
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and is_loopback(address))):
        raise ProjectError.at(
            "migration.yaml",
            f"{address!r} is not spoken to: what is sent would be readable on its way",
            "write https://…; plain http is for sandboxes on this machine only",
        )
    return address


def is_loopback(address: str) -> bool:
    """Whether an address is on this machine."""
    host = httpx.URL(address).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def trust(ca_file: str | None) -> ssl.SSLContext | bool:
    """The usual certificates, or those of a PEM file; raises `ProjectError` when it cannot be read."""
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ProjectError.at(
            "migration.yaml", f"the certificates in {ca_file!r} cannot be read", "it must be a PEM file"
        ) from error
