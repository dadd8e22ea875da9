"""Operators that treat every element alike."""

from dataclasses import dataclass

from precompiles.model.operators.fields import Value


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
