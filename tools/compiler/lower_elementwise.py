"""Sums, products, per-channel maps and scalar functions."""

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.curves import emit_curve
from tools.compiler.graph import (
    UNBOUNDED,
    Add,
    Affine,
    Bounds,
    Expression,
    FloatGraph,
    Floats,
    Function,
    Mul,
    Operation,
    Shape,
)
from tools.compiler.lower_integers import exact_affine, exact_product, exact_sum
from tools.compiler.lowering import (
    Lowering,
    clamp_codes,
    clip,
    grid_limits,
    lower,
    on_grid,
    refuse,
)
from tools.compiler.program import Operand
from tools.compiler.quantize import (
    Grid,
    activation_grid,
    ceil_log2,
    quantize_array,
    quantize_value,
    requantize_multipliers,
    round_scale,
    signed_multipliers,
)

_CONSTANT_BITS = 24
_WIDE_PRODUCT = 1 << 33
_TABLE_ELEMENTS = 2048


def _aligned(state: Lowering, a: Operand, b: Operand) -> tuple[Operand, Operand]:
    """Two operands of one rank in one layout."""
    if a.channels_last == b.channels_last:
        return a, b
    return state.channels_last(a), state.channels_last(b)


@lower.register
def _(operation: Add, state: Lowering) -> Operand:
    exact = exact_sum(operation, state)
    if exact is not None:
        return exact
    a, b = _aligned(state, state.activation(operation.a), state.activation(operation.b))
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    grid = state.result_grid(operation.output)
    operands = (a, b, operation.sign)
    ref, bounds = _emit_add(state, operation, operands, shape, grid, operation.clamp)
    return on_grid(ref, shape, grid, bounds, channels_last=a.channels_last)


def _emit_add(
    state: Lowering,
    operation: Operation,
    operands: tuple[Operand, Operand, int],
    shape: Shape,
    grid: Grid,
    clamp: Bounds,
) -> tuple[int, tuple[int, int]]:
    a, b, sign = operands
    ratios = (a.scale / grid.scale, sign * b.scale / grid.scale)
    try:
        first, second, shift = signed_multipliers(ratios, (a.bound, b.bound))
    except ValueError as error:
        raise refuse(operation, str(error), "rescale one of the operands") from error
    lo, hi = clamp_codes(clamp, grid)
    ref = state.program.emit(
        op.Add,
        grid.dtype,
        shape,
        a=a.ref,
        b=b.ref,
        a_zero_point=a.zero_point,
        b_zero_point=b.zero_point,
        a_multiplier=first,
        b_multiplier=second,
        shift=shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return ref, (lo, hi)


@lower.register
def _(operation: Mul, state: Lowering) -> Operand:
    exact = exact_product(operation, state)
    if exact is not None:
        return exact
    a, b = _aligned(state, state.activation(operation.a), state.activation(operation.b))
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    grid = state.result_grid(operation.output)
    return _emit_mul(state, operation, (a, b), shape, grid, operation.clamp)


def _emit_mul(
    state: Lowering,
    operation: Operation,
    operands: tuple[Operand, Operand],
    shape: Shape,
    grid: Grid,
    clamp: Bounds,
) -> Operand:
    """Product on the grid; of wide operands on the next grid that a bare shift reaches exactly."""
    a, b = operands
    if grid.dtype is DType.S32 and a.bound * b.bound >= _WIDE_PRODUCT:
        product = a.scale * b.scale
        grid = Grid(DType.S32, product * (1 << max(1, ceil_log2(grid.scale / product))))
    try:
        multipliers, shift = requantize_multipliers(
            [a.scale * b.scale / grid.scale], a.bound * b.bound
        )
    except ValueError as error:
        raise refuse(operation, str(error), "rescale one of the operands") from error
    lo, hi = clamp_codes(clamp, grid)
    ref = state.program.emit(
        op.Mul,
        grid.dtype,
        shape,
        a=a.ref,
        b=b.ref,
        a_zero_point=a.zero_point,
        b_zero_point=b.zero_point,
        multiplier=multipliers[0],
        shift=shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, shape, grid, (lo, hi), channels_last=a.channels_last)


def _constant_operand(state: Lowering, values: Floats, x: Operand) -> Operand:
    """A float constant as s32 with 24 bits, laid out as x."""
    rank = len(x.type.shape)
    array = np.asarray(values, dtype=np.float64)
    array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if x.channels_last:
        array = np.moveaxis(array, 0, -1)
    magnitude = max(float(np.abs(array).max(initial=0.0)), 2.0**-40)
    scale = round_scale(magnitude / (1 << _CONSTANT_BITS))
    codes = quantize_array(array, Grid(DType.S32, scale))
    ref = state.program.constant(codes, DType.S32)
    kind = TensorType(DType.S32, codes.shape)
    return Operand(ref, kind, scale, 0, int(codes.min()), int(codes.max()))


@lower.register
def _(operation: Affine, state: Lowering) -> Operand:
    exact = exact_affine(operation, state)
    if exact is not None:
        return exact
    x = state.activation(operation.x)
    grid = state.result_grid(operation.output)
    one = bool((operation.scale == 1).all())
    bare = not operation.offset.any()
    shape = x.type.shape
    scaled = x
    if not one or bare:
        middle = grid if bare else _product_grid(x, operation.scale)
        factor = _constant_operand(state, operation.scale, x)
        clamp = operation.clamp if bare else UNBOUNDED
        scaled = _emit_mul(state, operation, (x, factor), shape, middle, clamp)
    if bare:
        return scaled
    offset = _constant_operand(state, operation.offset, x)
    operands = (scaled, offset, 1)
    ref, bounds = _emit_add(state, operation, operands, shape, grid, operation.clamp)
    return on_grid(ref, shape, grid, bounds, channels_last=x.channels_last)


def _product_grid(x: Operand, scale: Floats) -> Grid:
    """s32 grid for ``x * scale`` before its offset; 2**25 covers what x can be."""
    reach = float(x.bound * x.scale) * float(np.abs(scale).max())
    return activation_grid(-reach, reach, DType.S32)


@lower.register
def _(operation: Function, state: Lowering) -> Operand:
    x = state.native(operation.x)
    if operation.clamp is not None:
        return _clip_form(state, x, operation.clamp)
    words = x.type.dtype is DType.S16 and operation.output not in state.fine
    if x.type.dtype is DType.U8 or (words and has_table(state.graph, operation)):
        return _lookup(operation, state, x)
    found = state.range_of(operation.x) if state.has_range(operation.x) else None
    return emit_curve(state, operation, state.integer(operation.x), operation.expression, found)


def has_table(graph: FloatGraph, operation: Function) -> bool:
    """True where a table of 65,536 words is worth its bytes."""
    return int(np.prod(graph.shapes[operation.x], dtype=np.int64)) >= _TABLE_ELEMENTS


def _clip_form(state: Lowering, x: Operand, clamp: Bounds) -> Operand:
    grid = Grid(x.type.dtype, x.scale, x.zero_point)
    codes = [quantize_value(bound, grid) for bound in clamp]
    return clip(state, x, codes[0], codes[1])


def _lookup(operation: Function, state: Lowering, x: Operand) -> Operand:
    """A table of all codes, computed here once; the index is the raw byte or word."""
    grid = state.result_grid(operation.output)
    codes = np.arange(256)
    if x.type.dtype is DType.S16:
        codes = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int64)
    real = (codes - x.zero_point).astype(np.float64) * float(x.scale)
    values = evaluate(operation.expression, real)
    if not np.isfinite(values).all():
        seen = state.range_of(operation.x)
        values = evaluate(operation.expression, np.clip(real, seen.low, seen.high))
    if not np.isfinite(values).all():
        raise refuse(
            operation,
            "is not finite on the range of its input",
            "clip the input before it, so that the function is defined",
        )
    lo, hi = grid_limits(grid)
    table = np.clip(quantize_array(values, grid), lo, hi)
    ref = state.program.emit(
        op.Lookup,
        grid.dtype,
        x.type.shape,
        x=x.ref,
        table=state.program.constant(table, grid.dtype),
    )
    bounds = int(table.min()), int(table.max())
    return on_grid(ref, x.type.shape, grid, bounds, channels_last=x.channels_last)


def evaluate(expression: Expression, x: Floats) -> Floats:
    """A scalar function in float64, without warnings."""
    with np.errstate(all="ignore"):
        return np.asarray(expression(x), dtype=np.float64)
