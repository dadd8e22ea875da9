"""Comparisons and choices between operands of one shape."""

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact

EQUAL, LESS, LESS_OR_EQUAL = 0, 1, 2


def compare_reference(a: Exact, b: Exact, relation: int) -> Exact:
    """1 where ``a == b`` (relation 0), ``a < b`` (1) or ``a <= b`` (2), else 0."""
    out = empty_exact(a.shape)
    for index in np.ndindex(*a.shape):
        holds = (a[index] == b[index], a[index] < b[index], a[index] <= b[index])
        out[index] = int(holds[relation])
    return out


def select_reference(condition: Exact, a: Exact, b: Exact) -> Exact:
    """``a`` where the condition is not 0, else ``b``."""
    out = empty_exact(a.shape)
    for index in np.ndindex(*a.shape):
        out[index] = a[index] if condition[index] != 0 else b[index]
    return out


def minimum_reference(a: Exact, b: Exact) -> Exact:
    """The smaller of each pair."""
    out = empty_exact(a.shape)
    for index in np.ndindex(*a.shape):
        out[index] = min(a[index], b[index])
    return out


def maximum_reference(a: Exact, b: Exact) -> Exact:
    """The larger of each pair."""
    out = empty_exact(a.shape)
    for index in np.ndindex(*a.shape):
        out[index] = max(a[index], b[index])
    return out
