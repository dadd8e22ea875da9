"""The float graph in float64: ranges of tensors that the file does not name, and native models.

Operations that only other files define have no evaluation here; their ranges come from intervals.
"""

from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from tools.compiler.graph import (
    Add,
    Affine,
    ArgMax,
    Array,
    Bounds,
    Concat,
    Dense,
    FloatGraph,
    Floats,
    Function,
    Mul,
    Normalize,
    Operation,
    Pool,
    Reduce,
    Reshape,
    Shape,
    Slice,
    Softmax,
    Transpose,
    Trees,
    TreeTable,
    operands,
)
from tools.compiler.graph_attention import Divide, Embed, LayerNorm, Length
from tools.compiler.graph_choices import (
    Compare,
    Constant,
    Expand,
    Extreme,
    Negate,
    Rounding,
    Select,
)
from tools.compiler.graph_tabular import Distances, Impute, LogSumExp, Power

_RELATIONS = (np.equal, np.less, np.less_equal)

Values = Mapping[str, Array]


def evaluate_graph(graph: FloatGraph, values: dict[str, Array]) -> None:
    """Add every tensor that can be evaluated; ``values`` holds the known ones, batch first."""
    for operation in graph.operations:
        if operation.output in values or not all(name in values for name in operands(operation)):
            continue
        with np.errstate(all="ignore"):
            found = evaluate(operation, values, graph.shapes[operation.output])
        if found is not None:
            values[operation.output] = found


@singledispatch
def evaluate(operation: Operation, values: Values, shape: Shape) -> Array | None:
    """Value of one operation, (N, *shape); None when nothing is registered for it."""
    return None


def _clamped(value: Array, clamp: Bounds) -> Array:
    return np.clip(value, *clamp)


@evaluate.register
def _(operation: Dense, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    return _clamped(x @ operation.weight + operation.bias, operation.clamp)


@evaluate.register
def _(operation: Affine, values: Values, shape: Shape) -> Array:
    return _clamped(values[operation.x] * operation.scale + operation.offset, operation.clamp)


@evaluate.register
def _(operation: Function, values: Values, shape: Shape) -> Array:
    return np.asarray(operation.expression(values[operation.x].astype(np.float64)))


@evaluate.register
def _(operation: Add, values: Values, shape: Shape) -> Array:
    total = values[operation.a] + operation.sign * values[operation.b].astype(np.float64)
    return _clamped(total, operation.clamp)


@evaluate.register
def _(operation: Mul, values: Values, shape: Shape) -> Array:
    return _clamped(values[operation.a] * values[operation.b], operation.clamp)


@evaluate.register
def _(operation: Softmax, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    below = x - x.max(axis=-1, keepdims=True)
    powers = np.exp(below)
    total = powers.sum(axis=-1, keepdims=True)
    return np.asarray(below - np.log(total) if operation.logarithm else powers / total)


@evaluate.register
def _(operation: LogSumExp, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    top = x.max(axis=-1, keepdims=True)
    return np.asarray(top + np.log(np.exp(x - top).sum(axis=-1, keepdims=True)))


@evaluate.register
def _(operation: Normalize, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    total = np.abs(x).sum(axis=-1, keepdims=True)
    return np.asarray(x / np.where(total == 0, 1, total))


@evaluate.register
def _(operation: Length, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    return np.asarray(np.sqrt((x**2).sum(axis=-1, keepdims=True)))


@evaluate.register
def _(operation: Embed, values: Values, shape: Shape) -> Array:
    rows = np.clip(values[operation.x].astype(np.int64), 0, len(operation.table) - 1)
    return np.asarray(operation.table[rows])


@evaluate.register
def _(operation: Divide, values: Values, shape: Shape) -> Array:
    divisor = values[operation.b].astype(np.float64)
    return np.asarray(values[operation.a] / np.where(divisor == 0, 1, divisor))


@evaluate.register
def _(operation: Reduce, values: Values, shape: Shape) -> Array:
    reduce = np.max if operation.kind == "max" else np.sum
    return np.asarray(reduce(values[operation.x], axis=-1, keepdims=True))


@evaluate.register
def _(operation: ArgMax, values: Values, shape: Shape) -> Array:
    return np.asarray(values[operation.x].argmax(axis=-1))


@evaluate.register
def _(operation: Reshape, values: Values, shape: Shape) -> Array:
    return values[operation.x].reshape(-1, *shape)


@evaluate.register
def _(operation: Transpose, values: Values, shape: Shape) -> Array:
    return np.transpose(values[operation.x], (0, *(axis + 1 for axis in operation.permutation)))


@evaluate.register
def _(operation: Concat, values: Values, shape: Shape) -> Array:
    parts = [values[name] for name in operation.inputs]
    return np.concatenate(parts, axis=operation.axis + 1)


@evaluate.register
def _(operation: Slice, values: Values, shape: Shape) -> Array:
    cuts = zip(operation.starts, operation.steps, shape, strict=True)
    chosen = tuple(slice(start, start + step * (size - 1) + 1, step) for start, step, size in cuts)
    return values[operation.x][(slice(None), *chosen)]


@evaluate.register
def _(operation: Pool, values: Values, shape: Shape) -> Array | None:
    """Means of whole rows or images; None for windows."""
    x = values[operation.x]
    whole = (1, *x.shape[2:])[-2:] == tuple(operation.kernel) and not any(operation.pads)
    if operation.kind != "average" or not whole:
        return None
    axes = tuple(range(2, x.ndim))
    mean = x.mean(axis=axes, keepdims=True, dtype=np.float64)
    return _clamped(mean, operation.clamp).reshape(-1, *shape)


@evaluate.register
def _(operation: Constant, values: Values, shape: Shape) -> Array:
    count = len(next(iter(values.values())))
    return np.broadcast_to(operation.value, (count, *shape))


def _aligned(value: Array, shape: Shape) -> Array:
    """An operand with as many axes as the result, so that samples stay on the first."""
    missing = len(shape) + 1 - value.ndim
    return value.reshape(len(value), *[1] * missing, *value.shape[1:])


@evaluate.register
def _(operation: Compare, values: Values, shape: Shape) -> Array:
    relation = _RELATIONS[operation.relation]
    a, b = (_aligned(values[name], shape) for name in operands(operation))
    return np.asarray(relation(a, b), dtype=np.float64)


@evaluate.register
def _(operation: Select, values: Values, shape: Shape) -> Array:
    condition, a, b = (_aligned(values[name], shape) for name in operands(operation))
    return np.where(condition != 0, a, b)


@evaluate.register
def _(operation: Extreme, values: Values, shape: Shape) -> Array:
    choose = np.minimum if operation.kind == "minimum" else np.maximum
    a, b = (_aligned(values[name], shape) for name in operands(operation))
    return np.asarray(choose(a, b))


@evaluate.register
def _(operation: Negate, values: Values, shape: Shape) -> Array:
    return np.asarray(-values[operation.x].astype(np.float64))


@evaluate.register
def _(operation: Expand, values: Values, shape: Shape) -> Array:
    x = values[operation.x]
    return np.broadcast_to(x, (len(x), *shape))


@evaluate.register
def _(operation: Distances, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    cross = x @ operation.centres.T
    squares = (x**2).sum(axis=-1, keepdims=True) + (operation.centres**2).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * cross, 0))


@evaluate.register
def _(operation: Power, values: Values, shape: Shape) -> Array:
    return np.asarray(values[operation.x].astype(np.float64) ** operation.degree)


@evaluate.register
def _(operation: Impute, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    is_wanted = np.isnan(x) if np.isnan(operation.replaced) else x == operation.replaced
    return np.where(is_wanted, operation.values, x)


@evaluate.register
def _(operation: Trees, values: Values, shape: Shape) -> Array:
    x = values[operation.x]
    if operation.columns is not None:
        x = operation.columns.as_onnx(x)
    return tree_sums(operation.table, x)


def tree_sums(table: TreeTable, x: Array) -> Floats:
    """Sums of the leaves reached plus base, (N, targets), in float64.

    Thresholds are compared with x (N, F) in its own type, float32 where the file says so.
    """
    mode = np.array([_mode_code(name) for name in table.mode])
    rows = np.arange(len(x))
    totals = np.broadcast_to(table.base, (len(x), len(table.base))).copy()
    feature = np.maximum(table.feature, 0)
    for root in table.roots:
        place = np.full(len(x), root)
        while (mode[place] != 0).any():
            seen = x[rows, feature[place]]
            value = table.value[place]
            kind = mode[place]
            answers = (seen <= value, seen < value, seen > value, seen >= value, seen == value)
            holds = np.select([kind == code for code in range(1, 6)], answers, seen != value)
            holds = np.where(np.isnan(seen), table.missing_true[place] != 0, holds)
            follow = np.where(holds, table.true[place], table.false[place])
            place = np.where(kind == 0, place, follow)
        totals += table.leaf[place]
    return totals


def _mode_code(name: str) -> int:
    names = ("LEAF", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ")
    return names.index(name) if name in names else len(names)


@evaluate.register
def _(operation: LayerNorm, values: Values, shape: Shape) -> Array:
    x = values[operation.x].astype(np.float64)
    top = x - x.mean(axis=-1, keepdims=True) if operation.center else x
    power = (top**2).mean(axis=-1, keepdims=True)
    return np.asarray(top / np.sqrt(power + operation.epsilon) * operation.gain + operation.offset)


@evaluate.register
def _(operation: Rounding, values: Values, shape: Shape) -> Array:
    x = values[operation.x] / operation.step
    if operation.kind == "modulo":
        return np.asarray((x - np.floor(x)) * operation.step)
    if operation.kind == "sign":
        return np.sign(x)
    rounded = {"floor": np.floor, "ceil": np.ceil, "truncate": np.trunc, "round": np.rint}
    return np.asarray(rounded[operation.kind](x) * operation.step)
