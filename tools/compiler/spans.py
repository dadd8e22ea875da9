"""Ranges of real values, and what they imply for tensors that onnxruntime cannot show."""

from dataclasses import dataclass

import numpy as np

from tools.compiler.graph import (
    Add,
    Affine,
    Bounds,
    Concat,
    Dense,
    FloatGraph,
    Function,
    Operation,
    Pad,
    Pool,
    Reduce,
    Reshape,
    Slice,
    Transpose,
    operands,
)

_POINTS = 257


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest value; ``low <= high``."""

    low: float
    high: float

    @property
    def magnitude(self) -> float:
        """Largest absolute value."""
        return max(abs(self.low), abs(self.high))

    def joined(self, other: "Range") -> "Range":
        """The smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def clamped(self, clamp: Bounds) -> "Range":
        """The range after a clip."""
        low, high = (min(max(end, clamp[0]), clamp[1]) for end in (self.low, self.high))
        return Range(low, high)


def derive_ranges(graph: FloatGraph, ranges: dict[str, Range]) -> None:
    """Add ranges of the compiler's own tensors: from a mere move of them, else by intervals."""
    for operation in reversed(graph.operations):
        if isinstance(operation, Reshape | Transpose) and operation.output in ranges:
            ranges.setdefault(operation.x, ranges[operation.output])
    for operation in graph.operations:
        names = operands(operation)
        if operation.output not in ranges and all(name in ranges for name in names):
            found = _image(operation, [ranges[name] for name in names])
            if found is not None:
                ranges[operation.output] = found


def _image(operation: Operation, found: list[Range]) -> Range | None:
    """Range of an operation's result; None where intervals say too little."""
    joined = found[0]
    for item in found[1:]:
        joined = joined.joined(item)
    if isinstance(operation, Reshape | Transpose | Slice | Concat | Reduce | Pool):
        return joined
    if isinstance(operation, Pad):
        return joined.joined(Range(operation.value, operation.value))
    if isinstance(operation, Function):
        with np.errstate(all="ignore"):
            values = operation.expression(np.linspace(joined.low, joined.high, _POINTS))
        finite = values[np.isfinite(values)]
        return Range(float(finite.min()), float(finite.max())) if finite.size else None
    return _linear_image(operation, found)


def _linear_image(operation: Operation, found: list[Range]) -> Range | None:
    first = found[0]
    if isinstance(operation, Add):
        ends = (operation.sign * found[1].low, operation.sign * found[1].high)
        return Range(first.low + min(ends), first.high + max(ends)).clamped(operation.clamp)
    if isinstance(operation, Affine):
        corners = [end * operation.scale + operation.offset for end in (first.low, first.high)]
        low, high = min(c.min() for c in corners), max(c.max() for c in corners)
        return Range(float(low), float(high)).clamped(operation.clamp)
    if isinstance(operation, Dense):
        positive = np.maximum(operation.weight, 0).sum(axis=0)
        negative = np.minimum(operation.weight, 0).sum(axis=0)
        lows = first.low * positive + first.high * negative + operation.bias
        highs = first.high * positive + first.low * negative + operation.bias
        return Range(float(lows.min()), float(highs.max())).clamped(operation.clamp)
    return None
