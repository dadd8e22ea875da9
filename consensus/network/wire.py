"""Frames: one code byte and a body, in one binary WebSocket message.

Limits are checked on the raw bytes, before anything is decoded (docs/spec/network.md, section 3).
Consensus messages (0x12 to 0x15) are opaque here: consensus.codec reads them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from chain import rlp
from consensus.network.errors import FrameError

KIB = 1024
MIB = 1024 * KIB
MAX_BLOCKS = 64
MAX_ANNOUNCED = 4096
MAX_REQUESTED = 512
BLOCKS_TARGET = 8 * MIB
TRANSACTIONS_TARGET = 256 * KIB
MAX_TRANSACTION = 128 * KIB
MAX_FRAME = 9 * MIB + 64 * KIB
MAX_PEER_RECORDS = 32
MAX_CERTIFICATE = 16 * KIB
"""Largest encoded commit certificate; one of 100 seals has 7 KiB."""


class Code(IntEnum):
    """First byte of a frame."""

    HELLO = 0x01
    WELCOME = 0x02
    AUTH = 0x03
    READY = 0x04
    REFUSE = 0x05
    PROPOSAL = 0x12
    PREPARE = 0x13
    COMMIT = 0x14
    ROUND_CHANGE = 0x15
    STATUS = 0x20
    NEW_BLOCK = 0x21
    GET_BLOCKS = 0x22
    BLOCKS = 0x23
    ANNOUNCE = 0x30
    GET_TRANSACTIONS = 0x31
    TRANSACTIONS = 0x32
    GET_PEERS = 0x40
    PEERS = 0x41
    RECORD = 0x42


HANDSHAKE_CODES = frozenset({Code.HELLO, Code.WELCOME, Code.AUTH, Code.READY, Code.REFUSE})
CONSENSUS_CODES = frozenset({Code.PROPOSAL, Code.PREPARE, Code.COMMIT, Code.ROUND_CHANGE})
TRANSACTION_CODES = frozenset({Code.ANNOUNCE, Code.GET_TRANSACTIONS, Code.TRANSACTIONS})
PEER_CODES = frozenset({Code.GET_PEERS, Code.PEERS, Code.RECORD})
VOTE_CODES = frozenset({Code.PREPARE, Code.COMMIT, Code.ROUND_CHANGE})
"""Sent before everything else."""
URGENT_CODES = frozenset({Code.PROPOSAL, Code.STATUS, Code.NEW_BLOCK, Code.GET_BLOCKS})
"""Sent before transactions, ranges of blocks and peer records."""

LIMITS = {
    Code.HELLO: 1 * KIB,
    Code.WELCOME: 1 * KIB,
    Code.AUTH: 1 * KIB,
    Code.READY: 16,
    Code.REFUSE: 1 * KIB,
    Code.PROPOSAL: 9 * MIB,
    Code.PREPARE: 2 * KIB,
    Code.COMMIT: 2 * KIB,
    Code.ROUND_CHANGE: 9 * MIB,
    Code.STATUS: 1 * KIB,
    Code.NEW_BLOCK: 9 * MIB,
    Code.GET_BLOCKS: 1 * KIB,
    Code.BLOCKS: 9 * MIB,
    Code.ANNOUNCE: 32 * MAX_ANNOUNCED,
    Code.GET_TRANSACTIONS: 32 * MAX_REQUESTED,
    Code.TRANSACTIONS: TRANSACTIONS_TARGET + MAX_TRANSACTION + KIB,
    Code.GET_PEERS: 16,
    Code.PEERS: 9 * KIB,
    Code.RECORD: 1 * KIB,
}
"""Largest body per code, in bytes."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where a node's chain stands: sent after the handshake and after every block."""

    height: int
    head_hash: bytes


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block with its commit certificate, both still encoded."""

    block: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """Ask for ``count`` blocks from height ``first`` on; at most 64."""

    request_id: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Answer to a BlockRequest: consecutive blocks, at least one if the sender has the first."""

    request_id: int
    blocks: tuple[SealedBlock, ...]


def encode_frame(code: Code, body: bytes) -> bytes:
    """Put the code before the body; refuses to send what a peer would refuse to read."""
    if len(body) > LIMITS[code]:
        raise FrameError(f"{code.name} of {len(body)} bytes, the limit is {LIMITS[code]}")
    return bytes([code]) + body


def split_frame(frame: bytes) -> tuple[Code, bytes]:
    """Code and body of a frame.

    Raises:
        FrameError: empty, unknown code, or a body above its code's limit.
    """
    if not frame:
        raise FrameError("empty frame")
    try:
        code = Code(frame[0])
    except ValueError:
        raise FrameError(f"unknown code 0x{frame[0]:02x}") from None
    if len(frame) - 1 > LIMITS[code]:
        raise FrameError(f"{code.name} of {len(frame) - 1} bytes, the limit is {LIMITS[code]}")
    return code, frame[1:]


def encode_status(status: Status) -> bytes:
    """Body of a STATUS frame."""
    return rlp.encode([rlp.uint(status.height), status.head_hash])


def decode_status(body: bytes) -> Status:
    """Read a STATUS body; FrameError when malformed."""
    with _typed(Code.STATUS):
        height, head_hash = _items(body, 2)
        return Status(rlp.as_uint(height, 64), rlp.as_bytes(head_hash, 32))


def encode_sealed(sealed: SealedBlock) -> bytes:
    """Body of a NEW_BLOCK frame."""
    return rlp.encode([sealed.block, sealed.certificate])


def decode_sealed(body: bytes) -> SealedBlock:
    """Read a NEW_BLOCK body; FrameError when malformed."""
    with _typed(Code.NEW_BLOCK):
        return _sealed(body)


def encode_block_request(request: BlockRequest) -> bytes:
    """Body of a GET_BLOCKS frame."""
    return rlp.encode([rlp.uint(n) for n in (request.request_id, request.first, request.count)])


def decode_block_request(body: bytes) -> BlockRequest:
    """Read a GET_BLOCKS body; FrameError when malformed or asking for 0 or more than 64."""
    with _typed(Code.GET_BLOCKS):
        request_id, first, count = (rlp.as_uint(item, 64) for item in _items(body, 3))
    if not 1 <= count <= MAX_BLOCKS:
        raise FrameError(f"GET_BLOCKS for {count} blocks, 1 to {MAX_BLOCKS} are served")
    return BlockRequest(request_id, first, count)


def encode_block_range(answer: BlockRange) -> bytes:
    """Body of a BLOCKS frame."""
    pairs = [[sealed.block, sealed.certificate] for sealed in answer.blocks]
    return rlp.encode([rlp.uint(answer.request_id), pairs])


def decode_block_range(body: bytes) -> BlockRange:
    """Read a BLOCKS body; FrameError when malformed or above 64 blocks."""
    with _typed(Code.BLOCKS):
        request_id, pairs = _split(body, 2)
        number = rlp.as_uint(rlp.string(request_id), 64)
        return BlockRange(number, tuple(map(_sealed, rlp.split_up_to(pairs, MAX_BLOCKS))))


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    """Body of ANNOUNCE and GET_TRANSACTIONS: 32-byte hashes, one after the other."""
    return b"".join(hashes)


def decode_hashes(body: bytes) -> list[bytes]:
    """Read a body of 32-byte hashes; FrameError when empty or cut."""
    if not body or len(body) % 32:
        raise FrameError(f"{len(body)} bytes are not a list of 32-byte hashes")
    return [body[i : i + 32] for i in range(0, len(body), 32)]


def encode_transactions(transactions: Sequence[bytes]) -> bytes:
    """Body of a TRANSACTIONS frame: raw transactions."""
    return rlp.encode(transactions)


def decode_transactions(body: bytes) -> list[bytes]:
    """Read a TRANSACTIONS body; FrameError when malformed or one is above 128 KiB."""
    with _typed(Code.TRANSACTIONS):
        items = list(map(rlp.string, rlp.split_up_to(body, MAX_REQUESTED)))
    if not all(0 < len(item) <= MAX_TRANSACTION for item in items):
        raise FrameError(f"TRANSACTIONS: an item is not 1 to {MAX_TRANSACTION} bytes")
    return items


@contextmanager
def _typed(code: Code) -> Iterator[None]:
    try:
        yield
    except rlp.RlpError as error:
        raise FrameError(f"malformed {code.name}: {error}") from None


def _items(body: bytes, length: int) -> list[rlp.Decoded]:
    items = rlp.decode_list(body)
    if len(items) != length:
        raise rlp.RlpError(f"{len(items)} items, want {length}")
    return items


def _split(encoded: bytes, count: int) -> list[bytes]:
    items = rlp.split_up_to(encoded, count)
    if len(items) != count:
        raise rlp.RlpError(f"{len(items)} items, want {count}")
    return items


def _sealed(encoded: bytes) -> SealedBlock:
    block, certificate = map(rlp.string, _split(encoded, 2))
    if len(certificate) > MAX_CERTIFICATE:
        raise rlp.RlpError(f"certificate of {len(certificate)} bytes, at most {MAX_CERTIFICATE}")
    return SealedBlock(block, certificate)
