"""Prove who is at each end of a TLS connection (docs/spec/network.md, section 2).

::

    client                                  server
      HELLO   version, chain, genesis, nonce, id  ->
          <-  WELCOME  the same, and the server's signature   (or REFUSE reason)
      AUTH    the client's signature          ->              (or REFUSE reason)
          <-  READY                                           (or REFUSE reason)

Both sign sha256 over role, both greetings and sha256(server certificate). The client uses the
certificate that it really sees, so a relay with its own certificate cannot pass signatures on.
Everything here is a plain function; consensus.network.session moves the bytes.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chain import rlp
from consensus.network.errors import HandshakeError
from consensus.network.identity import Identity, Network, signer_of

DOMAIN = b"assay-handshake-1"
CLIENT, SERVER = b"client", b"server"
MAX_CLIENT_TEXT = 64


@dataclass(frozen=True, slots=True)
class Greeting:
    """What each side says first.

    Attributes:
        nonce: 32 fresh random bytes.
        instance: 8 random bytes of this process; a restarted peer replaces its old connection.
        client: name and version for the log, printable ASCII, at most 64 characters.
    """

    network: Network
    node_id: bytes
    nonce: bytes
    instance: bytes
    client: str


def new_greeting(identity: Identity, network: Network, instance: bytes, client: str) -> Greeting:
    """A greeting with a fresh nonce."""
    return Greeting(network, identity.node_id, os.urandom(32), instance, client[:MAX_CLIENT_TEXT])


def encode_greeting(greeting: Greeting, signature: bytes | None = None) -> bytes:
    """Body of HELLO, or of WELCOME with the server's signature."""
    network = greeting.network
    items = [
        rlp.uint(network.protocol_version),
        rlp.uint(network.chain_id),
        network.genesis_hash,
        greeting.node_id,
        greeting.nonce,
        greeting.instance,
        greeting.client.encode(),
    ]
    return rlp.encode(items if signature is None else [*items, signature])


def decode_hello(body: bytes, ours: Network) -> Greeting:
    """Read a HELLO.

    Raises:
        HandshakeError: malformed, or another version, chain or genesis, with both values.
    """
    with _typed():
        return _greeting(_versioned(body, 7, ours), ours)


def decode_welcome(body: bytes, ours: Network) -> tuple[Greeting, bytes]:
    """Read a WELCOME: greeting and signature; raises as decode_hello."""
    with _typed():
        items = _versioned(body, 8, ours)
        return _greeting(items[:7], ours), rlp.as_bytes(items[7], 65)


def encode_auth(signature: bytes) -> bytes:
    """Body of AUTH."""
    return rlp.encode([signature])


def decode_auth(body: bytes) -> bytes:
    """Read the signature out of an AUTH body."""
    with _typed():
        (signature,) = _counted(rlp.decode_list(body), 1)
        return rlp.as_bytes(signature, 65)


def transcript(role: bytes, client: Greeting, server: Greeting, certificate: bytes) -> bytes:
    """The 32-byte digest that a side signs; ``certificate`` is the server's DER."""
    parts = [
        DOMAIN,
        role,
        encode_greeting(client),
        encode_greeting(server),
        hashlib.sha256(certificate).digest(),
    ]
    return hashlib.sha256(rlp.encode(parts)).digest()


def check_signature(
    role: bytes,
    client: Greeting,
    server: Greeting,
    certificate: bytes,
    signature: bytes,
) -> None:
    """Check one side's signature against the node id in its greeting.

    Raises:
        HandshakeError: the signature is by another key or over another connection.
    """
    claimed = client.node_id if role == CLIENT else server.node_id
    signer = signer_of(transcript(role, client, server, certificate), signature)
    if signer != claimed:
        raise HandshakeError(
            f"the {role.decode()}'s signature does not prove node id 0x{claimed.hex()} on this "
            "connection (wrong key, or a relay with another certificate)"
        )


def check_identity(greeting: Greeting, own_id: bytes, expected: bytes | None) -> None:
    """Refuse ourselves and, when dialling a known id, anybody else.

    Raises:
        HandshakeError: with both ids.
    """
    if greeting.node_id == own_id:
        raise HandshakeError("connected to itself")
    if expected is not None and greeting.node_id != expected:
        raise HandshakeError(f"expected node 0x{expected.hex()}, found 0x{greeting.node_id.hex()}")


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except (rlp.RlpError, UnicodeDecodeError) as error:
        raise HandshakeError(f"malformed handshake: {error}") from None


def _counted(items: list[rlp.Decoded], length: int) -> list[rlp.Decoded]:
    if len(items) != length:
        raise HandshakeError(f"malformed handshake: {len(items)} items, want {length}")
    return items


def _versioned(body: bytes, length: int, ours: Network) -> list[rlp.Decoded]:
    """Items of a greeting; the version is judged first, as another one may have other items."""
    items = rlp.decode_list(body)
    version = rlp.as_uint(items[0], 64) if items else 0
    if version != ours.protocol_version:
        raise HandshakeError(
            f"protocol version {version}, this node speaks {ours.protocol_version}"
        )
    return _counted(items, length)


def _greeting(items: list[rlp.Decoded], ours: Network) -> Greeting:
    version, chain_id, genesis_hash, node_id, nonce, instance, client = items
    theirs = Network(
        rlp.as_uint(version, 64), rlp.as_uint(chain_id, 64), rlp.as_bytes(genesis_hash, 32)
    )
    _check_chain(theirs, ours)
    text = rlp.as_bytes(client).decode("ascii")
    if len(text) > MAX_CLIENT_TEXT or not text.isprintable():
        raise HandshakeError("malformed handshake: client text")
    return Greeting(
        theirs,
        rlp.as_bytes(node_id, 20),
        rlp.as_bytes(nonce, 32),
        rlp.as_bytes(instance, 8),
        text,
    )


def _check_chain(theirs: Network, ours: Network) -> None:
    if theirs.chain_id != ours.chain_id:
        raise HandshakeError(f"chain id {theirs.chain_id}, this node is on {ours.chain_id}")
    if theirs.genesis_hash != ours.genesis_hash:
        raise HandshakeError(
            f"genesis 0x{theirs.genesis_hash.hex()}, this node's is 0x{ours.genesis_hash.hex()}"
        )
