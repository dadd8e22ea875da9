"""The journaled state: reverts, ends of transactions, roots."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import ExecutorFault
from chain.evm.state import BlockEnvironment, WorldState, blob_base_fee
from chain.header import EMPTY_TRIE_ROOT
from chain.state_reader import StateReader
from precompiles.hashing import keccak256

ADDRESSES = [bytes([n]) * 20 for n in range(1, 5)]
SLOTS = range(3)
OPERATIONS = st.one_of(
    st.tuples(st.just("balance"), st.sampled_from(ADDRESSES), st.integers(0, 3)),
    st.tuples(st.just("nonce"), st.sampled_from(ADDRESSES), st.integers(0, 2)),
    st.tuples(st.just("code"), st.sampled_from(ADDRESSES), st.sampled_from([b"", b"\0", b"\1"])),
    st.tuples(
        st.just("storage"), st.sampled_from(ADDRESSES), st.sampled_from(SLOTS), st.integers(0, 2)
    ),
    st.tuples(st.just("transient"), st.sampled_from(ADDRESSES), st.sampled_from(SLOTS)),
    st.tuples(st.just("warm"), st.sampled_from(ADDRESSES), st.sampled_from(SLOTS)),
    st.tuples(st.just("snapshot")),
    st.tuples(st.just("revert")),
)


def environment(**changes: Any) -> BlockEnvironment:
    fields: dict[str, Any] = {
        "chain_id": 1,
        "number": 300,
        "timestamp": 1,
        "gas_limit": 1,
        "coinbase": bytes(20),
        "mix_hash": bytes(32),
        "base_fee_per_gas": 1,
        "excess_blob_gas": 0,
        "ancestor_hash": lambda number: keccak256(b"%d" % number),
    }
    return BlockEnvironment(**{**fields, **changes})


def fresh(nodes: dict[bytes, bytes] | None = None, root: bytes = EMPTY_TRIE_ROOT) -> WorldState:
    return WorldState((nodes or {}).__getitem__, root, environment())


class Model:
    """The same operations on plain dictionaries; a snapshot is a copy."""

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}

    def apply(self, operation: tuple[Any, ...]) -> None:
        kind, *rest = operation
        if kind in ("balance", "nonce", "code"):
            self.values[kind, rest[0]] = rest[1]
        elif kind == "storage":
            self.values[kind, rest[0], rest[1]] = rest[2]
        elif kind == "transient":
            self.values[kind, rest[0], rest[1]] = b"\x07"
        else:
            self.values["warm", rest[0]] = self.values["warm", rest[0], rest[1]] = True


def apply(state: WorldState, operation: tuple[Any, ...]) -> None:
    kind, *rest = operation
    if kind == "balance":
        state.set_balance(*rest)
    elif kind == "nonce":
        state.set_nonce(*rest)
    elif kind == "code":
        state.set_code(*rest)
    elif kind == "storage":
        state.set_storage(*rest)
    elif kind == "transient":
        state.set_transient_storage(*rest, b"\x07")
    else:
        state.mark_address_warm(rest[0])
        state.mark_storage_warm(*rest)


def check_equal(state: WorldState, model: Model) -> None:
    get = model.values.get
    for address in ADDRESSES:
        assert state.get_balance(address) == get(("balance", address), 0)
        assert state.get_nonce(address) == get(("nonce", address), 0)
        assert state.get_code(address) == get(("code", address), b"")
        assert state.is_address_warm(address) == get(("warm", address), False)
        for slot in SLOTS:
            assert state.get_storage(address, slot) == get(("storage", address, slot), 0)
            assert state.get_transient_storage(address, slot) == get(
                ("transient", address, slot), b""
            )
            assert state.is_storage_warm(address, slot) == get(("warm", address, slot), False)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, max_size=40))
def test_revert_restores_every_kind_of_value(operations: list[tuple[Any, ...]]) -> None:
    state, model = fresh(), Model()
    snapshots: list[tuple[int, Model]] = [(state.snapshot(), copy.deepcopy(model))]
    for operation in operations:
        if operation[0] == "snapshot":
            snapshots.append((state.snapshot(), copy.deepcopy(model)))
        elif operation[0] == "revert":
            snapshot, model = snapshots[-1] if len(snapshots) == 1 else snapshots.pop()
            model = copy.deepcopy(model)
            state.revert(snapshot)
        else:
            apply(state, operation)
            model.apply(operation)
        check_equal(state, model)
    state.finish_transaction()
    root, nodes = state.make_root()
    reader = StateReader(nodes.__getitem__, root)
    for address in ADDRESSES:
        get = model.values.get
        account = reader.account(address)
        expected = (get(("nonce", address), 0), get(("balance", address), 0))
        assert (account.nonce, account.balance) == expected
        assert reader.code(address) == get(("code", address), b"")
        if account.nonce or account.balance or reader.code(address):
            for slot in SLOTS:
                assert reader.storage(address, slot) == get(("storage", address, slot), 0)


def test_original_value_is_that_of_the_start_of_the_transaction() -> None:
    state = fresh()
    address = ADDRESSES[0]
    state.set_storage(address, 0, 5)
    state.begin_transaction()
    state.set_storage(address, 0, 6)
    state.set_storage(address, 0, 7)
    assert state.get_storage(address, 0, from_journal=False) == 5
    state.begin_transaction()
    assert state.get_storage(address, 0, from_journal=False) == 7


def test_warm_and_transient_values_last_one_transaction() -> None:
    state = fresh()
    for operation in (("warm", ADDRESSES[0], 1), ("transient", ADDRESSES[0], 1)):
        apply(state, operation)
    state.begin_transaction()
    check_equal(state, Model())


def test_touched_empty_account_is_deleted_with_its_storage() -> None:
    state = fresh()
    state.set_balance(ADDRESSES[0], 1)
    state.set_storage(ADDRESSES[0], 0, 9)
    state.set_balance(ADDRESSES[1], 1)
    root, nodes = state.make_root()
    state = fresh(nodes, root)
    state.begin_transaction()
    state.set_balance(ADDRESSES[0], 0)
    state.touch_account(ADDRESSES[2])
    state.finish_transaction()
    assert not state.account_exists(ADDRESSES[0])
    state.begin_transaction()
    state.set_nonce(ADDRESSES[0], 1)
    assert state.get_storage(ADDRESSES[0], 0) == 0
    root, more = state.make_root()
    reader = StateReader({**nodes, **more}.__getitem__, root)
    assert reader.account(ADDRESSES[0]).storage_root == EMPTY_TRIE_ROOT


def test_destroyed_account_can_be_created_again_in_the_same_block() -> None:
    state = fresh()
    address = ADDRESSES[0]
    state.begin_transaction()
    state.set_code(address, b"\1")
    state.set_storage(address, 1, 1)
    state.finish_transaction([address])
    state.begin_transaction()
    assert not state.has_code_or_nonce(address)
    state.set_nonce(address, 1)
    state.set_storage(address, 2, 2)
    root, nodes = state.make_root()
    reader = StateReader(nodes.__getitem__, root)
    assert (reader.storage(address, 1), reader.storage(address, 2)) == (0, 2)
    assert keccak256(b"\1") not in nodes


def test_replaced_storage_hides_the_old_one() -> None:
    state = fresh()
    state.set_nonce(ADDRESSES[0], 1)
    state.set_storage(ADDRESSES[0], 0, 9)
    root, nodes = state.make_root()
    state = fresh(nodes, root)
    state.replace_storage(ADDRESSES[0], {1: 4})
    assert [state.get_storage(ADDRESSES[0], slot) for slot in SLOTS] == [0, 4, 0]


def test_unchanged_state_writes_nothing() -> None:
    state = fresh()
    state.set_balance(ADDRESSES[0], 1)
    root, nodes = state.make_root()
    again = fresh(nodes, root)
    again.get_balance(ADDRESSES[0])
    again.set_balance(ADDRESSES[0], 1)
    assert again.make_root() == (root, {})


def test_missing_nodes_and_codes_are_a_fault_of_this_node() -> None:
    state = fresh()
    state.set_code(ADDRESSES[0], b"\1")
    state.set_storage(ADDRESSES[0], 0, 1)
    root, nodes = state.make_root()
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


def test_only_256_ancestors_have_a_hash() -> None:
    state = fresh()
    assert state.get_ancestor_hash(299) == keccak256(b"299")
    assert state.get_ancestor_hash(44) == keccak256(b"44")
    for number in (300, 43, 2**256 - 1, 0):
        assert state.get_ancestor_hash(number) == b""


def test_blob_base_fee_follows_the_excess() -> None:
    assert [blob_base_fee(excess) for excess in (0, 5_007_716, 10 * 5_007_716)] == [1, 2, 22_026]
