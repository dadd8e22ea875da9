"""Products of computed tensors, normalisation layers, embeddings, lengths and quotients."""

from dataclasses import replace
from fractions import Fraction
from math import isqrt

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import Operation
from tools.compiler.graph_attention import Divide, Embed, LayerNorm, Length, MatMul, Smooth
from tools.compiler.lowering import (
    FRACTION_BITS,
    Lowering,
    clip,
    grid_limits,
    lower,
    on_grid,
    refuse,
    rescale,
    to_grid,
)
from tools.compiler.precision_attention import has_mask, product_reaches
from tools.compiler.program import Operand
from tools.compiler.quantize import (
    WORD_REACH,
    Grid,
    activation_grid,
    ceil_log2,
    power_of_two,
    quantize_array,
    requantize_multipliers,
    round_half_up,
    round_scale,
)
from tools.compiler.spans import MASK_MARGIN

_NORM_FRACTION = 16
_GAIN_BITS = 30
_SUM_BITS = 60
_LENGTH_BITS = 24


@lower.register
def _(operation: MatMul, state: Lowering) -> Operand:
    a = state.plain(state.activation(operation.a, DType.U8, DType.S16))
    words = a.type.dtype is DType.S16
    b = state.plain(
        state.activation(operation.b, *((DType.S16, DType.S8) if words else (DType.S8,)))
    )
    depth = a.type.shape[-1]
    a, b = _with_room(state, a, b, depth)
    grid = _product_grid(state, operation)
    shape = (*a.type.shape[:-1], b.type.shape[-2 if operation.transpose_b else -1])
    ratio = Fraction(operation.scale) * a.scale * b.scale / grid.scale
    try:
        multipliers, shift = requantize_multipliers([abs(ratio)], depth * a.bound * b.bound)
    except ValueError as error:
        raise refuse(operation, str(error), "rescale one of the operands") from error
    if ratio <= 0:
        raise refuse(operation, f"is scaled by {operation.scale}", "use a positive factor")
    lo, hi = grid_limits(grid)
    ref = state.program.emit(
        op.MatMul,
        grid.dtype,
        shape,
        a=a.ref,
        b=b.ref,
        a_zero_point=a.zero_point,
        transpose_b=int(operation.transpose_b),
        multiplier=multipliers[0],
        shift=shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, shape, grid, (lo, hi))


def _with_room(state: Lowering, a: Operand, b: Operand, depth: int) -> tuple[Operand, Operand]:
    """Both operands with so few bits that every partial sum fits 32."""
    reaches = product_reaches(depth, _reach(a), _reach(b))
    return _narrowed(state, a, reaches[0]), _narrowed(state, b, reaches[1])


def _reach(x: Operand) -> int:
    """Largest ``|q| + |zero_point|`` of an operand."""
    return max(abs(x.lo), abs(x.hi)) + abs(x.zero_point)


def _narrowed(state: Lowering, x: Operand, reach: int) -> Operand:
    if _reach(x) <= reach or x.type.dtype is not DType.S16:
        return x
    scale = round_scale(float(x.scale * x.bound / reach))
    return state.on(x, Grid(DType.S16, scale, 0, reach))


def _product_grid(state: Lowering, operation: MatMul) -> Grid:
    """Grid of the result; scores that a mask will choose from leave room below."""
    name = operation.output
    grid = state.result_grid(name)
    if grid.dtype is not DType.S16 or not has_mask(state.graph, name):
        return grid
    found = state.range_of(name)
    return activation_grid(found.low - MASK_MARGIN, found.high, grid.dtype, grid.reach)


@lower.register
def _(operation: LayerNorm, state: Lowering) -> Operand:
    x = state.plain(state.activation(operation.x, DType.S16))
    x = clip(state, x, -WORD_REACH, WORD_REACH)  # a port may hold the lowest word
    grid = state.result_grid(operation.output)
    count = x.type.shape[-1]
    unit = float(grid.scale)
    epsilon = round(Fraction(operation.epsilon) * count * count / (x.scale * x.scale))
    largest = max(float(np.abs(operation.gain).max()) / unit, 2.0**-30)
    reach = max(float(np.abs(operation.offset).max()) / unit, 1.0)
    shift = min(
        _NORM_FRACTION + _GAIN_BITS - ceil_log2(Fraction(largest)),
        _SUM_BITS - ceil_log2(Fraction(reach)),
        _SUM_BITS,
    )
    if not (shift >= 1 and epsilon < 1 << _SUM_BITS):
        raise refuse(
            operation,
            f"has gains up to {largest * unit:g} and epsilon {operation.epsilon:g}, which 64-bit"
            " sums do not hold",
            "rescale the layer",
        )
    gain = np.rint(operation.gain / unit * 2.0 ** (shift - _NORM_FRACTION)).astype(np.int64)
    offset = [
        round_half_up(Fraction(float(v)) / grid.scale * (1 << shift)) for v in operation.offset
    ]
    lo, hi = grid_limits(grid)
    program = state.program
    ref = program.emit(
        op.LayerNorm,
        grid.dtype,
        x.type.shape,
        x=x.ref,
        gain=program.constant(gain, DType.S32),
        offset=program.constant(np.array(offset, dtype=np.int64), DType.S64),
        center=int(operation.center),
        epsilon=epsilon,
        shift=shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, x.type.shape, grid, (lo, hi))


@lower.register
def _(operation: Smooth, state: Lowering) -> Operand:
    x = state.plain(state.activation(operation.x, DType.S16, DType.U8, DType.S8))
    grid = state.grid(operation.output)
    ratios = [x.scale * Fraction(float(factor)) / grid.scale for factor in operation.scale]
    multipliers, shift = requantize_multipliers(ratios, x.bound)
    lo, hi = grid_limits(grid)
    program = state.program
    ref = program.emit(
        op.Requantize,
        grid.dtype,
        x.type.shape,
        x=x.ref,
        multiplier=program.constant(np.array(multipliers), DType.S32),
        x_zero_point=x.zero_point,
        shift=shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, x.type.shape, grid, (lo, hi))


@lower.register
def _(operation: Embed, state: Lowering) -> Operand:
    x = _whole(state, operation, state.plain(state.native(operation.x)))
    rows = len(operation.table)
    x = clip(state, x, 0, rows - 1)
    table = np.asarray(operation.table, dtype=np.float64)
    grid = _table_grid(state, operation.output, table)
    lo, hi = grid_limits(grid)
    codes = np.clip(quantize_array(table, grid), lo, hi)
    shape = (*x.type.shape, *table.shape[1:])
    ref = state.program.emit(
        op.Gather,
        grid.dtype,
        shape,
        x=x.ref,
        table=state.program.constant(codes, grid.dtype),
    )
    return on_grid(ref, shape, grid, (int(codes.min()), int(codes.max())))


def _table_grid(state: Lowering, name: str, table: np.ndarray) -> Grid:
    """A grid that covers the whole table: callers may send rows that no sample had."""
    form = state.forms.form_of(name)
    dtype = DType.S32 if name in state.fine else form.dtype
    return activation_grid(float(table.min()), float(table.max()), dtype, form.reach)


def _whole(state: Lowering, operation: Operation, x: Operand) -> Operand:
    """Codes that are the whole numbers themselves, as s32."""
    if x.type.dtype is DType.S32 and x.zero_point == 0 and x.scale == 1:
        return x
    if x.scale.denominator != 1 and x.type.dtype in (DType.U8, DType.S8):
        raise refuse(
            operation,
            f"is looked up by numbers on a grid of {float(x.scale):g}",
            "feed the indices as an integer input",
        )
    return to_grid(state, x, Grid(DType.S32, Fraction(1)))


@lower.register
def _(operation: Length, state: Lowering) -> Operand:
    """``sqrt(sum(x * x))``: exact squares and sums, one floor of a root."""
    x = state.plain(state.integer(operation.x))
    found = state.range_of(operation.x)
    reach = max(4 * found.magnitude, 2.0**-20)
    scale = power_of_two(ceil_log2(Fraction(reach)) - _LENGTH_BITS)
    terms = x.type.shape[-1]
    if scale > x.scale:
        x = to_grid(state, x, Grid(DType.S32, power_of_two(ceil_log2(scale))))
    else:
        x = _refined(state, x, ceil_log2(x.scale / scale) - 1)
    limit = 1 << ((62 - terms.bit_length()) // 2)
    x = clip(state, x, -limit + 1, limit - 1)
    top = max(abs(x.lo), abs(x.hi)) ** 2
    squares = _integers(state, op.MulInteger, x, x, (-top, top), x.scale * x.scale, shift=0)
    shape = (*x.type.shape[:-1], 1)
    ref = state.program.emit(op.ReduceSum, DType.S64, shape, x=squares.ref)
    kind = TensorType(DType.S64, shape)
    total = Operand(ref, kind, squares.scale, 0, -terms * top, terms * top)
    total = clip(state, total, 0, terms * top)  # the interval of x * x is not known to be positive
    root = state.program.emit(op.SquareRoot, DType.S64, shape, x=total.ref)
    return Operand(root, kind, x.scale, 0, 0, isqrt(terms * top))


def _refined(state: Lowering, x: Operand, bits: int) -> Operand:
    """The same values with ``bits`` more fraction bits, which are zero: room for a root."""
    if bits <= 0:
        return x
    unit = state.program.constant(np.array(1 << bits), DType.S64)
    ref = state.program.emit(op.MulInteger, DType.S64, x.type.shape, a=x.ref, b=unit, shift=0)
    kind = TensorType(DType.S64, x.type.shape)
    scale = x.scale / (1 << bits)
    return replace(x, ref=ref, type=kind, scale=scale, lo=x.lo << bits, hi=x.hi << bits)


def _integers(
    state: Lowering,
    operator: type,
    a: Operand,
    b: Operand,
    bounds: tuple[int, int],
    scale: Fraction,
    **fields: int,
) -> Operand:
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    ref = state.program.emit(operator, DType.S64, shape, a=a.ref, b=b.ref, **fields)
    return Operand(ref, TensorType(DType.S64, shape), scale, 0, *bounds)


@lower.register
def _(operation: Divide, state: Lowering) -> Operand:
    """A quotient with 30 fraction bits below the largest one that the samples show."""
    a = _limited(state, operation.a, 31)
    b = _limited(state, operation.b, 31)
    b = clip(state, b, 1, max(1, b.hi))
    unit = a.scale / b.scale
    wanted = FRACTION_BITS + ceil_log2(unit) - max(0, _exponent(state, operation.output))
    shift = min(max(0, wanted), 61 - max(abs(a.lo), abs(a.hi), 1).bit_length())
    corners = [((x << (shift + 1)) + y) // (2 * y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    bounds = min(corners), max(corners)
    scale = unit * power_of_two(-shift)
    quotient = _integers(state, op.DivInteger, a, b, bounds, scale, shift=shift)
    return _on_power(state, quotient, operation.output)


def _exponent(state: Lowering, name: str) -> int:
    return ceil_log2(Fraction(max(state.range_of(name).magnitude, 2.0**-20)))


def _limited(state: Lowering, name: str, bits: int) -> Operand:
    """An operand in integer form with at most ``bits`` bits where the samples are."""
    x = state.plain(state.integer(name))
    reach = Fraction(max(4 * state.range_of(name).magnitude, 2.0**-20))
    spare = ceil_log2(reach / x.scale) - bits
    if spare > 0:
        x = rescale(state, x, x.scale * (1 << spare))
    limit = min(1 << bits, max(1, (reach / x.scale).__ceil__()))
    return clip(state, x, -limit, limit)


def _on_power(state: Lowering, x: Operand, name: str) -> Operand:
    """A quotient clipped to sixteen times what the samples show; weights need the bits."""
    reach = Fraction(max(16 * state.range_of(name).magnitude, 2.0**-20)) / x.scale
    return clip(state, x, -reach.__ceil__(), reach.__ceil__())
