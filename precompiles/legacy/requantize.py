"""RQ, the one rounding rule, and the operators that are little more than it."""

from typing import Any

import numpy as np

from precompiles.kernels.arrays import S32, S64, Exact, empty_exact
from precompiles.legacy.jit import kernel


def requantize_value(total: Any, multiplier: Any, shift: int, zero_point: int) -> int:
    """``zero_point + round_half_up(total * multiplier / 2**shift)``, in unbounded integers."""
    scaled: int = (total * multiplier + (1 << (shift - 1))) >> shift
    return zero_point + scaled


def clip_value(value: Any, lo: int, hi: int) -> int:
    """``min(max(value, lo), hi)``."""
    clipped: int = min(max(value, lo), hi)
    return clipped


def requantize_reference(
    x: Exact,
    multiplier: Exact,
    x_zero_point: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """RQ of ``x - x_zero_point``; multiplier (1) or (C), C the last axis of x."""
    out = empty_exact(x.shape)
    channels = len(multiplier)
    for position, index in enumerate(np.ndindex(*x.shape)):
        scaled = requantize_value(
            x[index] - x_zero_point, multiplier[position % channels], shift, zero_point
        )
        out[index] = clip_value(scaled, lo, hi)
    return out


@kernel("void(int64[:, ::1], int64[::1], int64, int64, int64, int64, int64, int32[:, ::1])")
def requantize(
    x: S64,
    multiplier: S64,
    x_zero_point: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
    out: S32,
) -> None:
    """Equal requantize_reference; x and out (rows, C), multiplier (C).

    Needs ``|x - x_zero_point| * multiplier < 2**62`` and ``1 <= shift <= 62``.
    """
    half = np.int64(1) << np.int64(shift - 1)
    for i in range(x.shape[0]):
        row = x[i]
        result = out[i]
        for c in range(row.size):
            total = np.int64(np.int64(row[c]) - np.int64(x_zero_point))
            scaled = np.int64((total * multiplier[c] + half) >> np.int64(shift))
            result[c] = np.int32(min(max(int(scaled + zero_point), lo), hi))


def clip_reference(x: Exact, lo: int, hi: int) -> Exact:
    """Each element clipped to [lo, hi]."""
    out = empty_exact(x.shape)
    for index in np.ndindex(*x.shape):
        out[index] = clip_value(x[index], lo, hi)
    return out


def add_reference(
    a: Exact,
    b: Exact,
    zero_points: tuple[int, int],
    multipliers: tuple[int, int],
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """Both operands rescaled, summed and rounded once; a and b of one shape."""
    out = empty_exact(a.shape)
    half = 1 << (shift - 1)
    for index in np.ndindex(*a.shape):
        left = (a[index] - zero_points[0]) * multipliers[0]
        right = (b[index] - zero_points[1]) * multipliers[1]
        out[index] = clip_value(zero_point + ((left + right + half) >> shift), lo, hi)
    return out


@kernel(
    "void(int32[::1], int32[::1], int64, int64, int64, int64, int64, int64, int64, int64,"
    " int32[::1])"
)
def add(
    a: S32,
    b: S32,
    a_zero_point: int,
    b_zero_point: int,
    a_multiplier: int,
    b_multiplier: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
    out: S32,
) -> None:
    """Equal add_reference; needs ``max|a*ma| + max|b*mb| < 2**62`` after the zero points."""
    half = np.int64(1) << np.int64(shift - 1)
    for i in range(out.size):
        left = np.int64((np.int64(a[i]) - np.int64(a_zero_point)) * a_multiplier)
        right = np.int64((np.int64(b[i]) - np.int64(b_zero_point)) * b_multiplier)
        scaled = np.int64((left + right + half) >> np.int64(shift))
        out[i] = np.int32(min(max(int(scaled + zero_point), lo), hi))


def multiply_reference(
    a: Exact,
    b: Exact,
    zero_points: tuple[int, int],
    multiplier: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """RQ of the product of both operands after their zero points; a and b of one shape."""
    out = empty_exact(a.shape)
    for index in np.ndindex(*a.shape):
        total = (a[index] - zero_points[0]) * (b[index] - zero_points[1])
        out[index] = clip_value(requantize_value(total, multiplier, shift, zero_point), lo, hi)
    return out


@kernel("void(int32[::1], int32[::1], int64, int64, int64, int64, int64, int64, int64, int32[::1])")
def multiply(
    a: S32,
    b: S32,
    a_zero_point: int,
    b_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
    out: S32,
) -> None:
    """Equal multiply_reference; needs ``max|product| * multiplier < 2**62``."""
    half = np.int64(1) << np.int64(shift - 1)
    for i in range(out.size):
        left = np.int64(np.int64(a[i]) - np.int64(a_zero_point))
        right = np.int64(np.int64(b[i]) - np.int64(b_zero_point))
        scaled = np.int64((left * right * multiplier + half) >> np.int64(shift))
        out[i] = np.int32(min(max(int(scaled + zero_point), lo), hi))
