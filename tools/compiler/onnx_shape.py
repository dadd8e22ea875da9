"""Importers of operators that only move elements."""

from collections.abc import Sequence

import numpy as np

from precompiles.model.limits import MAX_CONCAT
from tools.compiler.graph import Array, Concat, Shape, Slice
from tools.compiler.graph_attention import Embed
from tools.compiler.graph_choices import Constant
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import (
    Importer,
    Scope,
    data,
    integers,
    origin,
    reject,
    required,
    sample_axis,
)


def _reshape(scope: Scope, node: OnnxNode) -> None:
    shape = scope.probed_shape(node, node.outputs[0])
    scope.reshape(node, data(scope, node), shape, node.outputs[0])


def _transpose(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    rank = len(scope.shapes[x]) + 1
    permutation = tuple(node.attributes.get("perm") or reversed(range(rank)))
    if permutation[0] != 0:
        reject(node, f"moves the batch axis (permutation {permutation})", "keep the batch first")
    scope.transpose(node, x, tuple(axis - 1 for axis in permutation[1:]), node.outputs[0])


def emit_concat(scope: Scope, node: OnnxNode, names: Sequence[str], axis: int, output: str) -> str:
    """Join tensors along a per-sample axis, in stages of what one instruction takes."""
    parts = list(names)
    while len(parts) > MAX_CONCAT:
        groups = [parts[i : i + MAX_CONCAT] for i in range(0, len(parts), MAX_CONCAT)]
        parts = [
            emit_concat(scope, node, group, axis, scope.fresh(node)) if len(group) > 1 else group[0]
            for group in groups
        ]
    names = parts
    shape = list(scope.shapes[names[0]])
    shape[axis] = sum(scope.shapes[name][axis] for name in names)
    operation = Concat(origin=origin(node), output=output, inputs=tuple(names), axis=axis)
    return scope.emit(operation, tuple(shape))


def _concat(scope: Scope, node: OnnxNode) -> None:
    computed = [name for name in map(scope.resolve, node.inputs) if name in scope.shapes]
    if not computed:
        data(scope, node)
    names = [_joined(scope, node, index) for index in range(len(node.inputs))]
    axis = sample_axis(
        node, int(node.attributes.get("axis", 1)), len(scope.shapes[computed[0]]) + 1
    )
    if len(names) == 1:
        scope.alias(node.outputs[0], names[0])
    else:
        emit_concat(scope, node, names, axis, node.outputs[0])


def _joined(scope: Scope, node: OnnxNode, index: int) -> str:
    """An input of Concat; a constant with equal rows for every sample becomes a tensor."""
    value = scope.constant(node.inputs[index])
    if (
        value is None
        or value.ndim < 1
        or not np.array_equal(value, value[:1].repeat(len(value), 0))
    ):
        return data(scope, node, index)
    row = np.asarray(value[0], dtype=np.float64)
    constant = Constant(origin=origin(node), output=scope.fresh(node), value=row)
    return scope.emit(constant, row.shape)


def emit_slice(
    scope: Scope, node: OnnxNode, x: str, ranges: dict[int, tuple[int, int, int]], output: str
) -> str:
    """Cut ``axis -> (start, count, step)``; the other axes stay whole."""
    shape = scope.shapes[x]
    starts = tuple(ranges[axis][0] if axis in ranges else 0 for axis in range(len(shape)))
    steps = tuple(ranges[axis][2] if axis in ranges else 1 for axis in range(len(shape)))
    sizes = tuple(ranges[axis][1] if axis in ranges else dim for axis, dim in enumerate(shape))
    if sizes == shape and set(steps) <= {1}:
        scope.alias(output, x)
        return scope.resolve(output)
    operation = Slice(
        origin=origin(node), output=output, x=x, starts=starts, steps=steps, size=sizes[0]
    )
    return scope.emit(operation, sizes)


def _slice(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    shape = scope.shapes[x]
    starts = integers(scope, node, "starts", 1) or ()
    ends = integers(scope, node, "ends", 2) or ()
    axes = integers(scope, node, "axes", 3) or tuple(range(len(starts)))
    steps = integers(scope, node, "steps", 4) or (1,) * len(starts)
    ranges: dict[int, tuple[int, int, int]] = {}
    reversed_axes: list[tuple[int, list[int]]] = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis == 0 and start == 0 and end >= scope.batch and step == 1:
            continue
        position = sample_axis(node, axis, len(shape) + 1)
        selected = range(*slice(start, end, step).indices(shape[position]))
        if not selected:
            reject(node, f"selects nothing on axis {axis}", "remove the empty branch")
        if step < 0:
            reversed_axes.append((position, list(selected)))
        else:
            ranges[position] = (selected.start, len(selected), step)
    if not reversed_axes:
        emit_slice(scope, node, x, ranges, node.outputs[0])
        return
    name = emit_slice(scope, node, x, ranges, scope.fresh(node)) if ranges else x
    for position, indices in reversed_axes:
        name = emit_select(scope, node, name, position, indices, scope.fresh(node))
    scope.alias(node.outputs[0], name)


def _split(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    axis = sample_axis(node, int(node.attributes.get("axis", 0)), len(scope.shapes[x]) + 1)
    start = 0
    for output in node.outputs:
        size = scope.probed_shape(node, output)[axis]
        emit_slice(scope, node, x, {axis: (start, size, 1)}, output)
        start += size


def emit_select(
    scope: Scope, node: OnnxNode, x: str, axis: int, indices: Sequence[int], output: str
) -> str:
    """Entries ``indices`` of one axis, as slices of runs that are joined."""
    runs: list[tuple[int, int, int]] = []
    position = 0
    while position < len(indices):
        start, count = indices[position], 1
        while position + count < len(indices) and indices[position + count] == start + count:
            count += 1
        runs.append((start, count, 1))
        position += count
    if len(runs) == 1:
        return emit_slice(scope, node, x, {axis: runs[0]}, output)
    parts = [emit_slice(scope, node, x, {axis: run}, scope.fresh(node)) for run in runs]
    return emit_concat(scope, node, parts, axis, output)


def _gather(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    shape = scope.shapes[x]
    axis = sample_axis(node, int(node.attributes.get("axis", 0)), len(shape) + 1)
    indices = required(scope, node, 1, "indices")
    _select(scope, node, x, axis, [int(item) for item in indices.reshape(-1)])


def _select(scope: Scope, node: OnnxNode, x: str, axis: int, indices: list[int]) -> None:
    dim = scope.shapes[x][axis]
    normal = [item + dim if item < 0 else item for item in indices]
    if not normal or min(normal) < 0 or max(normal) >= dim:
        reject(node, f"reads indices {indices[:8]} of an axis of {dim}", "fix the indices")
    shape = scope.probed_shape(node, node.outputs[0])
    direct = shape == (*scope.shapes[x][:axis], len(normal), *scope.shapes[x][axis + 1 :])
    name = emit_select(
        scope, node, x, axis, normal, node.outputs[0] if direct else scope.fresh(node)
    )
    if not direct:
        scope.reshape(node, name, shape, node.outputs[0])


def _feature_extractor(scope: Scope, node: OnnxNode) -> None:
    table = scope.constant(node.inputs[0])
    if table is not None:
        _extract_constants(scope, node, table)
        return
    x = data(scope, node)
    indices = required(scope, node, 1, "columns")
    _select(scope, node, x, len(scope.shapes[x]) - 1, [int(item) for item in indices.reshape(-1)])


def _extract_constants(scope: Scope, node: OnnxNode, table: Array) -> None:
    """Entries of a constant row, by computed whole numbers."""
    if table.dtype.kind not in "fiub" or table.size != table.shape[-1]:
        reject(
            node,
            f"looks up a table of shape {table.shape} and type {table.dtype}",
            "look up one row of numbers",
        )
    index = data(scope, node, 1)
    values = np.asarray(table, dtype=np.float64).reshape(-1)
    embed = Embed(origin=origin(node), output=scope.fresh(node), x=index, table=values)
    name = scope.emit(embed, scope.shapes[index])
    shape = scope.shapes[index]
    probe = scope.probe(node.outputs[0])
    if probe.shape[0] == scope.batch:
        shape = scope.probed_shape(node, node.outputs[0])
    scope.reshape(node, name, shape, node.outputs[0])


def _join_features(scope: Scope, node: OnnxNode) -> None:
    """FeatureVectorizer: columns side by side."""
    names = [data(scope, node, index) for index in range(len(node.inputs))]
    shaped: list[str] = []
    for name in names:
        shape: Shape = scope.shapes[name]
        shaped.append(scope.reshape(node, name, shape or (1,)))
    emit_concat(scope, node, shaped, 0, node.outputs[0])


IMPORTERS: dict[str, Importer] = {
    "Concat": _concat,
    "Flatten": _reshape,
    "Gather": _gather,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
    "ai.onnx.ml.ArrayFeatureExtractor": _feature_extractor,
    "ai.onnx.ml.FeatureVectorizer": _join_features,
}
