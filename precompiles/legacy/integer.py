"""Exact 64-bit operators: products, quotients and piecewise-linear functions."""

from bisect import bisect_right

import numpy as np

from precompiles.kernels.arrays import S64, Exact, empty_exact
from precompiles.legacy.jit import kernel


def multiply_integer_reference(a: Exact, b: Exact, shift: int) -> Exact:
    """``a * b / 2**shift``, rounded half up; a and b of one shape."""
    out = empty_exact(a.shape)
    half = 1 << (shift - 1) if shift else 0
    for index in np.ndindex(*a.shape):
        out[index] = (a[index] * b[index] + half) >> shift
    return out


@kernel("void(int64[::1], int64[::1], int64, int64[::1])")
def multiply_integer(a: S64, b: S64, shift: int, out: S64) -> None:
    """Equal multiply_integer_reference; ``|a * b| + 2**(shift-1) < 2**63``, 0 <= shift <= 62."""
    half = np.int64(0)
    if shift > 0:
        half = np.int64(1) << np.int64(shift - 1)
    for i in range(out.size):
        out[i] = np.int64((a[i] * b[i] + half) >> np.int64(shift))


def divide_integer_reference(a: Exact, b: Exact, shift: int) -> Exact:
    """``a * 2**shift / b``, rounded half up; b >= 1; a and b of one shape."""
    out = empty_exact(a.shape)
    for index in np.ndindex(*a.shape):
        out[index] = ((a[index] << (shift + 1)) + b[index]) // (2 * b[index])
    return out


@kernel("void(int64[::1], int64[::1], int64, int64[::1])")
def divide_integer(a: S64, b: S64, shift: int, out: S64) -> None:
    """Equal divide_integer_reference; no term leaves int64, b >= 1, 0 <= shift <= 61."""
    scale = np.int64(2) << np.int64(shift)
    for i in range(out.size):
        divisor = b[i]
        out[i] = np.int64((a[i] * scale + divisor) // np.int64(divisor + divisor))


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


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1], int64, int64[::1])")
def piecewise_linear(x: S64, knots: S64, values: S64, slopes: S64, shift: int, out: S64) -> None:
    """Equal piecewise_linear_reference; knots increase, no term leaves int64."""
    half = np.int64(0)
    if shift > 0:
        half = np.int64(1) << np.int64(shift - 1)
    for i in range(out.size):
        place = x[i]
        low = 0
        high = knots.size
        while high - low > 1:
            middle = (low + high) >> 1
            if knots[middle] <= place:
                low = middle
            else:
                high = middle
        rise = np.int64((place - knots[low]) * slopes[low])
        out[i] = np.int64(values[low] + ((rise + half) >> np.int64(shift)))
