"""One message on three machines: opcode by opcode, tier 1, and tier 2 wherever it can run."""

import random
from collections.abc import Callable
from typing import NamedTuple

from chain.evm.environment import BlockEnvironment, TransactionEnvironment
from chain.evm.errors import (
    InvalidJump,
    InvalidOpcode,
    Revert,
    StackOverflow,
    StackUnderflow,
)
from chain.evm.frame import Evm, Frame, Interpret
from chain.evm.interpreter import interpret
from chain.evm.messages import run_message
from chain.evm.operations import operations_of
from chain.evm.program import Program, program_of
from chain.evm.state import WorldState
from chain.evm.transpiler.compiler import compile_at
from chain.header import EMPTY_TRIE_ROOT
from chain.receipts import Log
from genesis.forks import Fork
from tests.chain.evm_trace_programs import CALLER, CONTRACT, OTHER

# stores a word, returns another, or reverts without calldata
_OTHER_CODE = bytes.fromhex("3615 6010 57 5f35 5f55 6001 5f35 01 5f52 6020 5ff3 5b 6004 5ffd")
GAS_LIMIT = 1_000_000


class Result(NamedTuple):
    """What a message leaves; which exceptional halt it was does not matter."""

    ending: str
    gas: int
    output: bytes
    logs: list[Log]
    refund: int
    state_root: bytes


def run(
    interpreter: Interpret, code: bytes, data: bytes, gas: int, fork: Fork,
    static: bool = False, value: int = 3,
) -> Result:  # fmt: skip
    """Call ``code`` in a small world."""
    frame = frame_of(interpreter, code, data, gas, fork, static, value)
    run_message(frame)
    ending = "success" if frame.error is None else "halt"
    if isinstance(frame.error, Revert):
        ending = "revert"
    state = frame.evm.state
    logs, refund = state.logs, state.refund
    return Result(ending, frame.gas, frame.output, logs, refund, state.make_root())


def frame_of(
    interpreter: Interpret, code: bytes, data: bytes, gas: int, fork: Fork,
    static: bool = False, value: int = 3,
) -> Frame:  # fmt: skip
    """A call of ``code``, not run yet."""
    nodes: dict[bytes, bytes] = {}
    state = WorldState(nodes.__getitem__, EMPTY_TRIE_ROOT)
    state.set_balance(CALLER, 10**20)
    state.set_balance(CONTRACT, 1000)
    for address, program in ((CONTRACT, code), (OTHER, _OTHER_CODE)):
        state.set_code(address, program)
        state.set_nonce(address, 1)
    state.set_storage(CONTRACT, 1, 7)
    state.begin_transaction()
    block = BlockEnvironment(
        1, fork, 300, 1_700_000_000, 30_000_000, b"\x11" * 20, 1 << 250, 9, 1, _ancestor
    )
    evm = Evm(state, block, TransactionEnvironment(CALLER, 11), {}, interpreter)
    return Frame(evm, CALLER, CONTRACT, CONTRACT, value, data, code, gas, is_static=static)


def _ancestor(number: int) -> bytes:
    return number.to_bytes(32, "little")


def one_by_one(frame: Frame) -> None:  # noqa: C901 - one arm per kind of opcode
    """The plainest machine: every check before every opcode."""
    code, stack = frame.code, frame.stack
    operations = operations_of(frame.evm.block.fork)
    is_destination = program_of(code, frame.evm.block.fork).is_destination
    pc = 0
    while pc < len(code):
        value = code[pc]
        operation = operations[value]
        if operation is None:
            raise InvalidOpcode(value)
        frame.charge(operation.gas)
        if len(stack) < operation.pops:
            raise StackUnderflow
        if len(stack) - operation.pops + operation.pushes > 1024:
            raise StackOverflow
        pc += 1
        if operation.run is not None:
            operation.run(frame)
            if operation.ends:
                return
        elif value == 0x00:
            return
        elif 0x5F <= value <= 0x7F:
            size = value - 0x5F
            stack.append(int.from_bytes(code[pc : pc + size].ljust(size, b"\0"), "big"))
            pc += size
        elif 0x80 <= value <= 0x8F:
            stack.append(stack[0x7F - value])
        elif 0x90 <= value <= 0x9F:
            stack[-1], stack[0x8E - value] = stack[0x8E - value], stack[-1]
        elif value == 0x50:
            stack.pop()
        elif value in (0x56, 0x57):
            target = stack.pop()
            if value == 0x56 or stack.pop():
                if not is_destination(target):
                    raise InvalidJump
                pc = target
        elif value == 0x58:
            stack.append(pc - 1)
        elif value == 0x5A:
            stack.append(frame.gas)


def compile_eagerly(program: Program, rnd: random.Random) -> None:
    """Let parts of ``program`` begin blocks of tier 2: all jump targets, or some, and others."""
    share, whole = rnd.choice(((1.0, True), (1.0, True), (0.5, False), (0.2, True)))
    starts, pc, before = [], 0, 0x57
    while pc < len(program.code):
        value = program.code[pc]
        is_start = value == 0x5B or before == 0x57
        if rnd.random() < (share if is_start else 0.03):
            starts.append(pc)
        before = value
        pc += value - 0x5E if 0x60 <= value <= 0x7F else 1
    for pc in starts:
        program.block(pc).compiled = _on_first_entry(program, pc, whole)


def _on_first_entry(
    program: Program, pc: int, whole: bool
) -> Callable[[Frame, list[int], bytearray, int], int]:
    def enter(frame: Frame, stack: list[int], memory: bytearray, gas: int) -> int:
        compiled = compile_at(program, pc, whole)
        program.block(pc).compiled = compiled
        return compiled(frame, stack, memory, gas)

    return enter


def tier2(rnd: random.Random) -> Interpret:
    """Tier 1, with tier 2 on the contract's code from the first entry on."""

    def run_eagerly(frame: Frame) -> None:
        program = program_of(frame.code, frame.evm.block.fork)
        if frame.address == CONTRACT and not any(block.compiled for block in program.blocks):
            compile_eagerly(program, rnd)
        interpret(frame)

    return run_eagerly
