"""Pooling, NHWC; window positions outside the image do not count."""

import itertools

import numpy as np

from precompiles.kernels.arrays import S64, U8, Exact, empty_exact
from precompiles.kernels.image_args import (
    COLUMNS,
    FLIP,
    HI,
    LO,
    OUT,
    OUT_ROW,
    OUT_SAMPLE,
    OUT_STEP,
    OWN,
    ROUNDING,
    ROWS,
    SHIFT,
    X_ROW,
    X_SAMPLE,
    X_STEP,
    ZERO_POINT,
    X,
)
from precompiles.kernels.jit import kernel
from precompiles.kernels.requantize import clip_value, requantize_value


def window_reference(
    x: Exact,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    row: int,
    column: int,
) -> Exact:
    """Part of the image (H, W, C) under one window; never empty for a legal model."""
    top, left = row * strides[0] - pads[0], column * strides[1] - pads[1]
    return x[max(top, 0) : top + kernel[0], max(left, 0) : left + kernel[1]]


def max_pool_reference(
    x: Exact,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    shape: tuple[int, ...],
) -> Exact:
    """Largest value under each window; x (H, W, C), shape (OH, OW, C)."""
    out = empty_exact(shape)
    for row, column, c in np.ndindex(*shape):
        window = window_reference(x, kernel, strides, pads, row, column)
        out[row, column, c] = max(window[..., c].ravel())
    return out


def average_pool_reference(
    x: Exact,
    multiplier: Exact,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    x_zero_point: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """RQ of each window's sum of ``x - x_zero_point``; x (H, W, C), multiplier (OH, OW)."""
    out = empty_exact((*multiplier.shape, x.shape[2]))
    for row, column, c in np.ndindex(*out.shape):
        window = window_reference(x, kernel, strides, pads, row, column)
        total = sum(value - x_zero_point for value in window[..., c].ravel())
        scaled = requantize_value(total, multiplier[row, column], shift, zero_point)
        out[row, column, c] = clip_value(scaled, lo, hi)
    return out


BLOCKS = (64, 32, 16)
"""Bytes of channels that are taken at once."""

SUM, LONG_SUM = 1, 2
"""Sums in 32 bits, or in 64 bits of parts of at most CHUNK taps in 32 bits."""

CHUNK = 1 << 15
"""Taps whose sum fits 32 bits, whatever they are."""

HEIGHT, WIDTH, STRIDE_H, TOP, KERNEL_H, STRIDE_W, LEFT, KERNEL_W = range(OWN, OWN + 8)
BLOCK_TABLE, BLOCK_COUNT, MULTIPLIER, X_FLIP, X_ZERO_POINT = range(OWN + 8, OWN + 13)
"""Places in the args row behind the shared ones: size of the image, geometry of the windows; block
table (s64 rows of lanes, x bytes, out bytes, channels) and its rows; multipliers (s32, one a
window); X_FLIP is what FLIP is, on reading. X, X_ROW and X_STEP are those of pixels."""


def pool_image(
    is_average: int, kind: int, store: int, memory: U8, weights: U8, args: S64, batch: int
) -> None:
    """Maximum, or RQ of the sum, of each window; ``args`` as named above.

    is_average (0, SUM or LONG_SUM), kind (bytes of an element of x) and store (of the output) are
    literals. Sums of SUM lie in 32 bits; the maximum ignores the numbers of the rounding.
    """
    given = args.tolist()
    table = weights[given[BLOCK_TABLE] :][: 32 * given[BLOCK_COUNT]].view(np.int64).reshape(-1, 4)
    windows = np.ndindex(given[ROWS], given[COLUMNS])
    multipliers = weights[given[MULTIPLIER] :][: 4 * given[ROWS] * given[COLUMNS]].view(np.int32)
    stored: type[np.generic] = np.uint8 if store == 1 else np.int16
    for (row, column), sample in itertools.product(windows, range(batch)):
        top, left = row * given[STRIDE_H] - given[TOP], column * given[STRIDE_W] - given[LEFT]
        rows = range(max(top, 0), min(top + given[KERNEL_H], given[HEIGHT]))
        columns = range(max(left, 0), min(left + given[KERNEL_W], given[WIDTH]))
        for _, x_first, out_first, count in table.tolist():
            first = given[X] + sample * given[X_SAMPLE] + x_first
            taps = []
            for i, j in itertools.product(rows, columns):
                start = first + i * given[X_ROW] + j * given[X_STEP]
                words = memory[start : start + count * kind]
                words = words ^ given[X_FLIP] if kind == 1 else words.view(np.int16)
                taps.append(words.astype(np.int64))
            if is_average:
                total = np.sum(taps, axis=0) - len(taps) * given[X_ZERO_POINT]
                m = int(multipliers[row * given[COLUMNS] + column])
                scaled = (total * m + given[ROUNDING]) >> given[SHIFT]
                result = np.clip(scaled + given[ZERO_POINT], given[LO], given[HI])
            else:
                result = np.max(taps, axis=0)
            if store == 1:
                result ^= given[FLIP]
            target = given[OUT] + sample * given[OUT_SAMPLE] + out_first
            target += row * given[OUT_ROW] + column * given[OUT_STEP]
            memory[target : target + count * store].view(stored)[:] = result


@kernel
def max_pool_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal max_pool_reference on u8 or s8."""
    pool_image(0, 1, 1, memory, weights, args, batch)


@kernel
def max_pool_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal max_pool_reference on s16."""
    pool_image(0, 2, 2, memory, weights, args, batch)


@kernel
def average_pool_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from 8 to 8 bits; 255 * area < 2**31."""
    pool_image(1, 1, 1, memory, weights, args, batch)


@kernel
def average_pool_q8_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from 8 bits to s16; 255 * area < 2**31."""
    pool_image(1, 1, 2, memory, weights, args, batch)


@kernel
def average_pool_s16_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from s16 to 8 bits; 65535 * area < 2**31."""
    pool_image(1, 2, 1, memory, weights, args, batch)


@kernel
def average_pool_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from s16 to s16; 65535 * area < 2**31."""
    pool_image(1, 2, 2, memory, weights, args, batch)


@kernel
def average_pool_long_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from 8 to 8 bits; any area."""
    pool_image(2, 1, 1, memory, weights, args, batch)


@kernel
def average_pool_long_q8_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from 8 bits to s16; any area."""
    pool_image(2, 1, 2, memory, weights, args, batch)


@kernel
def average_pool_long_s16_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from s16 to 8 bits; any area."""
    pool_image(2, 2, 1, memory, weights, args, batch)


@kernel
def average_pool_long_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal average_pool_reference from s16 to s16; any area."""
    pool_image(2, 2, 2, memory, weights, args, batch)
