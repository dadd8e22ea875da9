"""Operators that only move elements."""

from dataclasses import dataclass

from precompiles.model.operators.fields import Ints, Value


@dataclass(frozen=True, slots=True)
class Reshape:
    """Same elements in row-major order under the output's shape."""

    x: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Transpose:
    """``out.shape[i] = x.shape[permutation[i]]``, per sample."""

    x: Value
    permutation: Ints
    output: Value


@dataclass(frozen=True, slots=True)
class Concat:
    """Join 1 to 64 values of one dtype along ``axis`` (per sample, >= 0)."""

    inputs: Ints
    axis: int
    output: Value


@dataclass(frozen=True, slots=True)
class Slice:
    """``x[starts[0]::steps[0], ...]`` cut to the output's shape; steps >= 1, per sample."""

    x: Value
    starts: Ints
    steps: Ints
    output: Value


@dataclass(frozen=True, slots=True)
class Pad:
    """Constant border; ``before`` and ``after`` have one entry per axis, >= 0, per sample."""

    x: Value
    before: Ints
    after: Ints
    value: int
    output: Value


@dataclass(frozen=True, slots=True)
class Gather:
    """``table[x]``: rows of a constant. x tensor s32, its interval inside [0, R) proven.

    table const of any dtype (R, *D), rank >= 1 · out that dtype, (*x.shape, *D).
    """

    x: Value
    table: Value
    output: Value


@dataclass(frozen=True, slots=True)
class Expand:
    """Repeat by numpy's broadcasting rule, per sample, to the shape of the output; any dtype."""

    x: Value
    output: Value
