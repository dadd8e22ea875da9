"""Memory of a run stays inside what types alone bound."""

from dataclasses import replace

import pytest

from precompiles.errors import ModelError
from precompiles.model import operators as op
from precompiles.model.buffers import prepared_bytes, scratch_bytes
from precompiles.model.types import IntegerModel, TensorType
from precompiles.model.validate import validate_model
from precompiles.planning.program import plan_program
from precompiles.selftest_models import sample_models
from tests.precompiles.random_programs import random_program
from tests.precompiles.rule_models import MODELS, S8, S32, U8, constant, nodes

PIECE = 64
"""Every buffer and every table starts on a multiple of this."""


def check(model: IntegerModel) -> None:
    """Gaps between buffers may add a little to what is alive at once."""
    program = plan_program(model)
    assert program.bytes_per_sample <= scratch_bytes(model) * 5 // 4 + 4 * PIECE
    tables = 8 * (len(model.instructions) + len(model.constants)) * PIECE
    assert program.weights.nbytes <= prepared_bytes(model) * 9 // 8 + tables + 8192


@pytest.mark.parametrize("name", MODELS)
def test_sample_models_stay_inside_their_bounds(name: str) -> None:
    check(dict(sample_models())[name])


def test_random_programs_stay_inside_their_bounds() -> None:
    for seed in range(150):
        check(random_program(seed, 8))


def test_an_image_that_lives_long_is_counted_with_its_border() -> None:
    """Its border lies around it as long as anybody reads it, not just in the convolution."""
    x, y, wide = (TensorType(U8, shape) for shape in ((1, 1, 64), (81, 81, 1), (60, 81, 81, 1)))
    constants = constant(S8, (1, 1, 64, 1), [1] * 64), nodes(S32, [0]), nodes(S32, [1 << 30])
    geometry = (1, 1), (40, 40, 40, 40), (1, 1), 1, 0
    ports = MODELS["gemm_u8"].inputs[0], MODELS["gemm_u8"].outputs[0]
    model = IntegerModel(
        inputs=(replace(ports[0], value=3),),
        outputs=tuple(replace(ports[1], name=f"y{value}", value=value) for value in (5, 6)),
        constants=constants,
        tensors=(x, y, wide, x),
        instructions=(
            op.Conv(3, 0, 1, 2, *geometry, 40, 0, 0, 255, 4),
            op.Expand(4, 5),
            op.MaxPool(3, (1, 1), (1, 1), (0, 0, 0, 0), 6),
        ),
    )
    validate_model(model)
    assert scratch_bytes(model) >= 81 * 81 * 64 + wide.nbytes
    check(model)


def test_one_matrix_with_many_biases_is_counted_each_time() -> None:
    """One column, kept as sixteen by each of 1,100 instructions: 268 MiB from 16 KiB."""
    depth, count = 16_000, 1100
    first = 2 + count
    base = MODELS["gemm_u8"]
    layers = [
        op.Gemm(first, 0, 2 + index, 1, 40, 0, 0, 255, first + 1 + index) for index in range(count)
    ]
    model = replace(
        base,
        inputs=(replace(base.inputs[0], value=first),),
        outputs=(replace(base.outputs[0], value=first + count),),
        constants=(
            constant(S8, (depth, 1), [0] * depth),
            nodes(S32, [1 << 30]),
            *(nodes(S32, [value]) for value in range(count)),
        ),
        tensors=(TensorType(U8, (depth,)), *[TensorType(U8, (1,))] * count),
        instructions=tuple(layers),
    )
    assert prepared_bytes(model) > 256 << 20
    joined: list[int] = [first + 1 + index for index in range(count)]
    extra: list[op.Instruction] = []
    while len(joined) > 1:
        parts = [joined[start : start + 64] for start in range(0, len(joined), 64)]
        joined = [first + 1 + count + len(extra) + index for index in range(len(parts))]
        extra += [op.Concat(tuple(part), 0, out) for part, out in zip(parts, joined, strict=True)]
    sizes = {first + 1 + index: 1 for index in range(count)}
    for join in extra:
        sizes[join.output] = sum(sizes[value] for value in join.inputs)  # type: ignore[union-attr]
    kinds = [TensorType(U8, (sizes[join.output],)) for join in extra]
    model = replace(
        model,
        outputs=(replace(base.outputs[0], value=joined[0]),),
        tensors=(*model.tensors, *kinds),
        instructions=(*layers, *extra),
    )
    with pytest.raises(ModelError, match="L2: prepared constant bytes"):
        validate_model(model)
