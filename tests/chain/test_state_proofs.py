"""Tries, state reader and proofs, against the ``trie`` library."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from chain import rlp
from chain.errors import ProofError, StoreError
from chain.header import EMPTY_TRIE_ROOT
from chain.proof import (
    account_proof,
    receipt_proof,
    transaction_proof,
    verify_account_proof,
    verify_receipt_proof,
    verify_storage_proof,
    verify_transaction_proof,
)
from chain.receipts import (
    Log,
    Receipt,
    bloom_may_contain,
    decode_receipt,
    encode_receipt,
    logs_bloom,
    receipts_root,
    transactions_root,
    union_bloom,
)
from chain.state_reader import EMPTY_ACCOUNT, Account, StateReader, encode_account
from chain.trie import build_trie, ordered_root, walk
from chain.validator_set import read_validators, validator_slots
from genesis.addresses import VALIDATOR_SET
from precompiles.hashing import EMPTY_HASH, keccak256
from tests.chain import records

KEYS = st.binary(min_size=3, max_size=3)
VALUES = st.binary(min_size=1, max_size=60)


@given(st.dictionaries(KEYS, VALUES, max_size=60), st.lists(KEYS, max_size=5))
def test_built_trie_equals_the_library_and_is_walkable(
    entries: dict[bytes, bytes], others: list[bytes]
) -> None:
    library = HexaryTrie({})
    for key, value in entries.items():
        library[key] = value
    root, nodes = build_trie(entries)
    assert root == library.root_hash
    for key in [*entries, *others]:
        value, trail = walk(nodes.__getitem__, root, key)
        assert value == entries.get(key)
        if entries:
            assert [rlp.decode(node) for node in trail] == [
                node for node in library.get_proof(key) if keccak256(rlp.encode(node)) in nodes
            ]


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=300))
@settings(max_examples=20)
def test_list_roots_equal_the_library(values: list[bytes]) -> None:
    library = HexaryTrie({})
    for index, value in enumerate(values):
        library[rlp.encode_uint(index)] = value
    assert ordered_root(values) == library.root_hash


def test_keys_that_are_prefixes_of_each_other() -> None:
    entries = {b"a": b"1", b"ab": b"2", b"abc": b"3", b"": b"4"}
    library = HexaryTrie({})
    for key, value in entries.items():
        library[key] = value
    root, nodes = build_trie(entries)
    assert root == library.root_hash
    assert all(walk(nodes.__getitem__, root, key)[0] == value for key, value in entries.items())


def test_empty_trie() -> None:
    assert build_trie({}) == (EMPTY_TRIE_ROOT, {})
    assert walk({}.__getitem__, EMPTY_TRIE_ROOT, b"key") == (None, [])


SLOTS = {slot: slot * 7 + 1 for slot in range(40)} | {2**255: 2**256 - 1}
STORAGE_ROOT, STORAGE_NODES = records.storage(SLOTS)
CODE = b"\x60\x00"
CONTRACT = b"\xcc" * 20
ACCOUNTS = {
    records.account(number): Account(number, number * 10**18, EMPTY_TRIE_ROOT, EMPTY_HASH)
    for number in range(50)
} | {CONTRACT: Account(1, 5, STORAGE_ROOT, keccak256(CODE))}
VALIDATORS = [records.account(number) for number in range(4)]
ROOT, STATE_NODES = records.state(ACCOUNTS, VALIDATORS)
NODES = {**STATE_NODES, **STORAGE_NODES, keccak256(CODE): CODE}


@pytest.fixture
def reader() -> StateReader:
    return StateReader(NODES.__getitem__, ROOT)


def test_reader(reader: StateReader) -> None:
    for address, account in ACCOUNTS.items():
        assert reader.account(address) == account
    assert reader.account(b"\xee" * 20) == EMPTY_ACCOUNT
    assert [reader.storage(CONTRACT, slot) for slot in SLOTS] == list(SLOTS.values())
    assert reader.storage(CONTRACT, 41) == reader.storage(b"\xee" * 20, 1) == 0
    assert (reader.code(CONTRACT), reader.code(records.account(1))) == (CODE, b"")


def test_reader_blames_the_database() -> None:
    without = StateReader({ROOT: NODES[ROOT]}.__getitem__, ROOT)
    with pytest.raises(StoreError, match=r"trie node 0x[0-9a-f]{64} is missing"):
        without.account(CONTRACT)
    no_code = StateReader({h: n for h, n in NODES.items() if n != CODE}.__getitem__, ROOT)
    with pytest.raises(StoreError, match=f"code 0x{keccak256(CODE).hex()} is missing"):
        no_code.code(CONTRACT)
    with pytest.raises(StoreError, match="damaged trie node"):
        StateReader(lambda _: b"\xc3\x01\x02\x03", ROOT).account(CONTRACT)
    with pytest.raises(StoreError, match="damaged trie node"):
        StateReader(lambda _: b"\xff", ROOT).account(CONTRACT)


def test_validators_are_sorted(reader: StateReader) -> None:
    assert read_validators(reader) == tuple(sorted(VALIDATORS))
    assert validator_slots(1)[1] == int.from_bytes(keccak256(bytes(32)), "big")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([0], "0 validators"),
        ([10**6], "1000000 validators"),
        ([2, 5, 5], "not a set"),
        ([1, 1 << 160], "not a set"),
        ([2, 5], None),
    ],
)
def test_damaged_validator_sets(words: list[int], text: str | None) -> None:
    root, nodes = records.storage(dict(zip(validator_slots(len(words) - 1), words, strict=True)))
    leaf = encode_account(Account(1, 0, root, EMPTY_HASH))
    state_root, state_nodes = build_trie({keccak256(VALIDATOR_SET): leaf})
    view = StateReader({**nodes, **state_nodes}.__getitem__, state_root)
    if text is None:
        assert read_validators(view) == (bytes(20), bytes(19) + b"\5")
        return
    with pytest.raises(StoreError, match=text):
        read_validators(view)


def test_account_and_storage_proofs(reader: StateReader) -> None:
    for address in (CONTRACT, records.account(7), b"\xee" * 20):
        proof = account_proof(reader, address, [0, 5, 2**255, 999])
        account = verify_account_proof(ROOT, address, proof.nodes)
        assert account == proof.account == ACCOUNTS.get(address, EMPTY_ACCOUNT)
        for part in proof.storage:
            word = verify_storage_proof(account.storage_root, part.slot, part.nodes)
            expected = SLOTS.get(part.slot, 0) if address == CONTRACT else 0
            assert word == part.value == expected


@given(st.data())
@settings(max_examples=60)
def test_damaged_proofs_never_prove_anything_else(data: st.DataObject) -> None:
    reader = StateReader(NODES.__getitem__, ROOT)
    address = data.draw(st.sampled_from(sorted(ACCOUNTS)))
    nodes = [bytearray(node) for node in reader.account_trail(address)]
    node = data.draw(st.sampled_from(nodes))
    position = data.draw(st.integers(0, len(node) - 1))
    node[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProofError):
        verify_account_proof(ROOT, address, [bytes(part) for part in nodes])


def test_truncated_foreign_and_padded_proofs(reader: StateReader) -> None:
    nodes = reader.account_trail(CONTRACT)
    assert len(nodes) > 1
    with pytest.raises(ProofError, match=r"account proof: node 0x[0-9a-f]{64} is missing"):
        verify_account_proof(ROOT, CONTRACT, nodes[:-1])
    with pytest.raises(ProofError, match="is missing"):
        verify_account_proof(ROOT, CONTRACT, [])
    with pytest.raises(ProofError, match="is missing"):
        verify_account_proof(b"\1" * 32, CONTRACT, nodes)
    with pytest.raises(ProofError, match=f"{len(nodes) + 1} nodes given, {len(nodes)} belong"):
        verify_account_proof(ROOT, CONTRACT, [*nodes, b"\xc0"])
    slot_nodes = reader.storage_trail(CONTRACT, 5)
    with pytest.raises(ProofError, match="storage proof"):
        verify_storage_proof(STORAGE_ROOT, 5, slot_nodes[1:])
    with pytest.raises(ProofError, match="storage proof"):
        verify_storage_proof(ROOT, 5, slot_nodes)


def test_a_leaf_that_is_no_account() -> None:
    root, nodes = build_trie({keccak256(CONTRACT): b"\xc0" + b"x" * 40})
    with pytest.raises(ProofError, match="account proof: "):
        verify_account_proof(root, CONTRACT, nodes.values())


TRANSACTIONS = [records.transaction(nonce=nonce) for nonce in range(200)]
RECEIPTS = records.receipts(TRANSACTIONS)


@pytest.mark.parametrize("count", [1, 2, 17, 130, 200])
def test_list_proofs(count: int) -> None:
    raws = [tx.raw for tx in TRANSACTIONS[:count]]
    root, tx_root = receipts_root(RECEIPTS[:count]), transactions_root(raws)
    for index in {0, count // 2, count - 1}:
        nodes = receipt_proof(RECEIPTS[:count], index)
        assert verify_receipt_proof(root, index, nodes) == RECEIPTS[index]
        assert (
            verify_transaction_proof(tx_root, index, transaction_proof(raws, index)) == raws[index]
        )
        with pytest.raises(ProofError):
            verify_receipt_proof(tx_root, index, nodes)
        with pytest.raises(ProofError, match=r"is missing|nodes given"):
            verify_receipt_proof(root, index, nodes[:-1])


def test_proof_of_an_index_that_the_block_does_not_have() -> None:
    root = receipts_root(RECEIPTS[:3])
    with pytest.raises(ProofError, match="has no receipt 99"):
        verify_receipt_proof(root, 99, [receipt_proof(RECEIPTS[:3], 0)[0]])
    with pytest.raises(IndexError, match="index 3 of 3"):
        receipt_proof(RECEIPTS[:3], 3)
    with pytest.raises(IndexError):
        receipt_proof(RECEIPTS[:3], -1)


LOGS = st.lists(
    st.builds(
        Log,
        st.binary(min_size=20, max_size=20),
        st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple),
        st.binary(max_size=80),
    ),
    max_size=4,
).map(tuple)


@given(st.integers(0, 4), st.integers(0, 1), st.integers(0, 2**64 - 1), LOGS)
def test_receipt_round_trip(kind: int, status: int, gas: int, logs: tuple[Log, ...]) -> None:
    receipt = Receipt(kind, status, gas, logs_bloom(logs), logs)
    assert decode_receipt(encode_receipt(receipt)) == receipt
    for log in logs:
        assert bloom_may_contain(receipt.logs_bloom, log.address)
        assert all(bloom_may_contain(receipt.logs_bloom, topic) for topic in log.topics)


def test_bloom_membership() -> None:
    """The entries of go-ethereum's bloom9_test."""
    logs = [Log(entry, (), b"") for entry in (b"testtest", b"test", b"hallo", b"other")]
    bloom = logs_bloom(logs)
    assert all(bloom_may_contain(bloom, log.address) for log in logs)
    assert not any(bloom_may_contain(bloom, entry) for entry in (b"tes", b"lo"))
    assert union_bloom([logs_bloom(logs[:2]), logs_bloom(logs[2:])]) == bloom
    assert union_bloom([]) == bytes(256)
