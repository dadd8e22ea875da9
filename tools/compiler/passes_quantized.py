"""Roundings to fixed grids become part of the operation before them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tools.compiler.graph import (
    Add,
    Affine,
    Bounds,
    Conv,
    Dense,
    Expression,
    FloatGraph,
    Function,
    Mul,
    Operation,
    Pool,
    Reshape,
    Transpose,
    consumers,
)
from tools.compiler.graph_quantized import Regrid

_REQUANTISING = Dense | Conv | Affine | Add | Mul


def fuse_regrid(graph: FloatGraph) -> FloatGraph:
    """Put a tensor on the fixed grid to which it is only rounded, as soon as it is computed.

    The grid travels back over reshapes, transpositions and maxima, to the operation that rounds
    anyway or to the port of an image input. The rounding itself then costs nothing.
    """
    readers = consumers(graph)
    alone = {
        name for name, found in readers.items() if len(found) == 1 and name not in graph.outputs
    }
    inputs = {item.name for item in graph.inputs if len(item.shape) > 1}
    grids = dict(graph.grids)
    made: dict[str, Operation] = {}
    for operation in graph.operations:
        made[operation.output] = operation
        if not isinstance(operation, Regrid):
            continue
        path = _path(operation.x, made, alone)
        if path is None or any(name in grids for name in path):
            continue
        source = path[-1]
        if source in made:
            rounded = _rounded(made[source], operation.bounds)
            if rounded is None:
                continue
            made[source] = rounded
        elif source not in inputs:
            continue
        grids.update((name, grids[operation.output]) for name in path)
    return replace(graph, operations=tuple(made.values()), grids=grids)


def _path(x: str, made: Mapping[str, Operation], alone: set[str]) -> list[str] | None:
    """Tensors from ``x`` back to where its elements are computed; None when others read them."""
    path = [x]
    while path[-1] in alone:
        before = made.get(path[-1])
        if not isinstance(before, Reshape | Transpose | Pool):
            return path
        if isinstance(before, Pool) and before.kind != "max":
            return path
        path.append(before.x)
    return None


def _rounded(before: Operation, bounds: Bounds) -> Operation | None:
    """The operation, saturating at the bounds of the grid; None when it does not round itself."""
    low, high = bounds
    if isinstance(before, _REQUANTISING | Pool):
        floor = min(max(before.clamp[0], low), high)
        ceiling = max(min(before.clamp[1], high), low)
        return replace(before, clamp=(floor, ceiling))
    if isinstance(before, Function) and before.clamp is None:
        return replace(before, expression=_clipped(before.expression, bounds))
    return None


def _clipped(inner: Expression, bounds: Bounds) -> Expression:
    return lambda x: np.clip(inner(x), *bounds)
