"""Functions of words against unbounded arithmetic; opcode tables against py-evm's."""

from collections.abc import Callable
from itertools import product

import pytest
from eth.vm.logic.invalid import InvalidOpcode
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.evm.operations import operations_of
from chain.evm.operations.arithmetic import BINARY, TERNARY, UNARY, exp
from genesis.forks import Fork
from tests.chain.evm_message_twin import (
    CONTRACT,
    SENDER,
    STOCK_FORKS,
    Account,
    run_ours,
    run_stock,
    stock_state,
)
from tests.chain.evm_programs import code, push

CEILING = 1 << 256
EDGES = [0, 1, 2, 7, 8, 30, 31, 32, 255, 256, 257, CEILING - 1, CEILING - 2, CEILING >> 1]
EDGES += [(CEILING >> 1) - 1, (CEILING >> 1) + 1, 1 << 128, (1 << 128) - 1, 0x80, 0x7F, 0xFF80]
words = st.one_of(
    st.sampled_from(EDGES), st.integers(0, 300), st.integers(0, CEILING - 1),
    st.integers(0, 255).map(lambda bit: 1 << bit),
)  # fmt: skip


def to_signed(word: int) -> int:
    return int.from_bytes(word.to_bytes(32, "big"), "big", signed=True)


def truncate(dividend: int, divisor: int) -> int:
    """Quotient towards zero, found by search of the sign."""
    size = abs(dividend) // abs(divisor)
    return size if dividend * divisor >= 0 else -size


def bits(word: int) -> str:
    return f"{word:0256b}"


def bitwise(combine: Callable[[str, str], bool], a: int, b: int) -> int:
    pairs = zip(bits(a), bits(b), strict=True)
    return int("".join(str(int(combine(x, y))) for x, y in pairs), 2)


def extend(k: int, word: int) -> int:
    if k > 31:
        return word
    low = bits(word)[-8 * (k + 1) :]
    return int(low.rjust(256, low[0]), 2)


def sar(shift: int, word: int) -> int:
    text = bits(word)
    return int((text[0] * min(shift, 256) + text)[:256], 2)


REFERENCE: dict[str, Callable[..., int]] = {
    "ADD": lambda a, b: a + b,
    "MUL": lambda a, b: a * b,
    "SUB": lambda a, b: a - b,
    "DIV": lambda a, b: a // b if b else 0,
    "SDIV": lambda a, b: truncate(to_signed(a), to_signed(b)) if b else 0,
    "MOD": lambda a, b: a % b if b else 0,
    "SMOD": lambda a, b: (
        to_signed(a) - to_signed(b) * truncate(to_signed(a), to_signed(b)) if b else 0
    ),
    "ADDMOD": lambda a, b, n: (a + b) % n if n else 0,
    "MULMOD": lambda a, b, n: (a * b) % n if n else 0,
    "SIGNEXTEND": extend,
    "LT": lambda a, b: a < b,
    "GT": lambda a, b: a > b,
    "SLT": lambda a, b: to_signed(a) < to_signed(b),
    "SGT": lambda a, b: to_signed(a) > to_signed(b),
    "EQ": lambda a, b: a == b,
    "ISZERO": lambda a: a == 0,
    "AND": lambda a, b: bitwise(lambda x, y: x == y == "1", a, b),
    "OR": lambda a, b: bitwise(lambda x, y: "1" in (x, y), a, b),
    "XOR": lambda a, b: bitwise(lambda x, y: x != y, a, b),
    "NOT": lambda a: CEILING - 1 - a,
    "BYTE": lambda i, a: a.to_bytes(32, "big")[i] if i < 32 else 0,
    "SHL": lambda shift, a: a * 2**shift if shift < 256 else 0,
    "SHR": lambda shift, a: a // 2**shift if shift < 256 else 0,
    "SAR": sar,
    "CLZ": lambda a: len(bits(a)) - len(bits(a).lstrip("0")),
}
FUNCTIONS: dict[int, Callable[..., int]] = {**UNARY, **BINARY, **TERNARY}


@given(st.sampled_from(sorted(FUNCTIONS)), words, words, words)
@settings(max_examples=600)
def test_functions_of_words_are_arithmetic_modulo_2_256(value: int, a: int, b: int, c: int) -> None:
    operation = operations_of(Fork.OSAKA)[value]
    assert operation is not None
    arguments = (a, b, c)[: operation.pops]
    result = FUNCTIONS[value](*arguments)
    assert 0 <= result < CEILING
    assert result == int(REFERENCE[operation.name](*arguments)) % CEILING


@pytest.mark.parametrize("value", sorted({**UNARY, **BINARY}))
def test_functions_of_words_at_their_edges(value: int) -> None:
    operation = operations_of(Fork.OSAKA)[value]
    assert operation is not None
    for arguments in product(EDGES, repeat=operation.pops):
        expected = int(REFERENCE[operation.name](*arguments)) % CEILING
        assert FUNCTIONS[value](*arguments) == expected, arguments


@given(words, st.integers(0, 40) | words)
def test_exp_is_repeated_multiplication(base: int, exponent: int) -> None:
    result = 1
    for bit in f"{exponent:b}":
        result = result * result * (base if bit == "1" else 1) % CEILING
    assert exp(base, exponent) == result


@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_every_fork_has_the_opcodes_that_py_evm_has(fork: Fork) -> None:
    stock = stock_state(fork, {}).computation_class.opcodes
    ours = operations_of(fork)
    for value in range(256):
        operation, other = ours[value], stock.get(value)
        if value == 0xFE or other is None or isinstance(other, InvalidOpcode):
            assert operation is None, f"{value:#x}"
            continue
        assert operation is not None, f"{value:#x}"
        aliases = {"SHA3": "KECCAK256", "DIFFICULTY": "PREVRANDAO"}
        name = getattr(other, "mnemonic", operation.name)
        assert operation.name in (name, aliases.get(name)), f"{value:#x}"


def test_osaka_adds_clz() -> None:
    prague, osaka = operations_of(Fork.PRAGUE), operations_of(Fork.OSAKA)
    new = [value for value in range(256) if (prague[value] is None) != (osaka[value] is None)]
    assert new == [0x1E]
    assert osaka[0x1E] is not None
    assert (osaka[0x1E].name, osaka[0x1E].gas) == ("CLZ", 5)
    program = code(push(1 << 200), 0x1E, push(0), 0x52, push(32), push(0), 0xF3)
    world = {SENDER: Account(1), CONTRACT: Account(0, 1, program)}
    result = run_ours(Fork.OSAKA, world, gas=1000)
    assert result.output == (55).to_bytes(32, "big")
    assert result.gas == 1000 - 5 * 3 - 5 - 3


AREAS = ((0, 0), (0, 1), (1, 31), (0, 32), (1, 32), (40, 64), (100, 1), (500, 0))


@pytest.mark.parametrize("opcode", [0x20, 0x37, 0x39, 0x3C, 0x3E, 0x5E, 0xA1, 0xF3, 0xFD])
def test_areas_of_memory(opcode: int) -> None:
    """Each opcode that takes an area, on memory of one word: what it reads, writes and grows."""
    first = code(push(CEILING - 5), push(0), 0x52, push(5))
    rest = code(0x59, push(64), 0x52, push(0x300), push(0), 0xF3)
    for at, size in AREAS:
        for other, _ in AREAS:
            operands = {
                0x20: (size, at), 0x3C: (size, other, at, int.from_bytes(CONTRACT, "big")),
                0xA1: (7, size, at), 0xF3: (size, at), 0xFD: (size, at),
            }.get(opcode, (size, other, at))  # fmt: skip
            pushes = b"".join(push(operand) for operand in operands)
            program = code(first, pushes, opcode, rest)
            world = {SENDER: Account(1), CONTRACT: Account(0, 1, program)}
            ours = run_ours(Fork.PRAGUE, world, bytes(range(50)))
            assert ours == run_stock(Fork.PRAGUE, world, bytes(range(50))), (at, size, other)


def at_the_bounds(fork: Fork) -> list[bytes]:
    """Programs that run one opcode with one word too few, just enough, and a full stack."""
    programs = []
    for value, operation in enumerate(operations_of(fork)):
        if operation is None:
            continue
        full = 1024 - max(operation.pushes - operation.pops, 0)
        heights = {operation.pops, full, full + 1} | {max(operation.pops - 1, 0)}
        programs += [
            push(0) * height + bytes([value]) for height in sorted(heights) if height <= 1024
        ]
    return programs


def check_bounds(fork: Fork) -> None:
    for program in at_the_bounds(fork):
        world = {SENDER: Account(10**18), CONTRACT: Account(0, 1, program)}
        ours, stock = run_ours(fork, world), run_stock(fork, world)
        assert ours == stock, program[-4:].hex()


@pytest.mark.parametrize("fork", [Fork.FRONTIER, Fork.PRAGUE], ids=lambda fork: fork.name)
def test_every_opcode_at_the_bounds_of_the_stack(fork: Fork) -> None:
    check_bounds(fork)


@pytest.mark.slow
@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_every_opcode_of_every_fork_at_the_bounds_of_the_stack(fork: Fork) -> None:
    check_bounds(fork)
