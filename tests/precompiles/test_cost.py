"""Work is known from shapes, grows with them, and is small for a digit reader."""

from dataclasses import replace

import pytest

from precompiles.gas import GAS_PER_DECIMAL, decimal_gas, gas_for
from precompiles.model import operators as op
from precompiles.model import prices
from precompiles.model.cost import cost_of
from precompiles.model.types import Constant, CostRecord, DType, IntegerModel, TensorType
from precompiles.model.validate import validate_model
from precompiles.selftest_models import random_constant, sample_models, single

MODELS = dict(sample_models())
U8, S8, S32 = DType.U8, DType.S8, DType.S32


def digits_network() -> IntegerModel:
    """Two convolutions, pooling and two dense layers on 8 x 8 images: a generous digit reader."""
    constants: list[Constant] = []
    for shape in ((3, 3, 1, 32), (3, 3, 32, 64), (1024, 128), (128, 10)):
        filters = shape[-1]
        constants.append(random_constant(S8, shape, 1, -30, 30))
        constants.append(random_constant(S32, (filters,), 2, -999, 999))
        constants.append(random_constant(S32, (filters,), 3, 1 << 30, (1 << 31) - 1))
    first = len(constants)
    shapes = ((8, 8, 1), (8, 8, 32), (8, 8, 64), (4, 4, 64), (1024,), (128,), (10,))
    window = (1, 1), (1, 1, 1, 1), (1, 1), 1, 0
    rounding = 40, 0, 0, 255
    model = single(op.Reshape(0, 1), [TensorType(U8, shapes[0])], TensorType(U8, shapes[-1]))
    return replace(
        model,
        inputs=(replace(model.inputs[0], value=first),),
        outputs=(replace(model.outputs[0], value=first + 6),),
        constants=tuple(constants),
        tensors=tuple(TensorType(U8, shape) for shape in shapes),
        instructions=(
            op.Conv(first, 0, 1, 2, *window, *rounding, first + 1),
            op.Conv(first + 1, 3, 4, 5, *window, *rounding, first + 2),
            op.MaxPool(first + 2, (2, 2), (2, 2), (0, 0, 0, 0), first + 3),
            op.Reshape(first + 3, first + 4),
            op.Gemm(first + 4, 6, 7, 8, *rounding, first + 5),
            op.Gemm(first + 5, 9, 10, 11, *rounding, first + 6),
        ),
    )


def test_a_digit_reader_costs_less_than_a_third_of_the_allowance() -> None:
    cost = validate_model(digits_network())
    assert gas_for(cost, 1) < 100_000
    assert cost.input_bytes_per_sample == 64
    assert cost.output_bytes_per_sample == 10


def test_gas_is_linear_in_the_batch() -> None:
    cost = CostRecord(100, 7, 1, 1, 1)
    assert [gas_for(cost, batch) for batch in (1, 2, 1000)] == [107, 114, 7100]
    assert gas_for(cost, 1 << 200) == 100 + 7 * (1 << 200)
    for batch in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            gas_for(cost, batch)


def test_border_gas_counts_elements() -> None:
    assert decimal_gas(0) == 0
    assert decimal_gas(64) == 64 * GAS_PER_DECIMAL


@pytest.mark.parametrize("name", MODELS)
def test_cost_needs_no_constant_data(name: str) -> None:
    model = MODELS[name]
    blank = tuple(replace(item, data=b"") for item in model.constants)
    assert cost_of(replace(model, constants=blank)) == cost_of(model)
    assert cost_of(model).gas_per_sample >= 1


def dense(rows: int, depth: int, columns: int) -> CostRecord:
    constants = (
        Constant(TensorType(S8, (depth, columns)), b""),
        Constant(TensorType(S32, (columns,)), b""),
        Constant(TensorType(S32, (columns,)), b""),
    )
    gemm = op.Gemm(3, 0, 1, 2, 40, 0, 0, 255, 4)
    kinds = TensorType(U8, (rows, depth)), TensorType(U8, (rows, columns))
    return cost_of(single(gemm, kinds[:1], kinds[1], constants))


def test_dense_work_grows_with_every_dimension() -> None:
    base = dense(8, 64, 64)
    for larger in (dense(9, 64, 64), dense(8, 128, 64), dense(8, 64, 128)):
        assert larger.gas_per_sample > base.gas_per_sample
    assert dense(8, 64, 128).gas_per_call > base.gas_per_call


def conv_cost(
    channels: int, group: int, filters: int, kernel: int = 3, size: int = 16, pad: int = 1
) -> CostRecord:
    constants = (
        Constant(TensorType(S8, (kernel, kernel, channels // group, filters)), b""),
        Constant(TensorType(S32, (filters,)), b""),
        Constant(TensorType(S32, (filters,)), b""),
    )
    rows = size + 2 * pad - kernel + 1
    kinds = TensorType(U8, (size, size, channels)), TensorType(U8, (rows, rows, filters))
    geometry = (1, 1), (pad,) * 4, (1, 1), group, 0
    conv = op.Conv(3, 0, 1, 2, *geometry, 40, 0, 0, 255, 4)
    return cost_of(single(conv, kinds[:1], kinds[1], constants))


def test_groups_cost_what_their_matrices_do() -> None:
    """Eight groups do an eighth of the products; narrow ones share a matrix with zeros in it."""
    one, eight, narrow = (conv_cost(64, group, 64).gas_per_sample for group in (1, 8, 32))
    assert one > eight > one // 8
    assert narrow > one // 16


def test_depthwise_products_are_dearer_than_dense_ones() -> None:
    assert conv_cost(64, 64, 64).gas_per_sample * 30 > conv_cost(64, 1, 64).gas_per_sample


def test_repeated_channels_are_paid() -> None:
    assert conv_cost(8, 8, 64).gas_per_sample > conv_cost(64, 64, 64).gas_per_sample


def test_scratch_counts_what_is_alive_at_once() -> None:
    wide = TensorType(U8, (1024,))
    model = single(op.Reshape(0, 1), [wide], wide)
    chain = replace(
        model,
        outputs=(replace(model.outputs[0], value=4),),
        tensors=(wide,) * 5,
        instructions=tuple(op.Reshape(index, index + 1) for index in range(4)),
    )
    kept = replace(chain, outputs=(*chain.outputs, replace(chain.outputs[0], name="z", value=1)))
    assert cost_of(chain).scratch_bytes_per_sample == cost_of(model).scratch_bytes_per_sample
    assert cost_of(kept).scratch_bytes_per_sample == cost_of(model).scratch_bytes_per_sample + 1024


def test_every_group_and_window_is_paid() -> None:
    assert conv_cost(1024, 512, 512, 1, 1, 0).gas_per_sample > 512 * prices.OUTPUT // prices.SCALE
    wide = conv_cost(1, 1, 1, 1, 1, 512)
    assert wide.gas_per_sample > 1025**2 * 16 * prices.OUTPUT // prices.SCALE


def test_a_sample_that_fills_a_slice_pays_for_the_whole_program() -> None:
    """Else a batch of large samples would run every small instruction again for nothing."""

    def program(elements: int) -> CostRecord:
        wide = TensorType(U8, (elements,))
        model = single(op.Reshape(0, 1), [wide], wide)
        tiny = TensorType(U8, ())
        instructions = [op.Reshape(0, 1), op.Slice(1, (0,), (1,), 2), op.Reshape(2, 3)]
        instructions += [op.Clip(index, 0, 9, index + 1) for index in range(3, 500)]
        return cost_of(
            replace(
                model,
                outputs=(replace(model.outputs[0], value=500),),
                tensors=(wide, wide, TensorType(U8, (1,)), *[tiny] * 498),
                instructions=tuple(instructions),
            )
        )

    small, large = program(16), program(40 << 20)
    assert large.scratch_bytes_per_sample > prices.SLICE_BYTES
    assert small.gas_per_sample < 1000
    assert large.gas_per_sample > small.gas_per_call - prices.CALL // prices.SCALE
