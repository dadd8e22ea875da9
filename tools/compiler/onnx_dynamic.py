"""Importers of dynamically quantised layers: products of codes whose scale is found at run time.

The float graph holds the real product. A scale that depends on the input cancels out: it divides
the codes of DynamicQuantizeLinear and multiplies the integer sums again. Until it does, names
stand for a real tensor divided by that scale.
"""

from dataclasses import dataclass

import numpy as np

from tools.compiler.coded import weight_steps
from tools.compiler.graph import Affine, Array, Floats
from tools.compiler.onnx_dense import emit_conv, emit_dense
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

_MICROSOFT = "com.microsoft."


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """``real / scale``, where ``scale`` names the run-time scale; real "" is a bare factor.

    A bare factor is ``factor * scale``.
    """

    scale: str
    real: str = ""
    factor: Floats | None = None


def _quantize(scope: Scope, node: OnnxNode) -> None:
    """Codes, scale and zero point of the input: the input itself, and its scale."""
    x = data(scope, node)
    codes, scale, zero = node.outputs
    scope.pending[codes] = Pending(scale, x)
    scope.pending[scale] = Pending(scale, factor=np.ones(()))
    if zero:
        scope.pending[zero] = Pending(scale)


def is_pending(scope: Scope, node: OnnxNode) -> bool:
    """True for a node that reads something whose scale is still open."""
    return any(name in scope.pending for name in node.inputs)


def import_pending(scope: Scope, node: OnnxNode) -> None:
    """A node that reads codes, sums or scales of a dynamic quantisation.

    Raises:
        CompileError: it is none of the products, casts, scalings and offsets of the usual form.
    """
    kind = node.operator
    if kind in ("MatMulInteger", "ConvInteger"):
        _product(scope, node)
    elif kind == "Cast" or (kind in ("Reshape", "Identity") and node.inputs[0] in scope.pending):
        scope.pending[node.outputs[0]] = scope.pending[node.inputs[0]]
    elif kind == "Mul":
        _scaled(scope, node)
    else:
        reject(
            node,
            "reads a tensor that is quantised at run time, in a form that is not known",
            "quantise statically, or export in float",
        )


def _product(scope: Scope, node: OnnxNode) -> None:
    pending = scope.pending[node.inputs[0]]
    if len(node.inputs) > 1 and node.inputs[1] in scope.pending:
        reject(node, "multiplies two tensors quantised at run time", "export in float")
    codes = np.asarray(required(scope, node, 1, "weight"), np.float64)
    zero = constant(scope, node, 3, "zero point of the weights")
    offset = np.zeros(()) if zero is None else np.asarray(zero, np.float64)
    output = f"{node.outputs[0]}@real"
    scope.share_probe(node.outputs[0], output)
    if node.operator == "MatMulInteger":
        weight = codes - offset
        steps = weight_steps(weight, np.ones(1), 1)
        emit_dense(scope, node, pending.real, weight, np.zeros(1), output, steps)
    else:
        weight = (
            codes - offset.reshape(-1, *[1] * (codes.ndim - 1)) if offset.ndim else codes - offset
        )
        shape = scope.probed_shape(node, node.outputs[0])
        steps = weight_steps(weight, np.ones(1), 0)
        emit_conv(scope, node, pending.real, weight, None, shape, output, steps)
    scope.pending[node.outputs[0]] = Pending(pending.scale, output)


def _scaled(scope: Scope, node: OnnxNode) -> None:
    """Scale times constant is a factor; sums times a factor are real numbers again."""
    found = [scope.pending.get(name) for name in node.inputs]
    sums = next((item for item in found if item is not None and item.real), None)
    factor = next((item for item in found if item is not None and item.factor is not None), None)
    if factor is None or factor.factor is None or (sums and sums.scale != factor.scale):
        reject(node, "scales integer sums by another scale than their own", "export in float")
    if sums is None:
        other = next(name for name, item in zip(node.inputs, found, strict=True) if item is None)
        value = scope.constant(other)
        if value is None:
            reject(node, "multiplies a run-time scale by computed data", "export in float")
        product = factor.factor * np.asarray(value, np.float64)
        scope.pending[node.outputs[0]] = Pending(factor.scale, factor=product)
        return
    _real(scope, node, sums.real, factor.factor, np.zeros(()))


def _real(scope: Scope, node: OnnxNode, x: str, scale: Floats, offset: Floats) -> None:
    rank = len(scope.shapes[x])
    while scale.ndim > rank and scale.shape[0] == 1:
        scale = scale[0]
    operation = Affine(origin=origin(node), output=node.outputs[0], x=x, scale=scale, offset=offset)
    scope.emit(operation, scope.shapes[x])


def _matmul_to_float(scope: Scope, node: OnnxNode) -> None:
    """MatMulIntegerToFloat: A, B, their scales, their zero points, bias."""
    if node.inputs[0] not in scope.pending:
        reject(node, "multiplies integers of a scale of their own", "quantise statically")
    pending = scope.pending[node.inputs[0]]
    _dense(scope, node, pending.real, (1, 3, 5, 6))


def _dynamic_matmul(scope: Scope, node: OnnxNode) -> None:
    """DynamicQuantizeMatMul: A in float, B, its scale, its zero point, bias."""
    _dense(scope, node, data(scope, node), (1, 2, 3, 4))


def _dense(scope: Scope, node: OnnxNode, x: str, places: tuple[int, int, int, int]) -> None:
    codes = np.asarray(required(scope, node, places[0], "weight"), np.float64)
    scale: Array = np.asarray(required(scope, node, places[1], "scale"), np.float64)
    zero = constant(scope, node, places[2], "zero point of the weights")
    bias = constant(scope, node, places[3], "bias")
    if codes.ndim != 2:
        reject(node, f"has weights of shape {codes.shape}", "use one matrix")
    weight = (codes - (0 if zero is None else np.asarray(zero, np.float64))) * scale
    row = np.zeros(1) if bias is None else np.asarray(bias, np.float64).reshape(-1)
    steps = weight_steps(weight, scale.reshape(-1), 1)
    emit_dense(scope, node, x, weight, row, node.outputs[0], steps)


IMPORTERS: dict[str, Importer] = {
    "DynamicQuantizeLinear": _quantize,
    f"{_MICROSOFT}DynamicQuantizeMatMul": _dynamic_matmul,
    f"{_MICROSOFT}MatMulIntegerToFloat": _matmul_to_float,
}
