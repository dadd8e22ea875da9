"""The opcodes of every fork. Yellow Paper appendix H and the EIPs that added one."""

from collections.abc import Callable
from functools import cache
from typing import Final

from chain.evm.frame import Frame
from chain.evm.operations import calls, creation, environment, memory, storage
from chain.evm.operations import gas as prices
from chain.evm.operations.arithmetic import BINARY, TERNARY, UNARY, exp
from chain.evm.operations.environment import READS
from chain.evm.operations.gas import GasSchedule, schedule_of
from chain.evm.operations.operation import Operation
from genesis.forks import Fork

Run = Callable[[Frame], None]
_Entry = tuple[int, Operation]


@cache
def operations_of(fork: Fork) -> tuple[Operation | None, ...]:
    """The 256 opcodes of a fork by value; None is an invalid one."""
    gas = schedule_of(fork)
    table: list[Operation | None] = [None] * 256
    for value, since, name, cost in _WORDS:
        if fork >= since:
            table[value] = _of_words(value, name, cost)
    for value, since, name, cost in _ENVIRONMENT:
        if fork >= since:
            table[value] = Operation(name, _pushing(READS[value]), cost, 0, 1)
    for value, operation in [*_stack(fork), *_fixed(fork), *_priced(gas)]:
        table[value] = operation
    return tuple(table)


_WORDS: Final = (
    (0x01, Fork.FRONTIER, "ADD", prices.VERY_LOW),
    (0x02, Fork.FRONTIER, "MUL", prices.LOW),
    (0x03, Fork.FRONTIER, "SUB", prices.VERY_LOW),
    (0x04, Fork.FRONTIER, "DIV", prices.LOW),
    (0x05, Fork.FRONTIER, "SDIV", prices.LOW),
    (0x06, Fork.FRONTIER, "MOD", prices.LOW),
    (0x07, Fork.FRONTIER, "SMOD", prices.LOW),
    (0x08, Fork.FRONTIER, "ADDMOD", prices.MID),
    (0x09, Fork.FRONTIER, "MULMOD", prices.MID),
    (0x0B, Fork.FRONTIER, "SIGNEXTEND", prices.LOW),
    (0x10, Fork.FRONTIER, "LT", prices.VERY_LOW),
    (0x11, Fork.FRONTIER, "GT", prices.VERY_LOW),
    (0x12, Fork.FRONTIER, "SLT", prices.VERY_LOW),
    (0x13, Fork.FRONTIER, "SGT", prices.VERY_LOW),
    (0x14, Fork.FRONTIER, "EQ", prices.VERY_LOW),
    (0x15, Fork.FRONTIER, "ISZERO", prices.VERY_LOW),
    (0x16, Fork.FRONTIER, "AND", prices.VERY_LOW),
    (0x17, Fork.FRONTIER, "OR", prices.VERY_LOW),
    (0x18, Fork.FRONTIER, "XOR", prices.VERY_LOW),
    (0x19, Fork.FRONTIER, "NOT", prices.VERY_LOW),
    (0x1A, Fork.FRONTIER, "BYTE", prices.VERY_LOW),
    (0x1B, Fork.CONSTANTINOPLE, "SHL", prices.VERY_LOW),
    (0x1C, Fork.CONSTANTINOPLE, "SHR", prices.VERY_LOW),
    (0x1D, Fork.CONSTANTINOPLE, "SAR", prices.VERY_LOW),
    (0x1E, Fork.OSAKA, "CLZ", prices.LOW),
)
"""Value, first fork, name, gas."""

_ENVIRONMENT: Final = (
    (0x30, Fork.FRONTIER, "ADDRESS", prices.BASE),
    (0x32, Fork.FRONTIER, "ORIGIN", prices.BASE),
    (0x33, Fork.FRONTIER, "CALLER", prices.BASE),
    (0x34, Fork.FRONTIER, "CALLVALUE", prices.BASE),
    (0x36, Fork.FRONTIER, "CALLDATASIZE", prices.BASE),
    (0x38, Fork.FRONTIER, "CODESIZE", prices.BASE),
    (0x3A, Fork.FRONTIER, "GASPRICE", prices.BASE),
    (0x3D, Fork.BYZANTIUM, "RETURNDATASIZE", prices.BASE),
    (0x41, Fork.FRONTIER, "COINBASE", prices.BASE),
    (0x42, Fork.FRONTIER, "TIMESTAMP", prices.BASE),
    (0x43, Fork.FRONTIER, "NUMBER", prices.BASE),
    (0x44, Fork.FRONTIER, "DIFFICULTY", prices.BASE),
    (0x44, Fork.PARIS, "PREVRANDAO", prices.BASE),
    (0x45, Fork.FRONTIER, "GASLIMIT", prices.BASE),
    (0x46, Fork.ISTANBUL, "CHAINID", prices.BASE),
    (0x47, Fork.ISTANBUL, "SELFBALANCE", prices.LOW),
    (0x48, Fork.LONDON, "BASEFEE", prices.BASE),
    (0x4A, Fork.CANCUN, "BLOBBASEFEE", prices.BASE),
    (0x59, Fork.FRONTIER, "MSIZE", prices.BASE),
)
"""Value, first fork, name, gas of what pushes one word."""


def _stack(fork: Fork) -> list[_Entry]:
    """What interpreters do themselves."""
    entries = [
        (0x00, Operation("STOP", None, prices.ZERO, 0, 0, ends=True)),
        (0x50, Operation("POP", None, prices.BASE, 1, 0)),
        (0x56, Operation("JUMP", None, prices.MID, 1, 0)),
        (0x57, Operation("JUMPI", None, prices.HIGH, 2, 0)),
        (0x58, Operation("PC", None, prices.BASE, 0, 1)),
        (0x5A, Operation("GAS", None, prices.BASE, 0, 1, reads_gas=True)),
        (0x5B, Operation("JUMPDEST", None, prices.JUMPDEST, 0, 0)),
    ]
    if fork >= Fork.SHANGHAI:  # EIP-3855
        entries.append((0x5F, Operation("PUSH0", None, prices.BASE, 0, 1)))
    for size in range(1, 33):
        entries.append((0x5F + size, Operation(f"PUSH{size}", None, prices.VERY_LOW, 0, 1)))
    for depth in range(1, 17):
        entries.append(
            (0x7F + depth, Operation(f"DUP{depth}", None, prices.VERY_LOW, depth, depth + 1))
        )
        swap = Operation(f"SWAP{depth}", None, prices.VERY_LOW, depth + 1, depth + 1)
        entries.append((0x8F + depth, swap))
    return entries


def _fixed(fork: Fork) -> list[_Entry]:
    """Opcodes whose static gas never changed, from the fork that added them."""
    entries = [
        (0x20, Operation("KECCAK256", memory.keccak, prices.KECCAK256, 2, 1)),
        (0x35, Operation("CALLDATALOAD", environment.calldataload, prices.VERY_LOW, 1, 1)),
        (0x37, Operation("CALLDATACOPY", memory.calldatacopy, prices.VERY_LOW, 3, 0)),
        (0x39, Operation("CODECOPY", memory.codecopy, prices.VERY_LOW, 3, 0)),
        (0x40, Operation("BLOCKHASH", environment.blockhash, prices.BLOCKHASH, 1, 1)),
        (0x51, Operation("MLOAD", memory.mload, prices.VERY_LOW, 1, 1)),
        (0x52, Operation("MSTORE", memory.mstore, prices.VERY_LOW, 2, 0)),
        (0x53, Operation("MSTORE8", memory.mstore8, prices.VERY_LOW, 2, 0)),
        (0xF3, Operation("RETURN", memory.return_, prices.ZERO, 2, 0, ends=True)),
    ]
    for topics in range(5):
        cost = prices.LOG + prices.LOG_TOPIC * topics
        log = Operation(f"LOG{topics}", memory.make_log(topics), cost, 2 + topics, 0)
        entries.append((0xA0 + topics, log))
    if fork >= Fork.BYZANTIUM:
        copy = Operation("RETURNDATACOPY", memory.returndatacopy, prices.VERY_LOW, 3, 0)
        entries.append((0x3E, copy))
        entries.append((0xFD, Operation("REVERT", memory.revert, prices.ZERO, 2, 0, ends=True)))
    if fork >= Fork.CANCUN:
        blobhash = Operation("BLOBHASH", environment.blobhash, prices.VERY_LOW, 1, 1)
        entries.append((0x49, blobhash))
        entries.append((0x5C, Operation("TLOAD", storage.tload, prices.TRANSIENT, 1, 1)))
        entries.append((0x5D, Operation("TSTORE", storage.tstore, prices.TRANSIENT, 2, 0)))
        entries.append((0x5E, Operation("MCOPY", memory.mcopy, prices.VERY_LOW, 3, 0)))
    return entries


def _priced(gas: GasSchedule) -> list[_Entry]:
    """Opcodes whose price or rules changed."""
    fork = gas.fork
    entries = [
        (0x0A, Operation("EXP", _make_exp(gas), prices.EXP, 2, 1)),
        (0x31, Operation("BALANCE", environment.make_balance(gas), gas.balance, 1, 1)),
        (0x3B, Operation("EXTCODESIZE", environment.make_extcodesize(gas), gas.extcode, 1, 1)),
        (0x3C, Operation("EXTCODECOPY", memory.make_extcodecopy(gas), gas.extcode, 4, 0)),
        (0x54, Operation("SLOAD", storage.make_sload(gas), gas.sload, 1, 1)),
        (0x55, Operation("SSTORE", storage.make_sstore(gas), 0, 2, 0, reads_gas=True)),
        (0xF0, _reading("CREATE", creation.make_create(gas), prices.CREATE, 3)),
        (0xF1, _reading("CALL", calls.make_call(gas), gas.call, 7)),
        (0xF2, _reading("CALLCODE", calls.make_callcode(gas), gas.call, 7)),
    ]
    destroy = creation.make_selfdestruct(gas)
    entries.append((0xFF, Operation("SELFDESTRUCT", destroy, gas.selfdestruct, 1, 0, ends=True)))
    if fork >= Fork.HOMESTEAD:
        entries.append((0xF4, _reading("DELEGATECALL", calls.make_delegatecall(gas), gas.call, 6)))
    if fork >= Fork.BYZANTIUM:
        entries.append((0xFA, _reading("STATICCALL", calls.make_staticcall(gas), gas.call, 6)))
    if fork >= Fork.CONSTANTINOPLE:
        hashing = environment.make_extcodehash(gas)
        entries.append((0x3F, Operation("EXTCODEHASH", hashing, gas.extcodehash, 1, 1)))
        entries.append((0xF5, _reading("CREATE2", creation.make_create2(gas), prices.CREATE, 4)))
    return entries


def _reading(name: str, run: Run, cost: int, pops: int) -> Operation:
    return Operation(name, run, cost, pops, 1, reads_gas=True)


def _make_exp(gas: GasSchedule) -> Run:
    per_byte = gas.exp_byte

    def run(frame: Frame) -> None:
        stack = frame.stack
        base, exponent = stack.pop(), stack[-1]
        frame.charge(per_byte * (exponent.bit_length() + 7 >> 3))
        stack[-1] = exp(base, exponent)

    return run


def _pushing(read: Callable[[Frame], int]) -> Run:
    def run(frame: Frame) -> None:
        frame.stack.append(read(frame))

    return run


def _of_words(value: int, name: str, cost: int) -> Operation:
    if value in UNARY:
        return Operation(name, _unary(UNARY[value]), cost, 1, 1)
    if value in TERNARY:
        return Operation(name, _ternary(TERNARY[value]), cost, 3, 1)
    return Operation(name, _binary(BINARY[value]), cost, 2, 1)


def _unary(function: Callable[[int], int]) -> Run:
    def run(frame: Frame) -> None:
        stack = frame.stack
        stack[-1] = function(stack[-1])

    return run


def _binary(function: Callable[[int, int], int]) -> Run:
    def run(frame: Frame) -> None:
        stack = frame.stack
        first = stack.pop()
        stack[-1] = function(first, stack[-1])

    return run


def _ternary(function: Callable[[int, int, int], int]) -> Run:
    def run(frame: Frame) -> None:
        stack = frame.stack
        first, second = stack.pop(), stack.pop()
        stack[-1] = function(first, second, stack[-1])

    return run
