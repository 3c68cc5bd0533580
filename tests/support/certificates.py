"""Certificates that are good, or wrong in one chosen way, from an authority that lives as long as the test process."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

import trustme

CertificateKind = Literal["good", "expired", "wrong name", "unknown CA"]

_NAMES = ("127.0.0.1", "localhost")


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


def _issue(kind: CertificateKind) -> trustme.LeafCert:
    match kind:
        case "good":
            return _authority().issue_cert(*_NAMES)
        case "expired":
            yesterday = datetime.now(UTC) - timedelta(days=1)
            return _authority().issue_cert(*_NAMES, not_after=yesterday)
        case "wrong name":
            return _authority().issue_cert("elsewhere.example")
        case "unknown CA":
            return trustme.CA().issue_cert(*_NAMES)


@cache
def server_context(kind: CertificateKind) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _issue(kind).configure_cert(context)
    return context


def write_server_files(kind: CertificateKind, certificate: Path, key: Path) -> None:
    """For a server that reads them itself."""
    issued = _issue(kind)
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())


@cache
def client_context() -> ssl.SSLContext:
    """Trusts our authority and nobody else; checks names and dates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context


def write_ca_file(path: Path) -> None:
    _authority().cert_pem.write_to_path(str(path))
