"""Compiles hot blocks, within a budget that executed gas pays for.

Compiling costs time that no gas is charged for, so it is rationed: what hot blocks burnt in tier 1
is credit, a compilation spends it. Hostile code can therefore not make compiling more than a fixed
share of running. Neither credit nor cache changes any result.
"""

from typing import Final

from chain.evm.program import Block, Compiled, Program
from chain.evm.transpiler.runtime import SCOPE
from chain.evm.transpiler.trace import Trace

HOT: Final = 16
"""Entries after which a block asks to be compiled."""

GAS_PER_MICROSECOND: Final = 30
"""Gas burnt in tier 1 that pays for a microsecond of compiling: at most 1 s per 30 million gas."""

MAX_CREDIT: Final = 200_000
"""Microseconds that may be saved up; a new process begins with as many."""

BYTES_PER_CHARACTER: Final = 4
"""Memory that a machine takes, by the length of its source."""


class Budget:
    """Microseconds of compiling that executed gas has paid for.

    Attributes:
        credit: what is left of them; the last compilation may have overdrawn it.
    """

    __slots__ = ("credit",)

    def __init__(self, credit: int = MAX_CREDIT) -> None:
        self.credit = credit

    def earn(self, gas: int) -> None:
        """Note gas that was burnt in tier 1."""
        self.credit = min(self.credit + gas // GAS_PER_MICROSECOND, MAX_CREDIT)


_BUDGET: Final = Budget()


def heat(program: Program, block: Block, budget: Budget = _BUDGET) -> None:
    """Compile a block that was entered ``HOT`` times, or let it wait for that again.

    Args:
        program: the code that it belongs to.
        block: gets ``compiled``, or ``entries`` 0 when there is not enough credit.
        budget: what pays.
    """
    budget.earn(HOT * (block.gas + 1))
    block.entries = 0
    if budget.credit > 0:
        trace = Trace(program, block.start)
        source = trace.source()
        block.compiled = _machine(trace, source)
        budget.credit -= cost(trace.used, len(source))
        program.grow(BYTES_PER_CHARACTER * len(source))


def cost(instructions: int, characters: int) -> int:
    """Microseconds that compiling takes, as measured; two times as much in bad cases."""
    return 100 + (7 * instructions >> 1) + (2 * characters // 9)


def source_of(program: Program, pc: int, whole: bool = False) -> str:
    """Source of the block at ``pc``, for people to read."""
    return Trace(program, pc, whole=whole).source()


def compile_at(program: Program, pc: int, whole: bool = False) -> Compiled:
    """Machine for the block at ``pc``.

    Args:
        program: analysed code.
        pc: a jump target, 0, or where another block ends.
        whole: take in arms that were never reached, too.
    """
    trace = Trace(program, pc, whole=whole)
    return _machine(trace, trace.source())


def _machine(trace: Trace, source: str) -> Compiled:
    scope = SCOPE | {"is_destination": trace.program.is_destination}
    for opcode in trace.opcodes:
        operation = trace.program.operations[opcode]
        if operation is not None:
            scope[f"run_{operation.name}"] = operation.run
    exec(compile(source, f"<block {trace.root}>", "exec"), scope)  # noqa: S102 - our own text
    block: Compiled = scope[f"block_{trace.root}"]
    return block
