"""Who a node is on the network: a secp256k1 node key behind a throw-away TLS certificate.

The certificate (self-signed, P-256, new at every start) only encrypts. What binds a connection to a
node id is the handshake, which signs the certificate's digest with the node key
(docs/spec/network.md, section 2).
"""

import os
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coincurve import PrivateKey, PublicKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chain.signatures import BadSignature, recover
from consensus.network.errors import AddressError, HandshakeError
from precompiles.hashing import keccak256


@dataclass(frozen=True, slots=True)
class Network:
    """Which chain a node speaks for; peers with other values are refused."""

    protocol_version: int
    chain_id: int
    genesis_hash: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """A node key with its TLS certificate.

    Attributes:
        node_id: the 20-byte address of the node key.
        certificate: DER of the TLS certificate that this process serves.
        server_context: TLS 1.3 with that certificate.
    """

    node_id: bytes
    certificate: bytes
    server_context: ssl.SSLContext = field(repr=False)
    _key: PrivateKey = field(repr=False)

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest; returns r, s and v (65 bytes, low s, v in {0, 1})."""
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        return signature


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where to dial, and who must answer (None: whoever holds the address)."""

    host: str
    port: int
    node_id: bytes | None = None

    def __str__(self) -> str:
        """The form that parse_peer_address reads."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        prefix = f"0x{self.node_id.hex()}@" if self.node_id else ""
        return f"{prefix}{host}:{self.port}"


def address_of_public_key(key: PublicKey) -> bytes:
    """20-byte Ethereum address of a public key."""
    return keccak256(key.format(compressed=False)[1:])[12:]


def signer_of(digest: bytes, signature: bytes) -> bytes:
    """Address that signed a 32-byte digest.

    Raises:
        HandshakeError: not 65 bytes, high s, bad recovery id or no such point.
    """
    if len(signature) != 65:
        raise HandshakeError(f"signature of {len(signature)} bytes, want 65")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    try:
        return recover(digest, signature[64], r, s)
    except BadSignature as error:
        raise HandshakeError(f"bad signature: {error}") from None


def create_identity(node_key: bytes) -> Identity:
    """Load a 32-byte node key and make a fresh certificate for this process."""
    key = PrivateKey(node_key)
    certificate, tls_key = _self_signed()
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_chain(context, certificate, tls_key)
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Identity(address_of_public_key(key.public_key), der, context, key)


def client_context() -> ssl.SSLContext:
    """TLS 1.3 without a certificate authority: the handshake authenticates instead."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def parse_peer_address(text: str) -> PeerAddress:
    """Read ``[NODE_ID@]host:port``; an IPv6 literal stands in brackets.

    Raises:
        AddressError: says which part is wrong.
    """
    identity, at, place = text.strip().rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or not host:
        raise AddressError(f"peer address {text!r}: expected [NODE_ID@]host:port")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise AddressError(f"peer address {text!r}: write an IPv6 host as [::1]:port")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise AddressError(f"peer address {text!r}: port {port!r} is not in 1..65535")
    return PeerAddress(host.strip("[]"), int(port), _node_id(identity, text) if at else None)


def parse_peer_addresses(text: str) -> tuple[PeerAddress, ...]:
    """Read a comma-separated list; raises as parse_peer_address."""
    return tuple([parse_peer_address(part) for part in text.split(",") if part.strip()])


def _node_id(digits: str, text: str) -> bytes:
    try:
        node_id = bytes.fromhex(digits.removeprefix("0x"))
    except ValueError:
        node_id = b""
    if len(node_id) != 20:
        raise AddressError(f"peer address {text!r}: the node id is an address of 40 hex digits")
    return node_id


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _self_signed() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "assay")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
    )
    return builder.sign(key, hashes.SHA256()), key


def _load_chain(
    context: ssl.SSLContext, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """Hand both to OpenSSL, which reads files only; the file lives for this call, mode 0600."""
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    descriptor, name = tempfile.mkstemp(prefix="assay-tls-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
