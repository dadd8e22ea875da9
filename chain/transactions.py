"""Transactions: one record for all types, strict decoding, sender recovery.

Types: 0 legacy (EIP-155 or unprotected), 1 (EIP-2930), 2 (EIP-1559), 3 (EIP-4844, as in a block;
there is no blob pool), 4 (EIP-7702). Which of them a block may contain is its fork's to say.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from chain import rlp
from chain.errors import (
    InvalidSignature,
    InvalidTransaction,
    MalformedTransaction,
    TipAboveFeeCap,
    TypeNotSupported,
)
from chain.signatures import BadSignature, recover
from precompiles.hashing import keccak256

AccessList: TypeAlias = tuple[tuple[bytes, tuple[int, ...]], ...]
"""(address, slots) pairs."""

MAX_NONCE: Final = 2**64 - 1
BLOB_HASH_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Authorization:
    """One EIP-7702 tuple as signed; a signature that recovers nobody is skipped, not invalid."""

    chain_id: int
    address: bytes
    nonce: int
    y_parity: int
    r: int
    s: int

    def authority(self) -> bytes | None:
        """Address that signed, or None when the signature is not valid."""
        message = rlp.encode([rlp.uint(self.chain_id), self.address, rlp.uint(self.nonce)])
        try:
            return recover(keccak256(b"\x05" + message), self.y_parity, self.r, self.s)
        except BadSignature:
            return None


@dataclass(frozen=True, slots=True)
class Transaction:
    """One signed transaction.

    Attributes:
        raw: canonical encoding: RLP list (type 0) or type byte and RLP list.
        hash: keccak256 of ``raw``.
        type: 0 to 4.
        chain_id: None for a legacy transaction without EIP-155 protection.
        nonce, gas_limit: below 2**64.
        to: 20 bytes, or None for a creation.
        value: wei.
        data: calldata or initcode.
        gas_price: wei per gas of types 0 and 1; equal to ``max_fee_per_gas`` for the others.
        max_fee_per_gas, max_priority_fee_per_gas: both equal ``gas_price`` for types 0 and 1.
        access_list: empty for type 0.
        authorization_list: not empty for type 4, empty for the others.
        v: as encoded: EIP-155 value for type 0, y parity for the others.
        y_parity: 0 or 1.
        r, s: signature; s is low except where ``decode_transaction`` was told otherwise.
        sender: recovered, 20 bytes.
        max_fee_per_blob_gas, blob_versioned_hashes: type 3 only.
    """

    raw: bytes
    hash: bytes
    type: int
    chain_id: int | None
    nonce: int
    gas_limit: int
    to: bytes | None
    value: int
    data: bytes
    gas_price: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    access_list: AccessList
    authorization_list: tuple[Authorization, ...]
    v: int
    y_parity: int
    r: int
    s: int
    sender: bytes
    max_fee_per_blob_gas: int = 0
    blob_versioned_hashes: tuple[bytes, ...] = ()

    def priority_fee(self, base_fee: int) -> int:
        """Wei per gas that the coinbase earns; negative when the fee cap is below ``base_fee``."""
        return min(self.max_priority_fee_per_gas, self.max_fee_per_gas - base_fee)

    def effective_gas_price(self, base_fee: int) -> int:
        """Wei per gas that the sender pays in a block with ``base_fee`` (<= the fee cap)."""
        return base_fee + self.priority_fee(base_fee)

    def maximum_cost(self) -> int:
        """Wei that the sender must own: value + gas limit * fee cap."""
        return self.value + self.gas_limit * self.max_fee_per_gas


def decode_transaction(
    raw: bytes, sender: bytes | None = None, *, homestead: bool = True
) -> Transaction:
    """Decode one transaction in its canonical (EIP-2718) encoding.

    Args:
        raw: bytes as in ``eth_sendRawTransaction`` or, for typed ones, the string of a block body.
        sender: the author where it is already proven; skips the recovery.
        homestead: False allows high s, as Frontier did (EIP-2); legacy transactions only.

    Raises:
        InvalidTransaction: every kind of bad bytes, ranges, fee order or signature.
    """
    if not raw:
        raise MalformedTransaction("empty transaction")
    try:
        if raw[0] >= 0xC0:
            return _decode_legacy(raw, sender, not homestead)
        return _decode_typed(raw, sender)
    except rlp.RlpError as error:
        raise MalformedTransaction(f"malformed transaction: {error}") from None


def _decode_legacy(raw: bytes, sender: bytes | None, high_s: bool) -> Transaction:
    items = rlp.decode_list(raw)
    _check_count(items, 9, 0)
    v = rlp.as_uint(items[6])
    if v in (27, 28):
        chain_id, y_parity, suffix = None, v - 27, b""
    elif v >= 35:
        chain_id, y_parity = divmod(v - 35, 2)
        suffix = rlp.encode_uint(chain_id) + b"\x80\x80"
    else:
        raise InvalidSignature(f"v {v}, want 27, 28 or at least 35")
    r, s = rlp.as_uint(items[7]), rlp.as_uint(items[8])
    price = rlp.as_uint(items[1])
    return Transaction(
        raw=raw,
        hash=keccak256(raw),
        type=0,
        chain_id=chain_id,
        nonce=_nonce(items[0]),
        gas_limit=rlp.as_uint(items[2], 64),
        to=_recipient(items[3]),
        value=rlp.as_uint(items[4]),
        data=rlp.as_bytes(items[5]),
        gas_price=price,
        max_fee_per_gas=price,
        max_priority_fee_per_gas=price,
        access_list=(),
        authorization_list=(),
        v=v,
        y_parity=y_parity,
        r=r,
        s=s,
        sender=sender or _recover(_unsigned(raw, v, r, s, suffix), y_parity, r, s, high_s),
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Positions in the RLP list of one typed transaction."""

    fields: int
    fees: int  # 1: gasPrice; 2: maxPriorityFeePerGas, maxFeePerGas
    extra: int  # fields between access list and signature


_LAYOUTS: Final = {
    1: _Layout(11, 1, 0),
    2: _Layout(12, 2, 0),
    3: _Layout(14, 2, 2),
    4: _Layout(13, 2, 1),
}


def _decode_typed(raw: bytes, sender: bytes | None) -> Transaction:
    kind = raw[0]
    layout = _LAYOUTS.get(kind)
    if layout is None:
        raise TypeNotSupported(f"type {kind}")
    items = rlp.decode_list(raw[1:])
    if kind == 3 and len(items) in (4, 5) and not isinstance(items[0], bytes):
        raise TypeNotSupported("blob transaction with sidecar; this chain has no blob pool")
    _check_count(items, layout.fields, kind)
    fees = [rlp.as_uint(item) for item in items[2 : 2 + layout.fees]]
    body = items[2 + layout.fees :]
    priority_fee, max_fee = fees[0], fees[-1]
    if priority_fee > max_fee:
        raise TipAboveFeeCap(priority_fee, max_fee)
    extra = body[5 : 5 + layout.extra]
    y_parity, r, s = (rlp.as_uint(item) for item in items[-3:])
    to = _recipient(body[1])
    if to is None and kind in (3, 4):
        raise MalformedTransaction(f"type {kind} transaction cannot create a contract: to is empty")
    return Transaction(
        raw=raw,
        hash=keccak256(raw),
        type=kind,
        chain_id=rlp.as_uint(items[0]),
        nonce=_nonce(items[1]),
        gas_limit=rlp.as_uint(body[0], 64),
        to=to,
        value=rlp.as_uint(body[2]),
        data=rlp.as_bytes(body[3]),
        gas_price=max_fee,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=priority_fee,
        access_list=_access_list(body[4]),
        authorization_list=_authorizations(extra[0]) if kind == 4 else (),
        v=y_parity,
        y_parity=y_parity,
        r=r,
        s=s,
        sender=sender or _recover(raw[:1] + _unsigned(raw[1:], y_parity, r, s), y_parity, r, s),
        max_fee_per_blob_gas=rlp.as_uint(extra[0]) if kind == 3 else 0,
        blob_versioned_hashes=_blob_hashes(extra[1]) if kind == 3 else (),
    )


def _check_count(items: list[rlp.Decoded], want: int, kind: int) -> None:
    if len(items) != want:
        raise MalformedTransaction(f"type {kind} transaction has {len(items)} fields, want {want}")


def _unsigned(encoded: bytes, v: int, r: int, s: int, suffix: bytes = b"") -> bytes:
    """The list that ends with these three fields without them; ``suffix`` takes their place."""
    signature = sum(len(rlp.encode_uint(value)) for value in (v, r, s))
    return rlp.join_list((rlp.list_payload(encoded)[:-signature], suffix))


def _recover(unsigned: bytes, y_parity: int, r: int, s: int, high_s: bool = False) -> bytes:
    try:
        return recover(keccak256(unsigned), y_parity, r, s, high_s)
    except BadSignature as error:
        raise InvalidSignature(str(error)) from None


def _nonce(item: rlp.Decoded) -> int:
    nonce = rlp.as_uint(item, 64)
    if nonce == MAX_NONCE:
        raise InvalidTransaction(f"nonce has max value: {nonce}")  # EIP-2681
    return nonce


def _recipient(item: rlp.Decoded) -> bytes | None:
    if item == b"":
        return None
    return rlp.as_bytes(item, 20)


def _list_of(item: rlp.Decoded, size: int, what: str) -> list[list[rlp.Decoded]]:
    entries = [rlp.as_list(entry) for entry in rlp.as_list(item)]
    for entry in entries:
        if len(entry) != size:
            raise MalformedTransaction(f"{what} entry has {len(entry)} fields, want {size}")
    return entries


def _access_list(item: rlp.Decoded) -> AccessList:
    if not item:
        rlp.as_list(item)
        return ()
    return tuple(
        (
            rlp.as_bytes(address, 20),
            tuple([int.from_bytes(slot, "big") for slot in rlp.bytes_list(slots, 32)]),
        )
        for address, slots in _list_of(item, 2, "access list")
    )


def _authorizations(item: rlp.Decoded) -> tuple[Authorization, ...]:
    entries = _list_of(item, 6, "authorization list")
    if not entries:
        raise MalformedTransaction("empty authorization list")
    return tuple(
        Authorization(
            chain_id=rlp.as_uint(entry[0]),
            address=rlp.as_bytes(entry[1], 20),
            nonce=rlp.as_uint(entry[2], 64),
            y_parity=rlp.as_uint(entry[3], 8),
            r=rlp.as_uint(entry[4]),
            s=rlp.as_uint(entry[5]),
        )
        for entry in entries
    )


def _blob_hashes(item: rlp.Decoded) -> tuple[bytes, ...]:
    hashes = rlp.bytes_list(item, 32)
    if not hashes:
        raise MalformedTransaction("blob transaction without blobs")
    for versioned in hashes:
        if versioned[0] != BLOB_HASH_VERSION:
            raise MalformedTransaction(f"blob hash version {versioned[0]}, want 1")
    return hashes
