"""What every rule of the validator needs: operands, constant arrays, and one way to refuse."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from precompiles.errors import ModelError
from precompiles.model.types import DType, IntegerModel, TensorType

Array: TypeAlias = NDArray[Any]
Interval: TypeAlias = tuple[int, int]

NARROW = (DType.U8, DType.S8, DType.S16)
QUANTIZED = (*NARROW, DType.S32)
WIDE = (DType.S32, DType.S64)
ANY = (*QUANTIZED, DType.S64)

NUMPY_TYPES: dict[DType, np.dtype[Any]] = {
    DType.U8: np.dtype("u1"),
    DType.S8: np.dtype("i1"),
    DType.S16: np.dtype("<i2"),
    DType.S32: np.dtype("<i4"),
    DType.S64: np.dtype("<i8"),
}


def require(condition: bool, rule: str, text: str) -> None:
    """Refuse the model unless ``condition``; ``text`` names both values."""
    if not condition:
        raise ModelError(f"{rule}: {text}")


def require_dtype(kind: TensorType, allowed: Sequence[DType], name: str) -> None:
    """L4: an operand or result has one of the dtypes its operator allows."""
    if kind.dtype not in allowed:
        names = ", ".join(item.name.lower() for item in allowed)
        raise ModelError(f"L4: {name} is {kind.dtype.name.lower()}, expected {names}")


def require_shape(got: tuple[int, ...], expected: tuple[int, ...], name: str) -> None:
    """L4: a shape is what its operator derives."""
    if got != expected:
        raise ModelError(f"L4: {name} has shape {got}, expected {expected}")


def require_within(interval: Interval, bounds: Interval, rule: str, name: str) -> None:
    """``bounds[0] <= interval[0] <= interval[1] <= bounds[1]``."""
    low, high = interval
    if not bounds[0] <= low <= high <= bounds[1]:
        raise ModelError(f"{rule}: {name} is [{low}, {high}], expected inside {list(bounds)}")


def is_constant(model: IntegerModel, value: int) -> bool:
    """True when the value id names a constant."""
    return value < len(model.constants)


def tensor_type(model: IntegerModel, value: int, name: str) -> TensorType:
    """Type of an operand that must be computed, not stored."""
    require(not is_constant(model, value), "L4", f"{name} is constant {value}, expected a tensor")
    return model.type_of(value)


def constant_type(
    model: IntegerModel, value: int, dtype: DType, shape: tuple[int, ...], name: str
) -> None:
    """L4: an operand is a constant of exactly this type."""
    require(is_constant(model, value), "L4", f"{name} is tensor {value}, expected a constant")
    kind = model.type_of(value)
    require_dtype(kind, (dtype,), name)
    require_shape(kind.shape, shape, name)


def constant_array(model: IntegerModel, value: int) -> Array:
    """Read-only view of a constant's data, shaped."""
    constant = model.constants[value]
    data = np.frombuffer(constant.data, NUMPY_TYPES[constant.type.dtype])
    return data.reshape(constant.type.shape)


def array_interval(values: Array) -> Interval:
    """Smallest and largest entry of a non-empty array, as Python integers."""
    return int(values.min()), int(values.max())
