"""Output types of windows and rows."""

from precompiles.model import limits
from precompiles.model import operators as op
from precompiles.model.checks import (
    NARROW,
    QUANTIZED,
    constant_type,
    require,
    require_dtype,
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


def _pooled(instruction: op.MaxPool | op.AveragePool, x: TensorType) -> tuple[int, int, int]:
    """Output shape of a pooling; every window touches the image because pads < kernel."""
    require_dtype(x, NARROW, "x")
    height, width, channels = image_sizes(x, "x")
    require_length(instruction.kernel, 2, "kernel")
    require_length(instruction.strides, 2, "strides")
    require_length(instruction.pads, 4, "pads")
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
    require_zero_point(instruction.x_zero_point, x, "x_zero_point")
    constant_type(model, instruction.multiplier, DType.S32, (rows, columns), "multiplier")
    dtype = requantized_dtype(model, instruction)
    require_dtype(model.type_of(instruction.output), NARROW, "output")
    return TensorType(dtype, (rows, columns, channels))


@output_type.register(op.ReduceSum)
@output_type.register(op.ReduceMax)
def _(instruction: op.ReduceSum | op.ReduceMax, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    last_axis(x, "x")
    dtype = DType.S64 if isinstance(instruction, op.ReduceSum) else x.dtype
    return TensorType(dtype, (*x.shape[:-1], 1))


@output_type.register
def _(instruction: op.ArgMax, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    last_axis(x, "x")
    return TensorType(DType.S32, x.shape[:-1])


@output_type.register
def _(instruction: op.Softmax, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, QUANTIZED, "x")
    row = last_axis(x, "x")
    require_within((row, row), (1, limits.MAX_SOFTMAX_ROW), "L13", "row")
    require_multiplier(instruction.multiplier)
    shift = instruction.shift
    require_within((shift, shift), (0, limits.MAX_SOFTMAX_SHIFT), "L7", "shift")
    output = model.type_of(instruction.output)
    require_dtype(output, (DType.U8, DType.S16), "output")
    return TensorType(output.dtype, x.shape)


@output_type.register
def _(instruction: op.LayerNorm, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, (DType.S16, DType.S32), "x")
    row = last_axis(x, "x")
    require_within((row, row), (1, limits.MAX_NORM_ROW), "L13", "row")
    constant_type(model, instruction.gain, DType.S32, (row,), "gain")
    constant_type(model, instruction.offset, DType.S64, (row,), "offset")
    center, epsilon = instruction.center, instruction.epsilon
    require_within((center, center), (0, 1), "L4", "center")
    require_within((epsilon, epsilon), (0, limits.MAX_EPSILON), "L13", "epsilon")
    return TensorType(requantized_dtype(model, instruction), x.shape)


@output_type.register
def _(instruction: op.TopK, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    most = min(last_axis(x, "x"), limits.MAX_TOP_K)
    require_within((instruction.k, instruction.k), (1, most), "L13", "k")
    return TensorType(DType.S32, (*x.shape[:-1], instruction.k))
