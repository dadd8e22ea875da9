"""Scalar functions on s32 and s64 values: piecewise-linear, knots where the curve bends."""

from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.errors import CompileError
from tools.compiler.graph import Array, Expression, Floats, Operation
from tools.compiler.lowering import FRACTION_BITS, Lowering, clip, coarsen
from tools.compiler.program import Operand
from tools.compiler.quantize import ceil_log2, power_of_two
from tools.compiler.spans import Range

_SCORE_KNOTS = 1000
_INNER_KNOTS = 400
_DENSE = 1 << 16
_OUTSIDE = 0.2
_RIM = 0.1
_FREE_RANGE = 32.0
_MARGINS = (1.5, 1.0, 0.6, 0.3, 0.15, 0.05)
_INPUT_BITS = 32
_WORK_BITS = 61


def emit_curve(
    state: Lowering,
    operation: Operation,
    x: Operand,
    expression: Expression,
    found: Range | None,
) -> Operand:
    """``PiecewiseLinear`` of a scalar function over and beyond the calibrated range.

    Scores get a thousand knots (error below 1e-6 for a sigmoid), inner tensors four hundred, most
    of them on the calibrated range.

    Args:
        state: lowering state.
        operation: for messages.
        x: integer form.
        expression: the function, float64.
        found: calibrated range of x; without one, x's interval cut to +-32.

    Returns:
        s64 on a power-of-two grid: 30 fraction bits for values up to 1, fewer for larger ones.

    Raises:
        CompileError: the function is not finite on that range.
    """
    x = coarsen(state, x, _INPUT_BITS)
    low, high = _domain(x, expression, found)
    x = clip(state, x, _code(low, x.scale), _code(high, x.scale))
    count = _SCORE_KNOTS if operation.output in state.fine else _INNER_KNOTS
    knots = _knots(expression, (low, high), x.scale, count, found)
    values = _evaluate(expression, knots.astype(np.float64) * float(x.scale))
    if not np.isfinite(values).all():
        raise CompileError(
            f"is not finite on [{low:g}, {high:g}]",
            advice="clip its input to where the function is defined",
            operator=operation.origin[0],
            node=operation.origin[1],
        )
    magnitude = max(float(np.abs(values).max()), 2.0**-20)
    bits = FRACTION_BITS - max(0, ceil_log2(Fraction(magnitude)))
    return piecewise_linear(state, x, knots, values, power_of_two(-bits))


def _evaluate(expression: Expression, x: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(expression(x), dtype=np.float64)


def _code(value: float, scale: Fraction) -> int:
    return round(Fraction(value) / scale)


def _domain(x: Operand, expression: Expression, found: Range | None) -> tuple[float, float]:
    interval = [float(x.scale * (q - x.zero_point)) for q in (x.lo, x.hi)]
    if found is None:
        low, high = -_FREE_RANGE, _FREE_RANGE
    else:
        low = _reach_out(expression, found, -1)
        high = _reach_out(expression, found, 1)
    low, high = max(low, interval[0]), min(high, interval[1])
    return (low, high) if low < high else (interval[0], interval[0] + float(x.scale))


def _reach_out(expression: Expression, found: Range, side: int) -> float:
    """End of the domain beyond the calibrated range, as far as the function stays tame there.

    Tame: finite, and at most four times as large as on the range itself (exp and 1/x are not).
    """
    inside = _evaluate(expression, np.linspace(found.low, found.high, 257))
    limit = 4 * float(np.abs(inside[np.isfinite(inside)]).max(initial=2.0**-10))
    end = found.low if side < 0 else found.high
    for factor in _MARGINS:
        reached = end + side * factor * (found.high - found.low + 2.0**-10)
        outside = _evaluate(expression, np.linspace(end, reached, 257))
        if np.isfinite(outside).all() and float(np.abs(outside).max()) <= limit:
            return reached
    return end


def _knots(
    expression: Expression,
    domain: tuple[float, float],
    scale: Fraction,
    count: int,
    found: Range | None,
) -> Array:
    """Codes of at most ``count`` + 1 knots, dense where the second derivative is large."""
    low, high = domain
    grid = np.linspace(low, high, _DENSE)
    step = grid[1] - grid[0]
    values = np.nan_to_num(_evaluate(expression, grid))
    bend = np.abs(np.diff(values, 2)) / step**2
    density = np.sqrt(np.concatenate([bend[:1], bend, bend[-1:]]))
    density += 1e-3 * max(float(density.max()), 1e-12)
    if found is not None:
        rim = _RIM * (found.high - found.low)
        density[(grid < found.low - rim) | (grid > found.high + rim)] *= _OUTSIDE
    reached = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    wanted = np.linspace(0.0, reached[-1], count)
    points = np.interp(wanted, reached, grid)
    if low < 0 < high:
        points = np.append(points, 0.0)
    return np.unique(np.rint(points / float(scale)).astype(np.int64))


def piecewise_linear(
    state: Lowering, x: Operand, knots: Array, values: Floats, scale: Fraction
) -> Operand:
    """Emit the curve through the given points; its last segment goes on with the slope before.

    ``|x - knot| * |slope|`` stays below 2**61: the slope's shift is chosen for the whole interval.
    """
    codes = [int(item) for item in np.floor(values / float(scale) + 0.5)]
    positions = [int(item) for item in knots]
    slopes = [
        Fraction(codes[i + 1] - codes[i], positions[i + 1] - positions[i])
        for i in range(len(codes) - 1)
    ]
    slopes.append(slopes[-1] if slopes else Fraction(0))
    widths = [positions[i + 1] - positions[i] for i in range(len(codes) - 1)]
    widths.append(max(1, x.hi - positions[-1]))
    widths[0] = max(widths[0], positions[0] - x.lo, 1)
    steepest = max((abs(s) * w for s, w in zip(slopes, widths, strict=True)), default=Fraction(0))
    shift = _WORK_BITS - max(0, ceil_log2(steepest) if steepest else 0)
    shift = max(0, min(shift, 40))
    scaled = [round(slope * (1 << shift)) for slope in slopes]
    program = state.program
    ref = program.emit(
        op.PiecewiseLinear,
        DType.S64,
        x.type.shape,
        x=x.ref,
        knots=program.constant(np.array(positions, dtype=np.int64), DType.S64),
        values=program.constant(np.array(codes, dtype=np.int64), DType.S64),
        slopes=program.constant(np.array(scaled, dtype=np.int64), DType.S64),
        shift=shift,
    )
    lo, hi = _reach(x, positions, codes, scaled, shift)
    kind = TensorType(DType.S64, x.type.shape)
    return Operand(ref, kind, scale, 0, lo, hi, channels_last=x.channels_last)


def _reach(
    x: Operand, knots: list[int], values: list[int], slopes: list[int], shift: int
) -> tuple[int, int]:
    """Interval of the curve over x's interval, as the validator derives it."""
    half = (1 << shift) >> 1
    reached = []
    for index, knot in enumerate(knots):
        start = x.lo if index == 0 else max(x.lo, knot)
        stop = x.hi if index + 1 == len(knots) else min(x.hi, knots[index + 1] - 1)
        for point in (start, stop) if start <= stop else ():
            reached.append(values[index] + (((point - knot) * slopes[index] + half) >> shift))
    return min(reached), max(reached)
