"""Models in the files of their own packages: which format it is, and what all formats become."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from precompiles.model.types import DType
from tools.compiler.errors import CompileError
from tools.compiler.graph import (
    Array,
    Dense,
    Expression,
    FloatGraph,
    Floats,
    Function,
    GraphInput,
    Operation,
    Softmax,
    Trees,
    TreeTable,
)
from tools.compiler.quantize import Grid

INPUT = "features"
_ROWS = 2048
_MISSING = 0.02
_HALF = 0.5
_CODE_LIMIT = 2.0**49
_DECIMALS = 9


@dataclass(frozen=True, slots=True, eq=False)
class NativeModel:
    """A boosted or linear model before compilation.

    Attributes:
        origin: ``(package, objective)`` for messages.
        features: columns of the input row, named ``features``.
        dtype: float32 where the package compares in float32, else float64.
        table: the trees, or None for a linear model.
        weight, bias: of a linear model (features, targets), (targets).
        link: identity, sigmoid, softmax, exp, square, log1p_exp or step: from raw sums to outputs.
        factor: of the raw sums before a sigmoid.
        labels: classes in score order; empty for numbers.
    """

    origin: tuple[str, str]
    features: int
    dtype: "np.dtype[np.float32] | np.dtype[np.float64]"
    table: TreeTable | None
    weight: Floats | None
    bias: Floats | None
    link: str
    factor: float = 1.0
    labels: tuple[int, ...] = ()


LINKS: dict[str, Expression] = {
    "exp": np.exp,
    "square": lambda x: np.sign(x) * x * x,
    "log1p_exp": lambda x: np.logaddexp(0.0, x),
    "step": lambda x: np.where(x > 0, 1.0, 0.0),
}


def native_graph(model: NativeModel, sigmoid: Expression) -> tuple[FloatGraph, tuple[str, ...]]:
    """The float graph and the names of its outputs.

    A classifier has one output ``probabilities`` (classes), everything else ``prediction``.
    """
    operations: list[Operation] = []
    shapes: dict[str, tuple[int, ...]] = {INPUT: (model.features,)}

    def emit(operation: Operation, width: int) -> str:
        operations.append(operation)
        shapes[operation.output] = (width,)
        return operation.output

    if model.table is not None:
        width = model.table.leaf.shape[1]
        trees = Trees(origin=model.origin, output="raw", x=INPUT, table=model.table)
        name = emit(trees, width)
    elif model.weight is not None and model.bias is not None:
        width = model.weight.shape[1]
        linear = Dense(
            origin=model.origin, output="raw", x=INPUT, weight=model.weight, bias=model.bias
        )
        name = emit(linear, width)
    else:
        raise CompileError("the model has neither trees nor weights")
    output = "probabilities" if model.labels else "prediction"
    if model.link == "softmax":
        name = emit(Softmax(origin=model.origin, output=output, x=name), width)
    elif model.link == "sigmoid":
        if model.labels and width == 1:
            factors, width = np.array([[-model.factor, model.factor]]), 2
        else:
            factors = model.factor * np.eye(width)
        if width == 2 or model.factor != 1.0:
            both = Dense(
                origin=model.origin, output="scores", x=name, weight=factors, bias=np.zeros(width)
            )
            name = emit(both, width)
        name = emit(Function(origin=model.origin, output=output, x=name, expression=sigmoid), width)
    elif model.link != "identity":
        link = Function(origin=model.origin, output=output, x=name, expression=LINKS[model.link])
        name = emit(link, width)
    inputs = (GraphInput(INPUT, (model.features,), model.dtype),)
    return FloatGraph(inputs, (name,), tuple(operations), shapes, _grids(model)), (output,)


def _grids(model: NativeModel) -> dict[str, Grid]:
    """The input on nine decimals (fewer when thresholds are large): decimal inputs are exact.

    Thresholds finer than that need a binary grid, which the samples choose.
    """
    values = _thresholds(model)
    if model.table is None or not values.size:
        return {}
    largest, smallest = (
        float(np.abs(values).max()),
        float(np.abs(values[values != 0]).min(initial=1)),
    )
    for digits in range(_DECIMALS, -1, -1):
        if largest * 10.0**digits < _CODE_LIMIT:
            if smallest * 10.0**digits < 2.0**10:
                break
            return {INPUT: Grid(DType.S64, Fraction(1, 10**digits))}
    return {}


def _thresholds(model: NativeModel) -> Floats:
    if model.table is None:
        return np.zeros(0)
    inner = np.array([mode != "LEAF" for mode in model.table.mode])
    values = model.table.value[inner]
    return np.asarray(values[np.isfinite(values)])


def threshold_samples(model: NativeModel) -> Array:
    """Rows on and around the thresholds of every feature, some values missing; always the same.

    Raises:
        CompileError: a linear model has no thresholds to take them from.
    """
    if model.table is None:
        raise CompileError(
            "a linear model needs samples: its file says nothing about the range of its features",
            advice="pass samples (command line: --samples file.npy, .npz or .csv)",
        )
    rng = np.random.default_rng(0)
    rows = np.zeros((_ROWS, model.features), dtype=model.dtype)
    inner = np.array([mode != "LEAF" for mode in model.table.mode])
    for feature in range(model.features):
        chosen = inner & (model.table.feature == feature)
        values = np.unique(model.table.value[chosen]).astype(model.dtype)
        values = values[np.isfinite(values)]
        if not values.size:
            continue
        gap = float(np.diff(values).min()) if values.size > 1 else max(abs(float(values[0])), 1.0)
        picked = rng.choice(values, _ROWS)
        step = rng.integers(-1, 2, _ROWS)
        near = np.nextafter(picked, np.where(step < 0, -np.inf, np.inf).astype(model.dtype))
        column = np.where(
            step == 0, picked, np.where(rng.random(_ROWS) < _HALF, near, picked + step * gap / 2)
        )
        column[rng.random(_ROWS) < _MISSING] = np.nan
        rows[:, feature] = column
    return rows
