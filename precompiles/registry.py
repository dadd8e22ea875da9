"""The ModelRegistry account: begin, upload, publish; names are in ``repositories``.

ABI and failure rules: docs/spec/inference-precompile.md; storage: docs/spec/models-as-state.md.
What is published never changes and never disappears.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from precompiles.context import Call, StateView
from precompiles.dispatch import Function, dispatch, entry_gas, table_of
from precompiles.errors import ModelError, PrecompileRevert
from precompiles.gas import GAS_PER_CALL_BYTE, gas_for
from precompiles.hashing import keccak256
from precompiles.model.codec import decode_model
from precompiles.model.limits import MAX_MODEL_BYTES
from precompiles.model.types import IntegerModel
from precompiles.model.validate import validate_model
from precompiles.model_records import (
    ALL_WORDS,
    BEGUN,
    PUBLISHED,
    SIGNATURE_WORD,
    UPLOAD_WORDS,
    ModelRecord,
    PortInfo,
    Signature,
    encode_signature,
    read_record,
    read_signature,
    record_slot,
    record_word,
)
from precompiles.model_store import STOP, chunk_address
from precompiles.priced_state import (
    ACCOUNT_CREATE,
    ACCOUNT_READ,
    WORD_CHANGE,
    WORD_READ,
    emit,
    free_words,
    log_gas,
    priced_words,
    read_code,
    write_bytes,
    write_word,
)
from precompiles.publish_gas import proof_gas, publish_gas
from precompiles.repositories import FUNCTIONS as REPOSITORY_FUNCTIONS

MAX_CHUNK_BYTES: Final = 96 << 10
"""With its calldata an upload stays under the 128 KiB that public pools accept."""

MAX_CHUNKS: Final = 4096

UPLOAD_BYTE: Final = 16
"""Gas per chunk byte, over calldata: a byte of code that is kept for ever."""

MAX_REASON: Final = 256

_PORT_TYPE: Final = "(string,uint8,uint32[],uint64,uint64,int64)"
_INFO_TYPE: Final = (
    "(uint8,uint32,uint32,uint32,uint32,address,uint64,uint64,uint64,uint64,uint64,uint64,uint64,"
    f"{_PORT_TYPE}[],{_PORT_TYPE}[])"
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the registry knows about a model."""

    model_id: bytes
    record: ModelRecord
    signature: Signature

    @property
    def is_published(self) -> bool:
        """Whether the model can be called."""
        return self.record.status == PUBLISHED

    @property
    def uploader(self) -> bytes:
        """Address that began the upload."""
        return self.record.uploader.to_bytes(20, "big")


def read_model(view: StateView, model_id: bytes) -> ModelInfo:
    """A model's entry, read for free (RPC and tools); needs only the reading part of ``view``.

    Raises:
        PrecompileRevert: ModelNotFound when not even an upload has begun.
    """
    words = free_words(view)
    record = read_record(words, model_id, ALL_WORDS)
    if record.status == 0:
        raise _not_found(model_id)
    published = record.status == PUBLISHED
    signature = read_signature(words, model_id) if published else Signature()
    return ModelInfo(model_id, record, signature)


def published_record(call: Call, model_id: bytes, indices: Sequence[int]) -> ModelRecord:
    """Record of a published model from the given words (word 0 among them): WORD_READ for each.

    Raises:
        PrecompileRevert: ModelNotFound(model).
    """
    call.charge(WORD_READ * len(indices))
    record = read_record(free_words(call.state), model_id, indices)
    if record.status != PUBLISHED:
        raise _not_found(model_id)
    return record


def call_registry(call: Call) -> bytes:
    """Serve one call of the registry; errors as ``dispatch``."""
    return dispatch(FUNCTIONS, call)


def upload_gas(calldata_bytes: int, chunk_bytes: int) -> int:
    """Most that one ``upload`` can take, without the transaction's own cost."""
    reads = WORD_READ * len(UPLOAD_WORDS) + ACCOUNT_READ
    writes = ACCOUNT_CREATE + UPLOAD_BYTE * chunk_bytes + WORD_CHANGE + log_gas(3, 32)
    return entry_gas(calldata_bytes) + reads + writes


def _not_found(model_id: bytes) -> PrecompileRevert:
    return PrecompileRevert("ModelNotFound(bytes32)", (model_id,))


def _upload_record(call: Call, model_id: bytes) -> ModelRecord:
    """Record of an upload that has begun and is not published."""
    record = read_record(priced_words(call), model_id, UPLOAD_WORDS)
    if record.status == 0:
        raise PrecompileRevert("UploadNotBegun(bytes32)", (model_id,))
    if record.status == PUBLISHED:
        raise PrecompileRevert("AlreadyPublished(bytes32)", (model_id,))
    return record


def _write_words(call: Call, model_id: bytes, record: ModelRecord, indices: Sequence[int]) -> None:
    for index in indices:
        write_word(call, record_slot(model_id) + index, record_word(record, index))


def _begin(call: Call, model_id: bytes, size: int, chunk_size: int) -> tuple[Any, ...]:
    if not 1 <= size <= MAX_MODEL_BYTES:
        raise PrecompileRevert("InvalidSize(uint256,uint256)", (size, MAX_MODEL_BYTES))
    smallest = -(-size // MAX_CHUNKS)
    if not smallest <= chunk_size <= MAX_CHUNK_BYTES:
        limits = (chunk_size, smallest, MAX_CHUNK_BYTES)
        raise PrecompileRevert("InvalidChunkSize(uint256,uint256,uint256)", limits)
    old = read_record(priced_words(call), model_id, UPLOAD_WORDS)
    if old.status == PUBLISHED:
        raise PrecompileRevert("AlreadyPublished(bytes32)", (model_id,))
    new = ModelRecord(
        status=BEGUN,
        size=size,
        chunk_size=chunk_size,
        begun_block=call.block_number,
        uploader=int.from_bytes(call.caller, "big"),
    )
    if (old.size, old.chunk_size) == (size, chunk_size):
        return (old.chunks,)
    new = replace(new, missing=_count_missing(call, model_id, new) if old.status else new.chunks)
    _write_words(call, model_id, new, UPLOAD_WORDS)
    emit(
        call,
        "ModelBegun(bytes32,address,uint32,uint32)",
        [model_id, call.caller.rjust(32, b"\0")],
        ("uint32", "uint32"),
        (size, chunk_size),
    )
    return (new.chunks,)


def _count_missing(call: Call, model_id: bytes, record: ModelRecord) -> int:
    """Chunks that an earlier upload in other pieces has not left in the right length."""
    return sum(
        len(read_code(call, chunk_address(model_id, index))) != 1 + record.chunk_length(index)
        for index in range(record.chunks)
    )


def _upload(call: Call, model_id: bytes, index: int, chunk: bytes) -> tuple[Any, ...]:
    record = _upload_record(call, model_id)
    if index >= record.chunks:
        raise PrecompileRevert("InvalidChunkIndex(uint256,uint256)", (index, record.chunks))
    expected = record.chunk_length(index)
    if len(chunk) != expected:
        raise PrecompileRevert("ChunkLengthMismatch(uint256,uint256)", (expected, len(chunk)))
    address = chunk_address(model_id, index)
    old = read_code(call, address)
    if old == STOP + chunk:
        return (record.missing,)
    call.charge(ACCOUNT_CREATE + UPLOAD_BYTE * len(chunk))
    call.state.set_code(address, STOP + chunk)
    if len(old) != 1 + expected:
        record = replace(record, missing=record.missing - 1)
        _write_words(call, model_id, record, UPLOAD_WORDS[:1])
    emit(
        call,
        "ChunkUploaded(bytes32,uint32,address,uint32)",
        [model_id, index.to_bytes(32, "big"), call.caller.rjust(32, b"\0")],
        ("uint32",),
        (record.missing,),
    )
    return (record.missing,)


def _publish(call: Call, model_id: bytes) -> tuple[Any, ...]:
    record = _upload_record(call, model_id)
    if record.missing:
        raise PrecompileRevert("ChunksMissing(uint256)", (record.missing,))
    call.charge(publish_gas(record.size))
    codes = [read_code(call, chunk_address(model_id, index)) for index in range(record.chunks)]
    data = b"".join([code[1:] for code in codes])
    got = keccak256(data)
    if got != model_id:
        raise PrecompileRevert("ModelIdMismatch(bytes32,bytes32)", (model_id, got))
    model, record = _proven(call, data, record)
    record = replace(record, status=PUBLISHED, published_block=call.block_number)
    _write_words(call, model_id, record, ALL_WORDS)
    write_bytes(call, record_slot(model_id) + SIGNATURE_WORD, encode_signature(model))
    emit(
        call,
        "ModelPublished(bytes32,address,uint32,uint64)",
        [model_id, call.caller.rjust(32, b"\0")],
        ("uint32", "uint64"),
        (record.size, record.work_bound),
    )
    return (record.work_bound,)


def _proven(call: Call, data: bytes, record: ModelRecord) -> tuple[IntegerModel, ModelRecord]:
    """The model, and the record with its costs; InvalidModel when it is not legal."""
    try:
        model = decode_model(data)
        call.charge(proof_gas(model))
        cost = validate_model(model)
    except ModelError as error:
        reason = str(error).encode("ascii", "backslashreplace")[:MAX_REASON].decode("ascii")
        raise PrecompileRevert("InvalidModel(string)", (reason,)) from error
    return model, replace(
        record,
        work_bound=gas_for(cost, 1),
        gas_per_call=cost.gas_per_call,
        gas_per_sample=cost.gas_per_sample,
        input_bytes=cost.input_bytes_per_sample,
        output_bytes=cost.output_bytes_per_sample,
        input_elements=sum(model.type_of(port.value).elements for port in model.inputs),
        output_elements=sum(model.type_of(port.value).elements for port in model.outputs),
        scratch_bytes=cost.scratch_bytes_per_sample,
    )


def _model_info(call: Call, model_id: bytes) -> tuple[Any, ...]:
    words = priced_words(call)
    record = read_record(words, model_id, ALL_WORDS)
    if record.status == 0:
        raise _not_found(model_id)
    signature = read_signature(words, model_id) if record.status == PUBLISHED else Signature()
    info = (
        record.status,
        record.size,
        record.chunk_size,
        record.chunks,
        record.missing,
        record.uploader.to_bytes(20, "big"),
        record.begun_block,
        record.published_block,
        record.work_bound,
        record.gas_per_call,
        record.gas_per_sample,
        record.input_bytes,
        record.output_bytes,
        [_port_values(port) for port in signature.inputs],
        [_port_values(port) for port in signature.outputs],
    )
    return (info,)


def _port_values(port: PortInfo) -> tuple[Any, ...]:
    scale = port.quantization
    return (
        port.name,
        int(port.dtype),
        port.shape,
        scale.scale_num,
        scale.scale_den,
        scale.zero_point,
    )


def _model_bytes(call: Call, model_id: bytes, offset: int, length: int) -> tuple[Any, ...]:
    record = published_record(call, model_id, (0,))
    if offset + length > record.size:
        bounds = (offset, length, record.size)
        raise PrecompileRevert("InvalidRange(uint256,uint256,uint256)", bounds)
    call.charge(GAS_PER_CALL_BYTE * length)
    size = record.chunk_size
    first, last = offset // size, (offset + length - 1) // size
    indices = range(first, last + 1) if length else range(0)
    chunks = b"".join([read_code(call, chunk_address(model_id, index))[1:] for index in indices])
    start = offset - first * size
    return (chunks[start : start + length],)


FUNCTIONS: Final[Mapping[bytes, Function]] = table_of(
    [
        Function("begin(bytes32,uint32,uint32)", ("uint32",), True, _begin),
        Function("upload(bytes32,uint32,bytes)", ("uint32",), True, _upload),
        Function("publish(bytes32)", ("uint64",), True, _publish),
        Function("modelInfo(bytes32)", (_INFO_TYPE,), False, _model_info),
        Function("modelBytes(bytes32,uint32,uint32)", ("bytes",), False, _model_bytes),
        *REPOSITORY_FUNCTIONS,
    ]
)
"""Every function of the registry by selector."""
