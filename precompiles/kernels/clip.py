"""Clip, and the smaller and larger of two operands: inside their own dtype."""

from precompiles.kernels.arrays import S64, Array
from precompiles.kernels.jit import subroutine


@subroutine
def clip_row(x: Array, out: Array, words: S64) -> None:
    """``min(max(x, lo), hi)``; words: lo, hi, both inside the one dtype of x and out."""
    lo, hi = x.dtype.type(words[0]), x.dtype.type(words[1])
    for i in range(out.size):
        out[i] = min(max(x[i], lo), hi)


@subroutine
def minimum_row(a: Array, b: Array, out: Array, words: S64) -> None:
    """The smaller of each pair; b may be one element."""
    if b.size < out.size:
        right = b[0]
        for i in range(out.size):
            out[i] = min(a[i], right)
    else:
        for i in range(out.size):
            out[i] = min(a[i], b[i])


@subroutine
def maximum_row(a: Array, b: Array, out: Array, words: S64) -> None:
    """The larger of each pair; b may be one element."""
    if b.size < out.size:
        right = b[0]
        for i in range(out.size):
            out[i] = max(a[i], right)
    else:
        for i in range(out.size):
            out[i] = max(a[i], b[i])
