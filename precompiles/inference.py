"""The Inference account: run a published model for a contract.

ABI and failure rules: docs/spec/inference-precompile.md. Gas is charged in full before the model is
even loaded; it comes from the registry's record and the length of the input alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np

from precompiles.abi import encode, topic
from precompiles.border import dequantize_decimal, quantize_decimal
from precompiles.context import Call
from precompiles.dispatch import Function, dispatch, entry_gas, table_of
from precompiles.errors import PrecompileRevert
from precompiles.gas import GAS_PER_CALL_BYTE, decimal_gas, gas_for
from precompiles.hashing import keccak256
from precompiles.kernels.arrays import Array
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import IntegerModel
from precompiles.model_records import CALL_WORDS, ModelRecord
from precompiles.model_store import ModelStore
from precompiles.priced_state import WORD_READ, hash_gas, log_gas
from precompiles.registry import published_record
from precompiles.runner import Plan

DECIMALS: Final = 18
INFERENCE_EVENT: Final = "Inference(bytes32,address,bytes32,bytes32,bytes,bytes)"
_EVENT_TYPES: Final = ("bytes32", "bytes32", "bytes", "bytes")
_UINT256_MAX: Final = (1 << 256) - 1


class Inference:
    """The native account; holds nothing but the caches of its model store."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._functions: Mapping[bytes, Function] = table_of(
            [
                Function("infer(bytes32,bytes)", ("bytes",), False, self._infer),
                Function("inferWad(bytes32,int256[])", ("int256[]",), False, self._infer_wad),
                Function(
                    "classify(bytes32,int256[])", ("uint256[]", "int256[]"), False, self._classify
                ),
                Function("gasFor(bytes32,uint256)", ("uint256",), False, _gas_for),
                Function("inferAndLog(bytes32,bytes)", ("bytes",), True, self._infer_and_log),
            ]
        )

    def __call__(self, call: Call) -> bytes:
        """Serve one call; errors as ``dispatch``."""
        return dispatch(self._functions, call)

    def _run(
        self, call: Call, model_id: bytes, record: ModelRecord, data: bytes, batch: int
    ) -> bytes:
        return self._store.run(self._plan(call, model_id, record), model_id, data, batch)

    def _plan(self, call: Call, model_id: bytes, record: ModelRecord) -> Plan:
        return self._store.plan(call.state, model_id, record.chunks)

    def _infer(self, call: Call, model_id: bytes, data: bytes) -> tuple[Any, ...]:
        record = published_record(call, model_id, CALL_WORDS)
        batch = _batch(len(data), record.input_bytes)
        call.charge(_work_gas(record, batch))
        return (self._run(call, model_id, record, data, batch),)

    def _infer_and_log(self, call: Call, model_id: bytes, data: bytes) -> tuple[Any, ...]:
        record = published_record(call, model_id, CALL_WORDS)
        batch = _batch(len(data), record.input_bytes)
        size = batch * record.output_bytes
        log_bytes = 6 * 32 + _padded(len(data)) + _padded(size)
        call.charge(
            _work_gas(record, batch)
            + hash_gas(len(data))
            + hash_gas(size)
            + log_gas(indexed=2, length=log_bytes)
        )
        output = self._run(call, model_id, record, data, batch)
        topics = [topic(INFERENCE_EVENT), model_id, call.caller.rjust(32, b"\0")]
        call.emit(topics, encode(_EVENT_TYPES, (keccak256(data), keccak256(output), data, output)))
        return (output,)

    def _infer_wad(self, call: Call, model_id: bytes, values: list[int]) -> tuple[Any, ...]:
        scores, _, _ = self._decimal(call, model_id, values, label=False)
        return (scores,)

    def _classify(self, call: Call, model_id: bytes, values: list[int]) -> tuple[Any, ...]:
        scores, batch, model = self._decimal(call, model_id, values, label=True)
        width = len(scores) // batch
        classes = model.type_of(model.outputs[0].value).elements
        rows = (scores[i : i + classes] for i in range(0, len(scores), width))
        return [row.index(max(row)) for row in rows], scores

    def _decimal(
        self, call: Call, model_id: bytes, values: list[int], *, label: bool
    ) -> tuple[list[int], int, IntegerModel]:
        """Outputs as decimals, the batch, and the model."""
        record = published_record(call, model_id, CALL_WORDS)
        batch = _batch(len(values), record.input_elements)
        numbers = batch * (record.output_elements + label)
        call.charge(
            gas_for(record.cost, batch)
            + decimal_gas(len(values) + numbers)
            + GAS_PER_CALL_BYTE * 32 * numbers
        )
        plan = self._plan(call, model_id, record)
        data = to_raw(plan.model, values, batch)
        output = self._store.run(plan, model_id, data, batch)
        return from_raw(plan.model, output, batch), batch, plan.model


def infer_gas(record: ModelRecord, batch: int) -> int:
    """Gas that ``infer`` takes for a canonically encoded call; what ``gasFor`` returns."""
    calldata = 4 + 3 * 32 + _padded(batch * record.input_bytes)
    return entry_gas(calldata) + WORD_READ * len(CALL_WORDS) + _work_gas(record, batch)


def to_raw(model: IntegerModel, values: Sequence[int], batch: int) -> bytes:
    """Decimals of a batch (sample after sample, ports in order) in raw border form.

    Raises:
        PrecompileRevert: DecimalOutOfRange(index into ``values``, value), for the first such value.
    """
    columns: list[Array] = []
    refused: list[tuple[int, int]] = []
    width, start = len(values) // batch, 0
    for port in model.inputs:
        kind = model.type_of(port.value)
        try:
            column = quantize_decimal(
                _column(values, batch, start, kind.elements),
                DECIMALS,
                port.quantization,
                kind.dtype,
            )
            columns.append(np.array(column, NUMPY_TYPES[kind.dtype]).reshape(batch, -1))
        except PrecompileRevert as error:
            index, value = cast(tuple[int, int], error.arguments)
            sample, element = divmod(index, kind.elements)
            refused.append((sample * width + start + element, value))
        start += kind.elements
    if refused:
        raise PrecompileRevert("DecimalOutOfRange(uint256,int256)", min(refused))
    return np.concatenate([column.view(np.uint8) for column in columns], axis=1).tobytes()


def from_raw(model: IntegerModel, output: bytes, batch: int) -> list[int]:
    """Raw border form of a batch as decimals, in the same order."""
    rows = np.frombuffer(output, np.uint8).reshape(batch, -1)
    columns: list[list[int]] = []
    start = 0
    for port in model.outputs:
        kind = model.type_of(port.value)
        column = np.ascontiguousarray(rows[:, start : start + kind.nbytes])
        integers: list[int] = column.view(NUMPY_TYPES[kind.dtype]).reshape(-1).tolist()
        columns.append(dequantize_decimal(integers, DECIMALS, port.quantization))
        start += kind.nbytes
    if len(columns) == 1:
        return columns[0]
    sizes = [len(column) // batch for column in columns]
    return [
        value
        for sample in range(batch)
        for column, size in zip(columns, sizes, strict=True)
        for value in column[sample * size : (sample + 1) * size]
    ]


def _column(values: Sequence[int], batch: int, start: int, elements: int) -> Sequence[int]:
    """What one port takes of each sample, sample after sample."""
    width = len(values) // batch
    if elements == width:
        return values
    return [
        value for row in range(start, len(values), width) for value in values[row : row + elements]
    ]


def _gas_for(call: Call, model_id: bytes, batch: int) -> tuple[Any, ...]:
    record = published_record(call, model_id, CALL_WORDS)
    gas = infer_gas(record, batch) if batch else _UINT256_MAX + 1
    if gas > _UINT256_MAX:
        raise PrecompileRevert("InvalidBatch(uint256)", (batch,))
    return (gas,)


def _work_gas(record: ModelRecord, batch: int) -> int:
    return gas_for(record.cost, batch) + GAS_PER_CALL_BYTE * batch * record.output_bytes


def _batch(got: int, per_sample: int) -> int:
    """Number of samples in an input; InputLengthMismatch names the nearest whole batch below."""
    batch = got // per_sample
    if batch == 0 or got % per_sample:
        expected = max(batch, 1) * per_sample
        raise PrecompileRevert("InputLengthMismatch(uint256,uint256)", (expected, got))
    return batch


def _padded(length: int) -> int:
    return -(-length // 32) * 32
