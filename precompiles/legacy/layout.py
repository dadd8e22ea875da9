"""Operators that move, select or reduce elements; numpy is the kernel, an index rule the twin.

Arrays of the fast forms have the batch as their leading axis; the twins take one sample. Integer
maximum, sum, lookup and copy in numpy are exact for every input that the validator admits.
"""

from collections.abc import Sequence

import numpy as np

from precompiles.kernels.arrays import Array, Exact, empty_exact

_UNSIGNED = {1: np.uint8, 2: np.uint16}


def lookup(x: Array, table: Array) -> Array:
    """``table[raw bits of x]``; x of one or two bytes per element, contiguous."""
    return np.take(table, x.view(_UNSIGNED[x.dtype.itemsize]))


def lookup_reference(x: Exact, table: Exact) -> Exact:
    """``table[x mod len(table)]``: two's complement bits as an unsigned index."""
    out = empty_exact(x.shape)
    for index in np.ndindex(*x.shape):
        out[index] = table[x[index] % len(table)]
    return out


def transpose(x: Array, permutation: Sequence[int]) -> Array:
    """Permute the axes after the batch."""
    return np.ascontiguousarray(x.transpose(0, *(axis + 1 for axis in permutation)))


def transpose_reference(x: Exact, permutation: Sequence[int]) -> Exact:
    """``out[j] = x[i]`` with ``j[n] = i[permutation[n]]``."""
    out = empty_exact(tuple(x.shape[axis] for axis in permutation))
    for index in np.ndindex(*x.shape):
        out[tuple(index[axis] for axis in permutation)] = x[index]
    return out


def concat(inputs: Sequence[Array], axis: int) -> Array:
    """Join on ``axis`` after the batch."""
    return np.ascontiguousarray(np.concatenate(inputs, axis=axis + 1))


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


def slice_steps(
    x: Array, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]
) -> Array:
    """Every ``steps``-th element from ``starts``, ``shape`` of them, after the batch."""
    cuts = [slice(None)]
    for start, step, size in zip(starts, steps, shape, strict=True):
        cuts.append(slice(start, start + (size - 1) * step + 1, step))
    return np.ascontiguousarray(x[tuple(cuts)])


def slice_reference(
    x: Exact, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]
) -> Exact:
    """``out[i] = x[starts + i * steps]``."""
    out = empty_exact(tuple(shape))
    for index in np.ndindex(*shape):
        source = zip(starts, index, steps, strict=True)
        out[index] = x[tuple(start + place * step for start, place, step in source)]
    return out


def pad(x: Array, before: Sequence[int], after: Sequence[int], value: int) -> Array:
    """Constant border around the axes after the batch."""
    sizes = zip(before, x.shape[1:], after, strict=True)
    out = np.full((len(x), *(low + size + high for low, size, high in sizes)), value, x.dtype)
    inner = zip(before, x.shape[1:], strict=True)
    out[(slice(None), *(slice(low, low + size) for low, size in inner))] = x
    return out


def pad_reference(x: Exact, before: Sequence[int], after: Sequence[int], value: int) -> Exact:
    """``value`` everywhere but where ``x`` lies, ``before`` from the origin."""
    sizes = zip(before, x.shape, after, strict=True)
    out = empty_exact(tuple(low + size + high for low, size, high in sizes))
    out[...] = value
    for index in np.ndindex(*x.shape):
        out[tuple(low + place for low, place in zip(before, index, strict=True))] = x[index]
    return out


def reduce_sum(x: Array) -> Array:
    """Sum over the last axis, kept, as s64."""
    total: Array = x.sum(axis=-1, keepdims=True, dtype=np.int64)
    return total


def reduce_max(x: Array) -> Array:
    """Maximum over the last axis, kept."""
    largest: Array = np.max(x, axis=-1, keepdims=True)
    return largest


def arg_max(x: Array) -> Array:
    """Index of the first maximum over the last axis, as s32."""
    return np.asarray(np.argmax(x, axis=-1)).astype(np.int32)


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
