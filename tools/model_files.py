"""Compiled models on disk: read, describe, run."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from precompiles.gas import gas_for
from precompiles.model.codec import decode_model, model_id
from precompiles.model.types import CostRecord, IntegerModel, Port
from precompiles.model.validate import validate_model
from precompiles.model_records import PortInfo
from precompiles.runner import plan_model, run_plan, run_reference
from tools.tensors import decode_outputs, encode_samples


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


def ports_of(program: IntegerModel, ports: Sequence[Port]) -> tuple[PortInfo, ...]:
    """Inputs or outputs of a program with their types, as the registry tells them."""
    types = [program.type_of(port.value) for port in ports]
    return tuple(
        PortInfo(port.name, kind.dtype, kind.shape, port.quantization)
        for port, kind in zip(ports, types, strict=True)
    )


def run_decimal(
    program: IntegerModel, samples: Any, *, reference: bool = False
) -> dict[str, list[list[float]]]:
    """Run a model on real-valued samples through its exact border conversion."""
    data, batch = encode_samples(ports_of(program, program.inputs), samples)
    if reference:
        output = run_reference(program, data, batch)
    else:
        output = run_plan(plan_model(program), data, batch)
    return decode_outputs(ports_of(program, program.outputs), output, batch)
