"""Output types of products."""

from precompiles.model import limits
from precompiles.model import operators as op
from precompiles.model.checks import (
    WIDE,
    constant_type,
    require,
    require_dtype,
    require_shape,
    require_within,
    tensor_type,
)
from precompiles.model.shapes.rules import (
    image_sizes,
    last_axis,
    output_type,
    requantized_dtype,
    require_length,
    require_multiplier,
    require_zero_point,
    window_outputs,
)
from precompiles.model.types import DType, IntegerModel, TensorType


@output_type.register
def _(instruction: op.Gemm, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, (DType.U8, DType.S16), "x")
    depth = last_axis(x, "x")
    require_within((depth, depth), (1, limits.MAX_ACCUMULATOR_TERMS), "L5", "K")
    weight = model.type_of(instruction.weight)
    require(len(weight.shape) == 2, "L4", f"weight has shape {weight.shape}, expected (K, N)")
    columns = weight.shape[1]
    constant_type(model, instruction.weight, DType.S8, (depth, columns), "weight")
    constant_type(model, instruction.bias, DType.S32, (columns,), "bias")
    constant_type(model, instruction.multiplier, DType.S32, (columns,), "multiplier")
    return TensorType(requantized_dtype(model, instruction), (*x.shape[:-1], columns))


@output_type.register
def _(instruction: op.Conv, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, (DType.U8, DType.S16), "x")
    height, width, channels = image_sizes(x, "x")
    require_length(instruction.strides, 2, "strides")
    require_length(instruction.dilations, 2, "dilations")
    require_length(instruction.pads, 4, "pads")
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
    return TensorType(requantized_dtype(model, instruction), (rows, columns, filters))


@output_type.register
def _(instruction: op.LinearInteger, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, WIDE, "x")
    depth = last_axis(x, "x")
    weight = model.type_of(instruction.weight)
    require(len(weight.shape) == 2, "L4", f"weight has shape {weight.shape}, expected (K, N)")
    columns = weight.shape[1]
    constant_type(model, instruction.weight, DType.S32, (depth, columns), "weight")
    constant_type(model, instruction.bias, DType.S64, (columns,), "bias")
    return TensorType(DType.S64, (*x.shape[:-1], columns))


@output_type.register
def _(instruction: op.MatMul, model: IntegerModel) -> TensorType:
    a = tensor_type(model, instruction.a, "a")
    b = tensor_type(model, instruction.b, "b")
    require_dtype(a, (DType.U8, DType.S16), "a")
    require_dtype(b, (DType.S8,) if a.dtype is DType.U8 else (DType.S8, DType.S16), "b")
    transposed = instruction.transpose_b
    require_within((transposed, transposed), (0, 1), "L4", "transpose_b")
    require(len(a.shape) >= 2, "L4", f"a has shape {a.shape}, expected rank 2 or more")
    *leading, rows, depth = a.shape
    columns = b.shape[-2 if transposed else -1] if len(b.shape) >= 2 else 0
    inner = (columns, depth) if transposed else (depth, columns)
    require_shape(b.shape, (*leading, *inner), "b")
    require_within((depth, depth), (1, limits.MAX_ACCUMULATOR_TERMS), "L5", "K")
    require_zero_point(instruction.a_zero_point, a, "a_zero_point")
    require_multiplier(instruction.multiplier)
    return TensorType(requantized_dtype(model, instruction), (*leading, rows, columns))
