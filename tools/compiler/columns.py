"""Chosen and scaled columns of one input: folded into the layer or the trees that read them.

A ColumnTransformer becomes slices, scalers and a concat. A dense layer behind it is a dense layer
on the input itself; trees behind it are trees on the input, with other feature numbers and
thresholds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tools.compiler.graph import (
    UNBOUNDED,
    Affine,
    Array,
    Columns,
    Concat,
    Dense,
    FloatGraph,
    Floats,
    Operation,
    Slice,
    Trees,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Traced:
    """A row of features as columns of an input, each times ``scale`` plus ``offset``."""

    columns: Columns
    source: str
    scale: Floats
    offset: Floats


def fold_columns(graph: FloatGraph) -> FloatGraph:
    """Let dense layers and trees read the input behind slices, concats and per-column maps."""
    producers = {operation.output: operation for operation in graph.operations}
    traced: dict[str, _Traced] = {
        item.name: _whole(item.name, item.shape[0]) for item in graph.inputs if len(item.shape) == 1
    }
    for name, operation in producers.items():
        found = _trace(operation, traced)
        if found is not None:
            traced[name] = found
    operations = tuple(_folded(operation, traced) for operation in graph.operations)
    return replace(graph, operations=operations)


def _whole(name: str, width: int) -> _Traced:
    index = np.arange(width)
    columns = Columns(tuple(index.tolist()), lambda rows: rows)
    return _Traced(columns, name, np.ones(width), np.zeros(width))


def _trace(operation: Operation, traced: Mapping[str, _Traced]) -> _Traced | None:
    if isinstance(operation, Slice) and operation.x in traced:
        return _slice(operation, traced[operation.x])
    if isinstance(operation, Affine) and operation.x in traced:
        return _affine(operation, traced[operation.x])
    if isinstance(operation, Concat) and all(name in traced for name in operation.inputs):
        return _concat([traced[name] for name in operation.inputs])
    return None


def _slice(operation: Slice, before: _Traced) -> _Traced | None:
    if len(operation.starts) != 1:
        return None
    chosen = slice(operation.starts[0], None, operation.steps[0])
    inner, count = before.columns.as_onnx, operation.size
    columns = Columns(
        before.columns.index[chosen][:count], lambda rows: inner(rows)[..., chosen][..., :count]
    )
    scale, offset = before.scale[chosen][:count], before.offset[chosen][:count]
    return _Traced(columns, before.source, scale, offset)


def _affine(operation: Affine, before: _Traced) -> _Traced | None:
    if operation.as_onnx is None or operation.clamp != UNBOUNDED:
        return None
    outer: Callable[[Array], Array] = operation.as_onnx
    inner = before.columns.as_onnx
    columns = Columns(before.columns.index, lambda rows: outer(inner(rows)))
    width = len(before.scale)
    factor = np.broadcast_to(operation.scale, (width,))
    offset = before.offset * factor + np.broadcast_to(operation.offset, (width,))
    return _Traced(columns, before.source, before.scale * factor, offset)


def _concat(parts: list[_Traced]) -> _Traced | None:
    if len({part.source for part in parts}) != 1:
        return None
    maps = [part.columns.as_onnx for part in parts]
    columns = Columns(
        tuple(item for part in parts for item in part.columns.index),
        lambda rows: np.concatenate([one(rows) for one in maps], axis=-1),
    )
    scale = np.concatenate([part.scale for part in parts])
    offset = np.concatenate([part.offset for part in parts])
    return _Traced(columns, parts[0].source, scale, offset)


def _folded(operation: Operation, traced: Mapping[str, _Traced]) -> Operation:
    if not isinstance(operation, Dense | Trees) or operation.x not in traced:
        return operation
    found = traced[operation.x]
    if isinstance(operation, Trees):
        return replace(operation, x=found.source, columns=found.columns)
    if found.source == operation.x:
        return operation
    width = len(traced[found.source].scale)
    weight = np.zeros((width, operation.weight.shape[1]))
    np.add.at(weight, list(found.columns.index), operation.weight * found.scale[:, np.newaxis])
    bias = operation.bias + found.offset @ operation.weight
    return replace(operation, x=found.source, weight=weight, bias=bias, steps=None)
