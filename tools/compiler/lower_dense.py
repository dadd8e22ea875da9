"""Dense layers: u8 and s16 by ``Gemm``, integer form by ``LinearInteger``."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.limits import MAX_ACCUMULATOR_TERMS
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import UNBOUNDED, Array, Bounds, Conv, Dense, Floats, Operation
from tools.compiler.lowering import (
    Lowering,
    clamp_codes,
    clip,
    lower,
    on_grid,
    refuse,
    rescale,
    to_grid,
)
from tools.compiler.program import Operand
from tools.compiler.quantize import (
    MAX_SHIFT,
    Grid,
    ceil_log2,
    narrow_reach,
    power_of_two,
    quantize_columns,
    quantize_value,
    requantize_multipliers,
    round_half_up,
    round_scale,
    weight_scales,
)

_SUM_BITS = 60
_WEIGHT_BITS = 30
_LEAST_REACH = 511
_FEW = 16
_GOOD_BITS = 34
_MANY_PRODUCTS = 1 << 13
"""A layer of so many weights reads features as s16 at int8 and int16; a smaller one is exact."""

_NARROW_FEATURE_BITS = 13
"""s16 features: the samples within 13 bits, other rows up to four times as far."""

_GOOD_WEIGHT_BITS = 24


@lower.register
def _(operation: Dense, state: Lowering) -> Operand:
    x = state.native(operation.x)
    shifts: tuple[int, ...] = (0,) * operation.weight.shape[0]
    if operation.x in state.features:
        features = state.features[operation.x]
        x, shifts = features.operand, features.shifts
        if state.precision != "wide" and operation.weight.size >= _MANY_PRODUCTS:
            scale = x.scale * power_of_two(features.bits - _NARROW_FEATURE_BITS)
            x = state.on(x, Grid(DType.S16, scale))
    elif x.is_integer_form:
        x = state.bounded(operation.x)
    if not x.is_integer_form and state.precision == "wide":
        x = state.integer(operation.x)
    elif not x.is_integer_form:
        x = state.activation(operation.x, DType.U8, DType.S16)
    x = state.plain(x)
    weight = operation.weight * np.exp2(-np.array(shifts, dtype=np.float64))[:, np.newaxis]
    return matmul(state, operation, x, weight, operation.bias, operation.clamp)


def matmul(
    state: Lowering, operation: Operation, x: Operand, weight: Floats, bias: Floats, clamp: Bounds
) -> Operand:
    """``x @ weight + bias`` on the last axis, in the operator that x's form asks for."""
    x = with_room(state, x, weight, bias)
    if x.type.dtype is DType.S16 and not _is_narrow_enough(x, weight, bias):
        x = to_grid(state, x, Grid(DType.S32, x.scale))
    if x.is_integer_form:
        x = _balanced(state, x, weight)
        return _linear(state, operation, x, weight, bias, clamp)
    return _gemm(state, operation, x, weight, bias, clamp)


def _balanced(state: Lowering, x: Operand, weight: Floats) -> Operand:
    """The operand with so few bits (34 at least) that 64-bit sums leave 24 to the weights."""
    largest = float(np.abs(weight).max())
    if largest <= _FEW and np.array_equal(weight, np.rint(weight)):
        return x
    terms = float(np.abs(weight).sum(axis=0).max()) / max(largest, 2.0**-60)
    bits = max(abs(x.lo), abs(x.hi), 1).bit_length()
    spare = bits + _GOOD_WEIGHT_BITS + ceil_log2(Fraction(max(terms, 1.0))) - _SUM_BITS
    spare = min(spare, bits - _GOOD_BITS)
    return rescale(state, x, x.scale * (1 << spare)) if spare > 0 else x


def with_room(state: Lowering, x: Operand, weight: Floats, bias: Floats) -> Operand:
    """s16 x with as many bits as the sums of a layer with weights (K, N) leave it.

    At least 10 bits, else x comes back as it is; so does x of any other dtype.
    """
    if x.type.dtype is not DType.S16 or _is_narrow_enough(x, weight, bias):
        return x
    reach = narrow_reach(weight, bias, x.scale, x.bound)
    if reach < _LEAST_REACH:
        return x
    scale = round_scale(float(x.scale * x.bound / reach))
    return state.on(x, Grid(DType.S16, scale, 0, reach))


def _is_narrow_enough(x: Operand, weight: Floats, bias: Floats) -> bool:
    """True when s8 weights keep their bits although sums of s16 products must fit 31."""
    return narrow_reach(weight, bias, x.scale, x.bound) >= x.bound


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


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedWeights:
    """s8 weights (K, N), s32 bias with x's zero point folded in, multipliers, shift, out grid."""

    weight: Array
    bias: Array
    multipliers: Array
    shift: int
    grid: Grid


def quantized_weights(
    state: Lowering, operation: Operation, x: Operand, weight: Floats, bias: Floats
) -> QuantizedWeights:
    """Quantise the weights (K, N) of a dense or convolution operation for u8 or s16 input x.

    Weights that come already quantised (``operation.steps``) keep their codes. To the others'
    biases the mean error of their rounding is added, where the samples tell the mean of x.

    Raises:
        CompileError: too many products for 32 bits, or a multiplier out of range.
    """
    if len(weight) > MAX_ACCUMULATOR_TERMS:
        raise refuse(
            operation,
            f"sums {len(weight)} products, at most {MAX_ACCUMULATOR_TERMS} fit 32 bits",
            "split the layer or reduce its input",
        )
    grid = state.result_grid(operation.output)
    steps = operation.steps if isinstance(operation, Dense | Conv) else None
    if steps is None:
        x_bound = max(x.bound, abs(x.lo), abs(x.hi))
        scales = weight_scales(weight, bias, x.scale, x_bound)
        codes = quantize_columns(weight, scales, -127, 127)
        lost = weight - codes * np.array([float(scale) for scale in scales])
        bias = bias + mean_loss(state, operation, lost)
    else:
        scales = [Fraction(float(step)) for step in steps]
        codes = quantize_columns(weight, scales, -128, 127)
    sums = codes.sum(axis=0).tolist()
    folded = [
        round_half_up(Fraction(float(value)) / (x.scale * scale)) - x.zero_point * total
        for value, scale, total in zip(bias, scales, sums, strict=True)
    ]
    try:
        multipliers, shift = requantize_multipliers(
            [x.scale * scale / grid.scale for scale in scales], (1 << 31) - 1
        )
    except ValueError as error:
        raise refuse(
            operation, f"cannot be quantised: {error}", "check for dead or exploding channels"
        ) from error
    return QuantizedWeights(
        codes, np.array(folded, dtype=np.int64), np.array(multipliers, dtype=np.int64), shift, grid
    )


def mean_loss(state: Lowering, operation: Operation, lost: Floats) -> Floats:
    """What a layer's outputs (N) lose on average when its weights lose ``lost`` (K, N)."""
    nothing = np.zeros(lost.shape[1])
    if not isinstance(operation, Dense | Conv) or operation.x not in state.means:
        return nothing
    mean = state.means[operation.x]
    if isinstance(operation, Dense):
        return np.asarray(mean.reshape(-1, len(lost)).mean(axis=0) @ lost)
    channels = mean.reshape(len(mean), -1).mean(axis=1)
    depth = len(channels) // operation.group
    groups = np.repeat(np.arange(operation.group), len(operation.bias) // operation.group)
    by_filter = channels.reshape(operation.group, depth)[groups].T
    if len(lost) % depth or lost.shape[1] != by_filter.shape[1]:
        return nothing
    return np.asarray((lost.reshape(-1, depth, lost.shape[1]) * by_filter).sum(axis=(0, 1)))


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
