"""Tree ensembles: float thresholds become integer thresholds that decide exactly as onnxruntime.

A node of onnxruntime compares a float32 feature with a float32 threshold. The feature is a
monotone function of the input code q (``float32(q * scale)``, then perhaps a scaler), so there is a
smallest q that goes right; it is found by bisection with the very float operations of ONNX. Every
code is then decided as onnxruntime decides the value it stands for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.limits import MAX_TREE_DEPTH
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import Array, Floats, Operation, Trees, TreeTable
from tools.compiler.lowering import FRACTION_BITS, Lowering, lower, refuse
from tools.compiler.program import Operand
from tools.compiler.quantize import ceil_log2, power_of_two, round_half_up

_TRUE_LEFT = ("BRANCH_LEQ", "BRANCH_LT")
_TRUE_RIGHT = ("BRANCH_GT", "BRANCH_GTE")
_EQUALITY = ("BRANCH_EQ", "BRANCH_NEQ")
_STRICT_RIGHT = ("BRANCH_LEQ", "BRANCH_GT")
_SUM_BITS = 60
_CHUNK = 2048
_EXACT_CODES = 1 << 53

_Decode = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class _Node:
    """A node of the integer ensemble before numbering; leaves have ``feature`` -1.

    ``strict``: right when x > value, else when x >= value.
    """

    feature: int
    value: float
    strict: bool
    left: int
    right: int
    missing_right: int
    leaf: int


@lower.register
def _(operation: Trees, state: Lowering) -> Operand:
    x, decode, columns = _source(operation, state)
    nodes, roots, depth = _ordered_nodes(operation)
    if depth > MAX_TREE_DEPTH:
        raise refuse(
            operation,
            f"has trees of depth {depth}, at most {MAX_TREE_DEPTH} is legal",
            f"train with max_depth={MAX_TREE_DEPTH} or less",
        )
    thresholds = _thresholds(x, nodes, decode, columns)
    leaves, rows, base, scale = _leaf_table(operation.table)
    targets = leaves.shape[1]
    feature = [
        -1 - int(rows[node.leaf]) if node.feature < 0 else columns[node.feature] for node in nodes
    ]
    constant = state.program.constant
    ref = state.program.emit(
        op.TreeEnsemble,
        DType.S64,
        (targets,),
        x=x.ref,
        roots=constant(roots, DType.S32),
        feature=constant(feature, DType.S32),
        threshold=constant(thresholds, x.type.dtype),
        left=constant([node.left for node in nodes], DType.S32),
        right=constant([node.right for node in nodes], DType.S32),
        missing_right=constant([node.missing_right for node in nodes], DType.U8),
        leaves=constant(leaves, DType.S64),
        base=constant(base, DType.S64),
        depth=depth,
    )
    trees = len(roots)
    lo = min(int(base[t]) + trees * int(leaves[:, t].min()) for t in range(targets))
    hi = max(int(base[t]) + trees * int(leaves[:, t].max()) for t in range(targets))
    return Operand(ref, TensorType(DType.S64, (targets,)), scale, 0, lo, hi)


def _source(operation: Trees, state: Lowering) -> tuple[Operand, _Decode, tuple[int, ...]]:
    """The integer operand that trees read, the float features of its codes, their columns."""
    columns = operation.columns
    if columns is None or not state.raw[operation.x].is_integer_form:
        if columns is not None:
            raise refuse(operation, "shares its input with a large layer", "split the input")
        x = state.plain(state.integer(operation.x))
        width = x.type.shape[0]
        return x, lambda codes: _real(codes, x.scale).astype(np.float32), tuple(range(width))
    x = state.raw[operation.x]
    declared = next(item.dtype for item in state.graph.inputs if item.name == operation.x)
    dtype = declared if declared.kind == "f" else np.dtype(np.float32)
    as_onnx = columns.as_onnx

    def decode(codes: Array) -> Array:
        """Input codes (rows, columns) as the features that ONNX's trees see."""
        values = as_onnx(_real(codes, x.scale).astype(dtype))
        return values.astype(np.float32) if dtype != np.float64 else values

    _require_rising(operation, x, decode)
    return x, decode, columns.index


def _real(codes: Array, scale: Fraction) -> Floats:
    return codes.astype(np.float64) * float(scale.numerator) / float(scale.denominator)


def _require_rising(operation: Operation, x: Operand, decode: _Decode) -> None:
    """Every per-feature map must not turn the order around."""
    edge = min(x.type.dtype.bounds[1], _EXACT_CODES)
    ends = np.array([[-edge], [edge]], dtype=np.int64)
    low, high = decode(np.broadcast_to(ends, (2, *x.type.shape)))
    if not (low <= high).all():
        raise refuse(
            operation,
            "reads a feature that was scaled by a negative factor",
            "train the trees on unscaled features",
        )


def _ordered_nodes(operation: Trees) -> tuple[list[_Node], list[int], int]:
    """All nodes with parents before children; roots; greatest depth."""
    table = operation.table
    nodes: list[_Node] = []
    roots: list[int] = []
    deepest = 0
    for root in table.roots:
        roots.append(len(nodes))
        level = [(int(root), "")]
        depth = -1
        start = len(nodes)
        while level:
            depth += 1
            if depth > 4 * MAX_TREE_DEPTH:
                raise refuse(operation, "has a cycle or a tree deeper than 96", "limit max_depth")
            children: list[tuple[int, str]] = []
            first_child = start + len(level)
            for row, stage in level:
                nodes.append(_node(operation, table, (row, stage), children, first_child))
            start, level = first_child, children
        deepest = max(deepest, depth)
    return nodes, roots, deepest


def _node(
    operation: Trees,
    table: TreeTable,
    place: tuple[int, str],
    children: list[tuple[int, str]],
    first_child: int,
) -> _Node:
    """One node; appends its children (left, right) to the next level.

    An equality test is two nodes: ``x >= value`` first, and right of it ``x > value`` (stage eq).
    """
    row, stage = place
    mode = table.mode[row]
    if mode == "LEAF":
        return _Node(-1, 0.0, False, 0, 0, 0, row)
    true, false = int(table.true[row]), int(table.false[row])
    follows_true = bool(table.missing_true[row])
    left = first_child + len(children)
    if mode in _TRUE_LEFT:
        below, above = (true, ""), (false, "")
        missing_right = not follows_true
    elif mode in _TRUE_RIGHT:
        below, above = (false, ""), (true, "")
        missing_right = follows_true
    elif mode in _EQUALITY:
        equal, other = (true, false) if mode == "BRANCH_EQ" else (false, true)
        missing_right = follows_true and mode == "BRANCH_EQ"  # NaN != value is true anyway
        if stage != "eq":
            below, above = (other, ""), (row, "eq")
        else:
            below, above = (equal, ""), (other, "")
            missing_right = False
    else:
        raise refuse(operation, f"has a node of mode {mode}", "export threshold comparisons only")
    children.extend((below, above))
    strict = mode in _STRICT_RIGHT or stage == "eq"
    feature, value = int(table.feature[row]), float(table.value[row])
    return _Node(feature, value, strict, left, left + 1, int(missing_right), row)


def _thresholds(
    x: Operand, nodes: Sequence[_Node], decode: _Decode, columns: tuple[int, ...]
) -> Array:
    """Smallest code that goes right, per node; 0 for leaves."""
    result = np.zeros(len(nodes), dtype=np.int64)
    inner = [index for index, node in enumerate(nodes) if node.feature >= 0]
    for start in range(0, len(inner), _CHUNK):
        chosen = inner[start : start + _CHUNK]
        result[chosen] = _bisect(x, [nodes[index] for index in chosen], decode, columns)
    return result


def _bisect(x: Operand, nodes: Sequence[_Node], decode: _Decode, columns: tuple[int, ...]) -> Array:
    features = np.array([node.feature for node in nodes])
    sources = np.array(columns)[features]
    values = np.array([node.value for node in nodes])
    strict = np.array([node.strict for node in nodes])
    rows = np.arange(len(nodes))
    lowest, highest = x.type.dtype.bounds
    low = np.full(len(nodes), max(lowest + 1, -_EXACT_CODES), dtype=np.int64)
    high = np.full(len(nodes), min(highest, _EXACT_CODES), dtype=np.int64)
    codes = np.zeros((len(nodes), *x.type.shape), dtype=np.int64)
    while (low < high).any():
        middle = (low + high) >> 1
        codes[rows, sources] = middle
        seen = decode(codes)[rows, features].astype(np.float64)
        right = np.where(strict, seen > values, seen >= values)
        high = np.where(right, middle, high)
        low = np.where(right, low, np.minimum(middle + 1, high))
    return low


def _leaf_table(table: TreeTable) -> tuple[Array, Array, Array, Fraction]:
    """Distinct leaf rows as integers, the row of each table node, base, and their scale."""
    trees = len(table.roots)
    reach = trees * float(np.abs(table.leaf).max()) + float(np.abs(table.base).max())
    bits = min(FRACTION_BITS, _SUM_BITS - ceil_log2(Fraction(max(reach, 2.0**-30))))
    scale = power_of_two(-bits)
    is_leaf = np.array([mode == "LEAF" for mode in table.mode])
    exact = np.where(is_leaf[:, np.newaxis], table.leaf, table.leaf[is_leaf][:1])
    codes = np.floor(exact / float(scale) + 0.5).astype(np.int64)
    leaves, rows = np.unique(codes, axis=0, return_inverse=True)
    base = np.array([round_half_up(Fraction(float(item)) / scale) for item in table.base])
    return leaves, np.asarray(rows).reshape(-1), base, scale
