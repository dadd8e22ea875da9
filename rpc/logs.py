"""Log queries: what they match, and scanning canonical blocks for them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from chain.blocks import Block
from chain.header import Header
from chain.receipts import Log, Receipt
from precompiles.hashing import keccak256
from rpc import decode
from rpc.chain_reader import CACHED_BLOCKS, ChainReader
from rpc.errors import LIMIT_EXCEEDED, InvalidParams, RpcError

MAX_BLOCKS: Final = 10_000
"""Range of one query."""
MAX_LOGS: Final = 20_000
"""Answer of one query."""
MAX_TOPICS: Final = 4
MAX_ALTERNATIVES: Final = 1_000
"""Addresses, or values of one topic position."""


@dataclass(frozen=True, slots=True)
class LocatedLog:
    """A log and where it is; ``log_index`` counts within the block."""

    log: Log
    header: Header
    transaction_hash: bytes
    transaction_index: int
    log_index: int


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which logs, apart from the blocks to look at.

    Attributes:
        addresses: 20 bytes each; empty means any.
        topics: per position the admitted 32-byte values; empty means any.
        masks: bloom bits: a block may match only if, per group, one mask lies in its bloom.
    """

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes], ...]
    masks: tuple[tuple[int, ...], ...]

    def may_match(self, bloom: bytes) -> bool:
        """Whether a block or receipt with this bloom (256 bytes) can hold a match."""
        bits = int.from_bytes(bloom, "big")
        return all(any(bits & mask == mask for mask in group) for group in self.masks)

    def matches(self, log: Log) -> bool:
        """Whether one log matches; a log with fewer topics than positions does not."""
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(
            not wanted or topic in wanted
            for wanted, topic in zip(self.topics, log.topics, strict=False)
        )


def decode_log_query(value: object) -> LogQuery:
    """``address`` and ``topics`` of a filter object.

    Raises:
        InvalidParams: malformed, more than four positions, or too many alternatives.
    """
    fields = decode.mapping(value)
    addresses = _alternatives(fields.get("address"), decode.address)
    positions = fields.get("topics")
    topics = () if positions is None else tuple(decode.sequence(positions))
    if len(topics) > MAX_TOPICS:
        raise InvalidParams(f"exceed max topics: {len(topics)}, limit {MAX_TOPICS}")
    wanted = tuple(_alternatives(position, decode.hash32) for position in topics)
    groups = [group for group in (addresses, *wanted) if group]
    masks = tuple(tuple(bloom_mask(item) for item in group) for group in groups)
    return LogQuery(addresses, wanted, masks)


def bloom_mask(item: bytes) -> int:
    """The three bits of an address or topic in a 2,048-bit bloom (Yellow Paper, M3:2048)."""
    digest = keccak256(item)
    mask = 0
    for i in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[i : i + 2], "big") & 2047)
    return mask


def check_range(first: int, last: int) -> None:
    """Refuse a range of blocks that is reversed or too long.

    Raises:
        RpcError: -32602 or -32005.
    """
    if first > last:
        raise InvalidParams(f"invalid block range params: fromBlock {first} > toBlock {last}")
    if last - first >= MAX_BLOCKS:
        raise RpcError(
            LIMIT_EXCEEDED, f"block range {last - first + 1} exceeds the limit of {MAX_BLOCKS}"
        )


def scan(
    chain: ChainReader, query: LogQuery, first: int, last: int
) -> tuple[list[LocatedLog], int]:
    """Matching logs of canonical blocks ``first`` to ``last``, in order; may run in a thread.

    Returns:
        The logs, and the last block looked at: fewer than ``last`` when `MAX_LOGS` were reached.
    """
    found: list[LocatedLog] = []
    remember = last - first < CACHED_BLOCKS
    for number in range(first, last + 1):
        header = chain.header(number)
        if header is None:
            return found, number - 1
        if header.gas_used and query.may_match(header.logs_bloom):
            found += scan_block(chain, query, header.hash, remember)
        if len(found) >= MAX_LOGS:
            return found, number
    return found, last


def complete(logs: list[LocatedLog], reached: int, last: int) -> list[LocatedLog]:
    """The logs of a scan that had to reach ``last``.

    Raises:
        RpcError: there are more than `MAX_LOGS`.
    """
    if reached < last or len(logs) > MAX_LOGS:
        raise RpcError(
            LIMIT_EXCEEDED, f"query returned more than {MAX_LOGS} logs; narrow the block range"
        )
    return logs


def scan_block(
    chain: ChainReader, query: LogQuery, block_hash: bytes, remember: bool = True
) -> list[LocatedLog]:
    """Matching logs of one block; none when it is unknown."""
    receipts = chain.receipts(block_hash, remember)
    if receipts is None or not any(query.matches(log) for r in receipts for log in r.logs):
        return []  # a false positive of the bloom: spare decoding the block
    block = chain.block(block_hash, remember)
    return [] if block is None else list(matching(block, receipts, query))


def matching(block: Block, receipts: Sequence[Receipt], query: LogQuery) -> Iterator[LocatedLog]:
    """Matching logs of a block whose receipts are at hand."""
    log_index = 0
    for index, receipt in enumerate(receipts):
        for log in receipt.logs:
            if query.matches(log):
                tx_hash = block.transactions[index].hash
                yield LocatedLog(log, block.header, tx_hash, index, log_index)
            log_index += 1


def _alternatives(value: object, decoder: Callable[[object], bytes]) -> frozenset[bytes]:
    """One value, an array of them, or null for any."""
    if value is None:
        return frozenset()
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_ALTERNATIVES:
        raise InvalidParams(f"{len(values)} alternatives, limit {MAX_ALTERNATIVES}")
    return frozenset(decoder(item) for item in values)
