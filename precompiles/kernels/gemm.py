"""Matrix products: 8-bit and 16-bit activations with int32 sums, and exact 64-bit ones.

Sums start from the bias; the validator proves that no partial sum, in any order, leaves the word.
"""

import operator

import numpy as np

from precompiles.kernels.arrays import S64, U8, Exact, empty_exact
from precompiles.kernels.jit import kernel
from precompiles.kernels.requantize import clip_value, requantize_value
from precompiles.kernels.tile import multiply_windows


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


@kernel
def product_u8_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to 8 bits."""
    multiply_windows(1, 1, 0, 1, memory, weights, args, batch)


@kernel
def product_u8_q8_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to 8 bits, any shift."""
    multiply_windows(1, 1, 1, 1, memory, weights, args, batch)


@kernel
def product_u8_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to s16."""
    multiply_windows(1, 1, 0, 2, memory, weights, args, batch)


@kernel
def product_u8_s16_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to s16, any shift."""
    multiply_windows(1, 1, 1, 2, memory, weights, args, batch)


@kernel
def product_u8_s32(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to s32, any shift."""
    multiply_windows(1, 1, 1, 4, memory, weights, args, batch)


@kernel
def product_s16_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to 8 bits."""
    multiply_windows(2, 1, 0, 1, memory, weights, args, batch)


@kernel
def product_s16_q8_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to 8 bits, any shift."""
    multiply_windows(2, 1, 1, 1, memory, weights, args, batch)


@kernel
def product_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to s16."""
    multiply_windows(2, 1, 0, 2, memory, weights, args, batch)


@kernel
def product_s16_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to s16, any shift."""
    multiply_windows(2, 1, 1, 2, memory, weights, args, batch)


@kernel
def product_s16_s32(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to s32, any shift."""
    multiply_windows(2, 1, 1, 4, memory, weights, args, batch)


PRODUCTS = {
    (1, 1, False): product_u8_q8,
    (1, 1, True): product_u8_q8_wide,
    (1, 2, False): product_u8_s16,
    (1, 2, True): product_u8_s16_wide,
    (1, 4, True): product_u8_s32,
    (2, 1, False): product_s16_q8,
    (2, 1, True): product_s16_q8_wide,
    (2, 2, False): product_s16,
    (2, 2, True): product_s16_wide,
    (2, 4, True): product_s16_s32,
}
"""Kernel by bytes of x and of the output and by the rounding form, always wide for four bytes.

Windows of x (Gemm's rows, a convolution's pixels) times constant s8 weights: ``multiply_windows``
says what their args are; every sum fits int32, ``|sum| * multiplier < 2**62``.
"""
