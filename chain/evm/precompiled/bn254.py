"""Addition, multiplication and pairing check on alt_bn128 (EIP-196, EIP-197; addresses 6 to 8).

A point of G1 is x, y, a point of G2 x1, x0, y1, y0 (coefficients of u first), 32 bytes each,
big-endian, below p; all zeros are infinity. Bytes beyond the input are zeros.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

import gmpy2

from chain.evm.errors import PrecompileFailure
from chain.evm.frame import Frame
from chain.evm.precompiled.machine import Element, Program, script_of
from chain.evm.precompiled.pairing import (
    G1,
    G2,
    ORDER,
    PRIME,
    TWIST_B,
    bn254_pairing,
    complex_product,
)
from chain.evm.precompiled.points import Multiplication, Point

_WORD: Final = 32
_POINT: Final = 2 * _WORD
_PAIR: Final = 6 * _WORD


def add_byzantium(frame: Frame) -> bytes:
    """Sum of two points of G1, with the gas of EIP-196."""
    return _add(frame, 500)


def add_istanbul(frame: Frame) -> bytes:
    """Sum of two points of G1, with the gas of EIP-1108."""
    return _add(frame, 150)


def multiply_byzantium(frame: Frame) -> bytes:
    """A point of G1 times a 32-byte scalar, with the gas of EIP-196."""
    return _multiply(frame, 40_000)


def multiply_istanbul(frame: Frame) -> bytes:
    """A point of G1 times a 32-byte scalar, with the gas of EIP-1108."""
    return _multiply(frame, 6_000)


def pairing_byzantium(frame: Frame) -> bytes:
    """Pairing check, with the gas of EIP-197."""
    return _pairing_check(frame, 100_000, 80_000)


def pairing_istanbul(frame: Frame) -> bytes:
    """Pairing check, with the gas of EIP-1108."""
    return _pairing_check(frame, 45_000, 34_000)


def _add(frame: Frame, gas: int) -> bytes:
    frame.charge(gas)
    words = _words(frame.data, 4)
    p, q = _g1(words[0], words[1]), _g1(words[2], words[3])
    if p is None or q is None:
        return _encoded(q if p is None else p)
    if p[0] == q[0]:
        if p[1] != q[1]:
            return _encoded(None)
        rise, run = 3 * p[0] * p[0], 2 * p[1]
    else:
        rise, run = q[1] - p[1], q[0] - p[0]
    slope = rise * int(gmpy2.invert(run, PRIME)) % PRIME
    x = (slope * slope - p[0] - q[0]) % PRIME
    return _encoded((x, (slope * (p[0] - x) - p[1]) % PRIME))


def _multiply(frame: Frame, gas: int) -> bytes:
    frame.charge(gas)
    x, y, scalar = _words(frame.data, 3)
    point = _g1(x, y)
    return _encoded(point and _multiplication().run(point, scalar % ORDER))


def _pairing_check(frame: Frame, gas: int, pair_gas: int) -> bytes:
    data = frame.data
    frame.charge(gas + pair_gas * (len(data) // _PAIR))
    if len(data) % _PAIR:
        raise PrecompileFailure(f"invalid input length {len(data)}, want a multiple of {_PAIR}")
    pairs = []
    for start in range(0, len(data), _PAIR):
        words = _words(data[start : start + _PAIR], 6)
        p, q = _g1(*words[:2]), _g2(*words[2:])
        if p is not None and q is not None:  # with infinity the pairing is one
            pairs.append((p, q))
    holds = not pairs or bn254_pairing().check(pairs)
    return holds.to_bytes(_WORD, "big")


def _words(data: bytes, count: int) -> list[int]:
    data = data[: count * _WORD].ljust(count * _WORD, b"\0")
    return [int.from_bytes(data[i : i + _WORD], "big") for i in range(0, count * _WORD, _WORD)]


def _g1(x: int, y: int) -> G1 | None:
    """Check a point of G1; None is infinity."""
    if x >= PRIME or y >= PRIME:
        raise PrecompileFailure("coordinate exceeds the field modulus")
    if x == y == 0:
        return None
    if (y * y - x * x * x - 3) % PRIME:
        raise PrecompileFailure("point is not on the curve")
    return x, y


def _g2(x1: int, x0: int, y1: int, y0: int) -> G2 | None:
    """Check a point of G2; None is infinity."""
    if max(x1, x0, y1, y0) >= PRIME:
        raise PrecompileFailure("coordinate exceeds the field modulus")
    if x1 == x0 == y1 == y0 == 0:
        return None
    x, y = (x0, x1), (y0, y1)
    left, right = complex_product(y, y), complex_product(complex_product(x, x), x)
    if any((left[i] - right[i] - TWIST_B[i]) % PRIME for i in range(2)):
        raise PrecompileFailure("point is not on the curve")
    point = (x0, x1, y0, y1)
    if not bn254_pairing().in_subgroup(point):
        raise PrecompileFailure("point is not in the subgroup")
    return point


def _encoded(point: G1 | None) -> bytes:
    x, y = point or (0, 0)
    return x.to_bytes(_WORD, "big") + y.to_bytes(_WORD, "big")


class _Multiplication:
    """Recorded: multiplication in G1."""

    def __init__(self) -> None:
        self._program = program = Program(PRIME)
        infinity = Point(program.zero, program.constant(1), program.zero)
        self._curve = Multiplication(program, program.variable, infinity, program.constant(9))
        point, result = self._curve.point, self._curve.result
        self._enter = program.record(point, lambda: _mapped(point, program.entered))
        self._leave = program.record(result, lambda: _mapped(result, program.left))

    def run(self, point: G1, scalar: int) -> G1 | None:
        """``scalar * point``; 0 <= scalar < ORDER."""
        memory = self._program.memory()
        memory.write(self._curve.point, (*point, 1))
        memory.run(script_of([self._enter, *self._curve.segments(scalar), self._leave]))
        x, y, z = memory.read(self._curve.result)
        if z == 0:
            return None
        inverse = int(gmpy2.invert(z, PRIME))
        return x * inverse % PRIME, y * inverse % PRIME


def _mapped(point: Point[Element], change: Callable[[Element], Element]) -> Point[Element]:
    return Point(change(point.x), change(point.y), change(point.z))


@cache
def _multiplication() -> _Multiplication:
    """The program, recorded on the first call."""
    return _Multiplication()
