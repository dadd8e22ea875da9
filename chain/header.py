"""Block headers of every fork; on an Assay chain the stored form is CHAIN (``chain.extra_data``).

A header encodes its first 15 (Frontier), 16 (London), 17 (Shanghai), 20 (Cancun) or 21 (Prague)
fields. Which of these belongs to a block is the schedule's to say: ``chain.validation`` checks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from chain import rlp
from chain.errors import InvalidBlock
from genesis.forks import Fork
from precompiles.hashing import keccak256

EMPTY_LIST_HASH: Final = keccak256(b"\xc0")
"""keccak256(rlp([])): the ommers hash of a block without ommers."""

EMPTY_TRIE_ROOT: Final = keccak256(b"\x80")
"""Root of a trie without entries."""

EMPTY_REQUESTS_HASH: Final = bytes.fromhex(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)
"""sha256 of nothing: the requests hash of a block without requests (EIP-7685)."""


@dataclass(frozen=True, slots=True)
class Header:
    """One header; field names and order of the Yellow Paper and the EIPs after it.

    Hashes are 32 bytes, ``coinbase`` 20, ``logs_bloom`` 256, ``nonce`` 8; gas in gas units,
    ``base_fee_per_gas`` in wei, ``timestamp`` in Unix seconds. ``field_count`` says how many of the
    fields are encoded; the ones after it are absent and hold what ABSENT says.
    """

    parent_hash: bytes
    ommers_hash: bytes
    coinbase: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee_per_gas: int
    withdrawals_root: bytes
    blob_gas_used: int
    excess_blob_gas: int
    parent_beacon_block_root: bytes
    requests_hash: bytes
    field_count: int = 21
    _cache: dict[str, bytes] = field(
        init=False, repr=False, compare=False, hash=False, default_factory=dict
    )

    @property
    def rlp(self) -> bytes:
        """Canonical encoding."""
        if "rlp" not in self._cache:
            self._cache["rlp"] = encode_header(self)
        return self._cache["rlp"]

    @property
    def hash(self) -> bytes:
        """keccak256 of the encoding; the block hash when ``extra_data`` is the CHAIN form."""
        if "hash" not in self._cache:
            self._cache["hash"] = keccak256(self.rlp)
        return self._cache["hash"]


def _hash(item: rlp.Decoded) -> bytes:
    return rlp.as_bytes(item, 32)


def _u64(item: rlp.Decoded) -> int:
    return rlp.as_uint(item, 64)


_DECODERS: Final[dict[str, Callable[[rlp.Decoded], bytes | int]]] = {
    "parent_hash": _hash,
    "ommers_hash": _hash,
    "coinbase": lambda item: rlp.as_bytes(item, 20),
    "state_root": _hash,
    "transactions_root": _hash,
    "receipts_root": _hash,
    "logs_bloom": lambda item: rlp.as_bytes(item, 256),
    "difficulty": rlp.as_uint,
    "number": _u64,
    "gas_limit": _u64,
    "gas_used": _u64,
    "timestamp": _u64,
    "extra_data": rlp.as_bytes,
    "mix_hash": _hash,
    "nonce": lambda item: rlp.as_bytes(item, 8),
    "base_fee_per_gas": rlp.as_uint,
    "withdrawals_root": _hash,
    "blob_gas_used": _u64,
    "excess_blob_gas": _u64,
    "parent_beacon_block_root": _hash,
    "requests_hash": _hash,
}

FIELDS: Final = tuple(_DECODERS)
"""Field names in encoding order."""

FIELD_COUNTS: Final = (15, 16, 17, 20, 21)
"""Lengths that a header may have."""

ABSENT: Final[dict[str, bytes | int]] = {
    "base_fee_per_gas": 0,
    "withdrawals_root": EMPTY_TRIE_ROOT,
    "blob_gas_used": 0,
    "excess_blob_gas": 0,
    "parent_beacon_block_root": bytes(32),
    "requests_hash": EMPTY_REQUESTS_HASH,
}
"""What a field reads that a shorter header does not have."""


def field_count(fork: Fork) -> int:
    """Number of fields of a header under the rules of ``fork``."""
    if fork < Fork.LONDON:
        return 15
    if fork < Fork.SHANGHAI:
        return 16
    if fork < Fork.CANCUN:
        return 17
    return 20 if fork < Fork.PRAGUE else 21


def encode_header(header: Header) -> bytes:
    """RLP list of the header's first ``field_count`` fields."""
    values = [getattr(header, name) for name in FIELDS[: header.field_count]]
    return rlp.encode([rlp.uint(value) if isinstance(value, int) else value for value in values])


def decode_header(encoded: bytes) -> Header:
    """Read one header, canonical encoding only.

    Raises:
        InvalidBlock: naming the field that is wrong.
    """
    try:
        items = rlp.decode_list(encoded)
    except rlp.RlpError as error:
        raise InvalidBlock(f"header: {error}") from None
    return header_from_items(items)


def header_from_items(items: list[rlp.Decoded]) -> Header:
    """As ``decode_header``, of a decoded list."""
    if len(items) not in FIELD_COUNTS:
        wanted = ", ".join(map(str, FIELD_COUNTS[:-1]))
        raise InvalidBlock(f"header has {len(items)} fields, want {wanted} or {FIELD_COUNTS[-1]}")
    values: dict[str, bytes | int] = dict(ABSENT)
    for (name, decoder), item in zip(_DECODERS.items(), items, strict=False):
        try:
            values[name] = decoder(item)
        except rlp.RlpError as error:
            raise InvalidBlock(f"header {name}: {error}") from None
    values["field_count"] = len(items)
    return Header(**values)  # type: ignore[arg-type]  # each decoder gives its field's type
