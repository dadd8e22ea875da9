"""Operators over windows and over rows of the last axis."""

from dataclasses import dataclass

from precompiles.model.operators.fields import Ints, Value


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
class Softmax:
    """Softmax of each row of the last axis, by an integer cubic for ``2**-f``.

    With ``d = max(x) - x`` and ``u = (d * multiplier) >> shift`` (in 2**-16 octaves)::

        f = (u & 65535) >> 1;  n = min(u >> 16, 31)
        p = 7591 - (f * 1307 >> 15);  p = 22670 - (f * p >> 15);  p = 32768 - (f * p >> 15)
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
class TopK:
    """Indices of the ``k`` largest of each row of the last axis, largest first.

    Equal values keep the order of their indices. Any dtype (.., N), ``1 <= k <= min(N, 1024)``;
    s32 out (.., k).
    """

    x: Value
    k: int
    output: Value
