"""A program being drawn, and what the drawers of its instructions share."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import Constant, DType, TensorType

NARROW = (DType.U8, DType.S8, DType.S16)
QUANTIZED = (*NARROW, DType.S32)
WIDE = (DType.S32, DType.S64)
ANY = (*QUANTIZED, DType.S64)


@dataclass
class Draft:
    """A program being drawn. Constants have ids >= 0, tensor t has id -1 - t."""

    rng: random.Random
    constants: list[Constant] = field(default_factory=list)
    tensors: list[TensorType] = field(default_factory=list)
    intervals: list[tuple[int, int]] = field(default_factory=list)
    instructions: list[op.Instruction] = field(default_factory=list)
    inputs: int = 0

    def __post_init__(self) -> None:
        self.noise = random.Random(self.rng.randint(0, 1 << 32))

    def input(self, kind: TensorType) -> None:
        self.tensors.append(kind)
        self.intervals.append(kind.dtype.bounds)
        self.inputs += 1

    def append(self, instruction: op.Instruction, kind: TensorType) -> int:
        """Id of the output of one more instruction, of any interval until it is known."""
        self.tensors.append(kind)
        self.intervals.append(kind.dtype.bounds)
        output = -len(self.tensors)
        self.instructions.append(replace(instruction, output=output))
        return output

    def interval(self, value: int) -> tuple[int, int]:
        return self.intervals[-1 - value]

    def clipped(self, value: int, low: int, high: int) -> int:
        """The tensor, or mostly, when it may leave [low, high], a clipped one."""
        kind, known = self.type_of(value), self.interval(value)
        if (low <= known[0] and known[1] <= high) or self.rng.random() < 0.05:
            return value
        bounds = kind.dtype.bounds
        ends = max(low, bounds[0]), min(high, bounds[1])
        out = self.append(op.Clip(value, *ends, 0), kind)
        self.intervals[-1] = ends
        return out

    def rescaled(self, value: int, dtype: DType) -> int:
        """The tensor, or when it has another dtype, a requantised one."""
        kind = self.type_of(value)
        if kind.dtype is dtype:
            return value
        bits = 8 * (kind.dtype.size - dtype.size)
        scale = self.constant(DType.S32, (1,), 1 << 20, 1 << 20)
        low, high = dtype.bounds
        bounds = self.clipped(value, -(1 << 40), 1 << 40)
        shift = min(max(20 + min(bits, 32), 1), 62)
        rescale = op.Requantize(bounds, scale, 0, shift, 0, low, high, 0)
        return self.append(rescale, TensorType(dtype, kind.shape))

    def constant(self, dtype: DType, shape: tuple[int, ...], low: int, high: int) -> int:
        count = TensorType(dtype, shape).elements
        values = [number(self.noise, low, high) for _ in range(count)]
        data = np.array(values, NUMPY_TYPES[dtype]).tobytes()
        self.constants.append(Constant(TensorType(dtype, shape), data))
        return len(self.constants) - 1

    def number(self, low: int, high: int) -> int:
        """An integer in [low, high]; often an end, often small."""
        return number(self.rng, low, high)

    def tensor(self, dtypes: tuple[DType, ...], rank: int | None = None, least: int = 0) -> int:
        """Id of a fitting tensor; LookupError when there is none."""
        fits = [
            -1 - index
            for index, kind in enumerate(self.tensors)
            if kind.dtype in dtypes
            and (rank is None or len(kind.shape) == rank)
            and len(kind.shape) >= least
            and kind.elements <= 4096
        ]
        if not fits:
            raise LookupError
        return self.rng.choice(fits)

    def type_of(self, value: int) -> TensorType:
        return self.constants[value].type if value >= 0 else self.tensors[-1 - value]

    def rounding(self, dtype: DType) -> tuple[int, int, int, int]:
        """shift, zero_point, lo, hi."""
        low, high = dtype.bounds
        ends = sorted((self.number(low, high), self.number(low, high)))
        if self.rng.random() < 0.6:
            ends = [low, high]
        near = self.number(max(low, -20), min(high, 20))
        return self.rng.choice((1, 8, 24, 31, 35, 40, 45, 62)), near, ends[0], ends[1]

    def multipliers(self, shape: tuple[int, ...]) -> int:
        top = self.rng.choice(((1 << 31) - 1, 1 << 16, 3))
        return self.constant(DType.S32, shape, 1, top)


def number(rng: random.Random, low: int, high: int) -> int:
    """An integer in [low, high]; often an end, often small."""
    pick = rng.random()
    if pick < 0.15:
        return rng.choice((low, high))
    if pick < 0.3:
        return min(max(rng.randint(-3, 3), low), high)
    return rng.randint(low, high)


Drawn = tuple[op.Instruction, TensorType]
DRAWERS: dict[type, Callable[[Draft], Drawn]] = {}


def drawer(operator: type) -> Callable[[Callable[[Draft], Drawn]], Callable[[Draft], Drawn]]:
    """Register how one operator is drawn."""

    def register(function: Callable[[Draft], Drawn]) -> Callable[[Draft], Drawn]:
        DRAWERS[operator] = function
        return function

    return register


def pair(d: Draft, dtypes: tuple[DType, ...]) -> tuple[int, int, tuple[int, ...]]:
    """Two operands that broadcast, one of them perhaps constant, and their common shape."""
    a = d.tensor(dtypes)
    shape = d.type_of(a).shape
    others = [-1 - i for i, kind in enumerate(d.tensors) if kind.dtype in dtypes]
    b = d.rng.choice(others)
    try:
        full = np.broadcast_shapes(shape, d.type_of(b).shape)
    except ValueError:
        cut = shape[d.rng.randint(0, len(shape)) :]
        dtype = d.rng.choice(dtypes)
        reach = d.rng.choice((5, 100))
        low, high = max(dtype.bounds[0], -reach), min(dtype.bounds[1], reach)
        b = d.constant(dtype, tuple(d.rng.choice((1, size)) for size in cut), low, high)
        full = shape
    return (a, b, full) if d.rng.random() < 0.5 else (b, a, full)
