"""Ranges and ratios to integers: scales, zero points, multipliers and shifts, all exact.

Floats enter here as exact fractions and leave as integers; each function states the bound that the
validator will prove again. Laws: docs/spec/integer-model.md and ``precompiles.model.operators``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from precompiles.model.types import DType
from tools.compiler.graph import Array, Floats

MAX_SHIFT = 62
PRODUCT_LIMIT = 1 << 62
SUM_LIMIT = (1 << 31) - (1 << 26)
"""Largest ``sum |x * w| + |bias|`` that weight scales are chosen for."""

WORD_LIMIT = 1 << 27
"""Values of s32 activations stay within this; calibration puts the samples within 2**25."""

WORD_REACH = 32_767
"""Largest ``|q|`` of s16 activations; -32,768 is never used."""

_MULTIPLIER_LIMIT = 1 << 31
_MANTISSA_BITS = 24
_MAX_CODES = 256
_SMALLEST_SPAN = 2.0**-60


@dataclass(frozen=True, slots=True)
class Grid:
    """An affine number grid: real value ``scale * (q - zero_point)`` for q of ``dtype``.

    ``reach`` bounds ``|q|`` of s16 codes: 32,767, or less where sums of products need the room.
    """

    dtype: DType
    scale: Fraction
    zero_point: int = 0
    reach: int = WORD_REACH

    @property
    def limits(self) -> tuple[int, int]:
        """Codes that results on this grid are clipped to."""
        if self.dtype is DType.S32:
            return -WORD_LIMIT, WORD_LIMIT
        if self.dtype is DType.S16:
            return -self.reach, self.reach
        if self.dtype is DType.S8 and self.zero_point == 0:
            return -127, 127
        return self.dtype.bounds


def round_half_up(value: Fraction) -> int:
    """``floor(value + 1/2)``."""
    return int((value + Fraction(1, 2)).__floor__())


def power_of_two(exponent: int) -> Fraction:
    """``2 ** exponent`` for any integer exponent."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def ceil_log2(value: Fraction) -> int:
    """Smallest e with ``value <= 2 ** e``; value > 0."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length() - 1
    while power_of_two(exponent) < value:
        exponent += 1
    return exponent


def round_scale(value: float) -> Fraction:
    """A positive scale with a 24-bit numerator over (or times) a power of two, never below value.

    The range of a tensor is covered by the rounded scale, and numerator and denominator fit the 64
    bits of a port for every scale in [2**-39, 2**63].
    """
    exact = Fraction(value)
    unit = power_of_two(ceil_log2(exact) - _MANTISSA_BITS)
    return -((-exact) // unit) * unit


def activation_grid(low: float, high: float, dtype: DType, reach: int = WORD_REACH) -> Grid:
    """Grid of u8 (asymmetric), s8, s16 or s32 (zero point 0) that covers ``[low, high]`` and 0.

    u8 uses all 256 codes; s8 uses +-127; s16 uses +-``reach``; s32 uses +-2**25 with a power-of-two
    scale, so that sums and rescales of it stay exact.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:  # always zero
        high = 1.0
    elif high - low < _SMALLEST_SPAN:
        high = low + _SMALLEST_SPAN
    if dtype is DType.U8:
        scale = round_scale((high - low) / 255)
        zero_point = min(max(round_half_up(-Fraction(low) / scale), 0), 255)
        return Grid(dtype, scale, zero_point)
    magnitude = max(-low, high)
    if dtype is DType.S8:
        return Grid(dtype, round_scale(magnitude / 127))
    if dtype is DType.S16:
        return Grid(dtype, round_scale(magnitude / reach), 0, reach)
    return Grid(dtype, power_of_two(ceil_log2(Fraction(magnitude)) - 25))


def exact_grid(values: Floats) -> Fraction | None:
    """The step ``1/n`` or ``n`` of which all values are multiples with codes 0..255, or None.

    Pixels (0..255, k/255, 0..16) are such data: their input quantisation then loses nothing.
    """
    distinct = np.unique(values)
    if not 2 <= distinct.size <= _MAX_CODES or distinct[0] < 0:
        return None
    step = float(np.diff(distinct).min())
    candidates = [Fraction(step).limit_denominator(4096)]
    candidates += [Fraction(round(1 / step) * k) ** -1 for k in (1,) if step < 1]
    for candidate in candidates:
        if candidate <= 0:
            continue
        codes = distinct / float(candidate)
        near = np.abs(codes - np.rint(codes)).max() < 2.0**-12
        if near and np.rint(codes).max() <= _MAX_CODES - 1:
            return candidate
    return None


def requantize_multipliers(ratios: Sequence[Fraction], bound: int) -> tuple[list[int], int]:
    """Integers m and one shift s with ``m[n] / 2**s`` as near as possible to each ratio.

    The largest m lies in [2**30, 2**31) unless the law ``bound * m < 2**62`` or ``s <= 62`` asks
    for less. ``1 <= m < 2**31`` and ``1 <= s <= 62`` always.

    Args:
        ratios: positive real multipliers, one per channel.
        bound: largest absolute value that will be multiplied.

    Raises:
        ValueError: a ratio is not positive, or so large that no shift is left.
    """
    if min(ratios) <= 0:
        raise ValueError(f"multiplier {float(min(ratios))} is not positive")
    largest = max(ratios)
    shift = min(MAX_SHIFT, 31 - ceil_log2(largest) + 1)
    while shift >= 1:
        top = round_half_up(largest * (1 << shift))
        if top < _MULTIPLIER_LIMIT and top * max(bound, 1) < PRODUCT_LIMIT:
            break
        shift -= 1
    if shift < 1:
        raise ValueError(f"multiplier {float(largest)} is too large for values up to {bound}")
    unit = 1 << shift
    return [max(1, round_half_up(ratio * unit)) for ratio in ratios], shift


def signed_multipliers(
    ratios: tuple[Fraction, Fraction], bounds: tuple[int, int]
) -> tuple[int, int, int]:
    """Multipliers of ``Add`` (signs kept) and their shift.

    ``bounds[0] * |m0| + bounds[1] * |m1| + 2**(s-1) < 2**62`` and ``0 < |m| < 2**31``.

    Raises:
        ValueError: a ratio is zero or too large.
    """
    if 0 in ratios:
        raise ValueError("an operand of Add has scale zero")
    shift = min(MAX_SHIFT, 32 - ceil_log2(max(abs(ratio) for ratio in ratios)))
    while shift >= 1:
        first, second = (_signed(ratio, shift) for ratio in ratios)
        total = bounds[0] * abs(first) + bounds[1] * abs(second) + (1 << (shift - 1))
        if max(abs(first), abs(second)) < _MULTIPLIER_LIMIT and total < PRODUCT_LIMIT:
            return first, second, shift
        shift -= 1
    raise ValueError(f"multipliers {[float(ratio) for ratio in ratios]} are too large")


def _signed(ratio: Fraction, shift: int) -> int:
    value = max(1, round_half_up(abs(ratio) * (1 << shift)))
    return value if ratio > 0 else -value


def weight_scales(weight: Floats, bias: Floats, x_scale: Fraction, x_bound: int) -> list[Fraction]:
    """Scale of each output channel's s8 weights.

    The largest weight becomes +-127, but never so that ``sum |x * w| + |bias|`` leaves 31 bits, and
    no channel is finer than 2**-14 of the coarsest, which keeps its multiplier above 16 bits.

    Args:
        weight: (K, N).
        bias: (N).
        x_scale: scale of the input.
        x_bound: largest ``|x - zero_point|`` or ``|x|``, whichever is larger.
    """
    by_weight = np.abs(weight).max(axis=0) / 127
    wanted = np.maximum(by_weight, _by_sum(weight, bias, x_scale, x_bound))
    floor = max(float(wanted.max()), 2.0**-40) * 2.0**-14
    return [round_scale(float(item)) for item in np.maximum(wanted, floor)]


def _by_sum(weight: Floats, bias: Floats, x_scale: Fraction, x_bound: int) -> Floats:
    """Smallest scales with which sums fit; each code may be half a step larger than its weight."""
    rounding = 0.5 * np.count_nonzero(weight, axis=0) * x_bound
    reach = np.abs(weight).sum(axis=0) * x_bound + np.abs(bias) / float(x_scale)
    return np.asarray(reach / (SUM_LIMIT - rounding))


def narrow_reach(weight: Floats, bias: Floats, x_scale: Fraction, x_bound: int) -> int:
    """Largest ``|x|`` with which every channel keeps weights of +-127; ``x_bound`` at most.

    Arguments as for ``weight_scales``; scaled to fewer codes, x has the scale ``x_scale * x_bound /
    reach``.
    """
    step = np.maximum(np.abs(weight).max(axis=0) / 127, 2.0**-60)
    codes = np.abs(weight).sum(axis=0) / step + 0.5 * np.count_nonzero(weight, axis=0)
    offset = np.abs(bias) / (float(x_scale) * x_bound * step)
    largest = SUM_LIMIT / np.maximum(codes + offset, 1.0)
    return int(min(float(largest.min()), x_bound))


def quantize_columns(weight: Floats, scales: Sequence[Fraction], low: int, high: int) -> Array:
    """``round(weight[:, n] / scales[n])`` clipped to ``[low, high]``, as int64."""
    divided = weight / np.array([float(scale) for scale in scales])
    codes: Array = np.clip(np.floor(divided + 0.5), low, high).astype(np.int64)
    return codes


def quantize_value(value: float, grid: Grid) -> int:
    """Nearest code of a real value, clipped to the dtype (infinities included)."""
    low, high = grid.dtype.bounds
    if grid.dtype is DType.S16:
        low += 1
    if np.isinf(value):
        return high if value > 0 else low
    return min(max(grid.zero_point + round_half_up(Fraction(value) / grid.scale), low), high)


def quantize_array(values: Floats, grid: Grid) -> Array:
    """Nearest codes, half up, clipped to the dtype; NaN becomes the lowest word (missing)."""
    low, high = grid.dtype.bounds
    with np.errstate(invalid="ignore"):
        scaled = np.floor(np.asarray(values, np.float64) / float(grid.scale) + 0.5)
    scaled = np.where(np.isnan(scaled), float(low), scaled + grid.zero_point)
    top = float(high) if high < 1 << 53 else float(np.nextafter(float(high), 0))
    return np.clip(scaled, float(low), top).astype(np.int64)
