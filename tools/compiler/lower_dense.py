"""Dense layers: u8 and s16 by ``Gemm``, integer form by ``LinearInteger``."""

from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.limits import MAX_ACCUMULATOR_TERMS
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import UNBOUNDED, Bounds, Dense, Floats, Operation
from tools.compiler.lowering import (
    Lowering,
    clamp_codes,
    clip,
    lower,
    on_grid,
    refuse,
    to_grid,
)
from tools.compiler.program import Operand
from tools.compiler.quantize import (
    MAX_SHIFT,
    SUM_LIMIT,
    Grid,
    ceil_log2,
    power_of_two,
    quantize_columns,
    quantize_value,
    requantize_multipliers,
    round_half_up,
    weight_scales,
)

_SUM_BITS = 60
_WEIGHT_BITS = 30


@lower.register
def _(operation: Dense, state: Lowering) -> Operand:
    x = state.native(operation.x)
    shifts: tuple[int, ...] = (0,) * operation.weight.shape[0]
    if operation.x in state.features:
        x, shifts = state.features[operation.x]
    elif x.is_integer_form:
        x = state.bounded(operation.x)
    x = state.plain(x)
    if not x.is_integer_form:
        x = state.plain(state.activation(operation.x))
    weight = operation.weight * np.exp2(-np.array(shifts, dtype=np.float64))[:, np.newaxis]
    return matmul(state, operation, x, weight, operation.bias, operation.clamp)


def matmul(
    state: Lowering, operation: Operation, x: Operand, weight: Floats, bias: Floats, clamp: Bounds
) -> Operand:
    """``x @ weight + bias`` on the last axis, in the operator that x's form asks for."""
    if x.type.dtype is DType.S16 and not _fits_narrow_weights(x, weight):
        x = to_grid(state, x, Grid(DType.S32, x.scale))
    if x.is_integer_form:
        return _linear(state, operation, x, weight, bias, clamp)
    return _gemm(state, operation, x, weight, bias, clamp)


def _fits_narrow_weights(x: Operand, weight: Floats) -> bool:
    """True when s8 weights keep their bits although sums of s16 products must fit 31."""
    largest = np.abs(weight).max(axis=0)
    sums = np.abs(weight).sum(axis=0) * max(x.bound, abs(x.lo), abs(x.hi))
    return bool((sums / SUM_LIMIT <= largest / 127).all())


def _gemm(
    state: Lowering, operation: Operation, x: Operand, weight: Floats, bias: Floats, clamp: Bounds
) -> Operand:
    constants = quantized_weights(state, operation, x, weight, bias)
    grid = constants.grid
    shape = (*x.type.shape[:-1], weight.shape[1])
    lo, hi = clamp_codes(clamp, grid)
    program = state.program
    ref = program.emit(
        op.Gemm,
        grid.dtype,
        shape,
        x=x.ref,
        weight=program.constant(constants.weight, DType.S8),
        bias=program.constant(constants.bias, DType.S32),
        multiplier=program.constant(constants.multipliers, DType.S32),
        shift=constants.shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, shape, grid, (lo, hi))


class QuantizedWeights:
    """s8 weights (K, N), s32 bias with x's zero point folded in, multipliers, shift, out grid."""

    def __init__(self, weight: Floats, bias: Floats, x: Operand, x_bound: int, grid: Grid) -> None:
        scales = weight_scales(weight, bias, x.scale, x_bound)
        codes = quantize_columns(weight, scales, 127)
        folded = [
            round_half_up(Fraction(float(bias[n])) / (x.scale * scales[n]))
            - x.zero_point * int(codes[:, n].sum())
            for n in range(weight.shape[1])
        ]
        ratios = [x.scale * scale / grid.scale for scale in scales]
        multipliers, shift = requantize_multipliers(ratios, (1 << 31) - 1)
        self.weight = codes
        self.bias = np.array(folded, dtype=np.int64)
        self.multipliers = np.array(multipliers, dtype=np.int64)
        self.shift = shift
        self.grid = grid


def quantized_weights(
    state: Lowering, operation: Operation, x: Operand, weight: Floats, bias: Floats
) -> QuantizedWeights:
    """Quantise the weights (K, N) of a dense or convolution operation for input x."""
    if len(weight) > MAX_ACCUMULATOR_TERMS:
        raise refuse(
            operation,
            f"sums {len(weight)} products, at most {MAX_ACCUMULATOR_TERMS} fit 32 bits",
            "split the layer or reduce its input",
        )
    x_bound = max(x.bound, abs(x.lo), abs(x.hi))
    grid = state.result_grid(operation.output)
    try:
        return QuantizedWeights(weight, bias, x, x_bound, grid)
    except ValueError as error:
        raise refuse(
            operation, f"cannot be quantised: {error}", "check for dead or exploding channels"
        ) from error


def _linear(
    state: Lowering, operation: Operation, x: Operand, weight: Floats, bias: Floats, clamp: Bounds
) -> Operand:
    fine = operation.output in state.fine or not state.has_range(operation.output)
    grid = None if fine else state.grid(operation.output)
    target = Fraction(1) if grid is None else grid.scale
    shift = _accumulator_bits(x, weight, bias, target)
    if grid is None:
        shift = min(shift, MAX_SHIFT)
    elif not shift >= 1:
        raise refuse(operation, "has weights too large for 64-bit sums", "rescale the layer")
    else:
        shift = min(shift, MAX_SHIFT)
    total = _sum(state, x, weight, bias, target * power_of_two(-shift))
    if grid is None:
        return _clip_real(state, total, clamp)
    lo, hi = clamp_codes(clamp, grid)
    program = state.program
    ref = program.emit(
        op.Requantize,
        grid.dtype,
        total.type.shape,
        x=total.ref,
        multiplier=program.constant(np.array([1]), DType.S32),
        x_zero_point=0,
        shift=shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, total.type.shape, grid, (lo, hi))


def _clip_real(state: Lowering, x: Operand, clamp: Bounds) -> Operand:
    if clamp == UNBOUNDED:
        return x
    codes = [quantize_value(bound, Grid(x.type.dtype, x.scale)) for bound in clamp]
    return clip(state, x, codes[0], codes[1])


def _accumulator_bits(x: Operand, weight: Floats, bias: Floats, target: Fraction) -> int:
    """Largest s such that sums at scale ``target / 2**s`` fit 61 bits and weights fit 31."""
    unit = float(x.scale / target)
    largest = max(float(np.abs(weight).max()) * unit, 2.0**-60)
    reach = np.abs(weight).sum(axis=0) * unit * x.bound + np.abs(bias) / float(target)
    by_sum = _SUM_BITS - ceil_log2(Fraction(max(float(reach.max()), 2.0**-60)))
    by_weight = _WEIGHT_BITS - ceil_log2(Fraction(largest))
    return min(by_sum, by_weight)


def _sum(state: Lowering, x: Operand, weight: Floats, bias: Floats, scale: Fraction) -> Operand:
    """``LinearInteger`` whose sums have this scale."""
    unit = float(x.scale / scale)
    codes = np.floor(weight * unit + 0.5).astype(np.int64)
    offsets = [round_half_up(Fraction(float(value)) / scale) for value in bias]
    program = state.program
    shape = (*x.type.shape[:-1], weight.shape[1])
    ref = program.emit(
        op.LinearInteger,
        DType.S64,
        shape,
        x=x.ref,
        weight=program.constant(codes, DType.S32),
        bias=program.constant(np.array(offsets, dtype=np.int64), DType.S64),
    )
    low, high = min(x.lo, 0), max(x.hi, 0)
    positive = np.maximum(codes, 0).sum(axis=0).tolist()
    negative = np.minimum(codes, 0).sum(axis=0).tolist()
    columns = list(zip(positive, negative, offsets, strict=True))
    lo = min(b + p * low + n * high for p, n, b in columns)
    hi = max(b + p * high + n * low for p, n, b in columns)
    return Operand(ref, TensorType(DType.S64, shape), scale, 0, lo, hi)
