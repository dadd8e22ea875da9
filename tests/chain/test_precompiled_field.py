"""Field programs: the kernel against its plain form, towers, points and pairings against py_ecc."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from py_ecc import optimized_bn128 as bn

from chain.evm.precompiled.machine import Element, Elements, Program, script_of
from chain.evm.precompiled.pairing import ORDER, PRIME, TWIST_B, X, bn254_pairing, signed_digits
from chain.evm.precompiled.points import Multiplication, Point, added, doubled
from chain.evm.precompiled.tower import (
    Fp2,
    Fp12,
    fp12_made_by,
    fp12_norm,
    fp12_of,
    fp12_scaled,
)
from precompiles.kernels import field
from tests.chain.precompiled_bn254_inputs import outside_bn

REGISTERS = 40
EDGES = (0, 1, 2, PRIME - 1, PRIME - 2, PRIME // 2, (1 << 192) - 1, (1 << 253) - 1)


def registers(random: Random, prime: int) -> np.ndarray:
    words = [prime, -pow(prime, -1, 1 << 64) % (1 << 64)]
    for _ in range(REGISTERS - 2):
        words.append(random.choice([*EDGES, random.randrange(prime)]) % prime)
    return np.frombuffer(b"".join(word.to_bytes(32, "little") for word in words), np.uint8).copy()


@pytest.mark.parametrize("prime", [PRIME, ORDER, 3, (1 << 254) - 127])
def test_the_kernel_equals_its_plain_form(prime: int) -> None:
    random = Random(prime)
    for _ in range(20):
        rows = [
            (random.randrange(3), *(random.randrange(2, REGISTERS) for _ in range(3)))
            for _ in range(200)
        ]
        code = np.array(rows, np.int32).reshape(-1).view(np.uint8)
        script = script_of([(0, 150), (10, 60), (150, 200), (7, 7)])
        compiled = registers(random, prime)
        plain = compiled.copy()
        field.run_script(compiled, code, script, 1)
        field.run_script.source(plain, code, script, 1)
        assert (compiled == plain).all()


def computed(compute: Callable[[list[Element]], Elements], inputs: list[int]) -> list[int]:
    """Record one formula over inputs, run it, read its result."""
    program = Program(PRIME)
    given = [program.variable() for _ in inputs]

    class Given:
        def elements(self) -> list[Element]:
            return given

    class Result:
        def __init__(self, elements: list[Element]) -> None:
            self._elements = elements

        def elements(self) -> list[Element]:
            return self._elements

    enter = program.record(Given(), lambda: Result([program.entered(e) for e in given]))
    size = len(compute(given).elements())  # recorded twice, the first is never run
    target = Result([program.variable() for _ in range(size)])
    step = program.record(target, lambda: compute(given))
    leave = program.record(target, lambda: Result([program.left(e) for e in target.elements()]))
    memory = program.memory()
    memory.write(Given(), inputs)
    memory.run(script_of([enter, step, leave]))
    return memory.read(target)


def fp12_from(elements: list[Element]) -> Fp12:
    source = iter(elements)
    return fp12_made_by(lambda: next(source))


def specified(words: list[int]) -> bn.FQ12:
    """The same element in py_ecc's basis: u = w**6 - 9."""
    coefficients = [0] * 12
    low, high = words[:6], words[6:]
    powers = [part[2 * i : 2 * i + 2] for i in range(3) for part in (low, high)]
    for i, (real, imaginary) in enumerate(powers):
        coefficients[i] += real - 9 * imaginary
        coefficients[i + 6] += imaginary
    return bn.FQ12([c % PRIME for c in coefficients])


def fp12_words(random: Random) -> list[int]:
    """In the order of ``fp12_made_by``: by powers of w."""
    return [random.choice([0, 1, PRIME - 1, *[random.randrange(PRIME)] * 5]) for _ in range(12)]


def by_towers(words: list[int]) -> list[int]:
    """From powers of w to the order of ``Fp12.elements``."""
    powers = [words[2 * i : 2 * i + 2] for i in range(6)]
    return [word for part in (*powers[0::2], *powers[1::2]) for word in part]


def test_the_tower_is_py_eccs_field() -> None:
    random = Random(12)
    for _ in range(6):
        a, b = fp12_words(random), fp12_words(random)
        x, y = specified(by_towers(a)), specified(by_towers(b))
        product = computed(lambda e: fp12_from(e[:12]) * fp12_from(e[12:]), a + b)
        assert specified(product) == x * y
        assert specified(computed(lambda e: fp12_from(e).squared(), a)) == x * x
        assert specified(computed(lambda e: fp12_from(e).conjugate(), a)) == x ** (PRIME**6)
        norm = computed(lambda e: fp12_norm(fp12_from(e))[1], a)[0]
        inverse = pow(norm, -1, PRIME)
        made = computed(
            lambda e: fp12_scaled(fp12_norm(fp12_from(e[:12]))[0], e[12]), [*a, inverse]
        )
        assert specified(made) * x == bn.FQ12.one()


def test_known_zeros_cost_nothing() -> None:
    program = Program(PRIME)
    x, zero = program.variable(), program.zero
    empty = Fp2(zero, zero)
    sparse = fp12_of([Fp2(x, x), empty, empty, empty, empty, empty])
    first = program.record(sparse, lambda: sparse * sparse)
    full = fp12_made_by(program.variable)
    second = program.record(full, lambda: full * full)
    assert first[1] - first[0] < (second[1] - second[0]) // 4


def test_signed_digits() -> None:
    for number in (1, 2, 3, 7, 255, 6 * X + 2, PRIME):
        digits = signed_digits(number)
        assert sum(digit << i for i, digit in enumerate(reversed(digits))) == number
        assert not any(a and b for a, b in pairwise(digits))


def affine(point: tuple[bn.FQ, bn.FQ, bn.FQ]) -> list[int] | None:
    return None if bn.is_inf(point) else [int(c) for c in bn.normalize(point)]


def shown(words: list[int]) -> list[int] | None:
    x, y, z = words
    return None if z == 0 else [x * pow(z, -1, PRIME) % PRIME, y * pow(z, -1, PRIME) % PRIME]


def test_point_formulas_have_no_special_cases() -> None:
    random = Random(7)
    a = bn.multiply(bn.G1, random.randrange(ORDER))
    points = [bn.G1, a, bn.neg(a), bn.double(a), bn.multiply(bn.G1, ORDER - 1)]
    scaled = []
    for point in points:  # other representatives of the same points
        x, y = (int(c) for c in bn.normalize(point))
        z = random.randrange(1, PRIME)
        scaled.append([x * z % PRIME, y * z % PRIME, z])
    infinity = (bn.FQ(1), bn.FQ(1), bn.FQ(0))
    points.append(infinity)
    scaled.append([0, random.randrange(1, PRIME), 0])
    for p, p_words in zip(points, scaled, strict=True):
        twice = computed(lambda e: doubled(Point(*e), e[0].program.constant(9)), p_words)
        assert shown(twice) == affine(bn.double(p))
        for q, q_words in zip(points, scaled, strict=True):
            total = computed(
                lambda e: added(Point(*e[:3]), Point(*e[3:]), e[0].program.constant(9)),
                p_words + q_words,
            )
            assert shown(total) == affine(bn.add(p, q))


def test_multiplication_by_any_scalar() -> None:
    program = Program(PRIME)
    one, zero = program.constant(1), program.zero
    curve = Multiplication(program, program.variable, Point(zero, one, zero), program.constant(9))
    enter = program.record(curve.point, lambda: Point(one, one + one, one))
    leave = program.record(
        curve.result, lambda: Point(*(program.left(e) for e in curve.result.elements()))
    )
    random = Random(4)
    scalars = [0, 1, 2, 15, 16, 17, 255, 256, ORDER - 1, ORDER, ORDER + 1, 16**63, 2**256 - 1]
    for scalar in [*scalars, *(random.randrange(2**256) for _ in range(10))]:
        memory = program.memory()
        memory.run(script_of([enter, *curve.segments(scalar), leave]))
        assert shown(memory.read(curve.result)) == affine(bn.multiply(bn.G1, scalar)), scalar


def g2_words(point: tuple[bn.FQ2, bn.FQ2, bn.FQ2]) -> tuple[int, int, int, int]:
    x, y = bn.normalize(point)
    return tuple(int(c) for c in (*x.coeffs, *y.coeffs))  # type: ignore[return-value]


def test_pairing_is_a_power_of_py_eccs() -> None:
    random = Random(99)
    power = 2 * X * (6 * X * X + 3 * X + 1)
    for _ in range(2):
        p = bn.multiply(bn.G1, random.randrange(1, ORDER))
        q = bn.multiply(bn.G2, random.randrange(1, ORDER))
        x, y = (int(c) for c in bn.normalize(p))
        value = bn254_pairing().value([((x, y), g2_words(q))])
        assert specified(value) == bn.pairing(q, p) ** power


def test_subgroup_of_the_twist() -> None:
    random = Random(3)
    assert [c % PRIME for c in TWIST_B] == [int(c) for c in bn.b2.coeffs]
    for _ in range(4):
        inside = bn.multiply(bn.G2, random.randrange(1, ORDER))
        assert bn254_pairing().in_subgroup(g2_words(inside))
        outside = outside_bn(random)
        assert not bn254_pairing().in_subgroup(g2_words(outside))
        # of order 2p - r, and the sum of one of each
        cofactor = bn.multiply(outside, ORDER)
        assert not bn254_pairing().in_subgroup(g2_words(cofactor))
        assert not bn254_pairing().in_subgroup(g2_words(bn.add(cofactor, inside)))


def test_threads_do_not_disturb_each_other() -> None:
    g1, minus, g2 = (1, 2), (1, PRIME - 2), g2_words(bn.G2)
    cases = [([(g1, g2)], False), ([(g1, g2), (minus, g2)], True)] * 20
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda case: bn254_pairing().check(case[0]), cases))
    assert found == [want for _, want in cases]
