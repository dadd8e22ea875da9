"""One canonical byte string per model; ``model_id = keccak256(bytes)``.

Layout (RLP, docs/spec/integer-model.md section 2):

    [MAGIC, [port, ...], [port, ...], [constant, ...], [tensor, ...], [instruction, ...]]
    port        [name, value, scale_num, scale_den, zigzag(zero_point)]
    constant    [dtype, [dim, ...], data]
    tensor      [dtype, [dim, ...]]
    instruction [opcode, field, ...]   fields in record order; an integer as zigzag, a tuple as list

Unsigned integers are big-endian without leading zeros, so 0 is the empty string. ``zigzag(v)`` is
``2 * v`` for ``v >= 0`` and ``-2 * v - 1`` otherwise.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import cast, get_origin

from precompiles.errors import ModelError
from precompiles.hashing import keccak256
from precompiles.model.limits import (
    MAX_CODE_BYTES,
    MAX_DIM,
    MAX_INSTRUCTIONS,
    MAX_MODEL_BYTES,
    MAX_PORTS,
    MAX_RANK,
    MAX_VALUES,
)
from precompiles.model.operators import OPCODES, Instruction
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)
from precompiles.model.wire import Item, decode_item, encode_item

MAGIC = b"assay integer model 1"
"""First item of every model; the digit is the format version."""

_OPERATORS: dict[int, type] = {opcode: operator for operator, opcode in OPCODES.items()}
_MAX_TUPLE = 64


def model_id(data: bytes) -> bytes:
    """keccak256 of the canonical bytes, 32 bytes."""
    return keccak256(data)


def encode_model(model: IntegerModel) -> bytes:
    """Canonical bytes of a model. Says nothing about legality: see ``validate_model``.

    Raises:
        ModelError: a record holds a value that no byte string denotes.
    """
    try:
        body: list[Item] = [
            MAGIC,
            [_port_items(port) for port in model.inputs],
            [_port_items(port) for port in model.outputs],
            [[*_type_items(item.type), item.data] for item in model.constants],
            [_type_items(item) for item in model.tensors],
            [_instruction_items(item) for item in model.instructions],
        ]
        return encode_item(body)
    except (OverflowError, UnicodeEncodeError, KeyError) as error:
        raise ModelError(f"codec: not encodable: {error}") from error


def decode_model(data: bytes) -> IntegerModel:
    """The model that ``data`` denotes.

    Accepts exactly the image of ``encode_model`` within the size limits (L3), so equal models have
    equal bytes. Says nothing about legality: see ``validate_model``.

    Raises:
        ModelError: anything else.
    """
    if len(data) > MAX_MODEL_BYTES:
        raise ModelError(f"L3: model has {len(data)} bytes, at most {MAX_MODEL_BYTES}")
    magic, inputs, outputs, constants, tensors, instructions = _record(
        decode_item(data, MAX_CODE_BYTES), 6
    )
    if magic != MAGIC:
        raise ModelError(f"codec: magic {_show(magic)}, expected {MAGIC!r}")
    model = IntegerModel(
        inputs=tuple(_port(item) for item in _list(inputs, MAX_PORTS)),
        outputs=tuple(_port(item) for item in _list(outputs, MAX_PORTS)),
        constants=tuple(_constant(item) for item in _list(constants, MAX_VALUES)),
        tensors=tuple(_type(_record(item, 2)) for item in _list(tensors, MAX_VALUES)),
        instructions=tuple(_instruction(item) for item in _list(instructions, MAX_INSTRUCTIONS)),
    )
    code_bytes = len(data) - sum(len(constant.data) for constant in model.constants)
    if code_bytes > MAX_CODE_BYTES:
        raise ModelError(f"L3: {code_bytes} bytes outside constants, at most {MAX_CODE_BYTES}")
    return model


def _unsigned_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _signed_bytes(value: int) -> bytes:
    return _unsigned_bytes(2 * value if value >= 0 else -2 * value - 1)


def _port_items(port: Port) -> list[Item]:
    scale = port.quantization
    return [
        port.name.encode("ascii"),
        _unsigned_bytes(port.value),
        _unsigned_bytes(scale.scale_num),
        _unsigned_bytes(scale.scale_den),
        _signed_bytes(scale.zero_point),
    ]


def _type_items(kind: TensorType) -> list[Item]:
    return [_unsigned_bytes(kind.dtype), [_unsigned_bytes(dim) for dim in kind.shape]]


def _instruction_items(instruction: Instruction) -> list[Item]:
    items: list[Item] = [_unsigned_bytes(OPCODES[type(instruction)])]
    for field in fields(instruction):
        value = getattr(instruction, field.name)
        if isinstance(value, tuple):
            items.append([_signed_bytes(entry) for entry in value])
        else:
            items.append(_signed_bytes(value))
    return items


def _show(item: Item) -> str:
    return repr(item[:32]) if isinstance(item, bytes) else f"a list of {len(item)}"


def _bytes(item: Item, limit: int) -> bytes:
    if not isinstance(item, bytes) or len(item) > limit:
        raise ModelError(f"codec: {_show(item)}, expected at most {limit} bytes")
    return item


def _list(item: Item, limit: int) -> Sequence[Item]:
    if isinstance(item, bytes) or len(item) > limit:
        raise ModelError(f"codec: {_show(item)}, expected a list of at most {limit}")
    return item


def _record(item: Item, length: int) -> Sequence[Item]:
    items = _list(item, length)
    if len(items) != length:
        raise ModelError(f"codec: a record has {len(items)} items, expected {length}")
    return items


def _unsigned(item: Item, limit: int = 8) -> int:
    data = _bytes(item, limit)
    if data[:1] == b"\x00":
        raise ModelError(f"codec: integer {data!r} has a leading zero")
    return int.from_bytes(data, "big")


def _signed(item: Item) -> int:
    code = _unsigned(item, 9)
    return code >> 1 if code & 1 == 0 else -((code + 1) >> 1)


def _port(item: Item) -> Port:
    name, value, scale_num, scale_den, zero_point = _record(item, 5)
    try:
        text = _bytes(name, 64).decode("ascii")
    except UnicodeDecodeError as error:
        raise ModelError(f"codec: port name {_show(name)} is not ASCII") from error
    scale = Quantization(_unsigned(scale_num), _unsigned(scale_den), _signed(zero_point))
    return Port(text, _unsigned(value), scale)


def _type(items: Sequence[Item]) -> TensorType:
    code = _unsigned(items[0])
    if not DType.U8 <= code <= DType.S64:
        raise ModelError(f"codec: dtype {code}, expected 1 to 5")
    shape = tuple(_unsigned(dim) for dim in _list(items[1], MAX_RANK))
    if any(dim > MAX_DIM for dim in shape):
        raise ModelError(f"L1: shape {shape}, each dimension at most {MAX_DIM}")
    return TensorType(DType(code), shape)


def _constant(item: Item) -> Constant:
    items = _record(item, 3)
    return Constant(_type(items), _bytes(items[2], MAX_MODEL_BYTES))


def _instruction(item: Item) -> Instruction:
    items = _list(item, 1 + _MAX_TUPLE)
    opcode = _unsigned(items[0]) if items else 0
    operator = _OPERATORS.get(opcode)
    if operator is None:
        raise ModelError(f"codec: opcode {opcode} is unknown")
    declared = fields(operator)
    if len(items) != 1 + len(declared):
        raise ModelError(
            f"codec: {operator.__name__} has {len(items) - 1} fields, expected {len(declared)}"
        )
    values: list[int | tuple[int, ...]] = []
    for field, entry in zip(declared, items[1:], strict=True):
        if get_origin(field.type) is tuple:
            values.append(tuple(_signed(part) for part in _list(entry, _MAX_TUPLE)))
        else:
            values.append(_signed(entry))
    return cast(Instruction, operator(*values))
