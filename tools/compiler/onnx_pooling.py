"""Sums over tokens under a mask, as sentence encoders have them: one product instead of many."""

import numpy as np

from tools.compiler import onnx_dense
from tools.compiler.graph import Mul, Operation
from tools.compiler.graph_attention import MatMul
from tools.compiler.graph_choices import Expand
from tools.compiler.onnx_choices import emit_expand
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import Importer, Scope, data, integers, origin, sample_axis


def _reduce_sum(scope: Scope, node: OnnxNode) -> None:
    """``sum_t mask[t] * x[t]`` is ``mask @ x``; a repeated mask is summed before it is repeated."""
    x = data(scope, node)
    shape = scope.shapes[x]
    axes = integers(scope, node, "axes", 1) or ()
    tokens = len(shape) - 2
    if len(shape) < 2 or [sample_axis(node, axis, len(shape) + 1) for axis in axes] != [tokens]:
        onnx_dense.IMPORTERS["ReduceSum"](scope, node)
        return
    producers = {item.output: item for item in scope.operations}
    made = producers.get(x)
    name = None
    if isinstance(made, Mul):
        name = _weighted(scope, node, made, producers)
    elif isinstance(made, Expand) and scope.shapes[made.x] == (*shape[:-1], 1):
        name = _repeated(scope, node, made.x, shape[-1])
    if name is None:
        onnx_dense.IMPORTERS["ReduceSum"](scope, node)
        return
    scope.reshape(node, name, scope.probed_shape(node, node.outputs[0]), node.outputs[0])


def _weighted(
    scope: Scope, node: OnnxNode, made: Mul, producers: dict[str, Operation]
) -> str | None:
    shape = scope.shapes[made.output]
    for mask, values in ((made.a, made.b), (made.b, made.a)):
        repeated = producers.get(mask)
        source = repeated.x if isinstance(repeated, Expand) else mask
        if scope.shapes[source] != (*shape[:-1], 1) or scope.shapes[values] != shape:
            continue
        row = scope.reshape(node, source, (*shape[:-2], 1, shape[-2]))
        product = MatMul(origin=origin(node), output=scope.fresh(node), a=row, b=values)
        return scope.emit(product, (*shape[:-2], 1, shape[-1]))
    return None


def _repeated(scope: Scope, node: OnnxNode, mask: str, width: int) -> str:
    *rows, tokens, _ = scope.shapes[mask]
    flat = scope.reshape(node, mask, (*rows, tokens))
    ones = np.ones((tokens, 1))
    total = onnx_dense.emit_dense(scope, node, flat, ones, np.zeros(1), scope.fresh(node))
    return emit_expand(scope, node, scope.reshape(node, total, (*rows, 1, 1)), (*rows, 1, width))


IMPORTERS: dict[str, Importer] = {"ReduceSum": _reduce_sum}
"""Registered after the family that it extends."""
