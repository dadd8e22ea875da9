"""Kernels equal their twins through the whole runner; batches, threads and wrong lengths."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from precompiles import selftest
from precompiles.errors import PrecompileFault, PrecompileRevert
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import DType, IntegerModel, TensorType
from precompiles.model.validate import validate_model, value_intervals
from precompiles.runner import Plan, plan_model, run_arrays, run_plan, run_reference, warm_up
from precompiles.selftest import KERNEL_DIGEST, kernel_digest, reference_digest, self_test
from precompiles.selftest_models import sample_input, sample_models, single
from precompiles.selftest_networks import network_models
from tests.precompiles.random_operators import DRAWERS
from tests.precompiles.random_programs import random_program

MODELS = dict(sample_models())


def two_inputs_two_outputs() -> IntegerModel:
    """(u8 x, s16 y) -> (y itself, x + y)."""
    model = MODELS["add"]
    passed_on = replace(model.outputs[0], name="same", value=1)
    return replace(model, outputs=(passed_on, *model.outputs))


def input_arrays(model: IntegerModel, data: bytes, batch: int) -> list[NDArray[Any]]:
    """The raw form cut into arrays, by other means than the runner's."""
    rows = [data[i : i + len(data) // batch] for i in range(0, len(data), len(data) // batch)]
    arrays, offset = [], 0
    for port in model.inputs:
        kind = model.type_of(port.value)
        stop = offset + kind.nbytes
        joined = b"".join(row[offset:stop] for row in rows)
        arrays.append(np.frombuffer(joined, NUMPY_TYPES[kind.dtype]).reshape(-1, *kind.shape))
        offset = stop
    return arrays


@settings(max_examples=150)
@given(st.integers(0, 1 << 40))
def test_random_programs_run_like_their_twins(seed: int) -> None:
    model = random_program(seed, 6)
    data, batch = sample_input(model, seed)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


@settings(max_examples=150)
@given(st.integers(0, 1 << 40))
def test_every_value_of_a_random_program_lies_in_its_proven_interval(seed: int) -> None:
    model = random_program(seed, 5)
    intervals = value_intervals(model)
    data, batch = sample_input(model, seed)
    outputs = run_arrays(plan_model(model), input_arrays(model, data, batch))
    for port, values in zip(model.outputs, outputs, strict=True):
        low, high = intervals[port.value]
        assert low <= int(values.min()) <= int(values.max()) <= high


@given(st.data())
def test_any_raw_input_is_legal(data: st.DataObject) -> None:
    model = MODELS[data.draw(st.sampled_from(sorted(MODELS)))]
    plan = plan_model(model)
    size = plan.cost.input_bytes_per_sample
    raw = data.draw(st.binary(min_size=size, max_size=size))
    assert run_plan(plan, raw, 1) == run_reference(model, raw, 1)


def test_sample_models_use_every_operator() -> None:
    used = {type(item) for model in MODELS.values() for item in model.instructions}
    assert used == set(op.OPCODES) == set(DRAWERS)


@pytest.mark.parametrize(("name", "model"), list(MODELS.items()))
def test_sample_models_are_legal_and_run_like_their_twins(name: str, model: IntegerModel) -> None:
    validate_model(model)
    data, batch = sample_input(model, 5)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


@pytest.mark.parametrize(("name", "model", "batches"), list(network_models()))
def test_networks_are_legal_and_run_like_their_twins(
    name: str, model: IntegerModel, batches: tuple[int, ...]
) -> None:
    validate_model(model)
    data, batch = sample_input(model, 6)
    plan, expected = plan_model(model), run_reference(model, data, batch)
    for count in (1, 2, 3, 7, *batches):
        size, width = len(data) // batch, len(expected) // batch
        again = -(-count // batch)
        output = run_plan(plan, (data * again)[: count * size], count)
        assert output == (expected * again)[: count * width]


def test_the_self_test_passes_and_the_twins_agree() -> None:
    self_test()
    assert kernel_digest() == reference_digest() == KERNEL_DIGEST


def test_the_self_test_stops_a_node_that_is_wrong_by_one_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(plan: Plan, data: bytes, batch: int) -> bytes:
        output = run_plan(plan, data, batch)
        return output[:-1] + bytes([output[-1] ^ 1]) if plan is last[-1] else output

    def remember(model: IntegerModel) -> Plan:
        last.append(plan_model(model))
        return last[-1]

    last: list[Plan] = []
    monkeypatch.setattr(selftest, "plan_model", remember)
    assert kernel_digest() == reference_digest()
    monkeypatch.setattr(selftest, "run_plan", wrong)
    assert kernel_digest() != reference_digest()
    with pytest.raises(PrecompileFault, match=KERNEL_DIGEST):
        self_test()


def test_raw_form_is_sample_after_sample_all_ports_in_order() -> None:
    model = two_inputs_two_outputs()
    validate_model(model)
    x = np.arange(2 * 5 * 37, dtype=np.uint8).reshape(2, 5, 37)
    y = np.arange(-37, 37, dtype="<i2").reshape(2, 37)
    raw = b"".join(x[i].tobytes() + y[i].tobytes() for i in range(2))
    plan = plan_model(model)
    same, total = run_arrays(plan, [x, y])
    assert np.array_equal(same, y)
    assert same.dtype == np.int16
    assert total.shape == (2, 5, 37)
    expected = b"".join(same[i].tobytes() + total[i].tobytes() for i in range(2))
    assert run_plan(plan, raw, 2) == expected == run_reference(model, raw, 2)


def clipped(name: str, lo: int, hi: int) -> IntegerModel:
    """A sample model behind a Clip of its input."""
    model = MODELS[name]
    first = len(model.constants)
    kind = model.tensors[0]
    rest = replace(model.instructions[0], x=first + 1, output=first + 2)
    return replace(
        model,
        outputs=(replace(model.outputs[0], value=first + 2),),
        tensors=(kind, *model.tensors),
        instructions=(op.Clip(first, lo, hi, first + 1), rest),
    )


@pytest.mark.parametrize("name", ["average_u8", "conv", "max_pool", "pad"])
def test_the_border_is_part_of_the_interval(name: str) -> None:
    """Input pinned to its top: only border windows and padding make other values."""
    name = name.replace("max_pool", "pool_u8")
    high = MODELS[name].tensors[0].dtype.bounds[1]
    model = clipped(name, high, high)
    validate_model(model)
    low, high = value_intervals(model)[model.outputs[0].value]
    data, batch = sample_input(model, 1)
    values = run_arrays(plan_model(model), input_arrays(model, data, batch))[0]
    assert low <= int(values.min()) <= int(values.max()) <= high


@pytest.mark.parametrize("name", ["conv", "add", "trees", "concat"])
def test_cutting_a_batch_changes_nothing(name: str) -> None:
    model = MODELS[name]
    data, batch = sample_input(model, 3)
    data, batch = data * 3, batch * 3
    plan = plan_model(model)
    expected = run_plan(plan, data, batch)
    for samples in (1, 2, 5):
        assert run_plan(replace(plan, samples_per_slice=samples), data, batch) == expected
    size = len(data) // batch
    alone = (run_plan(plan, data[i * size : (i + 1) * size], 1) for i in range(batch))
    assert b"".join(alone) == expected


def test_a_large_batch_keeps_its_buffers_bounded() -> None:
    kind = TensorType(DType.U8, (1 << 20,))
    plan = plan_model(single(op.Clip(0, 3, 9, 1), [kind], kind))
    assert plan.samples_per_slice * plan.cost.scratch_bytes_per_sample <= 64 << 20
    raw = np.arange(9 << 20, dtype=np.uint32).astype(np.uint8)
    assert run_plan(plan, raw.tobytes(), 9) == np.clip(raw, 3, 9).tobytes()


def test_threads_may_share_a_plan() -> None:
    def inputs() -> Iterator[tuple[bytes, int]]:
        for seed in range(40):
            yield sample_input(MODELS["conv"], seed)

    plan = plan_model(MODELS["conv"])
    warm_up(plan)
    expected = [run_plan(plan, *item) for item in inputs()]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda item: run_plan(plan, *item), inputs())) == expected


@pytest.mark.parametrize(("extra", "batch"), [(1, 1), (-1, 1), (0, 2), (0, 0), (0, -1)])
def test_a_wrong_length_reverts_with_both_lengths(extra: int, batch: int) -> None:
    model = MODELS["gemm_u8"]
    plan = plan_model(model)
    size = plan.cost.input_bytes_per_sample
    with pytest.raises(PrecompileRevert) as caught:
        run_plan(plan, bytes(size + extra), batch)
    assert caught.value.signature == "InputLengthMismatch(uint256,uint256)"
    assert caught.value.arguments == (max(batch, 1) * size, size + extra)
    with pytest.raises(PrecompileRevert):
        run_reference(model, bytes(size + extra), batch)


def test_wrong_arrays_are_refused() -> None:
    plan = plan_model(MODELS["gemm_u8"])
    good = np.zeros((3, 2, 9), np.uint8)
    assert run_arrays(plan, [good])[0].shape == (3, 2, 5)
    for wrong in ([], [good, good], [good[:, 0]], [good.astype(np.int8)], [good[:0]]):
        with pytest.raises(ValueError, match="input"):
            run_arrays(plan, wrong)


def test_arrays_of_any_memory_order_are_taken() -> None:
    plan = plan_model(MODELS["gemm_u8"])
    x = np.random.default_rng(1).integers(0, 256, (9, 2, 3), np.uint8).transpose(2, 1, 0)
    x.flags.writeable = False
    copied = np.array(x, order="C")
    assert np.array_equal(run_arrays(plan, [x])[0], run_arrays(plan, [copied])[0])
