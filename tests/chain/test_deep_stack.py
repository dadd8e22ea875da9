import sys
import threading

import pytest

from chain.deep_stack import RECURSION_LIMIT, deep_thread, run_deep


def through_c(depth: int) -> int:
    """Each level passes through C, as opcode functions do."""
    return depth if depth == 0 else sum(map(through_c, [depth - 1])) + 1


def test_deep_recursion_through_c() -> None:
    assert run_deep(through_c, 20_000) == 20_000
    assert sys.getrecursionlimit() >= RECURSION_LIMIT


def test_errors_come_back() -> None:
    with pytest.raises(ZeroDivisionError):
        run_deep(lambda: 1 // 0)


def test_the_stack_size_of_other_threads_stays() -> None:
    before = threading.stack_size()
    deep_thread(int).join()
    assert threading.stack_size() == before
