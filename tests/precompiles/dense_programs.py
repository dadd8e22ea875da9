"""Models of one matrix product, run between guard bytes, and what numpy makes of them."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from precompiles.kernels.arrays import Array
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import Constant, DType, IntegerModel, Port, Quantization, TensorType
from precompiles.planning import dense
from precompiles.planning.planner import SLACK, Place, Planner, empty_aligned
from precompiles.planning.registry import plan

assert dense  # registers the plans
GUARD = 64
UNTOUCHED = 0xA5
U8, S8, S16, S32, S64 = DType.U8, DType.S8, DType.S16, DType.S32, DType.S64


@dataclass(frozen=True)
class Rescale:
    """How sums become outputs; multipliers are drawn from [least, most]."""

    shift: int = 40
    zero_point: int = 3
    ends: tuple[int, int] | None = None
    least: int = 1 << 30
    most: int = (1 << 31) - 1

    def fields(self, dtype: DType) -> tuple[int, int, int, int]:
        """Shift, zero point, lo, hi."""
        return self.shift, self.zero_point, *(self.ends or dtype.bounds)


NARROW, SPARE = Rescale(), Rescale(26, -5, None, 1 << 9, 1 << 12)
WIDE = Rescale(14, -5, None, 1 << 2, 1 << 6)


def port(value: int) -> Port:
    return Port(f"v{value}", value, Quantization(1, 1, 0))


def constant(array: Any, dtype: DType) -> Constant:
    return Constant(TensorType(dtype, array.shape), array.astype(NUMPY_TYPES[dtype]).tobytes())


def gemm_model(
    rows: int,
    weight: Array,
    x_type: DType = U8,
    out_type: DType = U8,
    rescale: Rescale = NARROW,
    bias: int = 100_000,
    seed: int = 0,
) -> IntegerModel:
    """Gemm of (rows, K) with a weight (K, N), bias within +-``bias``."""
    rng = np.random.default_rng(seed)
    depth, channels = weight.shape
    constants = (
        constant(weight, S8),
        constant(rng.integers(-bias, bias, channels, endpoint=True), S32),
        constant(rng.integers(rescale.least, rescale.most, channels, endpoint=True), S32),
    )
    tensors = TensorType(x_type, (rows, depth)), TensorType(out_type, (rows, channels))
    gemm = op.Gemm(3, 0, 1, 2, *rescale.fields(out_type), 4)
    return IntegerModel((port(3),), (port(4),), constants, tensors, (gemm,))


def matmul_model(
    shape: tuple[int, ...],
    channels: int,
    types: tuple[DType, DType, DType] = (U8, S8, U8),
    is_turned: bool = False,
    a_zero_point: int = 0,
    rescale: Rescale = NARROW,
) -> IntegerModel:
    """MatMul of (.., M, K) with (.., K, N)."""
    *lead, rows, depth = shape
    last = (channels, depth) if is_turned else (depth, channels)
    shapes = shape, (*lead, *last), (*lead, rows, channels)
    tensors = tuple(TensorType(*pair) for pair in zip(types, shapes, strict=True))
    fields = rescale.fields(types[2])
    matmul = op.MatMul(0, 1, a_zero_point, int(is_turned), rescale.most, *fields, 2)
    return IntegerModel((port(0), port(1)), (port(2),), (), tensors, (matmul,))


def linear_model(rows: int, weight: Array, bias: Array, x_type: DType) -> IntegerModel:
    """LinearInteger of (rows, K) with a weight (K, N)."""
    depth, channels = weight.shape
    tensors = TensorType(x_type, (rows, depth)), TensorType(S64, (rows, channels))
    constants = constant(weight, S32), constant(bias, S64)
    linear = op.LinearInteger(2, 0, 1, 3)
    return IntegerModel((port(2),), (port(3),), constants, tensors, (linear,))


def random_inputs(
    model: IntegerModel, batch: int, seed: int = 1, limit: int = 1 << 40
) -> list[Array]:
    """(B, ..) of each input over the range of its type, ends included, within +-``limit``."""
    rng = np.random.default_rng(seed)
    inputs = []
    for item in model.inputs:
        kind = model.type_of(item.value)
        low, high = max(kind.dtype.bounds[0], -limit), min(kind.dtype.bounds[1], limit)
        x = rng.integers(low, high, (batch, *kind.shape), endpoint=True)
        x.reshape(-1)[: x.size // 5] = high
        inputs.append(x.astype(NUMPY_TYPES[kind.dtype]))
    return inputs


def rescaled(total: Any, multiplier: Any, item: op.Gemm | op.MatMul) -> Array:
    """RQ of sums in 64 bits; they must fit 32."""
    assert np.abs(total).max() < 1 << 31
    scaled = item.zero_point + ((total * multiplier + (1 << (item.shift - 1))) >> item.shift)
    clipped: Array = np.clip(scaled, item.lo, item.hi)
    return clipped


def array_of(model: IntegerModel, value: int) -> Array:
    """A constant in 64 bits."""
    item = model.constants[value]
    stored = np.frombuffer(item.data, NUMPY_TYPES[item.type.dtype])
    return stored.reshape(item.type.shape).astype(np.int64)


def expected(model: IntegerModel, inputs: list[Array]) -> Array:
    """What the product is, by numpy in 64 bits."""
    item = model.instructions[0]
    first, *others = (x.astype(np.int64) for x in inputs)
    if isinstance(item, op.LinearInteger):
        return first @ array_of(model, item.weight) + array_of(model, item.bias)
    if isinstance(item, op.Gemm):
        total = first @ array_of(model, item.weight) + array_of(model, item.bias)
        return rescaled(total, array_of(model, item.multiplier), item)
    assert isinstance(item, op.MatMul)
    b = others[0].swapaxes(-1, -2) if item.transpose_b else others[0]
    return rescaled((first - item.a_zero_point) @ b, item.multiplier, item)


class Bench:
    """A planned model in memory of its own, with guard bytes behind every buffer."""

    def __init__(self, model: IntegerModel, batch: int) -> None:
        planner = Planner(model)
        for item in model.inputs:  # also those that no step reads
            planner.tensor(item.value)
        for instruction in model.instructions:
            plan(instruction, planner)
        ends = np.cumsum([size * batch + GUARD for size in planner.sizes])
        self.offsets = [0, *(int(end) for end in ends)]
        self.memory = empty_aligned(self.offsets[-1] + SLACK)
        self.model, self.batch, self.planner = model, batch, planner
        self.weights = planner.weights()

    @property
    def names(self) -> list[str]:
        """Kernels in order."""
        return [step.kernel.source.__name__ for step in self.planner.steps]

    def view(self, value: int) -> Array:
        """(B, ..) of a tensor where it lies."""
        place, kind = self.planner.tensor(value), self.model.type_of(value)
        start = self.offsets[place.buffer] + place.offset
        window = self.memory[start : start + self.batch * kind.nbytes]
        return window.view(NUMPY_TYPES[kind.dtype]).reshape(self.batch, *kind.shape)

    def run(self, inputs: list[Array], is_python: bool = False) -> Array:
        """The output; by the Python form of the kernels when asked."""
        self.memory[:] = UNTOUCHED
        for item, x in zip(self.model.inputs, inputs, strict=True):
            self.view(item.value)[...] = x
        for step in self.planner.steps:
            words = [
                self.offsets[item.buffer] + item.offset if isinstance(item, Place) else item
                for item in step.args
            ]
            run = step.kernel.source if is_python else step.kernel
            run(self.memory, self.weights, np.array(words, np.int64), self.batch)
        for end in self.offsets[1:]:
            assert (self.memory[end - GUARD : end] == UNTOUCHED).all(), "a write behind a buffer"
        value = self.model.outputs[0].value
        place, kind = self.planner.tensor(value), self.model.type_of(value)
        behind = self.offsets[place.buffer] + self.batch * kind.nbytes
        end = self.offsets[place.buffer + 1]
        assert (self.memory[behind:end] == UNTOUCHED).all(), "a write behind the output"
        return self.view(value).copy()


def digest_of(models: list[IntegerModel]) -> str:
    """Of the outputs of all models, batch 2."""
    digest = hashlib.sha256()
    for model in models:
        out = Bench(model, 2).run(random_inputs(model, 2, limit=2000))
        digest.update(np.ascontiguousarray(out).tobytes())
    return digest.hexdigest()
