"""Decimals in and out, against exact rationals."""

from fractions import Fraction
from math import floor, gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompiles.border import (
    DECIMAL_LIMIT,
    MISSING_DECIMAL,
    dequantize_decimal,
    quantize_decimal,
)
from precompiles.errors import PrecompileRevert
from precompiles.model.types import DType, Quantization

SCALES = st.tuples(st.integers(1, (1 << 64) - 1), st.integers(1, (1 << 64) - 1)).map(
    lambda pair: (pair[0] // gcd(*pair), pair[1] // gcd(*pair))
)
DECIMALS = st.integers(0, 18)
DTYPES = st.sampled_from(list(DType))
VALUES = st.one_of(
    st.integers(-DECIMAL_LIMIT + 1, DECIMAL_LIMIT - 1), st.integers(-(10**19), 10**19)
)


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


@given(st.lists(VALUES, max_size=5), DECIMALS, SCALES, DTYPES, st.data())
def test_quantise_is_the_rounded_rational(
    values: list[int], decimals: int, scale: tuple[int, int], dtype: DType, data: st.DataObject
) -> None:
    low, high = dtype.bounds
    zero_point = data.draw(st.integers(low, high))
    ordinary = low + 1 if dtype.size >= 4 else low
    expected = [
        min(
            max(zero_point + half_up(Fraction(v, 10**decimals) / Fraction(*scale)), ordinary),
            high,
        )
        for v in values
    ]
    assert quantize_decimal(values, decimals, Quantization(*scale, zero_point), dtype) == expected


@given(DTYPES, DECIMALS, SCALES, st.data())
def test_dequantise_is_the_rounded_rational_and_fits_int256(
    dtype: DType, decimals: int, scale: tuple[int, int], data: st.DataObject
) -> None:
    inside = st.integers(*dtype.bounds)
    zero_point, values = data.draw(inside), data.draw(st.lists(inside, max_size=5))
    values += dtype.bounds
    result = dequantize_decimal(values, decimals, Quantization(*scale, zero_point))
    assert result == [half_up(Fraction(*scale) * (q - zero_point) * 10**decimals) for q in values]
    assert all(-(1 << 255) <= value < 1 << 255 for value in result)


def test_the_worked_example() -> None:
    scale = Quantization(1, 64, 128)
    assert quantize_decimal([3 * 10**17], 18, scale, DType.U8) == [147]
    assert dequantize_decimal([147], 18, scale) == [296875 * 10**12]


def test_ties_round_up_on_both_sides_of_zero() -> None:
    assert quantize_decimal([-15, -5, 5, 15], 1, Quantization(1, 1, 0), DType.S8) == [-1, 0, 1, 2]
    halves = dequantize_decimal([-3, -1, 1, 3], 0, Quantization(1, 2, 0))
    assert halves == [-1, 0, 1, 2]


@pytest.mark.parametrize("dtype", [DType.S32, DType.S64])
def test_only_the_missing_decimal_becomes_the_missing_word(dtype: DType) -> None:
    low, _ = dtype.bounds
    scale = Quantization(1, 1, 0)
    assert quantize_decimal([MISSING_DECIMAL], 18, scale, dtype) == [low]
    assert quantize_decimal([-DECIMAL_LIMIT + 1], 0, scale, dtype) == [low + 1]


@pytest.mark.parametrize("dtype", [DType.U8, DType.S8, DType.S16])
def test_narrow_tensors_have_no_missing_word(dtype: DType) -> None:
    with pytest.raises(PrecompileRevert):
        quantize_decimal([MISSING_DECIMAL], 18, Quantization(1, 1, 0), dtype)


@pytest.mark.parametrize("value", [DECIMAL_LIMIT, -DECIMAL_LIMIT - 1, 1 << 255, -(1 << 255)])
def test_what_is_wider_than_int128_reverts_with_its_place(value: int) -> None:
    with pytest.raises(PrecompileRevert) as caught:
        quantize_decimal([1, value], 18, Quantization(1, 1, 0), DType.S64)
    assert caught.value.signature == "DecimalOutOfRange(uint256,int256)"
    assert caught.value.arguments == (1, value)


@pytest.mark.parametrize("decimals", [-1, 19])
def test_illegal_decimals_are_a_value_error(decimals: int) -> None:
    with pytest.raises(ValueError, match="0 to 18"):
        quantize_decimal([], decimals, Quantization(1, 1, 0), DType.U8)
    with pytest.raises(ValueError, match="0 to 18"):
        dequantize_decimal([], decimals, Quantization(1, 1, 0))
