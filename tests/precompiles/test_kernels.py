"""Kernels against their twins at the shapes and values where vector code goes wrong."""

import numpy as np
import pytest

from precompiles.kernels.arrays import exact
from precompiles.kernels.integer import (
    divide_integer,
    divide_integer_reference,
    multiply_integer,
    multiply_integer_reference,
    piecewise_linear,
    piecewise_linear_reference,
)
from precompiles.kernels.requantize import (
    add,
    add_reference,
    multiply,
    multiply_reference,
    requantize,
    requantize_reference,
    requantize_value,
)
from precompiles.kernels.trees import trees, trees_reference

INT32_MAX = (1 << 31) - 1


@pytest.mark.parametrize("size", [1, 7, 8, 9, 16, 33, 100])
def test_rescaling_of_extreme_values(size: int) -> None:
    rng = np.random.default_rng(size)
    a = rng.choice([-INT32_MAX - 1, INT32_MAX, 0, -1, 1], size).astype(np.int32)
    b = rng.integers(-(1 << 31), 1 << 31, size).astype(np.int32)
    wide = (0, -INT32_MAX - 1, INT32_MAX)
    out = np.empty(size, np.int32)
    add(a, b, 3, -3, (1 << 29) - 1, -(1 << 28), 31, *wide, out)
    scales = (3, -3), ((1 << 29) - 1, -(1 << 28))
    assert np.array_equal(out, add_reference(exact(a), exact(b), *scales, 31, *wide))
    small = (b >> 20).astype(np.int32)
    multiply(a, small, -1, 1, 1 << 17, 47, *wide, out)
    expected = multiply_reference(exact(a), exact(small), (-1, 1), 1 << 17, 47, *wide)
    assert np.array_equal(out, expected)
    x = np.array([[-(1 << 61), (1 << 61) - 1, 0, 1, -1] * size])
    multiplier = np.resize(np.array([1, 1, INT32_MAX, INT32_MAX, 1]), x.size)
    rows = np.empty(x.shape, np.int32)
    requantize(x, multiplier, 0, 62, *wide, rows)
    assert np.array_equal(rows, requantize_reference(exact(x), exact(multiplier), 0, 62, *wide))


@pytest.mark.parametrize("shift", [0, 1, 31, 61])
def test_integer_products_and_quotients(shift: int) -> None:
    rng = np.random.default_rng(shift)
    a, b = rng.integers(-(1 << 31), 1 << 31, (2, 77))
    out = np.empty(77, np.int64)
    multiply_integer(a, b, shift, out)
    assert np.array_equal(out, multiply_integer_reference(exact(a), exact(b), shift))
    a >>= min(shift, 31)
    b = np.abs(b) // 2 + 1
    if shift == 61:
        a = np.sign(a)
    divide_integer(a, b, shift, out)
    assert np.array_equal(out, divide_integer_reference(exact(a), exact(b), shift))


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 1024])
def test_piecewise_linear_on_and_beside_every_knot(count: int) -> None:
    rng = np.random.default_rng(count)
    knots = np.unique(rng.integers(-(1 << 40), 1 << 40, count))
    values = rng.integers(-(1 << 60), 1 << 60, knots.size)
    slopes = rng.integers(-(1 << 20), 1 << 20, knots.size)
    x = np.concatenate((knots - 1, knots, knots + 1, [-(1 << 41), 1 << 41]))
    for shift in (0, 1, 30):
        out = np.empty(x.size, np.int64)
        piecewise_linear(x, knots, values, slopes, shift, out)
        expected = piecewise_linear_reference(*map(exact, (x, knots, values, slopes)), shift)
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("missing", [-(1 << 31), -(1 << 63)])
def test_trees_on_thresholds_and_missing_values(missing: int) -> None:
    """One split: right from the threshold on; a missing value by its own bit."""
    feature = np.array([0, -1, -2], np.int32)
    left, right = np.array([1, 0, 0], np.int32), np.array([2, 0, 0], np.int32)
    leaves, base = np.array([[10], [20]]), np.array([1000])
    roots = np.zeros(2, np.int32)
    threshold = np.array([5, 0, 0])
    x = np.array([[4], [5], [6], [missing], [missing + 1]])
    for bit, at_missing in ((0, 1020), (1, 1040)):
        missing_right = np.array([bit, 0, 0], np.uint8)
        out = np.empty((5, 1), np.int64)
        nodes = (roots, feature, threshold, left, right, missing_right, leaves, base)
        trees(x, *nodes, missing, out)
        assert out.ravel().tolist() == [1020, 1040, 1040, at_missing, 1020]
        for row, total in zip(x, out, strict=True):
            twin = trees_reference(exact(row), *map(exact, nodes), missing)
            assert twin.tolist() == total.tolist()


def test_ties_round_half_up() -> None:
    assert [requantize_value(value, 1, 1, 0) for value in (-3, -2, -1, 0, 1, 2, 3)] == [
        -1,
        -1,
        0,
        0,
        1,
        1,
        2,
    ]
