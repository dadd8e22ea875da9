"""Ranges of real values, and what they imply for tensors that onnxruntime cannot show."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tools.compiler.graph import (
    Add,
    Affine,
    Bounds,
    Concat,
    Dense,
    FloatGraph,
    Floats,
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
from tools.compiler.graph_choices import Compare, Constant, Expand, Extreme, Negate, Select

_POINTS = 257
MASK_MARGIN = 16.0
"""How far below (or above) everything it masks a mask value is put: exp(-16) is 1e-7."""
_MASK = 1e3


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


def is_mask(value: Floats) -> bool:
    """True for constants that stand for minus (or plus) infinity, as attention masks have."""
    finite = np.abs(value[value != 0])
    return bool(finite.size and finite.min() >= _MASK)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What the samples show of tensors, by name.

    Attributes:
        ranges: smallest and largest value.
        clipped: the range that an 8-bit grid should cover; absent: all of it.
        means: mean of each element over the samples, shape per sample.
        columns: smallest and largest value of each column of the last axis.
    """

    ranges: Mapping[str, Range]
    clipped: Mapping[str, Range] = field(default_factory=dict)
    means: Mapping[str, Floats] = field(default_factory=dict)
    columns: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)


def derive_ranges(graph: FloatGraph, ranges: dict[str, Range]) -> None:
    """Add ranges of the compiler's own tensors: from a mere move of them, else by intervals.

    A tensor of which only slices are seen has the range of these: the rest is cut away.
    """
    cut: set[str] = set()
    for operation in reversed(graph.operations):
        if not isinstance(operation, Reshape | Transpose | Slice) or operation.output not in ranges:
            continue
        if isinstance(operation, Slice) and (operation.x not in ranges or operation.x in cut):
            cut.add(operation.x)
            seen = ranges.get(operation.x, ranges[operation.output])
            ranges[operation.x] = seen.joined(ranges[operation.output])
        ranges.setdefault(operation.x, ranges[operation.output])
    _tie(graph, ranges)
    for name, grid in graph.grids.items():
        ends = [float((code - grid.zero_point) * grid.scale) for code in grid.limits]
        ranges[name] = Range(*ends)
    constants = {
        operation.output: operation.value
        for operation in graph.operations
        if isinstance(operation, Constant)
    }
    for name, value in constants.items():
        ranges[name] = Range(float(value.min()), float(value.max()))
    for operation in graph.operations:
        names = operands(operation)
        if isinstance(operation, Select):
            _narrow_mask(operation, constants, ranges)
        if operation.output not in ranges and all(name in ranges for name in names):
            found = _image(operation, [ranges[name] for name in names])
            if found is not None:
                ranges[operation.output] = found


def _tie(graph: FloatGraph, ranges: dict[str, Range]) -> None:
    """Tensors that play one part in a loop get one range."""
    for group in graph.ties:
        names = [name for name in group if name in ranges]
        for name in names:
            ranges[names[0]] = ranges[names[0]].joined(ranges[name])
        for name in names:
            ranges[name] = ranges[names[0]]


def _narrow_mask(
    operation: Select, constants: Mapping[str, Floats], ranges: dict[str, Range]
) -> None:
    """The range of a masked tensor is that of what it masks, and a margin for the mask."""
    for name, other in ((operation.a, operation.b), (operation.b, operation.a)):
        if name in constants and other in ranges and is_mask(constants[name]):
            below, above = constants[name].min() < 0, constants[name].max() > 0
            found = ranges[other]
            ranges[operation.output] = Range(
                found.low - MASK_MARGIN * below, found.high + MASK_MARGIN * above
            )


def _image(operation: Operation, found: list[Range]) -> Range | None:
    """Range of an operation's result; None where intervals say too little."""
    joined = found[0]
    for item in found[1:]:
        joined = joined.joined(item)
    if isinstance(operation, Compare):
        return Range(0.0, 1.0)
    if isinstance(
        operation, Reshape | Transpose | Slice | Concat | Reduce | Pool | Expand | Extreme
    ):
        return joined
    if isinstance(operation, Pad):
        return joined.joined(Range(operation.value, operation.value))
    if isinstance(operation, Function):
        with np.errstate(all="ignore"):
            values = operation.expression(np.linspace(joined.low, joined.high, _POINTS))
        finite = values[np.isfinite(values)]
        return Range(float(finite.min()), float(finite.max())) if finite.size else None
    if isinstance(operation, Negate):
        return Range(-joined.high, -joined.low)
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
