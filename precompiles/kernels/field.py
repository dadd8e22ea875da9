"""Programs over a prime field of 256 bits: a register machine whose words are field elements.

Registers hold elements in Montgomery form, ``x * 2**256 mod p``, always below p, as 32 bytes,
little-endian. A program is rows ``(operation, out, a, b)`` of register numbers; a script says which
runs of rows to execute. It has no branches and no conditions, so all that depends on values is the
script, which is made in Python.
"""

from typing import Final

import numpy as np

from precompiles.kernels.arrays import S32, S64, U8
from precompiles.kernels.jit import kernel

WIDTH: Final = 32
"""Bytes of a register."""

MULTIPLY: Final = 0
ADD: Final = 1
SUBTRACT: Final = 2

MODULUS: Final = 0
"""Register that holds p itself, odd and below 2**254."""
INVERSE: Final = 1
"""Register whose lowest 64 bits are ``-1 / p mod 2**64``."""

_RADIX: Final = 1 << 8 * WIDTH


def multiply(memory: U8, out: int, a: int, b: int) -> None:
    """Montgomery product, ``out = a * b / 2**256 mod p``; machine form in ``llvm_field``."""
    modulus = _get(memory, MODULUS)
    inverse = pow(_RADIX, -1, modulus)
    _set(memory, out, _get(memory, a) * _get(memory, b) * inverse % modulus)


def add(memory: U8, out: int, a: int, b: int) -> None:
    """``out = a + b mod p``."""
    _set(memory, out, (_get(memory, a) + _get(memory, b)) % _get(memory, MODULUS))


def subtract(memory: U8, out: int, a: int, b: int) -> None:
    """``out = a - b mod p``."""
    _set(memory, out, (_get(memory, a) - _get(memory, b)) % _get(memory, MODULUS))


@kernel
def run_script(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Run a script on the registers in ``memory``.

    weights: the program, rows of four int32.
    args: the script, pairs (first row, row behind the last), in order.
    """
    rows: S32 = weights.view(np.int32)
    for step in range(args.size // 2):
        for row in range(args[2 * step], args[2 * step + 1]):
            operation = rows[4 * row]
            out, a, b = rows[4 * row + 1], rows[4 * row + 2], rows[4 * row + 3]
            if operation == MULTIPLY:
                multiply(memory, out, a, b)
            elif operation == ADD:
                add(memory, out, a, b)
            else:
                subtract(memory, out, a, b)


def _get(memory: U8, register: int) -> int:
    return int.from_bytes(memory[WIDTH * register : WIDTH * (register + 1)].tobytes(), "little")


def _set(memory: U8, register: int, value: int) -> None:
    data = value.to_bytes(WIDTH, "little")
    memory[WIDTH * register : WIDTH * (register + 1)] = np.frombuffer(data, np.uint8)
