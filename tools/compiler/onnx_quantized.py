"""Importers of quantised ONNX: QuantizeLinear pairs, QLinear operators, integer products.

Each operator becomes the real operation followed by a rounding to the grid of its output; the
rounding is fused into the operation by a pass. Weights keep their stored codes.
"""

from typing import Any

import numpy as np

from tools.compiler.coded import (
    codes_as_numbers,
    constant_real,
    emit_coded,
    grid_of,
    real_operand,
    scale_inputs,
    weight_steps,
)
from tools.compiler.graph import Add, Affine, Array, Floats, Function, Mul
from tools.compiler.onnx_attention import emit_matmul
from tools.compiler.onnx_dense import (
    emit_conv,
    emit_dense,
    emit_softmax,
    import_pool,
)
from tools.compiler.onnx_elementwise import UNARY
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_shape import emit_concat
from tools.compiler.scope import (
    Importer,
    Scope,
    constant,
    data,
    origin,
    reject,
    required,
    sample_axis,
)

_MICROSOFT = "com.microsoft."


def _quantize(scope: Scope, node: OnnxNode) -> None:
    scale, zero = scale_inputs(scope, node, 1)
    if len(node.inputs) < 3:
        zero = np.zeros((), scope.dtype(node.outputs[0]))
    x = data(scope, node)
    emit_coded(scope, node, x, grid_of(node, scale, zero), node.outputs[0])


def _dequantize(scope: Scope, node: OnnxNode) -> None:
    scale, zero = scale_inputs(scope, node, 1)
    if len(node.inputs) < 3:
        zero = np.zeros((), scope.dtype(node.inputs[0]))
    if zero.dtype == np.int32:
        _dequantize_sums(scope, node, scale)
        return
    scope.alias(node.outputs[0], real_operand(scope, node, 0, scale, zero))


def _dequantize_sums(scope: Scope, node: OnnxNode, scale: Array) -> None:
    """int32 sums (of MatMulInteger, ConvInteger) times a scale."""
    x = data(scope, node)
    operation = Affine(
        origin=origin(node),
        output=node.outputs[0],
        x=x,
        scale=np.asarray(scale, np.float64),
        offset=np.zeros(()),
    )
    scope.emit(operation, scope.shapes[x])


def note_constant(scope: Scope, node: OnnxNode) -> None:
    """Remember the scales of a constant that was dequantised, for the layer that reads it."""
    if node.operator == "DequantizeLinear":
        scale = scope.constant(node.inputs[1])
        if scale is not None and "block_size" not in node.attributes:
            axis = int(node.attributes.get("axis", 1))
            scope.steps[node.outputs[0]] = (np.asarray(scale, np.float64), axis)


def _finish(scope: Scope, node: OnnxNode, x: str, index: int) -> None:
    """Round ``x`` to the scale and zero point at inputs ``index`` and ``index + 1``."""
    grid = grid_of(node, *scale_inputs(scope, node, index))
    shape = scope.probed_shape(node, node.outputs[0])
    emit_coded(scope, node, scope.reshape(node, x, shape), grid, node.outputs[0])


def _operand(scope: Scope, node: OnnxNode, index: int) -> str:
    """Codes at ``index`` with scale and zero point after them."""
    return real_operand(scope, node, index, *scale_inputs(scope, node, index + 1))


def _weights(
    scope: Scope, node: OnnxNode, index: int, axis: int
) -> tuple[Floats, Floats | None, Array]:
    """Real weights at ``index`` (scale and zero point after them), their steps and their scale."""
    codes = required(scope, node, index, "weight")
    scale, zero = scale_inputs(scope, node, index + 1)
    values = constant_real(codes, scale, zero, axis)
    return values, weight_steps(values, scale, axis), scale


def _bias(
    scope: Scope, node: OnnxNode, index: int, x_scale: Array, w_scale: Array
) -> Floats | None:
    """int32 bias in units of the product of both scales."""
    value = constant(scope, node, index, "bias")
    if value is None:
        return None
    unit = np.asarray(x_scale, np.float64).reshape(-1) * np.asarray(w_scale, np.float64).reshape(-1)
    return np.asarray(value.reshape(-1) * unit)


def _qlinear_conv(scope: Scope, node: OnnxNode) -> None:
    x = _operand(scope, node, 0)
    weight, steps, scale = _weights(scope, node, 3, 0)
    bias = _bias(scope, node, 8, required(scope, node, 1, "scale"), scale)
    shape = scope.probed_shape(node, node.outputs[0])
    name = emit_conv(scope, node, x, weight, bias, shape, scope.fresh(node), steps)
    _finish(scope, node, name, 6)


def _qlinear_matmul(scope: Scope, node: OnnxNode) -> None:
    a = _operand(scope, node, 0)
    if scope.resolve(node.inputs[3]) in scope.shapes:
        name = emit_matmul(scope, node, a, _operand(scope, node, 3), scope.fresh(node))
    else:
        weight, steps, _ = _weights(scope, node, 3, 1)
        if weight.ndim != 2:
            reject(node, f"has weights of shape {weight.shape}", "use one matrix")
        name = emit_dense(scope, node, a, weight, np.zeros(1), scope.fresh(node), steps)
    _finish(scope, node, name, 6)


def _qgemm(scope: Scope, node: OnnxNode) -> None:
    if node.attributes.get("transA", 0):
        reject(node, "transposes its data operand", "transpose the weights instead")
    a = _operand(scope, node, 0)
    turned = bool(node.attributes.get("transB", 0))
    weight, steps, scale = _weights(scope, node, 3, 0 if turned else 1)
    alpha = float(node.attributes.get("alpha", 1.0))
    weight = (weight.T if turned else weight) * alpha
    bias = _bias(scope, node, 6, required(scope, node, 1, "scale") * alpha, scale)
    row = np.zeros(1) if bias is None else bias
    steps = None if steps is None else steps * alpha
    real = len(node.inputs) < 8 or not node.inputs[7]
    output = node.outputs[0] if real else scope.fresh(node)
    name = emit_dense(scope, node, a, weight, row, output, steps)
    if not real:
        _finish(scope, node, name, 7)


def _qlinear_binary(scope: Scope, node: OnnxNode) -> None:
    """QLinearAdd and QLinearMul: A, its scale and zero point, B likewise, then those of C."""
    is_data = [scope.resolve(node.inputs[index]) in scope.shapes for index in (0, 3)]
    shape = scope.probed_shape(node, node.outputs[0])
    output, where = scope.fresh(node), origin(node)
    multiplies = node.operator.endswith("Mul")
    if all(is_data):
        a, b = _operand(scope, node, 0), _operand(scope, node, 3)
        kind: Any = Mul if multiplies else Add
        scope.emit(kind(origin=where, output=output, a=a, b=b), shape)
    else:
        first, second = (0, 3) if is_data[0] else (3, 0)
        value, _, _ = _weights(scope, node, second, 0)
        x = _operand(scope, node, first)
        value = value.reshape(value.shape[max(0, value.ndim - len(shape)) :])
        one, zero = np.ones(()), np.zeros(())
        scale, offset = (value, zero) if multiplies else (one, value)
        affine = Affine(origin=where, output=output, x=x, scale=scale, offset=offset)
        scope.emit(affine, shape)
    _finish(scope, node, output, 6)


def _qlinear_unary(scope: Scope, node: OnnxNode) -> None:
    x = _operand(scope, node, 0)
    operator = node.operator.removeprefix(_MICROSOFT).removeprefix("QLinear")
    expression = UNARY[operator](node.attributes)
    operation = Function(origin=origin(node), output=scope.fresh(node), x=x, expression=expression)
    scope.emit(operation, scope.shapes[x])
    _finish(scope, node, operation.output, 3)


def _qlinear_softmax(scope: Scope, node: OnnxNode) -> None:
    x = _operand(scope, node, 0)
    rank = len(scope.shapes[x]) + 1
    axis = sample_axis(node, int(node.attributes.get("axis", -1)), rank)
    if axis != rank - 2:
        reject(node, f"works along axis {axis + 1}", "use the last axis")
    _finish(scope, node, emit_softmax(scope, node, x, scope.fresh(node)), 3)


def _qlinear_pool(scope: Scope, node: OnnxNode) -> None:
    if node.attributes.get("channels_last", 0):
        reject(node, "has channels last", "export with channels first")
    x = _operand(scope, node, 0)
    operator = node.operator.removeprefix(_MICROSOFT).removeprefix("QLinear")
    _finish(scope, node, import_pool(scope, node, operator, x, scope.fresh(node)), 3)


def _qlinear_concat(scope: Scope, node: OnnxNode) -> None:
    names = [_operand(scope, node, index) for index in range(2, len(node.inputs), 3)]
    grid = grid_of(node, *scale_inputs(scope, node, 0))
    rank = len(scope.shapes[names[0]]) + 1
    axis = sample_axis(node, int(node.attributes["axis"]), rank)
    name = emit_concat(scope, node, names, axis, scope.fresh(node))
    emit_coded(scope, node, name, grid, node.outputs[0])


def _matmul_integer(scope: Scope, node: OnnxNode) -> None:
    """Whole numbers in, whole numbers out: ``(a - za) @ (b - zb)``."""
    a, offset = _numbers(scope, node)
    codes = required(scope, node, 1, "second operand")
    zero = constant(scope, node, 3, "zero point of the second operand")
    weight = codes.astype(np.float64) - (0 if zero is None else zero.astype(np.float64))
    bias = -offset * weight.sum(axis=0)
    steps = weight_steps(weight, np.ones(1), 1)
    emit_dense(scope, node, a, weight, bias, node.outputs[0], steps)


def _conv_integer(scope: Scope, node: OnnxNode) -> None:
    a, offset = _numbers(scope, node)
    codes = required(scope, node, 1, "weight")
    zero = constant(scope, node, 3, "zero point of the weights")
    weight = codes.astype(np.float64)
    if zero is not None:
        weight = weight - zero.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    shape = scope.probed_shape(node, node.outputs[0])
    if offset:  # pads are the zero point, so it is taken off before
        moved = Affine(
            origin=origin(node),
            output=scope.fresh(node),
            x=a,
            scale=np.ones(()),
            offset=np.full((), -offset),
        )
        a = scope.emit(moved, scope.shapes[a])
    steps = weight_steps(weight, np.ones(1), 0)
    emit_conv(scope, node, a, weight, None, shape, node.outputs[0], steps)


def _numbers(scope: Scope, node: OnnxNode) -> tuple[str, float]:
    """The first operand as whole numbers, and its zero point."""
    zero = constant(scope, node, 2, "zero point of the first operand")
    offset = 0.0 if zero is None else float(zero.reshape(-1)[0])
    if node.inputs[0] in scope.coded:
        return codes_as_numbers(scope, node, node.inputs[0]), offset
    return data(scope, node), offset


IMPORTERS: dict[str, Importer] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
    f"{_MICROSOFT}DequantizeLinear": _dequantize,
    f"{_MICROSOFT}QGemm": _qgemm,
    f"{_MICROSOFT}QLinearAdd": _qlinear_binary,
    f"{_MICROSOFT}QLinearAveragePool": _qlinear_pool,
    f"{_MICROSOFT}QLinearConcat": _qlinear_concat,
    f"{_MICROSOFT}QLinearGlobalAveragePool": _qlinear_pool,
    f"{_MICROSOFT}QLinearLeakyRelu": _qlinear_unary,
    f"{_MICROSOFT}QLinearMul": _qlinear_binary,
    f"{_MICROSOFT}QLinearSigmoid": _qlinear_unary,
    f"{_MICROSOFT}QLinearSoftmax": _qlinear_softmax,
    f"{_MICROSOFT}QuantizeLinear": _quantize,
}
