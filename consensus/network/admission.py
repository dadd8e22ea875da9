"""Which authenticated connections are kept: plain decisions over what is connected already."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from consensus.network.records import plain_ip

MAX_PER_SUBNET = 3
DIALLED_SHARE = 3
"""One place of so many is kept for peers that we chose ourselves."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A connection, old or new, as far as admission looks at it.

    Attributes:
        configured: validator or static peer; takes no stranger's place.
    """

    node_id: bytes
    instance: bytes
    host: str
    outbound: bool
    configured: bool = False


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
    """Why a connection is not admitted; empty when it is. Configured peers always are."""
    if new.configured:
        return ""
    others = [peer for peer in connected if peer.node_id != new.node_id]
    if len(others) >= limit:
        return f"too many peers ({len(others)} of {limit})"
    strangers = [peer for peer in others if not peer.configured]
    places = limit - limit // DIALLED_SHARE
    inbound = sum(1 for peer in strangers if not peer.outbound)
    if not new.outbound and inbound >= places:
        return f"too many peers that dialled us ({inbound} of {places})"
    net = subnet(new.host)
    neighbours = sum(1 for peer in strangers if net is not None and subnet(peer.host) == net)
    if neighbours >= MAX_PER_SUBNET:
        return f"too many peers from {net} ({neighbours} of {MAX_PER_SUBNET})"
    return ""


def origin(host: str) -> str:
    """Who is behind an address: an IPv4 address, the /56 of a public IPv6 one, or the host."""
    address = plain_ip(host)
    if address is None or address.version == 4:
        return str(address or host)
    return subnet(host) or str(address)


def subnet(host: str) -> str | None:
    """The /24 (IPv4) or /56 (IPv6) of a public address; None for private ones and names.

    A /56 is what one customer of a provider is usually given.
    """
    address = plain_ip(host)
    if address is None or not address.is_global:
        return None
    prefix = 24 if address.version == 4 else 56
    return str(ipaddress.ip_network((address, prefix), strict=False))
