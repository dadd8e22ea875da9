"""What every operator's interval needs: known intervals, the generic function, interval sums."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatch

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
PRODUCT_LIMIT = 1 << 62


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


def shifted(interval: Interval, zero_point: int) -> Interval:
    """Interval of x - zero_point."""
    return interval[0] - zero_point, interval[1] - zero_point


def requantized(
    total: Interval,
    multiplier: Interval,
    instruction: op.MatMul | op.AveragePool | op.Mul | op.Requantize,
) -> Interval:
    """Law (4), then RQ at the corners: RQ is monotone in the sum and in the multiplier."""
    require_within(multiplier, (1, INT32[1]), "L7", "multiplier")
    largest = magnitude(total) * multiplier[1]
    require(largest < PRODUCT_LIMIT, "L7", f"max|t| * m is {largest}, expected < 2**62")
    low, high = product(total, multiplier)
    half = 1 << (instruction.shift - 1)
    scaled = (low + half) >> instruction.shift, (high + half) >> instruction.shift
    return clip_interval(
        (scaled[0] + instruction.zero_point, scaled[1] + instruction.zero_point),
        instruction.lo,
        instruction.hi,
    )
