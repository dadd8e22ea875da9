"""Inputs of the contracts on alt_bn128, ordinary and hostile."""

from collections.abc import Iterator
from random import Random
from typing import Any

from py_ecc import optimized_bn128 as bn

from tests.chain.precompiled_inputs import Case, words


def bn1(point: Any) -> bytes:
    x, y = bn.normalize(point)
    return words(int(x), int(y))


def bn2(point: Any) -> bytes:
    x, y = bn.normalize(point)
    return words(*(int(c) for c in (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0])))


def bn_cases(random: Random, count: int) -> Iterator[Case]:
    p, r = bn.field_modulus, bn.curve_order
    a, b = (bn.multiply(bn.G1, random.randrange(1, r)) for _ in range(2))
    pairs = ((a, b), (a, a), (a, bn.neg(a)), (a, bn.Z1), (bn.Z1, a), (bn.Z1, bn.Z1))
    for first, second in pairs:
        yield 6, "points", bn1(first) + bn1(second)
    for _ in range(count):
        a, b = (bn.multiply(bn.G1, random.randrange(1, r)) for _ in range(2))
        yield 6, "random", bn1(a) + bn1(b)
        yield 7, "random", bn1(a) + words(random.randrange(2**256))
        yield 6, "cut", (bn1(a) + bn1(b))[: random.randrange(150)]
        yield 7, "cut", (bn1(a) + words(5))[: random.randrange(100)]
    for x, y in (
        (0, 1),
        (1, 0),
        (1, 1),
        (p, 0),
        (0, p),
        (p, p),
        (1, 2 + p),
        (1 + p, 2),
        (2**256 - 1, 0),
        (1, p - 2),
    ):
        yield 6, "odd point", words(x, y)
        yield 6, "odd second point", bn1(a) + words(x, y)
        yield 7, "odd point", words(x, y, 3)
        yield 8, "odd point", words(x, y) + bn2(bn.G2)
    for scalar in (0, 1, 2, 15, 16, 17, r - 1, r, r + 1, p, 2**128, 2**255, 2**256 - 1):
        yield 7, f"times {scalar:#x}", bn1(a) + words(scalar) + b"\5"
        yield 7, "infinity", words(0, 0, scalar)
    yield from bn_pairing_cases(random, count // 4)


def outside_bn(random: Random) -> Any:
    """A point of the twist outside the subgroup."""
    p = bn.field_modulus
    while True:
        x = bn.FQ2([random.randrange(p), random.randrange(p)])
        square = x * x * x + bn.b2
        y = fq2_root(square, p, bn.FQ2)
        if y is not None:
            return x, y, bn.FQ2.one()


def fq2_root(square: Any, p: int, field: Any) -> Any:
    """Square root in Fp[u] / (u**2 + 1), p = 3 mod 4; None when there is none."""
    a = square ** ((p - 3) // 4)
    x0, alpha = a * square, a * a * square
    if alpha == field([p - 1, 0]):
        root = field([0, 1]) * x0
    else:
        root = (field.one() + alpha) ** ((p - 1) // 2) * x0
    return root if root * root == square else None


def bn_pairing_cases(random: Random, count: int) -> Iterator[Case]:
    p, r = bn.field_modulus, bn.curve_order
    g1, g2 = bn1(bn.G1), bn2(bn.G2)
    yield 8, "empty", b""
    for size in (1, 191, 193, 384 + 64):
        yield 8, f"{size} bytes", bytes(size)
    yield 8, "infinities", bytes(192) * 3
    yield 8, "one pair", g1 + g2
    yield 8, "first infinity", bytes(64) + g2
    yield 8, "second infinity", g1 + bytes(128)
    yield 8, "inverse pairs", g1 + g2 + bn1(bn.neg(bn.G1)) + g2
    yield 8, "inverse pairs of G2", g1 + g2 + g1 + bn2(bn.neg(bn.G2))
    for _ in range(count + 1):
        a, b, c = (random.randrange(1, r) for _ in range(3))
        first, second = bn1(bn.multiply(bn.G1, a)), bn2(bn.multiply(bn.G2, b))
        third = bn1(bn.multiply(bn.G1, c))
        last = bn1(bn.neg(bn.multiply(bn.G1, (a * b + c) % r)))
        yield 8, "sum is zero", first + second + third + g2 + last + g2
        yield 8, "sum is not zero", first + second + last + g2
        yield 8, "outside the subgroup", first + bn2(outside_bn(random))
        yield 8, "infinity with a point outside", bytes(64) + bn2(outside_bn(random))
    for place in range(4):
        for value in (p, 2**256 - 1, 0, 1):
            changed = bytearray(g2)
            changed[32 * place : 32 * place + 32] = words(value)
            yield 8, "odd point of G2", g1 + bytes(changed)
    yield 8, "second pair malformed", g1 + g2 + g1 + words(1, 2, 3, 4)
