"""Points of ``y**2 = x**3 + b`` in projective coordinates, without special cases.

The formulas of Renes, Costello and Batina (2016, algorithms 7 and 9, a = 0) hold for all points,
infinity included, of a group of odd order; that of BN254 and that of its twist are odd.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from chain.evm.precompiled.machine import Element, Program, Segment

_WINDOW = 4
_DIGITS = 1 << _WINDOW


class Coordinate(Protocol):
    """An element of the field that the curve is defined over."""

    def __add__(self, other: Self) -> Self: ...
    def __sub__(self, other: Self) -> Self: ...
    def __mul__(self, other: Self) -> Self: ...
    def elements(self) -> list[Element]:
        """Over the prime field."""


C = TypeVar("C", bound=Coordinate)


@dataclass(frozen=True, slots=True)
class Point(Generic[C]):
    """``(x : y : z)``; infinity is (0 : 1 : 0)."""

    x: C
    y: C
    z: C

    def elements(self) -> list[Element]:
        """Those of x, y, z."""
        return [*self.x.elements(), *self.y.elements(), *self.z.elements()]


def added(p: Point[C], q: Point[C], b3: C) -> Point[C]:
    """``p + q``; b3 is 3 b."""
    xx, yy, zz = p.x * q.x, p.y * q.y, p.z * q.z
    xy = (p.x + p.y) * (q.x + q.y) - (xx + yy)
    yz = (p.y + p.z) * (q.y + q.z) - (yy + zz)
    xz = (p.x + p.z) * (q.x + q.z) - (xx + zz)
    xx3, bzz, bxz = xx + xx + xx, b3 * zz, b3 * xz
    plus, minus = yy + bzz, yy - bzz
    return Point(xy * minus - yz * bxz, minus * plus + bxz * xx3, plus * yz + xx3 * xy)


def doubled(p: Point[C], b3: C) -> Point[C]:
    """``2 p``; b3 is 3 b."""
    yy, bzz = p.y * p.y, b3 * (p.z * p.z)
    yy8 = yy + yy
    yy8 = yy8 + yy8
    yy8 = yy8 + yy8
    minus, xy = yy - (bzz + bzz + bzz), p.x * p.y
    half = minus * xy
    return Point(half + half, bzz * yy8 + minus * (yy + bzz), p.y * p.z * yy8)


class Multiplication(Generic[C]):
    """Recorded: a point times any integer, by windows of four bits.

    Args:
        program: records.
        made_by: a new coordinate that keeps its value.
        infinity: (0 : 1 : 0), constant.
        b3: 3 b, constant.
    """

    def __init__(self, program: Program, made_by: Callable[[], C], infinity: Point[C], b3: C):
        table = [Point(made_by(), made_by(), made_by()) for _ in range(1, _DIGITS)]
        self.point, self.result = table[0], Point(made_by(), made_by(), made_by())
        self._start = [program.record(self.result, lambda: infinity)]
        for multiple, before in zip(table[1:], table[:-1], strict=True):
            self._start.append(self._sum(program, multiple, before, self.point, b3))
        self._double = program.record(self.result, lambda: doubled(self.result, b3))
        self._add = [self._sum(program, self.result, self.result, point, b3) for point in table]

    @staticmethod
    def _sum(program: Program, out: Point[C], p: Point[C], q: Point[C], b3: C) -> Segment:
        return program.record(out, lambda: added(p, q, b3))

    def segments(self, scalar: int) -> list[Segment]:
        """``result = scalar * point``, scalar >= 0."""
        segments = list(self._start)
        started = False
        for shift in range(-(-scalar.bit_length() // _WINDOW) * _WINDOW, 0, -_WINDOW):
            if started:
                segments += [self._double] * _WINDOW
            digit = scalar >> (shift - _WINDOW) & (_DIGITS - 1)
            if digit:
                segments.append(self._add[digit - 1])
            started = True
        return segments
