"""Float-graph operations of classical models on rows of features; see ``graph``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tools.compiler.graph import Concat, Floats, Operation, Reshape, Slice


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


def readers_of_missing(
    readers: Mapping[str, Sequence[Operation]], name: str
) -> Iterator[Operation]:
    """Operations that compute with the values of an input, behind what only moves them."""
    for reader in readers.get(name, ()):
        if isinstance(reader, Reshape | Slice | Concat):
            yield from readers_of_missing(readers, reader.output)
        else:
            yield reader
