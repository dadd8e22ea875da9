"""Compile every kernel for this machine, once: ``python -m precompiles.precompile``.

Part of the set-up, so that no node compiles while it should serve. Kernels that are on disk already
are only loaded. Without numba there is nothing to do.
"""

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context

from precompiles.kernels import blake2, field, jumps  # noqa: F401  kernels that no model needs
from precompiles.kernels.jit import KERNELS, Kernel, load_numba
from precompiles.kernels.walk import WALK
from precompiles.runner import plan_model
from precompiles.selftest import all_models


@cache
def all_kernels() -> tuple[Kernel, ...]:
    """All kernels of fixed types, and those that the self-test needs, in a fixed order.

    Kernels are made for the types that a model asks for; other models may need a few more, which
    are compiled when they are first run.
    """
    for _, model, _ in all_models():
        plan_model(model)
    return WALK, *KERNELS


def compile_one(number: int) -> str:
    """Compile or load one of ``all_kernels``; its name."""
    item = all_kernels()[number]
    item.compiled()
    return item.name


def compile_all(processes: int) -> Iterator[tuple[int, int, str]]:
    """Compile all; after each (number done, of how many, name). Nothing without numba."""
    count = len(all_kernels()) if load_numba() is not None else 0
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(compile_one, number) for number in range(count)]
        for done, job in enumerate(as_completed(jobs), 1):
            yield done, count, job.result()


def main() -> None:
    """Compile with every processor and say so."""
    start, count = time.monotonic(), 0
    for done, count, name in compile_all(min(os.cpu_count() or 1, 8)):
        if sys.stderr.isatty():
            line = f"\rcompiling kernels {done}/{count} {name}"
            print(line[:78].ljust(78), end="", file=sys.stderr, flush=True)
    end = "\r" if sys.stderr.isatty() else ""
    text = f"{count} kernels ready in {time.monotonic() - start:.0f} s"
    print(f"{end}{text:<78}", file=sys.stderr)


if __name__ == "__main__":
    main()
