"""Where a jump may land: the scan of code for JUMPDESTs (Yellow Paper, section 9.4.3).

In Python it takes up to 75 ns a byte: 1.8 ms for the 24 KB that a cold call of 2,600 gas may reach
first. In machine code it takes 1 ns, but to load numba takes as long as to scan 8 MB in Python. So
a process changes over when it has scanned that much, and one with little to do never loads it.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from chain.errors import ExecutorFault

Scan: TypeAlias = Callable[[bytes], bytearray]
"""One byte per byte of code: 1 where a JUMP may land, a JUMPDEST that is no push data, else 0."""

_JUMPDEST: Final = 0x5B
_PUSH0, _PUSH1, _PUSH32 = 0x5F, 0x60, 0x7F
_PLAIN_BYTES: Final = 8 << 20
_SHORT: Final = 32
"""Below it a call of machine code costs more than it saves."""


def plain_scan(code: bytes) -> bytearray:
    """The scan in Python, which defines the other one."""
    destinations = bytearray(len(code))
    last = -1  # byte of push data
    for pc, value in enumerate(code):
        if pc > last:
            if value == _JUMPDEST:
                destinations[pc] = 1
            elif _PUSH1 <= value <= _PUSH32:
                last = pc + value - _PUSH0
    return destinations


def load_machine_scan() -> Scan:
    """The scan in machine code; ``plain_scan`` where there is no compiler."""
    import numpy as np

    from precompiles.kernels.jit import load_numba
    from precompiles.kernels.jumps import mark_destinations

    if load_numba() is None:
        return plain_scan
    mark = mark_destinations.compiled()
    weights, args = np.zeros(0, np.uint8), np.zeros(0, np.int64)

    def scan(code: bytes) -> bytearray:
        if len(code) < _SHORT:
            return plain_scan(code)
        destinations = bytearray(code)
        mark(np.frombuffer(destinations, np.uint8), weights, args, 1)
        return destinations

    return scan


class JumpAnalysis:
    """The scan, in Python for the first ``plain_bytes`` of code, then in machine code."""

    __slots__ = ("_left", "_machine")

    def __init__(self, plain_bytes: int) -> None:
        self._left = plain_bytes
        self._machine: Scan | None = None

    def __call__(self, code: bytes) -> bytearray:
        """Scan ``code``; see ``Scan``."""
        if self._machine is not None:
            return self._machine(code)
        self._left -= len(code)
        if self._left >= 0:
            return plain_scan(code)
        return self.load()(code)

    def load(self) -> Scan:
        """Change over to machine code now."""
        self._machine = load_machine_scan()
        return self._machine


jump_destinations: Final = JumpAnalysis(_PLAIN_BYTES)


def jump_self_test() -> None:
    """Load the machine code, so that no block has to, and compare it with Python.

    Raises:
        ExecutorFault: they differ; the node must stop before it votes or executes.
    """
    scan = jump_destinations.load()
    for step in range(1, 32, 2):  # every byte value, in 16 orders
        code = bytes(index * step & 0xFF for index in range(4096)) + b"\x5b\x7f\x5b"
        if scan(code) != plain_scan(code):
            raise ExecutorFault("JUMPDEST analysis: machine code differs from Python")
