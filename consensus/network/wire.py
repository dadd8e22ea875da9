"""Frames: one code byte and a body, in one binary WebSocket message.

Limits are checked on the raw bytes, before anything is decoded (docs/spec/network.md, section 3).
Consensus messages (0x12 to 0x15) are opaque here: consensus.codec reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import rlp
from rlp.exceptions import RLPException

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


HANDSHAKE_CODES = frozenset({Code.HELLO, Code.WELCOME, Code.AUTH, Code.READY, Code.REFUSE})
CONSENSUS_CODES = frozenset({Code.PROPOSAL, Code.PREPARE, Code.COMMIT, Code.ROUND_CHANGE})
URGENT_CODES = CONSENSUS_CODES | {Code.STATUS, Code.NEW_BLOCK, Code.GET_BLOCKS}
"""Sent before transactions and ranges of blocks."""

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
    return encode_list([encode_int(status.height), status.head_hash])


def decode_status(body: bytes) -> Status:
    """Read a STATUS body; FrameError when malformed."""
    height, head_hash = decode_list(body, 2)
    return Status(decode_int(height), decode_fixed(head_hash, 32))


def encode_sealed(sealed: SealedBlock) -> bytes:
    """Body of a NEW_BLOCK frame."""
    return encode_list([sealed.block, sealed.certificate])


def decode_sealed(body: bytes) -> SealedBlock:
    """Read a NEW_BLOCK body; FrameError when malformed."""
    return _sealed(decode_list(body, 2))


def encode_block_request(request: BlockRequest) -> bytes:
    """Body of a GET_BLOCKS frame."""
    numbers = (request.request_id, request.first, request.count)
    return encode_list([encode_int(number) for number in numbers])


def decode_block_request(body: bytes) -> BlockRequest:
    """Read a GET_BLOCKS body; FrameError when malformed or asking for 0 or more than 64."""
    request_id, first, count = (decode_int(item) for item in decode_list(body, 3))
    if not 1 <= count <= MAX_BLOCKS:
        raise FrameError(f"GET_BLOCKS for {count} blocks, 1 to {MAX_BLOCKS} are served")
    return BlockRequest(request_id, first, count)


def encode_block_range(answer: BlockRange) -> bytes:
    """Body of a BLOCKS frame."""
    pairs = [[sealed.block, sealed.certificate] for sealed in answer.blocks]
    return encode_list([encode_int(answer.request_id), pairs])


def decode_block_range(body: bytes) -> BlockRange:
    """Read a BLOCKS body; FrameError when malformed."""
    request_id, pairs = decode_list(body, 2)
    if not isinstance(pairs, list) or len(pairs) > MAX_BLOCKS:
        raise FrameError("BLOCKS: not a list of at most 64 blocks")
    return BlockRange(decode_int(request_id), tuple(_sealed(pair) for pair in pairs))


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
    return encode_list(list(transactions))


def decode_transactions(body: bytes) -> list[bytes]:
    """Read a TRANSACTIONS body; FrameError when malformed or one is above 128 KiB."""
    items = decode_any_list(body)
    if len(items) > MAX_REQUESTED:
        raise FrameError(f"{len(items)} TRANSACTIONS, the limit is {MAX_REQUESTED}")
    if not all(isinstance(item, bytes) and 0 < len(item) <= MAX_TRANSACTION for item in items):
        raise FrameError(f"TRANSACTIONS: an item is not 1 to {MAX_TRANSACTION} bytes")
    return items


def encode_list(items: list[Any]) -> bytes:
    """RLP of a list of bytes and lists."""
    encoded: bytes = rlp.encode(items)
    return encoded


def decode_list(body: bytes, length: int) -> list[Any]:
    """Canonical RLP list of exactly ``length`` items."""
    items = decode_any_list(body)
    if len(items) != length:
        raise FrameError(f"expected a list of {length} items, got {len(items)}")
    return items


def decode_any_list(body: bytes) -> list[Any]:
    """Canonical RLP list of any length."""
    items = _decode(body)
    if not isinstance(items, list):
        raise FrameError("expected a list")
    return items


def encode_int(number: int) -> bytes:
    """Big-endian without leading zeros; zero is empty."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def decode_int(item: object) -> int:
    """A canonical integer below 2**64."""
    if not isinstance(item, bytes) or len(item) > 8 or item[:1] == b"\0":
        raise FrameError("not a canonical integer below 2**64")
    return int.from_bytes(item, "big")


def decode_fixed(item: object, size: int) -> bytes:
    """Bytes of exactly ``size``."""
    if not isinstance(item, bytes) or len(item) != size:
        raise FrameError(f"expected {size} bytes")
    return item


def _decode(body: bytes) -> Any:
    try:
        return rlp.decode(body, strict=True)
    except (RLPException, RecursionError) as error:
        raise FrameError(f"not RLP: {error}") from None


def _sealed(pair: object) -> SealedBlock:
    if not isinstance(pair, list) or len(pair) != 2:
        raise FrameError("a sealed block is a pair")
    block, certificate = pair
    if not isinstance(block, bytes) or not isinstance(certificate, bytes):
        raise FrameError("a sealed block is a pair of byte strings")
    return SealedBlock(block, certificate)
