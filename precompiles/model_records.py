"""What the registry's storage says about a model: its packed record, its inputs and outputs.

Layout, as Solidity places ``mapping(bytes32 => Model)`` at slot 1 (docs/spec/models-as-state.md):

    word 0  status u8 · size u32 · chunk_size u32 · missing u32 · begun u64 · published u64
    word 1  uploader address · work_bound u64
    word 2  gas_per_call u64 · gas_per_sample u64 · input_bytes u64 · output_bytes u64
    word 3  input_elements u64 · output_elements u64 · scratch_bytes u64
    word 4  bytes: the signature, RLP [[port, ...], [port, ...]] of inputs and outputs
            port [name, dtype, [dim, ...], scale_num, scale_den, zigzag(zero_point)]

Fields are packed from the low end of a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from precompiles.errors import ModelError, PrecompileFault
from precompiles.model.types import CostRecord, DType, IntegerModel, Port, Quantization
from precompiles.model.wire import Item, decode_item, encode_item
from precompiles.priced_state import Words, mapping_slot, read_bytes

MODELS_SLOT: Final = 1
BEGUN: Final = 1
PUBLISHED: Final = 2

SIGNATURE_WORD: Final = 4
_UPLOAD: Final = (("status", 8), ("size", 32), ("chunk_size", 32), ("missing", 32))
_BLOCKS: Final = (("begun_block", 64), ("published_block", 64))
_FIELDS: Final = (
    (*_UPLOAD, *_BLOCKS),
    (("uploader", 160), ("work_bound", 64)),
    (("gas_per_call", 64), ("gas_per_sample", 64), ("input_bytes", 64), ("output_bytes", 64)),
    (("input_elements", 64), ("output_elements", 64), ("scratch_bytes", 64)),
)
UPLOAD_WORDS: Final = (0, 1)
CALL_WORDS: Final = (0, 2, 3)
"""Words that a call needs: its gas is known from them, without the weights."""
ALL_WORDS: Final = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Numbers of a model. Fields in words that were not read are 0; ``uploader`` is an integer."""

    status: int = 0
    size: int = 0
    chunk_size: int = 0
    missing: int = 0
    begun_block: int = 0
    published_block: int = 0
    uploader: int = 0
    work_bound: int = 0
    gas_per_call: int = 0
    gas_per_sample: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    input_elements: int = 0
    output_elements: int = 0
    scratch_bytes: int = 0

    @property
    def chunks(self) -> int:
        """Number of chunks of an upload that has begun."""
        return -(-self.size // self.chunk_size) if self.chunk_size else 0

    def chunk_length(self, index: int) -> int:
        """Bytes of chunk ``index``; only the last one is shorter than ``chunk_size``."""
        return min(self.chunk_size, self.size - index * self.chunk_size)

    @property
    def cost(self) -> CostRecord:
        """Cost of a call, for ``precompiles.gas``."""
        return CostRecord(
            gas_per_call=self.gas_per_call,
            gas_per_sample=self.gas_per_sample,
            input_bytes_per_sample=self.input_bytes,
            output_bytes_per_sample=self.output_bytes,
            scratch_bytes_per_sample=self.scratch_bytes,
        )


@dataclass(frozen=True, slots=True)
class PortInfo:
    """One input or output: ``shape`` is per sample."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    quantization: Quantization


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs in declared order; both empty until the model is published."""

    inputs: tuple[PortInfo, ...] = ()
    outputs: tuple[PortInfo, ...] = ()


def record_slot(model_id: bytes) -> int:
    """Slot of word 0 of a model's record."""
    return mapping_slot(model_id, MODELS_SLOT)


def read_record(words: Words, model_id: bytes, indices: Sequence[int]) -> ModelRecord:
    """The record, from the given words alone."""
    base = record_slot(model_id)
    values: dict[str, int] = {}
    for index in indices:
        word = words(base + index)
        for name, bits in _FIELDS[index]:
            values[name] = word & ((1 << bits) - 1)
            word >>= bits
    return ModelRecord(**values)


def record_word(record: ModelRecord, index: int) -> int:
    """Word ``index`` of a record, as stored."""
    word = shift = 0
    for name, bits in _FIELDS[index]:
        value = getattr(record, name)
        if not 0 <= value < 1 << bits:
            raise OverflowError(f"{name} {value} does not fit in {bits} bits")
        word |= value << shift
        shift += bits
    return word


def encode_signature(model: IntegerModel) -> bytes:
    """Inputs and outputs of a model as stored in word 4."""
    return encode_item([[_port_items(model, port) for port in side] for side in _sides(model)])


def read_signature(words: Words, model_id: bytes) -> Signature:
    """Inputs and outputs of a published model.

    Raises:
        PrecompileFault: storage does not hold what ``publish`` writes.
    """
    data = read_bytes(words, record_slot(model_id) + SIGNATURE_WORD)
    try:
        sides = cast(list[list[list[Item]]], decode_item(data, 1 << 16))
        inputs, outputs = (tuple(_port(items) for items in side) for side in sides)
    except (ModelError, ValueError, TypeError) as error:
        raise PrecompileFault(f"signature of model 0x{model_id.hex()}: {error}") from error
    return Signature(inputs, outputs)


def _sides(model: IntegerModel) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    return model.inputs, model.outputs


def _unsigned(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _port_items(model: IntegerModel, port: Port) -> list[Item]:
    kind, scale = model.type_of(port.value), port.quantization
    zero_point = scale.zero_point
    return [
        port.name.encode("ascii"),
        _unsigned(kind.dtype),
        [_unsigned(dim) for dim in kind.shape],
        _unsigned(scale.scale_num),
        _unsigned(scale.scale_den),
        _unsigned(2 * zero_point if zero_point >= 0 else -2 * zero_point - 1),
    ]


def _port(items: list[Item]) -> PortInfo:
    name, dtype, shape, scale_num, scale_den, code = items
    zigzag = _integer(code)
    zero_point = zigzag >> 1 if zigzag & 1 == 0 else -((zigzag + 1) >> 1)
    return PortInfo(
        name=cast(bytes, name).decode("ascii"),
        dtype=DType(_integer(dtype)),
        shape=tuple(_integer(dim) for dim in shape),
        quantization=Quantization(_integer(scale_num), _integer(scale_den), zero_point),
    )


def _integer(item: Item | int) -> int:
    return int.from_bytes(cast(bytes, item), "big")
