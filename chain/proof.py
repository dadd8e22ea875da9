"""Merkle proofs of accounts, storage slots and receipts: make them, check them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chain import rlp
from chain.errors import InvalidBlock, ProofError
from chain.receipts import Receipt, decode_receipt, encode_receipt
from chain.state_reader import EMPTY_ACCOUNT, Account, StateReader, decode_account
from chain.trie import build_trie, ordered_entries, walk
from precompiles.hashing import keccak256


@dataclass(frozen=True, slots=True)
class StorageProof:
    """One slot, its word, and the nodes from the storage root down."""

    slot: int
    value: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AccountProof:
    """What ``eth_getProof`` returns (EIP-1186); nodes from the state root down."""

    address: bytes
    account: Account
    nodes: tuple[bytes, ...]
    storage: tuple[StorageProof, ...]


def account_proof(reader: StateReader, address: bytes, slots: Sequence[int] = ()) -> AccountProof:
    """Proof of an account (present or absent) and of some of its slots."""
    return AccountProof(
        address=address,
        account=reader.account(address),
        nodes=tuple(reader.account_trail(address)),
        storage=tuple(
            StorageProof(
                slot, reader.storage(address, slot), tuple(reader.storage_trail(address, slot))
            )
            for slot in slots
        ),
    )


def receipt_proof(receipts: Sequence[Receipt], index: int) -> list[bytes]:
    """Nodes from the receipts root to receipt ``index`` (0 to len - 1, else IndexError)."""
    return _list_proof([encode_receipt(receipt) for receipt in receipts], index)


def transaction_proof(raw_transactions: Sequence[bytes], index: int) -> list[bytes]:
    """Nodes from the transactions root to transaction ``index``."""
    return _list_proof(raw_transactions, index)


def verify_account_proof(state_root: bytes, address: bytes, nodes: Iterable[bytes]) -> Account:
    """The account that ``nodes`` prove under ``state_root``; EMPTY_ACCOUNT for proven absence.

    Raises:
        ProofError: a node is missing, foreign or damaged.
    """
    value = _verify(state_root, keccak256(address), nodes, "account")
    if value is None:
        return EMPTY_ACCOUNT
    try:
        return decode_account(value)
    except rlp.RlpError as error:
        raise ProofError(f"account proof: {error}") from None


def verify_storage_proof(storage_root: bytes, slot: int, nodes: Iterable[bytes]) -> int:
    """The word that ``nodes`` prove under an account's storage root; 0 for proven absence."""
    value = _verify(storage_root, keccak256(slot.to_bytes(32, "big")), nodes, "storage")
    if value is None:
        return 0
    try:
        return rlp.as_uint(rlp.decode(value))
    except rlp.RlpError as error:
        raise ProofError(f"storage proof: {error}") from None


def verify_receipt_proof(receipts_root: bytes, index: int, nodes: Iterable[bytes]) -> Receipt:
    """Receipt number ``index`` of the block with ``receipts_root``."""
    value = _verify(receipts_root, rlp.encode_uint(index), nodes, "receipt")
    if value is None:
        raise ProofError(f"receipt proof: the block has no receipt {index}")
    try:
        return decode_receipt(value)
    except InvalidBlock as error:
        raise ProofError(f"receipt proof: {error}") from None


def verify_transaction_proof(transactions_root: bytes, index: int, nodes: Iterable[bytes]) -> bytes:
    """Canonical bytes of transaction number ``index``, not decoded."""
    value = _verify(transactions_root, rlp.encode_uint(index), nodes, "transaction")
    if value is None:
        raise ProofError(f"transaction proof: the block has no transaction {index}")
    return value


def _list_proof(values: Sequence[bytes], index: int) -> list[bytes]:
    if not 0 <= index < len(values):
        raise IndexError(f"index {index} of {len(values)}")
    root, nodes = build_trie(ordered_entries(values))
    return walk(nodes.__getitem__, root, rlp.encode_uint(index))[1]


def _verify(root: bytes, key: bytes, nodes: Iterable[bytes], what: str) -> bytes | None:
    given = {keccak256(node): node for node in nodes}
    try:
        value, trail = walk(given.__getitem__, root, key)
    except KeyError as error:
        raise ProofError(
            f"{what} proof: node 0x{error.args[0].hex()} is missing "
            f"(root 0x{root.hex()}, {len(given)} nodes given)"
        ) from None
    except rlp.RlpError as error:
        raise ProofError(f"{what} proof: {error}") from None
    if len(trail) != len(given):
        raise ProofError(f"{what} proof: {len(given)} nodes given, {len(trail)} belong to it")
    return value
