"""Real-valued samples and the raw border form of ``infer``, by the ports of a model."""

from collections.abc import Sequence
from math import isinf, isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from precompiles.border import DECIMAL_LIMIT, MISSING_DECIMAL, dequantize_decimal, quantize_decimal
from precompiles.model.types import DType, TensorType
from precompiles.model_records import PortInfo
from tools.errors import ToolError

DECIMALS: Final = 18
"""Decimals at the border, as in ``inferWad``."""

_Rows = NDArray[np.float64]


def encode_samples(ports: Sequence[PortInfo], samples: Any) -> tuple[bytes, int]:
    """Samples as the raw input of ``infer``, and the batch size.

    A number becomes a decimal with 18 digits after the point, half up, and then a word as
    ``precompiles.border`` says; NaN becomes the missing word where the tensor has one.

    Args:
        ports: inputs of the model, in order.
        samples: an array, first axis = sample, or one array per input name.

    Raises:
        ToolError: wrong names, counts or shapes, or a number that the border cannot take.
    """
    columns = [_column(port, array) for port, array in _by_port(ports, samples)]
    counts = {len(column) for column in columns}
    if len(counts) != 1:
        raise ToolError(f"inputs have different numbers of samples: {sorted(counts)}")
    (batch,) = counts
    words = [_words(port, column) for port, column in zip(ports, columns, strict=True)]
    return b"".join([row for rows in zip(*words, strict=True) for row in rows]), batch


def decode_outputs(
    ports: Sequence[PortInfo], data: bytes, batch: int
) -> dict[str, list[list[float]]]:
    """Raw output of ``infer`` as real numbers: per output name, one flat row per sample.

    Raises:
        ToolError: ``data`` is not ``batch`` samples of these outputs.
    """
    expected = batch * sum(_tensor(port).nbytes for port in ports)
    if len(data) != expected:
        raise ToolError(f"the output has {len(data)} bytes, {expected} are {batch} samples")
    outputs: dict[str, list[list[float]]] = {port.name: [] for port in ports}
    offset = 0
    for _ in range(batch):
        for port in ports:
            stop = offset + _tensor(port).nbytes
            outputs[port.name].append(_numbers(port, data[offset:stop]))
            offset = stop
    return outputs


def _tensor(port: PortInfo) -> TensorType:
    return TensorType(port.dtype, port.shape)


def _by_port(ports: Sequence[PortInfo], samples: Any) -> list[tuple[PortInfo, Any]]:
    if not isinstance(samples, dict):
        if len(ports) != 1:
            names = ", ".join(port.name for port in ports)
            raise ToolError(f"the model has the inputs {names}: give an .npz file with these names")
        return [(ports[0], samples)]
    for port in ports:
        if port.name not in samples:
            raise ToolError(f"no samples for input {port.name!r}; given: {', '.join(samples)}")
    return [(port, samples[port.name]) for port in ports]


def _column(port: PortInfo, samples: Any) -> _Rows:
    """(N, elements) of one input; a single sample may lack its first axis."""
    elements = _tensor(port).elements
    array = np.asarray(samples, dtype=np.float64)
    if array.size != elements and (array.ndim == 0 or array.size != len(array) * elements):
        raise ToolError(
            f"input {port.name!r} needs {elements} numbers per sample, got shape {array.shape}"
        )
    if array.size == 0:
        raise ToolError(f"input {port.name!r}: no samples")
    return array.reshape(-1, elements)


def _words(port: PortInfo, column: _Rows) -> list[bytes]:
    """One sample each."""
    signed = port.dtype.bounds[0] < 0
    rows = []
    for index, row in enumerate(column):
        decimals = [_decimal(port, index, float(number)) for number in row]
        quantized = quantize_decimal(decimals, DECIMALS, port.quantization, port.dtype)
        size = port.dtype.size
        rows.append(b"".join([word.to_bytes(size, "little", signed=signed) for word in quantized]))
    return rows


def _decimal(port: PortInfo, sample: int, number: float) -> int:
    if isnan(number):
        if port.dtype in (DType.S32, DType.S64):
            return MISSING_DECIMAL
        raise ToolError(
            f"input {port.name!r}, sample {sample}: NaN, and {port.dtype.name.lower()} tensors "
            "know no missing values"
        )
    if not isinf(number):
        numerator, denominator = number.as_integer_ratio()
        value = (2 * 10**DECIMALS * numerator + denominator) // (2 * denominator)
        if -DECIMAL_LIMIT < value < DECIMAL_LIMIT:
            return value
    limit = DECIMAL_LIMIT // 10**DECIMALS
    raise ToolError(f"input {port.name!r}, sample {sample}: {number} is not within ±{limit:.3g}")


def _numbers(port: PortInfo, data: bytes) -> list[float]:
    size, signed = port.dtype.size, port.dtype.bounds[0] < 0
    words = [
        int.from_bytes(data[at : at + size], "little", signed=signed)
        for at in range(0, len(data), size)
    ]
    decimals = dequantize_decimal(words, DECIMALS, port.quantization)
    return [value / 10**DECIMALS for value in decimals]
