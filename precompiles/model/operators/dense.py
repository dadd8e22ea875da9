"""Products with int32 or int64 sums."""

from dataclasses import dataclass

from precompiles.model.operators.fields import Ints, Value


@dataclass(frozen=True, slots=True)
class Gemm:
    """``out[.., n] = RQ(bias[n] + sum_k x[.., k] * weight[k, n]; multiplier[n])``.

    x u8 or s16 (.., K) · weight const s8 (K, N) · bias const s32 (N), zero point of x folded in ·
    multiplier const s32 (N) · out u8, s8, s16 or s32 (.., N).
    """

    x: Value
    weight: Value
    bias: Value
    multiplier: Value
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class Conv:
    """2-D convolution, NHWC, requantised like Gemm; the border is filled with ``pad_value``.

    x u8 or s16 (H, W, C) · weight const s8 (KH, KW, C / group, O) · bias const s32 (O) ·
    multiplier const s32 (O) · strides, dilations (h, w) · pads (top, left, bottom, right) · C and O
    divide by group, output channel o reads input group ``o // (O // group)`` · out u8, s8, s16 or
    s32 (OH, OW, O).
    """

    x: Value
    weight: Value
    bias: Value
    multiplier: Value
    strides: Ints
    pads: Ints
    dilations: Ints
    group: int
    pad_value: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class LinearInteger:
    """``out[.., n] = bias[n] + sum_k x[.., k] * weight[k, n]``, exact in 64 bits.

    x s32 or s64 (.., K) · weight const s32 (K, N) · bias const s64 (N) · out s64 (.., N);
    ``sum_k max|x_k| * |w_kn| + |bias_n| < 2**63`` proven.
    """

    x: Value
    weight: Value
    bias: Value
    output: Value


@dataclass(frozen=True, slots=True)
class MatMul:
    """``RQ(sum_k (a[.., m, k] - a_zero_point) * b[.., k, n]; multiplier)``, both computed.

    a tensor u8 or s16 (.., M, K) · b tensor s8, or s16 when a is s16, (.., K, N), or (.., N, K)
    when ``transpose_b`` is 1; leading axes equal, rank >= 2 · out u8, s8, s16 or s32 (.., M, N).
    Every partial sum, the zero point's share included, fits int32 (proven from the intervals).
    """

    a: Value
    b: Value
    a_zero_point: int
    transpose_b: int
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value
