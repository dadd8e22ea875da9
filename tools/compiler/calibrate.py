"""Ranges of tensors, from onnxruntime over the author's samples."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tools.compiler.graph import (
    Array,
    Concat,
    FloatGraph,
    Floats,
    Operation,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Transpose,
    operands,
)
from tools.compiler.onnx_import import OnnxModel
from tools.compiler.oracle import Oracle

INNER_SAMPLES = 32


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest value seen; ``low <= high``."""

    low: float
    high: float

    @property
    def magnitude(self) -> float:
        """Largest absolute value."""
        return max(abs(self.low), abs(self.high))

    def joined(self, other: "Range") -> "Range":
        """The smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the samples show.

    Attributes:
        ranges: by tensor name; every tensor that onnxruntime could show, and those that only move
            its elements.
        outputs: onnxruntime's value of each graph output, over all samples.
        inner: onnxruntime's value of every inner tensor, over the first ``INNER_SAMPLES``.
        samples: the checked samples by input name.
    """

    ranges: Mapping[str, Range]
    outputs: Mapping[str, Floats]
    inner: Mapping[str, Array]
    samples: Mapping[str, Array]


def calibrate(model: OnnxModel, graph: FloatGraph, samples: Mapping[str, Array]) -> Calibration:
    """Run all samples through onnxruntime and note the range of every tensor it has.

    Raises:
        CompileError: onnxruntime cannot run the samples.
    """
    known = {name for node in model.nodes for name in node.outputs if name}
    wanted = [operation.output for operation in graph.operations if operation.output in known]
    ranges = {name: _range(value) for name, value in samples.items()}
    parts: dict[str, list[Array]] = {name: [] for name in model.outputs}
    inner: dict[str, list[Array]] = {name: [] for name in wanted}
    seen = 0
    for piece in Oracle(model, wanted).pieces(samples):
        for name in wanted:
            found = _range(piece[name])
            ranges[name] = ranges[name].joined(found) if name in ranges else found
            if seen < INNER_SAMPLES:
                inner[name].append(piece[name][: INNER_SAMPLES - seen])
        for name in model.outputs:
            parts[name].append(piece[name])
        seen += len(piece[model.outputs[0]])
    for operation in graph.operations:
        derived = _derived(operation, ranges)
        if derived is not None:
            ranges.setdefault(operation.output, derived)
    outputs = {
        name: np.asarray(np.concatenate(parts[source]), dtype=np.float64)
        for name, source in zip(graph.outputs, model.outputs, strict=True)
    }
    values = {name: np.concatenate(pieces) for name, pieces in inner.items()}
    return Calibration(ranges, outputs, values, dict(samples))


def _range(value: Array) -> Range:
    finite = np.asarray(value, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return Range(0.0, 0.0)
    return Range(float(finite.min()), float(finite.max()))


def _derived(operation: Operation, ranges: Mapping[str, Range]) -> Range | None:
    """Range of a tensor that only moves or selects elements of its operands."""
    if not isinstance(operation, Reshape | Transpose | Slice | Concat | Pad | Reduce):
        return None
    found = [ranges[name] for name in operands(operation) if name in ranges]
    if not found or len(found) != len(operands(operation)):
        return None
    result = found[0]
    for item in found[1:]:
        result = result.joined(item)
    if isinstance(operation, Pad):
        result = result.joined(Range(operation.value, operation.value))
    return result
