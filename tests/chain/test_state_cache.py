"""Executions that share a cache equal executions without one, competing blocks included."""

import random
from collections.abc import Callable, Mapping

import pytest

from chain.errors import ExecutorFault
from chain.evm.state import WorldState
from chain.evm.state_cache import KEPT_PENDING, StateCache
from chain.evm.state_tries import StateChange
from chain.header import EMPTY_TRIE_ROOT

NOTHING: dict[bytes, bytes] = {}
ADDRESSES = [bytes([n]) * 20 for n in range(1, 9)]
SLOTS = range(6)


def execute(state: WorldState, seed: int) -> tuple[list[object], StateChange]:
    """Random transactions; everything that was read, and the change."""
    rnd = random.Random(seed)
    seen: list[object] = []
    for _ in range(rnd.randrange(1, 6)):
        state.begin_transaction()
        for _ in range(rnd.randrange(1, 12)):
            address, slot = rnd.choice(ADDRESSES), rnd.choice(SLOTS)
            seen += [state.get_balance(address), state.get_nonce(address), state.get_code(address)]
            seen += [state.get_storage(address, slot), state.original_storage(address, slot)]
            kind = rnd.randrange(8)
            if kind < 4:
                state.set_nonce(address, 1)
                state.set_storage(address, slot, rnd.randrange(3))
            elif kind == 4:
                state.set_balance(address, rnd.randrange(3))
            elif kind == 5:
                state.set_code(address, rnd.choice([b"", b"\1", b"\2" * 40]))
            elif kind == 6:
                state.mark_destroyed(address)
            else:
                state.revert(0)
        state.finish_transaction(rnd.random() < 0.5)
        if rnd.random() < 0.2:
            seen.append(state.make_root())
    return seen, state.change()


@pytest.mark.parametrize("sizes", [(1 << 16, 1 << 18, 1 << 9), (3, 1 << 18, 1), (1 << 16, 7, 9)])
def test_competing_blocks_equal_executions_without_a_cache(sizes: tuple[int, int, int]) -> None:
    rnd = random.Random(7)
    nodes: dict[bytes, bytes] = {}
    cache = StateCache(*sizes)
    roots = [EMPTY_TRIE_ROOT]
    for height in range(120):
        parent = rnd.choice(roots[-3:]) if rnd.random() < 0.2 else roots[-1]
        changes = []
        for _ in range(rnd.randrange(1, 4)):
            seed = rnd.getrandbits(30)
            want = execute(WorldState(nodes.__getitem__, parent), seed)
            assert execute(WorldState(nodes.__getitem__, parent, (), cache), seed) == want
            changes.append(want[1])
        for change in changes if height % 3 else changes[:1]:
            nodes.update(change.nodes)
        roots.append(rnd.choice(changes if height % 3 else changes[:1]).root)


def counting(nodes: Mapping[bytes, bytes]) -> tuple[Callable[[bytes], bytes], list[bytes]]:
    asked: list[bytes] = []

    def node(digest: bytes) -> bytes:
        asked.append(digest)
        return nodes[digest]

    return node, asked


def genesis() -> StateChange:
    state = WorldState(NOTHING.__getitem__, EMPTY_TRIE_ROOT)
    for address in ADDRESSES:
        state.set_code(address, b"\1" + address)
        for slot in SLOTS:
            state.set_storage(address, slot, slot + 1)
    return state.change()


def test_a_block_on_top_of_an_executed_one_reads_nothing_again() -> None:
    root, nodes, _, _ = genesis()
    cache = StateCache()
    for number in range(3):
        node, asked = counting(nodes)
        state = WorldState(node, root, (), cache)
        for address in ADDRESSES:
            state.add_balance(address, 1)
            state.set_storage(address, 0, number + 5)
            assert state.get_code(address) == b"\1" + address
        change = state.change()
        assert (len(asked) == 0) == (number > 0)
        nodes.update(change.nodes)
        root = change.root


def test_values_of_a_rejected_block_are_not_seen() -> None:
    root, nodes, _, _ = genesis()
    cache = StateCache()
    roots = []
    for balance in (1, 2):
        state = WorldState(nodes.__getitem__, root, (), cache)
        assert state.get_balance(ADDRESSES[0]) == 0
        assert state.get_storage(ADDRESSES[0], 0) == 1
        state.set_balance(ADDRESSES[0], balance)
        state.set_storage(ADDRESSES[0], 0, balance + 10)
        change = state.change()
        roots.append(change.root)
        nodes.update(change.nodes)
    for balance, child in zip((2, 1), reversed(roots), strict=True):
        state = WorldState(nodes.__getitem__, child, (), cache)
        assert state.get_balance(ADDRESSES[0]) == balance
        assert state.get_storage(ADDRESSES[0], 0) == balance + 10


def test_a_state_opened_earlier_stays_at_its_root() -> None:
    root, nodes, _, _ = genesis()
    cache = StateCache()
    early = WorldState(nodes.__getitem__, root, (), cache)
    state = WorldState(nodes.__getitem__, root, (), cache)
    state.set_balance(ADDRESSES[0], 9)
    state.set_storage(ADDRESSES[0], 0, 9)
    change = state.change()
    nodes.update(change.nodes)
    later = WorldState(nodes.__getitem__, change.root, (), cache)
    assert (later.get_balance(ADDRESSES[0]), later.get_storage(ADDRESSES[0], 0)) == (9, 9)
    assert (early.get_balance(ADDRESSES[0]), early.get_storage(ADDRESSES[0], 0)) == (0, 1)
    assert later.get_balance(ADDRESSES[1]) == 0
    early.set_balance(ADDRESSES[1], 4)
    change = early.change()
    nodes.update(change.nodes)
    sibling = WorldState(nodes.__getitem__, change.root, (), cache)
    assert [sibling.get_balance(address) for address in ADDRESSES[:2]] == [0, 4]
    assert sibling.get_storage(ADDRESSES[0], 0) == 1


def test_storage_that_was_lost_inside_a_block_is_not_remembered() -> None:
    root, nodes, _, _ = genesis()
    cache = StateCache()
    state = WorldState(nodes.__getitem__, root, (), cache)
    assert state.get_storage(ADDRESSES[0], 5) == 6
    state.set_storage(ADDRESSES[0], 0, 7)
    state.make_root()
    state.begin_transaction()
    state.mark_destroyed(ADDRESSES[0])
    state.finish_transaction()
    state.begin_transaction()
    state.set_nonce(ADDRESSES[0], 1)
    state.set_storage(ADDRESSES[0], 1, 7)
    change = state.change()
    nodes.update(change.nodes)
    state = WorldState(nodes.__getitem__, change.root, (), cache)
    assert [state.get_storage(ADDRESSES[0], slot) for slot in (0, 1, 5)] == [0, 7, 0]


def test_what_waits_is_bounded() -> None:
    root, nodes, _, _ = genesis()
    cache = StateCache(values=40)
    for balance in range(KEPT_PENDING + 5):
        state = WorldState(nodes.__getitem__, root, (), cache)
        state.set_balance(ADDRESSES[0], balance + 1)
        nodes.update(state.change().nodes)
    assert len(cache._pending) == KEPT_PENDING
    for account in range(200):
        state.get_balance(account.to_bytes(20, "big"))
        assert len(cache._accounts.values) <= 40


def test_missing_node_is_a_fault_with_a_cache_too() -> None:
    root, nodes, _, _ = genesis()
    cache = StateCache()
    with pytest.raises(ExecutorFault):
        WorldState(NOTHING.__getitem__, root, (), cache).get_balance(ADDRESSES[0])
    assert WorldState(nodes.__getitem__, root, (), cache).get_storage(ADDRESSES[0], 2) == 3
