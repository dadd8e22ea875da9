"""LayerNorm and RMSNorm of rows."""

from functools import cache
from math import isqrt

import numpy as np

from precompiles.kernels.arrays import S32, S64, U8, Array, Exact, empty_exact
from precompiles.kernels.jit import Kernel, kernel, subroutine
from precompiles.kernels.requantize import clip_value
from precompiles.kernels.roots import square_root
from precompiles.kernels.typed import Element, named


def layer_norm_reference(
    x: Exact,
    gain: Exact,
    offset: Exact,
    center: int,
    epsilon: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """Each last-axis row normalised, scaled and shifted; x (.., N), gain and offset (N).

    ``center`` 1 subtracts the mean (LayerNorm), 0 does not (RMSNorm); ``epsilon`` is in units of
    ``N * sum(x**2)``.
    """
    out = empty_exact(x.shape)
    count = x.shape[-1]
    half = 1 << (shift - 1)
    for index in np.ndindex(*x.shape[:-1]):
        row = list(x[index])
        total = sum(row) if center else 0
        variance = count * sum(value * value for value in row) - total * total
        inverse = (1 << 40) // (isqrt(variance + epsilon) + 1)
        for column, value in enumerate(row):
            unit = ((count * value - total) * inverse) >> 24
            scaled = (unit * gain[column] + offset[column] + half) >> shift
            out[(*index, column)] = clip_value(zero_point + scaled, lo, hi)
    return out


@subroutine
def spread(x: Array, center: int, epsilon: int) -> tuple[int, int]:
    """Sum of a row (0 without ``center``), and 2**40 over its root mean square, both exact.

    ``|x| < 2**15`` and at most 65,535 elements: sums fit int32, sums of squares int64, and the root
    is of less than 2**62 + 2**61.
    """
    total = np.int32(0)
    squares = np.int64(0)
    for i in range(x.size):
        value = np.int32(x[i])
        total = np.int32(total + value)
        squares += np.int64(np.int32(value * value))
    mean = np.int64(total) * center
    variance = np.int64(x.size) * squares - mean * mean
    root = square_root(int(variance + epsilon))
    return int(mean), (1 << 40) // (root + 1)


@subroutine
def scale_row(
    x: Array, total: int, inverse: int, gain: S32, offset: S64, words: S64, out: Array
) -> None:
    """Write the normalised row; words: shift, zero_point, lo, hi.

    ``|N * x - total| * inverse < 2**48``, so the unit has 25 bits.
    """
    count = np.int64(x.size)
    shift, zero_point, lo, hi = words[0], words[1], words[2], words[3]
    half = np.int64(1) << np.int64(shift - 1)
    for i in range(out.size):
        away = np.int64(np.int64(x[i]) * count) - total
        unit = np.int64(np.int32(np.int64(away * inverse) >> np.int64(24)))
        scaled = (np.int64(unit * np.int64(gain[i])) + offset[i] + half) >> shift
        out[i] = min(max(scaled + zero_point, lo), hi)


@cache
def layer_norm(x_type: Element, out_type: Element) -> Kernel:
    """Kernel equal layer_norm_reference.

    args: x, out, rows per sample, columns, gain and offset in weights, center, epsilon, shift,
    zero_point, lo, hi.
    """
    x_size, out_size = np.dtype(x_type).itemsize, np.dtype(out_type).itemsize

    def normalise(memory: U8, weights: U8, args: S64, batch: int) -> None:
        rows, columns = args[2] * batch, args[3]
        elements = rows * columns
        x = memory[args[0] : args[0] + elements * x_size].view(x_type)
        out = memory[args[1] : args[1] + elements * out_size].view(out_type)
        gain = weights[args[4] : args[4] + columns * 4].view(np.int32)
        offset = weights[args[5] : args[5] + columns * 8].view(np.int64)
        words = args[8:12]
        for row in range(rows):
            first, last = row * columns, (row + 1) * columns
            total, inverse = spread(x[first:last], args[6], args[7])
            scale_row(x[first:last], total, inverse, gain, offset, words, out[first:last])

    return kernel(named(normalise, "layer_norm", x_type, out_type))
