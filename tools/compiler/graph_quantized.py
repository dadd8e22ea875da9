"""Float-graph operations of tensors that come already quantised; see ``graph``."""

from dataclasses import dataclass
from fractions import Fraction

from tools.compiler.graph import Bounds, Operation
from tools.compiler.quantize import Grid


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Regrid(Operation):
    """``x`` rounded to the fixed grid of ``output``, saturating at ``bounds`` (real values)."""

    x: str
    bounds: Bounds


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Decode(Operation):
    """``scale * (x - zero_point)`` of whole numbers x."""

    x: str
    scale: Fraction
    zero_point: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Codes(Operation):
    """The whole numbers that stand for ``x`` on ``grid``, less ``shift``."""

    x: str
    grid: Grid
    shift: int
