"""Rewrites around products of computed tensors: factors, transposed operands, repeated ones."""

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from tools.compiler.graph import (
    UNBOUNDED,
    Add,
    Affine,
    Dense,
    FloatGraph,
    Mul,
    Operation,
    Reshape,
    Shape,
    Slice,
    Transpose,
    consumers,
    renamed,
)
from tools.compiler.graph_attention import Divide, MatMul
from tools.compiler.graph_choices import Compare, Constant, Expand, Select

_BROADCASTING = (Add, Mul, Divide, Select)
_SHARED = (Compare, Expand, Reshape, Slice, Transpose)


def fuse_products(graph: FloatGraph) -> FloatGraph:
    """Scalar factors before and after a MatMul become its own; so do transposed operands."""
    single = _read_once(graph)
    made: dict[str, Operation] = {}
    shapes = dict(graph.shapes)
    for operation in graph.operations:
        current: Operation = operation
        if isinstance(operation, MatMul):
            current = _scaled_before(operation, made, single)
            current = _turned(current, made, single, shapes)
        elif isinstance(operation, Affine):
            current = _scaled_after(operation, made, single)
        made[current.output] = current
    return replace(graph, operations=tuple(made.values()), shapes=shapes)


def _read_once(graph: FloatGraph) -> frozenset[str]:
    """Tensors with one reader that are no output."""
    readers = consumers(graph)
    return frozenset(
        name for name, found in readers.items() if len(found) == 1 and name not in graph.outputs
    )


def _factor(operation: Operation | None) -> float | None:
    """The positive factor of a pure scalar product, or None."""
    if not isinstance(operation, Affine) or operation.scale.size != 1:
        return None
    factor = float(operation.scale.reshape(-1)[0])
    pure = not operation.offset.any() and operation.clamp == UNBOUNDED
    return factor if pure and factor > 0 else None


def _scaled_before(
    operation: MatMul, made: Mapping[str, Operation], single: frozenset[str]
) -> MatMul:
    for name in ("a", "b"):
        while True:
            before = made.get(getattr(operation, name))
            factor = _factor(before)
            if factor is None or not isinstance(before, Affine) or before.output not in single:
                break
            changed = {name: before.x, "scale": operation.scale * factor}
            operation = replace(operation, **changed)  # type: ignore[arg-type]
    return operation


def _scaled_after(
    operation: Affine, made: Mapping[str, Operation], single: frozenset[str]
) -> Operation:
    before = made.get(operation.x)
    factor = _factor(operation)
    if factor is None or not isinstance(before, MatMul) or operation.x not in single:
        return operation
    return replace(before, output=operation.output, scale=before.scale * factor)


def _turned(
    operation: MatMul,
    made: dict[str, Operation],
    single: frozenset[str],
    shapes: dict[str, Shape],
) -> MatMul:
    """Read the second factor row by row where that spares moving single elements."""
    before = made.get(operation.b)
    if not isinstance(before, Transpose) or operation.b not in single:
        return operation
    *first, last, other = before.permutation
    order = (*first, other, last)
    if last != len(order) - 1:
        return operation
    name = f"{before.output}#turned"
    made[name] = replace(before, output=name, permutation=order)
    rows = shapes[before.output]
    shapes[name] = (*rows[:-2], rows[-1], rows[-2])
    return replace(operation, b=name, transpose_b=not operation.transpose_b)


def split_layers(graph: FloatGraph) -> FloatGraph:
    """A dense layer that is only read in column ranges becomes one layer for each range.

    Query, key and value of a packed projection then have grids and dtypes of their own.
    """
    readers = consumers(graph)
    layers: dict[str, Dense] = {}
    for operation in graph.operations:
        found = readers.get(operation.output, [])
        apart = len(found) > 1 and operation.output not in graph.outputs
        cuts = [item for item in found if _cuts_columns(item, graph.shapes)]
        if isinstance(operation, Dense) and apart and cuts == found:
            layers[operation.output] = operation
    operations = tuple(
        _part(layers[item.x], item, graph.shapes[item.output])
        if isinstance(item, Slice) and item.x in layers
        else item
        for item in graph.operations
    )
    return replace(graph, operations=operations)


def _cuts_columns(operation: Operation, shapes: Mapping[str, Shape]) -> bool:
    """True for a range of the last axis that leaves the other axes whole."""
    return (
        isinstance(operation, Slice)
        and set(operation.steps) == {1}
        and shapes[operation.x][:-1] == shapes[operation.output][:-1]
    )


def _part(layer: Dense, cut: Slice, shape: Shape) -> Dense:
    columns = slice(cut.starts[-1], cut.starts[-1] + shape[-1])
    steps = None if layer.steps is None else layer.steps[columns]
    return replace(
        layer,
        output=cut.output,
        weight=layer.weight[:, columns],
        bias=layer.bias[columns],
        steps=steps,
    )


def drop_expands(graph: FloatGraph) -> FloatGraph:
    """Operations that broadcast by themselves read what was not repeated yet."""
    made = {item.output: item for item in graph.operations}
    operations = tuple(
        _unexpanded(item, made, graph.shapes) if isinstance(item, _BROADCASTING) else item
        for item in graph.operations
    )
    return replace(graph, operations=operations)


def _unexpanded(
    operation: Add | Mul | Divide | Select,
    made: Mapping[str, Operation],
    shapes: Mapping[str, Shape],
) -> Operation:
    names = [key for key in ("condition", "a", "b") if hasattr(operation, key)]
    for key in names:
        expand = made.get(getattr(operation, key))
        if not isinstance(expand, Expand) or len(shapes[expand.x]) != len(shapes[expand.output]):
            continue
        held = {name: shapes[getattr(operation, name)] for name in names}
        held[key] = shapes[expand.x]
        if np.broadcast_shapes(*held.values()) == shapes[operation.output]:
            operation = replace(operation, **{key: expand.x})  # type: ignore[arg-type]
    return operation


def share_equal(graph: FloatGraph) -> FloatGraph:
    """Constants, comparisons and moves that are made twice are made once."""
    known: dict[tuple[object, ...] | None, str] = {}
    names: dict[str, str] = {}
    made: list[Operation] = []
    for operation in graph.operations:
        current = renamed(operation, names)
        key = _identity(current, graph.shapes[operation.output])
        is_shared = key is not None and operation.output not in graph.outputs
        if is_shared and known.setdefault(key, operation.output) != operation.output:
            names[operation.output] = known[key]
            continue
        made.append(current)
    return replace(graph, operations=tuple(made))


def _identity(operation: Operation, shape: Shape) -> tuple[object, ...] | None:
    """What two equal operations have in common; None for those that are never compared."""
    if isinstance(operation, Constant):
        return (Constant, operation.value.shape, operation.value.tobytes())
    if not isinstance(operation, _SHARED):
        return None
    values = tuple(
        getattr(operation, item.name)
        for item in fields(operation)
        if item.name not in ("origin", "output")
    )
    return (type(operation), shape, *values)


def merge_offsets(graph: FloatGraph) -> FloatGraph:
    """Two constants added one after the other are added at once."""
    single = _read_once(graph)
    made: dict[str, Operation] = {}
    for operation in graph.operations:
        current: Operation = operation
        if isinstance(operation, Affine):
            before = made.get(operation.x)
            if isinstance(before, Affine) and operation.x in single and _adds(before, operation):
                current = replace(operation, x=before.x, offset=before.offset + operation.offset)
        made[current.output] = current
    return replace(graph, operations=tuple(made.values()))


def _adds(*operations: Affine) -> bool:
    return all(bool((item.scale == 1).all()) and item.clamp == UNBOUNDED for item in operations)
