"""Who is asking: the client's network address, as limits count it and as a mail may show it. Pure functions."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

UNKNOWN = "unknown"


def client_address(peer: str, forwarded_for: Sequence[str], trusted_proxies: int) -> str:
    """The address of the client behind `trusted_proxies` proxies that each append to `X-Forwarded-For`.

    Counted from the right: what stands further left was written by the client and may say anything
    (Strapi CVE-2025-64526). A header that is shorter than the chain, or holds no address there, leaves the peer's own.
    """
    if trusted_proxies:
        hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
        if len(hops) >= trusted_proxies:
            forwarded = _parse(hops[-trusted_proxies])
            if forwarded is not None:
                return str(forwarded)
    parsed = _parse(peer)
    return UNKNOWN if parsed is None else str(parsed)


def limit_key(client: str) -> str:
    """What a limit counts: an IPv4 address, or the /64 that one IPv6 subscriber is given (RFC 6177)."""
    parsed = _parse(client)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return client


def mask_client(client: str) -> str | None:
    """What a mail shows: enough for its owner to recognise, too little to track a person by."""
    parsed = _parse(client)
    if isinstance(parsed, IPv4Address):
        return client.rpartition(".")[0] + ".x"
    if isinstance(parsed, IPv6Address):
        return ":".join(group.lstrip("0") or "0" for group in parsed.exploded.split(":")[:3]) + ":x"
    return None


@lru_cache(maxsize=1024)  # a client that asks once asks again: its page, its form, its link
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    host = text
    if host.startswith("["):  # [2001:db8::1]:443
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # 192.0.2.1:443
        host = host.partition(":")[0]
    try:
        parsed = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
