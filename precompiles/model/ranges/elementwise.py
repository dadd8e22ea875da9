"""Output intervals of elementwise operators."""

from itertools import pairwise
from math import isqrt

from precompiles.model import operators as op
from precompiles.model.checks import Interval, require, require_within
from precompiles.model.ranges.rules import (
    INT64,
    PRODUCT_LIMIT,
    Ranges,
    clip_interval,
    hull,
    magnitude,
    output_interval,
    product,
    requantized,
    shifted,
)


@output_interval.register
def _(instruction: op.Add, ranges: Ranges) -> Interval:
    a = shifted(ranges.of(instruction.a), instruction.a_zero_point)
    b = shifted(ranges.of(instruction.b), instruction.b_zero_point)
    left = product(a, (instruction.a_multiplier,) * 2)
    right = product(b, (instruction.b_multiplier,) * 2)
    reach = magnitude(left) + magnitude(right)
    require(reach < PRODUCT_LIMIT, "L7", f"max|a*ma| + max|b*mb| is {reach}, expected < 2**62")
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
    a = shifted(ranges.of(instruction.a), instruction.a_zero_point)
    b = shifted(ranges.of(instruction.b), instruction.b_zero_point)
    return requantized(product(a, b), (instruction.multiplier,) * 2, instruction)


@output_interval.register
def _(instruction: op.Requantize, ranges: Ranges) -> Interval:
    total = shifted(ranges.of(instruction.x), instruction.x_zero_point)
    return requantized(total, ranges.of(instruction.multiplier), instruction)


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
def _(instruction: op.Compare, ranges: Ranges) -> Interval:
    return 0, 1


@output_interval.register
def _(instruction: op.Select, ranges: Ranges) -> Interval:
    return hull((ranges.of(instruction.a), ranges.of(instruction.b)))


@output_interval.register
def _(instruction: op.Minimum, ranges: Ranges) -> Interval:
    a, b = ranges.of(instruction.a), ranges.of(instruction.b)
    return min(a[0], b[0]), min(a[1], b[1])


@output_interval.register
def _(instruction: op.Maximum, ranges: Ranges) -> Interval:
    a, b = ranges.of(instruction.a), ranges.of(instruction.b)
    return max(a[0], b[0]), max(a[1], b[1])


@output_interval.register
def _(instruction: op.SquareRoot, ranges: Ranges) -> Interval:
    low, high = ranges.of(instruction.x)
    require_within((low, high), (0, (1 << 62) - 1), "L13", "x")
    return isqrt(low), isqrt(high)
