"""The interval that each operator's output can reach, and the proof that nothing overflows.

``output_interval(instruction, ranges)`` assumes that ``output_type`` has accepted the
instruction. It reads constant data, checks the rules that depend on it (L6, L7, L10, L11, L14)
and returns the interval of the output in unbounded integers. Numpy's int64 is used only where the
comment says why it cannot overflow. Source: docs/spec/integer-model.md section 4.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatch
from itertools import pairwise

import numpy as np

from precompiles.errors import ModelError
from precompiles.model import operators as op
from precompiles.model.checks import (
    Array,
    Interval,
    array_interval,
    constant_array,
    is_constant,
    require,
    require_within,
)
from precompiles.model.types import IntegerModel

INT32: Interval = (-(1 << 31), (1 << 31) - 1)
INT64: Interval = (-(1 << 63), (1 << 63) - 1)
_PRODUCT_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class Ranges:
    """Interval of every value known so far, by value id; grows while a model is validated."""

    model: IntegerModel
    known: dict[int, Interval] = field(default_factory=dict)

    def of(self, value: int) -> Interval:
        """Interval of a value; for a constant that of its data, read once."""
        if value not in self.known and is_constant(self.model, value):
            self.known[value] = array_interval(constant_array(self.model, value))
        return self.known[value]

    def array(self, value: int) -> Array:
        """Data of a constant operand."""
        return constant_array(self.model, value)


@singledispatch
def output_interval(instruction: op.Instruction, ranges: Ranges) -> Interval:
    """Interval of ``instruction.output``; ModelError names the rule that fails."""
    raise ModelError(f"L6: no rule for {type(instruction).__name__}")


def clip_interval(interval: Interval, lo: int, hi: int) -> Interval:
    """Both ends clipped to [lo, hi]."""
    return min(max(interval[0], lo), hi), min(max(interval[1], lo), hi)


def hull(intervals: Iterable[Interval]) -> Interval:
    """Smallest interval around several."""
    lows, highs = zip(*intervals, strict=True)
    return min(lows), max(highs)


def product(a: Interval, b: Interval) -> Interval:
    """Interval of x * y."""
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def magnitude(interval: Interval) -> int:
    """Largest absolute value."""
    return max(-interval[0], interval[1])


def _shifted(interval: Interval, zero_point: int) -> Interval:
    return interval[0] - zero_point, interval[1] - zero_point


def _requantized(
    total: Interval,
    multiplier: Interval,
    instruction: op.AveragePool | op.Mul | op.Requantize,
) -> Interval:
    """Law (4), then RQ at the corners: RQ is monotone in the sum and in the multiplier."""
    require_within(multiplier, (1, INT32[1]), "L7", "multiplier")
    largest = magnitude(total) * multiplier[1]
    require(largest < _PRODUCT_LIMIT, "L7", f"max|t| * m is {largest}, expected < 2**62")
    low, high = product(total, multiplier)
    half = 1 << (instruction.shift - 1)
    scaled = (low + half) >> instruction.shift, (high + half) >> instruction.shift
    return clip_interval(
        (scaled[0] + instruction.zero_point, scaled[1] + instruction.zero_point),
        instruction.lo,
        instruction.hi,
    )


def _dense(instruction: op.Gemm | op.Conv, ranges: Ranges, weight: Array, x: Interval) -> Interval:
    """Eq. (6) per output channel, widened to hold every partial sum in any order.

    weight: (K, N) s8. |x| <= 2**15, |w| <= 2**7, K < 2**17 and |bias| <= 2**31, so int64 holds all.
    Then |t| < 2**31 and m < 2**31 give |t * m| + 2**(s-1) < 2**62 + 2**61.
    """
    low, high = min(x[0], 0), max(x[1], 0)
    positive = np.maximum(weight, 0).sum(axis=0, dtype=np.int64)
    negative = np.minimum(weight, 0).sum(axis=0, dtype=np.int64)
    bias = ranges.array(instruction.bias).astype(np.int64)
    totals_low = bias + low * positive + high * negative
    totals_high = bias + high * positive + low * negative
    total = int(totals_low.min()), int(totals_high.max())
    require_within(total, (-INT32[1], INT32[1]), "L6", "sum")
    multiplier = ranges.array(instruction.multiplier).astype(np.int64)
    require_within(array_interval(multiplier), (1, INT32[1]), "L7", "multiplier")
    half = 1 << (instruction.shift - 1)
    scaled = (
        int(((totals_low * multiplier + half) >> instruction.shift).min()),
        int(((totals_high * multiplier + half) >> instruction.shift).max()),
    )
    return clip_interval(
        (scaled[0] + instruction.zero_point, scaled[1] + instruction.zero_point),
        instruction.lo,
        instruction.hi,
    )


@output_interval.register
def _(instruction: op.Gemm, ranges: Ranges) -> Interval:
    return _dense(instruction, ranges, ranges.array(instruction.weight), ranges.of(instruction.x))


@output_interval.register
def _(instruction: op.Conv, ranges: Ranges) -> Interval:
    weight = ranges.array(instruction.weight)
    x = hull((ranges.of(instruction.x), (instruction.pad_value, instruction.pad_value)))
    return _dense(instruction, ranges, weight.reshape(-1, weight.shape[-1]), x)


@output_interval.register
def _(instruction: op.LinearInteger, ranges: Ranges) -> Interval:
    low, high = ranges.of(instruction.x)
    low, high = min(low, 0), max(high, 0)
    weight = ranges.array(instruction.weight)
    # K <= 2**24 rows of |w| <= 2**31 stay below 2**55; the products are unbounded (object dtype).
    positive = np.maximum(weight, 0).sum(axis=0, dtype=np.int64).astype(object)
    negative = np.minimum(weight, 0).sum(axis=0, dtype=np.int64).astype(object)
    bias = ranges.array(instruction.bias).astype(object)
    reach = int((abs(bias) + (positive - negative) * max(-low, high)).max())
    require(reach <= INT64[1], "L6", f"sum of |x| * |w| + |bias| is {reach}, expected < 2**63")
    lows = bias + positive * low + negative * high
    highs = bias + positive * high + negative * low
    return int(lows.min()), int(highs.max())


@output_interval.register
def _(instruction: op.AveragePool, ranges: Ranges) -> Interval:
    height, width, _ = ranges.model.type_of(instruction.x).shape
    area = min(instruction.kernel[0], height) * min(instruction.kernel[1], width)
    low, high = _shifted(ranges.of(instruction.x), instruction.x_zero_point)
    total = min(0, area * low), max(0, area * high)
    return _requantized(total, ranges.of(instruction.multiplier), instruction)


@output_interval.register
def _(instruction: op.Add, ranges: Ranges) -> Interval:
    a = _shifted(ranges.of(instruction.a), instruction.a_zero_point)
    b = _shifted(ranges.of(instruction.b), instruction.b_zero_point)
    left = product(a, (instruction.a_multiplier,) * 2)
    right = product(b, (instruction.b_multiplier,) * 2)
    reach = magnitude(left) + magnitude(right)
    require(reach < _PRODUCT_LIMIT, "L7", f"max|a*ma| + max|b*mb| is {reach}, expected < 2**62")
    half = 1 << (instruction.shift - 1)
    scaled = (
        (left[0] + right[0] + half) >> instruction.shift,
        (left[1] + right[1] + half) >> instruction.shift,
    )
    zero_point = instruction.zero_point
    moved = scaled[0] + zero_point, scaled[1] + zero_point
    return clip_interval(moved, instruction.lo, instruction.hi)


@output_interval.register
def _(instruction: op.Mul, ranges: Ranges) -> Interval:
    a = _shifted(ranges.of(instruction.a), instruction.a_zero_point)
    b = _shifted(ranges.of(instruction.b), instruction.b_zero_point)
    return _requantized(product(a, b), (instruction.multiplier,) * 2, instruction)


@output_interval.register
def _(instruction: op.Requantize, ranges: Ranges) -> Interval:
    total = _shifted(ranges.of(instruction.x), instruction.x_zero_point)
    return _requantized(total, ranges.of(instruction.multiplier), instruction)


@output_interval.register
def _(instruction: op.Clip, ranges: Ranges) -> Interval:
    return clip_interval(ranges.of(instruction.x), instruction.lo, instruction.hi)


@output_interval.register
def _(instruction: op.Lookup, ranges: Ranges) -> Interval:
    return ranges.of(instruction.table)


@output_interval.register
def _(instruction: op.PiecewiseLinear, ranges: Ranges) -> Interval:
    low, high = ranges.of(instruction.x)
    knots = [int(knot) for knot in ranges.array(instruction.knots)]
    rising = all(left < right for left, right in pairwise(knots))
    require(rising, "L9", "knots do not increase strictly")
    values = [int(value) for value in ranges.array(instruction.values)]
    slopes = [int(slope) for slope in ranges.array(instruction.slopes)]
    half = 1 << (instruction.shift - 1) if instruction.shift else 0
    reached: list[int] = []
    for index, knot in enumerate(knots):
        start = low if index == 0 else max(low, knot)
        stop = high if index + 1 == len(knots) else min(high, knots[index + 1] - 1)
        for x in (start, stop) if start <= stop else ():
            scaled = (x - knot) * slopes[index]
            y = values[index] + ((scaled + half) >> instruction.shift)
            for term in (x - knot, scaled, scaled + half, y):
                require_within((term, term), INT64, "L6", f"term of segment {index}")
            reached.append(y)
    return min(reached), max(reached)


@output_interval.register
def _(instruction: op.AddInteger, ranges: Ranges) -> Interval:
    a, b = ranges.of(instruction.a), ranges.of(instruction.b)
    total = a[0] + b[0], a[1] + b[1]
    require_within(total, INT64, "L6", "sum")
    return total


@output_interval.register
def _(instruction: op.SubInteger, ranges: Ranges) -> Interval:
    a, b = ranges.of(instruction.a), ranges.of(instruction.b)
    total = a[0] - b[1], a[1] - b[0]
    require_within(total, INT64, "L6", "difference")
    return total


@output_interval.register
def _(instruction: op.MulInteger, ranges: Ranges) -> Interval:
    low, high = product(ranges.of(instruction.a), ranges.of(instruction.b))
    half = 1 << (instruction.shift - 1) if instruction.shift else 0
    require_within((low, high + half), INT64, "L6", "product")
    return (low + half) >> instruction.shift, (high + half) >> instruction.shift


@output_interval.register
def _(instruction: op.DivInteger, ranges: Ranges) -> Interval:
    a, b = ranges.of(instruction.a), ranges.of(instruction.b)
    require(b[0] >= 1, "L11", f"divisor is [{b[0]}, {b[1]}], expected >= 1")
    scale = 2 << instruction.shift
    require_within((a[0] * scale, a[1] * scale + b[1]), INT64, "L6", "dividend")
    require_within((2 * b[1],) * 2, INT64, "L6", "doubled divisor")
    corners = [(x * scale + y) // (2 * y) for x in a for y in b]
    return min(corners), max(corners)


@output_interval.register
def _(instruction: op.ReduceSum, ranges: Ranges) -> Interval:
    terms = ranges.model.type_of(instruction.x).shape[-1]
    low, high = ranges.of(instruction.x)
    total = min(0, low * terms), max(0, high * terms)
    require_within(total, INT64, "L6", "sum")
    return low * terms, high * terms


@output_interval.register
def _(instruction: op.ArgMax, ranges: Ranges) -> Interval:
    return 0, ranges.model.type_of(instruction.x).shape[-1] - 1


@output_interval.register(op.MaxPool)
@output_interval.register(op.ReduceMax)
@output_interval.register(op.Reshape)
@output_interval.register(op.Transpose)
@output_interval.register(op.Slice)
def _(
    instruction: op.MaxPool | op.ReduceMax | op.Reshape | op.Transpose | op.Slice, ranges: Ranges
) -> Interval:
    return ranges.of(instruction.x)


@output_interval.register
def _(instruction: op.Concat, ranges: Ranges) -> Interval:
    return hull(ranges.of(value) for value in instruction.inputs)


@output_interval.register
def _(instruction: op.Pad, ranges: Ranges) -> Interval:
    return hull((ranges.of(instruction.x), (instruction.value, instruction.value)))


@output_interval.register
def _(instruction: op.TreeEnsemble, ranges: Ranges) -> Interval:
    feature = ranges.array(instruction.feature)
    roots = ranges.array(instruction.roots)
    leaves = ranges.array(instruction.leaves)
    _check_tree_nodes(instruction, ranges, feature, roots)
    _check_tree_depth(instruction, ranges, feature, roots)
    lows, highs = leaves.min(axis=0).astype(object), leaves.max(axis=0).astype(object)
    base = ranges.array(instruction.base).astype(object)
    trees = len(roots)
    reach = int((abs(base) + np.maximum(-lows, highs) * trees).max())
    require(reach <= INT64[1], "L14", f"sum of max|leaf| + |base| is {reach}, expected < 2**63")
    return int((base + lows * trees).min()), int((base + highs * trees).max())


def _check_tree_nodes(
    instruction: op.TreeEnsemble, ranges: Ranges, feature: Array, roots: Array
) -> None:
    """L14: every index that a walk can follow stays inside its array."""
    nodes, rows = len(feature), len(ranges.array(instruction.leaves))
    features = ranges.model.type_of(instruction.x).elements
    require_within(array_interval(roots), (0, nodes - 1), "L14", "roots")
    require_within(array_interval(feature), (-rows, features - 1), "L14", "feature")
    internal = np.flatnonzero(feature >= 0)
    for name in ("left", "right"):
        child = ranges.array(getattr(instruction, name))[internal]
        if len(child):
            require_within(array_interval(child), (0, nodes - 1), "L14", name)
            require(bool((child > internal).all()), "L14", f"{name} does not exceed its parent")
    require_within(ranges.of(instruction.missing_right), (0, 1), "L14", "missing_right")


def _check_tree_depth(
    instruction: op.TreeEnsemble, ranges: Ranges, feature: Array, roots: Array
) -> None:
    """L14: after ``depth`` decisions every walk stands on a leaf."""
    left, right = ranges.array(instruction.left), ranges.array(instruction.right)
    frontier = np.unique(roots)
    for _ in range(instruction.depth):
        frontier = frontier[feature[frontier] >= 0]
        frontier = np.unique(np.concatenate((left[frontier], right[frontier])))
    deeper = int((feature[frontier] >= 0).sum())
    require(deeper == 0, "L14", f"{deeper} walks are longer than depth {instruction.depth}")
