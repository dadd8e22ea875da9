"""Follows code from one instruction on and writes it down as the source of one function.

A block is a tree of ways: it goes through constant jumps and into both arms of a branch, and ends
where a way returns to its start (a turn of its loop), meets a jump target again, leaves for code
that never ran, or spends its budget.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from chain.evm.operations import Operation
from chain.evm.operations.gas import schedule_of
from chain.evm.program import Program
from chain.evm.transpiler import memory
from chain.evm.transpiler.algebra import FUNCTIONS, apply
from chain.evm.transpiler.path import Path
from chain.evm.transpiler.word import Word, constant
from chain.evm.transpiler.writer import Writer

MAX_OPERATIONS: Final = 600
"""Instructions in one block, over all its ways."""

MAX_INDENT: Final = 24
"""Branches within branches; Python stops at 100."""

MAX_STACK: Final = 40
"""Symbolic words on the stack: each way out writes them down."""

MAX_SOURCE: Final = 12_000
"""Characters of source, over which ways end."""

_JUMPDEST: Final = 0x5B
_LOG0, _LOG4 = 0xA0, 0xA4
_SETS_FREE_POINTER: Final = bytes.fromhex("604052")
_KEEP_MEMORY: Final = frozenset((0x31, 0x3B, 0x3F, 0x40, 0x47, 0x49, 0x54, 0x55, 0x5C, 0x5D))
"""Opcodes that run by a call and never grow memory."""

_FRAME_WORDS: Final[dict[int, tuple[str, int]]] = {
    0x30: ("word(frame.address)", (1 << 160) - 1),
    0x32: ("word(frame.evm.transaction.origin)", (1 << 160) - 1),
    0x33: ("word(frame.caller)", (1 << 160) - 1),
    0x34: ("frame.value", (1 << 256) - 1),
    0x38: ("len(frame.code)", (1 << 63) - 1),
    0x3A: ("frame.evm.transaction.gas_price", (1 << 256) - 1),
    0x41: ("word(frame.evm.block.coinbase)", (1 << 160) - 1),
    0x42: ("frame.evm.block.timestamp", (1 << 256) - 1),
    0x43: ("frame.evm.block.number", (1 << 256) - 1),
    0x44: ("frame.evm.block.prev_randao", (1 << 256) - 1),
    0x45: ("frame.evm.block.gas_limit", (1 << 256) - 1),
    0x46: ("frame.evm.block.chain_id", (1 << 256) - 1),
    0x48: ("frame.evm.block.base_fee_per_gas", (1 << 256) - 1),
    0x4A: ("frame.evm.block.blob_base_fee", (1 << 256) - 1),
}
"""What stays the same while a frame runs, and its upper bound."""

Handler: TypeAlias = Callable[["Trace", Path, int, Operation], int | None]


class Trace:
    """One block while it is written.

    Attributes:
        program: what is compiled; arms that it never reached stay outside of the block.
        root: where the block starts.
        writer: its source so far.
        budget: instructions that may still be added.
        used: instructions added.
        opcodes: opcodes that the source runs by a call.
        reads_data: whether it reads calldata.
        whole: take arms in, even if they were never reached.
        has_free_pointer: the code begins as solc's does, so memory is probably used as it does.
    """

    def __init__(
        self, program: Program, root: int, budget: int = MAX_OPERATIONS, whole: bool = False
    ) -> None:
        self.program = program
        self.root = root
        self.writer = Writer()
        self.budget = budget
        self.used = 0
        self.opcodes: set[int] = set()
        self.reads_data = False
        self.whole = whole
        self.code = program.code
        self.has_free_pointer = _SETS_FREE_POINTER in program.code[:8]
        self.exp_byte = schedule_of(program.fork).exp_byte

    def source(self) -> str:
        """Source of the function ``block_<pc>(frame, stack, memory, gas)``."""
        self.follow(Path(self.writer), self.root)
        return self.writer.source(self.root, self.reads_data)

    def follow(self, path: Path, pc: int | None) -> None:
        """Write the code from ``pc`` on, to the end of this way."""
        while pc is not None:
            if self.used and self.verdict(path, pc) != "follow":
                self.end_at(path, pc)
                return
            if pc < len(self.code) and self.code[pc] == _JUMPDEST:
                path.seen.add(self.place(path, pc))
            if pc >= len(self.code):
                path.leave(-1)
                return
            opcode = self.code[pc]
            operation = self.program.operations[opcode]
            if operation is None:
                path.write(f"raise InvalidOpcode({opcode})")
                return
            self.used += 1
            self.budget -= 1
            path.gas += operation.gas
            path.require(operation.pops)
            pc = _HANDLERS[opcode](self, path, pc, operation)

    # Where ways end

    def closes_loop(self, path: Path, pc: int) -> bool:
        """Whether ``pc`` is the start again, with as many words on the stack."""
        return pc == self.root and len(path.stack) == path.pulled

    def verdict(self, path: Path, pc: int) -> str:
        """Whether a way goes on at ``pc``: "follow", close the loop ("repeat"), or "leave"."""
        if self.closes_loop(path, pc):
            return "repeat"
        if self.budget <= 0 or self.writer.size > MAX_SOURCE or len(path.stack) > MAX_STACK:
            return "leave"
        if pc < len(self.code) and self.code[pc] == _JUMPDEST:
            return "leave" if self.place(path, pc) in path.seen else "follow"
        return "follow"

    def place(self, path: Path, pc: int) -> tuple[int, ...]:
        """A jump target together with the return addresses on the stack, which tell calls apart."""
        numbers = [word.number for word in path.stack if word.number is not None]
        returns = filter(self.program.is_destination, numbers)
        return pc, len(path.stack) - path.pulled, *returns

    def end_at(self, path: Path, pc: int) -> None:
        """End a way whose verdict is not "follow"."""
        if self.closes_loop(path, pc):
            words = tuple(path.value(word) for word in path.stack)
            path.write(f"gas -= {path.gas}")
            self.writer.repeat(path.indent, words)
        else:
            path.leave(pc)

    def jump(self, path: Path, target: Word) -> int | None:
        """Go to ``target``: on with it if it is constant, else out of the block."""
        if target.number is None:
            name = path.local(target)
            path.write(f"if not is_destination({name}):")
            path.write(" raise InvalidJump")
            path.leave(name)
            return None
        if not self.program.is_destination(target.number):
            path.write("raise InvalidJump")
            return None
        return target.number

    def is_cold(self, pc: int) -> bool:
        """Whether nothing ever reached ``pc``."""
        return not self.whole and not self.program.is_reached(pc)

    def spend(self, path: Path) -> None:
        """Make the variable ``gas`` exact, and sufficient."""
        path.write(f"gas -= {path.gas}")
        path.write("if gas < 0:")
        path.write(" raise OutOfGas")
        path.gas = 0


def _push(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    size = trace.code[pc] - 0x5F
    data = trace.code[pc + 1 : pc + 1 + size]
    path.push(constant(int.from_bytes(data.ljust(size, b"\0"), "big")))
    return pc + 1 + size


def _dup(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    path.push(path.stack[-operation.pops])
    return pc + 1


def _swap(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    stack, depth = path.stack, operation.pops
    stack[-1], stack[-depth] = stack[-depth], stack[-1]
    return pc + 1


def _pop(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    path.pop()
    return pc + 1


def _jumpdest(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    return pc + 1


def _pc(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    path.push(constant(pc))
    return pc + 1


def _function(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    operands = [path.pop() for _ in range(operation.pops)]
    path.push(apply(path, trace.code[pc], *operands))
    return pc + 1


def _exp(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    base, exponent = path.pop(), path.pop()
    path.keep(base, exponent)
    if exponent.number is not None:
        path.gas += trace.exp_byte * (exponent.number.bit_length() + 7 >> 3)
        if base.number is not None:
            path.push(constant(pow(base.number, exponent.number, 1 << 256)))
            return pc + 1
    else:
        size = f"({path.local(exponent)}.bit_length() + 7 >> 3)"
        path.write(f"gas -= {trace.exp_byte} * {size}")
    path.push(path.name(f"pow({path.exact(base)}, {path.exact(exponent)}, CEILING)"))
    return pc + 1


def _gas(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    trace.spend(path)
    path.push(path.name("gas"))
    return pc + 1


def _frame_word(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    text, high = _FRAME_WORDS[trace.code[pc]]
    if text not in path.memo:
        path.memo[text] = path.name(text, high)
    path.push(path.memo[text])
    return pc + 1


def _calldataload(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    trace.reads_data = True
    offset = path.pop()
    path.keep(offset)
    text = f"calldata_word(data, {path.value(offset)})"
    if text not in path.memo:
        path.memo[text] = path.name(text)
    path.push(path.memo[text])
    return pc + 1


def _calldatasize(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    trace.reads_data = True
    if "len(data)" not in path.memo:
        path.memo["len(data)"] = path.name("len(data)", (1 << 63) - 1)
    path.push(path.memo["len(data)"])
    return pc + 1


def _return_data_size(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    path.push(path.name("len(frame.return_data)", (1 << 63) - 1))
    return pc + 1


def _memory_size(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    path.push(path.name("len(memory)", (1 << 63) - 1))
    return pc + 1


def _mload(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    offset = path.pop()
    path.keep(offset)
    word = memory.mload(path, offset)
    if offset.number == memory.FREE_POINTER and trace.has_free_pointer:
        memory.expect_pointer(path, word, pc + 1)
    path.push(word)
    return pc + 1


def _mstore(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    memory.mstore(path, path.pop(), path.pop())
    return pc + 1


def _mstore8(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    memory.mstore8(path, path.pop(), path.pop())
    return pc + 1


def _keccak(trace: Trace, path: Path, pc: int, operation: Operation) -> int:
    path.push(memory.keccak(path, path.pop(), path.pop()))
    return pc + 1


def _stop(trace: Trace, path: Path, pc: int, operation: Operation) -> None:
    path.leave(-1)


def _return(trace: Trace, path: Path, pc: int, operation: Operation) -> None:
    start, size = path.value(path.pop()), path.value(path.pop())
    path.write(f"return finish(frame, memory, gas - {path.gas}, {start}, {size})")


def _jump(trace: Trace, path: Path, pc: int, operation: Operation) -> int | None:
    return trace.jump(path, path.pop())


def _jumpi(trace: Trace, path: Path, pc: int, operation: Operation) -> int | None:
    target, test = path.pop(), path.pop()
    known = path.decide(test)
    if known is not None:
        return trace.jump(path, target) if known else pc + 1
    path.keep(target, test)
    if target.number is None:
        path.local(target)
    truth = path.truth(test)
    taken = path.fork()
    taken.assume(test, True)
    path.assume(test, False)
    if not _is_inlined(trace, taken, target):
        path.write(f"if {truth}:")
        taken.indent += 1
        destination = trace.jump(taken, target)
        if destination is not None:
            trace.end_at(taken, destination)
        return pc + 1
    if trace.is_cold(pc + 1):
        path.write(f"if {path.falsity(test)}:")
        path.indent += 1
        path.leave(pc + 1)
        trace.follow(taken, target.number)
        return None
    path.write(f"if {truth}:")
    taken.indent += 1
    reserve = trace.budget - trace.budget // 2
    trace.budget //= 2
    trace.follow(taken, target.number)
    trace.budget += reserve
    return pc + 1


def _is_inlined(trace: Trace, path: Path, target: Word) -> bool:
    """Whether the arm that jumps to ``target`` becomes part of the block."""
    pc = target.number
    if pc is None or not trace.program.is_destination(pc) or path.indent >= MAX_INDENT:
        return False
    return not trace.is_cold(pc) and trace.verdict(path, pc) == "follow"


def _run(trace: Trace, path: Path, pc: int, operation: Operation) -> int | None:
    """Every other opcode: by its own function, with its operands on the stack."""
    opcode = trace.code[pc]
    trace.opcodes.add(opcode)
    operands = [path.pop() for _ in range(operation.pops)]
    path.keep(*operands)
    values = [path.value(word) for word in reversed(operands)]
    trace.spend(path)
    path.write("frame.gas = gas")
    if len(values) == 1:
        path.write(f"stack.append({values[0]})")
    elif values:
        path.write(f"stack += ({', '.join(values)})")
    path.write(f"run_{operation.name}(frame)")
    if operation.ends:
        path.write("return -1")
        return None
    path.write("gas = frame.gas")
    if opcode not in _KEEP_MEMORY:
        path.write("end = len(memory) - 32")
        if not _LOG0 <= opcode <= _LOG4:
            path.loads.clear()
    if operation.pushes:
        path.push(path.name("stack.pop()"))
    return pc + 1


_HANDLERS: Final[dict[int, Handler]] = {
    **dict.fromkeys(range(256), _run),
    **dict.fromkeys(FUNCTIONS, _function),
    **dict.fromkeys(_FRAME_WORDS, _frame_word),
    **dict.fromkeys(range(0x5F, 0x80), _push),
    **dict.fromkeys(range(0x80, 0x90), _dup),
    **dict.fromkeys(range(0x90, 0xA0), _swap),
    0x00: _stop,
    0x0A: _exp,
    0x20: _keccak,
    0x35: _calldataload,
    0x36: _calldatasize,
    0x3D: _return_data_size,
    0x50: _pop,
    0x51: _mload,
    0x52: _mstore,
    0x53: _mstore8,
    0x56: _jump,
    0x57: _jumpi,
    0x58: _pc,
    0x59: _memory_size,
    0x5A: _gas,
    0x5B: _jumpdest,
    0xF3: _return,
}
