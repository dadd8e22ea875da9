"""Run a legal model on a batch: walk the plan, operator after operator.

Raw border form, in and out: sample after sample; within a sample all ports in declared order, each
row-major little-endian two's complement, unpadded. Every byte string of the right length is legal
input. Batches are cut so that buffers stay bounded; samples never influence each other, and a
result is a pure function of model and input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from precompiles.errors import PrecompileRevert
from precompiles.kernels.arrays import Array, Exact, exact
from precompiles.model import prices
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.cost import cost_of
from precompiles.model.types import Constant, CostRecord, IntegerModel, Port
from precompiles.planning.arena import Arenas
from precompiles.planning.program import plan_program
from precompiles.reference import run_sample


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A legal model made ready to run; threads may share it.

    ``model`` has its types, ports and instructions, but no constant data: that lies prepared in
    the program's weights, once.
    """

    model: IntegerModel
    cost: CostRecord
    samples_per_slice: int
    arenas: Arenas = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held now: prepared constants and idle arenas."""
        return self.arenas.nbytes


def plan_model(model: IntegerModel) -> Plan:
    """Prepare a model that ``validate_model`` has accepted; nothing is checked again."""
    cost = cost_of(model)
    samples = max(1, prices.SLICE_BYTES // max(1, cost.scratch_bytes_per_sample))
    bare = replace(model, constants=tuple(Constant(item.type, b"") for item in model.constants))
    return Plan(bare, cost, samples, Arenas(plan_program(model)))


def run_plan(plan: Plan, data: bytes, batch: int) -> bytes:
    """Outputs of ``batch`` samples in raw border form.

    Args:
        plan: of a legal model.
        data: ``batch * cost.input_bytes_per_sample`` bytes, raw border form.
        batch: at least 1.

    Raises:
        PrecompileRevert: InputLengthMismatch(expected, got).
    """
    size = plan.cost.input_bytes_per_sample
    if batch < 1 or len(data) != batch * size:
        expected = max(batch, 1) * size
        raise PrecompileRevert("InputLengthMismatch(uint256,uint256)", (expected, len(data)))
    step = plan.samples_per_slice
    if batch <= step:
        return _run_raw(plan.arenas, data, batch)
    whole = memoryview(data)
    return b"".join(
        _run_raw(plan.arenas, whole[start * size : (start + step) * size], min(step, batch - start))
        for start in range(0, batch, step)
    )


def run_arrays(plan: Plan, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of a batch as arrays, (B, *shape) each, in declared order.

    Args:
        plan: of a legal model.
        inputs: (B, *shape) each, in declared order, with exactly the declared dtype; B >= 1.

    Raises:
        ValueError: a wrong number of inputs, dtype or shape; names both values.
    """
    _check_arrays(plan.model, inputs)
    slices = []
    for start in range(0, len(inputs[0]), plan.samples_per_slice):
        parts = [item[start : start + plan.samples_per_slice] for item in inputs]
        slices.append(_run_slice(plan, parts))
    return [np.concatenate(parts) for parts in zip(*slices, strict=True)]


def run_reference(model: IntegerModel, data: bytes, batch: int) -> bytes:
    """As ``run_plan``, by the reference twins alone; ``model`` must be legal."""
    outputs = []
    for row in _rows(model, cost_of(model), data, batch):
        inputs = [exact(item[0]) for item in _split(model, row[np.newaxis])]
        results = run_sample(model, inputs)
        for port, values in zip(model.outputs, results, strict=True):
            outputs.append(_encode(model, port, values))
    return b"".join(outputs)


def warm_up(plan: Plan) -> None:
    """Compile and touch everything a first call needs, on one sample of zeros."""
    run_plan(plan, bytes(plan.cost.input_bytes_per_sample), 1)


def _rows(model: IntegerModel, cost: CostRecord, data: bytes, batch: int) -> Array:
    expected = max(batch, 1) * cost.input_bytes_per_sample
    if batch < 1 or len(data) != expected:
        raise PrecompileRevert("InputLengthMismatch(uint256,uint256)", (expected, len(data)))
    return np.frombuffer(data, np.uint8).reshape(batch, cost.input_bytes_per_sample)


def _split(model: IntegerModel, rows: Array) -> list[Array]:
    """Input arrays (B, *shape), writable and aligned, from the raw bytes (B, bytes)."""
    arrays = []
    offset = 0
    for port in model.inputs:
        kind = model.type_of(port.value)
        columns = np.array(rows[:, offset : offset + kind.nbytes], order="C")
        arrays.append(columns.view(NUMPY_TYPES[kind.dtype]).reshape(len(rows), *kind.shape))
        offset += kind.nbytes
    return arrays


def _encode(model: IntegerModel, port: Port, values: Exact) -> bytes:
    dtype = model.type_of(port.value).dtype
    is_signed = dtype.bounds[0] < 0
    return b"".join(
        int(value).to_bytes(dtype.size, "little", signed=is_signed) for value in values.reshape(-1)
    )


def _check_arrays(model: IntegerModel, inputs: Sequence[Array]) -> None:
    if len(inputs) != len(model.inputs):
        raise ValueError(f"{len(inputs)} inputs, expected {len(model.inputs)}")
    for port, item in zip(model.inputs, inputs, strict=True):
        kind = model.type_of(port.value)
        expected = (len(inputs[0]), *kind.shape)
        if item.dtype != NUMPY_TYPES[kind.dtype] or item.shape != expected or not len(item):
            raise ValueError(
                f"input {port.name} is {item.dtype} {item.shape}, "
                f"expected {NUMPY_TYPES[kind.dtype]} {expected} with at least one sample"
            )


def _run_raw(arenas: Arenas, data: bytes | memoryview, batch: int) -> bytes:
    arena = arenas.take(batch)
    arena.fill(data)
    arenas.run(arena)
    output = arena.read()
    arenas.give(arena)
    return output


def _run_slice(plan: Plan, inputs: Sequence[Array]) -> list[Array]:
    arena = plan.arenas.take(len(inputs[0]))
    for window, item in zip(arena.inputs, inputs, strict=True):
        window[...] = np.ascontiguousarray(item).reshape(-1).view(np.uint8).reshape(window.shape)
    plan.arenas.run(arena)
    outputs = []
    for port, window in zip(plan.model.outputs, arena.outputs, strict=True):
        kind = plan.model.type_of(port.value)
        flat = np.array(window, order="C").reshape(-1).view(NUMPY_TYPES[kind.dtype])
        outputs.append(flat.reshape(arena.batch, *kind.shape))
    plan.arenas.give(arena)
    return outputs
