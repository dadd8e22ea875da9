"""Rules of the products, rows and choices: the limit is legal and exact, one step beyond is not."""

import pytest

from precompiles.errors import ModelError
from precompiles.model import operators as op
from precompiles.model.types import IntegerModel, TensorType
from precompiles.model.validate import validate_model, value_intervals
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_models import sample_input, single
from tests.precompiles.rule_models import (
    S8,
    S16,
    S32,
    S64,
    U8,
    expand,
    gather,
    matmul,
    nodes,
    norm,
    select,
    softmax,
    square,
    square_root,
    top_k,
    with_clip,
)

BYTES = TensorType(U8, (2, 3)), TensorType(S8, (3, 2)), TensorType(S32, (2, 2))
LONG = TensorType(U8, (1, 43_804)), TensorType(S8, (43_804, 1)), TensorType(S32, (1, 1))

LEGAL: dict[str, IntegerModel] = {
    "matmul of bytes": matmul(*BYTES, a_zero_point=255),
    "longest matmul": matmul(*LONG, a_zero_point=128),
    "words": with_clip(square(2), -32767, 32767),
    "words around zero point": with_clip(square(7, a_zero_point=100), -1024, 1023),
    "softmax of words": softmax(S16, 3, 32_768, 15, S16),
    "softmax of a spread": with_clip(softmax(S32, 5, (1 << 31) - 1, 30), 6, 7),
    "longest softmax": softmax(U8, 32_767, 1, 0, S16),
    "steepest softmax": softmax(S8, 4, 8_421_504, 0, U8),
    "norm": with_clip(norm(), -32767, 32767),
    "norm without mean": with_clip(norm(center=0, epsilon=(1 << 61) - 1), -32767, 32767),
    "norm of one": with_clip(norm(row=1), -32767, 32767),
    "norm with offsets": with_clip(norm(S32, offset=(1 << 61) - 1, shift=62), -32767, 32767),
    "norm rounded little": with_clip(norm(S32, offset=1 - (1 << 61), shift=1), -32767, 32767),
    "gather": with_clip(gather(7), 0, 6),
    "square root": with_clip(square_root(S64), 0, (1 << 62) - 1),
    "all": top_k(5, 5),
    "most": top_k(1025, 1024),
    "expand": expand((3, 1), (2, 3, 4)),
    "expand a scalar": expand((), (2, 2)),
    "choice": select(U8, S64, S64),
}


@pytest.mark.parametrize("name", LEGAL)
def test_a_model_at_the_limit_is_legal_and_exact(name: str) -> None:
    model = LEGAL[name]
    validate_model(model)
    data, batch = sample_input(model, 11)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


ILLEGAL: dict[str, tuple[IntegerModel, str]] = {
    "matmul dtypes": (
        matmul(BYTES[0], TensorType(S16, (3, 2)), BYTES[2]),
        "L4: b is s16, expected s8",
    ),
    "matmul of signed bytes": (
        matmul(TensorType(S8, (2, 2)), TensorType(S8, (2, 2)), BYTES[2]),
        "L4: a is s8",
    ),
    "matmul terms": (matmul(BYTES[0], TensorType(S8, (2, 2)), BYTES[2]), "L4: b has shape"),
    "matmul leading": (
        matmul(TensorType(U8, (5, 2, 3)), TensorType(S8, (4, 3, 2)), TensorType(S32, (5, 2, 2))),
        "L4: b has shape",
    ),
    "matmul rank": (
        matmul(TensorType(U8, (3,)), TensorType(S8, (3,)), TensorType(S32, ())),
        "L4: a has shape",
    ),
    "matmul flag": (matmul(*BYTES, transpose_b=2), "L4: transpose_b"),
    "matmul turned": (matmul(*BYTES, transpose_b=1), "L4: b has shape"),
    "matmul zero point": (matmul(*BYTES, a_zero_point=256), "L8: a_zero_point"),
    "matmul multiplier": (matmul(*BYTES, multiplier=0), "L7: multiplier"),
    "matmul of any words": (square(2), "L6: sum of"),
    "matmul of many words": (with_clip(square(3), -32767, 32767), "L6: sum of"),
    "matmul zero point's share": (
        with_clip(square(8, a_zero_point=1 << 14), -(1 << 14), 1 << 14),
        "L6: sum of",
    ),
    "matmul too long": (
        matmul(*LONG, a_zero_point=129),
        "L6: sum of",
    ),
    "softmax law": (softmax(S16, 3, 32_769), "L13: max d"),
    "softmax of any words": (softmax(S32, 3, 1), "L13: max d"),
    "softmax row": (softmax(U8, 32_768, 1), "L13: row"),
    "softmax multiplier": (softmax(U8, 3, 0), "L7: multiplier"),
    "softmax shift": (softmax(U8, 3, 1, 31), "L7: shift"),
    "softmax output": (softmax(U8, 3, 1, 0, S8), "L4: output is s8"),
    "softmax of quads": (softmax(S64, 3, 1), "L4: x is s64"),
    "norm of any words": (norm(), "L13: x is"),
    "norm of bytes": (norm(U8), "L4: x is u8"),
    "norm row": (norm(row=65_536), "L13: row"),
    "norm offset": (with_clip(norm(offset=-(1 << 61)), -1, 1), "L13: offset"),
    "norm epsilon": (with_clip(norm(epsilon=1 << 61), -1, 1), "L13: epsilon"),
    "norm epsilon negative": (with_clip(norm(epsilon=-1), -1, 1), "L13: epsilon"),
    "norm flag": (with_clip(norm(center=2), -1, 1), "L4: center"),
    "norm shift": (with_clip(norm(shift=0), -1, 1), "L7: shift"),
    "gather beyond": (with_clip(gather(7), 0, 7), "L10: index"),
    "gather below": (with_clip(gather(7), -1, 6), "L10: index"),
    "gather by bytes": (gather(60, U8), "L4: x is u8"),
    "root of negative": (with_clip(square_root(S64), -1, 9), "L13: x is"),
    "root too large": (with_clip(square_root(S64), 0, 1 << 62), "L13: x is"),
    "root of bytes": (square_root(U8), "L4: x is u8"),
    "none of the largest": (top_k(5, 0), "L13: k"),
    "more than the row": (top_k(5, 6), "L13: k"),
    "too many of the row": (top_k(2000, 1025), "L13: k"),
    "expand apart": (expand((3, 2), (3, 4)), "L15: .* does not expand"),
    "expand to less": (expand((3, 2), (2,)), "L15: .* does not expand"),
    "choice by words": (select(S16, U8, U8), "L4: condition is s16"),
    "choice of two types": (select(U8, U8, S8), "L4: b is s8"),
    "relation": (
        single(op.Compare(0, 1, 3, 2), [TensorType(U8, (2,))] * 2, TensorType(U8, (2,))),
        "L4: relation",
    ),
    "minimum of two types": (
        single(
            op.Minimum(0, 1, 2),
            [TensorType(U8, (2,)), TensorType(S8, (2,))],
            TensorType(U8, (2,)),
        ),
        "L4: b is s8",
    ),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_model_is_refused_with_its_rule(name: str) -> None:
    model, reason = ILLEGAL[name]
    with pytest.raises(ModelError, match=reason):
        validate_model(model)


def interval(model: IntegerModel) -> tuple[int, int]:
    return value_intervals(model)[model.outputs[0].value]


def test_intervals_chain() -> None:
    assert interval(LEGAL["softmax of words"]) == (0, 32_767)
    assert interval(LEGAL["steepest softmax"]) == (0, 255)
    assert interval(LEGAL["gather"]) == (0, 13)
    assert interval(LEGAL["square root"]) == (0, (1 << 31) - 1)
    assert interval(LEGAL["most"]) == (0, 1024)
    assert interval(with_clip(norm(row=1, shift=62), -9, 9)) == (0, 0)
    low, high = interval(with_clip(norm(row=4, shift=40), -9, 9))
    assert -low == high == 1 << 8


def test_intervals_of_choices_and_products() -> None:
    """Both ends are reached: tighter would be wrong."""
    kinds = TensorType(U8, (2,)), TensorType(S16, (2,))
    assert interval(single(op.Compare(0, 1, 0, 2), kinds, kinds[0])) == (0, 1)
    assert interval(single(op.ArgMax(0, 1), [TensorType(U8, (9,))], TensorType(S32, ()))) == (0, 8)
    fixed = nodes(S16, [-5, 9])
    minimum = single(op.Minimum(1, 0, 2), kinds[1:], kinds[1], [fixed])
    maximum = single(op.Maximum(1, 0, 2), kinds[1:], kinds[1], [fixed])
    choice = single(op.Select(1, 2, 0, 3), [kinds[0], kinds[1]], kinds[1], [fixed])
    assert interval(with_clip(minimum, 0, 7)) == (-5, 7)
    assert interval(with_clip(maximum, 0, 7)) == (0, 9)
    other = single(op.Select(1, 0, 2, 3), [kinds[0], kinds[1]], kinds[1], [fixed])
    assert interval(choice) == interval(other) == (-32768, 32767)
    assert interval(matmul(*BYTES, shift=1, multiplier=2)) == (-255 * 128 * 3, 255 * 127 * 3)
