"""Importers of products of computed tensors, normalisation layers and embeddings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tools.compiler import onnx_choices, onnx_dense, onnx_elementwise, onnx_shape
from tools.compiler.graph import Array, Floats
from tools.compiler.graph_attention import Divide, Embed, LayerNorm, Length, MatMul
from tools.compiler.onnx_choices import emit_expand, emit_not
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_masks import masked_scores
from tools.compiler.scope import (
    Importer,
    Scope,
    constant,
    data,
    integers,
    origin,
    reject,
    required,
    sample_axis,
)

_NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
_MAX_TABLE = 1 << 26


def _matmul(scope: Scope, node: OnnxNode) -> None:
    first, second = (scope.constant(name) for name in node.inputs)
    if first is None and second is None:
        emit_matmul(scope, node, data(scope, node, 0), data(scope, node, 1), node.outputs[0])
    elif second is not None:
        onnx_dense.IMPORTERS["MatMul"](scope, node)
    else:
        _constant_first(scope, node, np.asarray(first, dtype=np.float64))


def _constant_first(scope: Scope, node: OnnxNode, weight: Floats) -> None:
    """``weight @ x`` is the transpose of ``x.T @ weight.T``."""
    x = data(scope, node, 1)
    rank = len(scope.shapes[x])
    if weight.ndim != 2 or rank < 2:
        reject(
            node,
            f"multiplies a constant of shape {weight.shape} by rows of shape {scope.shapes[x]}",
            "use one constant matrix, and a matrix per sample",
        )
    order = (*range(rank - 2), rank - 1, rank - 2)
    turned = scope.transpose(node, x, order)
    zero = np.zeros(1)
    product = onnx_dense.emit_dense(scope, node, turned, weight.T, zero, scope.fresh(node))
    scope.transpose(node, product, order, node.outputs[0])


def emit_matmul(scope: Scope, node: OnnxNode, a: str, b: str, output: str) -> str:
    """Emit ``a @ b`` of computed tensors, with numpy's broadcasting of the leading axes.

    Raises:
        CompileError: an operand is a vector per sample.
    """
    shapes = [scope.shapes[a], scope.shapes[b]]
    if min(len(shape) for shape in shapes) < 2:
        reject(
            node,
            f"multiplies {shapes[0]} by {shapes[1]} (batch excluded), expected two matrices",
            "unsqueeze the vector to a matrix of one row or column",
        )
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    leading = np.broadcast_shapes(padded[0][:-2], padded[1][:-2])
    names = []
    for name, shape in zip((a, b), padded, strict=True):
        same_rank = scope.reshape(node, name, shape)
        names.append(emit_expand(scope, node, same_rank, (*leading, *shape[-2:])))
    product = MatMul(origin=origin(node), output=output, a=names[0], b=names[1])
    return scope.emit(product, (*leading, padded[0][-2], padded[1][-1]))


def _norm(scope: Scope, node: OnnxNode) -> None:
    """LayerNormalization, RMSNormalization, and its older name in onnxruntime."""
    x = data(scope, node)
    shape = scope.shapes[x]
    axis = sample_axis(node, int(node.attributes.get("axis", -1)), len(shape) + 1)
    if any(node.outputs[1:]):
        reject(node, "also returns mean or deviation", "export for inference, not for training")
    rows = (*shape[:axis], int(np.prod(shape[axis:])))
    center = node.operator == "LayerNormalization"
    gain = _row(scope, node, 1, "scale", rows[-1], 1.0)
    offset = _row(scope, node, 2 if center else len(node.inputs), "bias", rows[-1], 0.0)
    norm = LayerNorm(
        origin=origin(node),
        output=node.outputs[0] if rows == shape else scope.fresh(node),
        x=scope.reshape(node, x, rows),
        gain=gain,
        offset=offset,
        epsilon=float(node.attributes.get("epsilon", 1e-5)),
        center=center,
    )
    scope.reshape(node, scope.emit(norm, rows), shape, node.outputs[0])


def _row(scope: Scope, node: OnnxNode, index: int, what: str, width: int, default: float) -> Floats:
    value = constant(scope, node, index, what)
    if value is None:
        return np.full(width, default)
    if value.size not in (1, width):
        reject(
            node,
            f"has a {what} of shape {value.shape} for rows of {width}",
            "normalise the last axes, with one factor for each of their elements",
        )
    return np.broadcast_to(np.asarray(value, np.float64).reshape(-1), (width,)).copy()


def _gather(scope: Scope, node: OnnxNode) -> None:
    if scope.constant(node.inputs[0]) is None:
        onnx_shape.IMPORTERS["Gather"](scope, node)
        return
    table = np.asarray(required(scope, node, 0, "table"))
    axis = int(node.attributes.get("axis", 0)) % table.ndim
    x = data(scope, node, 1)
    if axis or not 0 < table.size <= _MAX_TABLE:
        reject(
            node,
            f"looks up axis {axis} of a table of shape {table.shape}",
            f"look up axis 0 of at most {_MAX_TABLE:,} numbers",
        )
    if scope.dtype(node.inputs[1]).kind not in "iub":
        reject(node, "looks up by numbers that are not whole", "cast the indices to int64")
    embed = Embed(origin=origin(node), output=node.outputs[0], x=x, table=table)
    scope.emit(embed, (*scope.shapes[x], *table.shape[1:]))


def _gather_nd(scope: Scope, node: OnnxNode) -> None:
    """Constant positions, each in the sample that reads it (masks of transformers)."""
    x = data(scope, node)
    shape = scope.shapes[x]
    indices = required(scope, node, 1, "indices")
    if int(node.attributes.get("batch_dims", 0)) == 0:
        own = np.arange(scope.batch).reshape(-1, *[1] * (indices.ndim - 2))
        if indices.shape[0] != scope.batch or not (indices[..., 0] == own).all():
            reject(node, "reads other samples than its own", "keep samples apart")
        indices = indices[..., 1:]
    if indices.shape[-1] != len(shape) or not (indices == indices[:1]).all():
        reject(
            node,
            f"reads other positions in every sample, or {indices.shape[-1]} of {len(shape)} axes",
            "read single elements, at the same positions in every sample",
        )
    places = np.ravel_multi_index(tuple(np.moveaxis(indices[0], -1, 0)), shape, mode="wrap")
    flat = scope.reshape(node, x, (int(np.prod(shape)),))
    _pick(scope, node, flat, [int(item) for item in places.reshape(-1)])


def _pick(scope: Scope, node: OnnxNode, flat: str, places: Sequence[int]) -> None:
    """Elements of a flat tensor under the shape of the node's output."""
    shape = scope.probed_shape(node, node.outputs[0])
    if list(places) != list(range(scope.shapes[flat][0])):
        flat = onnx_shape.emit_select(scope, node, flat, 0, places, scope.fresh(node))
    scope.reshape(node, flat, shape, node.outputs[0])


def _is_nan(scope: Scope, node: OnnxNode) -> None:
    """No computed number is ever NaN or infinite."""
    x = data(scope, node)
    if all(item.output != x for item in scope.operations):
        reject(node, "asks whether an input is missing", "fill missing values off-chain")
    shape = (1,) * (len(scope.shapes[x]) + 1)
    scope.assume(node.outputs[0], np.zeros(shape, np.bool_))


def _where(scope: Scope, node: OnnxNode) -> None:
    """A constant condition takes a whole branch (softmax with its NaN guard)."""
    condition = scope.constant(node.inputs[0])
    if condition is not None and bool((condition == condition.reshape(-1)[0]).all()):
        chosen = node.inputs[1 if condition.reshape(-1)[0] else 2]
        x = scope.resolve(chosen)
        if x in scope.shapes and scope.shapes[x] == scope.probed_shape(node, node.outputs[0]):
            scope.alias(node.outputs[0], x)
            return
    onnx_choices.IMPORTERS["Where"](scope, node)


def _length(scope: Scope, node: OnnxNode) -> None:
    """ReduceL2 over any axes; they become one last axis."""
    x = data(scope, node)
    rank = len(scope.shapes[x]) + 1
    axes = integers(scope, node, "axes", 1)
    if not axes:
        reject(node, "reduces over every axis, also the batch", "name the axes")
    reduced = sorted({sample_axis(node, axis, rank) for axis in axes})
    kept = tuple(axis for axis in range(rank - 1) if axis not in reduced)
    moved = scope.transpose(node, x, (*kept, *reduced))
    rows = tuple(scope.shapes[x][axis] for axis in kept)
    flat = scope.reshape(
        node, moved, (*rows, int(np.prod([scope.shapes[x][axis] for axis in reduced])))
    )
    shape = scope.probed_shape(node, node.outputs[0])
    name = node.outputs[0] if shape == (*rows, 1) else scope.fresh(node)
    made = scope.emit(Length(origin=origin(node), output=name, x=flat), (*rows, 1))
    scope.reshape(node, made, shape, node.outputs[0])


def _div(scope: Scope, node: OnnxNode) -> None:
    """A quotient of computed tensors whose divisor is positive on every sample."""
    names = [scope.resolve(name) for name in node.inputs]
    computed = all(name in scope.shapes for name in names)
    if not computed or not _is_positive(scope.probe(node.inputs[1])):
        onnx_elementwise.IMPORTERS["Div"](scope, node)
        return
    ranks = {len(scope.shapes[name]) for name in names}
    if len(ranks) > 1:
        reject(node, f"divides tensors of ranks {sorted(ranks)}", "unsqueeze one of them first")
    shape = scope.probed_shape(node, node.outputs[0])
    divide = Divide(origin=origin(node), output=node.outputs[0], a=names[0], b=names[1])
    scope.emit(divide, shape)


def _is_positive(value: Array) -> bool:
    return bool(value.size and value.min() > 0)


def _softmax(scope: Scope, node: OnnxNode) -> None:
    """As ever, after masks of minus infinity have become choices."""
    onnx_dense.IMPORTERS["Softmax"](scope, masked_scores(scope, node))


def _cast(scope: Scope, node: OnnxNode) -> None:
    """To a truth value: 1 for everything but 0."""
    x, output = data(scope, node), node.outputs[0]
    if scope.dtype(output).kind != "b" or scope.dtype(node.inputs[0]).kind == "b":
        onnx_elementwise.IMPORTERS["Cast"](scope, node)
        return
    emit_not(scope, node, emit_not(scope, node, x, scope.fresh(node)), output)


def _split(scope: Scope, node: OnnxNode) -> None:
    """Empty parts, as rotary embeddings of whole heads have them, are left out."""
    filled = tuple(name for name in node.outputs if scope.probe(name).size)
    for name in set(node.outputs) - set(filled):
        scope.assume(name, scope.probe(name))
    if len(filled) == 1:
        scope.alias(filled[0], data(scope, node))
    else:
        onnx_shape.IMPORTERS["Split"](scope, replace(node, outputs=filled))


def _slice(scope: Scope, node: OnnxNode) -> None:
    value = scope.probe(node.outputs[0])
    if value.size:
        onnx_shape.IMPORTERS["Slice"](scope, node)
    else:
        scope.assume(node.outputs[0], value)


def _concat(scope: Scope, node: OnnxNode) -> None:
    values = [scope.constant(name) for name in node.inputs]
    filled = [
        name for name, value in zip(node.inputs, values, strict=True) if value is None or value.size
    ]
    onnx_shape.IMPORTERS["Concat"](scope, replace(node, inputs=tuple(filled)))


IMPORTERS: dict[str, Importer] = {
    **dict.fromkeys(_NORMS, _norm),
    **dict.fromkeys(("IsInf", "IsNaN"), _is_nan),
    "Cast": _cast,
    "CastLike": _cast,
    "Concat": _concat,
    "Div": _div,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "MatMul": _matmul,
    "ReduceL2": _length,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Where": _where,
}
"""Registered after the families that they extend."""
