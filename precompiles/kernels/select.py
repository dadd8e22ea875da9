"""Comparisons and choices between operands of one shape."""

import numpy as np

from precompiles.kernels.arrays import S64, U8, Array, Exact, empty_exact
from precompiles.kernels.jit import subroutine

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


@subroutine
def equal_row(a: Array, b: Array, out: U8, words: S64) -> None:
    """``a == b``; b may be one element."""
    if b.size < out.size:
        right = np.int64(b[0])
        for i in range(out.size):
            out[i] = np.uint8(1) if np.int64(a[i]) == right else np.uint8(0)
    else:
        for i in range(out.size):
            out[i] = np.uint8(1) if np.int64(a[i]) == np.int64(b[i]) else np.uint8(0)


@subroutine
def less_row(a: Array, b: Array, out: U8, words: S64) -> None:
    """``a < b``, or its contrary when the one word is 1; b may be one element."""
    yes, no = np.uint8(1 - words[0]), np.uint8(words[0])
    if b.size < out.size:
        right = np.int64(b[0])
        for i in range(out.size):
            out[i] = yes if np.int64(a[i]) < right else no
    else:
        for i in range(out.size):
            out[i] = yes if np.int64(a[i]) < np.int64(b[i]) else no


@subroutine
def greater_row(a: Array, b: Array, out: U8, words: S64) -> None:
    """``a > b``, or its contrary when the one word is 1; b is one element."""
    yes, no = np.uint8(1 - words[0]), np.uint8(words[0])
    right = np.int64(b[0])
    for i in range(out.size):
        out[i] = yes if np.int64(a[i]) > right else no


@subroutine
def select_row(a: Array, b: Array, condition: U8, out: Array, words: S64) -> None:
    """``a`` where the condition is not 0, else ``b``; each operand may be one element."""
    count = out.size
    if condition.size < count:
        chosen = a if condition[0] != 0 else b
        step = 1 if chosen.size == count else 0
        for i in range(count):
            out[i] = chosen[i * step]
    elif a.size < count and b.size < count:
        left, right = a[0], b[0]
        for i in range(count):
            out[i] = left if condition[i] != 0 else right
    elif a.size < count:
        left = a[0]
        for i in range(count):
            right = b[i]
            out[i] = left if condition[i] != 0 else right
    elif b.size < count:
        right = b[0]
        for i in range(count):
            left = a[i]
            out[i] = left if condition[i] != 0 else right
    else:
        for i in range(count):
            left, right = a[i], b[i]
            out[i] = left if condition[i] != 0 else right
