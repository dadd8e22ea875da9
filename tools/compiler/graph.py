"""The float graph: a small closed set of operations that every import is rewritten to.

Shapes are per sample (no batch dimension) and static, in ONNX order (channels first). Weights are
float64. ``output`` is one tensor name; names that ONNX had keep their ONNX name, so a tensor can
be looked up in an onnxruntime run.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tools.compiler.quantize import Grid

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]
Bounds: TypeAlias = tuple[float, float]
Expression: TypeAlias = Callable[[Floats], Floats]

UNBOUNDED: Bounds = (-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class GraphInput:
    """A model input: per-sample shape and the element type that ONNX declares."""

    name: str
    shape: Shape
    dtype: "np.dtype[Any]"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Operation:
    """Base of all operations; ``origin`` is ``(operator, node name)`` of ONNX for messages."""

    origin: tuple[str, str]
    output: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Dense(Operation):
    """``clip(x @ weight + bias, clamp)`` on the last axis; weight (K, N), bias (N).

    ``steps`` (N) are the scales of weights that come already quantised: codes are ``weight/step``.
    """

    x: str
    weight: Floats
    bias: Floats
    clamp: Bounds = UNBOUNDED
    steps: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Conv(Operation):
    """Convolution of (C, H, W) or (C, L); weight (O, C / group, KH, KW), KH = 1 for (C, L).

    ``steps`` (O) as for ``Dense``.
    """

    x: str
    weight: Floats
    bias: Floats
    strides: Shape
    pads: Shape
    dilations: Shape
    group: int
    clamp: Bounds = UNBOUNDED
    steps: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pool(Operation):
    """Pooling of (C, H, W) or (C, L); ``kind`` is max or average."""

    x: str
    kind: str
    kernel: Shape
    strides: Shape
    pads: Shape
    count_pads: bool
    clamp: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Affine(Operation):
    """``clip(x * scale + offset, clamp)``; both arrays broadcast to the shape of x.

    ``as_onnx`` is the same map in the very float operations of ONNX, for exact tree thresholds.
    """

    x: str
    scale: Floats
    offset: Floats
    clamp: Bounds = UNBOUNDED
    as_onnx: Callable[[Array], Array] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Function(Operation):
    """``expression(x)``, one scalar function on every element; a pure clip sets ``clamp``."""

    x: str
    expression: Expression
    clamp: Bounds | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Add(Operation):
    """``clip(a + sign * b, clamp)``, numpy broadcasting."""

    a: str
    b: str
    sign: int = 1
    clamp: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Mul(Operation):
    """``clip(a * b, clamp)``, numpy broadcasting."""

    a: str
    b: str
    clamp: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Softmax(Operation):
    """Softmax over the last axis, or its logarithm."""

    x: str
    logarithm: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Normalize(Operation):
    """``x / sum(|x|)`` over the last axis (a zero row stays zero)."""

    x: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reduce(Operation):
    """``kind`` (sum or max) over the last axis, which is kept with size 1."""

    x: str
    kind: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ArgMax(Operation):
    """Index of the first maximum of the last axis; the axis goes away."""

    x: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reshape(Operation):
    """Row-major reshape to the shape of ``output``."""

    x: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Transpose(Operation):
    """Permutation of the per-sample axes."""

    x: str
    permutation: Shape


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Concat(Operation):
    """Join along a per-sample axis."""

    inputs: tuple[str, ...]
    axis: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Slice(Operation):
    """``x[starts::steps]`` cut to the shape of ``output``; ``size`` is its first dimension."""

    x: str
    starts: Shape
    steps: Shape
    size: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pad(Operation):
    """Constant border, one entry per axis."""

    x: str
    before: Shape
    after: Shape
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class TreeTable:
    """An ensemble in ONNX's words, one row per node, trees one after another.

    mode: BRANCH_* or LEAF · true, false: row of the child (0 for leaves) · leaf (nodes, targets):
    what the node adds when it is a leaf · base (targets).
    """

    roots: Array
    feature: Array
    value: Floats
    mode: tuple[str, ...]
    true: Array
    false: Array
    missing_true: Array
    leaf: Floats
    base: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What a reader of features sees of a model input.

    Attributes:
        index: input column behind each feature.
        as_onnx: input rows (N, columns) to feature rows, in the very float operations of ONNX.
    """

    index: tuple[int, ...]
    as_onnx: Callable[[Array], Array]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trees(Operation):
    """Sum of the leaves reached plus base; output (targets).

    x (F); or, with ``columns``, a model input of which the trees read these columns.
    """

    x: str
    table: TreeTable
    columns: Columns | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FloatGraph:
    """Operations in execution order; ``shapes`` covers inputs and every output.

    ``grids`` fixes the number grid of tensors that come already quantised, by name. Tensors of one
    ``ties`` group share their range. ``batch_axes`` names ONNX tensors whose batch is not first.
    """

    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]
    shapes: Mapping[str, Shape]
    grids: "Mapping[str, Grid]" = field(default_factory=dict)
    ties: tuple[tuple[str, ...], ...] = ()
    batch_axes: Mapping[str, int] = field(default_factory=dict)


_Operation = TypeVar("_Operation", bound=Operation)


def operands(operation: Operation) -> tuple[str, ...]:
    """Names of the tensors that an operation reads, in order."""
    names: list[str] = []
    for item in fields(operation):
        if item.name in ("x", "condition", "a", "b"):
            names.append(getattr(operation, item.name))
        elif item.name == "inputs":
            names.extend(getattr(operation, item.name))
    return tuple(names)


def renamed(operation: _Operation, names: Mapping[str, str]) -> _Operation:
    """The operation with other names for the tensors that it reads."""
    if not names.keys() & set(operands(operation)):
        return operation
    changes: dict[str, Any] = {
        key: names.get(getattr(operation, key), getattr(operation, key))
        for key in ("x", "condition", "a", "b")
        if hasattr(operation, key)
    }
    inputs = getattr(operation, "inputs", None)
    if inputs is not None:
        changes["inputs"] = tuple(names.get(name, name) for name in inputs)
    return replace(operation, **changes)


def consumers(graph: FloatGraph) -> dict[str, list[Operation]]:
    """Readers of each tensor; a graph output is not a reader."""
    readers: dict[str, list[Operation]] = {}
    for operation in graph.operations:
        for name in dict.fromkeys(operands(operation)):
            readers.setdefault(name, []).append(operation)
    return readers


def live_operations(
    operations: Iterable[Operation], outputs: Iterable[str]
) -> tuple[Operation, ...]:
    """The operations that some output depends on, in the same order."""
    needed = set(outputs)
    kept: list[Operation] = []
    for operation in reversed(tuple(operations)):
        if operation.output in needed:
            needed.update(operands(operation))
            kept.append(operation)
    return tuple(reversed(kept))
