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


@cache
def server_context(kind: CertificateKind) -> ssl.SSLContext:
    match kind:
        case "good":
            certificate = _authority().issue_cert(*_NAMES)
        case "expired":
            yesterday = datetime.now(UTC) - timedelta(days=1)
            certificate = _authority().issue_cert(*_NAMES, not_after=yesterday)
        case "wrong name":
            certificate = _authority().issue_cert("elsewhere.example")
        case "unknown CA":
            certificate = trustme.CA().issue_cert(*_NAMES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@cache
def client_context() -> ssl.SSLContext:
    """Trusts our authority and nobody else; checks names and dates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority().configure_trust(context)
    return context


def write_ca_file(path: Path) -> None:
    _authority().cert_pem.write_to_path(str(path))
