"""Exact 64-bit operators: products, quotients and piecewise-linear functions."""

from bisect import bisect_right

import numpy as np

from precompiles.kernels.arrays import S64, Array, Exact, empty_exact
from precompiles.kernels.jit import subroutine


def multiply_integer_reference(a: Exact, b: Exact, shift: int) -> Exact:
    """``a * b / 2**shift``, rounded half up; a and b of one shape."""
    out = empty_exact(a.shape)
    half = 1 << (shift - 1) if shift else 0
    for index in np.ndindex(*a.shape):
        out[index] = (a[index] * b[index] + half) >> shift
    return out


def divide_integer_reference(a: Exact, b: Exact, shift: int) -> Exact:
    """``a * 2**shift / b``, rounded half up; b >= 1; a and b of one shape."""
    out = empty_exact(a.shape)
    for index in np.ndindex(*a.shape):
        out[index] = ((a[index] << (shift + 1)) + b[index]) // (2 * b[index])
    return out


def piecewise_linear_reference(
    x: Exact, knots: Exact, values: Exact, slopes: Exact, shift: int
) -> Exact:
    """Line through the last knot <= x, or through the first one."""
    out = empty_exact(x.shape)
    places = list(knots)
    half = 1 << (shift - 1) if shift else 0
    for index in np.ndindex(*x.shape):
        i = max(bisect_right(places, x[index]) - 1, 0)
        out[index] = values[i] + (((x[index] - knots[i]) * slopes[i] + half) >> shift)
    return out


@subroutine
def add_integer_row(a: Array, b: Array, out: S64, words: S64) -> None:
    """``a + b``, proven inside int64; b may be one element."""
    if b.size < out.size:
        right = np.int64(b[0])
        for i in range(out.size):
            out[i] = np.int64(a[i]) + right
    else:
        for i in range(out.size):
            out[i] = np.int64(a[i]) + np.int64(b[i])


@subroutine
def subtract_integer_row(a: Array, b: Array, out: S64, words: S64) -> None:
    """``a - b``, proven inside int64; b may be one element."""
    if b.size < out.size:
        right = np.int64(b[0])
        for i in range(out.size):
            out[i] = np.int64(a[i]) - right
    else:
        for i in range(out.size):
            out[i] = np.int64(a[i]) - np.int64(b[i])


@subroutine
def subtract_from_row(a: Array, b: Array, out: S64, words: S64) -> None:
    """``b - a``, proven inside int64; b is one element."""
    right = np.int64(b[0])
    for i in range(out.size):
        out[i] = right - np.int64(a[i])


@subroutine
def multiply_integer_row(a: Array, b: Array, out: S64, words: S64) -> None:
    """Equal multiply_integer_reference; ``|a * b| + 2**(shift-1) < 2**63``; b may be one element.

    words: shift, 0 to 62.
    """
    shift = words[0]
    half = (np.int64(1) << shift) >> np.int64(1)
    if b.size < out.size:
        right = np.int64(b[0])
        for i in range(out.size):
            out[i] = (np.int64(np.int64(a[i]) * right) + half) >> shift
    else:
        for i in range(out.size):
            out[i] = (np.int64(np.int64(a[i]) * np.int64(b[i])) + half) >> shift


@subroutine
def divide_integer_row(a: Array, b: Array, out: S64, words: S64) -> None:
    """Equal divide_integer_reference; no term leaves int64, b >= 1; a or b may be one element.

    words: shift, 0 to 61.
    """
    scale = np.int64(2) << words[0]
    a_step = 1 if a.size == out.size else 0
    b_step = 1 if b.size == out.size else 0
    for i in range(out.size):
        divisor = np.int64(b[i * b_step])
        dividend = np.int64(np.int64(a[i * a_step]) * scale)
        out[i] = (dividend + divisor) // np.int64(divisor + divisor)


@subroutine
def piecewise_linear_row(x: Array, table: Array, out: S64, words: S64) -> None:
    """Equal piecewise_linear_reference; table s64 (3 P): knots, values, slopes.

    words: shift; steps of the search, ``ceil(log2(P))``. No term leaves int64.
    """
    shift = words[2]
    half = (np.int64(1) << shift) >> np.int64(1)
    count = table.size // 3
    knots, values, slopes = table[:count], table[count : 2 * count], table[2 * count :]
    for i in range(out.size):
        place = np.int64(x[i])
        low = np.int64(0)
        high = np.int64(count)
        for _ in range(words[3]):
            middle = (low + high) >> np.int64(1)
            is_right = knots[middle] <= place
            low = middle if is_right else low
            high = high if is_right else middle
        rise = np.int64((place - knots[low]) * slopes[low])
        out[i] = values[low] + ((rise + half) >> shift)
