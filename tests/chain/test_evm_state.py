"""The journaled state: reverts, ends of transactions, roots, what a store has to count."""

import copy
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import ExecutorFault
from chain.evm.state import WorldState
from chain.evm.state_cache import StateCache
from chain.header import EMPTY_TRIE_ROOT
from chain.receipts import Log
from chain.state_reader import StateReader
from precompiles.hashing import EMPTY_HASH, keccak256
from tests.chain.state_model import Model, apply, check_equal, written
from tests.chain.state_walk import state_occurrences

ADDRESSES = [bytes(19) + bytes([n]) for n in range(1, 5)]  # 3 is RIPEMD-160's
PRIME = (1 << 61) - 1  # slots that are 0 modulo this have the hash of 0
SLOTS = [0, 1, PRIME, (1 << 256) - 1]
RIPEMD160 = ADDRESSES[2]
address, slot, word = st.sampled_from(ADDRESSES), st.sampled_from(SLOTS), st.integers(0, 2)
OPERATIONS = st.one_of(
    st.tuples(st.just("set_balance"), address, st.integers(0, 3)),
    st.tuples(st.just("add_balance"), address, st.integers(0, 3)),
    st.tuples(st.just("set_nonce"), address, word),
    st.tuples(st.just("increment_nonce"), address),
    st.tuples(st.just("set_code"), address, st.sampled_from([b"", b"\0", b"\1"])),
    st.tuples(st.just("set_storage"), address, slot, word),
    st.tuples(st.just("set_transient"), address, slot, word),
    st.tuples(st.just("access_address"), address),
    st.tuples(st.just("access_slot"), address, slot),
    st.tuples(st.just("touch_account"), address),
    st.tuples(st.just("mark_created"), address),
    st.tuples(st.just("mark_destroyed"), address),
    st.tuples(st.just("add_refund"), st.integers(-3, 5)),
    st.tuples(st.just("add_log"), address, st.just((bytes(32),)), st.binary(max_size=1)),
    st.tuples(st.just("snapshot")),
    st.tuples(st.just("revert")),
)
TRANSACTIONS = st.lists(
    st.tuples(st.lists(OPERATIONS, max_size=20), st.booleans(), st.booleans()), max_size=6
)


def fresh(nodes: dict[bytes, bytes] | None = None, root: bytes = EMPTY_TRIE_ROOT) -> WorldState:
    return WorldState((nodes or {}).__getitem__, root, [ADDRESSES[0]])


@settings(max_examples=200, deadline=None)
@given(st.lists(OPERATIONS, max_size=40))
def test_revert_restores_every_kind_of_value(operations: list[tuple[Any, ...]]) -> None:
    state, model = fresh(), Model(ADDRESSES[:1])
    run(state, model, operations)
    state.revert(0)
    touched = model.touched_ripemd160
    model = Model(ADDRESSES[:1])
    model.touched_ripemd160 = touched
    check_equal(state, model, ADDRESSES, SLOTS)


def run(state: WorldState, model: Model, operations: list[tuple[Any, ...]]) -> None:
    """Apply to both, snapshots nested as calls are, and compare after each."""
    snapshots: list[tuple[int, dict[str, Any]]] = []
    for operation in operations:
        if operation[0] == "snapshot":
            snapshots.append((state.snapshot(), copy.deepcopy(model.values)))
        elif operation[0] == "revert":
            if snapshots:
                snapshot, model.values = snapshots.pop()
                state.revert(snapshot)
        else:
            apply(state, operation)
            apply(model, operation)
        check_equal(state, model, ADDRESSES, SLOTS)


@settings(max_examples=200, deadline=None)
@given(st.lists(TRANSACTIONS, max_size=3))
def test_blocks_of_transactions_equal_the_model_in_root_and_counts(
    blocks: list[list[tuple[list[tuple[Any, ...]], bool, bool]]],
) -> None:
    model = Model(ADDRESSES[:1])
    nodes: dict[bytes, bytes] = {}
    counts: Counter[bytes] = Counter()
    root, cache = EMPTY_TRIE_ROOT, StateCache(4, 6, 2)
    for number, transactions in enumerate(blocks):
        state = WorldState(nodes.__getitem__, root, ADDRESSES[:1], cache if number % 2 else None)
        for operations, delete_empty, asks_root in transactions:
            state.begin_transaction()
            model.begin_transaction()
            run(state, model, operations)
            state.finish_transaction(delete_empty)
            model.finish_transaction(delete_empty)
            if asks_root:
                assert state.make_root() == written(model)
        change = state.change()
        root = change.root
        assert root == written(model)
        assert set(change.nodes) == set(change.added)
        assert not set(change.added) & set(change.removed)
        nodes.update(change.nodes)
        counts.update(change.added)
        counts.subtract(change.removed)
        assert +counts == state_occurrences(nodes, root)
        for digest in [digest for digest, count in counts.items() if count == 0]:
            del counts[digest], nodes[digest]
        assert min(counts.values(), default=0) >= 0


@settings(max_examples=100, deadline=None)
@given(st.lists(OPERATIONS, max_size=20), st.lists(OPERATIONS, max_size=20), st.booleans())
def test_a_finished_transaction_can_be_reverted_whole(
    first: list[tuple[Any, ...]], second: list[tuple[Any, ...]], delete_empty: bool
) -> None:
    """What a simulation does: the same state again for the next try."""
    state, model = fresh(), Model(ADDRESSES[:1])
    run(state, model, first)
    state.finish_transaction(delete_empty)
    model.finish_transaction(delete_empty)
    state.begin_transaction()
    model.begin_transaction()
    before = copy.deepcopy(model)
    run(state, model, second)
    state.finish_transaction(delete_empty)
    state.revert(0)
    check_equal(state, before, ADDRESSES, SLOTS)


def test_reverted_destruction_brings_storage_back() -> None:
    state = fresh()
    state.set_nonce(ADDRESSES[1], 1)
    state.set_storage(ADDRESSES[1], 0, 9)
    state.begin_transaction()
    state.set_storage(ADDRESSES[1], 0, 8)
    state.mark_destroyed(ADDRESSES[1])
    state.finish_transaction()
    assert state.get_storage(ADDRESSES[1], 0) == 0
    state.revert(0)
    assert state.get_storage(ADDRESSES[1], 0) == 9
    state.finish_transaction()
    change = state.change()
    assert StateReader(change.nodes.__getitem__, change.root).storage(ADDRESSES[1], 0) == 9


def test_original_value_is_that_of_the_start_of_the_transaction() -> None:
    state = fresh()
    address = ADDRESSES[0]
    state.set_storage(address, 0, 5)
    state.begin_transaction()
    assert state.original_storage(address, 0) == 5
    state.set_storage(address, 0, 6)
    state.set_storage(address, 0, 7)
    state.revert(0)
    state.set_storage(address, 0, 8)
    assert state.original_storage(address, 0) == 5
    state.begin_transaction()
    assert state.original_storage(address, 0) == 8


def test_what_belongs_to_a_transaction_lasts_one_transaction() -> None:
    state = fresh()
    state.access_address(ADDRESSES[1])
    state.access_slot(ADDRESSES[1], 1)
    state.set_transient(ADDRESSES[1], 1, 1)
    state.add_log(ADDRESSES[1], (), b"")
    state.add_refund(7)
    state.mark_created(ADDRESSES[1])
    state.mark_destroyed(ADDRESSES[1])
    state.begin_transaction()
    check_equal(state, Model(ADDRESSES[:1]), ADDRESSES, SLOTS)
    state.set_balance(ADDRESSES[1], 1)
    state.finish_transaction()
    assert state.account_exists(ADDRESSES[1]), "the mark of the transaction before"


def test_precompiled_accounts_are_warm_and_not_among_the_accessed() -> None:
    state = fresh()
    assert not state.access_address(ADDRESSES[0])
    assert state.access_address(ADDRESSES[1])
    assert state.access_slot(ADDRESSES[0], 9)
    assert state.accessed() == (ADDRESSES[1], (ADDRESSES[0], 9))


def test_logs_keep_their_order() -> None:
    state = fresh()
    state.add_log(ADDRESSES[0], (), b"1")
    snapshot = state.snapshot()
    state.add_log(ADDRESSES[0], (), b"2")
    state.revert(snapshot)
    state.add_log(ADDRESSES[1], (bytes(32),), b"3")
    assert state.logs == [Log(ADDRESSES[0], (), b"1"), Log(ADDRESSES[1], (bytes(32),), b"3")]


def test_touched_empty_account_stays_before_spurious_dragon() -> None:
    state = fresh()
    state.begin_transaction()
    state.touch_account(ADDRESSES[1])
    state.finish_transaction(delete_empty=False)
    state.begin_transaction()
    assert state.account_exists(ADDRESSES[1])
    change = state.change()
    account = StateReader(change.nodes.__getitem__, change.root).account(ADDRESSES[1])
    assert (account.nonce, account.balance, account.code_hash) == (0, 0, EMPTY_HASH)
    state = fresh(change.nodes, change.root)
    state.begin_transaction()
    state.finish_transaction()
    assert state.account_exists(ADDRESSES[1]), "not touched"
    state.touch_account(ADDRESSES[1])
    state.finish_transaction()
    assert not state.account_exists(ADDRESSES[1])
    assert state.change().root == EMPTY_TRIE_ROOT


def test_only_the_touch_of_ripemd160_outlives_a_revert() -> None:
    state = fresh()
    for account in ADDRESSES[1:3]:
        state.touch_account(account)
    state.finish_transaction(delete_empty=False)
    state.begin_transaction()
    snapshot = state.snapshot()
    for account in ADDRESSES[1:3]:
        state.add_balance(account, 1)
        state.touch_account(account)
    state.revert(snapshot)
    state.finish_transaction()
    assert state.account_exists(ADDRESSES[1])
    assert not state.account_exists(RIPEMD160)
    state.begin_transaction()
    state.set_balance(RIPEMD160, 0)
    state.finish_transaction(delete_empty=False)
    state.begin_transaction()
    state.finish_transaction()
    assert state.account_exists(RIPEMD160), "the touch of another transaction"


def test_touched_empty_account_is_deleted_with_its_storage() -> None:
    state = fresh()
    state.set_balance(ADDRESSES[1], 1)
    state.set_storage(ADDRESSES[1], 0, 9)
    root, nodes, _, _ = state.change()
    state = fresh(nodes, root)
    state.begin_transaction()
    state.set_balance(ADDRESSES[1], 0)
    state.finish_transaction()
    assert not state.account_exists(ADDRESSES[1])
    state.begin_transaction()
    state.set_nonce(ADDRESSES[1], 1)
    assert state.get_storage(ADDRESSES[1], 0) == 0
    change = state.change()
    reader = StateReader({**nodes, **change.nodes}.__getitem__, change.root)
    assert reader.account(ADDRESSES[1]).storage_root == EMPTY_TRIE_ROOT
    assert set(change.removed) == set(nodes)


def test_destroyed_account_can_be_created_again_in_the_same_block() -> None:
    state = fresh()
    state.set_code(ADDRESSES[1], b"\1")
    state.set_storage(ADDRESSES[1], 1, 1)
    state.set_storage(ADDRESSES[1], 5, 1)
    root, nodes, _, _ = state.change()
    for asks_root in (False, True):
        state = fresh(nodes, root)
        state.begin_transaction()
        state.set_storage(ADDRESSES[1], 3, 3)
        if asks_root:
            state.make_root()
        state.mark_destroyed(ADDRESSES[1])
        state.finish_transaction()
        assert not state.has_code_or_nonce(ADDRESSES[1])
        state.begin_transaction()
        state.set_nonce(ADDRESSES[1], 1)
        state.set_storage(ADDRESSES[1], 2, 2)
        assert state.get_storage(ADDRESSES[1], 5) == 0
        assert state.original_storage(ADDRESSES[1], 1) == 0
        change = state.change()
        reader = StateReader(change.nodes.__getitem__, change.root)
        assert [reader.storage(ADDRESSES[1], slot) for slot in (1, 2, 3, 5)] == [0, 2, 0, 0]
        assert Counter(change.added) == state_occurrences(change.nodes, change.root)
        assert Counter(change.removed) == state_occurrences(nodes, root)


def test_account_that_lived_one_transaction_leaves_nothing() -> None:
    state = fresh()
    state.begin_transaction()
    state.set_code(ADDRESSES[1], b"\1")
    state.set_storage(ADDRESSES[1], 1, 1)
    state.mark_destroyed(ADDRESSES[1])
    state.finish_transaction()
    assert state.change() == (EMPTY_TRIE_ROOT, {}, {}, {})


def test_replaced_storage_hides_the_old_one() -> None:
    state = fresh()
    state.set_nonce(ADDRESSES[0], 1)
    state.set_storage(ADDRESSES[0], 0, 9)
    root, nodes, _, _ = state.change()
    state = fresh(nodes, root)
    state.replace_storage(ADDRESSES[0], [(1, 3), (PRIME, 0), (1, 4)])
    state.begin_transaction()
    assert [state.get_storage(ADDRESSES[0], slot) for slot in SLOTS] == [0, 4, 0, 0]
    assert state.original_storage(ADDRESSES[0], 1) == 4
    state.set_storage(ADDRESSES[0], 1, 5)
    state.revert(0)
    assert state.get_storage(ADDRESSES[0], 1) == 4


def test_unchanged_state_writes_nothing() -> None:
    state = fresh()
    state.set_balance(ADDRESSES[0], 1)
    state.set_nonce(ADDRESSES[1], 1)
    state.set_storage(ADDRESSES[1], 1, 1)
    root, nodes, _, _ = state.change()
    again = fresh(nodes, root)
    again.get_balance(ADDRESSES[0])
    again.set_balance(ADDRESSES[0], 1)
    again.set_storage(ADDRESSES[1], 1, 2)
    again.set_storage(ADDRESSES[1], 1, 1)
    again.touch_account(ADDRESSES[3])
    again.finish_transaction()
    assert again.change() == (root, {}, {}, {})


def test_equal_storage_and_code_of_two_accounts_count_twice() -> None:
    state = fresh()
    rnd = random.Random(1)
    words = {rnd.getrandbits(256): rnd.getrandbits(200) for _ in range(40)}
    for account in ADDRESSES[:3]:
        state.set_code(account, b"\1")
        for slot, word in words.items():
            state.set_storage(account, slot, word)
    root, nodes, added, removed = state.change()
    assert added[keccak256(b"\1")] == 3
    storage_root = StateReader(nodes.__getitem__, root).account(ADDRESSES[0]).storage_root
    assert added[storage_root] == 3
    assert removed == {}
    state = fresh(nodes, root)
    state.set_storage(ADDRESSES[0], next(iter(words)), 1)
    change = state.change()
    assert change.removed[storage_root] == 1
    assert all(count == 1 for count in change.removed.values())


def test_missing_nodes_and_codes_are_a_fault_of_this_node() -> None:
    state = fresh()
    state.set_code(ADDRESSES[0], b"\1")
    state.set_storage(ADDRESSES[0], 0, 1)
    root, nodes, _, _ = state.change()
    with pytest.raises(ExecutorFault, match="account"):
        fresh({}, root).get_balance(ADDRESSES[0])
    without_code = {key: node for key, node in nodes.items() if key != keccak256(b"\1")}
    with pytest.raises(ExecutorFault, match="code"):
        fresh(without_code, root).get_code(ADDRESSES[0])
    storage_root = StateReader(nodes.__getitem__, root).account(ADDRESSES[0]).storage_root
    without_storage = {key: node for key, node in nodes.items() if key != storage_root}
    with pytest.raises(ExecutorFault, match="slot"):
        fresh(without_storage, root).get_storage(ADDRESSES[0], 0)
    broken = fresh(without_storage, root)
    with pytest.raises(ExecutorFault, match="slot"):
        broken.set_storage(ADDRESSES[0], 7, 1)
    broken.mark_destroyed(ADDRESSES[0])
    broken.finish_transaction()
    with pytest.raises(ExecutorFault, match="storage"):
        broken.make_root()
