"""Rewrites that make 8-bit tensors finer: outliers are moved to where they do no harm.

A tensor has one 8-bit grid, so one loud column makes all others coarse. Two remedies, both for the
8-bit form alone:

* What a layer norm gives to dense layers is divided column by column, and their weights multiplied
  (SmoothQuant, arXiv 2211.10438): loud columns get weight, quiet ones get codes.
* Columns that an activation such as GELU lets grow far beyond the rest are cut into pieces: with
  ``f`` proportional above T, ``f(x) ~ sum_j f(min(x - j T, T))``. Each piece is a column of its
  own of the same two layers (outlier channel splitting, arXiv 1901.09504): no instruction is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from precompiles.model.types import DType
from tools.compiler.calibrate import Calibration
from tools.compiler.graph import (
    UNBOUNDED,
    Dense,
    Expression,
    FloatGraph,
    Floats,
    Function,
    Operation,
    Shape,
    consumers,
)
from tools.compiler.graph_attention import LayerNorm, Smooth
from tools.compiler.histogram import Histogram
from tools.compiler.precision import BASES
from tools.compiler.spans import Range

_LOUDNESS = 0.7
"""Exponent of a column's loudness in its divisor; the rest is left to the weights."""

_LIMITS = (1e-3, 1e3)
_MOST_PIECES = 24
_COLUMN_BLOCK = 64
_LEAST_COLUMNS = 256
_NEAR = 0.9
_STRAIGHT = 0.02
_FLAT = 2.0**-10
_THRESHOLDS = (3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0)
_GAIN = 1.3
_POINTS = 2049

Columns = tuple[Floats, Floats]


@dataclass(slots=True, eq=False)
class _Eased:
    """Operations, shapes and statistics under rewriting."""

    operations: dict[str, Operation]
    shapes: dict[str, Shape]
    ranges: dict[str, Range]
    clipped: dict[str, Range]
    means: dict[str, Floats]
    columns: dict[str, Columns]
    histograms: dict[str, Histogram]
    inserted: dict[str, Operation] = field(default_factory=dict)


def view_of(
    graph: FloatGraph, calibration: Calibration, precision: str
) -> tuple[FloatGraph, Calibration]:
    """What a precision is lowered from: rewritten for the 8-bit form, else as it is."""
    if BASES[precision] is not DType.U8:
        return graph, calibration
    return _eased(graph, calibration)


@lru_cache(maxsize=2)
def _eased(graph: FloatGraph, calibration: Calibration) -> tuple[FloatGraph, Calibration]:
    known = calibration.statistics
    work = _Eased(
        operations={item.output: item for item in graph.operations},
        shapes=dict(graph.shapes),
        ranges=dict(known.ranges),
        clipped=dict(known.clipped),
        means=dict(known.means),
        columns=dict(known.columns),
        histograms=dict(calibration.histograms),
    )
    readers = consumers(graph)
    for operation in graph.operations:
        found = readers.get(operation.output, [])
        if isinstance(operation, LayerNorm):
            _smooth(work, graph, operation, found)
        elif isinstance(operation, Function) and operation.output not in graph.outputs:
            _split(work, graph, operation, readers)
    operations = tuple(_ordered(work))
    statistics = replace(
        known, ranges=work.ranges, clipped=work.clipped, means=work.means, columns=work.columns
    )
    return (
        replace(graph, operations=operations, shapes=work.shapes),
        replace(calibration, statistics=statistics, histograms=work.histograms),
    )


def _ordered(work: _Eased) -> list[Operation]:
    """Inserted operations stand right behind what they read."""
    made: list[Operation] = []
    for operation in work.operations.values():
        made.append(operation)
        if operation.output in work.inserted:
            made.append(work.inserted[operation.output])
    return made


def _smooth(work: _Eased, graph: FloatGraph, norm: LayerNorm, readers: list[Operation]) -> None:
    """Divide the columns that dense layers read; in the norm itself when nothing else reads it."""
    layers = [work.operations[item.output] for item in readers if isinstance(item, Dense)]
    dense = [item for item in layers if isinstance(item, Dense)]
    name = norm.output
    if not dense or name not in work.columns or name in graph.grids:
        return
    if any(item.steps is not None for item in dense):
        return
    divisor = _divisor(work.columns[name], [item.weight for item in dense])
    alone = len(dense) == len(readers) and name not in graph.outputs
    eased = f"{name}#eased"
    low, high = (ends / divisor for ends in work.columns[name])
    work.columns[eased] = (low, high)
    work.ranges[eased] = Range(float(low.min()), float(high.max()))
    work.shapes[eased] = work.shapes[name]
    if name in work.means:
        work.means[eased] = work.means[name] / divisor
    if name in work.histograms:
        work.histograms[eased] = work.histograms[name]
    if alone:
        gain, offset = norm.gain / divisor, norm.offset / divisor
        work.operations[name] = replace(norm, output=eased, gain=gain, offset=offset)
    else:
        work.inserted[name] = Smooth(origin=norm.origin, output=eased, x=name, scale=1.0 / divisor)
    for item in dense:
        work.operations[item.output] = replace(
            item, x=eased, weight=item.weight * divisor[:, np.newaxis]
        )


def _divisor(columns: Columns, weights: list[Floats]) -> Floats:
    """Divisor of each column, around 1."""
    peaks = np.maximum(-columns[0], columns[1])
    peaks = np.maximum(peaks, max(float(peaks.max()) * 1e-4, 1e-12))
    loads = np.stack([np.abs(weight).max(axis=1) for weight in weights]).max(axis=0)
    loads = np.maximum(loads, max(float(loads.max()) * 1e-4, 1e-12))
    divisor = peaks**_LOUDNESS / loads ** (1 - _LOUDNESS)
    return np.asarray(np.clip(divisor / np.exp(np.log(divisor).mean()), *_LIMITS))


def _split(
    work: _Eased, graph: FloatGraph, curve: Function, readers: Mapping[str, list[Operation]]
) -> None:
    """Cut loud columns between two dense layers into pieces, where the curve allows it."""
    before, after = _neighbours(work, graph, curve, readers)
    if before is None or after is None or curve.x not in work.columns:
        return
    low, high = work.columns[curve.x]
    top = float(high.max())
    floor = _flat_below(curve.expression, float(low.min()))
    chosen = _threshold(curve.expression, high, len(high))
    if chosen is None or top < _GAIN * chosen:
        return
    pieces = [
        (column, number)
        for column, reach in enumerate(high)
        for number in range(1, int(np.ceil(reach / (chosen * _NEAR))))
    ]
    columns = np.array([column for column, _ in pieces], dtype=np.int64)
    numbers = np.array([number for _, number in pieces], dtype=np.float64)
    spare = -len(columns) % (_COLUMN_BLOCK if len(high) % _COLUMN_BLOCK == 0 else 4)
    weight = np.pad(before.weight[:, columns], ((0, 0), (0, spare)))
    bias = np.pad(before.bias[columns] - numbers * chosen, (0, spare))
    rows = np.pad(after.weight[columns], ((0, spare), (0, 0)))
    names = f"{before.output}#cut", f"{curve.output}#cut"
    first = replace(
        before,
        output=names[0],
        weight=np.concatenate([before.weight, weight], axis=1),
        bias=np.concatenate([before.bias, bias]),
        clamp=(floor, chosen),
    )
    middle = replace(curve, output=names[1], x=names[0])
    last = replace(after, x=names[1], weight=np.concatenate([after.weight, rows]))
    work.operations[before.output] = first
    work.operations[curve.output] = middle
    work.operations[after.output] = last
    _describe(work, curve, names, (floor, chosen), len(columns) + spare)


def _neighbours(
    work: _Eased, graph: FloatGraph, curve: Function, readers: Mapping[str, list[Operation]]
) -> tuple[Dense | None, Dense | None]:
    """The dense layers before and after a curve, when nothing else reads in between."""
    before = work.operations.get(curve.x)
    found = readers.get(curve.output, [])
    after = work.operations.get(found[0].output) if len(found) == 1 else None
    plain = isinstance(before, Dense) and isinstance(after, Dense) and curve.clamp is None
    if not plain or len(readers.get(curve.x, [])) != 1 or curve.x in graph.outputs:
        return None, None
    assert isinstance(before, Dense) and isinstance(after, Dense)  # noqa: S101, PT018 (for mypy)
    fixed = before.steps is not None or after.steps is not None or curve.output in graph.grids
    if fixed or before.clamp != UNBOUNDED:
        return None, None
    return before, after


def _flat_below(expression: Expression, low: float) -> float:
    """Where the curve starts to move: below it, it stays within 2**-10 of its end."""
    if low >= 0:
        return low
    points = np.linspace(low, 0.0, _POINTS)
    values = np.asarray(expression(points), dtype=np.float64)
    moving = np.nonzero(np.abs(values - values[0]) > _FLAT)[0]
    return float(points[max(int(moving[0]) - 1, 0)]) if len(moving) else low


def _threshold(expression: Expression, high: Floats, width: int) -> float | None:
    """The lowest cut above which the curve is straight and few pieces are needed, or None."""
    if width < _LEAST_COLUMNS:
        return None
    most = _COLUMN_BLOCK if width % _COLUMN_BLOCK == 0 else _MOST_PIECES
    for cut in _THRESHOLDS:
        first, second = np.asarray(expression(np.array([cut, 2 * cut])), dtype=np.float64)
        straight = abs(second - 2 * first) <= _STRAIGHT * first
        pieces = np.maximum(np.ceil(high / (cut * _NEAR)) - 1, 0).sum()
        if straight and pieces <= min(most, width // 16):
            return cut
    return None


def _describe(
    work: _Eased, curve: Function, names: tuple[str, str], ends: tuple[float, float], more: int
) -> None:
    """Shapes and statistics of the two tensors that have more columns now."""
    values = np.asarray(curve.expression(np.linspace(*ends, _POINTS)), dtype=np.float64)
    spans = Range(*ends), Range(float(values.min()), float(values.max()))
    for old, new, span in zip((curve.x, curve.output), names, spans, strict=True):
        shape = work.shapes[old]
        work.shapes[new] = (*shape[:-1], shape[-1] + more)
        work.ranges[new] = span
        if old in work.histograms:
            work.histograms[new] = work.histograms[old]
        if old in work.means:
            grown = [(0, 0)] * (len(shape) - 1) + [(0, more)]
            work.means[new] = np.pad(work.means[old], grown)
