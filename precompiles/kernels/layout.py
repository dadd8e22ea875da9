"""Twins of operators that look up, move or reduce elements: rules of indices, for one sample."""

from collections.abc import Sequence

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact


def lookup_reference(x: Exact, table: Exact) -> Exact:
    """``table[x mod len(table)]``: two's complement bits as an unsigned index."""
    out = empty_exact(x.shape)
    for index in np.ndindex(*x.shape):
        out[index] = table[x[index] % len(table)]
    return out


def transpose_reference(x: Exact, permutation: Sequence[int]) -> Exact:
    """``out[j] = x[i]`` with ``j[n] = i[permutation[n]]``."""
    out = empty_exact(tuple(x.shape[axis] for axis in permutation))
    for index in np.ndindex(*x.shape):
        out[tuple(index[axis] for axis in permutation)] = x[index]
    return out


def concat_reference(inputs: Sequence[Exact], axis: int) -> Exact:
    """Join on ``axis``, in order."""
    shape = list(inputs[0].shape)
    shape[axis] = sum(item.shape[axis] for item in inputs)
    out = empty_exact(tuple(shape))
    offset = 0
    for item in inputs:
        for index in np.ndindex(*item.shape):
            out[(*index[:axis], index[axis] + offset, *index[axis + 1 :])] = item[index]
        offset += item.shape[axis]
    return out


def slice_reference(
    x: Exact, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]
) -> Exact:
    """``out[i] = x[starts + i * steps]``."""
    out = empty_exact(tuple(shape))
    for index in np.ndindex(*shape):
        source = zip(starts, index, steps, strict=True)
        out[index] = x[tuple(start + place * step for start, place, step in source)]
    return out


def pad_reference(x: Exact, before: Sequence[int], after: Sequence[int], value: int) -> Exact:
    """``value`` everywhere but where ``x`` lies, ``before`` from the origin."""
    sizes = zip(before, x.shape, after, strict=True)
    out = empty_exact(tuple(low + size + high for low, size, high in sizes))
    out[...] = value
    for index in np.ndindex(*x.shape):
        out[tuple(low + place for low, place in zip(before, index, strict=True))] = x[index]
    return out


def reduce_sum_reference(x: Exact) -> Exact:
    """Sum of each last-axis row."""
    out = empty_exact((*x.shape[:-1], 1))
    for index in np.ndindex(*x.shape[:-1]):
        out[(*index, 0)] = sum(x[index])
    return out


def reduce_max_reference(x: Exact) -> Exact:
    """Maximum of each last-axis row."""
    out = empty_exact((*x.shape[:-1], 1))
    for index in np.ndindex(*x.shape[:-1]):
        out[(*index, 0)] = max(x[index])
    return out


def arg_max_reference(x: Exact) -> Exact:
    """Lowest index of the maximum of each last-axis row."""
    out = empty_exact(x.shape[:-1])
    for index in np.ndindex(*x.shape[:-1]):
        row = list(x[index])
        out[index] = row.index(max(row))
    return out
