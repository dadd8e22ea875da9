"""Operators that work on each row of the last axis."""

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact


def top_k_reference(x: Exact, k: int) -> Exact:
    """Indices of the ``k`` largest of each row, largest first; the lower index wins ties.

    x (.., N), 1 <= k <= N; result (.., k).
    """
    out = empty_exact((*x.shape[:-1], k))
    for index in np.ndindex(*x.shape[:-1]):
        row = list(x[index])
        out[index] = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:k]  # stable
    return out
