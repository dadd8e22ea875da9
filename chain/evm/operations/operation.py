"""One opcode of one fork, as interpreters see it."""

from collections.abc import Callable
from typing import NamedTuple

from chain.evm.frame import Frame


class Operation(NamedTuple):
    """What an opcode does and costs.

    ``run`` expects that its caller has charged ``gas``, seen at least ``pops`` words on the stack,
    and room for what it pushes. It works on ``frame.stack`` and ``frame.memory``, charges gas that
    depends on its arguments, and raises Halt. RETURN, REVERT and SELFDESTRUCT set ``frame.output``;
    REVERT raises Revert then.

    Attributes:
        name: as in the Yellow Paper.
        run: None for what every interpreter does itself: STOP, JUMP, JUMPI, PC, GAS, JUMPDEST,
            PUSH, DUP, SWAP, POP.
        gas: static part.
        pops: words that it needs on the stack and takes; a DUP needs as many as it reaches.
        pushes: words that it leaves instead.
        ends: whether nothing after it runs.
        reads_gas: whether ``frame.gas`` must be exact when it runs.
    """

    name: str
    run: Callable[[Frame], None] | None
    gas: int
    pops: int
    pushes: int
    ends: bool = False
    reads_gas: bool = False
