"""Plans of operators that only move elements: every one copies from one layout to another."""

from collections.abc import Sequence
from dataclasses import replace

from precompiles.kernels import copies
from precompiles.kernels.broadcast import unary
from precompiles.model import operators as op
from precompiles.model.types import IntegerModel
from precompiles.planning.axes import (
    Axis,
    Operand,
    arranged,
    element_type,
    emit_elementwise,
    layout,
    merged,
    view,
)
from precompiles.planning.borders import reads_image, writes_image
from precompiles.planning.elementwise import RAW
from precompiles.planning.planes import are_planes, plan_planes
from precompiles.planning.planner import Planner
from precompiles.planning.registry import plan


@reads_image.register(op.Concat)
@reads_image.register(op.Slice)
def _(instruction: op.Concat | op.Slice, model: IntegerModel, value: int) -> bool:
    return True


@writes_image.register(op.Concat)
@writes_image.register(op.Slice)
def _(instruction: op.Concat | op.Slice, model: IntegerModel) -> bool:
    return True


@writes_image.register
def _(instruction: op.Transpose, model: IntegerModel) -> bool:
    return are_planes(instruction, model)


def emit_copy(planner: Planner, out: Operand, x: Operand, shape: Sequence[int], size: int) -> None:
    """Emit the step that copies elements of ``size`` bytes from one layout to another."""
    axes = merged((out, x), shape)
    *outer, last = axes
    if last.distances == (1, 0):
        emit_elementwise(planner, unary(copies.repeat_row, RAW[size], RAW[size]), (out, x), shape)
        return
    side = next((axis for axis in outer if axis.distances[1] == 1), last)
    tile = copies.TILE_BYTES // size
    if last.distances == (1, 1):
        kernel = copies.copy_rows
        row = Axis(last.size * size, (1, 1), last.is_batched)
        axes = arranged([*_in_bytes(outer, size), row])
    elif side is not last and last.distances[0] == 1 and min(side.size, last.size) >= tile:
        kernel = copies.transpose_tiles(size)
        rest = [axis for axis in outer if axis is not side]
        axes = _in_bytes([*rest, side, last], size)
    else:
        kernel = copies.copy_grid(RAW[size])
        longest = max(axes, key=lambda axis: axis.weight)
        axes = [*(axis for axis in axes if axis is not longest), longest]
    planner.emit(kernel, *out.words, *x.words, *layout(axes))


def _in_bytes(axes: Sequence[Axis], size: int) -> list[Axis]:
    return [replace(axis, distances=tuple(step * size for step in axis.distances)) for axis in axes]


def _inner(whole: Operand, offsets: Sequence[int], size: int) -> Operand:
    """A part of an operand that starts ``offsets`` positions from its origin on each axis."""
    steps = zip(offsets, whole.distances[1:], strict=True)
    first = sum(offset * step for offset, step in steps) * size
    return replace(whole, start=whole.start + first, window_bytes=whole.window_bytes - first)


@plan.register
def _(instruction: op.Reshape, planner: Planner) -> None:
    planner.alias(instruction.output, instruction.x)


@plan.register
def _(instruction: op.Transpose, planner: Planner) -> None:
    model = planner.model
    if are_planes(instruction, model):
        plan_planes(instruction, planner)
        return
    shape = model.type_of(instruction.output).shape
    x = view(planner, instruction.x, model.type_of(instruction.x).shape)
    order = [x.distances[1 + axis] for axis in instruction.permutation]
    turned = replace(x, distances=(x.distances[0], *order))
    out = view(planner, instruction.output, shape)
    emit_copy(planner, out, turned, shape, planner.dtype(instruction.x).itemsize)


@plan.register
def _(instruction: op.Concat, planner: Planner) -> None:
    kind = planner.model.type_of(instruction.output)
    out = view(planner, instruction.output, kind.shape)
    offsets = [0] * len(kind.shape)
    for value in instruction.inputs:
        shape = planner.model.type_of(value).shape
        part = _inner(out, offsets, kind.dtype.size)
        emit_copy(planner, part, view(planner, value, shape), shape, kind.dtype.size)
        offsets[instruction.axis] += shape[instruction.axis]


@plan.register
def _(instruction: op.Slice, planner: Planner) -> None:
    kind = planner.model.type_of(instruction.output)
    whole = view(planner, instruction.x, planner.model.type_of(instruction.x).shape)
    part = _inner(whole, instruction.starts, kind.dtype.size)
    steps = zip(instruction.steps, part.distances[1:], strict=True)
    taken = replace(part, distances=(part.distances[0], *(many * step for many, step in steps)))
    out = view(planner, instruction.output, kind.shape)
    emit_copy(planner, out, taken, kind.shape, kind.dtype.size)


@plan.register
def _(instruction: op.Pad, planner: Planner) -> None:
    kind = planner.model.type_of(instruction.output)
    shape = planner.model.type_of(instruction.x).shape
    raw = kind.dtype.size
    out = view(planner, instruction.output, kind.shape)
    filler = copies.fill(element_type(planner, instruction.output))
    planner.emit(filler, out.start, kind.elements, instruction.value)
    part = _inner(out, instruction.before, raw)
    emit_copy(planner, part, view(planner, instruction.x, shape), shape, raw)


@plan.register
def _(instruction: op.Expand, planner: Planner) -> None:
    kind = planner.model.type_of(instruction.output)
    out, x = (view(planner, item, kind.shape) for item in (instruction.output, instruction.x))
    emit_copy(planner, out, x, kind.shape, kind.dtype.size)


@plan.register
def _(instruction: op.Gather, planner: Planner) -> None:
    table = planner.constant(instruction.table)
    indices = planner.model.type_of(instruction.x).elements
    words = indices, planner.place(table), table.nbytes // table.shape[0]
    x, out = planner.tensor(instruction.x), planner.tensor(instruction.output)
    planner.emit(copies.gather_rows, x, *words, out)
