"""Models of one or a few image operators, run between guard bytes, and what numpy makes of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from precompiles.kernels.arrays import Array
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import Constant, DType, IntegerModel, Port, Quantization, TensorType
from precompiles.planning import images, moves  # noqa: F401 - register the plans
from precompiles.planning.borders import choose_borders, fill
from precompiles.planning.planner import SLACK, Place, Planner, empty_aligned
from precompiles.planning.registry import plan

GUARD = 64
UNTOUCHED = 0xA5


@dataclass(frozen=True)
class Case:
    """A convolution; ``pads`` is (top, left, bottom, right)."""

    shape: tuple[int, int, int]
    filters: int
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1
    x_type: DType = DType.U8
    out_type: DType = DType.U8
    shift: int = 40
    zero_point: int = 3
    pad_value: int = 7
    least_multiplier: int = 1 << 30
    ends: tuple[int, int] | None = None

    @property
    def out_shape(self) -> tuple[int, int, int]:
        sizes = []
        for axis in (0, 1):
            padded = self.shape[axis] + self.pads[axis] + self.pads[axis + 2]
            reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            sizes.append((padded - reach) // self.strides[axis] + 1)
        return sizes[0], sizes[1], self.filters


def port(value: int) -> Port:
    return Port(f"v{value}", value, Quantization(1, 1, 0))


def constant(array: Array, dtype: DType) -> Constant:
    return Constant(TensorType(dtype, array.shape), array.astype(NUMPY_TYPES[dtype]).tobytes())


def conv_model(*cases: Case, seed: int = 0) -> IntegerModel:
    """Convolutions one after the other; every result is an output."""
    rng = np.random.default_rng(seed)
    constants, instructions = [], []
    tensors = [TensorType(cases[0].x_type, cases[0].shape)]
    first = 3 * len(cases)
    for index, case in enumerate(cases):
        depth = case.shape[2] // case.group
        weight = rng.integers(-128, 128, (*case.kernel, depth, case.filters))
        bias = rng.integers(-100_000, 100_000, case.filters)
        multiplier = rng.integers(case.least_multiplier, 1 << 31, case.filters)
        constants += [constant(weight, DType.S8), constant(bias, DType.S32)]
        constants.append(constant(multiplier, DType.S32))
        tensors.append(TensorType(case.out_type, case.out_shape))
        low, high = case.ends or case.out_type.bounds
        instructions.append(
            op.Conv(
                first + index,
                3 * index,
                3 * index + 1,
                3 * index + 2,
                case.strides,
                case.pads,
                case.dilations,
                case.group,
                case.pad_value,
                case.shift,
                case.zero_point,
                low,
                high,
                first + index + 1,
            )
        )
    outputs = tuple(port(first + index + 1) for index in range(len(cases)))
    return IntegerModel(
        (port(first),), outputs, tuple(constants), tuple(tensors), tuple(instructions)
    )


def pool_model(
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    x_type: DType,
    average_type: DType | None = None,
    shift: int = 34,
) -> IntegerModel:
    """A MaxPool, or an AveragePool to ``average_type``."""
    sizes = [
        (shape[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1
        for axis in (0, 1)
    ]
    out_shape = sizes[0], sizes[1], shape[2]
    if average_type is None:
        tensors = TensorType(x_type, shape), TensorType(x_type, out_shape)
        instruction = op.MaxPool(0, kernel, strides, pads, 1)
        return IntegerModel((port(0),), (port(1),), (), tensors, (instruction,))
    multiplier = np.random.default_rng(5).integers(1 << 20, 1 << 31, out_shape[:2])
    low, high = average_type.bounds
    average = op.AveragePool(1, 0, kernel, strides, pads, 5, shift, -3, low + 2, high - 3, 2)
    tensors = TensorType(x_type, shape), TensorType(average_type, out_shape)
    constants = (constant(multiplier, DType.S32),)
    return IntegerModel((port(1),), (port(2),), constants, tensors, (average,))


def random_input(model: IntegerModel, batch: int, seed: int = 1) -> Array:
    """(B, H, W, C) over the whole range of the type, ends included."""
    kind = model.type_of(model.inputs[0].value)
    low, high = kind.dtype.bounds
    rng = np.random.default_rng(seed)
    x = rng.integers(low, high, (batch, *kind.shape), endpoint=True)
    x.reshape(-1)[: x.size // 5] = high
    return x.astype(NUMPY_TYPES[kind.dtype])


def conv_int64(model: IntegerModel, index: int, x: Array) -> Array:
    """What convolution ``index`` makes of (B, H, W, C), by numpy in 64 bits."""
    item = model.instructions[index]
    assert isinstance(item, op.Conv)
    weight, bias, multiplier = (
        np.frombuffer(model.constants[v].data, NUMPY_TYPES[model.constants[v].type.dtype])
        .reshape(model.constants[v].type.shape)
        .astype(np.int64)
        for v in (item.weight, item.bias, item.multiplier)
    )
    top, left, bottom, right = item.pads
    border = ((0, 0), (top, bottom), (left, right), (0, 0))
    image = np.pad(x.astype(np.int64), border, constant_values=item.pad_value)
    rows, columns, filters = model.type_of(item.output).shape
    depth, (down, across) = weight.shape[2], item.strides
    total = np.zeros((len(x), rows, columns, filters), np.int64) + bias
    reads = np.arange(filters) // (filters // item.group)
    for (i, j, c), _ in np.ndenumerate(weight[..., 0]):
        start = i * item.dilations[0], j * item.dilations[1]
        window = image[:, start[0] :: down, start[1] :: across][:, :rows, :columns]
        total += window[..., reads * depth + c] * weight[i, j, c]
    assert np.abs(total).max() < 1 << 31
    scaled = item.zero_point + ((total * multiplier + (1 << (item.shift - 1))) >> item.shift)
    clipped: Array = np.clip(scaled, item.lo, item.hi)
    return clipped


class Bench:
    """A planned model in memory of its own, with guard bytes behind every buffer."""

    def __init__(self, model: IntegerModel, batch: int) -> None:
        planner = Planner(model, choose_borders(model))
        for item in model.inputs:
            fill(planner, item.value)
        for instruction in model.instructions:
            fill(planner, instruction.output)
            plan(instruction, planner)
        ports = (*model.inputs, *model.outputs)
        self.images = {item.value: planner.image(item.value) for item in ports}
        ends = np.cumsum([size * batch + GUARD for size in planner.sizes])
        self.offsets = [0, *(int(end) for end in ends)]
        self.memory = empty_aligned(self.offsets[-1] + SLACK)
        self.memory[:] = UNTOUCHED
        self.model, self.batch, self.planner = model, batch, planner
        self.weights = planner.weights()

    @property
    def names(self) -> list[str]:
        """Kernels in order."""
        return [step.kernel.source.__name__ for step in self.planner.steps]

    def view(self, value: int) -> Array:
        """(B, H, W, C) of a tensor where it lies."""
        image, kind = self.images[value], self.model.type_of(value)
        start = self.offsets[image.place.buffer] + image.place.offset
        size = kind.dtype.size
        pitches = (image.sample_bytes, image.row_bytes, kind.shape[2] * size, size)
        shape = (self.batch, *kind.shape)
        return np.ndarray(shape, NUMPY_TYPES[kind.dtype], self.memory.data, start, pitches)

    def run(self, x: Array, is_python: bool = False) -> list[Array]:
        """All outputs; by the Python form of the kernels when asked."""
        self.view(self.model.inputs[0].value)[...] = x
        for step in self.planner.steps:
            words = [
                self.offsets[item.buffer] + item.offset if isinstance(item, Place) else item
                for item in step.args
            ]
            run = step.kernel.source if is_python else step.kernel
            run(self.memory, self.weights, np.array(words, np.int64), self.batch)
        for end in self.offsets[1:]:
            assert (self.memory[end - GUARD : end] == UNTOUCHED).all(), "a write behind a buffer"
        return [self.view(item.value).copy() for item in self.model.outputs]


def typed(case: Case, x_type: DType, out_type: DType) -> Case:
    """The same with other element types."""
    return replace(case, x_type=x_type, out_type=out_type)


def digest_of(cases: Sequence[Case], is_python: bool = False) -> str:
    """Of the outputs of all cases, batch 2."""
    digest = hashlib.sha256()
    for case in cases:
        model = conv_model(case)
        (out,) = Bench(model, 2).run(random_input(model, 2), is_python)
        digest.update(np.ascontiguousarray(out).tobytes())
    return digest.hexdigest()
