"""Numbers, constants and single-instruction models that the self-test's models are made of."""

from collections.abc import Sequence

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)

U8, S8, S16, S32, S64 = DType.U8, DType.S8, DType.S16, DType.S32, DType.S64
Shape = tuple[int, ...]


def noise(seed: int, count: int, low: int, high: int) -> list[int]:
    """``count`` fixed integers in [low, high], by a 64-bit multiplicative generator."""
    state = seed * 2 + 1
    values = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        values.append(low + (state >> 1) % (high - low + 1))
    return values


def constant(dtype: DType, shape: Shape, values: Sequence[int]) -> Constant:
    """Constant of the given integers, row-major."""
    kind = TensorType(dtype, shape)
    return Constant(kind, np.array(values, NUMPY_TYPES[dtype]).tobytes())


def random_constant(dtype: DType, shape: Shape, seed: int, low: int, high: int) -> Constant:
    """Constant of fixed noise in [low, high]."""
    count = TensorType(dtype, shape).elements
    return constant(dtype, shape, noise(seed, count, low, high))


def single(
    instruction: op.Instruction,
    inputs: Sequence[TensorType],
    output: TensorType,
    constants: Sequence[Constant] = (),
) -> IntegerModel:
    """Model of one instruction; values are constants, then inputs, then the output."""
    first = len(constants)
    scale = Quantization(1, 1, 0)
    return IntegerModel(
        inputs=tuple(Port(f"x{i}", first + i, scale) for i in range(len(inputs))),
        outputs=(Port("y", first + len(inputs), scale),),
        constants=tuple(constants),
        tensors=(*inputs, output),
        instructions=(instruction,),
    )


def sample_input(model: IntegerModel, seed: int) -> tuple[bytes, int]:
    """Raw border form of a batch of four: noise, all lowest, all highest, noise; and 4."""
    rows = []
    for sample, (kind, port) in enumerate(
        (model.type_of(port.value), port) for _ in range(4) for port in model.inputs
    ):
        low, high = kind.dtype.bounds
        which = sample // len(model.inputs)
        if which in (1, 2):
            values = [low if which == 1 else high] * kind.elements
        else:
            values = noise(seed + 97 * sample + port.value, kind.elements, low, high)
        rows.append(np.array(values, NUMPY_TYPES[kind.dtype]).tobytes())
    return b"".join(rows), 4
