"""Threads in which EVM code may run: 1,024 nested calls need a deep stack."""

import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

STACK_BYTES: Final = 64 << 20
"""Depth-1024 EVM calls crash in threads with less than 800 KiB."""

RECURSION_LIMIT: Final = 100_000
"""Python frames; 1,024 EVM calls of a dozen frames each stay far below it."""

_Result = TypeVar("_Result")
_STARTING = threading.Lock()


def deep_thread(work: Callable[..., object], *arguments: Any) -> threading.Thread:
    """Start ``work(*arguments)`` in a daemon thread with a deep stack.

    The recursion limit is raised for the whole process: it has none per thread.
    """
    sys.setrecursionlimit(max(RECURSION_LIMIT, sys.getrecursionlimit()))
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    with _STARTING:  # the size is a setting of the process, read at the start of a thread
        before = threading.stack_size(STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    return thread


def run_deep(work: Callable[..., _Result], *arguments: Any) -> _Result:
    """``work(*arguments)`` in a deep thread: its result, or what it raised.

    A KeyboardInterrupt leaves here at once; the thread ends with the process.
    """
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(*arguments))
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    deep_thread(run).join()
    if errors:
        raise errors[0]
    return results[0]
