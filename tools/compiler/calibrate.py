"""Statistics of tensors, from onnxruntime over the author's samples, streamed in bounded memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.compiler.errors import CompileError
from tools.compiler.evaluate import evaluate_graph
from tools.compiler.graph import (
    Array,
    Conv,
    Dense,
    FloatGraph,
    Floats,
    Function,
    Operation,
    Reshape,
    Slice,
    Transpose,
)
from tools.compiler.histogram import Histogram, best_range, percentile_range
from tools.compiler.onnx_import import OnnxModel
from tools.compiler.oracle import Oracle
from tools.compiler.spans import Range, Statistics, derive_ranges

METHODS = ("minmax", "mse", "percentile")
"""How the range of an 8-bit grid is chosen; the first is the default."""

INNER_SAMPLES = 32
_INNER_BYTES = 128 << 20
_PIECE_BYTES = 128 << 20
_LARGEST_PIECE = 128
_NATIVE_PIECE = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the samples show.

    Attributes:
        statistics: by tensor name; every tensor that onnxruntime could show, and those that only
            move its elements.
        histograms: of every tensor that onnxruntime could show.
        outputs: onnxruntime's value of each graph output, over all samples.
        inner: onnxruntime's value of every inner tensor, over the first ``INNER_SAMPLES`` (fewer
            where they are large).
        samples: the checked samples by input name.
    """

    statistics: Statistics
    histograms: Mapping[str, Histogram]
    outputs: Mapping[str, Floats]
    inner: Mapping[str, Array]
    samples: Mapping[str, Array]


class _Stream:
    """Running statistics of one tensor."""

    def __init__(self, *, wants_mean: bool) -> None:
        self.range: Range | None = None
        self.histogram = Histogram()
        self.total: Floats | None = None
        self.count = 0
        self.low: Floats | None = None
        self.high: Floats | None = None
        self._wants_mean = wants_mean

    def update(self, value: Array) -> None:
        found = _range(value)
        self.range = found if self.range is None else self.range.joined(found)
        self.histogram.update(value)
        if self._wants_mean:
            part = value.sum(axis=0, dtype=np.float64)
            self.total = part if self.total is None else self.total + part
            self.count += len(value)
            self._widen(value)

    def _widen(self, value: Array) -> None:
        """Smallest and largest value of each column of the last axis."""
        columns = value.reshape(-1, value.shape[-1]) if value.ndim > 1 else value.reshape(-1, 1)
        low, high = columns.min(axis=0), columns.max(axis=0)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)


def calibrate(
    model: OnnxModel,
    graph: FloatGraph,
    samples: Mapping[str, Array],
    *,
    method: str = METHODS[0],
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Run all samples through onnxruntime and note what every tensor looks like.

    Args:
        model: the imported file.
        graph: after the passes.
        samples: checked samples by input name.
        method: ``minmax`` covers everything, ``percentile`` leaves 0.01 % out at each end, ``mse``
            finds the range with the least mean square error; of 8-bit grids only.
        progress: called with samples done and all samples.

    Raises:
        CompileError: onnxruntime cannot run the samples, or its outputs are not finite.
    """
    known = {name for node in model.nodes for name in node.outputs if name}
    wanted = [operation.output for operation in graph.operations if operation.output in known]
    oracle = Oracle(model, wanted, graph.batch_axes)
    size = max(1, min(_LARGEST_PIECE, _PIECE_BYTES // _bytes_per_sample(graph)))
    sources = dict(zip(graph.outputs, model.outputs, strict=True))
    pieces = oracle.pieces(samples, size)
    return _collected(graph, samples, wanted, (sources, pieces), method, progress)


def calibrate_floats(
    graph: FloatGraph,
    samples: Mapping[str, Array],
    *,
    method: str = METHODS[0],
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """As ``calibrate``, for a graph of which every operation can be evaluated here in float64."""
    count = len(next(iter(samples.values())))
    pieces = (
        {name: value[start : start + _NATIVE_PIECE] for name, value in samples.items()}
        for start in range(0, count, _NATIVE_PIECE)
    )
    wanted = [operation.output for operation in graph.operations]
    sources = {name: name for name in graph.outputs}
    return _collected(graph, samples, wanted, (sources, pieces), method, progress)


def _collected(
    graph: FloatGraph,
    samples: Mapping[str, Array],
    wanted: Sequence[str],
    run: tuple[Mapping[str, str], Iterable[Mapping[str, Array]]],
    method: str,
    progress: Callable[[int, int], None] | None,
) -> Calibration:
    """Statistics over pieces of values; ``run`` holds the name of each output in them, and them."""
    sources, pieces = run
    weighted = _weighted(graph)
    names = dict.fromkeys((*samples, *(operation.output for operation in graph.operations)))
    streams = {name: _Stream(wants_mean=name in weighted) for name in names}
    for name, value in samples.items():
        streams[name].update(value)
    parts: dict[str, list[Array]] = {name: [] for name in sources}
    inner: dict[str, list[Array]] = {name: [] for name in wanted}
    kept = min(INNER_SAMPLES, max(1, _INNER_BYTES // _bytes_per_sample(graph)))
    count, seen = len(next(iter(samples.values()))), 0
    for piece in pieces:
        length = len(next(iter(piece.values())))
        values = {name: value[seen : seen + length] for name, value in samples.items()}
        values.update(_per_sample(graph, piece, wanted, length))
        evaluate_graph(graph, values)
        for name in values.keys() - samples.keys():
            streams[name].update(values[name])
        for name in inner.keys() & values.keys() if seen < kept else ():
            inner[name].append(values[name][: kept - seen])
        for name, source in sources.items():
            parts[name].append(piece[source] if source in piece else values[source])
        seen += length
        if progress is not None:
            progress(seen, count)
    outputs = {
        name: np.asarray(np.concatenate(values), dtype=np.float64) for name, values in parts.items()
    }
    _require_finite(outputs)
    shown = {name: np.concatenate(values) for name, values in inner.items() if values}
    histograms = {name: stream.histogram for name, stream in streams.items() if stream.range}
    return Calibration(_statistics(graph, streams, method), histograms, outputs, shown, samples)


def _per_sample(
    graph: FloatGraph, piece: Mapping[str, Array], names: Sequence[str], length: int
) -> dict[str, Array]:
    """The tensors of a piece that have one entry per sample; a file may merge or move the batch."""
    return {
        name: piece[name]
        for name in names
        if name in piece and piece[name].shape == (length, *graph.shapes[name])
    }


def _require_finite(outputs: Mapping[str, Floats]) -> None:
    for name, result in outputs.items():
        if not np.isfinite(result).all():
            raise CompileError(
                f"the original gives NaN or infinity for output {name!r} on the samples",
                advice="check the weights and the samples",
            )


def _bytes_per_sample(graph: FloatGraph) -> int:
    return 4 * sum(int(np.prod(shape, dtype=np.int64)) for shape in graph.shapes.values()) + 1


def _range(value: Array) -> Range:
    if not value.size:
        return Range(0.0, 0.0)
    low, high = float(value.min()), float(value.max())
    if np.isfinite(low) and np.isfinite(high):
        return Range(low, high)
    finite = value[np.isfinite(value)]
    return Range(float(finite.min()), float(finite.max())) if finite.size else Range(0.0, 0.0)


def _weighted(graph: FloatGraph) -> frozenset[str]:
    """Tensors whose columns matter: what layers read, through what only moves elements."""
    wanted: set[str] = set()
    for operation in reversed(graph.operations):
        if isinstance(operation, Dense | Conv | Function) or (
            isinstance(operation, Reshape | Transpose | Slice) and operation.output in wanted
        ):
            wanted.add(operation.x)
    return frozenset(wanted)


def _statistics(graph: FloatGraph, streams: Mapping[str, _Stream], method: str) -> Statistics:
    ranges = {name: stream.range for name, stream in streams.items() if stream.range is not None}
    clipped: dict[str, Range] = {}
    if method != "minmax":
        choose = best_range if method == "mse" else percentile_range
        clipped = {name: choose(streams[name].histogram, found) for name, found in ranges.items()}
    derive_ranges(graph, ranges)
    if clipped:
        derive_ranges(graph, clipped)
    means = {
        name: np.asarray(stream.total / stream.count)
        for name, stream in streams.items()
        if stream.total is not None
    }
    for operation in graph.operations:
        if operation.output not in means:
            found = _moved_mean(graph, operation, means)
            if found is not None:
                means[operation.output] = found
    columns = {
        name: (np.asarray(stream.low, np.float64), np.asarray(stream.high, np.float64))
        for name, stream in streams.items()
        if stream.low is not None and stream.high is not None
    }
    return Statistics(ranges, clipped, means, columns)


def _moved_mean(
    graph: FloatGraph, operation: Operation, means: Mapping[str, Floats]
) -> Floats | None:
    """Mean of a tensor that only moves elements of another."""
    if not isinstance(operation, Reshape | Transpose | Slice) or operation.x not in means:
        return None
    mean = means[operation.x]
    shape = graph.shapes[operation.output]
    if isinstance(operation, Reshape):
        return mean.reshape(shape)
    if isinstance(operation, Transpose):
        return np.transpose(mean, operation.permutation)
    chosen = tuple(
        slice(start, start + step * (size - 1) + 1, step)
        for start, step, size in zip(operation.starts, operation.steps, shape, strict=True)
    )
    return mean[chosen]
