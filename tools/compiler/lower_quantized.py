"""Tensors with fixed grids: rounding to them, reading numbers as codes and codes as numbers."""

from dataclasses import replace
from fractions import Fraction

from precompiles.model.types import DType
from tools.compiler.graph_quantized import Codes, Decode, Regrid
from tools.compiler.lowering import Lowering, clip, lower, to_grid
from tools.compiler.program import Operand
from tools.compiler.quantize import Grid, quantize_value


@lower.register
def _(operation: Regrid, state: Lowering) -> Operand:
    x = state.native(operation.x)
    if state.precision != "wide":
        return state.on(x, state.grid(operation.output))
    grid = Grid(x.type.dtype, x.scale, x.zero_point)
    low, high = (quantize_value(bound, grid) for bound in operation.bounds)
    return clip(state, x, low, high)


@lower.register
def _(operation: Decode, state: Lowering) -> Operand:
    """No instruction where the codes are whole numbers already: they get another meaning."""
    x = state.native(operation.x)
    if x.scale != 1:
        x = to_grid(state, x, Grid(DType.S32, Fraction(1)))
    return replace(x, scale=operation.scale, zero_point=x.zero_point + operation.zero_point)


@lower.register
def _(operation: Codes, state: Lowering) -> Operand:
    x = state.on(state.native(operation.x), operation.grid)
    return replace(x, scale=Fraction(1), zero_point=operation.shift)
