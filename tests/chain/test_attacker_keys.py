"""Numbers that an attacker chooses are never hashed as ints, whose hashes everybody can compute."""

import pytest

from chain.evm.errors import InvalidJump
from chain.evm.frame import Frame
from chain.evm.interpreter import interpret
from chain.evm.program import STOP, Program
from chain.evm.state import WorldState
from chain.evm.state_cache import StateCache
from chain.header import EMPTY_TRIE_ROOT
from genesis.forks import Fork
from tests.chain.evm_message_twin import CONTRACT, Account, make_evm

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


@pytest.mark.parametrize("size", [1, 31, 32, 33, 24_576])
def test_jumps_to_places_of_the_code_are_found_without_a_hash(size: int) -> None:
    """Small ints can be chosen so that a dictionary of 10,000 tries all of them."""
    program = Program(b"\x5b" * size, Fork.OSAKA)
    for pc in {0, 1, size // 2, size - 1} & set(range(size)):
        assert program.land(pc) is program.block(pc)
        assert program.landings[pc >> 5][pc & 31] is program.places[pc >> 5][pc & 31]
        assert program.block(pc).start == pc
    assert program.block(size).end[0] == STOP
    assert len(program.blocks) == len({block.start for block in program.blocks})
    for pc in range(size + 40):
        assert program.is_reached(pc) == any(block.start == pc for block in program.blocks)
    assert not any(
        isinstance(getattr(program, name), (dict, set, frozenset)) for name in Program.__slots__
    )


@pytest.mark.parametrize("target", [3, 31, 32, 34, 35, 36, 37, 38, 63, 64, 1 << 64, (1 << 256) - 1])
@pytest.mark.parametrize("is_static", [False, True])
@pytest.mark.parametrize("opcode", [0x56, 0x57])
def test_a_jump_out_of_the_code_is_invalid(target: int, is_static: bool, opcode: int) -> None:
    way = b"" if is_static else b"\x5f\x17"  # OR 0
    condition = b"\x30" if opcode == 0x57 else b""
    program = condition + b"\x7f" + target.to_bytes(32, "big") + way + bytes((opcode,))
    evm = make_evm(Fork.OSAKA, {CONTRACT: Account(0, 1, program)})
    with pytest.raises(InvalidJump):
        interpret(Frame(evm, CONTRACT, CONTRACT, CONTRACT, 0, b"", program, 1_000))


@pytest.mark.parametrize("way", [b"\x60\x03", b"\x60\x03\x5f\x17"])
def test_a_block_that_no_jumpdest_begins_is_reached_only_from_above(way: bytes) -> None:
    program = b"\x5f\x5f\x57" + way + b"\x56"  # JUMPI not taken; JUMP behind it
    evm = make_evm(Fork.OSAKA, {CONTRACT: Account(0, 1, program)})
    with pytest.raises(InvalidJump):
        interpret(Frame(evm, CONTRACT, CONTRACT, CONTRACT, 0, b"", program, 100))
