"""Encodings of transactions of every type, right ones and deliberately wrong ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from chain import rlp
from precompiles.hashing import keccak256
from tests.chain.records import key

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE = range(5)


@dataclass(frozen=True)
class Draft:
    """A transaction before it is signed.

    Attributes:
        sender: number of the key that signs.
        chain_id: None for a legacy transaction without replay protection.
        max_fee: gas price of types 0 and 1.
        to: empty for a creation.
        access_list: [address, [slot bytes, ...]] pairs.
        authorizations: signed tuples, see ``authorization``.
        signature: (v or y parity, r, s) instead of the right ones.
        fields: position -> raw item instead of the right one, in the signed part.
    """

    type: int = LEGACY
    sender: int = 0
    chain_id: int | None = 1
    nonce: int = 0
    tip: int = 0
    max_fee: int = 10**9
    gas: int = 21_000
    to: bytes = b""
    value: int = 0
    data: bytes = b""
    access_list: Sequence[Any] = ()
    max_blob_fee: int = 0
    blob_hashes: Sequence[bytes] = ()
    authorizations: Sequence[Any] = ()
    signature: tuple[int, int, int] | None = None
    fields: Mapping[int, Any] | None = None

    def with_(self, **changes: Any) -> "Draft":
        """A copy with these changes."""
        return replace(self, **changes)


def encode(draft: Draft) -> bytes:
    """The signed transaction."""
    body = _body(draft)
    for position, item in (draft.fields or {}).items():
        body[position] = item
    if draft.type == LEGACY:
        tail = [] if draft.chain_id is None else [rlp.uint(draft.chain_id), b"", b""]
        parity, r, s = sign(draft.sender, rlp.encode([*body, *tail]))
        v = parity + (27 if draft.chain_id is None else 35 + 2 * draft.chain_id)
        v, r, s = draft.signature or (v, r, s)
        return rlp.encode([*body, rlp.uint(v), rlp.uint(r), rlp.uint(s)])
    prefix = bytes((draft.type,))
    parity, r, s = draft.signature or sign(draft.sender, prefix + rlp.encode(body))
    return prefix + rlp.encode([*body, rlp.uint(parity), rlp.uint(r), rlp.uint(s)])


def sign(number: int, message: bytes) -> tuple[int, int, int]:
    """(y parity, r, s) of key ``number`` over keccak256 of ``message``; low s."""
    signature = key(number).sign_recoverable(keccak256(message), hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return signature[64], r, s


def signature_of(draft: Draft) -> tuple[int, int, int]:
    """What ``encode`` would sign with: (v or y parity, r, s)."""
    items = rlp.decode_list(encode(draft)[1 if draft.type else 0 :])
    v, r, s = (rlp.as_uint(item) for item in items[-3:])
    return v, r, s


def authorization(
    number: int, target: bytes, nonce: int, chain_id: int = 1, **wrong: Any
) -> list[bytes]:
    """An EIP-7702 tuple signed by key ``number``; ``wrong`` replaces y_parity, r or s."""
    body = [rlp.uint(chain_id), target, rlp.uint(nonce)]
    parity, r, s = sign(number, b"\x05" + rlp.encode(body))
    values = {"y_parity": parity, "r": r, "s": s} | wrong
    return [*body, *(rlp.uint(values[name]) for name in ("y_parity", "r", "s"))]


def _body(draft: Draft) -> list[Any]:
    uint = rlp.uint
    common = [uint(draft.gas), draft.to, uint(draft.value), draft.data]
    if draft.type == LEGACY:
        return [uint(draft.nonce), uint(draft.max_fee), *common]
    head = [uint(draft.chain_id or 0), uint(draft.nonce)]
    fees = [uint(draft.max_fee)]
    if draft.type != ACCESS_LIST:
        fees = [uint(draft.tip), uint(draft.max_fee)]
    body = [*head, *fees, *common, draft.access_list]
    if draft.type == BLOB:
        body += [uint(draft.max_blob_fee), list(draft.blob_hashes)]
    if draft.type == SET_CODE:
        body.append(list(draft.authorizations))
    return body
