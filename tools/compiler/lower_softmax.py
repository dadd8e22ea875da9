"""Softmax of narrow scores in one instruction: attention weights, not a model's outputs."""

from fractions import Fraction
from math import e, log2

from precompiles.model import operators as op
from precompiles.model.types import DType
from tools.compiler.graph import Softmax
from tools.compiler.lowering import Lowering, on_grid
from tools.compiler.program import Operand
from tools.compiler.quantize import Grid, ceil_log2

_OCTAVE = 1 << 16
_MAX_SHIFT = 30
_PRODUCT_LIMIT = 1 << 31


def is_narrow(state: Lowering, operation: Softmax) -> bool:
    """True where 8 or 16 bits of probability are enough: no output, no logarithm, not wide."""
    fine = operation.output in state.fine or operation.logarithm
    return not fine and state.precision != "wide"


def narrow_softmax(state: Lowering, operation: Softmax) -> Operand:
    """``Softmax`` to u8 with one = 255, or to s16 with one = 32,767, by the tensor's own dtype."""
    x = state.plain(state.activation(operation.x, DType.S16, DType.U8, DType.S8))
    is_word = state.dtype_of(operation.output) is DType.S16
    dtype, one = (DType.S16, 32_767) if is_word else (DType.U8, 255)
    octaves = x.scale * Fraction(log2(e)) * _OCTAVE
    span = max(x.hi - x.lo, 1)
    shift = min(_MAX_SHIFT, 30 - ceil_log2(octaves * span))
    shift = max(shift, 0)
    multiplier = min(max(1, round(octaves * (1 << shift))), (_PRODUCT_LIMIT - 1) // span)
    ref = state.program.emit(
        op.Softmax, dtype, x.type.shape, x=x.ref, multiplier=multiplier, shift=shift
    )
    return on_grid(ref, x.type.shape, Grid(dtype, Fraction(1, one)), (0, one))
