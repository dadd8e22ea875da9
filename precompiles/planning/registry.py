"""``plan``: how one operator becomes kernel calls. One ``@plan.register`` per operator.

    @plan.register
    def _(instruction: op.Clip, planner: Planner) -> None: ...

The output's buffer is one that the steps write whole (border excepted); kernels may have written
nothing else in memory but scratch of this instruction. The choice of a kernel may depend on types,
shapes and constants; every choice gives the integers of the reference twin.
"""

from functools import singledispatch

from precompiles.errors import ModelError
from precompiles.model import operators as op
from precompiles.planning.planner import Planner


@singledispatch
def plan(instruction: op.Instruction, planner: Planner) -> None:
    """Emit the steps of one instruction; ModelError for an unknown operator."""
    raise ModelError(f"L4: no kernel for {type(instruction).__name__}")
