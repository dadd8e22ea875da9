"""An integer model under construction: constants are shared, dead instructions fall away."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.limits import MAX_NAME_BYTES
from precompiles.model.operands import OPERAND_FIELDS
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)
from tools.compiler.errors import CompileError
from tools.compiler.graph import Array, Shape


@dataclass(frozen=True, slots=True)
class Operand:
    """A value of the program: real meaning ``scale * (q - zero_point)``, ``lo <= q <= hi``.

    ``channels_last`` tells that the axes are those of the float tensor with axis 0 moved last.
    """

    ref: int
    type: TensorType
    scale: Fraction
    zero_point: int
    lo: int
    hi: int
    channels_last: bool = False

    @property
    def bound(self) -> int:
        """Largest ``|q - zero_point|``."""
        return max(abs(self.lo - self.zero_point), abs(self.hi - self.zero_point))

    @property
    def is_integer_form(self) -> bool:
        """True for s32 and s64 without zero point: the form of exact integer operators."""
        return self.type.dtype in (DType.S32, DType.S64) and self.zero_point == 0


@dataclass(frozen=True, slots=True)
class Features:
    """A row of features for dense layers; column k carries the factor ``2**shifts[k]``.

    ``bits``: the samples' codes stay within ``2**bits``; other rows are clipped higher.
    """

    operand: Operand
    shifts: tuple[int, ...]
    bits: int


class Program:
    """Collects instructions. While it grows, tensors are 0, 1, 2... and constants -1, -2, -3..."""

    def __init__(self) -> None:
        self._constants: list[Constant] = []
        self._index: dict[Constant, int] = {}
        self._tensors: list[TensorType] = []
        self._instructions: list[op.Instruction] = []
        self._inputs: list[tuple[str, Operand]] = []

    def constant(self, values: Array | Sequence[int], dtype: DType) -> int:
        """Store an integer array; equal arrays are stored once.

        Raises:
            ValueError: a value is outside the dtype (an error of the compiler itself).
        """
        array = np.asarray(values)
        low, high = dtype.bounds
        if array.size and (int(array.min()) < low or int(array.max()) > high):
            raise ValueError(f"constant [{array.min()}, {array.max()}] outside {dtype.name}")
        shape = tuple(int(dim) for dim in array.shape)
        typed = np.ascontiguousarray(array.astype(NUMPY_TYPES[dtype]))
        item = Constant(TensorType(dtype, shape), typed.tobytes())
        if item not in self._index:
            self._constants.append(item)
            self._index[item] = -len(self._constants)
        return self._index[item]

    def input(self, name: str, dtype: DType, shape: Shape, scale: Fraction, zero: int) -> Operand:
        """Declare the next input; all inputs come before the first instruction."""
        kind = TensorType(dtype, shape)
        self._tensors.append(kind)
        low, high = dtype.bounds
        operand = Operand(len(self._tensors) - 1, kind, scale, zero, low, high)
        self._inputs.append((name, operand))
        return operand

    def emit(self, operator: type, dtype: DType, shape: Shape, **fields: Any) -> int:
        """Append an instruction; returns the ref of its output tensor."""
        self._tensors.append(TensorType(dtype, tuple(int(dim) for dim in shape)))
        ref = len(self._tensors) - 1
        self._instructions.append(operator(**fields, output=ref))
        return ref

    def finish(self, outputs: Sequence[tuple[str, Operand]]) -> IntegerModel:
        """The model with these outputs, without dead instructions and unused constants."""
        used = {operand.ref for _, operand in outputs}
        live: list[op.Instruction] = []
        for instruction in reversed(self._instructions):
            if instruction.output in used:
                used.update(_operands(instruction))
                live.append(instruction)
        live.reverse()
        kept = [ref for ref in range(-1, -len(self._constants) - 1, -1) if ref in used]
        values = {ref: index for index, ref in enumerate(kept)}
        tensors = [operand.ref for _, operand in self._inputs]
        tensors += [instruction.output for instruction in live]
        values.update({ref: len(kept) + index for index, ref in enumerate(tensors)})
        return IntegerModel(
            inputs=_ports(self._inputs, values),
            outputs=_ports(outputs, values),
            constants=tuple(self._constants[-ref - 1] for ref in kept),
            tensors=tuple(self._tensors[ref] for ref in tensors),
            instructions=tuple(_renumbered(instruction, values) for instruction in live),
        )


def _operands(instruction: op.Instruction) -> tuple[int, ...]:
    if isinstance(instruction, op.Concat):
        return instruction.inputs
    return tuple(getattr(instruction, name) for name in OPERAND_FIELDS[type(instruction)])


def _renumbered(instruction: op.Instruction, values: dict[int, int]) -> op.Instruction:
    changes: dict[str, Any] = {"output": values[instruction.output]}
    if isinstance(instruction, op.Concat):
        changes["inputs"] = tuple(values[ref] for ref in instruction.inputs)
    else:
        for name in OPERAND_FIELDS[type(instruction)]:
            changes[name] = values[getattr(instruction, name)]
    return replace(instruction, **changes)


def _ports(ports: Sequence[tuple[str, Operand]], values: dict[int, int]) -> tuple[Port, ...]:
    names = port_names([name for name, _ in ports])
    return tuple(
        Port(name, values[operand.ref], _quantization(name, operand))
        for name, (_, operand) in zip(names, ports, strict=True)
    )


def port_names(names: Sequence[str]) -> list[str]:
    """Printable ASCII names of at most 64 bytes, distinct on their side."""
    result: list[str] = []
    for name in names:
        text = "".join(item if " " <= item <= "~" else "_" for item in name)[:MAX_NAME_BYTES] or "_"
        number = 1
        while text in result:
            number += 1
            tail = f"_{number}"
            text = text[: MAX_NAME_BYTES - len(tail)] + tail
        result.append(text)
    return result


def _quantization(name: str, operand: Operand) -> Quantization:
    scale = operand.scale
    if not (0 < scale.numerator < 1 << 64 and scale.denominator < 1 << 64):
        raise CompileError(
            f"tensor {name!r} has scale {float(scale):g}, outside what a port can carry",
            advice="rescale inputs and outputs to values between 1e-9 and 1e12",
        )
    return Quantization(scale.numerator, scale.denominator, operand.zero_point)
