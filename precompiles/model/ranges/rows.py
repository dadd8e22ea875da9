"""Output intervals of windows and rows."""

from math import isqrt

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import Interval, array_interval, require, require_within
from precompiles.model.ranges.rules import (
    INT64,
    Ranges,
    clip_interval,
    output_interval,
    requantized,
    shifted,
)
from precompiles.model.types import DType


@output_interval.register
def _(instruction: op.AveragePool, ranges: Ranges) -> Interval:
    height, width, _ = ranges.model.type_of(instruction.x).shape
    area = min(instruction.kernel[0], height) * min(instruction.kernel[1], width)
    low, high = shifted(ranges.of(instruction.x), instruction.x_zero_point)
    total = min(0, area * low), max(0, area * high)
    return requantized(total, ranges.of(instruction.multiplier), instruction)


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
def _(instruction: op.MaxPool | op.ReduceMax, ranges: Ranges) -> Interval:
    return ranges.of(instruction.x)


@output_interval.register
def _(instruction: op.Softmax, ranges: Ranges) -> Interval:
    """With ``d * multiplier < 2**31`` all is int32: the maximum has d = 0, so sum(e) >= 2**16."""
    low, high = ranges.of(instruction.x)
    reach = (high - low) * instruction.multiplier
    require(reach < 1 << 31, "L13", f"max d * multiplier is {reach}, expected < 2**31")
    one = 255 if ranges.model.type_of(instruction.output).dtype is DType.U8 else 32767
    return 0, one


@output_interval.register
def _(instruction: op.LayerNorm, ranges: Ranges) -> Interval:
    """``|N * x - s| <= sqrt(N * v)``, hence ``|t| <= sqrt(N) * 2**16 + 1 <= 2**24``.

    So ``|N * x - s| * inverse < 2**48``, ``v + epsilon < 2**63``, and with ``|gain| <= 2**31``,
    ``|offset| < 2**61`` the last sum stays below 2**55 + 2**61 + 2**61.
    """
    require_within(ranges.of(instruction.x), (-32767, 32767), "L13", "x")
    offset = ranges.array(instruction.offset)
    limit = (1 << 61) - 1
    require_within(array_interval(offset), (-limit, limit), "L13", "offset")
    row = ranges.model.type_of(instruction.x).shape[-1]
    reach = np.abs(ranges.array(instruction.gain).astype(np.int64)) * (isqrt(row << 32) + 1)
    half = 1 << (instruction.shift - 1)
    low = int(((offset - reach + half) >> instruction.shift).min())
    high = int(((offset + reach + half) >> instruction.shift).max())
    moved = low + instruction.zero_point, high + instruction.zero_point
    return clip_interval(moved, instruction.lo, instruction.hi)


@output_interval.register
def _(instruction: op.TopK, ranges: Ranges) -> Interval:
    return 0, ranges.model.type_of(instruction.x).shape[-1] - 1
