"""Output types of moves."""

from precompiles.model import limits
from precompiles.model import operators as op
from precompiles.model.checks import (
    constant_type,
    require,
    require_dtype,
    require_shape,
    require_within,
    tensor_type,
)
from precompiles.model.shapes.rules import last_axis, output_type, require_length
from precompiles.model.types import DType, IntegerModel, TensorType


@output_type.register
def _(instruction: op.Reshape, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    declared = TensorType(x.dtype, model.type_of(instruction.output).shape)
    require(
        declared.elements == x.elements,
        "L15",
        f"shape {declared.shape} has {declared.elements} elements, x has {x.elements}",
    )
    return declared


@output_type.register
def _(instruction: op.Transpose, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    permutation = instruction.permutation
    legal = sorted(permutation) == list(range(len(x.shape)))
    require(legal, "L15", f"{permutation} is no permutation of rank {len(x.shape)}")
    return TensorType(x.dtype, tuple(x.shape[axis] for axis in permutation))


@output_type.register
def _(instruction: op.Concat, model: IntegerModel) -> TensorType:
    count = len(instruction.inputs)
    require_within((count, count), (1, limits.MAX_CONCAT), "L15", "number of inputs")
    kinds = [model.type_of(value) for value in instruction.inputs]
    require(
        max(instruction.inputs) >= len(model.constants), "L4", "every input of Concat is constant"
    )
    first, axis = kinds[0], instruction.axis
    require(0 <= axis < len(first.shape), "L15", f"axis {axis} of rank {len(first.shape)}")
    for kind in kinds[1:]:
        require_dtype(kind, (first.dtype,), "Concat input")
        size = kind.shape[axis] if axis < len(kind.shape) else 0
        require_shape(kind.shape, (*first.shape[:axis], size, *first.shape[axis + 1 :]), "input")
    joined = sum(kind.shape[axis] for kind in kinds)
    return TensorType(first.dtype, (*first.shape[:axis], joined, *first.shape[axis + 1 :]))


@output_type.register
def _(instruction: op.Slice, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    rank = len(x.shape)
    shape = model.type_of(instruction.output).shape
    require_length(shape, rank, "output shape")
    require_length(instruction.starts, rank, "starts")
    require_length(instruction.steps, rank, "steps")
    for axis in range(rank):
        start, step = instruction.starts[axis], instruction.steps[axis]
        require_within((step, step), (1, limits.MAX_DIM), "L15", "step")
        last = start + (shape[axis] - 1) * step
        require_within((start, last), (0, x.shape[axis] - 1), "L15", "slice")
    return TensorType(x.dtype, shape)


@output_type.register
def _(instruction: op.Pad, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    rank = len(x.shape)
    require_length(instruction.before, rank, "before")
    require_length(instruction.after, rank, "after")
    for amount in (*instruction.before, *instruction.after):
        require_within((amount, amount), (0, limits.MAX_DIM), "L15", "pad")
    require_within((instruction.value, instruction.value), x.dtype.bounds, "L8", "value")
    sizes = zip(instruction.before, x.shape, instruction.after, strict=True)
    return TensorType(x.dtype, tuple(before + size + after for before, size, after in sizes))


@output_type.register
def _(instruction: op.Gather, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, (DType.S32,), "x")
    table = model.type_of(instruction.table)
    last_axis(table, "table")
    constant_type(model, instruction.table, table.dtype, table.shape, "table")
    return TensorType(table.dtype, (*x.shape, *table.shape[1:]))


@output_type.register
def _(instruction: op.Expand, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    shape = model.type_of(instruction.output).shape
    missing = len(shape) - len(x.shape)
    aligned = zip(shape[max(missing, 0) :], x.shape, strict=False)
    legal = missing >= 0 and all(size in (1, full) for full, size in aligned)
    require(legal, "L15", f"shape {x.shape} does not expand to {shape}")
    return TensorType(x.dtype, shape)
