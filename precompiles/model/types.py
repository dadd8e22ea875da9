"""Records of the integer model: frozen, without behaviour.

A model is a straight-line program over *values*. Value ``v`` is constant ``v`` when
``v < len(constants)``, else tensor ``v - len(constants)``: one numbering for both, so an operand
may be either where the operator allows it. Tensor types are per sample: the batch is an implied
leading dimension, which tensors have and constants do not. The model's inputs are the first
tensors, in order; every other tensor is written once, by the instruction whose output it is, in
instruction order. Normative text: docs/spec/integer-model.md.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precompiles.model.operators import Instruction


class DType(IntEnum):
    """Element type; the wire form is little-endian two's complement. There is no unsigned 64."""

    U8 = 1
    S8 = 2
    S16 = 3
    S32 = 4
    S64 = 5

    @property
    def size(self) -> int:
        """Bytes per element."""
        return (0, 1, 1, 2, 4, 8)[self]

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest legal value of the type.

        All of it is legal input; the lowest word of s32 and s64 means *missing* where a tree
        ensemble reads it.
        """
        if self is DType.U8:
            return 0, 255
        half = 1 << (8 * self.size - 1)
        return -half, half - 1


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype of one value; ``shape`` is per sample, rank 0 to 6, every dimension >= 1."""

    dtype: DType
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements per sample."""
        count = 1
        for dim in self.shape:
            count *= dim
        return count

    @property
    def nbytes(self) -> int:
        """Bytes per sample."""
        return self.elements * self.dtype.size


@dataclass(frozen=True, slots=True)
class Constant:
    """A stored value: ``data`` is row-major, little-endian, exactly ``type.nbytes`` long."""

    type: TensorType
    data: bytes


@dataclass(frozen=True, slots=True)
class Quantization:
    """Real meaning of a border tensor: ``r = scale_num / scale_den * (q - zero_point)``.

    ``0 < scale_num, scale_den < 2**64``, coprime; ``zero_point`` lies inside the dtype.
    """

    scale_num: int
    scale_den: int
    zero_point: int


@dataclass(frozen=True, slots=True)
class Port:
    """A named input or output. ``name`` is 1 to 64 bytes of printable ASCII, unique on its side."""

    name: str
    value: int
    quantization: Quantization


@dataclass(frozen=True, slots=True)
class IntegerModel:
    """A whole program. Equal models have equal bytes; ``model_id = keccak256(bytes)``."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: tuple[Constant, ...]
    tensors: tuple[TensorType, ...]
    instructions: "tuple[Instruction, ...]"

    def type_of(self, value: int) -> TensorType:
        """Type of a value id; IndexError when there is none."""
        if value < 0:
            raise IndexError(f"value id {value} is negative")
        if value < len(self.constants):
            return self.constants[value].type
        return self.tensors[value - len(self.constants)]


@dataclass(frozen=True, slots=True)
class CostRecord:
    """What a call costs, from shapes alone; stored in state when the model is published.

    Gas of a call with batch b is ``gas_per_call + b * gas_per_sample`` (precompiles.gas).
    """

    gas_per_call: int
    gas_per_sample: int
    input_bytes_per_sample: int
    output_bytes_per_sample: int
    scratch_bytes_per_sample: int
