"""Softmax of rows, by an integer cubic for ``2**-f``."""

from functools import cache

import numpy as np

from precompiles.kernels.arrays import S32, S64, U8, Array, Exact, empty_exact
from precompiles.kernels.jit import Kernel, kernel, subroutine
from precompiles.kernels.typed import Element, named


def exponential_reference(octaves: int) -> int:
    """``2**16 * 2**-(octaves / 2**16)``, octaves >= 0: 65,536 at 0, then falling to 0 or 1."""
    fraction = (octaves & 65535) >> 1
    p = 7591 - (fraction * 1307 >> 15)
    p = 22670 - (fraction * p >> 15)
    p = 32768 - (fraction * p >> 15)
    return (p << 1) >> min(octaves >> 16, 31)


def softmax_reference(x: Exact, multiplier: int, shift: int, one: int, bits: int) -> Exact:
    """Softmax of each last-axis row; x (.., N), result of the same shape in [0, one].

    Args:
        x: integers; one unit is ``multiplier / 2**(shift + 16)`` octaves.
        multiplier: 1 to 2**31 - 1.
        shift: 0 to 30.
        one: 255 for u8, 32,767 for s16.
        bits: precision of the reciprocal, 22 for u8 and 30 for s16.
    """
    out = empty_exact(x.shape)
    for index in np.ndindex(*x.shape[:-1]):
        row = list(x[index])
        top = max(row)
        terms = [exponential_reference((top - value) * multiplier >> shift) for value in row]
        inverse = (one << bits) // sum(terms)
        for column, term in enumerate(terms):
            out[(*index, column)] = (term * inverse + (1 << (bits - 1))) >> bits
    return out


@subroutine
def exponentials(x: Array, multiplier: int, shift: int, terms: S32) -> int:
    """Write exponential_reference of each ``(max - x) * multiplier >> shift``; their sum.

    Every step fits int32: ``max d * multiplier < 2**31`` and the sum is at most 32,767 * 65,536.
    """
    scale, places = np.int32(multiplier), np.int32(shift)
    largest = x[0]
    for i in range(x.size):
        largest = max(largest, x[i])
    top = np.int32(largest)
    total = np.int32(0)
    for i in range(x.size):
        octaves = np.int32(np.int32(np.int32(top - np.int32(x[i])) * scale) >> places)
        fraction = np.int32(np.int32(octaves & np.int32(65535)) >> np.int32(1))
        p = np.int32(np.int32(7591) - np.int32(np.int32(fraction * np.int32(1307)) >> np.int32(15)))
        p = np.int32(np.int32(22670) - np.int32(np.int32(fraction * p) >> np.int32(15)))
        p = np.int32(np.int32(32768) - np.int32(np.int32(fraction * p) >> np.int32(15)))
        halvings = np.int32(min(np.int32(octaves >> np.int32(16)), np.int32(31)))
        term = np.int32(np.int32(p << np.int32(1)) >> halvings)
        terms[i] = term
        total = np.int32(total + term)
    return int(total)


@subroutine
def normalise_u8(terms: S32, total: int, out: U8) -> None:
    """Shares of 255; every step fits int32, as the sum is at least 65,536."""
    inverse = np.int32((np.int64(255) << np.int64(22)) // total)
    for i in range(out.size):
        share = np.int32(np.int32(terms[i] * inverse) + np.int32(1 << 21))
        out[i] = np.int32(share >> np.int32(22))


@subroutine
def normalise_s16(terms: S32, total: int, out: Array) -> None:
    """Shares of 32,767; products below 2**46."""
    inverse = np.int64(np.int32((np.int64(32_767) << np.int64(30)) // total))
    for i in range(out.size):
        share = np.int64(np.int64(terms[i]) * inverse) + np.int64(1 << 29)
        out[i] = share >> np.int64(30)


@cache
def softmax_u8(x_type: Element) -> Kernel:
    """Kernel equal softmax_reference with one = 255.

    args: x, out, rows per sample, columns, multiplier, shift, scratch of 4 bytes a column.
    """
    size = np.dtype(x_type).itemsize

    def softmax(memory: U8, weights: U8, args: S64, batch: int) -> None:
        rows, columns = args[2] * batch, args[3]
        x = memory[args[0] : args[0] + rows * columns * size].view(x_type)
        out = memory[args[1] : args[1] + rows * columns]
        terms = memory[args[6] : args[6] + columns * 4].view(np.int32)
        for row in range(rows):
            first, last = row * columns, (row + 1) * columns
            total = exponentials(x[first:last], args[4], args[5], terms)
            normalise_u8(terms, total, out[first:last])

    return kernel(named(softmax, "softmax_u8", x_type))


@cache
def softmax_s16(x_type: Element) -> Kernel:
    """Kernel equal softmax_reference with one = 32,767; args as softmax_u8."""
    size = np.dtype(x_type).itemsize

    def softmax(memory: U8, weights: U8, args: S64, batch: int) -> None:
        rows, columns = args[2] * batch, args[3]
        x = memory[args[0] : args[0] + rows * columns * size].view(x_type)
        out = memory[args[1] : args[1] + rows * columns * 2].view(np.int16)
        terms = memory[args[6] : args[6] + columns * 4].view(np.int32)
        for row in range(rows):
            first, last = row * columns, (row + 1) * columns
            total = exponentials(x[first:last], args[4], args[5], terms)
            normalise_s16(terms, total, out[first:last])

    return kernel(named(softmax, "softmax_s16", x_type))
