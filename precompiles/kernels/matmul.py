"""Products of two computed matrices with int32 sums."""

import operator

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact
from precompiles.kernels.requantize import clip_value, requantize_value


def matmul_reference(
    a: Exact,
    b: Exact,
    a_zero_point: int,
    transpose_b: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """RQ of ``sum_k (a[.., m, k] - a_zero_point) * b[.., k, n]``.

    a (.., M, K); b (.., K, N), or (.., N, K) when ``transpose_b`` is 1; result (.., M, N).
    """
    columns = b if transpose_b else b.swapaxes(-1, -2)
    out = empty_exact((*a.shape[:-1], columns.shape[-2]))
    for index in np.ndindex(*out.shape):
        row = [value - a_zero_point for value in a[index[:-1]]]
        column = columns[(*index[:-2], index[-1])]
        total = sum(map(operator.mul, row, column))
        out[index] = clip_value(requantize_value(total, multiplier, shift, zero_point), lo, hi)
    return out
