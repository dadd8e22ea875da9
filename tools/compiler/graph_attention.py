"""Float-graph operations of transformers and embeddings; see ``graph``."""

from dataclasses import dataclass

from tools.compiler.graph import Floats, Operation


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MatMul(Operation):
    """``scale * a @ b`` of two computed tensors; leading axes equal, rank >= 2.

    a (.., M, K) · b (.., K, N), or (.., N, K) with ``transpose_b``.
    """

    a: str
    b: str
    scale: float = 1.0
    transpose_b: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LayerNorm(Operation):
    """``(x - mean) / sqrt(variance + epsilon) * gain + offset`` of each row of the last axis.

    Without ``center`` it is RMSNorm: no mean, and the mean square for the variance.
    """

    x: str
    gain: Floats
    offset: Floats
    epsilon: float
    center: bool = True


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Smooth(Operation):
    """``x * scale``, one positive factor per column of the last axis, on a narrower grid."""

    x: str
    scale: Floats


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Embed(Operation):
    """``table[x]``: rows of a constant by computed whole numbers; table (R, *D)."""

    x: str
    table: Floats


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Length(Operation):
    """Euclidean length of each row of the last axis, which is kept with size 1."""

    x: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Divide(Operation):
    """``a / b``, numpy broadcasting; b is positive wherever it matters."""

    a: str
    b: str
