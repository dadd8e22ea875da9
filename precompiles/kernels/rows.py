"""Operators that work on each row of the last axis."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from precompiles.kernels.arrays import S32, S64, U8, Array, Exact, empty_exact
from precompiles.kernels.jit import Kernel, kernel, subroutine
from precompiles.kernels.typed import Element, named

Row = Callable[[Array, Array], None]


def top_k_reference(x: Exact, k: int) -> Exact:
    """Indices of the ``k`` largest of each row, largest first; the lower index wins ties.

    x (.., N), 1 <= k <= N; result (.., k).
    """
    out = empty_exact((*x.shape[:-1], k))
    for index in np.ndindex(*x.shape[:-1]):
        row = list(x[index])
        out[index] = sorted(range(len(row)), key=row.__getitem__, reverse=True)[:k]  # stable
    return out


@subroutine
def reduce_sum_row(x: Array, out: S64) -> None:
    """Sum of a row; at most 2**24 elements of a proven interval, so it fits."""
    total = np.int64(0)
    for i in range(x.size):
        total += np.int64(x[i])
    out[0] = total


@subroutine
def largest_of(x: Array) -> Any:
    """Maximum of a row."""
    largest = x[0]
    for i in range(x.size):
        largest = max(largest, x[i])
    return largest


@subroutine
def reduce_max_row(x: Array, out: Array) -> None:
    """Maximum of a row."""
    out[0] = largest_of(x)


@subroutine
def arg_max_row(x: Array, out: S32) -> None:
    """Lowest index of the maximum of a row."""
    largest = largest_of(x)
    place = 0
    while x[place] != largest:
        place += 1
    out[0] = place


@subroutine
def is_behind(x: Array, first: int, second: int) -> bool:
    """True when element ``first`` comes after ``second`` in the order of TopK."""
    if x[first] != x[second]:
        return bool(x[first] < x[second])
    return first > second


@subroutine
def sift(heap: S32, count: int, x: Array) -> None:
    """Let the first entry sink, until nobody is behind its parent."""
    item = heap[0]
    node = 0
    child = 1
    while child < count:
        if child + 1 < count and is_behind(x, heap[child + 1], heap[child]):
            child += 1
        if not is_behind(x, heap[child], item):
            break
        heap[node] = heap[child]
        node = child
        child = 2 * node + 1
    heap[node] = item


@subroutine
def raise_last(heap: S32, count: int, x: Array) -> None:
    """Let the last of ``count`` entries rise, until its parent is behind it."""
    item = heap[count - 1]
    node = count - 1
    while node > 0:
        parent = (node - 1) >> 1
        if not is_behind(x, item, heap[parent]):
            break
        heap[node] = heap[parent]
        node = parent
    heap[node] = item


@subroutine
def top_k_row(x: Array, out: S32) -> None:
    """Equal top_k_reference on one row; a heap in ``out`` whose first entry is the least so far."""
    count = out.size
    for i in range(x.size):
        if i < count:
            out[i] = i
            raise_last(out, i + 1, x)
        elif x[i] > x[out[0]]:
            out[0] = i
            sift(out, count, x)
    for last in range(count - 1, 0, -1):
        least = out[0]
        out[0] = out[last]
        sift(out, last, x)
        out[last] = least


@cache
def row_kernel(row: Row, x_type: Element, out_type: Element) -> Kernel:
    """Kernel that applies ``row(x, out)`` to each row.

    args: x, out, rows per sample, columns, elements of the output per row.
    """
    x_bytes, out_bytes = np.dtype(x_type).itemsize, np.dtype(out_type).itemsize

    def reduce(memory: U8, weights: U8, args: S64, batch: int) -> None:
        rows, columns, results = args[2] * batch, args[3], args[4]
        x = memory[args[0] : args[0] + rows * columns * x_bytes].view(x_type)
        out = memory[args[1] : args[1] + rows * results * out_bytes].view(out_type)
        for number in range(rows):
            window = x[number * columns : (number + 1) * columns]
            row(window, out[number * results : (number + 1) * results])

    return kernel(named(reduce, row.__name__.removesuffix("_row"), x_type, out_type))
