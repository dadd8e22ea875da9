"""MODEXP: ``base ** exponent % modulus`` of big-endian numbers (EIP-198; address 5).

Input: three 32-byte lengths, then base, exponent and modulus of these lengths; bytes beyond the
input are zeros. The result is as long as the modulus; 0 ** 0 is 1, anything modulo 0 is 0.
"""

from collections.abc import Callable
from math import lcm
from typing import Final

import gmpy2

from chain.evm.errors import PrecompileFailure
from chain.evm.frame import Frame

_LONGEST: Final = 1024
_PERIOD: Final = lcm(*range(1, 256))
"""Powers modulo m repeat after a divisor of phi(m); one byte of m makes long exponents cheap."""


def modexp_byzantium(frame: Frame) -> bytes:
    """With the gas of EIP-198."""
    return _run(frame, _gas_byzantium)


def modexp_berlin(frame: Frame) -> bytes:
    """With the gas of EIP-2565."""
    return _run(frame, _gas_berlin)


def modexp_osaka(frame: Frame) -> bytes:
    """With the gas of EIP-7883; base, exponent and modulus of at most 1,024 bytes (EIP-7823)."""
    for name, size in zip(("base", "exponent", "modulus"), _sizes(frame.data), strict=True):
        if size > _LONGEST:
            raise PrecompileFailure(f"modexp: {name} of {size} bytes, at most {_LONGEST}")
    return _run(frame, _gas_osaka)


def _run(frame: Frame, gas: Callable[[int, int, int], int]) -> bytes:
    data = frame.data
    base_size, exponent_size, modulus_size = _sizes(data)
    head = _number(data, 96 + base_size, min(exponent_size, 32))
    frame.charge(gas(max(base_size, modulus_size), exponent_size, max(head.bit_length() - 1, 0)))
    if modulus_size == 0:
        return b""
    base = _number(data, 96, base_size)
    exponent = _number(data, 96 + base_size, exponent_size)
    modulus = _number(data, 96 + base_size + exponent_size, modulus_size)
    if modulus == 0:
        return bytes(modulus_size)
    if modulus < 256 and exponent > _PERIOD:
        exponent = exponent % _PERIOD + _PERIOD
    return int(gmpy2.powmod(base, exponent, modulus)).to_bytes(modulus_size, "big")


def _gas_byzantium(size: int, exponent_size: int, head_bits: int) -> int:
    """``size``: bytes of the longer of base and modulus; ``head_bits``: of the first 32 bytes."""
    if size <= 64:
        complexity = size * size
    elif size <= 1024:
        complexity = size * size // 4 + 96 * size - 3_072
    else:
        complexity = size * size // 16 + 480 * size - 199_680
    return complexity * max(8 * max(exponent_size - 32, 0) + head_bits, 1) // 20


def _gas_berlin(size: int, exponent_size: int, head_bits: int) -> int:
    words = (size + 7) // 8
    return max(200, words * words * max(8 * max(exponent_size - 32, 0) + head_bits, 1) // 3)


def _gas_osaka(size: int, exponent_size: int, head_bits: int) -> int:
    words = (size + 7) // 8
    complexity = 2 * words * words if size > 32 else 16
    return max(500, complexity * max(16 * max(exponent_size - 32, 0) + head_bits, 1))


def _sizes(data: bytes) -> tuple[int, int, int]:
    """Bytes of base, exponent and modulus."""
    return _number(data, 0, 32), _number(data, 32, 32), _number(data, 64, 32)


def _number(data: bytes, start: int, size: int) -> int:
    """Big-endian number at ``start``; bytes beyond the data count as zero."""
    part = data[start : start + size]
    return int.from_bytes(part, "big") << 8 * (size - len(part)) if part else 0
