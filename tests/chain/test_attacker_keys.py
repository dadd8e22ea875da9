"""Numbers that an attacker chooses are never hashed as ints, whose hashes everybody can compute."""

import pytest

from chain.evm.state import WorldState
from chain.evm.state_cache import StateCache
from chain.header import EMPTY_TRIE_ROOT

PRIME = (1 << 61) - 1  # multiples have the hash of 0
ADDRESS = b"\xbe" * 20


class Unhashable(int):
    """A slot for which every dictionary that is keyed by ints raises TypeError."""

    __hash__ = None  # type: ignore[assignment]


def test_no_slot_is_hashed_as_an_int() -> None:
    """Slots of equal hashes would turn a dictionary into a list; that of bytes is secret."""
    with pytest.raises(TypeError):
        hash((b"", Unhashable(5)))
    slots = [Unhashable(number * PRIME) for number in range(3)]
    nodes: dict[bytes, bytes] = {}
    root, cache = EMPTY_TRIE_ROOT, StateCache()
    for _ in range(3):
        state = WorldState(nodes.__getitem__, root, (), cache)
        state.begin_transaction()
        state.set_nonce(ADDRESS, 1)
        for slot in slots:
            state.mark_storage_warm(ADDRESS, slot)
            assert not state.access_slot(ADDRESS, slot)
            word = state.get_storage(ADDRESS, slot)
            state.set_storage(ADDRESS, slot, word + 1)
            assert state.original_storage(ADDRESS, slot) == word
            state.set_transient(ADDRESS, slot, word)
            assert state.get_transient(ADDRESS, slot) == word
        assert state.accessed() == tuple([(ADDRESS, int(slot)) for slot in slots])
        state.finish_transaction()
        root, fresh_nodes, _, _ = state.change()
        nodes.update(fresh_nodes)
    state.replace_storage(ADDRESS, [(slot, 1) for slot in slots])
    state.revert(0)
    assert [state.get_storage(ADDRESS, slot) for slot in slots] == [3, 3, 3]


def test_a_slot_out_of_range_does_not_stand_for_another_one() -> None:
    nodes: dict[bytes, bytes] = {}
    state = WorldState(nodes.__getitem__, EMPTY_TRIE_ROOT)
    state.set_storage(ADDRESS, 0, 7)
    huge = 1 << 256
    for _ in range(2):
        with pytest.raises(OverflowError):
            state.get_storage(ADDRESS, huge)
