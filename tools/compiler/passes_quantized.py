"""Roundings to fixed grids become part of the operation before them."""

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
    consumers,
)
from tools.compiler.graph_quantized import Regrid

_REQUANTISING = Dense | Conv | Affine | Add | Mul


def fuse_regrid(graph: FloatGraph) -> FloatGraph:
    """Give the output of an operation the fixed grid to which only its rounding was applied.

    An image input that is only quantised gets that grid for its port.
    """
    readers = consumers(graph)
    inputs = {item.name for item in graph.inputs if len(item.shape) > 1}
    grids = dict(graph.grids)
    made: dict[str, Operation] = {}
    for operation in graph.operations:
        fused: Operation = operation
        if isinstance(operation, Regrid):
            alone = len(readers.get(operation.x, [])) == 1 and operation.x not in graph.outputs
            before = made.get(operation.x)
            joined = _joined(before, operation) if alone and before is not None else None
            if joined is not None:
                del made[operation.x]
                fused = joined
            elif alone and operation.x in inputs:
                grids.setdefault(operation.x, grids[operation.output])
        made[fused.output] = fused
    return replace(graph, operations=tuple(made.values()), grids=grids)


def _joined(before: Operation, regrid: Regrid) -> Operation | None:
    """The operation with the rounding in its result, or None when it does not round itself."""
    low, high = regrid.bounds
    if isinstance(before, _REQUANTISING | Pool) and not (
        isinstance(before, Pool) and before.kind == "max"
    ):
        floor = min(max(before.clamp[0], low), high)
        ceiling = max(min(before.clamp[1], high), low)
        return replace(before, output=regrid.output, clamp=(floor, ceiling))
    if isinstance(before, Function) and before.clamp is None:
        expression = _clipped(before.expression, regrid.bounds)
        return replace(before, output=regrid.output, expression=expression)
    return None


def _clipped(inner: Expression, bounds: Bounds) -> Expression:
    return lambda x: np.clip(inner(x), *bounds)
