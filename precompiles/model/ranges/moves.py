"""Output intervals of moves."""

from precompiles.model import operators as op
from precompiles.model.checks import Interval, require_within
from precompiles.model.ranges.rules import Ranges, hull, output_interval


@output_interval.register(op.Reshape)
@output_interval.register(op.Transpose)
@output_interval.register(op.Slice)
@output_interval.register(op.Expand)
def _(instruction: op.Reshape | op.Transpose | op.Slice | op.Expand, ranges: Ranges) -> Interval:
    return ranges.of(instruction.x)


@output_interval.register
def _(instruction: op.Concat, ranges: Ranges) -> Interval:
    return hull(ranges.of(value) for value in instruction.inputs)


@output_interval.register
def _(instruction: op.Pad, ranges: Ranges) -> Interval:
    return hull((ranges.of(instruction.x), (instruction.value, instruction.value)))


@output_interval.register
def _(instruction: op.Gather, ranges: Ranges) -> Interval:
    rows = ranges.model.type_of(instruction.table).shape[0]
    require_within(ranges.of(instruction.x), (0, rows - 1), "L10", "index")
    return ranges.of(instruction.table)
