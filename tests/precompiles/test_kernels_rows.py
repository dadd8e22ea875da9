"""Softmax, norms, reductions and TopK against the twins; short, long and extreme rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.kernels.arrays import Array
from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tests.precompiles.dense_programs import random_inputs
from tests.precompiles.step_programs import (
    QUANTIZED,
    S8,
    S16,
    S32,
    S64,
    U8,
    Make,
    check,
    fixed,
    program,
)

LENGTHS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 70, 130)
ANY = (U8, S8, S16, S32, S64)


def ends_and_ties(dtype: DType, shape: tuple[int, ...], seed: int) -> Array:
    """Values of few kinds: the ends of the type, and small numbers that repeat."""
    rng = np.random.default_rng(seed)
    low, high = dtype.bounds
    return rng.choice([low, high, 0, 1, 1, 2], shape)


@pytest.mark.parametrize("length", LENGTHS)
def test_softmax_of_short_and_long_rows(length: int) -> None:
    for x, out, scale in ((S8, U8, (70_000, 2)), (S16, S16, (300, 0))):
        kind = TensorType(x, (3, length))
        model = program(
            lambda x, scale=scale: op.Softmax(x, scale[0], scale[1], 0),
            [kind],
            TensorType(out, (3, length)),
        )
        check(model)


@pytest.mark.parametrize("x", QUANTIZED)
@pytest.mark.parametrize("out", [U8, S16])
def test_softmax_of_every_dtype(x: DType, out: DType) -> None:
    low, high = max(x.bounds[0], -(1 << 28)), min(x.bounds[1], 1 << 28)
    most = ((1 << 31) - 1) // (high - low)
    kind = TensorType(x, (4, 21))
    for scale in ((most, 0), (most, 9), (1, 0), (max(most // 3, 1), 30)):
        model = program(
            lambda x, scale=scale: op.Softmax(x, scale[0], scale[1], 0),
            [kind],
            TensorType(out, (4, 21)),
            clip=(low, high),
        )
        inputs = random_inputs(model, 2)
        inputs[0][0, 0] = high
        inputs[0][0, 1] = low
        inputs[0][0, 1, 7] = high
        check(model, inputs)


def test_softmax_of_the_longest_row_of_equals() -> None:
    """32,767 maxima: the sum of their exponentials is 65,536 short of 2**31."""
    kind = TensorType(S8, (32_767,))
    for out in (U8, S16):
        model = program(lambda x: op.Softmax(x, 1 << 20, 0, 0), [kind], TensorType(out, (32_767,)))
        check(model, [np.full((1, 32_767), 127, np.int8)])


def norm(center: int, epsilon: int, shift: int, out: DType) -> Make:
    low, high = out.bounds
    return lambda x, gain, offset: op.LayerNorm(
        x, gain, offset, center, epsilon, shift, 3, low + 2, high - 1, 0
    )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("center", [0, 1])
def test_norms_of_short_and_long_rows(length: int, center: int) -> None:
    rng = np.random.default_rng(length)
    gain = fixed(S32, rng.integers(-(1 << 24), 1 << 24, length))
    offset = fixed(S64, rng.integers(-(1 << 40), 1 << 40, length))
    kind = TensorType(S16, (3, length))
    make = norm(center, 7, 34, S8)
    model = program(make, [kind, gain, offset], TensorType(S8, (3, length)), clip=(-32767, 32767))
    check(model)


@pytest.mark.parametrize("x", [S16, S32])
@pytest.mark.parametrize("out", QUANTIZED)
def test_norms_of_extremes(x: DType, out: DType) -> None:
    """Rows of equals have no variance: the inverse is 2**40 over 1, or over the root of epsilon."""
    kind = TensorType(x, (6, 9))
    rows = np.random.default_rng(0).integers(-32767, 32768, (1, 6, 9))
    rows[0, 0], rows[0, 1], rows[0, 2] = 32767, -32767, 0
    rows[0, 3] = [32767] * 8 + [-32767]
    rows[0, 4] = [1] + [0] * 8
    top = (1 << 31) - 1
    gain = fixed(S32, [top, -top, -top - 1, 1, 0, -1, 77, top, -top])
    limit = (1 << 61) - 1
    offset = fixed(S64, [limit, -limit, limit, -limit, 0, 1, -1, 5, limit])
    for center in (0, 1):
        for epsilon, shift in ((0, 62), (0, 47), (1, 1), (limit, 30)):
            make = norm(center, epsilon, shift, out)
            model = program(
                make, [kind, gain, offset], TensorType(out, (6, 9)), clip=(-32767, 32767)
            )
            check(model, [rows.astype(np.int16 if x is S16 else np.int32)])


def test_norm_of_the_longest_row() -> None:
    length = 65_535
    kind = TensorType(S32, (length,))
    gain, offset = fixed(S32, np.full(length, 1 << 30)), fixed(S64, np.arange(length))
    for center in (0, 1):
        make = norm(center, 0, 40, S16)
        model = program(
            make, [kind, gain, offset], TensorType(S16, (length,)), clip=(-32767, 32767)
        )
        rows = np.full((2, length), 32767)
        rows[1, ::2] = -32767
        check(model, [rows.astype(np.int32)])


@pytest.mark.parametrize("dtype", ANY)
def test_reductions_of_every_dtype(dtype: DType) -> None:
    for length in (1, 2, 7, 16, 33, 65):
        kind = TensorType(dtype, (2, 3, length))
        operators: list[tuple[Make, TensorType]] = [
            (lambda x: op.ReduceMax(x, 0), TensorType(dtype, (2, 3, 1))),
            (lambda x: op.ArgMax(x, 0), TensorType(S32, (2, 3))),
            (lambda x: op.TopK(x, 1, 0), TensorType(S32, (2, 3, 1))),
        ]
        if dtype is not S64:
            operators.append((lambda x: op.ReduceSum(x, 0), TensorType(S64, (2, 3, 1))))
        for make, out in operators:
            model = program(make, [kind], out)
            check(model)
            x = random_inputs(model, 2)[0]
            check(model, [ends_and_ties(dtype, x.shape, length).astype(x.dtype)])


def test_sums_to_the_last_bit() -> None:
    kind = TensorType(S64, (4,))
    limit = (1 << 61) - 1
    model = program(
        lambda x: op.ReduceSum(x, 0), [kind], TensorType(S64, (1,)), clip=(-limit, limit)
    )
    check(model, [np.array([[limit] * 4, [-limit] * 4, [limit, -limit, 1, 0]])])


@settings(max_examples=50)
@given(st.data())
def test_top_k_of_anything(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 40))
    k = data.draw(st.integers(1, length))
    values = st.sampled_from([-(1 << 15), -1, 0, 1, 2, 3, (1 << 15) - 1])
    rows = data.draw(st.lists(values, min_size=3 * length, max_size=3 * length))
    model = program(
        lambda x: op.TopK(x, k, 0), [TensorType(S16, (3, length))], TensorType(S32, (3, k))
    )
    check(model, [np.array(rows, np.int16).reshape(1, 3, length)])


@pytest.mark.parametrize("order", [1, -1])
def test_top_k_of_rising_and_falling_rows(order: int) -> None:
    row = np.arange(3000, dtype=np.int32)[::order].reshape(1, 1, 3000)
    kind = TensorType(S32, (1, 3000))
    model = program(lambda x: op.TopK(x, 1024, 0), [kind], TensorType(S32, (1, 1024)))
    check(model, [row])


@pytest.mark.parametrize("operator", ["softmax", "norm"])
def test_python_forms(operator: str) -> None:
    kind = TensorType(S16, (2, 9))
    if operator == "softmax":
        model = program(lambda x: op.Softmax(x, 99, 0, 0), [kind], TensorType(U8, (2, 9)))
    else:
        tables = [fixed(S32, np.arange(9) << 20), fixed(S64, np.arange(9))]
        make = norm(1, 3, 30, U8)
        model = program(make, [kind, *tables], TensorType(U8, (2, 9)), clip=(-300, 300))
    check(model, is_python=True)
