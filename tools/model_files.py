"""Compiled models on disk: read, describe, run."""

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompiles.border import dequantize_decimal, quantize_decimal
from precompiles.gas import gas_for
from precompiles.model.codec import decode_model, model_id
from precompiles.model.types import CostRecord, IntegerModel, Port
from precompiles.model.validate import validate_model
from precompiles.runner import plan_model, run_plan, run_reference
from tools.errors import ToolError

DECIMALS = 18
"""Decimals at the border, as in ``inferWad``."""


def read_model(path: Path) -> tuple[bytes, IntegerModel, CostRecord]:
    """Bytes, program and cost of a compiled model; ModelError when it is not a legal one."""
    data = path.read_bytes()
    program = decode_model(data)
    return data, program, validate_model(program)


def describe(data: bytes, program: IntegerModel, cost: CostRecord) -> dict[str, Any]:
    """A JSON-able summary of a model."""

    def port(item: Port) -> dict[str, Any]:
        kind = program.type_of(item.value)
        scale = f"{item.quantization.scale_num}/{item.quantization.scale_den}"
        return {
            "name": item.name,
            "dtype": kind.dtype.name.lower(),
            "shape": list(kind.shape),
            "scale": scale,
            "zeroPoint": item.quantization.zero_point,
        }

    operators = Counter(type(instruction).__name__ for instruction in program.instructions)
    return {
        "model": "0x" + model_id(data).hex(),
        "bytes": len(data),
        "constantBytes": sum(len(constant.data) for constant in program.constants),
        "gas": gas_for(cost, 1),
        "inputBytes": cost.input_bytes_per_sample,
        "outputBytes": cost.output_bytes_per_sample,
        "inputs": [port(item) for item in program.inputs],
        "outputs": [port(item) for item in program.outputs],
        "operators": [{"operator": name, "count": count} for name, count in operators.items()],
    }


def _rows(program: IntegerModel, samples: Any) -> list[list[NDArray[np.float64]]]:
    """Samples as one flat float row per sample and input."""
    if not isinstance(samples, dict):
        if len(program.inputs) != 1:
            names = ", ".join(port.name for port in program.inputs)
            raise ToolError(f"the model has the inputs {names}: give an .npz file with these names")
        samples = {program.inputs[0].name: samples}
    columns = []
    for port in program.inputs:
        if port.name not in samples:
            raise ToolError(f"no samples for input {port.name!r}; given: {', '.join(samples)}")
        elements = program.type_of(port.value).elements
        array = np.asarray(samples[port.name], dtype=np.float64)
        if array.size == 0 or array.size % elements:
            raise ToolError(
                f"input {port.name!r} needs {elements} numbers per sample, got shape {array.shape}"
            )
        columns.append(array.reshape(-1, elements))
    counts = {len(column) for column in columns}
    if len(counts) != 1:
        raise ToolError(f"inputs have different numbers of samples: {sorted(counts)}")
    return [[column[i] for column in columns] for i in range(counts.pop())]


def encode_input(program: IntegerModel, samples: Any) -> tuple[bytes, int]:
    """Real-valued samples as the raw input of ``infer``, and the batch size."""
    data = bytearray()
    rows = _rows(program, samples)
    for row in rows:
        for port, values in zip(program.inputs, row, strict=True):
            dtype = program.type_of(port.value).dtype
            decimals = [round(Fraction(float(value)) * 10**DECIMALS) for value in values]
            quantized = quantize_decimal(decimals, DECIMALS, port.quantization, dtype)
            for q in quantized:
                data += q.to_bytes(dtype.size, "little", signed=dtype.bounds[0] < 0)
    return bytes(data), len(rows)


def decode_output(program: IntegerModel, data: bytes, batch: int) -> dict[str, list[list[float]]]:
    """Raw output of ``infer`` as real numbers: per output name, one flat row per sample."""
    outputs: dict[str, list[list[float]]] = {port.name: [] for port in program.outputs}
    offset = 0
    for _ in range(batch):
        for port in program.outputs:
            kind = program.type_of(port.value)
            size = kind.dtype.size
            words = [
                int.from_bytes(data[o : o + size], "little", signed=kind.dtype.bounds[0] < 0)
                for o in range(offset, offset + kind.nbytes, size)
            ]
            offset += kind.nbytes
            decimals = dequantize_decimal(words, DECIMALS, port.quantization)
            outputs[port.name].append([value / 10**DECIMALS for value in decimals])
    return outputs


def run_decimal(
    program: IntegerModel, samples: Any, *, reference: bool = False
) -> dict[str, list[list[float]]]:
    """Run a model on real-valued samples through its exact border conversion."""
    data, batch = encode_input(program, samples)
    if reference:
        output = run_reference(program, data, batch)
    else:
        output = run_plan(plan_model(program), data, batch)
    return decode_output(program, output, batch)
