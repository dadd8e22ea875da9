"""Classical models on rows of features: distances, powers, log-sum-exp, imputation."""

from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.curves import emit_curve
from tools.compiler.graph import Array
from tools.compiler.graph_tabular import Distances, Impute, LogSumExp, Power
from tools.compiler.lower_integers import (
    FACTOR_BITS,
    HEADROOM_BITS,
    coarse,
    integers,
    limited,
    product,
    sum_of,
)
from tools.compiler.lower_scores import exponentials
from tools.compiler.lowering import Lowering, clip, lower, refuse, rescale
from tools.compiler.program import Operand
from tools.compiler.quantize import ceil_log2
from tools.compiler.spans import Range

_SQUARE_BITS = 27
_FINER_BITS = 20


@lower.register
def _(operation: Distances, state: Lowering) -> Operand:
    """``sum x**2 - 2 x.c + sum c**2``, exact on the grid of x; centres are rounded to it."""
    x = limited(state, operation.x)
    features = x.type.shape[-1]
    largest = Fraction(float(np.abs(operation.centres).max(initial=0.0))) / x.scale
    reach = max(abs(x.lo), abs(x.hi), largest.__ceil__())
    spare = reach.bit_length() - min(_SQUARE_BITS, (61 - features.bit_length()) // 2 - 1)
    if spare > 0:
        x = rescale(state, x, x.scale * (1 << spare))
    codes = np.floor(operation.centres / float(x.scale) + 0.5).astype(np.int64)
    square = max(abs(x.lo), abs(x.hi)) ** 2
    scale = x.scale * x.scale
    squares = integers(state, op.MulInteger, x, x, scale, (-square, square), shift=0)
    shape = (*x.type.shape[:-1], 1)
    ref = state.program.emit(op.ReduceSum, DType.S64, shape, x=squares.ref)
    bound = features * square
    own = Operand(ref, TensorType(DType.S64, shape), scale, 0, -bound, bound)
    cross = _crossed(state, x, codes)
    total = integers(
        state, op.AddInteger, own, cross, scale, (own.lo + cross.lo, own.hi + cross.hi)
    )
    return clip(state, total, 0, max(1, total.hi))


def _crossed(state: Lowering, x: Operand, codes: Array) -> Operand:
    """``sum c**2 - 2 x.c`` for each row c of the codes (J, F)."""
    weight = -2 * codes.T
    offset = (codes**2).sum(axis=1)
    shape = (*x.type.shape[:-1], len(codes))
    ref = state.program.emit(
        op.LinearInteger,
        DType.S64,
        shape,
        x=x.ref,
        weight=state.program.constant(weight, DType.S32),
        bias=state.program.constant(offset, DType.S64),
    )
    reach = int((np.abs(weight).sum(axis=0) * max(abs(x.lo), abs(x.hi)) + offset).max())
    return Operand(ref, TensorType(DType.S64, shape), x.scale * x.scale, 0, -reach, reach)


@lower.register
def _(operation: Power, state: Lowering) -> Operand:
    """Repeated products, each rounded once to 30 bits."""
    x = coarse(state, limited(state, operation.x), FACTOR_BITS)
    result = x
    for _ in range(operation.degree - 1):
        result = product(state, coarse(state, result, FACTOR_BITS), x)
    return result


@lower.register
def _(operation: LogSumExp, state: Lowering) -> Operand:
    x = limited(state, operation.x)
    top, *_, total = exponentials(state, x)
    terms = float(x.type.shape[-1])
    logarithm = emit_curve(state, operation, total, np.log, Range(1.0, max(terms, 2.0)))
    return sum_of(state, top, logarithm)


@lower.register
def _(operation: Impute, state: Lowering) -> Operand:
    """``Select`` on the code of the replaced value, on a grid that holds the others."""
    x = state.native(operation.x)
    if not x.is_integer_form:
        raise refuse(operation, "replaces values of a computed tensor", "impute the inputs")
    missing = np.isnan(operation.replaced)
    wanted = x.type.dtype.bounds[0] if missing else round(Fraction(operation.replaced) / x.scale)
    program, shape = state.program, x.type.shape
    word = program.constant(np.array(wanted), DType.S64)
    found = program.emit(op.Compare, DType.U8, shape, a=x.ref, b=word, relation=0)
    largest = max(state.range_of(operation.output).magnitude, float(np.abs(operation.values).max()))
    bits = ceil_log2(max(Fraction(largest) / x.scale, Fraction(1))) + HEADROOM_BITS
    within = clip(state, x, -(1 << bits), 1 << bits)
    finer = max(0, min(_FINER_BITS, _SQUARE_BITS + _FINER_BITS - bits))
    values = operation.values / float(x.scale)
    if np.array_equal(values, np.rint(values)) or not finer:
        finer = 0
    factor = program.constant(np.array(1 << finer), DType.S64)
    ref = program.emit(op.MulInteger, DType.S64, shape, a=within.ref, b=factor, shift=0)
    scale = x.scale / (1 << finer)
    codes = np.floor(operation.values / float(scale) + 0.5).astype(np.int64)
    filled = program.emit(
        op.Select,
        DType.S64,
        shape,
        condition=found,
        a=program.constant(codes, DType.S64),
        b=ref,
    )
    reach = 1 << (bits + finer)
    return Operand(filled, TensorType(DType.S64, shape), scale, 0, -reach, reach)
