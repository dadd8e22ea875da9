"""The opcode loop equals py-evm's own opcodes: stack, gas, memory, kind of error."""

import random
from typing import Any

import pytest
from eth.exceptions import Halt, InvalidInstruction, InvalidJumpDestination, Revert, VMError
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague.opcodes import PRAGUE_OPCODES
from eth.vm.logic.invalid import InvalidOpcode
from eth.vm.message import Message
from eth.vm.stack import to_int
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.evm.fork import computation_class
from chain.evm.interpreter import _COSTS, _MEMORY, jump_destinations, run_code
from chain.evm.old_state import BlockEnvironment, WorldState
from chain.header import EMPTY_TRIE_ROOT
from tests.chain.evm_world import CONTRACT, OTHER, op, push

COMPUTATION = computation_class({})
TOP = 2**256
EDGES = [0, 1, 2, 3, 31, 32, 255, 256, 257, 2**64, 2**255 - 1, 2**255, 2**255 + 1, TOP - 2, TOP - 1]
WORDS = st.one_of(st.sampled_from(EDGES), st.integers(0, TOP - 1), st.integers(0, 300))
OURS = [value for value in range(256) if _COSTS[value] is not None or value in _MEMORY]
PLAIN = [value for value in OURS if value not in (0x56, 0x57) and not 0x5F <= value <= 0x7F]


def computation(code: bytes, gas: int = 100_000, stack: list[int | bytes] | None = None) -> Any:
    environment = BlockEnvironment(
        1, 1, 1, 30_000_000, OTHER, bytes(32), 7, 0, lambda number: bytes(32)
    )
    state = WorldState({}.__getitem__, EMPTY_TRIE_ROOT, environment)
    message = Message(gas=gas, to=CONTRACT, sender=OTHER, value=0, data=b"data", code=code)
    made = COMPUTATION(state, message, CancunTransactionContext(gas_price=0, origin=OTHER))
    made._stack.values += stack or []
    return made


def stock_run(made: Any) -> None:
    for opcode in made.code:
        step = PRAGUE_OPCODES.get(opcode) or InvalidOpcode(opcode)
        try:
            step(computation=made)
        except Halt:
            return


def result(run: Any, made: Any) -> tuple[Any, ...]:
    """What can be told from outside; an error that burns all gas leaves nothing else."""
    try:
        run(made)
    except Revert:
        return ("revert", made.output, made.get_gas_remaining())
    except VMError as error:
        if isinstance(error, InvalidInstruction) and "Jump" in str(error):
            return (InvalidJumpDestination,)
        return (type(error),)
    values = [to_int(value) for value in made._stack.values]
    return values, made.get_gas_remaining(), bytes(made._memory._bytes), made.output


def check(code: bytes, **fields: Any) -> None:
    ours = result(run_code, computation(code, **fields))
    stock = result(stock_run, computation(code, **fields))
    assert ours == stock, (code.hex(), fields)


@pytest.mark.parametrize("opcode", PLAIN, ids=hex)
def test_opcode_on_edge_words(opcode: int) -> None:
    rnd = random.Random(opcode)
    for _ in range(60):
        words: list[int | bytes] = [rnd.choice(EDGES) for _ in range(17)]
        as_bytes = [word.to_bytes(32, "big") if rnd.random() < 0.2 else word for word in words]
        check(bytes((opcode,)), stack=as_bytes)  # type: ignore[arg-type]


@pytest.mark.parametrize("opcode", OURS, ids=hex)
def test_opcode_with_too_little_or_too_much_on_the_stack(opcode: int) -> None:
    for size in (0, 1, 2, 16, 17, 1023, 1024):
        check(bytes((opcode,)) + b"\x07" * 33, stack=[1] * size)


@pytest.mark.parametrize("opcode", OURS, ids=hex)
def test_opcode_at_the_end_of_its_gas(opcode: int) -> None:
    for gas in range(12):
        check(b"\x5b" + bytes((opcode,)) + b"\x5b", gas=gas, stack=[0] * 20)


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present:DeprecationWarning")
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLAIN), st.lists(WORDS, max_size=3)), max_size=12))
def test_programs_of_plain_opcodes(steps: list[tuple[int, list[int]]]) -> None:
    code = b"".join([op(opcode, *arguments) for opcode, arguments in steps])
    check(code)
    check(code + op(0xFD, 0, 0))


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present:DeprecationWarning")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"\x5b", b"\x5b", b"\x50", b"\x58", b"\x5a", b"\x60", b"\x61", b"\x7f"]
            ),
            st.integers(0, 40).map(lambda target: push(target) + b"\x56"),
            st.tuples(st.integers(0, 40), st.integers(0, 1)).map(lambda t: op(0x57, *t)),
            st.integers(0, 70).map(lambda offset: op(0x51, offset)),
            st.tuples(st.integers(0, 70), WORDS).map(lambda t: op(0x52, *t)),
            st.integers(0, 70).map(lambda offset: op(0x53, offset, 0x5B)),
        ),
        max_size=14,
    )
)
def test_programs_that_jump_and_use_memory(parts: list[bytes]) -> None:
    check(b"".join(parts), gas=3_000)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_jump_destinations_equal_the_look_back_of_py_evm(code: bytes) -> None:
    from eth.vm.code_stream import CodeStream

    stream = CodeStream(code)
    want = [value == 0x5B and stream.is_valid_opcode(at) for at, value in enumerate(code)]
    assert [bool(flag) for flag in jump_destinations(code)] == want


def test_push_data_beyond_the_end_of_the_code_is_zero() -> None:
    for opcode in range(0x60, 0x80):
        for size in range(opcode - 0x5F):
            check(bytes((opcode,)) + b"\x01" * size)


def test_memory_is_paid_for_at_every_edge() -> None:
    for first in (0, 1, 31, 32, 33):
        for second in range(100):
            for opcode in (0x51, 0x52, 0x53):
                arguments = (second,) if opcode == 0x51 else (second, 7)
                check(op(0x52, first, 5) + op(opcode, *arguments))


def test_push_data_is_no_jump_destination() -> None:
    for target in range(10):
        tail = b"\x60\x5b\x61\x5b\x5b\x5b\x00"
        check(push(target) + b"\x56" + tail)
        check(op(0x57, target, 1) + tail)


def test_every_opcode_of_the_loop_was_compared() -> None:
    assert set(PLAIN) | {0x56, 0x57} | set(range(0x5F, 0x80)) == set(OURS)
    assert len(OURS) == 23 + 2 + 2 + 2 + 33 + 32
