"""Output intervals of products."""

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import Array, Interval, array_interval, require, require_within
from precompiles.model.ranges.rules import (
    INT32,
    INT64,
    Ranges,
    clip_interval,
    hull,
    magnitude,
    output_interval,
    product,
    requantized,
    shifted,
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
def _(instruction: op.MatMul, ranges: Ranges) -> Interval:
    """L6 holds for ``sum a * b``, ``a_zero_point * sum b`` and any part of either."""
    a, b = ranges.of(instruction.a), ranges.of(instruction.b)
    depth = ranges.model.type_of(instruction.a).shape[-1]
    zero_point = instruction.a_zero_point
    reach = depth * (magnitude(a) + abs(zero_point)) * magnitude(b)
    require(reach <= INT32[1], "L6", f"sum of (|a| + |za|) * |b| is {reach}, expected < 2**31")
    low, high = product(shifted(a, zero_point), b)
    multiplier = instruction.multiplier, instruction.multiplier
    return requantized((depth * low, depth * high), multiplier, instruction)
