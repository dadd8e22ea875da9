"""What every operator's output type needs: the generic function and the checks it shares."""

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from precompiles.errors import ModelError
from precompiles.model import limits
from precompiles.model import operators as op
from precompiles.model.checks import QUANTIZED, require, require_dtype, require_within
from precompiles.model.types import DType, IntegerModel, TensorType


@singledispatch
def output_type(instruction: op.Instruction, model: IntegerModel) -> TensorType:
    """Derived type of ``instruction.output``; ModelError names the rule that fails."""
    raise ModelError(f"L4: no rule for {type(instruction).__name__}")


def window_outputs(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1
) -> int:
    """Window positions on one axis (ONNX, floor mode); 0 or less when the window does not fit."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def require_shift(shift: int, lowest: int = 1) -> None:
    """L7: a shift count is inside the 64-bit word."""
    require_within((shift, shift), (lowest, limits.MAX_SHIFT), "L7", "shift")


def require_multiplier(multiplier: int) -> None:
    """L7: one positive multiplier that fits 31 bits."""
    require_within((multiplier, multiplier), (1, (1 << 31) - 1), "L7", "multiplier")


def requantized_dtype(
    model: IntegerModel,
    instruction: op.Gemm
    | op.Conv
    | op.MatMul
    | op.AveragePool
    | op.Add
    | op.Mul
    | op.Requantize
    | op.LayerNorm,
) -> DType:
    """Dtype of a requantised output after L7 and L8 on its attributes."""
    kind = model.type_of(instruction.output)
    require_dtype(kind, QUANTIZED, "output")
    require_shift(instruction.shift)
    bounds = kind.dtype.bounds
    require_within((instruction.lo, instruction.hi), bounds, "L8", "clip range")
    zero_point = instruction.zero_point
    require_within((zero_point, zero_point), bounds, "L8", "zero_point")
    return kind.dtype


def require_zero_point(zero_point: int, kind: TensorType, name: str) -> None:
    """L8: a zero point lies inside the dtype of its operand."""
    require_within((zero_point, zero_point), kind.dtype.bounds, "L8", name)


def require_length(entries: Sequence[int], length: int, name: str) -> None:
    """L4: a tuple has one entry per axis it speaks of."""
    require(len(entries) == length, "L4", f"{name} has {len(entries)} entries, expected {length}")


def last_axis(kind: TensorType, name: str) -> int:
    """Size of the last axis; L4: there is one."""
    require(len(kind.shape) >= 1, "L4", f"{name} has rank 0, expected at least 1")
    return kind.shape[-1]


def image_sizes(kind: TensorType, name: str) -> tuple[int, int, int]:
    """Height, width, channels; L4: rank 3."""
    require(len(kind.shape) == 3, "L4", f"{name} has shape {kind.shape}, expected (H, W, C)")
    height, width, channels = kind.shape
    return height, width, channels


def broadcast_shape(
    model: IntegerModel, operands: Sequence[int], allowed: Sequence[DType]
) -> tuple[int, ...]:
    """L4: common shape of operands of allowed dtypes, of which at least one is a tensor."""
    listed = " and ".join(map(str, operands))
    require(max(operands) >= len(model.constants), "L4", f"both operands {listed} are constants")
    kinds = [model.type_of(value) for value in operands]
    for kind, name in zip(kinds[-2:], "ab", strict=True):
        require_dtype(kind, allowed, name)
    try:
        return np.broadcast_shapes(*(kind.shape for kind in kinds))
    except ValueError as error:
        shapes = " and ".join(str(kind.shape) for kind in kinds)
        raise ModelError(f"L4: shapes {shapes} do not broadcast") from error
