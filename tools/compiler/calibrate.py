"""Ranges of tensors, from onnxruntime over the author's samples."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tools.compiler.errors import CompileError
from tools.compiler.graph import (
    Array,
    FloatGraph,
    Floats,
)
from tools.compiler.onnx_import import OnnxModel
from tools.compiler.oracle import Oracle
from tools.compiler.spans import Range, derive_ranges

INNER_SAMPLES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What the samples show.

    Attributes:
        ranges: by tensor name; every tensor that onnxruntime could show, and those that only move
            its elements.
        outputs: onnxruntime's value of each graph output, over all samples.
        inner: onnxruntime's value of every inner tensor, over the first ``INNER_SAMPLES``.
        samples: the checked samples by input name.
        clipped: by tensor name, the range that an 8-bit grid should cover; absent: all of it.
    """

    ranges: Mapping[str, Range]
    outputs: Mapping[str, Floats]
    inner: Mapping[str, Array]
    samples: Mapping[str, Array]
    clipped: Mapping[str, Range] = field(default_factory=dict)


def calibrate(model: OnnxModel, graph: FloatGraph, samples: Mapping[str, Array]) -> Calibration:
    """Run all samples through onnxruntime and note the range of every tensor it has.

    Raises:
        CompileError: onnxruntime cannot run the samples, or its outputs are not finite.
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
    derive_ranges(graph, ranges)
    outputs = {
        name: np.asarray(np.concatenate(parts[source]), dtype=np.float64)
        for name, source in zip(graph.outputs, model.outputs, strict=True)
    }
    for name, result in outputs.items():
        if not np.isfinite(result).all():
            raise CompileError(
                f"onnxruntime gives NaN or infinity for output {name!r} on the samples",
                advice="check the weights and the samples",
            )
    values = {name: np.concatenate(pieces) for name, pieces in inner.items()}
    return Calibration(ranges, outputs, values, dict(samples))


def _range(value: Array) -> Range:
    finite = np.asarray(value, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return Range(0.0, 0.0)
    return Range(float(finite.min()), float(finite.max()))
