"""The border between decimal integers and quantised values, in unbounded integers.

A caller writes a real number as an integer with ``decimals`` decimals (a wad has 18). With
``S = scale_num / scale_den`` both directions round half up, once:

    (5a) q = clip(z + floor((2 * v * sd + sn * 10**d) / (2 * sn * 10**d)), lo, hi)
    (5b) v = floor((2 * (q - z) * sn * 10**d + sd) / (2 * sd))

Source: docs/spec/integer-model.md section 5.
"""

from collections.abc import Sequence

from precompiles.errors import PrecompileRevert
from precompiles.model.types import DType, Quantization

MAX_DECIMALS = 18
DECIMAL_LIMIT = 1 << 127
"""Legal decimals lie strictly between -2**127 and 2**127."""

MISSING_DECIMAL = -DECIMAL_LIMIT
"""Stands for a missing value; only s32 and s64 tensors have a word for it, their lowest."""


def quantize_decimal(
    values: Sequence[int], decimals: int, quantization: Quantization, dtype: DType
) -> list[int]:
    """Quantised form of decimal integers, eq. (5a); out of range saturates.

    An ordinary value never becomes the lowest word of s32 or s64, which means *missing*.

    Args:
        values: integers with ``decimals`` decimals, in (-2**127, 2**127), or MISSING_DECIMAL.
        decimals: 0 to 18.
        quantization: of the input port.
        dtype: of the input tensor.

    Raises:
        PrecompileRevert: DecimalOutOfRange(index, value); unused gas is returned.
        ValueError: illegal ``decimals``.
    """
    unit = quantization.scale_num * _power_of_ten(decimals)
    low, high = dtype.bounds
    has_missing = dtype in (DType.S32, DType.S64)
    lowest = low + 1 if has_missing else low
    doubled, divisor = 2 * quantization.scale_den, 2 * unit
    result = []
    for index, value in enumerate(values):
        if value == MISSING_DECIMAL and has_missing:
            result.append(low)
        elif not -DECIMAL_LIMIT < value < DECIMAL_LIMIT:
            raise PrecompileRevert("DecimalOutOfRange(uint256,int256)", (index, value))
        else:
            quantized = quantization.zero_point + (value * doubled + unit) // divisor
            result.append(min(max(quantized, lowest), high))
    return result


def dequantize_decimal(
    values: Sequence[int], decimals: int, quantization: Quantization
) -> list[int]:
    """Decimal integers of quantised values, eq. (5b); every result fits in int256.

    Args:
        values: elements of an output tensor.
        decimals: 0 to 18.
        quantization: of the output port.

    Raises:
        ValueError: illegal ``decimals``.
    """
    doubled = 2 * quantization.scale_num * _power_of_ten(decimals)
    scale_den, zero_point = quantization.scale_den, quantization.zero_point
    divisor = 2 * scale_den
    return [((value - zero_point) * doubled + scale_den) // divisor for value in values]


def _power_of_ten(decimals: int) -> int:
    if not 0 <= decimals <= MAX_DECIMALS:
        raise ValueError(f"decimals {decimals}, expected 0 to {MAX_DECIMALS}")
    return int(10**decimals)
