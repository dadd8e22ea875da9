"""The tower of extension fields over which BN254's pairing works.

Fp2 = Fp[u] / (u**2 + 1), Fp6 = Fp2[v] / (v**3 - (9 + u)), Fp12 = Fp6[w] / (w**2 - v).
Products are Karatsuba's; a factor that is known to be zero costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from chain.evm.precompiled.machine import Element


@dataclass(frozen=True, slots=True)
class Fp2:
    """``c0 + c1 u``."""

    c0: Element
    c1: Element

    def __add__(self, other: Self) -> "Fp2":
        return Fp2(self.c0 + other.c0, self.c1 + other.c1)

    def __sub__(self, other: Self) -> "Fp2":
        return Fp2(self.c0 - other.c0, self.c1 - other.c1)

    def __neg__(self) -> "Fp2":
        return Fp2(-self.c0, -self.c1)

    def __mul__(self, other: Self) -> "Fp2":
        low, high = self.c0 * other.c0, self.c1 * other.c1
        cross = (self.c0 + self.c1) * (other.c0 + other.c1)
        return Fp2(low - high, cross - low - high)

    def squared(self) -> "Fp2":
        """Two products instead of three."""
        cross = self.c0 * self.c1
        return Fp2((self.c0 + self.c1) * (self.c0 - self.c1), cross + cross)

    def scaled(self, factor: Element) -> "Fp2":
        """Times an element of Fp."""
        return Fp2(self.c0 * factor, self.c1 * factor)

    def conjugate(self) -> "Fp2":
        """``self ** p``."""
        return Fp2(self.c0, -self.c1)

    def shifted(self) -> "Fp2":
        """Times 9 + u, which is v**3."""
        return Fp2(_nine(self.c0) - self.c1, _nine(self.c1) + self.c0)

    def norm(self) -> Element:
        """``self ** (p + 1)``, an element of Fp."""
        return self.c0 * self.c0 + self.c1 * self.c1

    def elements(self) -> list[Element]:
        """c0, c1."""
        return [self.c0, self.c1]


def _nine(x: Element) -> Element:
    double = x + x
    quadruple = double + double
    return quadruple + quadruple + x


@dataclass(frozen=True, slots=True)
class Fp6:
    """``c0 + c1 v + c2 v**2``."""

    c0: Fp2
    c1: Fp2
    c2: Fp2

    def __add__(self, other: Self) -> "Fp6":
        return Fp6(self.c0 + other.c0, self.c1 + other.c1, self.c2 + other.c2)

    def __sub__(self, other: Self) -> "Fp6":
        return Fp6(self.c0 - other.c0, self.c1 - other.c1, self.c2 - other.c2)

    def __neg__(self) -> "Fp6":
        return Fp6(-self.c0, -self.c1, -self.c2)

    def __mul__(self, other: Self) -> "Fp6":
        x, y, z = self.c0 * other.c0, self.c1 * other.c1, self.c2 * other.c2
        yz = (self.c1 + self.c2) * (other.c1 + other.c2) - y - z
        xy = (self.c0 + self.c1) * (other.c0 + other.c1) - x - y
        xz = (self.c0 + self.c2) * (other.c0 + other.c2) - x - z
        return Fp6(x + yz.shifted(), xy + z.shifted(), xz + y)

    def shifted(self) -> "Fp6":
        """Times v, which is w**2."""
        return Fp6(self.c2.shifted(), self.c0, self.c1)

    def elements(self) -> list[Element]:
        """Those of c0, c1, c2."""
        return [*self.c0.elements(), *self.c1.elements(), *self.c2.elements()]


@dataclass(frozen=True, slots=True)
class Fp12:
    """``c0 + c1 w``."""

    c0: Fp6
    c1: Fp6

    def __mul__(self, other: Self) -> "Fp12":
        low, high = self.c0 * other.c0, self.c1 * other.c1
        cross = (self.c0 + self.c1) * (other.c0 + other.c1)
        return Fp12(low + high.shifted(), cross - low - high)

    def squared(self) -> "Fp12":
        """Two products of Fp6 instead of three."""
        cross = self.c0 * self.c1
        low = (self.c0 + self.c1) * (self.c0 + self.c1.shifted())
        return Fp12(low - cross - cross.shifted(), cross + cross)

    def conjugate(self) -> "Fp12":
        """``self ** (p ** 6)``: the inverse of an element of the cyclotomic subgroup."""
        return Fp12(self.c0, -self.c1)

    def powers(self) -> list[Fp2]:
        """Coefficients of 1, w, w**2, ... w**5."""
        low, high = self.c0, self.c1
        return [low.c0, high.c0, low.c1, high.c1, low.c2, high.c2]

    def elements(self) -> list[Element]:
        """Those of c0, c1."""
        return [*self.c0.elements(), *self.c1.elements()]


def fp12_of(powers: list[Fp2]) -> Fp12:
    """From the coefficients of 1, w, w**2, ... w**5."""
    return Fp12(Fp6(*powers[0::2]), Fp6(*powers[1::2]))


def fp12_made_by(make: Callable[[], Element]) -> Fp12:
    """From twelve new elements."""
    return fp12_of([Fp2(make(), make()) for _ in range(6)])


def fp6_norm(x: Fp6) -> tuple[Fp6, Fp2]:
    """(y, n) with ``x * y = n``, n in Fp2."""
    y = Fp6(
        x.c0.squared() - (x.c1 * x.c2).shifted(),
        x.c2.squared().shifted() - x.c0 * x.c1,
        x.c1.squared() - x.c0 * x.c2,
    )
    return y, x.c0 * y.c0 + (x.c2 * y.c1 + x.c1 * y.c2).shifted()


def fp12_norm(x: Fp12) -> tuple[Fp12, Element]:
    """(y, n) with ``x * y = n``, n in Fp: the inverse is y / n."""
    fp6 = x.c0 * x.c0 - (x.c1 * x.c1).shifted()
    rest, fp2 = fp6_norm(fp6)
    zero = Fp2(fp2.c0.program.zero, fp2.c0.program.zero)
    scale = rest * Fp6(fp2.conjugate(), zero, zero)
    return Fp12(x.c0 * scale, -(x.c1 * scale)), fp2.norm()


def fp12_scaled(x: Fp12, factor: Element) -> Fp12:
    """Times an element of Fp."""
    return fp12_of([part.scaled(factor) for part in x.powers()])
