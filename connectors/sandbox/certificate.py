"""A certificate for 127.0.0.1 that a sandbox makes for itself, for clients that insist on TLS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: clients trust `certificate`; nobody but the server reads `key`."""

    certificate: Path
    key: Path


def self_made(folder: Path, *, days: int = 30) -> Certificate:
    """The certificate in `folder`, made when it is not there or about to end; its key is readable for its owner only."""
    found = Certificate(folder / "sandbox.pem", folder / "sandbox.key")
    if not (found.certificate.exists() and found.key.exists() and _lasts(found.certificate)):
        folder.mkdir(parents=True, exist_ok=True)
        _make(found, days)
    return found


def _lasts(path: Path) -> bool:
    from cryptography import x509

    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return ends > datetime.now(UTC) + timedelta(days=1)


def _make(place: Certificate, days: int) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "migrator sandbox")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    place.key.touch(mode=0o600)
    place.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    place.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
