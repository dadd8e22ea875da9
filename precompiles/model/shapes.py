"""The type that each operator derives for its output, and the structure it demands of operands.

``output_type(instruction, model)`` checks dtypes, shapes and attributes that need no constant data
(rules L4, L5, L7, L8, L12, L15) and returns the derived type. Where an operator leaves the output
free (dtype of a requantised result, shape of Reshape and Slice), the declared one is checked and
returned. Value ids must already be known to exist.
"""

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from precompiles.errors import ModelError
from precompiles.model import limits
from precompiles.model import operators as op
from precompiles.model.checks import (
    NARROW,
    QUANTIZED,
    WIDE,
    constant_type,
    require,
    require_dtype,
    require_shape,
    require_within,
    tensor_type,
)
from precompiles.model.types import DType, IntegerModel, TensorType


@singledispatch
def output_type(instruction: op.Instruction, model: IntegerModel) -> TensorType:
    """Derived type of ``instruction.output``; ModelError names the rule that fails."""
    raise ModelError(f"L4: no rule for {type(instruction).__name__}")


def window_outputs(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1
) -> int:
    """Window positions on one axis (ONNX, floor mode); 0 or less when the window does not fit."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def require_shift(shift: int, lowest: int = 1) -> None:
    """L7: a shift count is inside the 64-bit word."""
    require_within((shift, shift), (lowest, limits.MAX_SHIFT), "L7", "shift")


def _requantized(
    model: IntegerModel,
    instruction: op.Gemm | op.Conv | op.AveragePool | op.Add | op.Mul | op.Requantize,
) -> DType:
    """Dtype of a requantised output after L7 and L8 on its attributes."""
    kind = model.type_of(instruction.output)
    require_dtype(kind, QUANTIZED, "output")
    require_shift(instruction.shift)
    bounds = kind.dtype.bounds
    require_within((instruction.lo, instruction.hi), bounds, "L8", "clip range")
    zero_point = instruction.zero_point
    require_within((zero_point, zero_point), bounds, "L8", "zero_point")
    return kind.dtype


def _require_zero_point(zero_point: int, kind: TensorType, name: str) -> None:
    require_within((zero_point, zero_point), kind.dtype.bounds, "L8", name)


def _require_length(entries: Sequence[int], length: int, name: str) -> None:
    require(len(entries) == length, "L4", f"{name} has {len(entries)} entries, expected {length}")


def _last_axis(kind: TensorType, name: str) -> int:
    require(len(kind.shape) >= 1, "L4", f"{name} has rank 0, expected at least 1")
    return kind.shape[-1]


def _image(kind: TensorType, name: str) -> tuple[int, int, int]:
    require(len(kind.shape) == 3, "L4", f"{name} has shape {kind.shape}, expected (H, W, C)")
    height, width, channels = kind.shape
    return height, width, channels


def _broadcast(model: IntegerModel, a: int, b: int, allowed: Sequence[DType]) -> tuple[int, ...]:
    """Common shape of two operands, of which at least one is a tensor."""
    require(max(a, b) >= len(model.constants), "L4", f"both operands {a} and {b} are constants")
    left, right = model.type_of(a), model.type_of(b)
    require_dtype(left, allowed, "a")
    require_dtype(right, allowed, "b")
    try:
        return np.broadcast_shapes(left.shape, right.shape)
    except ValueError as error:
        raise ModelError(f"L4: shapes {left.shape} and {right.shape} do not broadcast") from error


@output_type.register
def _(instruction: op.Gemm, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, (DType.U8, DType.S16), "x")
    depth = _last_axis(x, "x")
    require_within((depth, depth), (1, limits.MAX_ACCUMULATOR_TERMS), "L5", "K")
    weight = model.type_of(instruction.weight)
    require(len(weight.shape) == 2, "L4", f"weight has shape {weight.shape}, expected (K, N)")
    columns = weight.shape[1]
    constant_type(model, instruction.weight, DType.S8, (depth, columns), "weight")
    constant_type(model, instruction.bias, DType.S32, (columns,), "bias")
    constant_type(model, instruction.multiplier, DType.S32, (columns,), "multiplier")
    return TensorType(_requantized(model, instruction), (*x.shape[:-1], columns))


@output_type.register
def _(instruction: op.Conv, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, (DType.U8,), "x")
    height, width, channels = _image(x, "x")
    _require_length(instruction.strides, 2, "strides")
    _require_length(instruction.dilations, 2, "dilations")
    _require_length(instruction.pads, 4, "pads")
    weight = model.type_of(instruction.weight)
    require(len(weight.shape) == 4, "L4", f"weight has shape {weight.shape}, expected rank 4")
    kernel_h, kernel_w, depth, filters = weight.shape
    group = instruction.group
    require(
        group >= 1 and channels % group == 0 and filters % group == 0,
        "L4",
        f"group {group} does not divide {channels} input and {filters} output channels",
    )
    expected = (kernel_h, kernel_w, channels // group, filters)
    constant_type(model, instruction.weight, DType.S8, expected, "weight")
    constant_type(model, instruction.bias, DType.S32, (filters,), "bias")
    constant_type(model, instruction.multiplier, DType.S32, (filters,), "multiplier")
    terms = kernel_h * kernel_w * depth
    require_within((terms, terms), (1, limits.MAX_ACCUMULATOR_TERMS), "L5", "terms per sum")
    for kernel, stride, dilation in zip(
        (kernel_h, kernel_w), instruction.strides, instruction.dilations, strict=True
    ):
        require_within((kernel, kernel), (1, limits.MAX_KERNEL), "L12", "kernel")
        require_within((stride, stride), (1, limits.MAX_STRIDE), "L12", "stride")
        require_within((dilation, dilation), (1, limits.MAX_STRIDE), "L12", "dilation")
    top, left, bottom, right = instruction.pads
    require_within((min(instruction.pads), max(instruction.pads)), (0, 512), "L12", "pads")
    require_within(
        (instruction.pad_value, instruction.pad_value), x.dtype.bounds, "L8", "pad_value"
    )
    stride_h, stride_w = instruction.strides
    dilation_h, dilation_w = instruction.dilations
    rows = window_outputs(height, kernel_h, stride_h, top, bottom, dilation_h)
    columns = window_outputs(width, kernel_w, stride_w, left, right, dilation_w)
    require(rows >= 1 and columns >= 1, "L12", f"{rows} x {columns} windows fit, expected >= 1")
    return TensorType(_requantized(model, instruction), (rows, columns, filters))


@output_type.register
def _(instruction: op.LinearInteger, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, WIDE, "x")
    depth = _last_axis(x, "x")
    weight = model.type_of(instruction.weight)
    require(len(weight.shape) == 2, "L4", f"weight has shape {weight.shape}, expected (K, N)")
    columns = weight.shape[1]
    constant_type(model, instruction.weight, DType.S32, (depth, columns), "weight")
    constant_type(model, instruction.bias, DType.S64, (columns,), "bias")
    return TensorType(DType.S64, (*x.shape[:-1], columns))


def _pooled(instruction: op.MaxPool | op.AveragePool, x: TensorType) -> tuple[int, int, int]:
    """Output shape of a pooling; every window touches the image because pads < kernel."""
    require_dtype(x, NARROW, "x")
    height, width, channels = _image(x, "x")
    _require_length(instruction.kernel, 2, "kernel")
    _require_length(instruction.strides, 2, "strides")
    _require_length(instruction.pads, 4, "pads")
    shape = []
    for axis, size in enumerate((height, width)):
        kernel, stride = instruction.kernel[axis], instruction.strides[axis]
        before, after = instruction.pads[axis], instruction.pads[axis + 2]
        require_within((kernel, kernel), (1, limits.MAX_DIM), "L12", "kernel")
        require_within((stride, stride), (1, limits.MAX_DIM), "L12", "stride")
        pads = (min(before, after), max(before, after))
        require_within(pads, (0, kernel - 1), "L12", "pads")
        positions = window_outputs(size, kernel, stride, before, after)
        require(positions >= 1, "L12", f"window {kernel} on {size} + {before} + {after} fits not")
        shape.append(positions)
    return shape[0], shape[1], channels


@output_type.register
def _(instruction: op.MaxPool, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    return TensorType(x.dtype, _pooled(instruction, x))


@output_type.register
def _(instruction: op.AveragePool, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    rows, columns, channels = _pooled(instruction, x)
    _require_zero_point(instruction.x_zero_point, x, "x_zero_point")
    constant_type(model, instruction.multiplier, DType.S32, (rows, columns), "multiplier")
    dtype = _requantized(model, instruction)
    require_dtype(model.type_of(instruction.output), NARROW, "output")
    return TensorType(dtype, (rows, columns, channels))


@output_type.register
def _(instruction: op.Add, model: IntegerModel) -> TensorType:
    shape = _broadcast(model, instruction.a, instruction.b, QUANTIZED)
    _require_zero_point(instruction.a_zero_point, model.type_of(instruction.a), "a_zero_point")
    _require_zero_point(instruction.b_zero_point, model.type_of(instruction.b), "b_zero_point")
    for multiplier in (instruction.a_multiplier, instruction.b_multiplier):
        legal = multiplier != 0 and abs(multiplier) < 1 << 31
        require(legal, "L7", f"multiplier {multiplier}, expected 0 < |m| < 2**31")
    return TensorType(_requantized(model, instruction), shape)


@output_type.register
def _(instruction: op.Mul, model: IntegerModel) -> TensorType:
    shape = _broadcast(model, instruction.a, instruction.b, QUANTIZED)
    _require_zero_point(instruction.a_zero_point, model.type_of(instruction.a), "a_zero_point")
    _require_zero_point(instruction.b_zero_point, model.type_of(instruction.b), "b_zero_point")
    multiplier = instruction.multiplier
    require_within((multiplier, multiplier), (1, (1 << 31) - 1), "L7", "multiplier")
    return TensorType(_requantized(model, instruction), shape)


@output_type.register
def _(instruction: op.Requantize, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    _require_zero_point(instruction.x_zero_point, x, "x_zero_point")
    channels = _last_axis(x, "x")
    length = 1 if model.type_of(instruction.multiplier).shape == (1,) else channels
    constant_type(model, instruction.multiplier, DType.S32, (length,), "multiplier")
    return TensorType(_requantized(model, instruction), x.shape)


@output_type.register
def _(instruction: op.Clip, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_within((instruction.lo, instruction.hi), x.dtype.bounds, "L8", "clip range")
    return x


@output_type.register
def _(instruction: op.Lookup, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, NARROW, "x")
    table = model.type_of(instruction.table)
    require_dtype(table, QUANTIZED, "table")
    entries = 1 << (8 * x.dtype.size)
    require(table.shape == (entries,), "L9", f"table has shape {table.shape}, expected {entries}")
    constant_type(model, instruction.table, table.dtype, (entries,), "table")
    return TensorType(table.dtype, x.shape)


@output_type.register
def _(instruction: op.PiecewiseLinear, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, WIDE, "x")
    require_shift(instruction.shift, 0)
    shape = model.type_of(instruction.knots).shape
    knots = shape[0] if len(shape) == 1 else 0
    require_within((knots, knots), (1, limits.MAX_KNOTS), "L9", "number of knots")
    for name in ("knots", "values", "slopes"):
        constant_type(model, getattr(instruction, name), DType.S64, (knots,), name)
    return TensorType(DType.S64, x.shape)


@output_type.register(op.AddInteger)
@output_type.register(op.SubInteger)
def _(instruction: op.AddInteger | op.SubInteger, model: IntegerModel) -> TensorType:
    return TensorType(DType.S64, _broadcast(model, instruction.a, instruction.b, WIDE))


@output_type.register(op.MulInteger)
@output_type.register(op.DivInteger)
def _(instruction: op.MulInteger | op.DivInteger, model: IntegerModel) -> TensorType:
    require_shift(instruction.shift, 0)
    if isinstance(instruction, op.DivInteger):  # doubled by the rounding
        require_within((instruction.shift,) * 2, (0, limits.MAX_SHIFT - 1), "L7", "shift")
    return TensorType(DType.S64, _broadcast(model, instruction.a, instruction.b, WIDE))


@output_type.register(op.ReduceSum)
@output_type.register(op.ReduceMax)
def _(instruction: op.ReduceSum | op.ReduceMax, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    _last_axis(x, "x")
    dtype = DType.S64 if isinstance(instruction, op.ReduceSum) else x.dtype
    return TensorType(dtype, (*x.shape[:-1], 1))


@output_type.register
def _(instruction: op.ArgMax, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    _last_axis(x, "x")
    return TensorType(DType.S32, x.shape[:-1])


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
    _require_length(shape, rank, "output shape")
    _require_length(instruction.starts, rank, "starts")
    _require_length(instruction.steps, rank, "steps")
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
    _require_length(instruction.before, rank, "before")
    _require_length(instruction.after, rank, "after")
    for amount in (*instruction.before, *instruction.after):
        require_within((amount, amount), (0, limits.MAX_DIM), "L15", "pad")
    require_within((instruction.value, instruction.value), x.dtype.bounds, "L8", "value")
    sizes = zip(instruction.before, x.shape, instruction.after, strict=True)
    return TensorType(x.dtype, tuple(before + size + after for before, size, after in sizes))


@output_type.register
def _(instruction: op.TreeEnsemble, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, WIDE, "x")
    require(len(x.shape) == 1, "L4", f"x has shape {x.shape}, expected (F)")
    require_within((instruction.depth,) * 2, (0, limits.MAX_TREE_DEPTH), "L14", "depth")
    roots = model.type_of(instruction.roots).shape
    nodes = model.type_of(instruction.feature).shape
    leaves = model.type_of(instruction.leaves).shape
    require(
        len(roots) == 1 and len(nodes) == 1 and len(leaves) == 2,
        "L4",
        f"roots {roots}, feature {nodes}, leaves {leaves}: expected (T), (nodes), (rows, targets)",
    )
    constant_type(model, instruction.roots, DType.S32, roots, "roots")
    constant_type(model, instruction.threshold, x.dtype, nodes, "threshold")
    constant_type(model, instruction.missing_right, DType.U8, nodes, "missing_right")
    for name in ("feature", "left", "right"):
        constant_type(model, getattr(instruction, name), DType.S32, nodes, name)
    constant_type(model, instruction.leaves, DType.S64, leaves, "leaves")
    constant_type(model, instruction.base, DType.S64, leaves[1:], "base")
    return TensorType(DType.S64, leaves[1:])
