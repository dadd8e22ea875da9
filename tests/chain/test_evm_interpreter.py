"""Decoded programs: jump targets, bounds of blocks, gas charged early, the bounded cache."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chain.evm.errors import Halt, InvalidJump, InvalidOpcode
from chain.evm.frame import Frame
from chain.evm.interpreter import interpret
from chain.evm.messages import run_message
from chain.evm.program import Program, program_of
from genesis.forks import Fork
from tests.chain.evm_message_twin import (
    CONTRACT,
    SENDER,
    STOCK_FORKS,
    Account,
    make_evm,
    run_ours,
    run_stock,
)
from tests.chain.evm_programs import RETURNS, REVERTS, STORES, call, code, destinations, push, world


@pytest.fixture(autouse=True)
def only_tier_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that run often would be compiled; no block is entered 0 times."""
    monkeypatch.setattr("chain.evm.interpreter.HOT", 0)


codes = st.lists(
    st.one_of(
        st.just(0x5B), st.sampled_from([0x60, 0x61, 0x67, 0x7F, 0x5F, 0]), st.integers(0, 255)
    ),
    max_size=90,
).map(bytes)


def frame_of(program: bytes, gas: int = 10**6, fork: Fork = Fork.OSAKA) -> Frame:
    evm = make_evm(fork, {SENDER: Account(1), CONTRACT: Account(9, 1, program)})
    return Frame(evm, SENDER, CONTRACT, CONTRACT, 0, b"", program, gas)


def run(program: bytes, gas: int = 10**6) -> Frame:
    frame = frame_of(program, gas)
    run_message(frame)
    return frame


@given(codes)
@settings(max_examples=400)
def test_jump_destinations(program: bytes) -> None:
    analysed = Program(program, Fork.OSAKA)
    beyond = [len(program), 1 << 64, (1 << 256) - 1]
    assert {pc for pc in [*range(len(program)), *beyond] if analysed.is_destination(pc)} == (
        destinations(program)
    )


@given(codes.map(lambda program: program.replace(b"\x56", b"\0").replace(b"\x57", b"\0")))
@example(b"\x5b\x60\x5b")
@settings(max_examples=40)
def test_only_jumps_to_jumpdests_succeed(program: bytes) -> None:
    """Also where a block starts anyway, behind a jump not taken; ``program`` itself never jumps."""
    prefix = code(push(0), push(0), 0x57)
    allowed = destinations(bytes(8) + prefix + b"\0" + program)
    for target in range(8 + len(prefix) + 1 + len(program)):
        jumps = code(0x61, (target).to_bytes(2, "big"), 0x56)
        frame = run(code(jumps, bytes(4), prefix, b"\0", program))
        assert isinstance(frame.error, InvalidJump) == (target not in allowed)


@pytest.mark.parametrize("size", [*range(1, 40), *range(250, 262), 600])
def test_sleds_cost_one_gas_per_jumpdest(size: int) -> None:
    for entry in {0, min(1, size - 1), size // 2, size - 1}:
        frame = run(code(0x61, (4 + entry).to_bytes(2, "big"), 0x56, b"\x5b" * size, 0x58, 0x5A))
        assert frame.error is None
        assert frame.stack == [4 + size, 10**6 - 3 - 8 - (size - entry) - 4]


@pytest.mark.parametrize("size", [510, 511, 512, 513, 1024, 1500])
def test_straight_code_of_any_length(size: int) -> None:
    frame = run(code(b"\x58\x50" * (size // 2), b"\x5a" * (size % 2), 0x58))
    assert frame.error is None
    assert frame.stack[-1] == size // 2 * 2 + size % 2
    assert frame.gas == 10**6 - 4 * (size // 2) - 2 * (size % 2) - 2


def test_push_data_beyond_the_end_is_zero() -> None:
    for size in range(1, 33):
        for there in range(size):
            frame = run(bytes([0x5F + size]) + b"\xab" * there)
            assert frame.stack == [int.from_bytes((b"\xab" * there).ljust(size, b"\0"), "big")]


def test_invalid_opcodes_are_named() -> None:
    assert str(run(b"\xfe").error) == "invalid opcode: INVALID"
    error = run(b"\x0c").error
    assert isinstance(error, InvalidOpcode)
    assert str(error) == "invalid opcode: opcode 0xc not defined"
    assert str(run(b"\x56").error) == "stack underflow"


GAS_SEEN = code(  # what reads gas, between opcodes that cost something
    0x5A, push(0), 0x52, 0x5A, push(1), push(2), 0x55, 0x5A, push(32), 0x52,
    call(0xF1, 1 << 30, STORES), 0x5A, call(0xF2, 700, RETURNS), 0x5A, push(96), 0x52,
    push(0), push(0), push(0), 0xF0, push(7), 0x01, 0x5A, push(128), 0x52,
    call(0xF1, 50_000, REVERTS), 0x5A, push(160), 0x52, push(192), push(0), 0xF3,
)  # fmt: skip


@pytest.mark.parametrize("fork", [Fork.FRONTIER, Fork.BYZANTIUM, Fork.ISTANBUL, Fork.PRAGUE])
def test_gas_charged_early_is_never_seen(fork: Fork) -> None:
    """Every opcode that sees gas, with every amount of it around the costs."""
    program = GAS_SEEN if fork > Fork.HOMESTEAD else GAS_SEEN.replace(push(1 << 30), push(20_000))
    accounts = world(program, fork)
    limits = [*range(0, 3_000, 97), *range(3_000, 150_000, 2_111)]
    for gas in limits:
        ours, stock = run_ours(fork, accounts, gas=gas), run_stock(fork, accounts, gas=gas)
        assert ours == stock, gas
    assert not run_ours(fork, accounts, gas=150_000).failed


@pytest.mark.slow
@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_gas_charged_early_is_never_seen_in_any_fork(fork: Fork) -> None:
    program = GAS_SEEN if fork > Fork.HOMESTEAD else GAS_SEEN.replace(push(1 << 30), push(20_000))
    accounts = world(program, fork)
    for gas in range(0, 150_000, 311):
        ours, stock = run_ours(fork, accounts, gas=gas), run_stock(fork, accounts, gas=gas)
        assert ours == stock, gas


def test_programs_are_found_again_and_forgotten_in_time() -> None:
    first = b"\x5b\x00" + bytes(24_000)
    program = program_of(first, Fork.OSAKA)
    assert program_of(bytes(bytearray(first)), Fork.OSAKA) is program
    assert program_of(first, Fork.PRAGUE) is not program
    others = [program_of(bytes([0, number >> 8, number & 255]) + bytes(24_000), Fork.OSAKA)
              for number in range(2_000)]  # fmt: skip
    assert program_of(others[-1].code, Fork.OSAKA) is others[-1]
    assert program_of(first, Fork.OSAKA) is not program


def test_hostile_code_is_scanned_once() -> None:
    """24 KB of JUMPDESTs, called 2,000 times: one program, three blocks."""
    hostile = code(0x61, (24_570).to_bytes(2, "big"), 0x56, b"\x5b" * 24_570)
    callee = b"\xe9" * 20
    loop = code(call(0xF1, 9_000, callee), 0x50, push(1), 0x90, 0x03, 0x80, push(3), 0x57, 0x00)
    program = code(0x61, (2_000).to_bytes(2, "big"), 0x5B, loop)
    accounts = {
        SENDER: Account(1),
        CONTRACT: Account(0, 1, program),
        callee: Account(0, 1, hostile),
    }
    evm = make_evm(Fork.OSAKA, accounts)
    frame = Frame(evm, SENDER, CONTRACT, CONTRACT, 0, b"", program, 10**8)
    run_message(frame)
    assert frame.error is None
    assert len(program_of(hostile, Fork.OSAKA).blocks) == 2


def test_the_interpreter_raises_and_a_message_does_not() -> None:
    frame = frame_of(b"\xfe")
    with pytest.raises(Halt):
        interpret(frame)
    run_message(frame)
    assert isinstance(frame.error, Halt)


@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_sstore_needs_more_than_the_stipend(fork: Fork) -> None:
    """EIP-2200: with 2,300 gas left or less it fails, even where it would cost 100."""
    program = code(push(1), push(0), 0x55)
    accounts = {SENDER: Account(1), CONTRACT: Account(9, 1, program, {0: 1})}
    for left in (2_299, 2_300, 2_301, 5_000):
        ours, stock = (
            run_ours(fork, accounts, gas=left + 6),
            run_stock(fork, accounts, gas=left + 6),
        )
        assert ours == stock, left
