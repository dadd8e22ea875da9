"""Output types of elementwise operators."""

from precompiles.model import limits
from precompiles.model import operators as op
from precompiles.model.checks import (
    ANY,
    NARROW,
    QUANTIZED,
    WIDE,
    constant_type,
    require,
    require_dtype,
    require_within,
    tensor_type,
)
from precompiles.model.shapes.rules import (
    broadcast_shape,
    last_axis,
    output_type,
    requantized_dtype,
    require_multiplier,
    require_shift,
    require_zero_point,
)
from precompiles.model.types import DType, IntegerModel, TensorType


@output_type.register
def _(instruction: op.Add, model: IntegerModel) -> TensorType:
    shape = broadcast_shape(model, (instruction.a, instruction.b), QUANTIZED)
    require_zero_point(instruction.a_zero_point, model.type_of(instruction.a), "a_zero_point")
    require_zero_point(instruction.b_zero_point, model.type_of(instruction.b), "b_zero_point")
    for multiplier in (instruction.a_multiplier, instruction.b_multiplier):
        legal = multiplier != 0 and abs(multiplier) < 1 << 31
        require(legal, "L7", f"multiplier {multiplier}, expected 0 < |m| < 2**31")
    return TensorType(requantized_dtype(model, instruction), shape)


@output_type.register
def _(instruction: op.Mul, model: IntegerModel) -> TensorType:
    shape = broadcast_shape(model, (instruction.a, instruction.b), QUANTIZED)
    require_zero_point(instruction.a_zero_point, model.type_of(instruction.a), "a_zero_point")
    require_zero_point(instruction.b_zero_point, model.type_of(instruction.b), "b_zero_point")
    require_multiplier(instruction.multiplier)
    return TensorType(requantized_dtype(model, instruction), shape)


@output_type.register
def _(instruction: op.Requantize, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_zero_point(instruction.x_zero_point, x, "x_zero_point")
    channels = last_axis(x, "x")
    length = 1 if model.type_of(instruction.multiplier).shape == (1,) else channels
    constant_type(model, instruction.multiplier, DType.S32, (length,), "multiplier")
    return TensorType(requantized_dtype(model, instruction), x.shape)


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
    return TensorType(DType.S64, broadcast_shape(model, (instruction.a, instruction.b), WIDE))


@output_type.register(op.MulInteger)
@output_type.register(op.DivInteger)
def _(instruction: op.MulInteger | op.DivInteger, model: IntegerModel) -> TensorType:
    require_shift(instruction.shift, 0)
    if isinstance(instruction, op.DivInteger):  # doubled by the rounding
        require_within((instruction.shift,) * 2, (0, limits.MAX_SHIFT - 1), "L7", "shift")
    return TensorType(DType.S64, broadcast_shape(model, (instruction.a, instruction.b), WIDE))


@output_type.register
def _(instruction: op.Compare, model: IntegerModel) -> TensorType:
    relation = instruction.relation
    require_within((relation, relation), (0, 2), "L4", "relation")
    return TensorType(DType.U8, broadcast_shape(model, (instruction.a, instruction.b), ANY))


@output_type.register
def _(instruction: op.Select, model: IntegerModel) -> TensorType:
    require_dtype(model.type_of(instruction.condition), (DType.U8,), "condition")
    dtype = _common_dtype(instruction, model)
    operands = instruction.condition, instruction.a, instruction.b
    return TensorType(dtype, broadcast_shape(model, operands, ANY))


@output_type.register(op.Minimum)
@output_type.register(op.Maximum)
def _(instruction: op.Minimum | op.Maximum, model: IntegerModel) -> TensorType:
    dtype = _common_dtype(instruction, model)
    return TensorType(dtype, broadcast_shape(model, (instruction.a, instruction.b), ANY))


def _common_dtype(instruction: op.Select | op.Minimum | op.Maximum, model: IntegerModel) -> DType:
    """The one dtype of both choices."""
    dtype = model.type_of(instruction.a).dtype
    require_dtype(model.type_of(instruction.b), (dtype,), "b")
    return dtype


@output_type.register
def _(instruction: op.SquareRoot, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, WIDE, "x")
    return TensorType(DType.S64, x.shape)
