"""Importers of elementwise operators: unary functions, arithmetic, batch normalisation."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tools.compiler.graph import (
    Add,
    Affine,
    Array,
    Bounds,
    Expression,
    Floats,
    Function,
    Mul,
    Normalize,
    Shape,
)
from tools.compiler.graph_choices import EQUAL, Compare, Constant, Expand, Rounding
from tools.compiler.graph_tabular import Power
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import (
    Importer,
    Scope,
    constant,
    data,
    origin,
    reject,
    required,
)

_SMALL_TENSOR = 1024
"""Elements up to which whole powers are exact products, not curves."""

_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: Floats) -> Floats:
    """The error function on an array."""
    return np.asarray(_erf(x), dtype=np.float64)


def sigmoid(x: Floats) -> Floats:
    """``1 / (1 + exp(-x))`` without overflow."""
    tail = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + tail), tail / (1 + tail))


def softplus(x: Floats) -> Floats:
    """``log(1 + exp(x))`` without overflow."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def _leaky(slope: float) -> Expression:
    return lambda x: np.where(x >= 0, x, slope * x)


def _elu(alpha: float, gamma: float = 1.0) -> Expression:
    return lambda x: gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _hard_sigmoid(alpha: float, beta: float) -> Expression:
    return lambda x: np.clip(alpha * x + beta, 0, 1)


def _gelu(approximate: bytes) -> Expression:
    if approximate == b"tanh":
        factor = math.sqrt(2 / math.pi)
        return lambda x: 0.5 * x * (1 + np.tanh(factor * (x + 0.044715 * x**3)))
    return lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2)))


_Attributes = Mapping[str, Any]
UNARY: dict[str, Callable[[_Attributes], Expression]] = {
    "Abs": lambda _: np.abs,
    "Celu": lambda a: _elu(a.get("alpha", 1.0)),
    "Cos": lambda _: np.cos,
    "Elu": lambda a: _elu(a.get("alpha", 1.0)),
    "Erf": lambda _: erf,
    "Exp": lambda _: np.exp,
    "Gelu": lambda a: _gelu(a.get("approximate", b"none")),
    "HardSigmoid": lambda a: _hard_sigmoid(a.get("alpha", 0.2), a.get("beta", 0.5)),
    "HardSwish": lambda _: lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda a: _leaky(a.get("alpha", 0.01)),
    "Log": lambda _: np.log,
    "Mish": lambda _: lambda x: x * np.tanh(softplus(x)),
    "Reciprocal": lambda _: np.reciprocal,
    "Selu": lambda a: _elu(a.get("alpha", 1.6732632423543772), a.get("gamma", 1.0507009873554805)),
    "Sigmoid": lambda _: sigmoid,
    "Sin": lambda _: np.sin,
    "Softplus": lambda _: softplus,
    "Softsign": lambda _: lambda x: x / (1 + np.abs(x)),
    "Sqrt": lambda _: np.sqrt,
    "Swish": lambda a: lambda x: x * sigmoid(a.get("alpha", 1.0) * x),
    "Tanh": lambda _: np.tanh,
}
"""ONNX operator -> scalar function in float64; the parameters are its attributes."""


def clip_function(bounds: Bounds) -> Expression:
    """``min(max(x, low), high)``."""
    return lambda x: np.clip(x, *bounds)


def _unary(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    expression = UNARY[node.operator](node.attributes)
    operation = Function(origin=origin(node), output=node.outputs[0], x=x, expression=expression)
    scope.emit(operation, scope.shapes[x])


def emit_clip(scope: Scope, node: OnnxNode, x: str, bounds: Bounds, output: str) -> str:
    """Emit a pure clip."""
    operation = Function(
        origin=origin(node), output=output, x=x, expression=clip_function(bounds), clamp=bounds
    )
    return scope.emit(operation, scope.shapes[x])


def _relu(scope: Scope, node: OnnxNode) -> None:
    emit_clip(scope, node, data(scope, node), (0.0, np.inf), node.outputs[0])


def _clip(scope: Scope, node: OnnxNode) -> None:
    bounds = []
    for index, (key, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        value = constant(scope, node, index, key)
        bound = node.attributes.get(key, default) if value is None else float(value.reshape(-1)[0])
        bounds.append(float(bound))
    emit_clip(scope, node, data(scope, node), (bounds[0], bounds[1]), node.outputs[0])


def _is_data(scope: Scope, node: OnnxNode, index: int) -> bool:
    return scope.resolve(node.inputs[index]) in scope.shapes


def sample_constant(node: OnnxNode, value: Array, rank: int) -> Floats:
    """A constant operand without its batch dimension; ``rank`` is the tensor's per-sample rank."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim <= rank:
        return array
    if array.ndim == rank + 1 and np.array_equal(array, np.broadcast_to(array[:1], array.shape)):
        return np.asarray(array[0])
    reject(
        node, f"a constant of shape {array.shape} differs per sample", "broadcast over the batch"
    )


def _arithmetic(scope: Scope, node: OnnxNode) -> None:
    flags = [_is_data(scope, node, index) for index in (0, 1)]
    if all(flags):
        _tensor_arithmetic(scope, node)
        return
    index = flags.index(True)
    x = data(scope, node, index)
    shape = scope.shapes[x]
    raw = required(scope, node, 1 - index, "operand")
    value = sample_constant(node, raw, len(shape))
    if np.broadcast_shapes(shape, value.shape) != shape:
        x, shape = _enlarged(scope, node, x, value.shape)
    if node.operator == "Div" and index == 1:
        if value.size != 1:
            reject(node, "divides a vector constant by a tensor", "use Reciprocal and Mul")
        _emit_function(scope, node, x, _quotient(float(value.reshape(-1)[0])))
        return
    scale, offset = _affine(node.operator, value, index)
    typed = np.asarray(raw)
    as_onnx = _onnx_arithmetic(node.operator, typed, index)
    operation = Affine(
        origin=origin(node),
        output=node.outputs[0],
        x=x,
        scale=scale,
        offset=offset,
        as_onnx=as_onnx,
    )
    scope.emit(operation, shape)


def _enlarged(scope: Scope, node: OnnxNode, x: str, other: Shape) -> tuple[str, Shape]:
    """The tensor repeated to the shape that it broadcasts to with a constant."""
    held = scope.shapes[x]
    shape = np.broadcast_shapes(held, other)
    if len(shape) != len(held):
        reject(node, f"the constant of shape {other} adds axes to {held}", "unsqueeze it first")
    operation = Expand(origin=origin(node), output=scope.fresh(node), x=x)
    return scope.emit(operation, shape), shape


def _quotient(numerator: float) -> Expression:
    return lambda x: numerator / x


def _emit_function(scope: Scope, node: OnnxNode, x: str, expression: Expression) -> None:
    operation = Function(origin=origin(node), output=node.outputs[0], x=x, expression=expression)
    scope.emit(operation, scope.shapes[x])


def _affine(operator: str, value: Floats, tensor_index: int) -> tuple[Floats, Floats]:
    one, zero = np.ones(()), np.zeros(())
    if operator == "Add":
        return one, value
    if operator == "Sub":
        return (one, -value) if tensor_index == 0 else (-one, value)
    if operator == "Mul":
        return value, zero
    return 1 / value, zero


def _onnx_arithmetic(operator: str, value: Array, tensor_index: int) -> Callable[[Array], Array]:
    ufunc = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[operator]
    if tensor_index == 0:
        return lambda x: np.asarray(ufunc(x, value))
    return lambda x: np.asarray(ufunc(value, x))


def _tensor_arithmetic(scope: Scope, node: OnnxNode) -> None:
    a, b = data(scope, node, 0), data(scope, node, 1)
    if len(scope.shapes[a]) != len(scope.shapes[b]):
        reject(
            node,
            f"broadcasts {scope.shapes[a]} with {scope.shapes[b]}, of different rank",
            "reshape both to the same rank first",
        )
    shape = scope.probed_shape(node, node.outputs[0])
    name, where = node.outputs[0], origin(node)
    if node.operator == "Mul":
        scope.emit(Mul(origin=where, output=name, a=a, b=b), shape)
    elif node.operator == "Div":
        _ratio(scope, node, a, b)
    else:
        sign = 1 if node.operator == "Add" else -1
        scope.emit(Add(origin=where, output=name, a=a, b=b, sign=sign), shape)


def _ratio(scope: Scope, node: OnnxNode, a: str, b: str) -> None:
    """``a / b`` as ``a * (1 / b)``."""
    inverse = scope.fresh(node)
    operation = Function(origin=origin(node), output=inverse, x=b, expression=np.reciprocal)
    scope.emit(operation, scope.shapes[b])
    product = Mul(origin=origin(node), output=node.outputs[0], a=a, b=inverse)
    scope.emit(product, scope.probed_shape(node, node.outputs[0]))


def _sum(scope: Scope, node: OnnxNode) -> None:
    total = data(scope, node, 0)
    for index in range(1, len(node.inputs)):
        last = index == len(node.inputs) - 1
        name = node.outputs[0] if last else scope.fresh(node)
        other = data(scope, node, index)
        shape = np.broadcast_shapes(scope.shapes[total], scope.shapes[other])
        total = scope.emit(Add(origin=origin(node), output=name, a=total, b=other), shape)
    scope.alias(node.outputs[0], total)


def _negative(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    one = np.ones(())
    operation = Affine(
        origin=origin(node),
        output=node.outputs[0],
        x=x,
        scale=-one,
        offset=0 * one,
        as_onnx=np.negative,
    )
    scope.emit(operation, scope.shapes[x])


def _power(scope: Scope, node: OnnxNode) -> None:
    base = scope.constant(node.inputs[0])
    if base is not None and base.size == 1 and float(base.reshape(-1)[0]) > 0:
        number = float(base.reshape(-1)[0])
        _emit_function(scope, node, data(scope, node, 1), lambda x: np.power(number, x))
        return
    exponent = required(scope, node, 1, "exponent")
    if exponent.size != 1:
        reject(node, f"has exponents of shape {exponent.shape}", "use one scalar exponent")
    power = float(exponent.reshape(-1)[0])
    shape = scope.shapes[data(scope, node)]
    if power in (2.0, 3.0, 4.0) and np.prod(shape, dtype=np.int64) <= _SMALL_TENSOR:
        operation = Power(
            origin=origin(node), output=node.outputs[0], x=data(scope, node), degree=int(power)
        )
        scope.emit(operation, shape)
        return
    _emit_function(scope, node, data(scope, node), lambda x: np.power(x, power))


def _prelu(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    shape = scope.shapes[x]
    slope = sample_constant(node, required(scope, node, 1, "slope"), len(shape))
    if slope.size == 1:
        _emit_function(scope, node, x, _leaky(float(slope.reshape(-1)[0])))
        return
    positive = emit_clip(scope, node, x, (0.0, np.inf), scope.fresh(node))
    negative = emit_clip(scope, node, x, (-np.inf, 0.0), scope.fresh(node))
    scaled = Affine(
        origin=origin(node), output=scope.fresh(node), x=negative, scale=slope, offset=np.zeros(())
    )
    scope.emit(scaled, shape)
    total = Add(origin=origin(node), output=node.outputs[0], a=positive, b=scaled.output)
    scope.emit(total, shape)


def _batch_normalization(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    names = ("scale", "bias", "mean", "variance")
    gamma, beta, mean, variance = (
        np.asarray(required(scope, node, index, name), dtype=np.float64)
        for index, name in enumerate(names, start=1)
    )
    scale = gamma / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    offset = beta - mean * scale
    shape = scope.shapes[x]
    column = (-1, *([1] * (len(shape) - 1)))
    operation = Affine(
        origin=origin(node),
        output=node.outputs[0],
        x=x,
        scale=scale.reshape(column),
        offset=offset.reshape(column),
    )
    scope.emit(operation, shape)


def _cast(scope: Scope, node: OnnxNode) -> None:
    """Truth of numbers is 0 or 1; floats lose their fraction; everything else keeps its value."""
    x = data(scope, node)
    source, target = scope.dtype(node.inputs[0]).kind, scope.dtype(node.outputs[0]).kind
    output, shape = node.outputs[0], scope.shapes[x]
    if target == "b" and source != "b":
        zero = scope.fresh(node)
        scope.emit(Constant(origin=origin(node), output=zero, value=np.zeros(())), ())
        for name in (scope.fresh(node), output):  # "is zero", twice
            relation = Compare(origin=origin(node), output=name, a=x, b=zero, relation=EQUAL)
            x = scope.emit(relation, shape)
    elif source == "f" and target in "iu":
        scope.emit(Rounding(origin=origin(node), output=output, x=x, kind="truncate"), shape)
    else:
        scope.alias(output, x)


def _same(scope: Scope, node: OnnxNode) -> None:
    scope.alias(node.outputs[0], data(scope, node))


def emit_normalize(scope: Scope, node: OnnxNode, x: str, output: str) -> str:
    """Emit division by the row's sum of absolute values."""
    operation = Normalize(origin=origin(node), output=output, x=x)
    return scope.emit(operation, scope.shapes[x])


IMPORTERS: dict[str, Importer] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _arithmetic),
    **dict.fromkeys(("Identity", "Dropout"), _same),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Neg": _negative,
    "PRelu": _prelu,
    "Pow": _power,
    "Relu": _relu,
    "Sum": _sum,
}
