"""Comparisons, choices, exact rounding and ranking: integers compared as integers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import Array, FloatGraph, Floats
from tools.compiler.graph_choices import (
    EQUAL,
    LESS,
    Compare,
    Constant,
    Expand,
    Extreme,
    Negate,
    Rounding,
    Select,
    TopK,
)
from tools.compiler.lowering import Lowering, grid_limits, lower, refuse, rescale, to_grid
from tools.compiler.program import Operand
from tools.compiler.quantize import Grid, quantize_array
from tools.compiler.spans import MASK_MARGIN, is_mask

_CODE_LIMIT = 1 << 61
_EXACT = 1e-6
_EXTREMES = {"minimum": op.Minimum, "maximum": op.Maximum}


@lower.register
def _(operation: Constant, state: Lowering) -> Operand:
    return constant_on(state, operation.value, state.grid(operation.output))


@lru_cache(maxsize=2)
def constants_of(graph: FloatGraph) -> Mapping[str, Floats]:
    """Values of the ``Constant`` tensors of a graph, by name."""
    return {
        operation.output: operation.value
        for operation in graph.operations
        if isinstance(operation, Constant)
    }


def constant_on(state: Lowering, value: Floats, grid: Grid, like: Operand | None = None) -> Operand:
    """A float constant as a constant of the program on ``grid``, laid out as ``like``."""
    lo, hi = grid_limits(grid)
    array = _laid_out(value, like)
    codes = np.clip(quantize_array(array, grid), lo, hi)
    ref = state.program.constant(codes, grid.dtype)
    kind = TensorType(grid.dtype, codes.shape)
    last = like is not None and like.channels_last
    low, high = int(codes.min()), int(codes.max())
    return Operand(ref, kind, grid.scale, grid.zero_point, low, high, channels_last=last)


def _laid_out(value: Floats, like: Operand | None) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    if like is None or not like.channels_last:
        return array
    rank = len(like.type.shape)
    return np.moveaxis(array.reshape((1,) * (rank - array.ndim) + array.shape), 0, -1)


def _aligned(state: Lowering, parts: Sequence[Operand]) -> list[Operand]:
    """Operands of one rank in one layout."""
    if len({part.channels_last for part in parts}) == 1:
        return list(parts)
    return [state.channels_last(part) for part in parts]


def _grid_of(x: Operand) -> Grid:
    return Grid(x.type.dtype, x.scale, x.zero_point)


def common_form(
    state: Lowering,
    names: Sequence[str],
    output: str,
    constants: Mapping[str, Floats] | None = None,
) -> list[Operand]:
    """Tensors and constants on one grid and in one layout, without rounding where possible.

    As they are when their grids are equal and hold the constants, or as integers on the coarsest
    of their power-of-two grids, or on the grid of ``output``.
    """
    known = constants_of(state.graph) if constants is None else constants
    tensors = [name for name in names if name not in known]
    natives = _aligned(state, [state.native(name) for name in tensors])
    if len({_grid_of(part) for part in natives}) > 1:
        natives = _joined(state, natives) or _on_output(state, natives, output)
    held = [known[name] for name in names if name in known]
    if not natives:
        return [constant_on(state, value, state.grid(output)) for value in held]
    if not all(_holds(_grid_of(natives[0]), value) for value in held):
        natives = _on_output(state, natives, output)
    made = iter(natives)
    grid = _grid_of(natives[0])
    return [
        constant_on(state, known[name], grid, natives[0]) if name in known else next(made)
        for name in names
    ]


def _joined(state: Lowering, parts: Sequence[Operand]) -> list[Operand] | None:
    if not all(part.is_integer_form for part in parts):
        return None
    coarsest = max(part.scale for part in parts)
    ratios = [coarsest / part.scale for part in parts]
    if any(ratio.denominator != 1 or ratio.numerator.bit_count() != 1 for ratio in ratios):
        return None
    if len({part.type.dtype for part in parts}) == 1 and len(set(ratios)) == 1:
        return list(parts)
    return [rescale(state, part, coarsest) for part in parts]


def _on_output(state: Lowering, parts: Sequence[Operand], output: str) -> list[Operand]:
    grid = state.grid(output)
    return [part if _grid_of(part) == grid else to_grid(state, part, grid) for part in parts]


def _holds(grid: Grid, value: Floats) -> bool:
    """True when the constant lies on the grid's range; a mask saturates there by intent."""
    lo, hi = ((code - grid.zero_point) * float(grid.scale) for code in grid_limits(grid))
    margin = float(grid.scale)
    return bool(((value >= lo - margin) & (value <= hi + margin)).all())


@lower.register
def _(operation: Compare, state: Lowering) -> Operand:
    a, b = operation.a, operation.b
    known = constants_of(state.graph)
    if b in known:
        left = state.native(a)
        right = _threshold(state, left, known[b], operation.relation, upper=True)
    elif a in known:
        right = state.native(b)
        left = _threshold(state, right, known[a], operation.relation, upper=False)
    else:
        left, right = _comparable(state, a, b)
    shape = np.broadcast_shapes(left.type.shape, right.type.shape)
    ref = state.program.emit(
        op.Compare, DType.U8, shape, a=left.ref, b=right.ref, relation=operation.relation
    )
    last = left.channels_last or right.channels_last
    return truth(ref, shape, channels_last=last)


def truth(ref: int, shape: tuple[int, ...], *, channels_last: bool = False) -> Operand:
    """A tensor of 0 and 1."""
    kind = TensorType(DType.U8, shape)
    return Operand(ref, kind, Fraction(1), 0, 0, 1, channels_last=channels_last)


def _threshold(
    state: Lowering, x: Operand, value: Floats, relation: int, *, upper: bool
) -> Operand:
    """A constant as the integer with which the codes of x compare as the real numbers do.

    ``x < c`` is ``q < ceil(c)``, ``x <= c`` is ``q <= floor(c)`` in units of x's grid, and the
    other way round when the constant stands on the left; ``x == c`` holds for no code when c is
    between two codes (then the lowest word stands for it).
    """
    array = _laid_out(value, x) / float(x.scale) + x.zero_point
    near = np.rint(np.clip(array, -_CODE_LIMIT, _CODE_LIMIT))
    exact = np.abs(near - array) <= _EXACT * np.maximum(1.0, np.abs(near))
    rounds_up = (relation == LESS) == upper
    rounded = np.ceil(array) if rounds_up else np.floor(array)
    if relation == EQUAL:
        rounded = np.full(array.shape, -2.0 * _CODE_LIMIT)
    codes = np.where(exact, near, np.clip(rounded, -2.0 * _CODE_LIMIT, 2.0 * _CODE_LIMIT))
    typed: Array = codes.astype(np.int64)
    ref = state.program.constant(typed, DType.S64)
    kind = TensorType(DType.S64, typed.shape)
    return replace(x, ref=ref, type=kind, lo=int(typed.min()), hi=int(typed.max()))


def _comparable(state: Lowering, a: str, b: str) -> list[Operand]:
    parts = _aligned(state, [state.native(a), state.native(b)])
    if parts[0].scale == parts[1].scale and parts[0].zero_point == parts[1].zero_point:
        return parts
    joined = _joined(state, parts)
    if joined is not None:
        return joined
    integers = [part if part.is_integer_form else _as_words(state, part, parts) for part in parts]
    joined = _joined(state, integers)
    if joined is not None:
        return joined
    return [_as_words(state, part, parts) for part in parts]


def _as_words(state: Lowering, x: Operand, both: Sequence[Operand]) -> Operand:
    """On the s32 grid that covers both operands with 2**27 steps."""
    reach = max(float(part.scale * max(part.bound, 1)) for part in both)
    exponent = int(np.ceil(np.log2(reach))) - 27
    return to_grid(state, x, Grid(DType.S32, Fraction(2) ** exponent))


@lower.register
def _(operation: Select, state: Lowering) -> Operand:
    a, b = operation.a, operation.b
    known = dict(constants_of(state.graph))
    for name, other in ((a, b), (b, a)):
        if name in known and other not in known and is_mask(known[name]):
            known[name] = _bounded_mask(state, known[name], other)
    condition, swapped = _condition(state, operation.condition)
    parts = common_form(state, (a, b), operation.output, known)
    if swapped:
        parts.reverse()
    condition, *parts = _aligned_choice(state, condition, parts)
    shape = np.broadcast_shapes(condition.type.shape, *(part.type.shape for part in parts))
    first = parts[0]
    ref = state.program.emit(
        op.Select,
        first.type.dtype,
        shape,
        condition=condition.ref,
        a=first.ref,
        b=parts[1].ref,
    )
    lo, hi = min(part.lo for part in parts), max(part.hi for part in parts)
    kind = TensorType(first.type.dtype, shape)
    last = any(part.channels_last for part in (condition, *parts))
    return replace(first, ref=ref, type=kind, lo=lo, hi=hi, channels_last=last)


def _bounded_mask(state: Lowering, value: Floats, other: str) -> Floats:
    """A mask of minus infinity is a number well below everything it masks."""
    found = state.range_of(other)
    return np.clip(value, found.low - MASK_MARGIN, found.high + MASK_MARGIN)


def _aligned_choice(state: Lowering, condition: Operand, parts: Sequence[Operand]) -> list[Operand]:
    """Condition and branches in one layout; constants are already laid out as the branches."""
    if condition.ref >= 0:
        tensors = [part for part in parts if part.ref >= 0]
        if any(part.channels_last != condition.channels_last for part in tensors):
            return [state.plain(item) if item.ref >= 0 else item for item in (condition, *parts)]
    return [condition, *parts]


def _condition(state: Lowering, name: str) -> tuple[Operand, bool]:
    """A u8 operand that is 0 or not, and whether it says the opposite."""
    known = constants_of(state.graph)
    if name in known:
        codes = (known[name] != 0).astype(np.int64)
        ref = state.program.constant(codes, DType.U8)
        return truth(ref, codes.shape), False
    x = state.native(name)
    if x.type.dtype is DType.U8 and x.zero_point == 0:
        return x, False
    zero = state.program.constant(np.array(x.zero_point), DType.S64)
    ref = state.program.emit(op.Compare, DType.U8, x.type.shape, a=x.ref, b=zero, relation=EQUAL)
    return truth(ref, x.type.shape, channels_last=x.channels_last), True


@lower.register
def _(operation: Extreme, state: Lowering) -> Operand:
    parts = common_form(state, (operation.a, operation.b), operation.output)
    a, b = parts
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    choose = min if operation.kind == "minimum" else max
    ref = state.program.emit(_EXTREMES[operation.kind], a.type.dtype, shape, a=a.ref, b=b.ref)
    kind = TensorType(a.type.dtype, shape)
    last = a.channels_last or b.channels_last
    lo, hi = choose(a.lo, b.lo), choose(a.hi, b.hi)
    return replace(a, ref=ref, type=kind, lo=lo, hi=hi, channels_last=last)


@lower.register
def _(operation: Expand, state: Lowering) -> Operand:
    x = state.plain(state.native(operation.x))
    shape = state.shape(operation.output)
    ref = state.program.emit(op.Expand, x.type.dtype, shape, x=x.ref)
    return replace(x, ref=ref, type=TensorType(x.type.dtype, shape))


@lower.register
def _(operation: TopK, state: Lowering) -> Operand:
    x = state.plain(state.native(operation.x))
    shape = (*x.type.shape[:-1], operation.k)
    ref = state.program.emit(op.TopK, DType.S32, shape, x=x.ref, k=operation.k)
    kind = TensorType(DType.S32, shape)
    return Operand(ref, kind, Fraction(1), 0, 0, x.type.shape[-1] - 1)


@lower.register
def _(operation: Negate, state: Lowering) -> Operand:
    x = state.integer(operation.x)
    return _integers(state, op.SubInteger, _number(state, 0), x, x, (-x.hi, -x.lo))


@lower.register
def _(operation: Rounding, state: Lowering) -> Operand:
    x = state.integer(operation.x)
    if operation.kind == "sign":
        return _sign(state, x)
    step = Fraction(operation.step).limit_denominator(1 << 20)
    ratio = x.scale / step
    n, d = ratio.numerator, ratio.denominator
    largest = max(abs(x.lo), abs(x.hi), 1)
    if 2 * n * largest + 2 * d >= _CODE_LIMIT:
        raise refuse(
            operation,
            f"rounds values up to {float(largest * x.scale):g} to multiples of"
            f" {float(step):g}, which 64 bits cannot hold on this grid",
            "round smaller numbers, or round off-chain",
        )
    if operation.kind == "truncate":
        return _truncated(state, x, (n, d), step)
    found = _divided(state, x, (n, d), operation.kind, step)
    if operation.kind != "modulo":
        return found
    back = step / x.scale
    if back.denominator != 1:
        raise refuse(
            operation,
            f"divides by {float(step):g}, which is no multiple of the grid {float(x.scale):g}",
            "use a divisor that is a multiple of the input's step",
        )
    factor = _number(state, int(back))
    bounds = (int(back) * found.lo, int(back) * found.hi)
    multiple = _integers(state, op.MulInteger, found, factor, found, bounds, shift=0)
    ends = (x.lo - bounds[1], x.hi - bounds[0])
    return _integers(state, op.SubInteger, x, multiple, x, ends)


def _number(state: Lowering, value: int) -> Operand:
    ref = state.program.constant(np.array(value), DType.S64)
    return Operand(ref, TensorType(DType.S64, ()), Fraction(1), 0, value, value)


def _integers(
    state: Lowering,
    operator: type,
    a: Operand,
    b: Operand,
    like: Operand,
    bounds: tuple[int, int],
    **fields: int,
) -> Operand:
    """An s64 operator whose result has the grid, shape and layout of ``like``."""
    ref = state.program.emit(operator, DType.S64, like.type.shape, a=a.ref, b=b.ref, **fields)
    kind = TensorType(DType.S64, like.type.shape)
    return replace(like, ref=ref, type=kind, lo=bounds[0], hi=bounds[1])


def _divided(
    state: Lowering, x: Operand, ratio: tuple[int, int], kind: str, step: Fraction
) -> Operand:
    """``floor``, ``ceil`` or half-up rounding of ``x * n / d``, exact.

    ``DivInteger`` gives ``floor((2a + b) / (2b))``: with ``b = 2d`` and ``a = 2nx - d`` that is
    the floor, with ``a = 2nx + d - 1`` the ceiling (both sides are whole), with ``a = 2nx`` the
    nearest.
    """
    n, d = ratio
    offset = {"floor": -d, "modulo": -d, "ceil": d - 1, "round": 0}[kind]
    ends = (2 * n * x.lo, 2 * n * x.hi)
    doubled = _integers(state, op.MulInteger, x, _number(state, 2 * n), x, ends, shift=0)
    ends = (ends[0] + offset, ends[1] + offset)
    moved = _integers(state, op.AddInteger, doubled, _number(state, offset), x, ends)
    whole = tuple((2 * end + 2 * d) // (4 * d) for end in ends)
    found = _integers(
        state, op.DivInteger, moved, _number(state, 2 * d), x, (whole[0], whole[1]), shift=0
    )
    return replace(found, scale=step, zero_point=0)


def _truncated(state: Lowering, x: Operand, ratio: tuple[int, int], step: Fraction) -> Operand:
    """Floor of what is positive plus ceiling of what is negative."""
    low = _divided(state, x, ratio, "floor", step)
    high = _divided(state, x, ratio, "ceil", step)
    zero = state.program.constant(np.array(0), DType.S64)
    ends = (max(low.lo, 0), max(low.hi, 0))
    ref = state.program.emit(op.Maximum, DType.S64, x.type.shape, a=low.ref, b=zero)
    low = replace(low, ref=ref, lo=ends[0], hi=ends[1])
    ref = state.program.emit(op.Minimum, DType.S64, x.type.shape, a=high.ref, b=zero)
    high = replace(high, ref=ref, lo=min(high.lo, 0), hi=min(high.hi, 0))
    bounds = (low.lo + high.lo, low.hi + high.hi)
    return _integers(state, op.AddInteger, low, high, low, bounds)


def _sign(state: Lowering, x: Operand) -> Operand:
    lo, hi = min(max(x.lo, -1), 1), max(min(x.hi, 1), -1)
    ref = state.program.emit(op.Clip, x.type.dtype, x.type.shape, x=x.ref, lo=-1, hi=1)
    return replace(x, ref=ref, scale=Fraction(1), lo=lo, hi=hi)
