"""Float-graph operations that choose, compare, round and repeat; see ``graph``.

Truth values are the numbers 0 and 1. A ``Constant`` stands where one operand of these is no tensor.
"""

from dataclasses import dataclass

from tools.compiler.graph import Floats, Operation

EQUAL, LESS, LESS_EQUAL = 0, 1, 2
"""Relations of ``Compare``; the numbers are those of the integer operator."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Constant(Operation):
    """A per-sample tensor that does not depend on the input."""

    value: Floats


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Compare(Operation):
    """``a relation b`` as 0 or 1, numpy broadcasting."""

    a: str
    b: str
    relation: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Select(Operation):
    """``a`` where ``condition`` is not 0, else ``b``; numpy broadcasting."""

    condition: str
    a: str
    b: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Extreme(Operation):
    """The smaller or larger (``kind`` minimum or maximum) of two tensors, numpy broadcasting."""

    a: str
    b: str
    kind: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rounding(Operation):
    """A multiple of ``step``, or what is left of one.

    ``kind``: floor, ceil, round (half up) · truncate (toward zero) · modulo (``x`` minus floor) ·
    sign (-1, 0 or 1; step 1).
    """

    x: str
    kind: str
    step: float = 1.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TopK(Operation):
    """Indices of the ``k`` largest of the last axis, largest first; lowest index among equals."""

    x: str
    k: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Negate(Operation):
    """``-x`` without a rounding."""

    x: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Expand(Operation):
    """Repeat by numpy's broadcasting rule to the shape of ``output``."""

    x: str
