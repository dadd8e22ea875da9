"""Receipts, logs and blooms, and the roots over a block's lists."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chain import rlp
from chain.errors import InvalidBlock
from chain.trie import ordered_root
from precompiles.hashing import keccak256

BLOOM_SIZE: Final = 256
_KNOWN_ENTRIES: Final = 4_096
"""Addresses and topics whose bits are remembered: contracts and events come again."""


@dataclass(frozen=True, slots=True)
class Log:
    """One event: 20-byte address, up to four 32-byte topics, data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """Outcome of one transaction.

    Attributes:
        type: of the transaction, 0 to 4.
        status: 1 when it succeeded, 0 when it reverted or halted; 1 when it was read beside a
            ``post_state``, which does not say.
        cumulative_gas_used: gas of the block up to and including this transaction.
        logs_bloom: 256 bytes, equal to ``logs_bloom(logs)``.
        logs: in order of emission.
        post_state: before Byzantium the state root after the transaction (32 bytes), which stands
            in the place of the status (EIP-658); else empty.
    """

    type: int
    status: int
    cumulative_gas_used: int
    logs_bloom: bytes
    logs: tuple[Log, ...]
    post_state: bytes = b""


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """2,048-bit bloom of addresses and topics (Yellow Paper, section 4.3.1), 256 bytes."""
    bits = 0
    for log in logs:
        for entry in (log.address, *log.topics):
            bits |= _bloom_bits(entry)
    return bits.to_bytes(BLOOM_SIZE, "big")


def union_bloom(blooms: Iterable[bytes]) -> bytes:
    """Bloom of a block from the blooms of its receipts."""
    bits = 0
    for bloom in blooms:
        bits |= int.from_bytes(bloom, "big")
    return bits.to_bytes(BLOOM_SIZE, "big")


def bloom_may_contain(bloom: bytes, entry: bytes) -> bool:
    """False when no log under ``bloom`` has this address or topic."""
    wanted = _bloom_bits(entry)
    return int.from_bytes(bloom, "big") & wanted == wanted


def encode_receipt(receipt: Receipt) -> bytes:
    """Consensus encoding: RLP list (type 0) or type byte and RLP list (EIP-2718)."""
    body = rlp.encode(
        [
            receipt.post_state or rlp.uint(receipt.status),
            rlp.uint(receipt.cumulative_gas_used),
            receipt.logs_bloom,
            [[log.address, log.topics, log.data] for log in receipt.logs],
        ]
    )
    return bytes((receipt.type,)) + body if receipt.type else body


def decode_receipt(encoded: bytes) -> Receipt:
    """Read ``encode_receipt``; raises InvalidBlock."""
    try:
        kind = encoded[0] if encoded and encoded[0] < 0xC0 else 0
        if kind > 4 or encoded[:1] == b"\0":
            raise InvalidBlock(f"receipt of type {encoded[0]}")
        items = rlp.decode_list(encoded[1:] if kind else encoded)
        if len(items) != 4:
            raise InvalidBlock(f"receipt has {len(items)} fields, want 4")
        outcome = rlp.as_bytes(items[0])
        post_state = outcome if len(outcome) == 32 and not kind else b""
        return Receipt(
            type=kind,
            status=1 if post_state else rlp.as_uint(outcome, 8),
            cumulative_gas_used=rlp.as_uint(items[1], 64),
            logs_bloom=rlp.as_bytes(items[2], BLOOM_SIZE),
            logs=tuple(_decode_log(item) for item in rlp.as_list(items[3])),
            post_state=post_state,
        )
    except rlp.RlpError as error:
        raise InvalidBlock(f"receipt: {error}") from None


def transactions_root(raw_transactions: Sequence[bytes]) -> bytes:
    """Root over canonical transaction encodings (``Transaction.raw``)."""
    return ordered_root(raw_transactions)


def receipts_root(receipts: Sequence[Receipt]) -> bytes:
    """Root over receipts."""
    return ordered_root([encode_receipt(receipt) for receipt in receipts])


def withdrawals_root(encoded_withdrawals: Sequence[bytes]) -> bytes:
    """Root over RLP-encoded withdrawals (``Withdrawal.rlp``)."""
    return ordered_root(encoded_withdrawals)


def _decode_log(item: rlp.Decoded) -> Log:
    parts = rlp.as_list(item)
    if len(parts) != 3:
        raise rlp.RlpError(f"log has {len(parts)} fields, want 3")
    topics = rlp.bytes_list(parts[1], 32)
    if len(topics) > 4:
        raise rlp.RlpError(f"log has {len(topics)} topics, at most 4")
    return Log(rlp.as_bytes(parts[0], 20), topics, rlp.as_bytes(parts[2]))


@lru_cache(maxsize=_KNOWN_ENTRIES)
def _bloom_bits(entry: bytes) -> int:
    digest = keccak256(entry)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits
