"""Operations that move elements: they keep the form of their operand."""

from dataclasses import replace

from precompiles.model import operators as op
from precompiles.model.limits import MAX_CONCAT
from precompiles.model.types import TensorType
from tools.compiler.graph import Concat, Pad, Reshape, Shape, Slice, Transpose
from tools.compiler.lower_choices import common_form, constants_of
from tools.compiler.lowering import (
    Lowering,
    lower,
    refuse,
    rescale,
    reshape,
    to_grid,
    transpose,
)
from tools.compiler.program import Operand
from tools.compiler.quantize import Grid, quantize_value


@lower.register
def _(operation: Reshape, state: Lowering) -> Operand:
    x = state.plain(state.native(operation.x))
    return reshape(state, x, state.shape(operation.output))


@lower.register
def _(operation: Transpose, state: Lowering) -> Operand:
    x = state.plain(state.native(operation.x))
    return transpose(state, x, operation.permutation)


def _ordered(x: Operand, values: Shape) -> Shape:
    """Per-axis attributes in the operand's layout."""
    return (*values[1:], values[0]) if x.channels_last else values


@lower.register
def _(operation: Slice, state: Lowering) -> Operand:
    x = state.native(operation.x)
    shape = _ordered(x, state.shape(operation.output))
    ref = state.program.emit(
        op.Slice,
        x.type.dtype,
        shape,
        x=x.ref,
        starts=_ordered(x, operation.starts),
        steps=_ordered(x, operation.steps),
    )
    return replace(x, ref=ref, type=TensorType(x.type.dtype, shape))


@lower.register
def _(operation: Pad, state: Lowering) -> Operand:
    x = state.native(operation.x)
    value = quantize_value(operation.value, Grid(x.type.dtype, x.scale, x.zero_point))
    shape = _ordered(x, state.shape(operation.output))
    ref = state.program.emit(
        op.Pad,
        x.type.dtype,
        shape,
        x=x.ref,
        before=_ordered(x, operation.before),
        after=_ordered(x, operation.after),
        value=value,
    )
    kind = TensorType(x.type.dtype, shape)
    return replace(x, ref=ref, type=kind, lo=min(x.lo, value), hi=max(x.hi, value))


@lower.register
def _(operation: Concat, state: Lowering) -> Operand:
    if len(operation.inputs) > MAX_CONCAT:
        raise refuse(
            operation,
            f"joins {len(operation.inputs)} tensors, at most {MAX_CONCAT} are legal",
            "join in stages",
        )
    parts = _common_form(operation, state)
    if any(part.channels_last for part in parts):
        parts = [state.channels_last(part) for part in parts]
    first = parts[0]
    rank = len(first.type.shape)
    axis = (operation.axis - 1) % rank if first.channels_last else operation.axis
    shape = _ordered(first, state.shape(operation.output))
    refs = tuple(part.ref for part in parts)
    ref = state.program.emit(op.Concat, first.type.dtype, shape, inputs=refs, axis=axis)
    lo, hi = min(part.lo for part in parts), max(part.hi for part in parts)
    return replace(first, ref=ref, type=TensorType(first.type.dtype, shape), lo=lo, hi=hi)


def _common_form(operation: Concat, state: Lowering) -> list[Operand]:
    """The parts on one grid: as they are, or on the coarsest, or as activations."""
    known = constants_of(state.graph)
    if any(name in known for name in operation.inputs) and set(operation.inputs) - known.keys():
        return common_form(state, operation.inputs, operation.output)
    natives = [state.native(name) for name in operation.inputs]
    if len({(part.type.dtype, part.scale, part.zero_point) for part in natives}) == 1:
        return natives
    if all(part.is_integer_form for part in natives):
        coarsest = max(part.scale for part in natives)
        ratios = [coarsest / part.scale for part in natives]
        if all(ratio.denominator == 1 and ratio.numerator.bit_count() == 1 for ratio in ratios):
            return [rescale(state, part, coarsest) for part in natives]
    grid = state.grid(operation.output)
    parts = []
    for name in operation.inputs:
        part = state.activation(name)
        same = (part.scale, part.zero_point) == (grid.scale, grid.zero_point)
        parts.append(part if same else to_grid(state, part, grid))
    return parts
