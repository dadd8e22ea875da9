"""Floor square roots."""

from math import isqrt

import numpy as np

from precompiles.kernels.arrays import S64, Array, Exact, empty_exact
from precompiles.kernels.jit import subroutine


def square_root_reference(x: Exact) -> Exact:
    """Largest integer whose square is at most x; x >= 0."""
    out = empty_exact(x.shape)
    for index in np.ndindex(*x.shape):
        out[index] = isqrt(x[index])
    return out


@subroutine
def square_root(value: int) -> int:
    """Floor square root of 0 to 2**62 - 1, digit by digit: 31 steps without a branch."""
    rest = np.int64(value)
    root = np.int64(0)
    for step in range(31):
        bit = np.int64(1) << np.int64(60 - 2 * step)
        tried = root + bit
        fits = rest >= tried
        rest = rest - tried if fits else rest
        root = (root >> np.int64(1)) + (bit if fits else np.int64(0))
    return int(root)


@subroutine
def square_root_row(x: Array, out: S64, words: S64) -> None:
    """Equal square_root_reference."""
    for i in range(out.size):
        out[i] = square_root(int(x[i]))
