"""Rewrites of the float graph that keep its meaning: fold, fuse, remove."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from tools.compiler.columns import fold_columns
from tools.compiler.graph import (
    UNBOUNDED,
    Add,
    Affine,
    Bounds,
    Conv,
    Dense,
    FloatGraph,
    Floats,
    Function,
    Mul,
    Normalize,
    Operation,
    Reshape,
    Shape,
    Softmax,
    Transpose,
    consumers,
    live_operations,
    renamed,
)
from tools.compiler.passes_attention import (
    drop_expands,
    fuse_products,
    merge_offsets,
    share_equal,
    split_layers,
)
from tools.compiler.passes_function import fuse_functions
from tools.compiler.passes_quantized import fuse_regrid
from tools.compiler.passes_rows import fold_norms, fold_tables, hoist_maps, recognise_rows

_Operation = TypeVar("_Operation", bound=Operation)
_Clamped = Dense | Conv | Affine | Add | Mul


def optimise(graph: FloatGraph) -> FloatGraph:
    """Apply every pass, in the order in which they enable each other."""
    for one in (
        recognise_rows,
        drop_normalize,
        fold_columns,
        hoist_maps,
        fold_affine,
        fold_norms,
        fuse_products,
        split_layers,
        fuse_functions,
        fuse_clamps,
        fold_tables,
        fuse_regrid,
        merge_moves,
        merge_offsets,
        drop_expands,
        share_equal,
    ):
        graph = _clean(one(graph))
    return graph


def _clean(graph: FloatGraph) -> FloatGraph:
    return replace(graph, operations=live_operations(graph.operations, graph.outputs))


def only_reader(graph: FloatGraph) -> Mapping[str, Operation]:
    """Tensors that exactly one operation reads and that are no output, with that operation."""
    readers = consumers(graph)
    return {
        name: found[0]
        for name, found in readers.items()
        if len(found) == 1 and name not in graph.outputs
    }


def drop_normalize(graph: FloatGraph) -> FloatGraph:
    """L1 normalisation of a softmax changes nothing (skl2onnx emits it)."""
    softmax = {
        item.output: item
        for item in graph.operations
        if isinstance(item, Softmax) and not item.logarithm
    }
    operations = tuple(
        replace(softmax[item.x], output=item.output)
        if isinstance(item, Normalize) and item.x in softmax
        else item
        for item in graph.operations
    )
    return replace(graph, operations=operations)


def fold_affine(graph: FloatGraph) -> FloatGraph:
    """BatchNormalization, scalers, MatMul + Add: into the weights of the layer beside them."""
    made: dict[str, Operation] = {}
    single = only_reader(graph)
    for operation in graph.operations:
        current = operation
        while (folded := _folded(current, made, single, graph.shapes)) is not current:
            current = folded
        made[operation.output] = current
    return replace(graph, operations=tuple(made.values()))


def _folded(
    operation: Operation,
    made: Mapping[str, Operation],
    single: Mapping[str, Operation],
    shapes: Mapping[str, Shape],
) -> Operation:
    if not isinstance(operation, Affine | Dense | Conv) or operation.x not in single:
        return operation
    before = made.get(operation.x)
    if isinstance(operation, Affine):
        if isinstance(before, Dense):
            return _affine_after_dense(operation, before) or operation
        if isinstance(before, Conv):
            return _affine_after_conv(operation, before, shapes) or operation
        return operation
    if not isinstance(before, Affine) or before.clamp != UNBOUNDED:
        return operation
    if isinstance(operation, Dense):
        return _affine_before_dense(before, operation, shapes) or operation
    return _affine_before_conv(before, operation, shapes) or operation


def _row(values: Floats, length: int, channel_axis_first: int | None = None) -> Floats | None:
    """A per-channel vector out of a broadcast array; None when it varies on another axis."""
    if values.size == 1:
        return np.full(length, float(values.reshape(-1)[0]))
    if channel_axis_first is None:
        return values.reshape(-1) if values.size == values.shape[-1] == length else None
    is_column = values.ndim == channel_axis_first and values.size == values.shape[0] == length
    return values.reshape(-1) if is_column else None


def _affine_after_dense(affine: Affine, dense: Dense) -> Dense | None:
    width = dense.weight.shape[1]
    scale, offset = _row(affine.scale, width), _row(affine.offset, width)
    if dense.clamp != UNBOUNDED or scale is None or offset is None:
        return None
    return replace(
        dense,
        output=affine.output,
        weight=dense.weight * scale,
        bias=dense.bias * scale + offset,
        clamp=affine.clamp,
        steps=_scaled_steps(dense.steps, scale),
    )


def _affine_after_conv(affine: Affine, conv: Conv, shapes: Mapping[str, Shape]) -> Conv | None:
    filters = len(conv.weight)
    rank = len(shapes[affine.output])
    scale = _row(affine.scale, filters, rank)
    offset = _row(affine.offset, filters, rank)
    if conv.clamp != UNBOUNDED or scale is None or offset is None:
        return None
    return replace(
        conv,
        output=affine.output,
        weight=conv.weight * scale.reshape(-1, 1, 1, 1),
        bias=conv.bias * scale + offset,
        clamp=affine.clamp,
        steps=_scaled_steps(conv.steps, scale),
    )


def _scaled_steps(steps: Floats | None, scale: Floats) -> Floats | None:
    """Weight scales after a factor per channel; None where a factor leaves no scale."""
    return None if steps is None or not scale.all() else np.asarray(steps * np.abs(scale))


def _affine_before_dense(affine: Affine, dense: Dense, shapes: Mapping[str, Shape]) -> Dense | None:
    depth = dense.weight.shape[0]
    scale, offset = _row(affine.scale, depth), _row(affine.offset, depth)
    if scale is None or offset is None or shapes[affine.x] != shapes[affine.output]:
        return None
    return replace(
        dense,
        x=affine.x,
        weight=dense.weight * scale[:, np.newaxis],
        bias=dense.bias + offset @ dense.weight,
        steps=None,
    )


def _affine_before_conv(affine: Affine, conv: Conv, shapes: Mapping[str, Shape]) -> Conv | None:
    """Only without padding when there is an offset: the border is zero after the map."""
    channels = shapes[affine.x][0]
    rank = len(shapes[affine.x])
    scale, offset = _row(affine.scale, channels, rank), _row(affine.offset, channels, rank)
    if scale is None or offset is None or (offset.any() and any(conv.pads)):
        return None
    groups = np.repeat(np.arange(conv.group), len(conv.weight) // conv.group)
    depth = channels // conv.group
    columns = groups[:, np.newaxis] * depth + np.arange(depth)
    factor, shift = scale[columns][:, :, None, None], offset[columns][:, :, None, None]
    return replace(
        conv,
        x=affine.x,
        weight=conv.weight * factor,
        bias=conv.bias + (conv.weight * shift).sum(axis=(1, 2, 3)),
        steps=None,
    )


def fuse_clamps(graph: FloatGraph) -> FloatGraph:
    """Relu, Relu6 and Clip: into the clip range of the operation that produces their input."""
    single = only_reader(graph)
    made: dict[str, Operation] = {}
    for operation in graph.operations:
        fused: Operation = operation
        if isinstance(operation, Function) and operation.clamp is not None:
            before = made.get(operation.x)
            if operation.x in single and isinstance(before, _Clamped):
                del made[operation.x]
                fused = _clamped(before, operation.clamp, operation.output)
        made[fused.output] = fused
    return replace(graph, operations=tuple(made.values()))


def _clamped(operation: _Clamped, clamp: Bounds, output: str) -> Operation:
    low = min(max(operation.clamp[0], clamp[0]), clamp[1])
    high = max(min(operation.clamp[1], clamp[1]), clamp[0])
    return replace(operation, output=output, clamp=(low, high))


def merge_moves(graph: FloatGraph) -> FloatGraph:
    """Chains of Reshape become one; pairs of Transpose become one or none."""
    made: dict[str, Operation] = {}
    names: dict[str, str] = {}
    for operation in graph.operations:
        current = renamed(operation, names)
        if isinstance(current, Reshape):
            before = made.get(current.x)
            if isinstance(before, Reshape):
                current = replace(current, x=before.x)
            if graph.shapes[current.x] == graph.shapes[current.output]:
                names[current.output] = current.x
                continue
        elif isinstance(current, Transpose):
            before = made.get(current.x)
            if isinstance(before, Transpose):
                order = tuple(before.permutation[axis] for axis in current.permutation)
                current = replace(current, x=before.x, permutation=order)
            if current.permutation == tuple(range(len(current.permutation))):
                names[current.output] = current.x
                continue
        made[current.output] = current
    outputs = tuple(names.get(name, name) for name in graph.outputs)
    return replace(graph, operations=tuple(made.values()), outputs=outputs)
