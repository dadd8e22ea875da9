"""The limit itself is legal, and the proven intervals hold what is computed."""

from dataclasses import replace

import numpy as np
import pytest

from precompiles.errors import ModelError
from precompiles.model import operators as op
from precompiles.model.types import IntegerModel, TensorType
from precompiles.model.validate import validate_model, value_intervals
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_models import constant, sample_input, single
from tests.precompiles.rule_models import (
    MODELS,
    S8,
    S16,
    S32,
    S64,
    U8,
    chain,
    gemm,
    nodes,
    requantize,
)


@pytest.mark.parametrize("name", MODELS)
def test_sample_models_are_legal_and_their_intervals_hold(name: str) -> None:
    model = MODELS[name]
    validate_model(model)
    low, high = value_intervals(model)[model.outputs[0].value]
    data, batch = sample_input(model, 7)
    dtype = model.type_of(model.outputs[0].value).dtype
    outputs = np.frombuffer(run_plan(plan_model(model), data, batch), f"<i{dtype.size}")
    if dtype is U8:
        outputs = outputs.view(np.uint8)
    assert low <= int(outputs.min()) <= int(outputs.max()) <= high


LEGAL: dict[str, IntegerModel] = {
    "largest sum": gemm(TensorType(U8, (2,)), [127, 127], (1 << 31) - 64_771),
    "smallest sum": gemm(TensorType(U8, (2,)), [-128, -128], -(1 << 31) + 65_281),
    "longest sum": gemm(TensorType(U8, (65_793,)), [-128] * 65_793, 0),
    "s16 sum": gemm(TensorType(S16, (516,)), [127] * 516, 0),
    "requantize law": requantize(1),
    "largest shift": gemm(TensorType(U8, (2,)), [127, -128], 0, shift=62),
    "product": single(
        op.MulInteger(0, 1, 0, 2), [TensorType(S32, (2,))] * 2, TensorType(S64, (2,))
    ),
    "shifted product": single(
        op.MulInteger(0, 1, 62, 2), [TensorType(S32, (2,))] * 2, TensorType(S64, (2,))
    ),
    "smallest divisor": single(
        op.DivInteger(1, 0, 30, 2),
        [TensorType(S32, (2,))],
        TensorType(S64, (2,)),
        [nodes(S64, [1, 2])],
    ),
    "linear at the limit": single(
        op.LinearInteger(2, 0, 1, 3),
        [TensorType(S32, (2,))],
        TensorType(S64, (1,)),
        [constant(S32, (2, 1), [-(1 << 31), (1 << 31) - 1]), nodes(S64, [(1 << 31) - 1])],
    ),
    "reduce of clipped": chain(
        op.Clip(0, -(1 << 61), 1 << 61, 1),
        op.ReduceSum(1, 2),
        kinds=[TensorType(S64, (3,)), TensorType(S64, (3,)), TensorType(S64, (1,))],
    ),
    "untouched input": replace(
        chain(op.Clip(0, 0, 1, 1), kinds=[TensorType(U8, (2,))] * 2),
        inputs=(replace(MODELS["add"].inputs[0], value=0),),
    ),
}


@pytest.mark.parametrize("name", LEGAL)
def test_a_model_at_the_limit_is_legal_and_exact(name: str) -> None:
    model = LEGAL[name]
    validate_model(model)
    data, batch = sample_input(model, 11)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


def test_the_interval_of_an_input_is_all_its_dtype() -> None:
    model = MODELS["gemm_s16"]
    assert value_intervals(model)[model.inputs[0].value] == (-32768, 32767)


def clipped_gemm(low: int, high: int, bias: int) -> IntegerModel:
    """Sum of 65,000 clipped bytes with weights +127 first and -127 then."""
    model = gemm(TensorType(U8, (65_000,)), [127] * 32_500 + [-127] * 32_500, bias)
    x = model.tensors[0]
    return replace(
        model,
        outputs=(replace(model.outputs[0], value=5),),
        tensors=(x, x, model.tensors[1]),
        instructions=(
            op.Clip(3, low, high, 4),
            replace(model.instructions[0], x=4, output=5),
        ),
    )


def test_partial_sums_are_covered_in_any_order() -> None:
    """The total of 200..255 stays inside int32; a prefix of it does not: refused."""
    with pytest.raises(ModelError, match="L6: sum"):
        validate_model(clipped_gemm(200, 255, (1 << 31) - 300_000_000))
    validate_model(clipped_gemm(0, 55, (1 << 31) - 300_000_000))


def test_the_border_counts_into_the_sum() -> None:
    """Input pinned to zero: only the padding can overflow, and does."""
    x, y = TensorType(U8, (1, 1, 300)), TensorType(S32, (2, 2, 1))
    constants = (
        constant(S8, (2, 2, 300, 1), [127] * 1200),
        constant(S32, (1,), [(1 << 31) - 30_000_000]),
        constant(S32, (1,), [1]),
    )

    def padded(pad_value: int) -> IntegerModel:
        wide = 31, 0, -(1 << 31), (1 << 31) - 1
        window = (1, 1), (1, 1, 1, 1), (1, 1), 1, pad_value
        model = single(op.Conv(4, 0, 1, 2, *window, *wide, 5), [x], y, constants)
        return replace(
            model,
            outputs=(replace(model.outputs[0], value=5),),
            tensors=(x, x, y),
            instructions=(op.Clip(3, 0, 0, 4), model.instructions[0]),
        )

    validate_model(padded(0))
    with pytest.raises(ModelError, match="L6: sum"):
        validate_model(padded(255))
