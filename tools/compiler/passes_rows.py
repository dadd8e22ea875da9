"""Layer norms, softmax and one-hot products that exporters write out in small operations.

A candidate is found by its outline and proven by evaluation: the small operations are run in
float64 on random rows and compared with what they should be, which also gives gain and epsilon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tools.compiler.evaluate import evaluate_graph
from tools.compiler.graph import (
    UNBOUNDED,
    Add,
    Affine,
    Array,
    Dense,
    FloatGraph,
    Floats,
    Function,
    Mul,
    Operation,
    Pool,
    Reshape,
    Shape,
    Softmax,
    Transpose,
    consumers,
    live_operations,
    operands,
)
from tools.compiler.graph_attention import Divide, Embed, LayerNorm
from tools.compiler.graph_choices import EQUAL, Compare, Constant, Expand

_SCALES = (1.0, 1e-2, 3.0)
_TOLERANCE = 1e-6
_MOST_STEPS = 24
_MOST_VALUES = 1 << 22


def recognise_rows(graph: FloatGraph) -> FloatGraph:
    """Put LayerNorm, Softmax and Embed where their parts are written out."""
    made = {item.output: item for item in graph.operations}
    shapes = dict(graph.shapes)
    operations: list[Operation] = []
    for operation in graph.operations:
        found = (
            _softmax(graph, operation, made)
            or _layer_norm(graph, operation, made, shapes)
            or _embedding(operation, made, shapes)
        )
        operations.extend(found or [operation])
    kept = live_operations(operations, graph.outputs)
    return replace(graph, operations=kept, shapes=shapes)


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """Random values of a tensor, one sample per scale, and what a part of the graph makes of it."""

    x: Floats
    values: Mapping[str, Array]


def _trial(graph: FloatGraph, x: str, wanted: Sequence[str]) -> _Trial | None:
    """Evaluate the operations between ``x`` and ``wanted``; None when they read anything else."""
    needed, between = set(wanted), []
    for operation in reversed(graph.operations):
        if operation.output in needed and operation.output != x:
            needed.update(operands(operation))
            between.append(operation)
    known = {item.output for item in between} | {x}
    shape = graph.shapes[x]
    if not needed <= known or len(between) > _MOST_STEPS or np.prod(shape) > _MOST_VALUES:
        return None
    rng = np.random.default_rng(0)
    sample = np.stack([rng.normal(size=shape) * scale for scale in _SCALES])
    values: dict[str, Array] = {x: sample}
    evaluate_graph(replace(graph, operations=tuple(reversed(between))), values)
    if any(name not in values or not np.isfinite(values[name]).all() for name in wanted):
        return None
    return _Trial(sample, values)


def _through(name: str, made: Mapping[str, Operation]) -> str:
    """The tensor behind mere reshapes and repetitions."""
    while isinstance(found := made.get(name), Reshape | Expand):
        name = found.x
    return name


def _difference(name: str, made: Mapping[str, Operation]) -> str | None:
    """The tensor from which something is taken."""
    found = made.get(name)
    return found.a if isinstance(found, Add) and found.sign < 0 else None


def _softmax(
    graph: FloatGraph, operation: Operation, made: Mapping[str, Operation]
) -> list[Operation] | None:
    """``exp(x - max) / sum(exp(x - max))`` along the last axis."""
    if not isinstance(operation, Divide):
        return None
    powers = made.get(operation.a)
    x = _difference(powers.x, made) if isinstance(powers, Function) else None
    trial = None if x is None else _trial(graph, x, [operation.output])
    if x is None or trial is None or graph.shapes[x] != graph.shapes[operation.output]:
        return None
    expected = np.exp(trial.x - trial.x.max(axis=-1, keepdims=True))
    expected /= expected.sum(axis=-1, keepdims=True)
    if np.abs(trial.values[operation.output] - expected).max() > _TOLERANCE:
        return None
    return [Softmax(origin=operation.origin, output=operation.output, x=x)]


def _layer_norm(
    graph: FloatGraph,
    operation: Operation,
    made: Mapping[str, Operation],
    shapes: dict[str, Shape],
) -> list[Operation] | None:
    """``(x - mean) * factor`` or ``x * factor``, the factor one over the deviation of a row."""
    if not isinstance(operation, Mul | Divide) or getattr(operation, "clamp", UNBOUNDED) != (
        UNBOUNDED
    ):
        return None
    shape = shapes[operation.output]
    for name in (operation.a, operation.b):
        other = operation.b if name == operation.a else operation.a
        sources = [item for item in (_difference(name, made), name) if item is not None]
        for x in sources:
            if shapes[x] != shape or other == x or not _reduces(other, x, made):
                continue
            trial = _trial(graph, x, [operation.output])
            for axis in range(len(shape) - 1, -1, -1) if trial is not None else ():
                fitted = _fitted(trial, operation.output, axis + 1, centered=x != name)
                if fitted is not None:
                    return _norm(operation, x, axis, fitted, x != name, shapes)
    return None


def _reduces(name: str, x: str, made: Mapping[str, Operation]) -> bool:
    """True when a sum over rows of x is behind ``name``; a cheap test before the trial."""
    pending, seen = [name], set[str]()
    while pending and len(seen) < _MOST_STEPS:
        current = pending.pop()
        found = made.get(current)
        if current == x or found is None or current in seen:
            continue
        seen.add(current)
        if isinstance(found, Pool) or (isinstance(found, Dense) and found.weight.shape[1] == 1):
            return True
        pending.extend(operands(found))
    return False


def _fitted(
    trial: _Trial | None, output: str, axis: int, *, centered: bool
) -> tuple[Floats, float] | None:
    """Gain (per sample shape) and epsilon with which ``output`` is a norm along ``axis``."""
    if trial is None or trial.x.shape[axis] < 2:
        return None
    x, y = trial.x, np.asarray(trial.values[output], np.float64)
    top = x - x.mean(axis=axis, keepdims=True) if centered else x
    power = (top**2).mean(axis=axis, keepdims=True)
    with np.errstate(all="ignore"):
        squares = np.broadcast_to((top / y) ** 2, y.shape)  # (power + epsilon) / gain ** 2
        gain = (power[0] - power[1]) / (squares[0] - squares[1])
        epsilon = float(np.median(gain * squares[1] - power[1]))
        sign = np.sign(np.median(y * top, axis=0))
        factor = sign * np.sqrt(gain)
        again = top / np.sqrt(power + max(epsilon, 0.0)) * factor
    if not np.isfinite(again).all() or epsilon < -_TOLERANCE:
        return None
    scale = np.abs(y).max(axis=axis, keepdims=True) + 1e-12
    if (np.abs(again - y) / scale).max() > _TOLERANCE * 1e2:
        return None
    return np.asarray(factor), max(epsilon, 0.0)


def _norm(
    operation: Operation,
    x: str,
    axis: int,
    fitted: tuple[Floats, float],
    centered: bool,
    shapes: dict[str, Shape],
) -> list[Operation]:
    """LayerNorm along an axis: moved to the end, normalised, moved back, scaled."""
    gain, epsilon = fitted
    shape = shapes[x]
    order = (*(item for item in range(len(shape)) if item != axis), axis)
    back = tuple(int(item) for item in np.argsort(order))
    rows = tuple(shape[item] for item in order)
    moved = np.transpose(gain, order)
    own = moved.reshape(-1, rows[-1])[0]
    shared = bool(np.allclose(moved, own, rtol=1e-6))
    steps: list[Operation] = []
    name = operation.output
    first = f"{name}#rows" if order != back or axis != len(shape) - 1 else x
    if first != x:
        steps.append(Transpose(origin=operation.origin, output=first, x=x, permutation=order))
        shapes[first] = rows
    last = name if first == x and shared else f"{name}#norm"
    steps.append(
        LayerNorm(
            origin=("LayerNormalization", operation.origin[1]),
            output=last,
            x=first,
            gain=own if shared else np.ones(rows[-1]),
            offset=np.zeros(rows[-1]),
            epsilon=epsilon,
            center=centered,
        )
    )
    shapes[last] = rows
    if first != x:
        turned = name if shared else f"{name}#back"
        steps.append(Transpose(origin=operation.origin, output=turned, x=last, permutation=back))
        shapes[turned] = shape
        last = turned
    if not shared:
        zero = np.zeros(())
        steps.append(Affine(origin=operation.origin, output=name, x=last, scale=gain, offset=zero))
    return steps


def _embedding(
    operation: Operation, made: Mapping[str, Operation], shapes: Mapping[str, Shape]
) -> list[Operation] | None:
    """``(x == 0, 1, 2, ..) @ table``: rows of the table."""
    hit = made.get(operation.x) if isinstance(operation, Dense) else None
    if not isinstance(operation, Dense) or not isinstance(hit, Compare) or hit.relation != EQUAL:
        return None
    for name, other in ((hit.a, hit.b), (hit.b, hit.a)):
        numbers = made.get(name)
        if not isinstance(numbers, Constant) or numbers.value.size != len(operation.weight):
            continue
        values = numbers.value.reshape(-1)
        x = _through(other, made)
        rows = shapes[operation.output][:-1]
        is_count = np.array_equal(values, np.arange(values.size))
        if is_count and np.prod(shapes[x]) == np.prod(rows):
            beyond = np.zeros((1, operation.weight.shape[1]))  # no number is hit
            table = np.clip(
                np.concatenate([operation.weight, beyond]) + operation.bias, *operation.clamp
            )
            flat = f"{operation.output}#index"
            shapes[flat] = rows  # type: ignore[index]
            return [
                Reshape(origin=operation.origin, output=flat, x=x),
                Embed(origin=operation.origin, output=operation.output, x=flat, table=table),
            ]
    return None


def fold_tables(graph: FloatGraph) -> FloatGraph:
    """Scalar functions and maps of the rows of a table are applied to the table once."""
    readers = consumers(graph)
    made: dict[str, Operation] = {}
    for operation in graph.operations:
        current = operation
        before = made.get(getattr(operation, "x", ""))
        if (
            isinstance(before, Embed)
            and len(readers[before.output]) == 1
            and before.output not in graph.outputs
        ):
            table = _mapped(operation, before.table)
            if table is not None:
                del made[before.output]
                current = replace(before, output=operation.output, table=table)
        made[current.output] = current
    return replace(graph, operations=tuple(made.values()))


def _mapped(operation: Operation, table: Floats) -> Floats | None:
    if isinstance(operation, Function):
        found = operation.expression(table)
        return found if np.isfinite(found).all() else None
    if isinstance(operation, Affine):
        width = table.shape[-1]
        scale, offset = (_vector(item, -1, width) for item in (operation.scale, operation.offset))
        if scale is not None and offset is not None:
            return np.clip(table * scale + offset, *operation.clamp)
    return None


def _vector(value: Floats, axis: int, width: int) -> Floats | None:
    """A broadcast array as the vector along one axis; None when it varies along another."""
    if value.size == 1:
        return np.full(width, float(value.reshape(-1)[0]))
    varies = [place - value.ndim for place, size in enumerate(value.shape) if size > 1]
    return value.reshape(-1) if varies == [axis] and value.size == width else None


def fold_norms(graph: FloatGraph) -> FloatGraph:
    """Gains and offsets after a LayerNorm become its own, through a transposition too."""
    readers = consumers(graph)
    made: dict[str, Operation] = {}
    for operation in graph.operations:
        current = operation
        if isinstance(operation, Affine) and operation.clamp == UNBOUNDED:
            before = made.get(operation.x)
            turn = before if isinstance(before, Transpose) else None
            norm = made.get(turn.x) if turn is not None else before
            alone = all(
                len(readers.get(name, [])) == 1 and name not in graph.outputs
                for name in (operation.x, *((turn.x,) if turn is not None else ()))
            )
            folded = _into_norm(operation, norm, turn, graph.shapes) if alone else None
            if folded is not None and isinstance(norm, LayerNorm):
                del made[operation.x]
                made[norm.output] = folded if turn is not None else norm
                current = replace(turn, output=operation.output) if turn is not None else folded
                if turn is None:
                    del made[norm.output]
        made[current.output] = current
    return replace(graph, operations=tuple(made.values()))


def _into_norm(
    affine: Affine,
    norm: Operation | None,
    turn: Transpose | None,
    shapes: Mapping[str, Shape],
) -> LayerNorm | None:
    """The norm with the map in its gain and offset; named as the map when nothing is between."""
    if not isinstance(norm, LayerNorm):
        return None
    rank, width = len(shapes[affine.output]), norm.gain.size
    place = rank - 1 if turn is None else turn.permutation.index(rank - 1)
    scale = _vector(affine.scale, place - rank, width)
    offset = _vector(affine.offset, place - rank, width)
    if scale is None or offset is None:
        return None
    output = affine.output if turn is None else norm.output
    return replace(norm, output=output, gain=norm.gain * scale, offset=norm.offset * scale + offset)


def hoist_maps(graph: FloatGraph) -> FloatGraph:
    """Per-channel maps and scalar functions go before a reshape that keeps the channels.

    There they meet the layer whose weights or whose rounding they can join.
    """
    readers = consumers(graph)
    shapes = dict(graph.shapes)
    made: dict[str, Operation] = {}
    for operation in graph.operations:
        made[operation.output] = operation
        before = made.get(getattr(operation, "x", ""))
        if not isinstance(operation, Affine | Function) or not isinstance(before, Reshape):
            continue
        if len(readers[before.output]) > 1 or before.output in graph.outputs:
            continue
        target = shapes[before.x]
        moved = _before(operation, before, target, shapes[operation.output])
        if moved is not None:
            del made[operation.output], made[before.output]
            made[moved.output] = moved
            shapes[moved.output] = target
            made[operation.output] = replace(before, output=operation.output, x=moved.output)
    return replace(graph, operations=tuple(made.values()), shapes=shapes)


def _before(
    operation: Affine | Function, turn: Reshape, target: Shape, shape: Shape
) -> Operation | None:
    name = f"{operation.output}#before"
    if isinstance(operation, Function):
        return replace(operation, output=name, x=turn.x)
    if not target or not shape or target[0] != shape[0]:
        return None
    values = []
    for item in (operation.scale, operation.offset):
        column = _vector(item, -len(shape), shape[0])
        if column is None:
            return None
        values.append(column.reshape(-1, *[1] * (len(target) - 1)) if item.size > 1 else item)
    return replace(operation, output=name, x=turn.x, scale=values[0], offset=values[1])
