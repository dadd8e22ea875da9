"""RQ, the one rounding rule, and the operators that are little more than it."""

from typing import Any

import numpy as np

from precompiles.kernels.arrays import S64, Array, Exact, empty_exact
from precompiles.kernels.jit import subroutine


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


@subroutine
def add_row(a: Array, b: Array, out: Array, words: S64) -> None:
    """Equal add_reference; needs ``max|a*ma| + max|b*mb| < 2**62`` after the zero points.

    words: zero points, multipliers, shift, zero_point, lo, hi. b may be one element.
    """
    a_zero, b_zero = words[0], words[1]
    a_scale, b_scale = np.int64(np.int32(words[2])), np.int64(np.int32(words[3]))
    shift, zero_point, lo, hi = words[4], words[5], words[6], words[7]
    half = np.int64(1) << np.int64(shift - 1)
    if b.size < out.size:
        right = np.int64((np.int64(b[0]) - b_zero) * b_scale) + half
        for i in range(out.size):
            left = np.int64((np.int64(a[i]) - a_zero) * a_scale)
            out[i] = min(max(((left + right) >> shift) + zero_point, lo), hi)
    else:
        for i in range(out.size):
            left = np.int64((np.int64(a[i]) - a_zero) * a_scale)
            right = np.int64((np.int64(b[i]) - b_zero) * b_scale)
            out[i] = min(max(((left + right + half) >> shift) + zero_point, lo), hi)


@subroutine
def multiply_row(a: Array, b: Array, out: Array, words: S64) -> None:
    """Equal multiply_reference; needs ``max|product| * multiplier < 2**62``.

    words: zero points, multiplier, shift, zero_point, lo, hi. b may be one element.
    """
    a_zero, b_zero, scale = words[0], words[1], words[2]
    shift, zero_point, lo, hi = words[3], words[4], words[5], words[6]
    half = np.int64(1) << np.int64(shift - 1)
    if b.size < out.size:
        right = np.int64((np.int64(b[0]) - b_zero) * scale)
        for i in range(out.size):
            total = np.int64((np.int64(a[i]) - a_zero) * right)
            out[i] = min(max(((total + half) >> shift) + zero_point, lo), hi)
    else:
        for i in range(out.size):
            total = np.int64((np.int64(a[i]) - a_zero) * (np.int64(b[i]) - b_zero))
            out[i] = min(max(((total * scale + half) >> shift) + zero_point, lo), hi)


@subroutine
def requantize_row(x: Array, multiplier: Array, out: Array, words: S64) -> None:
    """Equal requantize_reference; needs ``|x - x_zero_point| * multiplier < 2**62``.

    words: x_zero_point, shift, zero_point, lo, hi. multiplier s32, one for each element or one.
    """
    x_zero, shift, zero_point, lo, hi = words[0], words[1], words[2], words[3], words[4]
    half = np.int64(1) << np.int64(shift - 1)
    if multiplier.size < out.size:
        scale = np.int64(multiplier[0])
        for i in range(out.size):
            total = np.int64((np.int64(x[i]) - x_zero) * scale)
            out[i] = min(max(((total + half) >> shift) + zero_point, lo), hi)
    else:
        for i in range(out.size):
            total = np.int64((np.int64(x[i]) - x_zero) * np.int64(multiplier[i]))
            out[i] = min(max(((total + half) >> shift) + zero_point, lo), hi)
