"""The optimal ate pairing of BN254 as a recorded program (Vercauteren 2010; the curve of EIP-197).

Lines and steps on the twist y**2 = x**3 + 3 / (9 + u) are those of Costello, Lange and Naehrig
(2010), the final exponentiation is that of Fuentes-Castañeda, Knapp and Rodríguez-Henríquez (2011).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from chain.evm.precompiled.machine import Element, Program, Segment, script_of
from chain.evm.precompiled.points import Multiplication, Point
from chain.evm.precompiled.tower import (
    Fp2,
    Fp12,
    fp12_made_by,
    fp12_norm,
    fp12_of,
    fp12_scaled,
)

PRIME: Final = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
ORDER: Final = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
X: Final = 4965661367192848881
"""The parameter of the curve: p, the order and the loop are polynomials in it."""

G1: TypeAlias = tuple[int, int]
"""x, y; not infinity."""
G2: TypeAlias = tuple[int, int, int, int]
"""x0, x1, y0, y1 of (x0 + x1 u, y0 + y1 u); not infinity."""
Complex: TypeAlias = tuple[int, int]
"""An element of Fp2 as integers."""


def complex_product(a: Complex, b: Complex) -> Complex:
    """Product in Fp2."""
    return (a[0] * b[0] - a[1] * b[1]) % PRIME, (a[0] * b[1] + a[1] * b[0]) % PRIME


def complex_power(base: Complex, exponent: int) -> Complex:
    """``base ** exponent`` in Fp2, exponent >= 0."""
    result = (1, 0)
    for bit in bin(exponent)[2:]:
        result = complex_product(result, result)
        if bit == "1":
            result = complex_product(result, base)
    return result


TWIST_B: Final = complex_product((3, 0), complex_power((9, 1), PRIME * PRIME - 2))
"""b of the twist."""


@dataclass(frozen=True, slots=True)
class _Affine:
    """A point of the twist with z = 1."""

    x: Fp2
    y: Fp2

    def elements(self) -> list[Element]:
        return [*self.x.elements(), *self.y.elements()]


@dataclass(frozen=True, slots=True)
class _Loop:
    """Where Miller's loop stands: a multiple of Q, and the product of all lines."""

    point: Point[Fp2]
    product: Fp12

    def elements(self) -> list[Element]:
        return [*self.point.elements(), *self.product.elements()]


class Pairing:
    """Recorded: whether points are in the right subgroup, and whether pairings multiply to one."""

    def __init__(self) -> None:
        self._program = program = Program(PRIME)
        self._zero = Fp2(program.zero, program.zero)
        self._one = self._complex((1, 0))
        self._unity = fp12_of([self._one, *[self._zero] * 5])
        self._rotations = [
            self._complex(complex_power((9, 1), (PRIME - 1) * k // 6)) for k in range(6)
        ]
        self._px, self._py = program.variable(), program.variable()
        self._q = _Affine(self._pair(), self._pair())
        self._product = self._fp12()
        self._begin = script_of([program.record(self._product, lambda: self._unity)])
        self._enter_p = program.record(
            Fp2(self._px, self._py),
            lambda: Fp2(program.entered(self._px), program.entered(self._py)),
        )
        self._enter_q = program.record(self._q, self._entered_q)
        self._in_subgroup = script_of(list(self._record_multiple()))
        self._loop = script_of(list(self._record_loop()))
        self._end = script_of(list(self._record_end()))

    def value(self, pairs: Sequence[tuple[G1, G2]]) -> list[int]:
        """Product of e(P, Q) over all pairs, to the power of 2x (6x**2 + 3x + 1).

        That power is prime to the order. The points are in the subgroups. The result is an element
        of Fp12, as ``Fp12.elements``.
        """
        memory = self._program.memory()
        memory.run(self._begin)
        for p, q in pairs:
            memory.write(Fp2(self._px, self._py), p)
            memory.write(self._q, q)
            memory.run(self._loop)
        memory.run(self._end)
        return memory.read(self._result)

    def check(self, pairs: Sequence[tuple[G1, G2]]) -> bool:
        """Whether the product of e(P, Q) over all pairs is one; the points are in the subgroups."""
        return self.value(pairs) == [1, *[0] * 11]

    def in_subgroup(self, q: G2) -> bool:
        """Whether a point of the twist has the prime order."""
        memory = self._program.memory()
        memory.write(self._q, q)
        memory.run(self._in_subgroup)
        return not any(memory.read(self._multiple.z))

    def _complex(self, value: Complex) -> Fp2:
        return Fp2(self._program.constant(value[0]), self._program.constant(value[1]))

    def _pair(self) -> Fp2:
        return Fp2(self._program.variable(), self._program.variable())

    def _fp12(self) -> Fp12:
        return fp12_made_by(self._program.variable)

    def _entered_q(self) -> _Affine:
        parts = [self._program.entered(element) for element in self._q.elements()]
        return _Affine(Fp2(*parts[:2]), Fp2(*parts[2:]))

    def _record_multiple(self) -> Iterator[Segment]:
        """The order of the subgroup times Q."""
        infinity = Point(self._zero, self._one, self._zero)
        b3 = self._complex(complex_product((3, 0), TWIST_B))
        multiplication = Multiplication(self._program, self._pair, infinity, b3)
        self._multiple = multiplication.result
        yield self._enter_q
        yield self._program.record(
            multiplication.point, lambda: Point(self._q.x, self._q.y, self._one)
        )
        yield from multiplication.segments(ORDER)

    def _record_loop(self) -> Iterator[Segment]:
        """Miller's loop over 6x + 2, and its last two lines; multiplied onto the product."""
        record, q = self._program.record, self._q
        loop = _Loop(Point(self._pair(), self._pair(), self._pair()), self._fp12())
        yield self._enter_p
        yield self._enter_q
        yield record(loop, lambda: _Loop(Point(q.x, q.y, self._one), self._unity))
        double = record(loop, lambda: self._doubled(loop))
        add = record(loop, lambda: self._added(loop, q))
        subtract = record(loop, lambda: self._added(loop, _Affine(q.x, -q.y)))
        for digit in signed_digits(6 * X + 2)[1:]:
            yield double
            if digit:
                yield add if digit > 0 else subtract
        for sign in (1, -1):
            yield record(q, lambda: self._turned(q))
            yield add if sign > 0 else subtract
        yield record(self._product, lambda: self._product * loop.product)

    def _doubled(self, loop: _Loop) -> _Loop:
        """The point doubled, the product squared and times the tangent at it."""
        x, y, z = loop.point.x, loop.point.y, loop.point.z
        half = self._program.constant((PRIME + 1) // 2)
        a, b, c = (x * y).scaled(half), y.squared(), z.squared()
        e = self._complex(TWIST_B) * (c + c + c)
        f = e + e + e
        g, h = (b + f).scaled(half), (y + z).squared() - (b + c)
        ee, xx = e.squared(), x.squared()
        point = Point(a * (b - f), g.squared() - (ee + ee + ee), b * h)
        line = self._line(-h, xx + xx + xx, e - b)
        return _Loop(point, loop.product.squared() * line)

    def _added(self, loop: _Loop, q: _Affine) -> _Loop:
        """The sum with q, the product times the line through both."""
        x, y, z = loop.point.x, loop.point.y, loop.point.z
        theta, slope = y - q.y * z, x - q.x * z
        d = slope.squared()
        e, f, g = slope * d, z * theta.squared(), x * d
        h = e + f - (g + g)
        point = Point(slope * h, theta * (g - h) - e * y, z * e)
        line = self._line(slope, -theta, theta * q.x - slope * q.y)
        return _Loop(point, loop.product * line)

    def _line(self, at_y: Fp2, at_x: Fp2, rest: Fp2) -> Fp12:
        """``at_y yP + at_x xP w + rest w**3``."""
        zero = self._zero
        powers = [at_y.scaled(self._py), at_x.scaled(self._px), zero, rest, zero, zero]
        return fp12_of(powers)

    def _turned(self, q: _Affine) -> _Affine:
        """Frobenius' endomorphism, carried over to the twist."""
        turn = self._rotations
        return _Affine(q.x.conjugate() * turn[2], q.y.conjugate() * turn[3])

    def _frobenius(self, x: Fp12) -> Fp12:
        """``x ** p``."""
        pairs = zip(x.powers(), self._rotations, strict=True)
        return fp12_of([part.conjugate() * turn for part, turn in pairs])

    def _record_end(self) -> Iterator[Segment]:
        """The final exponentiation; a power of it, which is one exactly when the pairing is."""
        segments: list[Segment] = []

        def let(compute: Callable[[], Fp12]) -> Fp12:
            variable = self._fp12()
            segments.append(self._program.record(variable, compute))
            return variable

        def powered(base: Fp12) -> Fp12:
            """``base ** -x``, base in the cyclotomic subgroup."""
            power = let(lambda: base)
            square = self._program.record(power, power.squared)
            times = self._program.record(power, lambda: power * base)
            segments.extend(_ladder(X, square, times))
            return let(power.conjugate)

        def frobenius(x: Fp12, count: int) -> Fp12:
            for _ in range(count):
                x = self._frobenius(x)
            return x

        def inverted(x: Fp12) -> Fp12:
            norm, power = self._program.variable(), self._program.variable()
            segments.append(self._program.record(norm, lambda: fp12_norm(x)[1]))
            segments.append(self._program.record(power, lambda: norm))
            square = self._program.record(power, lambda: power * power)
            times = self._program.record(power, lambda: power * norm)
            segments.extend(_ladder(PRIME - 2, square, times))
            return let(lambda: fp12_scaled(fp12_norm(x)[0], power))

        inverse = inverted(self._product)
        unitary = let(lambda: self._product.conjugate() * inverse)
        r = let(lambda: frobenius(unitary, 2) * unitary)
        y0 = powered(r)
        y1 = let(y0.squared)
        y3 = let(lambda: y1.squared() * y1)
        y4 = powered(y3)
        y6 = powered(let(y4.squared))
        y8 = let(lambda: y6.conjugate() * y4 * y3.conjugate())
        y9 = let(lambda: y8 * y1)
        y13 = let(lambda: frobenius(y9, 1) * (y8 * y4 * r))
        y14 = let(lambda: frobenius(y8, 2) * y13)
        y16 = let(lambda: frobenius(r.conjugate() * y9, 3) * y14)
        self._result = let(lambda: _mapped(y16, self._program.left))
        yield from segments


def _mapped(x: Fp12, change: Callable[[Element], Element]) -> Fp12:
    return fp12_of([Fp2(change(part.c0), change(part.c1)) for part in x.powers()])


def _ladder(exponent: int, square: Segment, times: Segment) -> Iterator[Segment]:
    """Squarings and products that make a base its power."""
    for bit in bin(exponent)[3:]:
        yield square
        if bit == "1":
            yield times


def signed_digits(number: int) -> list[int]:
    """Digits -1, 0, 1 in base two, no two neighbours both nonzero, highest first."""
    digits = []
    while number:
        digit = 2 - number % 4 if number % 2 else 0
        digits.append(digit)
        number = (number - digit) // 2
    return digits[::-1]


@cache
def bn254_pairing() -> Pairing:
    """The program, recorded on the first call."""
    return Pairing()
