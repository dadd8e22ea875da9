"""Exact 64-bit matrix products; the twin is ``gemm.linear_integer_reference``.

The validator proves that no partial sum, in any order, leaves int64.
"""

import numpy as np

from precompiles.kernels.arrays import S32, S64, U8, Array
from precompiles.kernels.jit import kernel, subroutine

NARROW = 32
"""Fewer columns of output than this, and than terms, are summed along the transposed weight."""


@subroutine
def linear_narrow(x: Array, weight: S32, bias: S64, out: S64) -> None:
    """One row: x (K), weight (N * K) with the terms of each output together, bias and out (N)."""
    depth = x.size
    n = 0
    while n + 4 <= out.size:
        w0 = weight[n * depth : (n + 1) * depth]
        w1 = weight[(n + 1) * depth : (n + 2) * depth]
        w2 = weight[(n + 2) * depth : (n + 3) * depth]
        w3 = weight[(n + 3) * depth : (n + 4) * depth]
        t0, t1, t2, t3 = bias[n], bias[n + 1], bias[n + 2], bias[n + 3]
        for k in range(depth):
            value = np.int64(x[k])
            t0 = np.int64(t0 + np.int64(value * np.int64(w0[k])))
            t1 = np.int64(t1 + np.int64(value * np.int64(w1[k])))
            t2 = np.int64(t2 + np.int64(value * np.int64(w2[k])))
            t3 = np.int64(t3 + np.int64(value * np.int64(w3[k])))
        out[n] = t0
        out[n + 1] = t1
        out[n + 2] = t2
        out[n + 3] = t3
        n += 4
    while n < out.size:
        terms = weight[n * depth : (n + 1) * depth]
        total = bias[n]
        for k in range(depth):
            total = np.int64(total + np.int64(np.int64(x[k]) * np.int64(terms[k])))
        out[n] = total
        n += 1


@subroutine
def linear_wide(x: Array, weight: S32, bias: S64, out: S64) -> None:
    """One row: x (K), weight (K * N) as stored, bias and out (N)."""
    width = out.size
    for n in range(width):
        out[n] = bias[n]
    k = 0
    while k + 4 <= x.size:
        w0 = weight[k * width : (k + 1) * width]
        w1 = weight[(k + 1) * width : (k + 2) * width]
        w2 = weight[(k + 2) * width : (k + 3) * width]
        w3 = weight[(k + 3) * width : (k + 4) * width]
        x0, x1, x2, x3 = np.int64(x[k]), np.int64(x[k + 1]), np.int64(x[k + 2]), np.int64(x[k + 3])
        for n in range(width):
            p0 = np.int64(x0 * np.int64(w0[n]))
            p1 = np.int64(x1 * np.int64(w1[n]))
            p2 = np.int64(x2 * np.int64(w2[n]))
            p3 = np.int64(x3 * np.int64(w3[n]))
            out[n] = np.int64(out[n] + np.int64(np.int64(p0 + p1) + np.int64(p2 + p3)))
        k += 4
    while k < x.size:
        terms = weight[k * width : (k + 1) * width]
        value = np.int64(x[k])
        for n in range(width):
            out[n] = np.int64(out[n] + np.int64(value * np.int64(terms[n])))
        k += 1


@kernel
def linear_s32_narrow(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: x, rows per sample, K, weight (N, K) and bias in weights, N, out."""
    depth, width = args[2], args[5]
    weight = weights[args[3] : args[3] + 4 * depth * width].view(np.int32)
    bias = weights[args[4] : args[4] + 8 * width].view(np.int64)
    x = memory[args[0] : args[0] + 4 * depth * args[1] * batch].view(np.int32)
    out = memory[args[6] : args[6] + 8 * width * args[1] * batch].view(np.int64)
    for row in range(args[1] * batch):
        linear_narrow(
            x[row * depth : (row + 1) * depth], weight, bias, out[row * width : (row + 1) * width]
        )


@kernel
def linear_s64_narrow(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: as linear_s32_narrow."""
    depth, width = args[2], args[5]
    weight = weights[args[3] : args[3] + 4 * depth * width].view(np.int32)
    bias = weights[args[4] : args[4] + 8 * width].view(np.int64)
    x = memory[args[0] : args[0] + 8 * depth * args[1] * batch].view(np.int64)
    out = memory[args[6] : args[6] + 8 * width * args[1] * batch].view(np.int64)
    for row in range(args[1] * batch):
        linear_narrow(
            x[row * depth : (row + 1) * depth], weight, bias, out[row * width : (row + 1) * width]
        )


@kernel
def linear_s32_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: x, rows per sample, K, weight (K, N) and bias in weights, N, out."""
    depth, width = args[2], args[5]
    weight = weights[args[3] : args[3] + 4 * depth * width].view(np.int32)
    bias = weights[args[4] : args[4] + 8 * width].view(np.int64)
    x = memory[args[0] : args[0] + 4 * depth * args[1] * batch].view(np.int32)
    out = memory[args[6] : args[6] + 8 * width * args[1] * batch].view(np.int64)
    for row in range(args[1] * batch):
        linear_wide(
            x[row * depth : (row + 1) * depth], weight, bias, out[row * width : (row + 1) * width]
        )


@kernel
def linear_s64_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: as linear_s32_wide."""
    depth, width = args[2], args[5]
    weight = weights[args[3] : args[3] + 4 * depth * width].view(np.int32)
    bias = weights[args[4] : args[4] + 8 * width].view(np.int64)
    x = memory[args[0] : args[0] + 8 * depth * args[1] * batch].view(np.int64)
    out = memory[args[6] : args[6] + 8 * width * args[1] * batch].view(np.int64)
    for row in range(args[1] * batch):
        linear_wide(
            x[row * depth : (row + 1) * depth], weight, bias, out[row * width : (row + 1) * width]
        )


LINEARS = {
    (4, True): linear_s32_narrow,
    (8, True): linear_s64_narrow,
    (4, False): linear_s32_wide,
    (8, False): linear_s64_wide,
}
"""Kernel by bytes of an element of x, and the form of the weight."""
