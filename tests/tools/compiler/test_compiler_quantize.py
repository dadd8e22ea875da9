"""The laws of multipliers, shifts, scales and grids."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompiles.model.types import DType
from tools.compiler.quantize import (
    activation_grid,
    ceil_log2,
    exact_grid,
    power_of_two,
    quantize_array,
    quantize_value,
    requantize_multipliers,
    round_half_up,
    round_scale,
    signed_multipliers,
    weight_scales,
)

RATIOS = st.fractions(min_value=Fraction(1, 1 << 40), max_value=Fraction(1 << 20)).filter(bool)
BOUNDS = st.integers(1, (1 << 31) - 1)


@given(st.lists(RATIOS, min_size=1, max_size=5), BOUNDS)
def test_requantize_multipliers_obey_the_law(ratios: list[Fraction], bound: int) -> None:
    multipliers, shift = requantize_multipliers(ratios, bound)
    assert 1 <= shift <= 62
    assert all(1 <= item < 1 << 31 for item in multipliers)
    assert max(multipliers) * bound < 1 << 62
    for ratio, multiplier in zip(ratios, multipliers, strict=True):
        if multiplier > 1:
            assert abs(Fraction(multiplier, 1 << shift) - ratio) <= Fraction(1, 1 << (shift + 1))


@given(RATIOS)
def test_the_largest_multiplier_fills_its_31_bits(ratio: Fraction) -> None:
    multipliers, shift = requantize_multipliers([ratio], (1 << 31) - 1)
    assert multipliers[0] >= 1 << 30 or shift == 62


@given(st.integers(1, (1 << 58) - 1))
def test_a_wide_operand_gets_a_shorter_multiplier(bound: int) -> None:
    multipliers, _ = requantize_multipliers([Fraction(1, 3)], bound)
    assert multipliers[0] * bound < 1 << 62
    assert multipliers[0] >= 1 << 30 or (2 * multipliers[0] + 2) * bound >= 1 << 62


@pytest.mark.parametrize("ratio", [Fraction(0), Fraction(-1, 2), Fraction(1 << 31)])
def test_ratios_without_a_multiplier_are_refused(ratio: Fraction) -> None:
    with pytest.raises(ValueError, match="multiplier"):
        requantize_multipliers([ratio], 1)


@given(RATIOS, RATIOS, st.sampled_from([-1, 1]), BOUNDS, BOUNDS)
def test_signed_multipliers_obey_the_law(
    first: Fraction, second: Fraction, sign: int, left: int, right: int
) -> None:
    a, b, shift = signed_multipliers((first, sign * second), (left, right))
    assert 0 < abs(a) < 1 << 31
    assert 0 < abs(b) < 1 << 31
    assert 1 <= shift <= 62
    assert (b > 0) == (sign > 0)
    assert left * abs(a) + right * abs(b) + (1 << (shift - 1)) < 1 << 62


@given(st.floats(1e-9, 1e12))
def test_round_scale_covers_and_is_near(value: float) -> None:
    scale = round_scale(value)
    assert 0 <= float(scale / Fraction(value)) - 1 <= 2.0**-22
    assert scale.numerator < 1 << 64
    assert scale.denominator < 1 << 64


@given(st.fractions(min_value=Fraction(1, 1 << 50), max_value=1 << 50).filter(bool))
def test_ceil_log2(value: Fraction) -> None:
    exponent = ceil_log2(value)
    assert power_of_two(exponent - 1) < value <= power_of_two(exponent)


@given(
    st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from([DType.U8, DType.S16, DType.S32])
)
def test_activation_grid_covers_its_range(first: float, second: float, dtype: DType) -> None:
    low, high = min(first, second), max(first, second)
    grid = activation_grid(low, high, dtype)
    assert quantize_value(0.0, grid) == grid.zero_point
    for value in (low, high):
        code = quantize_value(value, grid)
        error = abs(grid.scale * (code - grid.zero_point) - Fraction(value))
        assert error <= grid.scale * (1 if dtype is DType.U8 else Fraction(1, 2))


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=20))
def test_arrays_quantise_as_single_values(values: list[float]) -> None:
    grid = activation_grid(-100.0, 120.0, DType.S16)
    codes = quantize_array(np.array(values), grid).tolist()
    singles = [quantize_value(value, grid) for value in values]
    assert all(abs(a - b) <= 1 for a, b in zip(codes, singles, strict=True))


def test_missing_values_become_the_lowest_word() -> None:
    grid = activation_grid(-1.0, 1.0, DType.S32)
    assert quantize_array(np.array([np.nan]), grid)[0] == -(1 << 31)


@pytest.mark.parametrize(
    ("values", "step"),
    [
        (np.arange(17), Fraction(1)),
        (np.arange(17) / 16, Fraction(1, 16)),
        (np.arange(256, dtype=np.float32) / np.float32(255), Fraction(1, 255)),
        (np.array([0.0, 0.5, 30.0]), Fraction(1, 2)),
        (np.array([-1.0, 0.0, 1.0]), None),
        (np.linspace(0, 1, 1000), None),
        (np.array([0.0, 0.3, 0.7, np.pi]), None),
    ],
)
def test_exact_grid(values: np.ndarray, step: Fraction | None) -> None:
    assert exact_grid(values.astype(np.float64)) == step


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_weight_scales_keep_sums_inside_31_bits(depth: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(depth, 4)) * 10.0 ** rng.integers(-4, 5, size=4)
    bias = rng.normal(size=4) * 10.0 ** rng.integers(-4, 5, size=4)
    scales = weight_scales(weight, bias, Fraction(1, 100), 32_768)
    for channel, scale in enumerate(scales):
        codes = np.abs(np.rint(weight[:, channel] / float(scale)))
        assert codes.max() <= 127
        offset = abs(bias[channel]) / float(scale / 100)
        assert codes.sum() * 32_768 + offset < (1 << 31) - 1
    assert max(scales) / min(scales) <= 1 << 45


@given(st.integers(-(10**6), 10**6), st.integers(1, 1000))
def test_round_half_up(numerator: int, denominator: int) -> None:
    value = Fraction(numerator, denominator)
    assert 0 <= round_half_up(value) - (value - Fraction(1, 2)) <= 1
    assert round_half_up(Fraction(numerator * 2 + 1, 2)) == numerator + 1
