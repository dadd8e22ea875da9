"""Floor square roots."""

from math import isqrt

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact


def square_root_reference(x: Exact) -> Exact:
    """Largest integer whose square is at most x; x >= 0."""
    out = empty_exact(x.shape)
    for index in np.ndindex(*x.shape):
        out[index] = isqrt(x[index])
    return out
