"""Pooling, NHWC; window positions outside the image do not count."""

import numpy as np

from precompiles.kernels.arrays import S16, S32, S64, Exact, empty_exact
from precompiles.legacy.jit import kernel
from precompiles.legacy.requantize import clip_value, requantize_value


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


@kernel("void(int16[:, :, :, ::1], int64, int64, int64, int64, int64, int64, int16[:, :, :, ::1])")
def max_pool(
    x: S16,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    top: int,
    left: int,
    out: S16,
) -> None:
    """Equal max_pool_reference on each sample; x (B, H, W, C), out (B, OH, OW, C)."""
    for sample in range(out.shape[0]):
        for row in range(out.shape[1]):
            first_row = max(row * stride_h - top, 0)
            last_row = min(row * stride_h - top + kernel_h, x.shape[1])
            for column in range(out.shape[2]):
                first = max(column * stride_w - left, 0)
                last = min(column * stride_w - left + kernel_w, x.shape[2])
                best = out[sample, row, column]
                best[:] = x[sample, first_row, first]
                for i in range(first_row, last_row):
                    for j in range(first, last):
                        source = x[sample, i, j]
                        for c in range(best.size):
                            best[c] = max(best[c], source[c])


@kernel(
    "void(int16[:, :, :, ::1], int64[:, ::1], int64, int64, int64, int64, int64, int64, int64,"
    " int64, int64, int64, int64, int32[:, :, :, ::1])"
)
def average_pool(
    x: S16,
    multiplier: S64,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    top: int,
    left: int,
    x_zero_point: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
    out: S32,
) -> None:
    """Equal average_pool_reference on each sample; x (B, H, W, C), multiplier (OH, OW)."""
    half = np.int64(1) << np.int64(shift - 1)
    sums = np.empty(out.shape[3], np.int64)
    for sample in range(out.shape[0]):
        for row in range(out.shape[1]):
            first_row = max(row * stride_h - top, 0)
            last_row = min(row * stride_h - top + kernel_h, x.shape[1])
            for column in range(out.shape[2]):
                first = max(column * stride_w - left, 0)
                last = min(column * stride_w - left + kernel_w, x.shape[2])
                sums[:] = -np.int64(x_zero_point) * (last_row - first_row) * (last - first)
                for i in range(first_row, last_row):
                    for j in range(first, last):
                        source = x[sample, i, j]
                        for c in range(sums.size):
                            sums[c] = np.int64(sums[c] + np.int64(source[c]))
                pixel = out[sample, row, column]
                m = multiplier[row, column]
                for c in range(sums.size):
                    scaled = np.int64((sums[c] * m + half) >> np.int64(shift))
                    pixel[c] = np.int32(min(max(int(scaled + zero_point), lo), hi))
