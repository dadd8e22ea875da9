"""The closed operator set. ONNX names where ONNX has the operator, layouts as stated.

Every field that ends in ``: Value`` holds a value id (see ``precompiles.model.types``); fields
that must be constants say so. ``output`` is always the last field. Attributes are plain integers
or tuples of integers. One rounding rule serves all (RQ, round half up, once):

    RQ(t; m, s, z, lo, hi) = min(max(z + ((t * m + 2**(s-1)) >> s), lo), hi)

with ``1 <= m < 2**31``, ``1 <= s <= 62`` and ``max|t| * m < 2**62`` proven by the validator.
Source: docs/spec/integer-model.md; each reference twin in ``precompiles.kernels`` is the law.
"""

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = int
Ints: TypeAlias = tuple[int, ...]


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

    x u8 or s16 (H, W, C) · weight const s8 (KH, KW, C / group, O) · bias const s32 (O) · multiplier const
    s32 (O) · strides, dilations (h, w) · pads (top, left, bottom, right) · C and O divide by group,
    output channel o reads input group ``o // (O // group)`` · out u8, s8, s16 or s32 (OH, OW, O).
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
class MaxPool:
    """Maximum over each window, border positions ignored. x u8, s8 or s16 (H, W, C), same out."""

    x: Value
    kernel: Ints
    strides: Ints
    pads: Ints
    output: Value


@dataclass(frozen=True, slots=True)
class AveragePool:
    """``out = RQ(sum over the window inside the image of (x - x_zero_point); multiplier[oh, ow])``.

    x u8, s8 or s16 (H, W, C) · multiplier const s32 (OH, OW), so that border windows may divide by
    their own area · out u8, s8 or s16 (OH, OW, C). Global pooling is the full-size kernel.
    """

    x: Value
    multiplier: Value
    kernel: Ints
    strides: Ints
    pads: Ints
    x_zero_point: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class Add:
    """``clip(z + (((a - za) * ma + (b - zb) * mb + 2**(s-1)) >> s))``: one rounding.

    a, b u8, s8, s16 or s32, tensor or constant, broadcast to the output shape by numpy's rule per
    sample (at least one is a tensor); ``ma``, ``mb`` in (-2**31, 2**31), not zero.
    """

    a: Value
    b: Value
    a_zero_point: int
    b_zero_point: int
    a_multiplier: int
    b_multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class Mul:
    """``RQ((a - za) * (b - zb); multiplier)``; operands and broadcasting as for Add."""

    a: Value
    b: Value
    a_zero_point: int
    b_zero_point: int
    multiplier: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class Requantize:
    """``RQ(x - x_zero_point; multiplier[c])``, c on the last axis.

    x any dtype (.., C) · multiplier const s32 (1) or (C) · out u8, s8, s16 or s32, same shape.
    """

    x: Value
    multiplier: Value
    x_zero_point: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class Clip:
    """``min(max(x, lo), hi)``; any dtype, out has the same type."""

    x: Value
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class Lookup:
    """``out = table[raw bits of x]``: x u8 or s8 with 256 entries, s16 with 65,536.

    The index is x reinterpreted as unsigned. table const u8, s8, s16 or s32 (256 or 65536).
    """

    x: Value
    table: Value
    output: Value


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """``y[i] + (((x - knots[i]) * slopes[i] + 2**(s-1)) >> s)`` with i the last knot <= x.

    x s32 or s64 · knots const s64 (P) strictly increasing, 1 <= P <= 1024; x below the first knot
    uses i = 0 and x = knots[0] · values const s64 (P) · slopes const s64 (P) · out s64. No
    intermediate leaves int64 (proven from the interval of x).
    """

    x: Value
    knots: Value
    values: Value
    slopes: Value
    shift: int
    output: Value


@dataclass(frozen=True, slots=True)
class AddInteger:
    """``a + b`` in s64; a, b s32 or s64, broadcast as for Add; interval proven inside int64."""

    a: Value
    b: Value
    output: Value


@dataclass(frozen=True, slots=True)
class SubInteger:
    """``a - b`` in s64; as AddInteger."""

    a: Value
    b: Value
    output: Value


@dataclass(frozen=True, slots=True)
class MulInteger:
    """``(a * b + 2**(s-1)) >> s`` in s64 (``s = 0``: ``a * b``); as AddInteger."""

    a: Value
    b: Value
    shift: int
    output: Value


@dataclass(frozen=True, slots=True)
class DivInteger:
    """``floor((2 * a * 2**shift + b) / (2 * b))`` in s64; the interval of b starts at >= 1."""

    a: Value
    b: Value
    shift: int
    output: Value


@dataclass(frozen=True, slots=True)
class ReduceSum:
    """Sum over the last axis, which is kept with size 1; any dtype in, s64 out."""

    x: Value
    output: Value


@dataclass(frozen=True, slots=True)
class ReduceMax:
    """Maximum over the last axis, which is kept with size 1; any dtype in, the same out."""

    x: Value
    output: Value


@dataclass(frozen=True, slots=True)
class ArgMax:
    """Index of the maximum over the last axis, lowest wins; the axis goes away; s32 out."""

    x: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Reshape:
    """Same elements in row-major order under the output's shape."""

    x: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Transpose:
    """``out.shape[i] = x.shape[permutation[i]]``, per sample."""

    x: Value
    permutation: Ints
    output: Value


@dataclass(frozen=True, slots=True)
class Concat:
    """Join 1 to 64 values of one dtype along ``axis`` (per sample, >= 0)."""

    inputs: Ints
    axis: int
    output: Value


@dataclass(frozen=True, slots=True)
class Slice:
    """``x[starts[0]::steps[0], ...]`` cut to the output's shape; steps >= 1, per sample."""

    x: Value
    starts: Ints
    steps: Ints
    output: Value


@dataclass(frozen=True, slots=True)
class Pad:
    """Constant border; ``before`` and ``after`` have one entry per axis, >= 0, per sample."""

    x: Value
    before: Ints
    after: Ints
    value: int
    output: Value


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """Sum over trees of the leaf reached, plus ``base``; one row of targets per leaf.

    x s32 or s64 (F). Node n: leaf when ``feature[n] < 0``, then it holds leaf row
    ``-feature[n] - 1``; else go to ``right[n]`` when ``x[feature[n]] >= threshold[n]``, to
    ``left[n]`` otherwise; a missing x (the lowest word of its dtype) goes right iff
    ``missing_right[n]``.
    Children have larger indices than their parent, so every walk ends; ``depth`` bounds it (<= 24).

    roots const s32 (T) · feature, left, right const s32 (nodes) · threshold const, dtype of x
    (nodes) · missing_right const u8 (nodes) · leaves const s64 (rows, targets) · base const s64
    (targets) · out s64 (targets).
    """

    x: Value
    roots: Value
    feature: Value
    threshold: Value
    left: Value
    right: Value
    missing_right: Value
    leaves: Value
    base: Value
    depth: int
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


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax of each row of the last axis, by an integer cubic for ``2**-f``.

    With ``d = max(x) - x`` and ``u = (d * multiplier) >> shift`` (in 2**-16 octaves)::

        f = (u & 65535) >> 1;  n = min(u >> 16, 31)
        p = 7767 - (f * 1288 >> 15);  p = 22705 - (f * p >> 15);  p = 32768 - (f * p >> 15)
        e = (p << 1) >> n
        y = (e * ((one << r) // sum(e)) + 2**(r-1)) >> r

    x u8, s8, s16 or s32 (.., N), N <= 32,767 · ``1 <= multiplier < 2**31``, shift 0 to 30,
    ``max d * multiplier < 2**31`` proven · out u8 with one = 255, r = 22, or s16 with
    one = 32,767, r = 30, same shape.
    """

    x: Value
    multiplier: int
    shift: int
    output: Value


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Normalise each row of the last axis, then scale and shift it; one rounding at the end.

    With ``s = sum(x)`` when ``center`` is 1 and 0 otherwise (RMS), ``v = N * sum(x**2) - s**2``::

        d = isqrt(v + epsilon) + 1;  inverse = 2**40 // d
        t = ((N * x - s) * inverse) >> 24                                       (Q16)
        y = clip(zero_point + ((t * gain[c] + offset[c] + 2**(shift-1)) >> shift), lo, hi)

    x s16 or s32 (.., N), N <= 65,535, interval inside (-2**15, 2**15) · gain const s32 (N) ·
    offset const s64 (N), ``|offset| < 2**61`` · ``0 <= epsilon < 2**61``, in the units of v ·
    shift 1 to 62 · out u8, s8, s16 or s32, same shape.
    """

    x: Value
    gain: Value
    offset: Value
    center: int
    epsilon: int
    shift: int
    zero_point: int
    lo: int
    hi: int
    output: Value


@dataclass(frozen=True, slots=True)
class Gather:
    """``table[x]``: rows of a constant. x tensor s32, its interval inside [0, R) proven.

    table const of any dtype (R, *D), rank >= 1 · out that dtype, (*x.shape, *D).
    """

    x: Value
    table: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Expand:
    """Repeat by numpy's broadcasting rule, per sample, to the shape of the output; any dtype."""

    x: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Compare:
    """``a == b`` (relation 0), ``a < b`` (1) or ``a <= b`` (2) as u8 0 or 1.

    a, b of any dtype, compared as integers, broadcast as for Add.
    """

    a: Value
    b: Value
    relation: int
    output: Value


@dataclass(frozen=True, slots=True)
class Select:
    """``a where condition != 0, else b``; condition u8, a and b of one dtype, all broadcast.

    At least one operand is a tensor; out has the dtype of a.
    """

    condition: Value
    a: Value
    b: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Minimum:
    """``min(a, b)``; a, b of one dtype, broadcast as for Add; the same dtype out."""

    a: Value
    b: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Maximum:
    """``max(a, b)``; as Minimum."""

    a: Value
    b: Value
    output: Value


@dataclass(frozen=True, slots=True)
class SquareRoot:
    """Floor square root; x s32 or s64, its interval inside [0, 2**62); s64 out, same shape."""

    x: Value
    output: Value


@dataclass(frozen=True, slots=True)
class TopK:
    """Indices of the ``k`` largest of each row of the last axis, largest first.

    Equal values keep the order of their indices. Any dtype (.., N), ``1 <= k <= min(N, 1024)``;
    s32 out (.., k).
    """

    x: Value
    k: int
    output: Value


Instruction: TypeAlias = (
    Gemm
    | Conv
    | LinearInteger
    | MaxPool
    | AveragePool
    | Add
    | Mul
    | Requantize
    | Clip
    | Lookup
    | PiecewiseLinear
    | AddInteger
    | SubInteger
    | MulInteger
    | DivInteger
    | ReduceSum
    | ReduceMax
    | ArgMax
    | Reshape
    | Transpose
    | Concat
    | Slice
    | Pad
    | TreeEnsemble
    | MatMul
    | Softmax
    | LayerNorm
    | Gather
    | Expand
    | Compare
    | Select
    | Minimum
    | Maximum
    | SquareRoot
    | TopK
)

OPCODES: dict[type, int] = {
    Gemm: 1,
    Conv: 2,
    LinearInteger: 3,
    MaxPool: 4,
    AveragePool: 5,
    Add: 6,
    Mul: 7,
    Requantize: 8,
    Clip: 9,
    Lookup: 10,
    PiecewiseLinear: 11,
    AddInteger: 12,
    SubInteger: 13,
    MulInteger: 14,
    DivInteger: 15,
    ReduceSum: 16,
    ReduceMax: 17,
    ArgMax: 18,
    Reshape: 19,
    Transpose: 20,
    Concat: 21,
    Slice: 22,
    Pad: 23,
    TreeEnsemble: 24,
    MatMul: 25,
    Softmax: 26,
    LayerNorm: 27,
    Gather: 28,
    Expand: 29,
    Compare: 30,
    Select: 31,
    Minimum: 32,
    Maximum: 33,
    SquareRoot: 34,
    TopK: 35,
}
"""Wire number of each operator; numbers are never reused."""
