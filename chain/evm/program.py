"""Code, cut into blocks that an interpreter can run without a check per opcode.

A block is a stretch without jump target inside: its static gas and the bounds of its stack are
known, so they are checked once. Blocks are decoded when they are first reached. Opcodes that see
the gas left (GAS, SSTORE, calls, creations) end a block; charging a block's gas early cannot be
noticed otherwise, because every exceptional halt burns all of it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from chain.evm.errors import InvalidJump
from chain.evm.frame import MAX_STACK, Frame
from chain.evm.operations import Operation, operations_of
from chain.evm.operations.arithmetic import BINARY, TERNARY, UNARY
from chain.evm.operations.environment import READS
from genesis.forks import Fork

Compiled: TypeAlias = Callable[[Frame, list[int], bytearray, int], int]
"""Compiled block: (frame, stack, memory, gas) -> next pc, or -1 at the end; stores frame.gas."""

# what a step does; its argument in brackets
PUSH, DUP, SWAP, WORDS2, POP, RUN, READ, MLOAD, MSTORE, WORDS1, WORDS3 = range(11)
# how a block ends
NEXT, JUMP_TO, JUMPI_TO, JUMP, JUMPI, RUN_NEXT, GAS, STOP, RUN_END, INVALID = range(10)

Step: TypeAlias = tuple[int, Any]

_MAX_STEPS: Final = 256
_MAX_JUMPDESTS: Final = 32
_CACHE_BYTES: Final = 64 << 20
_PROGRAM_BYTES: Final = 600
_STEP_BYTES: Final = 60
_STOP, _JUMPDEST, _PUSH0, _PUSH1, _PUSH32 = 0x00, 0x5B, 0x5F, 0x60, 0x7F


class Block:
    """One decoded stretch of code.

    Attributes:
        start: its pc.
        gas: static gas of everything in it.
        needs: words that must lie on the stack.
        room: words that may lie on it, lest it overflow.
        steps: (kind, argument) of each opcode but the last.
        end: how it ends; ``argument`` belongs to it.
        next: pc behind it.
        entries: times it was reached.
        compiled: machine made of it and what follows, once it is hot.
    """

    __slots__ = (
        "argument", "compiled", "end", "entries", "gas", "needs", "next", "room", "start", "steps",
    )  # fmt: skip

    def __init__(
        self, start: int, gas: int, needs: int, room: int, steps: list[Step], end: int,
        argument: Any, following: int,
    ) -> None:  # fmt: skip
        self.start = start
        self.gas = gas
        self.needs = needs
        self.room = room
        self.steps = steps
        self.end = end
        self.argument = argument
        self.next = following
        self.entries = 0
        self.compiled: Compiled | None = None


class Program:
    """Code in one fork.

    Attributes:
        code, fork: what it is made of.
        operations: the fork's opcodes.
        blocks: decoded blocks by pc.
        landings: those of them that a jump has reached, so their pc is a JUMPDEST.
    """

    __slots__ = ("_destinations", "blocks", "code", "fork", "landings", "operations")

    def __init__(self, code: bytes, fork: Fork) -> None:
        self.code = code
        self.fork = fork
        self.operations = operations_of(fork)
        self.blocks: dict[int, Block] = {}
        self.landings: dict[int, Block] = {}
        self._destinations: bytearray | None = None

    def grow(self, size: int) -> None:
        """Count memory that something made for this program holds, in bytes."""
        _CACHE.grow(size)

    def is_destination(self, pc: int) -> bool:
        """Whether a jump may go to ``pc``, any word."""
        if self._destinations is None:
            self._destinations = jump_destinations(self.code)
        return pc < len(self.code) and self._destinations[pc] == 1

    def land(self, pc: int) -> Block:
        """Block that a jump to ``pc`` reaches; raises InvalidJump."""
        if not self.is_destination(pc):
            raise InvalidJump
        block = self.landings[pc] = self.block(pc)
        return block

    def block(self, pc: int) -> Block:
        """Block at ``pc``, 0 or where another one ends."""
        block = self.blocks.get(pc)
        if block is None:
            block = self.blocks[pc] = _decode(self.code, pc, _table(self.fork))
            _CACHE.grow(_PROGRAM_BYTES + _STEP_BYTES * len(block.steps))
        return block


def jump_destinations(code: bytes) -> bytearray:
    """One byte per byte of ``code``: 1 where a JUMP may land, that is JUMPDEST, not push data."""
    destinations = bytearray(len(code))
    pc, end = 0, len(code)
    while pc < end:
        value = code[pc]
        if value == _JUMPDEST:
            destinations[pc] = 1
        elif _PUSH1 <= value <= _PUSH32:
            pc += value - _PUSH0
        pc += 1
    return destinations


class _Row(NamedTuple):
    """How to decode an opcode: its step or its end."""

    step: Step | None
    end: int
    argument: Any
    gas: int
    pops: int
    change: int
    push: int


@cache
def _table(fork: Fork) -> tuple[_Row, ...]:
    return tuple(_row(value, operation) for value, operation in enumerate(operations_of(fork)))


def _row(value: int, operation: Operation | None) -> _Row:
    if operation is None:
        return _Row(None, INVALID, value, 0, 0, 0, -1)
    gas, pops, change = operation.gas, operation.pops, operation.pushes - operation.pops
    run = operation.run
    if operation.ends:
        return _Row(None, STOP if run is None else RUN_END, run, gas, pops, change, -1)
    if run is not None and operation.reads_gas:
        return _Row(None, RUN_NEXT, run, gas, pops, change, -1)
    end = {0x56: JUMP, 0x57: JUMPI, 0x5A: GAS, _JUMPDEST: NEXT}.get(value)
    if end is not None:
        return _Row(None, end, None, gas, pops, change, -1)
    push = value - _PUSH0 if _PUSH0 <= value <= _PUSH32 else 33 if value == 0x58 else -1
    return _Row(_step(value, operation), -1, None, gas, pops, change, push)


def _step(value: int, operation: Operation) -> Step:
    if 0x80 <= value <= 0x8F:
        return (DUP, 0x7F - value)
    if 0x90 <= value <= 0x9F:
        return (SWAP, 0x8E - value)
    for kind, functions in ((WORDS2, BINARY), (WORDS1, UNARY), (WORDS3, TERNARY), (READ, READS)):
        if value in functions:
            return (kind, functions[value])
    kind = {0x50: POP, 0x51: MLOAD, 0x52: MSTORE}.get(value, RUN)
    return (kind, operation.run)


def _decode(code: bytes, start: int, table: tuple[_Row, ...]) -> Block:
    pc, size = start, len(code)
    gas = height = low = high = 0
    steps: list[Step] = []
    while pc < size and code[pc] == _JUMPDEST and gas < _MAX_JUMPDESTS:
        pc += 1
        gas += 1
    while pc < size and len(steps) < _MAX_STEPS:
        step, end, argument, cost, pops, change, push = table[code[pc]]
        if step is None:
            break
        gas += cost
        if height - pops < low:
            low = height - pops
        height += change
        if height > high:
            high = height
        pc += 1
        if push >= 0:
            if push == 33:
                step = (PUSH, pc - 1)
            else:
                data = code[pc : pc + push]
                step = (PUSH, int.from_bytes(data, "big") << 8 * (push - len(data)))
                pc += push
        steps.append(step)
    else:
        end, argument = (STOP, None) if pc >= size else (NEXT, None)
        return Block(start, gas, -low, MAX_STACK - high, steps, end, argument, pc)
    if end == NEXT:  # the JUMPDEST behind belongs to the next block
        return Block(start, gas, -low, MAX_STACK - high, steps, end, argument, pc)
    low = min(low, height - pops)
    high = max(high, height + change)
    if end in (JUMP, JUMPI) and steps and steps[-1][0] == PUSH:
        argument = steps.pop()[1]
        end = JUMP_TO if end == JUMP else JUMPI_TO
    return Block(start, gas + cost, -low, MAX_STACK - high, steps, end, argument, pc + 1)


class _Programs:
    """Programs by code and fork: those of the last ``_CACHE_BYTES`` to twice as many."""

    def __init__(self) -> None:
        self.young: dict[Fork, dict[bytes, Program]] = {fork: {} for fork in Fork}
        self._old: dict[Fork, dict[bytes, Program]] = {fork: {} for fork in Fork}
        self._bytes = 0

    def grow(self, size: int) -> None:
        """Count memory; forget the older half when it is too much."""
        self._bytes += size
        if self._bytes > _CACHE_BYTES:
            self._old, self._bytes = self.young, 0
            self.young = {fork: {} for fork in Fork}

    def find(self, code: bytes, fork: Fork) -> Program:
        """A program that is not among the young."""
        program = self._old[fork].pop(code, None) or Program(code, fork)
        self.grow(_PROGRAM_BYTES + 2 * len(code) + _STEP_BYTES * 8 * len(program.blocks))
        self.young[fork][code] = program
        return program


_CACHE: Final = _Programs()


def program_of(code: bytes, fork: Fork) -> Program:
    """Analysed code; bounded by bytes, so repeated calls of the same code find it again."""
    return _CACHE.young[fork].get(code) or _CACHE.find(code, fork)
