"""Compile every kernel for this machine, once: ``python -m precompiles.precompile``.

Part of the set-up, so that no node compiles while it should serve. Kernels that are on disk already
are only loaded. Without numba there is nothing to do.
"""

import sys
import time
from importlib import import_module

from precompiles.kernels.jit import KERNELS, load_numba
from precompiles.kernels.walk import WALK


def compile_all(show: bool = False) -> int:
    """Compile or load every kernel; their number, 0 without a compiler."""
    import_module("precompiles.planning.program")
    if load_numba() is None:
        return 0
    kernels = [WALK, *KERNELS]
    for number, item in enumerate(kernels, 1):
        if show:
            print(
                f"\rcompiling kernels {number}/{len(kernels)} {item.name:<40}", end="", flush=True
            )
        item.compiled()
    return len(kernels)


if __name__ == "__main__":
    start = time.monotonic()
    made = compile_all(sys.stdout.isatty())
    end = "\r" if sys.stdout.isatty() else ""
    print(f"{end}{made} kernels ready in {time.monotonic() - start:.0f} s".ljust(72))
