"""Arithmetic of integer forms: sums, products and maps of s32 and s64 values, rounded once."""

from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import Add, Affine, Array, Mul, Operation
from tools.compiler.lowering import Lowering, clip, rescale
from tools.compiler.program import Operand
from tools.compiler.quantize import WORD_LIMIT, ceil_log2, power_of_two

FACTOR_BITS = 30
HEADROOM_BITS = 4
_VALUE_BITS = 27


def integers(
    state: Lowering,
    operator: type,
    a: Operand,
    b: Operand,
    scale: Fraction,
    bounds: tuple[int, int],
    **fields: int,
) -> Operand:
    """Emit an s64 operator of two operands."""
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    ref = state.program.emit(operator, DType.S64, shape, a=a.ref, b=b.ref, **fields)
    return Operand(ref, TensorType(DType.S64, shape), scale, 0, *bounds)


def stored(state: Lowering, codes: Array, scale: Fraction) -> Operand:
    """An s64 constant as an operand."""
    ref = state.program.constant(codes, DType.S64)
    kind = TensorType(DType.S64, codes.shape)
    return Operand(ref, kind, scale, 0, int(codes.min()), int(codes.max()))


def coarse(state: Lowering, x: Operand, bits: int) -> Operand:
    """The operand on a coarser scale (by a power of two), its codes within ``bits`` bits."""
    spare = max(abs(x.lo), abs(x.hi), 1).bit_length() - bits
    return rescale(state, x, x.scale * (1 << spare)) if spare > 0 else x


def limited(state: Lowering, name: str) -> Operand:
    """A tensor in integer form, clipped to sixteen times what the samples show."""
    x = state.plain(state.integer(name))
    if not state.has_range(name):
        return x
    reach = Fraction(max(16 * state.range_of(name).magnitude, 2.0**-20)) / x.scale
    return clip(state, x, -reach.__ceil__(), reach.__ceil__())


def product(state: Lowering, a: Operand, b: Operand, shift: int = 0) -> Operand:
    """``a * b`` with ``shift`` fewer bits, rounded once."""
    corners = [p * q for p in (a.lo, a.hi) for q in (b.lo, b.hi)]
    half = (1 << shift) >> 1
    bounds = (min(corners) + half) >> shift, (max(corners) + half) >> shift
    scale = a.scale * b.scale * (1 << shift)
    return integers(state, op.MulInteger, a, b, scale, bounds, shift=shift)


def sum_of(state: Lowering, a: Operand, b: Operand, sign: int = 1) -> Operand:
    """``a + sign * b`` of two integer forms, on the coarser scale; power-of-two ratios only."""
    coarsest = max(a.scale, b.scale)
    a, b = (item if item.scale == coarsest else rescale(state, item, coarsest) for item in (a, b))
    if sign > 0:
        return integers(state, op.AddInteger, a, b, coarsest, (a.lo + b.lo, a.hi + b.hi))
    return integers(state, op.SubInteger, a, b, coarsest, (a.lo - b.hi, a.hi - b.lo))


def exact_affine(operation: Affine, state: Lowering) -> Operand | None:
    """``x * scale + offset`` of integers, to 27 bits of the calibrated range; None elsewhere."""
    x = state.native(operation.x)
    if not applies(state, operation, (x,)) or x.channels_last:
        return None
    x = coarse(state, limited(state, operation.x), 31 + HEADROOM_BITS)
    found = state.range_of(operation.output)
    unit = power_of_two(ceil_log2(Fraction(max(found.magnitude, 2.0**-20))) - _VALUE_BITS)
    factor = np.asarray(operation.scale, dtype=np.float64) * float(x.scale / unit)
    room = 61 - max(abs(x.lo), abs(x.hi), 1).bit_length()
    largest = max(float(np.abs(factor).max()), 2.0**-60)
    shift = min(FACTOR_BITS, room - max(0, ceil_log2(Fraction(largest))))
    if shift < 1:
        return None
    codes = np.floor(factor * 2.0**shift + 0.5).astype(np.int64)
    scaled = product(state, x, stored(state, codes, unit / x.scale / (1 << shift)), shift)
    offset = np.floor(np.asarray(operation.offset) / float(unit) + 0.5).astype(np.int64)
    total = sum_of(state, scaled, stored(state, offset, unit)) if offset.any() else scaled
    low, high = (_bound(end, unit) for end in operation.clamp)
    return clip(state, total, low, high)


def _bound(value: float, unit: Fraction) -> int:
    limit = 1 << (_VALUE_BITS + HEADROOM_BITS)
    return round(min(max(value / float(unit), -limit), limit))


def exact_sum(operation: Add, state: Lowering) -> Operand | None:
    """``a + sign * b`` of integers on power-of-two grids; None elsewhere."""
    a, b = state.native(operation.a), state.native(operation.b)
    if not applies(state, operation, (a, b)) or not _is_power(a.scale / b.scale):
        return None
    total = sum_of(state, limited(state, operation.a), limited(state, operation.b), operation.sign)
    return _clamped(state, operation, total)


def exact_product(operation: Mul, state: Lowering) -> Operand | None:
    """``a * b`` of integers, from 30 bits of each; None elsewhere."""
    a, b = state.native(operation.a), state.native(operation.b)
    if not applies(state, operation, (a, b)):
        return None
    first = coarse(state, limited(state, operation.a), FACTOR_BITS)
    second = coarse(state, limited(state, operation.b), FACTOR_BITS)
    return _clamped(state, operation, product(state, first, second))


def _clamped(state: Lowering, operation: Add | Mul, x: Operand) -> Operand:
    reach = Fraction(max(16 * state.range_of(operation.output).magnitude, 2.0**-20))
    low, high = (round(_inside(end, reach) / x.scale) for end in operation.clamp)
    return clip(state, x, low, high)


def _inside(end: float, reach: Fraction) -> Fraction:
    """The end of a clamp, inside ``+-reach``."""
    if np.isinf(end):
        return reach if end > 0 else -reach
    return max(min(Fraction(end), reach), -reach)


def applies(state: Lowering, operation: Operation, parts: tuple[Operand, ...]) -> bool:
    """True where operands are integers anyway and the result is wanted as such.

    At wide precision s32 activations are fine enough; there only wider operands count.
    """
    if operation.output not in state.fine or not state.has_range(operation.output):
        return False
    if not all(part.is_integer_form and not part.channels_last for part in parts):
        return False
    return state.precision != "wide" or any(part.bound > WORD_LIMIT for part in parts)


def _is_power(ratio: Fraction) -> bool:
    return ratio.numerator.bit_count() == 1 and ratio.denominator.bit_count() == 1
