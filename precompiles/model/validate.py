"""Legality of a model, proven once when it is published; a refused model is never run.

What is accepted cannot overflow, read outside an array, divide by zero or run unbounded, whatever
bytes a caller sends: the interval of an input is everything its dtype admits. The proof uses
types, attributes and constant data, never an input. Rules: docs/spec/integer-model.md section 4.
"""

from collections.abc import Sequence
from math import gcd

from precompiles.errors import ModelError
from precompiles.model import limits
from precompiles.model.buffers import prepared_bytes
from precompiles.model.checks import require, require_within
from precompiles.model.cost import cost_of
from precompiles.model.operands import operands_of
from precompiles.model.operators import Instruction
from precompiles.model.ranges import Ranges, output_interval
from precompiles.model.shapes import output_type
from precompiles.model.types import CostRecord, IntegerModel, Port, TensorType


def validate_model(model: IntegerModel) -> CostRecord:
    """Prove that a model is legal, and what a call of it costs.

    Args:
        model: as ``decode_model`` returns it.

    Raises:
        ModelError: a rule fails; the text names instruction, rule and both values.
    """
    value_intervals(model)
    prepared = prepared_bytes(model)
    require_within((prepared,) * 2, (0, limits.MAX_PREPARED_BYTES), "L2", "prepared constant bytes")
    cost = cost_of(model)
    require_within(
        (cost.scratch_bytes_per_sample,) * 2, (0, limits.MAX_SCRATCH_BYTES), "L2", "scratch bytes"
    )
    gas = cost.gas_per_call + cost.gas_per_sample
    require_within((gas, gas), (0, limits.MAX_CALL_GAS), "L16", "gas of one sample")
    return cost


def value_intervals(model: IntegerModel) -> dict[int, tuple[int, int]]:
    """Interval of every tensor by value id, after all rules but L2 and L16; ModelError as above."""
    _check_values(model)
    _check_ports(model)
    ranges = Ranges(model)
    for port in model.inputs:
        ranges.known[port.value] = model.type_of(port.value).dtype.bounds
    first = len(model.constants) + len(model.inputs)
    used: set[int] = {port.value for port in model.outputs}
    for index, instruction in enumerate(model.instructions):
        try:
            _check_instruction(instruction, first + index, ranges)
        except ModelError as error:
            name = type(instruction).__name__
            raise ModelError(f"instruction {index} ({name}): {error}") from error
        used.update(operands_of(instruction))
    _check_all_used(model, used)
    return ranges.known


def _check_instruction(instruction: Instruction, output: int, ranges: Ranges) -> None:
    model = ranges.model
    operands = operands_of(instruction)
    require(len(operands) > 0, "L4", "no operand")
    require_within((min(operands), max(operands)), (0, output - 1), "L4", "operand id")
    require(instruction.output == output, "L4", f"output {instruction.output}, expected {output}")
    derived, declared = output_type(instruction, model), model.type_of(output)
    require(derived == declared, "L4", f"output is {_show(declared)}, derived {_show(derived)}")
    interval = output_interval(instruction, ranges)
    require_within(interval, declared.dtype.bounds, "L8", "output interval")
    ranges.known[output] = interval


def _check_values(model: IntegerModel) -> None:
    """L1, L3: sizes; every tensor is an input or the output of one instruction."""
    count = len(model.instructions)
    require_within((count, count), (0, limits.MAX_INSTRUCTIONS), "L3", "instructions")
    values = len(model.constants) + len(model.tensors)
    require_within((values, values), (1, limits.MAX_VALUES), "L3", "values")
    expected = len(model.inputs) + count
    got = len(model.tensors)
    require(got == expected, "L4", f"{got} tensors, expected {expected}: inputs and outputs")
    for value in range(values):
        _check_type(model.type_of(value), value)
    total = 0
    for value, constant in enumerate(model.constants):
        size, expected = len(constant.data), constant.type.nbytes
        require(size == expected, "L4", f"constant {value} has {size} bytes, expected {expected}")
        total += size
    require_within((total, total), (0, limits.MAX_MODEL_BYTES), "L3", "constant bytes")


def _check_type(kind: TensorType, value: int) -> None:
    name = f"shape {kind.shape} of value {value}"
    require(len(kind.shape) <= limits.MAX_RANK, "L1", f"{name}, rank at most {limits.MAX_RANK}")
    legal = all(1 <= dim <= limits.MAX_DIM for dim in kind.shape)
    require(legal, "L1", f"{name}, dimensions 1 to {limits.MAX_DIM}")
    count = kind.elements
    require(count <= limits.MAX_ELEMENTS, "L1", f"{name}: {count} > {limits.MAX_ELEMENTS}")


def _check_ports(model: IntegerModel) -> None:
    first, last = len(model.constants), len(model.constants) + len(model.tensors) - 1
    for side, ports in (("input", model.inputs), ("output", model.outputs)):
        require_within((len(ports),) * 2, (1, limits.MAX_PORTS), "L4", f"{side} ports")
        _require_distinct([port.name for port in ports], f"{side} name")
        _require_distinct([port.value for port in ports], f"{side} value")
        for port in ports:
            require_within((port.value, port.value), (first, last), "L4", f"{side} value")
            _check_port(port, model.type_of(port.value))
    for index, port in enumerate(model.inputs):
        require(port.value == first + index, "L4", f"input {port.value}, expected {first + index}")


def _check_port(port: Port, kind: TensorType) -> None:
    size = len(port.name)
    require_within((size, size), (1, limits.MAX_NAME_BYTES), "L4", "name length")
    printable = all(0x20 <= ord(character) <= 0x7E for character in port.name)
    require(printable, "L4", f"name {port.name!r} is not printable ASCII")
    scale = port.quantization
    for number in (scale.scale_num, scale.scale_den):
        require_within((number, number), (1, (1 << 64) - 1), "L4", "scale")
    divisor = gcd(scale.scale_num, scale.scale_den)
    require(divisor == 1, "L4", f"scale has the common divisor {divisor}, expected 1")
    require_within((scale.zero_point,) * 2, kind.dtype.bounds, "L8", "zero_point")


def _require_distinct(entries: Sequence[str | int], name: str) -> None:
    for index, entry in enumerate(entries):
        require(entry not in entries[:index], "L4", f"{name} {entry!r} occurs twice")


def _check_all_used(model: IntegerModel, used: set[int]) -> None:
    """L17: no byte of a model is without meaning; only inputs may be ignored."""
    for value in range(len(model.constants) + len(model.tensors)):
        index = value - len(model.constants)
        is_input = 0 <= index < len(model.inputs)
        require(is_input or value in used, "L17", f"value {value} is never read")


def _show(kind: TensorType) -> str:
    return f"{kind.dtype.name.lower()} {kind.shape}"
