"""Matrix products: 8-bit and 16-bit activations with int32 sums, and exact 64-bit ones.

Sums start from the bias; the validator proves that no partial sum, in any order, leaves the word.
"""

import operator

import numpy as np

from precompiles.kernels.arrays import S8, S16, S32, S64, U8, Exact, empty_exact
from precompiles.legacy.jit import kernel
from precompiles.legacy.requantize import clip_value, requantize_value


def gemm_reference(
    x: Exact,
    weight: Exact,
    bias: Exact,
    multiplier: Exact,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """RQ of ``bias[n] + sum_k x[m, k] * weight[k, n]``; x (M, K), weight (K, N), result (M, N)."""
    sums = linear_integer_reference(x, weight, bias)
    for m, n in np.ndindex(*sums.shape):
        scaled = requantize_value(sums[m, n], multiplier[n], shift, zero_point)
        sums[m, n] = clip_value(scaled, lo, hi)
    return sums


def linear_integer_reference(x: Exact, weight: Exact, bias: Exact) -> Exact:
    """``bias[n] + sum_k x[m, k] * weight[k, n]``; x (M, K), weight (K, N), result (M, N)."""
    columns = [list(column) for column in weight.T]
    out = empty_exact((len(x), len(columns)))
    for m, row in enumerate(x):
        terms = list(row)
        for n, column in enumerate(columns):
            out[m, n] = bias[n] + sum(map(operator.mul, terms, column))
    return out


@kernel(
    "void(uint8[:, ::1], int8[:, ::1], int32[::1], int32[::1], int64, int64, int64, int64,"
    " int32[:, ::1])"
)
def gemm_u8(
    x: U8,
    weight: S8,
    bias: S32,
    multiplier: S32,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
    out: S32,
) -> None:
    """Equal gemm_reference; x (M, K), weight (K, N), out (M, N). A product fits int16."""
    half = np.int64(1) << np.int64(shift - 1)
    depth = x.shape[1]
    for m in range(x.shape[0]):
        row = x[m]
        sums = out[m]
        sums[:] = bias
        k = 0
        while k + 4 <= depth:
            x0 = np.int16(row[k])
            x1 = np.int16(row[k + 1])
            x2 = np.int16(row[k + 2])
            x3 = np.int16(row[k + 3])
            w0 = weight[k]
            w1 = weight[k + 1]
            w2 = weight[k + 2]
            w3 = weight[k + 3]
            for n in range(sums.size):
                p0 = np.int32(np.int16(x0 * np.int16(w0[n])))
                p1 = np.int32(np.int16(x1 * np.int16(w1[n])))
                p2 = np.int32(np.int16(x2 * np.int16(w2[n])))
                p3 = np.int32(np.int16(x3 * np.int16(w3[n])))
                sums[n] = np.int32(sums[n] + np.int32(np.int32(p0 + p1) + np.int32(p2 + p3)))
            k += 4
        while k < depth:
            x0 = np.int16(row[k])
            w0 = weight[k]
            for n in range(sums.size):
                sums[n] = np.int32(sums[n] + np.int32(np.int16(x0 * np.int16(w0[n]))))
            k += 1
        for n in range(sums.size):
            scaled = np.int64((np.int64(sums[n]) * np.int64(multiplier[n]) + half) >> shift)
            sums[n] = np.int32(min(max(int(scaled + zero_point), lo), hi))


@kernel(
    "void(int16[:, ::1], int8[:, ::1], int32[::1], int32[::1], int64, int64, int64, int64,"
    " int32[:, ::1])"
)
def gemm_s16(
    x: S16,
    weight: S8,
    bias: S32,
    multiplier: S32,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
    out: S32,
) -> None:
    """Equal gemm_reference; x (M, K), weight (K, N), out (M, N)."""
    half = np.int64(1) << np.int64(shift - 1)
    for m in range(x.shape[0]):
        row = x[m]
        sums = out[m]
        sums[:] = bias
        for k in range(row.size):
            value = np.int32(row[k])
            weights = weight[k]
            for n in range(sums.size):
                sums[n] = np.int32(sums[n] + np.int32(value * np.int32(weights[n])))
        for n in range(sums.size):
            scaled = np.int64((np.int64(sums[n]) * np.int64(multiplier[n]) + half) >> shift)
            sums[n] = np.int32(min(max(int(scaled + zero_point), lo), hi))


@kernel("void(int64[:, ::1], int32[:, ::1], int64[::1], int64[:, ::1])")
def linear_integer(x: S64, weight: S32, bias: S64, out: S64) -> None:
    """Equal linear_integer_reference; x (M, K), weight (K, N), out (M, N)."""
    for m in range(x.shape[0]):
        row = x[m]
        sums = out[m]
        sums[:] = bias
        for k in range(row.size):
            value = row[k]
            weights = weight[k]
            for n in range(sums.size):
                sums[n] = np.int64(sums[n] + np.int64(value * np.int64(weights[n])))
