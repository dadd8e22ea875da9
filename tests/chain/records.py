"""Builds real records for tests: keys, signed transactions, states, headers, blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from coincurve import PrivateKey

from chain import rlp
from chain.blocks import Block
from chain.certificate import CommitCertificate
from chain.extra_data import chain_extra_data, commit_hash
from chain.header import EMPTY_LIST_HASH, EMPTY_REQUESTS_HASH, EMPTY_TRIE_ROOT, Header
from chain.receipts import Log, Receipt, logs_bloom, receipts_root, transactions_root, union_bloom
from chain.requests import ExecutedBlock
from chain.state_reader import Account, encode_account
from chain.transactions import Transaction, decode_transaction
from chain.trie import build_trie
from chain.validator_set import validator_slots
from genesis.addresses import VALIDATOR_SET
from genesis.predeploys import new_genesis
from genesis.spec import GenesisSpec
from precompiles.hashing import EMPTY_HASH, keccak256

CHAIN_ID = 42330
GWEI = 10**9
ETHER = 10**18
RECIPIENT = bytes.fromhex("c0ffee" + "00" * 17)


def key(number: int) -> PrivateKey:
    return PrivateKey(keccak256(b"test key %d" % number))


def address_of(private: PrivateKey) -> bytes:
    return keccak256(private.public_key.format(compressed=False)[1:])[12:]


def account(number: int) -> bytes:
    return address_of(key(number))


def signed(
    number: int = 0,
    *,
    type: int = 2,
    chain_id: int | None = CHAIN_ID,
    nonce: int = 0,
    gas: int = 21_000,
    to: bytes = RECIPIENT,
    value: int = 1,
    data: bytes = b"",
    tip: int = 1,
    max_fee: int = 2 * GWEI,
    access_list: Sequence[object] = (),
    extra: Sequence[object] = (),
) -> bytes:
    """Encoding of a transaction signed by key ``number``; ``extra``: fields of types 3, 4."""
    uint = rlp.uint
    common = [uint(gas), to, uint(value), data]
    if type == 0:
        body = [uint(nonce), uint(max_fee), *common]
        tail = [] if chain_id is None else [uint(chain_id), b"", b""]
        signature = sign(number, rlp.encode([*body, *tail]))
        v = signature[64] + (27 if chain_id is None else 35 + 2 * chain_id)
        return rlp.encode([*body, uint(v), *scalars(signature)])
    fees = [uint(max_fee)] if type == 1 else [uint(tip), uint(max_fee)]
    body = [uint(chain_id or 0), uint(nonce), *fees, *common, access_list, *extra]
    signature = sign(number, bytes((type,)) + rlp.encode(body))
    return bytes((type,)) + rlp.encode([*body, uint(signature[64]), *scalars(signature)])


def sign(number: int, message: bytes) -> bytes:
    return key(number).sign_recoverable(keccak256(message), hasher=None)


def scalars(signature: bytes) -> list[bytes]:
    return [signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0")]


def authorization(
    number: int, *, nonce: int = 0, chain_id: int = CHAIN_ID, to: bytes = RECIPIENT
) -> list[bytes]:
    body = [rlp.uint(chain_id), to, rlp.uint(nonce)]
    signature = sign(number, b"\x05" + rlp.encode(body))
    return [*body, rlp.uint(signature[64]), *scalars(signature)]


def transaction(number: int = 0, **fields: object) -> Transaction:
    return decode_transaction(signed(number, **fields))  # type: ignore[arg-type]


def state(
    accounts: Mapping[bytes, Account], validators: Sequence[bytes]
) -> tuple[bytes, dict[bytes, bytes]]:
    """Root and nodes of a state with these accounts and this ValidatorSet."""
    words = [len(validators), *(int.from_bytes(v, "big") for v in validators)]
    storage_root, nodes = storage(dict(zip(validator_slots(len(validators)), words, strict=True)))
    entries = {keccak256(a): encode_account(value) for a, value in accounts.items()}
    entries[keccak256(VALIDATOR_SET)] = encode_account(Account(1, 0, storage_root, EMPTY_HASH))
    root, account_nodes = build_trie(entries)
    return root, nodes | account_nodes


def storage(slots: Mapping[int, int]) -> tuple[bytes, dict[bytes, bytes]]:
    return build_trie(
        {keccak256(s.to_bytes(32, "big")): rlp.encode_uint(w) for s, w in slots.items() if w}
    )


def header(**fields: object) -> Header:
    values = {
        "parent_hash": bytes(32),
        "ommers_hash": EMPTY_LIST_HASH,
        "coinbase": bytes(20),
        "state_root": EMPTY_TRIE_ROOT,
        "transactions_root": EMPTY_TRIE_ROOT,
        "receipts_root": EMPTY_TRIE_ROOT,
        "logs_bloom": bytes(256),
        "difficulty": 0,
        "number": 0,
        "gas_limit": 60_000_000,
        "gas_used": 0,
        "timestamp": 1_700_000_000,
        "extra_data": chain_extra_data(b"test"),
        "mix_hash": bytes(32),
        "nonce": bytes(8),
        "base_fee_per_gas": GWEI,
        "withdrawals_root": EMPTY_TRIE_ROOT,
        "blob_gas_used": 0,
        "excess_blob_gas": 0,
        "parent_beacon_block_root": bytes(32),
        "requests_hash": EMPTY_REQUESTS_HASH,
    }
    return Header(**{**values, **fields})  # type: ignore[arg-type]


def receipts(transactions: Sequence[Transaction]) -> tuple[Receipt, ...]:
    """One successful receipt with one log per transaction."""
    made = []
    for index, tx in enumerate(transactions):
        logs = (Log(RECIPIENT, (tx.hash,), b"log %d" % index),)
        made.append(Receipt(tx.type, 1, 21_000 * (index + 1), logs_bloom(logs), logs))
    return tuple(made)


def child(
    parent: Header,
    transactions: Sequence[Transaction] = (),
    *,
    state_root: bytes | None = None,
    nodes: Mapping[bytes, bytes] | None = None,
) -> ExecutedBlock:
    """A block on ``parent`` with invented receipts; roots and bloom fit the body."""
    outcome = receipts(transactions)
    made = replace(
        parent,
        parent_hash=parent.hash,
        number=parent.number + 1,
        timestamp=parent.timestamp + 1,
        state_root=state_root or parent.state_root,
        transactions_root=transactions_root([tx.raw for tx in transactions]),
        receipts_root=receipts_root(outcome),
        logs_bloom=union_bloom([receipt.logs_bloom for receipt in outcome]),
        gas_used=21_000 * len(transactions),
    )
    fresh = nodes or {}
    return ExecutedBlock(Block(made, tuple(transactions)), outcome, fresh, dict.fromkeys(fresh, 1))


def certificate(sealed: Header, sealers: Sequence[int], round: int = 0) -> CommitCertificate:
    digest = commit_hash(sealed, round)
    seals = [key(number).sign_recoverable(digest, hasher=None) for number in sealers]
    return CommitCertificate(round, tuple(seals))


def spec(**overrides: object) -> GenesisSpec:
    """Genesis with validators 0 to 3 and 1,000 ether for accounts 0 to 9."""
    return new_genesis(
        chain_id=CHAIN_ID,
        validators=[account(number) for number in range(4)],
        accounts={account(number): 1_000 * ETHER for number in range(10)},
        **overrides,  # type: ignore[arg-type]
    )
