"""The interval that each operator's output can reach, and the proof that nothing overflows.

``output_interval(instruction, ranges)`` assumes that ``output_type`` has accepted the
instruction. It reads constant data, checks the rules that depend on it (L6, L7, L10, L11, L14)
and returns the interval of the output in unbounded integers. Numpy's int64 is used only where the
comment says why it cannot overflow. Source: docs/spec/integer-model.md section 4.
"""

from precompiles.model.ranges import dense, elementwise, moves, rows, trees
from precompiles.model.ranges.rules import Ranges, output_interval

__all__ = ["Ranges", "dense", "elementwise", "moves", "output_interval", "rows", "trees"]
