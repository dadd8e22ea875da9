"""Code, cut into blocks that an interpreter can run without a check per opcode.

A block ends at the first jump: its static gas and the bounds of its stack are known, so they are
checked once, at its begin. Charging early cannot be noticed, because a block runs to its end or
halts, every exceptional halt burns all gas, and the opcodes that see the gas left (GAS, SSTORE,
calls, creations) are given back what is charged for those behind them. Blocks are decoded when
they are first reached; one that a jump reaches may repeat the end of another one.

Who writes the code chooses where its blocks begin, and a dictionary of such numbers can be made to
try thousands of entries for one. So blocks are found in pages of 32 places each.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

from chain.evm.destinations import jump_destinations
from chain.evm.errors import InvalidJump
from chain.evm.frame import MAX_STACK, Frame
from chain.evm.operations import Operation, operations_of
from chain.evm.operations.arithmetic import BINARY, TERNARY, UNARY
from chain.evm.operations.environment import READS
from genesis.forks import Fork

Compiled: TypeAlias = Callable[[Frame, list[int], bytearray, int], int]
"""Compiled block: (frame, stack, memory, gas) -> next pc, or -1 at the end; stores frame.gas."""

# what a step does with its argument
PUSH, DUP, SWAP, WORDS2, POP, RUN, READ, MLOAD, MSTORE, WORDS1, WORDS3, GAS, RUN_GAS = range(13)
# how a block ends; _TO: at a target that it pushes
NEXT, JUMP, JUMP_TO, JUMPI, JUMPI_TO, STOP, RUN_END, INVALID = range(8)

Step: TypeAlias = tuple[int, Any]
"""(what, argument)"""

_Row: TypeAlias = tuple[int, Any, int, int, int]
"""How to decode an opcode: kind or bytes of push data, step, gas, words needed, words added."""

_PASSES, _READS_GAS, _PUSHES_PC, _JUMPS, _ENDS = range(33, 38)
_NO_BLOCKS: Final[list["Block | None"]] = [None] * 32  # a page that is never written
_PAGE_BYTES: Final = 320
_MAX_BYTES: Final = 512
_MAX_JUMPDESTS: Final = 16
_MAX_SLED: Final = 256
_PADDING: Final = bytes(33)
_CACHE_BYTES: Final = 64 << 20
_PROGRAM_BYTES: Final = 600
_STEP_BYTES: Final = 60
_JUMP, _JUMPI, _PC, _JUMPDEST = 0x56, 0x57, 0x58, 0x5B
_PUSH0, _PUSH1, _PUSH32 = 0x5F, 0x60, 0x7F
_DUP1, _DUP16, _SWAP1, _SWAP16 = 0x80, 0x8F, 0x90, 0x9F
_PUSHES: Final = tuple((PUSH, value) for value in range(256))


class Block:
    """One decoded stretch of code.

    Attributes:
        start: its pc.
        gas: static gas of everything in it.
        needs: words that must lie on the stack.
        room: words that may lie on it, lest it overflow.
        steps: of each opcode but the last.
        end: how it ends, and the argument of that.
        next: pc behind it.
        entries: times it was reached.
        compiled: machine made of it and what follows, once it is hot.
    """

    __slots__ = (
        "compiled", "end", "entries", "gas", "needs", "next", "room", "start", "steps",
    )  # fmt: skip

    def __init__(
        self, start: int, gas: int, needs: int, room: int, steps: list[Step], end: Step,
        following: int,
    ) -> None:  # fmt: skip
        self.start = start
        self.gas = gas
        self.needs = needs
        self.room = room
        self.steps = steps
        self.end = end
        self.next = following
        self.entries = 0
        self.compiled: Compiled | None = None


Places: TypeAlias = list[list[Block | None]]


class Program:
    """Code in one fork.

    Attributes:
        code, fork: what it is made of.
        operations: the fork's opcodes.
        blocks: decoded ones, in the order in which they were first reached.
        places: the same by pc: ``places[pc >> 5][pc & 31]``, for 0 to the length of the code.
        landings: likewise those that a jump has reached, so their pc is a JUMPDEST.
    """

    __slots__ = (
        "_destinations", "_padded", "blocks", "code", "fork", "landings", "operations", "places",
    )  # fmt: skip

    def __init__(self, code: bytes, fork: Fork) -> None:
        self.code = code
        self.fork = fork
        self.operations = operations_of(fork)
        self.blocks: list[Block] = []
        self.places: Places = [_NO_BLOCKS] * (len(code) // 32 + 1)
        self.landings: Places = self.places.copy()
        self._destinations: bytearray | None = None
        self._padded = code + _PADDING

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
        block = self.block(pc)
        _put(self.landings, pc, block)
        return block

    def block(self, pc: int) -> Block:
        """Block at ``pc``, 0 or where another one ends."""
        block = self.places[pc >> 5][pc & 31]
        if block is None:
            block = _decode(self._padded, pc, len(self.code), _table(self.fork))
            self.blocks.append(block)
            _put(self.places, pc, block)
            _CACHE.grow(_PROGRAM_BYTES + _STEP_BYTES * len(block.steps))
        return block

    def is_reached(self, pc: int) -> bool:
        """Whether a block that begins at ``pc``, any word, was decoded."""
        return pc <= len(self.code) and self.places[pc >> 5][pc & 31] is not None


def _put(places: Places, pc: int, block: Block) -> None:
    if places[pc >> 5] is _NO_BLOCKS:
        places[pc >> 5] = _NO_BLOCKS.copy()
        _CACHE.grow(_PAGE_BYTES)
    places[pc >> 5][pc & 31] = block


@cache
def _table(fork: Fork) -> tuple[_Row, ...]:
    return tuple(_row(value, operation) for value, operation in enumerate(operations_of(fork)))


def _row(value: int, operation: Operation | None) -> _Row:
    if operation is None:
        return _ENDS, (INVALID, value), 0, 0, 0
    gas, pops, change = operation.gas, operation.pops, operation.pushes - operation.pops
    if operation.ends:
        end = (STOP, None) if operation.run is None else (RUN_END, operation.run)
        return _ENDS, end, gas, pops, change
    if _PUSH1 <= value <= _PUSH32:
        return value - _PUSH0, None, gas, pops, change
    special = {_JUMP: _JUMPS, _JUMPI: _JUMPS, _PC: _PUSHES_PC, _JUMPDEST: _PASSES}.get(value)
    if special is not None:
        return special, (JUMPI if value == _JUMPI else JUMP, None), gas, pops, change
    kind = _READS_GAS if operation.reads_gas else 0
    return kind, _step(value, operation), gas, pops, change


def _step(value: int, operation: Operation) -> Step:
    if _DUP1 <= value <= _DUP16:
        return DUP, _DUP1 - 1 - value
    if _SWAP1 <= value <= _SWAP16:
        return SWAP, _SWAP1 - 2 - value
    for kind, functions in ((WORDS2, BINARY), (WORDS1, UNARY), (WORDS3, TERNARY), (READ, READS)):
        if value in functions:
            return kind, functions[value]
    if value == _PUSH0:
        return PUSH, 0
    return {0x50: POP, 0x51: MLOAD, 0x52: MSTORE}.get(value, RUN), operation.run


def _decode(code: bytes, start: int, size: int, table: tuple[_Row, ...]) -> Block:  # noqa: C901
    """The block at ``start``; ``code`` is ``size`` bytes long and padded with 33 zeros.

    At most 16 JUMPDESTs lie in a block with steps, so an opcode is decoded at most 17 times.
    """
    if code[start + _MAX_JUMPDESTS] == _JUMPDEST == code[start]:
        sled = code[start : start + _MAX_SLED]
        run = len(sled) - len(sled.lstrip(b"\x5b"))
        if run > _MAX_JUMPDESTS:
            return Block(start, run, 0, MAX_STACK, [], (NEXT, None), start + run)
    pc, stop = start, min(start + _MAX_BYTES, size)
    gas = height = needs = high = passed = 0
    steps: list[Step] = []
    readers: list[tuple[int, int]] = []  # index of the step, gas up to it
    append = steps.append
    end: Step = (NEXT, None)
    while pc < stop:
        kind, step, cost, pops, change = table[code[pc]]
        gas += cost
        if pops > height + needs:
            needs = pops - height
        height += change
        if height > high:
            high = height
        pc += 1
        if kind == 0:
            append(step)
        elif kind <= 32:
            if kind == 1:
                append(_PUSHES[code[pc]])
            else:
                append((PUSH, int.from_bytes(code[pc : pc + kind], "big")))
            pc += kind
        elif kind == _PASSES:
            passed += 1
            if passed == _MAX_JUMPDESTS:
                break
        elif kind == _READS_GAS:
            readers.append((len(steps), gas))
            append(step)
        elif kind == _PUSHES_PC:
            append((PUSH, pc - 1))
        else:
            end = step
            if kind == _JUMPS and steps and steps[-1][0] == PUSH:
                end = (end[0] + 1, min(steps.pop()[1], size))  # which is no place to land
            break
    else:
        if pc >= size:
            end = (STOP, None)
    for index, before in readers:
        run = steps[index][1]
        steps[index] = (GAS, gas - before) if run is None else (RUN_GAS, (run, gas - before))
    return Block(start, gas, needs, MAX_STACK - high, steps, end, pc)


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
        self.grow(_PROGRAM_BYTES + 3 * len(code) + _STEP_BYTES * 8 * len(program.blocks))
        self.young[fork][code] = program
        return program


_CACHE: Final = _Programs()


def program_of(code: bytes, fork: Fork) -> Program:
    """Analysed code; bounded by bytes, so repeated calls of the same code find it again."""
    return _CACHE.young[fork].get(code) or _CACHE.find(code, fork)
