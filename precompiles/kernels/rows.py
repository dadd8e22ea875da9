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
        order = sorted(range(len(row)), key=lambda place, row=row: (-row[place], place))
        out[index] = order[:k]
    return out
