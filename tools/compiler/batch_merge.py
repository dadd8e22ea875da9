"""Tensors whose batch is merged with the next axis, as attention exports have them.

``(N, heads, tokens, width)`` reshaped to ``(N * heads, tokens, width)`` for a batched product, and
back. Importers are shown the same tensor with both axes apart: the first per-sample axis is what
was merged, and axis attributes move up by one.
"""

from dataclasses import replace

from tools.compiler.onnx_elementwise import UNARY
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import Scope, reject

_ELEMENTWISE = frozenset({"Add", "Cast", "Clip", "Div", "Identity", "Mul", "Relu", "Sub"}) | (
    frozenset(UNARY)
)
_ONE_AXIS = ("Softmax", "LogSoftmax")
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def apart(scope: Scope, node: OnnxNode) -> OnnxNode:
    """The node as it would be if no tensor that it reads or makes had a merged batch.

    Raises:
        CompileError: the operator cannot work on such tensors, or mixes both kinds.
    """
    computed = [name for name in node.inputs if scope.resolve(name) in scope.shapes]
    merged = [name for name in computed if name in scope.merged]
    if node.operator in _RESHAPES:
        if merged or _merges(scope, node, computed):
            _mark(scope, node)
        return node
    if not merged:
        return node
    if len(merged) < len(computed):
        reject(
            node,
            f"reads {merged[0]!r}, whose batch is merged with another axis, beside others",
            "reshape it back first, so that the batch is an axis of its own",
        )
    shown = _shown(node)
    _mark(scope, node)
    return shown


def _merges(scope: Scope, node: OnnxNode, computed: list[str]) -> bool:
    """True for a reshape that puts whole samples one after the other on the first axis."""
    shape = scope.probe(node.outputs[0]).shape
    plain = bool(computed) and scope.batch_axes.get(computed[0], 0) == 0
    return plain and bool(shape) and shape[0] > scope.batch and shape[0] % scope.batch == 0


def _mark(scope: Scope, node: OnnxNode) -> None:
    """Note outputs with a merged batch, and show their probed values with the axes apart."""
    for name in node.outputs:
        value = scope.probe(name)
        if value.shape and value.shape[0] != scope.batch:
            scope.split_batch(name)


def _shown(node: OnnxNode) -> OnnxNode:
    kind = node.operator
    if kind in _ELEMENTWISE or kind == "MatMul":
        return node
    if kind == "Transpose":
        order = list(node.attributes.get("perm") or [1])
        if order[0] == 0:
            return _with(node, "perm", [0, 1, *(axis + 1 for axis in order[1:])])
    if kind in _ONE_AXIS:
        axis = int(node.attributes.get("axis", -1))
        if axis:
            return _with(node, "axis", axis + 1 if axis > 0 else axis)
    reject(
        node,
        "reads a tensor whose batch is merged with another axis",
        "reshape it back first, so that the batch is an axis of its own",
    )


def _with(node: OnnxNode, key: str, value: int | list[int]) -> OnnxNode:
    return replace(node, attributes={**node.attributes, key: value})
