"""Importers of comparisons, logic, Where, Min, Max, rounding, TopK, Expand and Tile."""

import numpy as np

from tools.compiler.graph import Affine, Array, Reduce, Shape
from tools.compiler.graph_choices import (
    EQUAL,
    LESS,
    LESS_EQUAL,
    Compare,
    Constant,
    Expand,
    Extreme,
    Negate,
    Rounding,
    Select,
    TopK,
)
from tools.compiler.onnx_dense import emit_argmax, emit_dense
from tools.compiler.onnx_elementwise import emit_clip, sample_constant
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_shape import emit_concat
from tools.compiler.scope import (
    Importer,
    Scope,
    data,
    origin,
    reject,
    required,
    sample_axis,
)

_MAX_RANKED = 1024
_MAX_RANKED_VALUES = 1 << 22
_RELATIONS = {
    "Equal": (EQUAL, False),
    "Less": (LESS, False),
    "LessOrEqual": (LESS_EQUAL, False),
    "Greater": (LESS, True),
    "GreaterOrEqual": (LESS_EQUAL, True),
}
"""ONNX operator -> relation, and whether the operands change places."""


def emit_constant(scope: Scope, node: OnnxNode, value: Array) -> str:
    """A per-sample constant as a tensor of the graph (for operations that admit one)."""
    array = np.asarray(value, dtype=np.float64)
    name = scope.fresh(node)
    return scope.emit(Constant(origin=origin(node), output=name, value=array), array.shape)


def choices(scope: Scope, node: OnnxNode, indices: tuple[int, ...]) -> list[str]:
    """Inputs as tensors of one per-sample rank; constants become ``Constant``.

    Raises:
        CompileError: computed inputs of different rank, or a constant that differs per sample.
    """
    resolved = [scope.resolve(node.inputs[index]) for index in indices]
    computed = [name for name in resolved if name in scope.shapes]
    ranks = {len(scope.shapes[name]) for name in computed}
    if len(ranks) != 1:
        shapes = [scope.shapes[name] for name in computed]
        reject(
            node,
            f"broadcasts computed tensors of shapes {shapes} (batch excluded), of different rank",
            "reshape them to the same rank first",
        )
    rank = ranks.pop()
    return [
        name
        if name in scope.shapes
        else emit_constant(
            scope, node, sample_constant(node, required(scope, node, index, "operand"), rank)
        )
        for index, name in zip(indices, resolved, strict=True)
    ]


def emit_compare(scope: Scope, node: OnnxNode, a: str, b: str, relation: int, output: str) -> str:
    """Emit a comparison of two tensors."""
    shape = np.broadcast_shapes(scope.shapes[a], scope.shapes[b])
    operation = Compare(origin=origin(node), output=output, a=a, b=b, relation=relation)
    return scope.emit(operation, shape)


def emit_extreme(scope: Scope, node: OnnxNode, a: str, b: str, kind: str, output: str) -> str:
    """Emit the minimum or maximum of two tensors."""
    shape = np.broadcast_shapes(scope.shapes[a], scope.shapes[b])
    return scope.emit(Extreme(origin=origin(node), output=output, a=a, b=b, kind=kind), shape)


def emit_not(scope: Scope, node: OnnxNode, x: str, output: str) -> str:
    """Emit 1 where x is 0, else 0."""
    zero = emit_constant(scope, node, np.zeros(()))
    return emit_compare(scope, node, x, zero, EQUAL, output)


def emit_select(
    scope: Scope, node: OnnxNode, condition: str, branches: tuple[str, str], output: str
) -> str:
    """Emit ``branches[0] where condition else branches[1]``."""
    a, b = branches
    shape = np.broadcast_shapes(*(scope.shapes[name] for name in (condition, a, b)))
    operation = Select(origin=origin(node), output=output, condition=condition, a=a, b=b)
    return scope.emit(operation, shape)


def _compare(scope: Scope, node: OnnxNode) -> None:
    relation, swapped = _RELATIONS[node.operator]
    a, b = choices(scope, node, (0, 1))
    if swapped:
        a, b = b, a
    emit_compare(scope, node, a, b, relation, node.outputs[0])


def _where(scope: Scope, node: OnnxNode) -> None:
    condition, a, b = choices(scope, node, (0, 1, 2))
    emit_select(scope, node, condition, (a, b), node.outputs[0])


def _logic(scope: Scope, node: OnnxNode) -> None:
    a, b = choices(scope, node, (0, 1))
    if node.operator == "Xor":
        same = emit_compare(scope, node, a, b, EQUAL, scope.fresh(node))
        emit_not(scope, node, same, node.outputs[0])
        return
    kind = "minimum" if node.operator == "And" else "maximum"
    emit_extreme(scope, node, a, b, kind, node.outputs[0])


def _not(scope: Scope, node: OnnxNode) -> None:
    emit_not(scope, node, data(scope, node), node.outputs[0])


def _extreme(scope: Scope, node: OnnxNode) -> None:
    """Max and Min: scalars are clips, everything else goes pair by pair."""
    kind = "maximum" if node.operator == "Max" else "minimum"
    computed = [i for i, name in enumerate(node.inputs) if scope.resolve(name) in scope.shapes]
    constants = [scope.constant(name) for name in node.inputs]
    given = [np.asarray(value) for value in constants if value is not None]
    if len(computed) == 1 and given and all(value.size == 1 for value in given):
        limits = [float(value.reshape(-1)[0]) for value in given]
        bounds = (max(limits), np.inf) if kind == "maximum" else (-np.inf, min(limits))
        emit_clip(scope, node, data(scope, node, computed[0]), bounds, node.outputs[0])
        return
    names = choices(scope, node, tuple(range(len(node.inputs))))
    names.sort(key=lambda name: name not in {scope.resolve(node.inputs[i]) for i in computed})
    found = names[0]
    for index, name in enumerate(names[1:], start=1):
        last = index == len(names) - 1
        output = node.outputs[0] if last else scope.fresh(node)
        found = emit_extreme(scope, node, found, name, kind, output)
    scope.alias(node.outputs[0], found)


def _rounding(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    kind = node.operator.lower()
    operation = Rounding(origin=origin(node), output=node.outputs[0], x=x, kind=kind)
    scope.emit(operation, scope.shapes[x])


def _mod(scope: Scope, node: OnnxNode) -> None:
    divisor = required(scope, node, 1, "divisor")
    if divisor.size != 1 or not float(divisor.reshape(-1)[0]) > 0:
        reject(node, "has no single positive constant divisor", "divide by one positive number")
    if node.attributes.get("fmod", 0):
        reject(node, "takes the sign of the dividend (fmod = 1)", "export with fmod = 0")
    x = data(scope, node)
    operation = Rounding(
        origin=origin(node),
        output=node.outputs[0],
        x=x,
        kind="modulo",
        step=float(divisor.reshape(-1)[0]),
    )
    scope.emit(operation, scope.shapes[x])


def _negated(scope: Scope, node: OnnxNode, x: str, output: str = "") -> str:
    operation = Negate(origin=origin(node), output=output or scope.fresh(node), x=x)
    return scope.emit(operation, scope.shapes[x])


def _to_last(scope: Scope, node: OnnxNode, x: str, axis: int) -> tuple[str, Shape]:
    rank = len(scope.shapes[x])
    order = (*(item for item in range(rank) if item != axis), axis)
    return scope.transpose(node, x, order), tuple(int(item) for item in np.argsort(order))


def _argmin(scope: Scope, node: OnnxNode) -> None:
    if node.attributes.get("select_last_index", 0):
        reject(node, "wants the last minimum", "export with select_last_index = 0")
    x = data(scope, node)
    axis = sample_axis(node, int(node.attributes.get("axis", 0)), len(scope.shapes[x]) + 1)
    moved, _ = _to_last(scope, node, _negated(scope, node, x), axis)
    name = emit_argmax(scope, node, moved, scope.fresh(node))
    scope.reshape(node, name, scope.probed_shape(node, node.outputs[0]), node.outputs[0])


def _top_k(scope: Scope, node: OnnxNode) -> None:
    """Indices by the integer operator; values by looking each index up with a comparison."""
    x = data(scope, node)
    count = required(scope, node, 1, "k")
    k = int(count.reshape(-1)[0])
    axis = sample_axis(node, int(node.attributes.get("axis", -1)), len(scope.shapes[x]) + 1)
    size = scope.shapes[x][axis]
    if not 1 <= k <= min(size, _MAX_RANKED):
        reject(node, f"wants {k} of {size} values, 1 to {_MAX_RANKED} are legal", "ask for fewer")
    moved, back = _to_last(scope, node, x, axis)
    smallest = not node.attributes.get("largest", 1)
    key = _negated(scope, node, moved) if smallest else moved
    rows = scope.shapes[moved][:-1]
    ranked = TopK(origin=origin(node), output=scope.fresh(node), x=key, k=k)
    indices = scope.emit(ranked, (*rows, k))
    outputs = (*node.outputs, "")[:2]
    if outputs[0]:
        values = _picked(scope, node, key, indices)
        values = _negated(scope, node, values) if smallest else values
        scope.alias(outputs[0], scope.transpose(node, values, back))
    if outputs[1]:
        scope.alias(outputs[1], scope.transpose(node, indices, back))


def _picked(scope: Scope, node: OnnxNode, x: str, indices: str) -> str:
    """``x[.., indices]`` of the last axis: the maximum over where a position equals the index."""
    (*rows, size), k = scope.shapes[x], scope.shapes[indices][-1]
    if int(np.prod(rows, dtype=np.int64)) * size * k > _MAX_RANKED_VALUES:
        reject(node, f"returns {k} values of {size} each", "use only the indices, or fewer")
    wanted = scope.reshape(node, indices, (*rows, k, 1))
    source = scope.reshape(node, x, (*rows, 1, size))
    positions = emit_constant(scope, node, np.arange(size))
    hit = emit_compare(scope, node, wanted, positions, EQUAL, scope.fresh(node))
    low = emit_constant(scope, node, np.full((), -1e30))
    chosen = emit_select(scope, node, hit, (source, low), scope.fresh(node))
    best = Reduce(origin=origin(node), output=scope.fresh(node), x=chosen, kind="max")
    return scope.reshape(node, scope.emit(best, (*rows, k, 1)), (*rows, k))


def emit_expand(scope: Scope, node: OnnxNode, x: str, shape: Shape, output: str = "") -> str:
    """``x`` repeated to ``shape`` (of the same rank)."""
    if scope.shapes[x] == shape:
        if output:
            scope.alias(output, x)
        return x
    name = output or scope.fresh(node)
    return scope.emit(Expand(origin=origin(node), output=name, x=x), shape)


def _expand(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    shape = scope.probed_shape(node, node.outputs[0])
    held = scope.shapes[x]
    if len(held) != len(shape):
        if int(np.prod(shape)) != int(np.prod(held)):
            reject(node, f"enlarges {held} to {shape}, of another rank", "unsqueeze it first")
        scope.reshape(node, x, shape, node.outputs[0])
        return
    emit_expand(scope, node, x, shape, node.outputs[0])


def _tile(scope: Scope, node: OnnxNode) -> None:
    """Repeats as an axis of its own before each repeated axis."""
    x = data(scope, node)
    repeats = [int(item) for item in required(scope, node, 1, "repeats").reshape(-1)]
    if repeats[0] != 1:
        reject(node, "repeats the batch", "tile data axes only")
    name, shape = x, list(scope.shapes[x])
    for axis, times in enumerate(repeats[1:]):
        if times == 1:
            continue
        if times < 1:
            reject(node, f"repeats {times} times", "repeat at least once")
        parts = (int(np.prod(shape[:axis])), 1, int(np.prod(shape[axis:])))
        name = scope.reshape(node, name, parts)
        name = emit_expand(scope, node, name, (parts[0], times, parts[2]))
        shape[axis] *= times
        name = scope.reshape(node, name, tuple(shape))
    scope.alias(node.outputs[0], name)


def _trilu(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    given = scope.constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    diagonal = 0 if given is None else int(given.reshape(-1)[0])
    rows, columns = scope.shapes[x][-2:]
    part = np.triu if node.attributes.get("upper", 1) else np.tril
    mask = part(np.ones((rows, columns)), diagonal)
    operation = Affine(
        origin=origin(node), output=node.outputs[0], x=x, scale=mask, offset=np.zeros(())
    )
    scope.emit(operation, scope.shapes[x])


def _cumulative_sum(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    axis = int(required(scope, node, 1, "axis").reshape(-1)[0])
    position = sample_axis(node, axis, len(scope.shapes[x]) + 1)
    moved, back = _to_last(scope, node, x, position)
    size = scope.shapes[moved][-1]
    weight = np.triu(np.ones((size, size)), int(node.attributes.get("exclusive", 0)))
    if node.attributes.get("reverse", 0):
        weight = weight[::-1, ::-1]
    name = emit_dense(scope, node, moved, weight, np.zeros(1), scope.fresh(node))
    scope.alias(node.outputs[0], scope.transpose(node, name, back))


def _mean(scope: Scope, node: OnnxNode) -> None:
    """Mean of several tensors of one shape: their maxima's cousin, by sums."""
    names = [data(scope, node, index) for index in range(len(node.inputs))]
    shape = np.broadcast_shapes(*(scope.shapes[name] for name in names))
    parts = [
        scope.reshape(node, emit_expand(scope, node, name, shape), (*shape, 1)) for name in names
    ]
    joined = emit_concat(scope, node, parts, len(shape), scope.fresh(node))
    weight = np.full((len(names), 1), 1.0 / len(names))
    total = emit_dense(scope, node, joined, weight, np.zeros(1), scope.fresh(node))
    scope.reshape(node, total, shape, node.outputs[0])


IMPORTERS: dict[str, Importer] = {
    **dict.fromkeys(_RELATIONS, _compare),
    **dict.fromkeys(("And", "Or", "Xor"), _logic),
    **dict.fromkeys(("Ceil", "Floor", "Round", "Sign"), _rounding),
    **dict.fromkeys(("Max", "Min"), _extreme),
    "ArgMin": _argmin,
    "CumSum": _cumulative_sum,
    "Expand": _expand,
    "Mean": _mean,
    "Mod": _mod,
    "Not": _not,
    "Tile": _tile,
    "TopK": _top_k,
    "Trilu": _trilu,
    "Where": _where,
}
