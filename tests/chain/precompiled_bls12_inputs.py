"""Inputs of the contracts on BLS12-381 and of point evaluation, ordinary and hostile."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple

from py_ecc import optimized_bls12_381 as bls
from py_ecc.bls.point_compression import compress_G1, decompress_G1

from tests.chain.precompiled_bn254_inputs import fq2_root
from tests.chain.precompiled_inputs import Case, words

SECRET_G1 = int(
    "ad3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c81",
    16,
)
"""The trusted setup's secret times the generator: with it, linear polynomials can be proved."""


def fields(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(64, "big") for number in numbers)


def numbers_below(random: Random, bound: int) -> int:
    return random.choice(
        [0, 1, 2, 3, bound - 1, bound - 2, bound // 2, random.randrange(bound), bound, bound + 1]
    )


def bls1(point: Any) -> bytes:
    x, y = bls.normalize(point)
    return fields(int(x), int(y)) if not bls.is_inf(point) else bytes(128)


def bls2(point: Any) -> bytes:
    x, y = bls.normalize(point)
    return (
        fields(*(int(c) for c in (*x.coeffs, *y.coeffs))) if not bls.is_inf(point) else bytes(256)
    )


def outside_bls(random: Random) -> tuple[Any, Any]:
    """Points of the curve and of the twist outside the subgroups."""
    p = bls.field_modulus
    while True:
        x = bls.FQ(random.randrange(p))
        square = x * x * x + bls.b
        y = square ** ((p + 1) // 4)
        if y * y == square:
            first = (x, y, bls.FQ.one())
            break
    while True:
        x2 = bls.FQ2([random.randrange(p), random.randrange(p)])
        root = fq2_root(x2 * x2 * x2 + bls.b2, p, bls.FQ2)
        if root is not None:
            return first, (x2, root, bls.FQ2.one())


class Curve(NamedTuple):
    """G1 or G2: addresses of its contracts, points, encoding, elements of Fp per coordinate."""

    add: int
    msm: int
    map_to: int
    generator: Any
    infinity: Any
    encoded: Callable[[Any], bytes]
    degree: int


CURVES = (
    Curve(0xB, 0xC, 0x10, bls.G1, bls.Z1, bls1, 1),
    Curve(0xD, 0xE, 0x11, bls.G2, bls.Z2, bls2, 2),
)


def bls_cases(random: Random, count: int) -> Iterator[Case]:
    for curve in CURVES:
        a = bls.multiply(curve.generator, random.randrange(1, bls.curve_order))
        outside, other = (outside_bls(random)[curve.degree - 1] for _ in range(2))
        yield from bls_addition_cases(curve, a, outside, other)
        yield from bls_msm_cases(random, curve, a, outside)
        yield from bls_map_cases(random, curve, count)
    for _ in range(count // 2):
        first, second = outside_bls(random), outside_bls(random)
        yield 0xB, "random", bls1(first[0]) + bls1(second[0])
        yield 0xD, "random", bls2(first[1]) + bls2(second[1])
    yield from bls_pairing_cases(random, count // 4)


def bls_addition_cases(curve: Curve, a: Any, outside: Any, other: Any) -> Iterator[Case]:
    infinity, p = curve.infinity, bls.field_modulus
    for x in (a, outside, infinity):
        for y in (a, bls.neg(a), curve.generator, outside, bls.neg(outside), other, infinity):
            yield curve.add, "points", curve.encoded(x) + curve.encoded(y)
    low = (bls.FQ(0), bls.FQ(2), bls.FQ(1))
    yield 0xB, "x is zero", bls1(low) + bls1(low)
    data = curve.encoded(a) + curve.encoded(curve.generator)
    for changed in (data[:-1], data + b"\0", b"", data[: len(data) // 2]):
        yield curve.add, "length", changed
    for place in range(0, len(data), 64):
        number = int.from_bytes(data[place : place + 64], "big")
        flags = [number | 1 << bit for bit in (381, 382, 383, 384, 511)]
        for value in (0, p, p - 1, number + p, 1 << 382, *flags):
            yield curve.add, "odd coordinate", data[:place] + fields(value) + data[place + 64 :]


def bls_msm_cases(random: Random, curve: Curve, a: Any, outside: Any) -> Iterator[Case]:
    r, encoded = bls.curve_order, curve.encoded
    for count in (1, 2, 3, 5):
        points = [bls.multiply(curve.generator, random.randrange(1, r)) for _ in range(count)]
        items = [encoded(point) + words(random.randrange(2**256)) for point in points]
        yield curve.msm, f"{count} points", b"".join(items)
    for scalar in (0, 1, 2, r - 1, r, r + 1, 2 * r, 2**255, 2**256 - 1):
        yield curve.msm, "scalar", encoded(a) + words(scalar)
        yield curve.msm, "infinity", encoded(curve.infinity) + words(scalar)
        yield curve.msm, "outside", encoded(outside) + words(scalar)
    yield curve.msm, "cancelled", encoded(a) + words(5) + encoded(a) + words(r - 5)
    yield curve.msm, "second outside", encoded(a) + words(5) + encoded(outside) + words(0)
    size = len(encoded(a)) + 32
    for changed in (b"", bytes(size - 1), bytes(size + 1), bytes(size), bytes(3 * size)):
        yield curve.msm, "length", changed
    for value in (bls.field_modulus, 2**384, 1):
        yield curve.msm, "odd coordinate", fields(value) + encoded(a)[64:] + words(1)


def bls_map_cases(random: Random, curve: Curve, count: int) -> Iterator[Case]:
    p, address, degree = bls.field_modulus, curve.map_to, curve.degree
    for _ in range(count):
        yield address, "random", fields(*(random.randrange(p) for _ in range(degree)))
    for _ in range(12):
        yield address, "edge", fields(*(numbers_below(random, p) for _ in range(degree)))
    for size in (0, 63, 64, 65, 127, 128, 129):
        yield address, f"{size} bytes", bytes(size)
    yield address, "top bytes", fields(*(1 << 384 for _ in range(degree)))


def bls_pairing_cases(random: Random, count: int) -> Iterator[Case]:
    r = bls.curve_order
    g1, g2, out = bls1(bls.G1), bls2(bls.G2), outside_bls(random)
    for size in (0, 1, 383, 385, 384, 768):
        yield 0xF, f"{size} bytes", bytes(size)
    yield 0xF, "one pair", g1 + g2
    yield 0xF, "first infinity", bytes(128) + g2
    yield 0xF, "second infinity", g1 + bytes(256)
    yield 0xF, "inverse pairs", g1 + g2 + bls1(bls.neg(bls.G1)) + g2
    yield 0xF, "first outside", bls1(out[0]) + g2
    yield 0xF, "second outside", g1 + bls2(out[1])
    yield 0xF, "first outside, second infinity", bls1(out[0]) + bytes(256)
    yield 0xF, "first infinity, second outside", bytes(128) + bls2(out[1])
    yield 0xF, "not on the curve", fields(1, 1) + g2
    yield 0xF, "not on the twist", g1 + fields(1, 2, 3, 4)
    for _ in range(count + 1):
        a, b = (random.randrange(1, r) for _ in range(2))
        first, second = bls1(bls.multiply(bls.G1, a)), bls2(bls.multiply(bls.G2, b))
        last = bls1(bls.neg(bls.multiply(bls.G1, a * b % r)))
        yield 0xF, "sum is zero", first + second + last + g2
        yield 0xF, "sum is not zero", first + second + g1 + g2


def kzg_cases(random: Random, count: int) -> Iterator[Case]:
    order = bls.curve_order
    infinity = b"\xc0" + bytes(47)

    def made(commitment: bytes, proof: bytes, z: int, y: int, version: int = 1) -> bytes:
        digest = bytes([version]) + sha256(commitment).digest()[1:]
        return digest + words(z, y) + commitment + proof

    def compressed(point: Any) -> bytes:
        return int(compress_G1(point)).to_bytes(48, "big")

    for constant in (0, 1, order - 1, *(random.randrange(order) for _ in range(count // 4))):
        commitment = compressed(bls.multiply(bls.G1, constant)) if constant else infinity
        for z in (0, 1, order - 1, random.randrange(order)):
            yield 0xA, "constant polynomial", made(commitment, infinity, z, constant)
        yield 0xA, "wrong y", made(commitment, infinity, 5, (constant + 1) % order)
        yield 0xA, "wrong proof", made(commitment, compressed(bls.G1), 5, constant)
    secret = decompress_G1(SECRET_G1)
    for slope, rest in (
        (1, 0),
        *((random.randrange(order), random.randrange(order)) for _ in "123"),
    ):
        point = bls.add(bls.multiply(secret, slope), bls.multiply(bls.G1, rest))
        z = random.randrange(order)
        y, proof = (slope * z + rest) % order, compressed(bls.multiply(bls.G1, slope))
        yield 0xA, "linear polynomial", made(compressed(point), proof, z, y)
        yield 0xA, "linear polynomial, wrong y", made(compressed(point), proof, z, z)
        yield 0xA, "linear polynomial, wrong z", made(compressed(point), proof, y, y)
    for z, y in ((order, 1), (2**256 - 1, 1), (1, order), (1, order + 1), (0, 2**256 - 1)):
        yield 0xA, "not below the order", made(compressed(bls.G1), infinity, z, y)
    good = made(compressed(bls.G1), infinity, 3, 1)
    yield 0xA, "good", good
    for changed in (
        good[:-1],
        good + b"\0",
        b"",
        b"\2" + good[1:],
        good[:31] + b"\xff" + good[32:],
    ):
        yield 0xA, "malformed", changed
    outside = compressed(outside_bls(random)[0])
    for place in (
        b"\0" * 48,
        b"\xc0" + b"\0" * 46 + b"\1",
        b"\xe0" + bytes(47),
        b"\x40" + bytes(47),
        b"\xff" * 48,
        b"\x80" + bytes(47),
        outside,
        b"\xa0" + bytes(46) + b"\5",
    ):
        yield 0xA, "bad commitment", made(place, infinity, 3, 1)
        yield 0xA, "bad proof", made(compressed(bls.G1), place, 3, 1)
