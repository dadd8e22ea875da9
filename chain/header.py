"""Block headers with the 21 fields of Prague. The stored form is CHAIN (``chain.extra_data``)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from chain import rlp
from chain.errors import InvalidBlock
from precompiles.hashing import keccak256

EMPTY_LIST_HASH: Final = keccak256(b"\xc0")
"""keccak256(rlp([])): the ommers hash of every block of this chain."""

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
    ``base_fee_per_gas`` in wei, ``timestamp`` in Unix seconds.
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


def encode_header(header: Header) -> bytes:
    """RLP list of the 21 fields."""
    values = [getattr(header, name) for name in FIELDS]
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
    if len(items) != len(FIELDS):
        raise InvalidBlock(f"header has {len(items)} fields, want {len(FIELDS)}")
    values: dict[str, bytes | int] = {}
    for (name, decoder), item in zip(_DECODERS.items(), items, strict=True):
        try:
            values[name] = decoder(item)
        except rlp.RlpError as error:
            raise InvalidBlock(f"header {name}: {error}") from None
    return Header(**values)  # type: ignore[arg-type]  # each decoder gives its field's type
