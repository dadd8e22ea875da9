"""Whole chains of elementwise operations of one tensor become one scalar function.

GELU written with Erf, SiLU as x * sigmoid(x), HardSwish as a product with a clip: each is a
function of one number, so it costs one table or one piecewise-linear step, and it is rounded once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tools.compiler.graph import (
    UNBOUNDED,
    Add,
    Affine,
    Expression,
    FloatGraph,
    Floats,
    Function,
    Mul,
    Operation,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    """A tensor as ``expression(root)``; ``steps`` operations long."""

    root: str
    expression: Expression
    steps: int


def fuse_functions(graph: FloatGraph) -> FloatGraph:
    """Replace every elementwise chain of two or more operations by one ``Function``."""
    chains: dict[str, _Chain] = {}
    for operation in graph.operations:
        chain = _chain(operation, chains, graph)
        if chain is not None:
            chains[operation.output] = chain
    operations = tuple(_fused(operation, chains) for operation in graph.operations)
    return replace(graph, operations=operations)


def _fused(operation: Operation, chains: Mapping[str, _Chain]) -> Operation:
    chain = chains.get(operation.output)
    if chain is None or chain.steps < 2:
        return operation
    return Function(
        origin=operation.origin,
        output=operation.output,
        x=chain.root,
        expression=chain.expression,
    )


def _chain(operation: Operation, chains: Mapping[str, _Chain], graph: FloatGraph) -> _Chain | None:
    if isinstance(operation, Function):
        return _extended(operation.x, operation.expression, chains)
    if isinstance(operation, Affine):
        if operation.scale.size != 1 or operation.offset.size != 1:
            return None
        return _extended(operation.x, _affine_expression(operation), chains)
    if not isinstance(operation, Add | Mul) or operation.clamp != UNBOUNDED:
        return None
    left, right = _root(operation.a, chains), _root(operation.b, chains)
    if left.root != right.root or graph.shapes[operation.a] != graph.shapes[operation.b]:
        return None
    steps = left.steps + right.steps + 1
    return _Chain(left.root, _binary(operation, left.expression, right.expression), steps)


def _identity(x: Floats) -> Floats:
    return x


def _root(name: str, chains: Mapping[str, _Chain]) -> _Chain:
    return chains.get(name, _Chain(name, _identity, 0))


def _extended(name: str, expression: Expression, chains: Mapping[str, _Chain]) -> _Chain:
    before = _root(name, chains)
    inner = before.expression
    if before.steps == 0:
        return _Chain(before.root, expression, 1)
    return _Chain(before.root, lambda x: expression(inner(x)), before.steps + 1)


def _affine_expression(operation: Affine) -> Expression:
    scale = float(operation.scale.reshape(-1)[0])
    offset = float(operation.offset.reshape(-1)[0])
    low, high = operation.clamp
    return lambda x: np.clip(x * scale + offset, low, high)


def _binary(operation: Add | Mul, left: Expression, right: Expression) -> Expression:
    if isinstance(operation, Mul):
        return lambda x: left(x) * right(x)
    sign = operation.sign
    return lambda x: left(x) + sign * right(x)
