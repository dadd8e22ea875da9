"""Float-graph operations of classical models on rows of features; see ``graph``."""

from dataclasses import dataclass

from tools.compiler.graph import Floats, Operation


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Distances(Operation):
    """Squared Euclidean distances from a row x (F) to each row of ``centres`` (J, F): (J)."""

    x: str
    centres: Floats


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Power(Operation):
    """``x ** degree`` on every element; degree >= 2."""

    x: str
    degree: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LogSumExp(Operation):
    """``log(sum(exp(x)))`` over the last axis, which is kept with size 1."""

    x: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Impute(Operation):
    """``values`` (F, or one for all) where x equals ``replaced`` (NaN: is missing), else x."""

    x: str
    values: Floats
    replaced: float
