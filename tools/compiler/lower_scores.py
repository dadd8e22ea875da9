"""What turns raw values into scores: softmax, L1 normalisation, maxima and arguments of maxima."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.curves import emit_curve, piecewise_linear
from tools.compiler.graph import ArgMax, Normalize, Reduce, Softmax
from tools.compiler.lower_integers import limited
from tools.compiler.lower_softmax import is_narrow, narrow_softmax
from tools.compiler.lowering import (
    FRACTION_BITS,
    Lowering,
    clip,
    coarsen,
    lower,
    rescale,
)
from tools.compiler.program import Operand
from tools.compiler.quantize import power_of_two
from tools.compiler.spans import Range

_EXP_RANGE = 21.0
_ONE = 1 << FRACTION_BITS
_SCORE_BITS = 32
_KNOTS = 1000


def _reduced(state: Lowering, x: Operand, operator: type) -> Operand:
    """ReduceSum or ReduceMax over the last axis."""
    shape = (*x.type.shape[:-1], 1)
    dtype = DType.S64 if operator is op.ReduceSum else x.type.dtype
    ref = state.program.emit(operator, dtype, shape, x=x.ref)
    terms = x.type.shape[-1] if operator is op.ReduceSum else 1
    return replace(x, ref=ref, type=TensorType(dtype, shape), lo=x.lo * terms, hi=x.hi * terms)


def _divided(state: Lowering, a: Operand, b: Operand) -> Operand:
    """``a / b`` with 30 fraction bits; equal scales, a in [0, 2**32), b >= 1."""
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    ref = state.program.emit(op.DivInteger, DType.S64, shape, a=a.ref, b=b.ref, shift=FRACTION_BITS)
    corners = [
        ((x << (FRACTION_BITS + 1)) + y) // (2 * y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)
    ]
    kind = TensorType(DType.S64, shape)
    return Operand(ref, kind, power_of_two(-FRACTION_BITS), 0, min(corners), max(corners))


def _subtracted(state: Lowering, a: Operand, b: Operand) -> Operand:
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    ref = state.program.emit(op.SubInteger, DType.S64, shape, a=a.ref, b=b.ref)
    kind = TensorType(DType.S64, shape)
    return Operand(ref, kind, a.scale, 0, a.lo - b.hi, a.hi - b.lo)


def _exponential(state: Lowering, x: Operand) -> Operand:
    """Exp of codes <= 0, at least 1 and at most 2**30, with 30 fraction bits."""
    wanted = 2 * np.log(np.linspace(np.exp(-_EXP_RANGE / 2), 1.0, _KNOTS))
    knots = np.unique(np.rint(wanted / float(x.scale)).astype(np.int64))
    values = np.exp(knots.astype(np.float64) * float(x.scale))
    curve = piecewise_linear(state, x, knots, values, power_of_two(-FRACTION_BITS))
    return clip(state, curve, 1, _ONE)


def exponentials(state: Lowering, x: Operand) -> tuple[Operand, Operand, Operand, Operand]:
    """Maximum of each row, x below it, the exponentials of that, and their sum."""
    x = coarsen(state, x, _SCORE_BITS)
    if x.hi - x.lo >= 1 << 62:
        x = clip(state, x, -(1 << 60), 1 << 60)
    top = _reduced(state, x, op.ReduceMax)
    lowest = round(Fraction(-_EXP_RANGE) / x.scale)
    below = clip(state, _subtracted(state, x, top), lowest, 0)
    powers = _exponential(state, below)
    return top, below, powers, _reduced(state, powers, op.ReduceSum)


@lower.register
def _(operation: Softmax, state: Lowering) -> Operand:
    if is_narrow(state, operation):
        return narrow_softmax(state, operation)
    _, below, powers, total = exponentials(state, state.plain(state.integer(operation.x)))
    if not operation.logarithm:
        return _divided(state, powers, total)
    terms = float(below.type.shape[-1])
    logarithm = emit_curve(state, operation, total, np.log, Range(1.0, max(terms, 2.0)))
    coarsest = max(logarithm.scale, below.scale)
    parts = [
        part if part.scale == coarsest else rescale(state, part, coarsest)
        for part in (below, logarithm)
    ]
    return _subtracted(state, parts[0], parts[1])


@lower.register
def _(operation: Normalize, state: Lowering) -> Operand:
    x = coarsen(state, limited(state, operation.x), FRACTION_BITS)
    reach = max(abs(x.lo), abs(x.hi))
    if reach >= 1 << 31:
        x = rescale(state, x, x.scale * (1 << (reach.bit_length() - 31)))
    total = _reduced(state, _magnitude(state, x), op.ReduceSum)
    return _divided(state, x, clip(state, total, 1, max(1, total.hi)))


def _magnitude(state: Lowering, x: Operand) -> Operand:
    """``|x|``; x itself where it is never negative."""
    if x.lo >= 0:
        return x
    zero = state.program.constant(np.array(0), DType.S64)
    reach = max(-x.lo, x.hi)
    shape = x.type.shape
    minus = state.program.emit(op.SubInteger, DType.S64, shape, a=zero, b=x.ref)
    same = rescale(state, x, x.scale) if x.type.dtype is not DType.S64 else x
    ref = state.program.emit(op.Maximum, DType.S64, shape, a=minus, b=same.ref)
    return replace(x, ref=ref, type=TensorType(DType.S64, shape), lo=0, hi=reach)


@lower.register
def _(operation: Reduce, state: Lowering) -> Operand:
    return _reduced(state, state.plain(state.native(operation.x)), op.ReduceMax)


@lower.register
def _(operation: ArgMax, state: Lowering) -> Operand:
    x = state.plain(state.native(operation.x))
    shape = x.type.shape[:-1]
    ref = state.program.emit(op.ArgMax, DType.S32, shape, x=x.ref)
    kind = TensorType(DType.S32, shape)
    return Operand(ref, kind, Fraction(1), 0, 0, x.type.shape[-1] - 1)
