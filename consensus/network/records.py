"""Signed peer records: where a node says that it can be dialled (docs/spec/network.md, section 8).

Plain values and functions. A record proves that the holder of a node key wrote it for this chain;
whether anybody answers there is found out by dialling, and the handshake proves who.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chain import rlp
from consensus.network.errors import AddressError, ForgedRecord, FrameError, HandshakeError
from consensus.network.identity import Identity, Network, PeerAddress, signer_of

DOMAIN = b"assay-record-1"
MAX_ENDPOINTS = 4
MAX_RECORD = 256
"""Largest encoded record, in bytes."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address to dial: an IP address (never an IPv4 one in IPv6 clothes) and a TCP port."""

    ip: IpAddress
    port: int

    @property
    def is_public(self) -> bool:
        """True when it can be dialled from everywhere."""
        return self.ip.is_global and not self.ip.is_multicast


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What a node says about itself.

    Attributes:
        node_id: 20 bytes.
        sequence: of two records of one node the higher one counts; below 2**64.
        endpoints: 1 to 4.
        signature: 65 bytes by the node key.
    """

    node_id: bytes
    sequence: int
    endpoints: tuple[Endpoint, ...]
    signature: bytes

    def addresses(self) -> list[PeerAddress]:
        """What can be dialled, in the node's own order."""
        return [PeerAddress(str(item.ip), item.port, self.node_id) for item in self.endpoints]


def plain_ip(host: str) -> IpAddress | None:
    """The address of an IP literal, ``::ffff:1.2.3.4`` as 1.2.3.4; None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_nat(text: str) -> tuple[str, ...] | None:
    """Read geth's ``--nat``: addresses to advertise, empty for ``any``, None for ``none``.

    Raises:
        AddressError: neither ``any``, ``none`` nor ``extip:`` with IP addresses.
    """
    if text in ("any", "none"):
        return () if text == "any" else None
    kind, _, hosts = text.partition(":")
    if kind != "extip":
        raise AddressError(f"{text!r} is not any, none or extip:IP[,IP]")
    return tuple([str(endpoint(host.strip("[] "), 1).ip) for host in hosts.split(",")])


def endpoint(host: str, port: int) -> Endpoint:
    """An endpoint of an IP literal.

    Raises:
        AddressError: a name, an address that nobody can dial, or port 0.
    """
    address = plain_ip(host)
    if address is None:
        raise AddressError(f"{host!r} is no IP address")
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        raise AddressError(f"{host} cannot be dialled by others")
    if not 0 < port < 65536:
        raise AddressError(f"port {port} is not in 1..65535")
    return Endpoint(address, port)


def sign_record(
    identity: Identity, network: Network, sequence: int, endpoints: Sequence[Endpoint]
) -> PeerRecord:
    """A record of this node."""
    digest = _digest(network, sequence, endpoints)
    return PeerRecord(identity.node_id, sequence, tuple(endpoints), identity.sign(digest))


def record_items(record: PeerRecord) -> list[rlp.Item]:
    """``[nodeId, sequence, [[ip, port], ...], signature]``."""
    places = _endpoint_items(record.endpoints)
    return [record.node_id, rlp.uint(record.sequence), places, record.signature]


def encode_records(records: Iterable[PeerRecord]) -> bytes:
    """Body of a PEERS frame."""
    return rlp.encode([record_items(record) for record in records])


def decode_records(body: bytes, network: Network, limit: int) -> list[PeerRecord]:
    """Read a PEERS body and check every signature.

    Raises:
        FrameError: malformed, more than ``limit`` records, an endpoint that nobody can dial, or a
            record that is not signed by its node id for this chain.
    """
    try:
        items = rlp.decode_list(body)
        if len(items) > limit:
            raise FrameError(f"{len(items)} peer records, the limit is {limit}")
        return [_record(item, network) for item in items]
    except (rlp.RlpError, AddressError) as error:
        raise FrameError(f"malformed peer record: {error}") from None


def _record(item: rlp.Decoded, network: Network) -> PeerRecord:
    fields = _exactly(item, 4)
    places = rlp.as_list(fields[2])
    if not 1 <= len(places) <= MAX_ENDPOINTS:
        raise rlp.RlpError(f"{len(places)} endpoints, 1 to {MAX_ENDPOINTS} are allowed")
    record = PeerRecord(
        rlp.as_bytes(fields[0], 20),
        rlp.as_uint(fields[1], 64),
        tuple([_endpoint(place) for place in places]),
        rlp.as_bytes(fields[3], 65),
    )
    digest = _digest(network, record.sequence, record.endpoints)
    try:
        signer = signer_of(digest, record.signature)
    except HandshakeError as error:
        raise ForgedRecord(f"peer record of 0x{record.node_id.hex()}: {error}") from None
    if signer != record.node_id:
        raise ForgedRecord(f"peer record of 0x{record.node_id.hex()} signed by 0x{signer.hex()}")
    return record


def _endpoint(item: rlp.Decoded) -> Endpoint:
    packed, port = _exactly(item, 2)
    raw = rlp.as_bytes(packed)
    if len(raw) not in (4, 16):
        raise rlp.RlpError(f"an IP address of {len(raw)} bytes")
    found = endpoint(str(ipaddress.ip_address(raw)), rlp.as_uint(port, 16))
    if found.ip.packed != raw:
        raise rlp.RlpError(f"{found.ip} in the form of IPv6")
    return found


def _digest(network: Network, sequence: int, endpoints: Sequence[Endpoint]) -> bytes:
    parts: list[rlp.Item] = [
        DOMAIN,
        rlp.uint(network.protocol_version),
        rlp.uint(network.chain_id),
        network.genesis_hash,
        rlp.uint(sequence),
        _endpoint_items(endpoints),
    ]
    return hashlib.sha256(rlp.encode(parts)).digest()


def _endpoint_items(endpoints: Sequence[Endpoint]) -> list[rlp.Item]:
    return [[item.ip.packed, rlp.uint(item.port)] for item in endpoints]


def _exactly(item: rlp.Decoded, count: int) -> list[rlp.Decoded]:
    items = rlp.as_list(item)
    if len(items) != count:
        raise rlp.RlpError(f"{len(items)} items, want {count}")
    return items
