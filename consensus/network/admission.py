"""Which authenticated connections are kept: plain decisions over what is connected already."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

MAX_PER_SUBNET = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A connection, old or new, as far as admission looks at it."""

    node_id: bytes
    instance: bytes
    host: str
    outbound: bool


def survives(new: Candidate, old: Candidate, own_id: bytes) -> bool:
    """True when ``new`` replaces ``old``, both to the same node id.

    A restarted process or the same dialler replaces its former connection. Two nodes that dial
    each other at once keep the connection dialled by the smaller id, so both keep the same one.
    """
    if new.instance != old.instance or new.outbound == old.outbound:
        return True
    dialled_by_us_wins = own_id < new.node_id
    return new.outbound == dialled_by_us_wins


def refusal(new: Candidate, connected: Iterable[Candidate], limit: int) -> str:
    """Why a stranger is not admitted; empty when it is. Configured peers are not asked."""
    others = [peer for peer in connected if peer.node_id != new.node_id]
    if len(others) >= limit:
        return f"too many peers ({len(others)} of {limit})"
    subnet = _subnet(new.host)
    if not new.outbound and subnet is not None:
        neighbours = sum(1 for peer in others if _subnet(peer.host) == subnet)
        if neighbours >= MAX_PER_SUBNET:
            return f"too many peers from {subnet} ({neighbours} of {MAX_PER_SUBNET})"
    return ""


def _subnet(host: str) -> str | None:
    """The /24 (IPv4) or /64 (IPv6) of a public address; None for private ones and names."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_global:
        return None
    prefix = 24 if address.version == 4 else 64
    return str(ipaddress.ip_network((address, prefix), strict=False))
