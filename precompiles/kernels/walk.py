"""Run a table of steps over flat memory: in one native call, or kernel after kernel in Python.

A table is int64 words, step after step: the number of words of the step (this one included), the
kernel's address (0 in a table for Python), then the words of ``args``.
"""

from collections.abc import Sequence

from precompiles.errors import PrecompileFault
from precompiles.kernels.arrays import S64, U8
from precompiles.kernels.jit import Kernel, load_numba

HEADER = 2
"""Words of a step before its args."""


def call_step(address: int, memory: U8, weights: U8, args: S64, batch: int) -> int:
    """Call the kernel at ``address``; its status, 0 when it returned. Only machine code can."""
    raise PrecompileFault(f"no kernel can be called at {address} without machine code")


def walk_native(memory: U8, weights: U8, table: S64, batch: int) -> int:
    """Run every step; -1, or the number of the step that failed. Locks nothing, allocates nothing.

    Args:
        memory: arena, aligned to 64 bytes, large enough for ``batch`` samples.
        weights: prepared constants, aligned to 64 bytes.
        table: steps with their kernels' addresses in this process.
        batch: samples.
    """
    position = 0
    number = 0
    while position < table.size:
        words = table[position]
        step = table[position : position + words]
        if call_step(step[1], memory, weights, step[HEADER:], batch) != 0:
            return number
        position += words
        number += 1
    return -1


WALK = Kernel(walk_native, "int64(uint8[::1], uint8[::1], int64[::1], int64)")
"""The native walk."""


def walk_python(kernels: Sequence[Kernel], memory: U8, weights: U8, table: S64, batch: int) -> None:
    """Run every step, one call each; ``kernels`` in the table's order. Errors as they come."""
    position = 0
    for kernel in kernels:
        words = int(table[position])
        kernel(memory, weights, table[position + HEADER : position + words], batch)
        position += words


def is_native() -> bool:
    """True when kernels can be walked by their addresses.

    Not without numba, and not while it checks bounds: then errors should say where.
    """
    numba = load_numba()
    return numba is not None and not numba.config.BOUNDSCHECK
