"""Elementwise kernels: every dtype, every broadcast, tails and extremes, against the twins."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.kernels.requantize import requantize_value
from precompiles.model import operators as op
from precompiles.model.types import Constant, DType, TensorType
from precompiles.planning.borders import choose_borders
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_draft import Draft
from tests.precompiles.dense_programs import random_inputs
from tests.precompiles.step_programs import (
    QUANTIZED,
    S8,
    S16,
    S32,
    S64,
    U8,
    WIDE,
    Make,
    check,
    fixed,
    program,
)

INT32_MAX = (1 << 31) - 1
SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 70, 129)
PAIRS = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 4), (1,)),
    ((3, 4), ()),
    ((3, 4), (3, 1)),
    ((3, 1), (1, 4)),
    ((1, 4), (3, 1)),
    ((), ()),
    ((1, 1), (1,)),
    ((5,), (2, 1)),
    ((2, 1, 3, 1, 2), (1, 3, 1, 2, 1)),
    ((2, 1, 2, 1, 2, 1), (1, 2, 1, 2, 1, 3)),
    ((40, 3), (40, 1)),
    ((2, 33, 5), (1, 1, 5)),
]


def add(out: DType, zeros: tuple[int, int] = (3, 1), scale: int = 1 << 21) -> Make:
    ends = out.bounds
    return lambda a, b: op.Add(a, b, *zeros, scale, -scale // 3, 23, 1, ends[0] // 2, ends[1], 0)


def multiply(out: DType) -> Make:
    return lambda a, b: op.Mul(a, b, 2, 5, 1 << 13, 19, 1, *out.bounds, 0)


def operand(kind: TensorType, is_constant: bool, seed: int = 3) -> TensorType | Constant:
    if not is_constant:
        return kind
    low, high = kind.dtype.bounds
    rng = np.random.default_rng(seed)
    return fixed(kind.dtype, rng.integers(max(low, -900), min(high, 900), kind.shape))


@pytest.mark.parametrize(("a", "b", "out"), list(product(QUANTIZED, repeat=3)))
def test_every_dtype_of_add_and_mul(a: DType, b: DType, out: DType) -> None:
    """By the Python form of the kernels, which the others compare with machine code."""
    kinds = TensorType(a, (3, 5)), TensorType(b, (5,))
    for first, second in (kinds, kinds[::-1]):
        check(program(add(out), (first, second), TensorType(out, (3, 5))), is_python=True)
    narrow = [TensorType(a, (7,)), TensorType(b, (1,))]
    model = program(multiply(out), narrow, TensorType(out, (7,)), clip=(0, 127))
    check(model, is_python=True)


@pytest.mark.parametrize("shapes", PAIRS)
@pytest.mark.parametrize("fixed_one", [None, 0, 1])
def test_every_broadcast(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], fixed_one: int | None
) -> None:
    full = np.broadcast_shapes(*shapes)
    pair = [operand(TensorType(S16, shape), i == fixed_one) for i, shape in enumerate(shapes)]
    check(program(add(S16), pair, TensorType(S16, full)), batch=3)
    wide = [operand(TensorType(S32, shape), i == fixed_one) for i, shape in enumerate(shapes)]
    for make in (
        lambda a, b: op.SubInteger(a, b, 0),
        lambda a, b: op.MulInteger(a, b, 7, 0),
        lambda a, b: op.AddInteger(a, b, 0),
    ):
        check(program(make, wide, TensorType(S64, full)), batch=3)
    for relation in range(3):
        model = program(
            lambda a, b, relation=relation: op.Compare(a, b, relation, 0),
            pair,
            TensorType(U8, full),
        )
        check(model, [item % 5 for item in random_inputs(model, 3)])
    for kind in (op.Minimum, op.Maximum):
        check(program(lambda a, b, kind=kind: kind(a, b, 0), pair, TensorType(S16, full)))
    positive = [operand(TensorType(S32, shape), i == fixed_one) for i, shape in enumerate(shapes)]
    if fixed_one == 1:
        positive[1] = fixed(S32, np.full(shapes[1], 7))
    divide = program(
        lambda a, b: op.DivInteger(a, b, 3, 0), positive, TensorType(S64, full), clip=(1, 1 << 30)
    )
    check(divide)


@pytest.mark.parametrize("shapes", PAIRS)
def test_every_broadcast_of_select(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = shapes
    for condition in (a, b, (), (1,)):
        full = np.broadcast_shapes(a, b, condition)
        kinds = [TensorType(U8, condition), TensorType(S16, a), TensorType(S16, b)]
        model = program(
            lambda c, x, y: op.Select(c, x, y, 0), kinds, TensorType(S16, full), clip=(0, 3)
        )
        inputs = random_inputs(model, 3)
        inputs[0] %= 2
        check(model, inputs)
        model = program(
            lambda c, x, y: op.Select(c, x, y, 0),
            [kinds[0], operand(kinds[1], True), kinds[2]],
            TensorType(S16, full),
        )
        inputs = random_inputs(model, 3)
        inputs[0] %= 2
        check(model, inputs)


@pytest.mark.parametrize("dtype", [U8, S8, S16, S32, S64])
def test_every_dtype_of_the_others(dtype: DType) -> None:
    kind = TensorType(dtype, (4, 5))
    low, high = dtype.bounds
    check(program(lambda x: op.Clip(x, low // 2, high // 3, 0), [kind], kind))
    for make in (op.Minimum, op.Maximum):
        check(program(lambda a, b, make=make: make(a, b, 0), [kind, kind], kind))
    check(program(lambda c, a, b: op.Select(c, a, b, 0), [TensorType(U8, (5,)), kind, kind], kind))
    for other, relation in product((U8, S8, S16, S32, S64), range(3)):
        model = program(
            lambda a, b, relation=relation: op.Compare(a, b, relation, 0),
            [kind, TensorType(other, (5,))],
            TensorType(U8, (4, 5)),
        )
        inputs = random_inputs(model, 2)
        inputs[1] = inputs[0][:, 0].astype(inputs[1].dtype)
        check(model, inputs, is_python=True)
    for out in QUANTIZED:
        multiplier = fixed(S32, [1, INT32_MAX, 77, 1 << 20, 3])
        for scale in (multiplier, fixed(S32, [1 << 20])):
            model = program(
                lambda x, m, ends=out.bounds: op.Requantize(x, m, 9, 33, 1, ends[0], ends[1], 0),
                [kind, scale],
                TensorType(out, (4, 5)),
                clip=(max(low, -(1 << 29)), min(high, 1 << 29)),
            )
            check(model, is_python=out is not U8)


@pytest.mark.parametrize("size", SIZES)
def test_tails(size: int) -> None:
    bytes_, words = TensorType(U8, (size,)), TensorType(S16, (size,))
    wide = TensorType(S32, (size,))
    check(program(add(U8), [bytes_, bytes_], bytes_), batch=1)
    check(program(add(S16), [words, fixed(S16, [-77])], words), batch=1)
    check(program(multiply(S16), [words, words], words), batch=3)
    rescale = fixed(S32, np.arange(size) * 999 + INT32_MAX // 2)
    requantize = program(
        lambda x, m: op.Requantize(x, m, -9, 50, 3, -128, 127, 0),
        [wide, rescale],
        TensorType(S8, (size,)),
        clip=(-(1 << 30), 1 << 30),
    )
    check(requantize)
    table = np.random.default_rng(size).integers(0, 256, 256)
    check(program(lambda x, t: op.Lookup(x, t, 0), [bytes_, fixed(U8, table)], bytes_))


@pytest.mark.parametrize("index", [U8, S8, S16])
@pytest.mark.parametrize("entry", QUANTIZED)
def test_tables_on_every_index(index: DType, entry: DType) -> None:
    entries = 1 << 8 * index.size
    rng = np.random.default_rng(entries)
    low, high = entry.bounds
    table = fixed(entry, rng.integers(low, high, entries, endpoint=True))
    kind = TensorType(index, (256,))
    model = program(lambda x, t: op.Lookup(x, t, 0), [kind, table], TensorType(entry, (256,)))
    every = np.arange(entries).astype(np.uint16 if entries > 256 else np.uint8)
    x = every.view(random_inputs(model, 1)[0].dtype).reshape(-1, 256)
    check(model, [x[:: max(1, len(x) // 8)]])


def test_rescaling_of_extreme_values() -> None:
    """The largest sums and products that the rules admit; every corner of the operands."""
    ends = np.array([-INT32_MAX - 1, INT32_MAX, 0, -1, 1])
    a, b = (np.array(item) for item in zip(*product(ends, ends), strict=True))
    kind = TensorType(S32, (25,))
    inputs = [item.astype(np.int32)[np.newaxis] for item in (a, b)]
    reach = (1 << 30) - 1
    for signs in product((1, -1), repeat=2):
        scales = [sign * reach for sign in signs]
        for shift in (1, 30, 31, 62):
            model = program(
                lambda a, b, scales=scales, shift=shift: op.Add(
                    a, b, 0, 0, scales[0], scales[1], shift, 0, -INT32_MAX - 1, INT32_MAX, 0
                ),
                [kind, kind],
                kind,
            )
            check(model, inputs)
    wide = np.array([[-(1 << 61) + 1, (1 << 61) - 1, 0, 1, -1]])
    for shift in (1, 31, 62):
        model = program(
            lambda x, m, shift=shift: op.Requantize(x, m, 0, shift, 7, -9, 1 << 30, 0),
            [TensorType(S64, (5,)), fixed(S32, [1])],
            TensorType(S32, (5,)),
            clip=(int(wide.min()), int(wide.max())),
        )
        check(model, [wide])


@pytest.mark.parametrize("shift", [0, 1, 31, 59])
def test_integer_products_and_quotients(shift: int) -> None:
    rng = np.random.default_rng(shift)
    pair = [TensorType(S64, (33,)), TensorType(S32, (33,))]
    inputs = [rng.integers(-(1 << 31), 1 << 31, (2, 33)), rng.integers(1, 1 << 31, (2, 33))]
    inputs[1] = inputs[1].astype(np.int32)
    products = program(
        lambda a, b: op.MulInteger(a, b, shift, 0),
        [TensorType(S64, (33,)), TensorType(S32, (33,))],
        TensorType(S64, (33,)),
        clip=(-INT32_MAX - 1, INT32_MAX),
    )
    check(products, inputs)
    limit = 1 << max(61 - shift, 0)
    draft = Draft()
    a, b = draft.input(pair[0]), draft.input(pair[1])
    a = draft.run(op.Clip(a, -limit, limit, 0), pair[0])
    b = draft.run(op.Clip(b, 1, INT32_MAX, 0), pair[1])
    model = draft.finish(draft.run(op.DivInteger(a, b, shift, 0), pair[0]))
    check(model, inputs)


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 1024])
@pytest.mark.parametrize("dtype", WIDE)
def test_piecewise_linear_on_and_beside_every_knot(count: int, dtype: DType) -> None:
    rng = np.random.default_rng(count)
    knots = np.unique(rng.integers(-(1 << 30), 1 << 30, count))
    tables = [knots, rng.integers(-(1 << 60), 1 << 60, knots.size)]
    tables.append(rng.integers(-(1 << 20), 1 << 20, knots.size))
    x = np.concatenate((knots - 1, knots, knots + 1, [-INT32_MAX - 1, INT32_MAX]))
    kind = TensorType(dtype, x.shape)
    for shift in (0, 1, 30):
        model = program(
            lambda x, k, y, m, shift=shift: op.PiecewiseLinear(x, k, y, m, shift, 0),
            [kind, *(fixed(S64, item) for item in tables)],
            TensorType(S64, x.shape),
            clip=(-INT32_MAX - 1, INT32_MAX),
        )
        check(model, [x.astype(np.int32 if dtype is S32 else np.int64)[np.newaxis]])


def test_square_roots_beside_every_square() -> None:
    roots = np.concatenate([np.arange(9), 1 << np.arange(3, 31), [(1 << 31) - 1]])
    x = np.concatenate([roots**2, roots**2 - 1, roots**2 + 1])
    x = np.clip(x, 0, (1 << 62) - 1)
    kind = TensorType(S64, x.shape)
    model = program(lambda x: op.SquareRoot(x, 0), [kind], kind, clip=(0, (1 << 62) - 1))
    check(model, [x[np.newaxis]])
    kind = TensorType(S32, (9,))
    out = TensorType(S64, (9,))
    check(program(lambda x: op.SquareRoot(x, 0), [kind], out, clip=(0, INT32_MAX)))


@settings(max_examples=40)
@given(st.integers(0, 1 << 30), st.integers(1, 3))
def test_images_with_borders(seed: int, batch: int) -> None:
    """Elementwise operators read and write images whose borders belong to convolutions."""
    rng = np.random.default_rng(seed)
    height, width, channels = (int(item) for item in rng.integers(1, 5, 3))
    kind = TensorType(U8, (height, width, channels))
    draft = Draft()
    x, y = draft.input(kind), draft.input(kind)
    low, high = sorted(int(item) for item in rng.integers(0, 256, 2))
    x = draft.run(op.Clip(x, low, high, 0), kind)
    total = draft.run(op.Add(x, y, 5, 9, 3 << 20, 1 << 20, 22, 3, 0, 250, 0), kind)
    table = draft.constant(fixed(U8, rng.permutation(256)))
    total = draft.run(op.Lookup(total, table, 0), kind)
    weight = draft.constant(fixed(S8, rng.integers(-9, 9, (3, 3, channels, 2))))
    bias, scale = draft.constant(fixed(S32, [5, 6])), draft.constant(fixed(S32, [1 << 30] * 2))
    outputs = []
    for value, pad in ((x, 7), (total, 3)):
        conv = op.Conv(
            value, weight, bias, scale, (1, 1), (1,) * 4, (1, 1), 1, pad, 38, 4, 0, 255, 0
        )
        outputs.append(draft.run(conv, TensorType(U8, (height, width, 2))))
    model = draft.finish(*outputs)
    assert len(choose_borders(model)) == 2
    data = rng.bytes(2 * kind.nbytes * batch)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


def test_ties_round_half_up_in_kernels() -> None:
    """Every second sum is a tie."""
    kind = TensorType(S16, (21,))
    ends = S16.bounds
    rows = np.arange(-10, 11, dtype=np.int16)[np.newaxis]
    one = fixed(S32, [1])
    single = program(lambda x, m: op.Requantize(x, m, 0, 1, 0, *ends, 0), [kind, one], kind)
    each = fixed(S32, np.ones(21, np.int32))
    every = program(lambda x, m: op.Requantize(x, m, 0, 1, 0, *ends, 0), [kind, each], kind)
    for model in (single, every):
        check(model, [rows])
    for other, second in ((kind, rows), (fixed(S16, [2]), None)):
        inputs = [rows] if second is None else [rows, second[:, ::-1] * 2]
        add_up = program(lambda a, b: op.Add(a, b, 0, 0, 1, 1, 1, 0, *ends, 0), [kind, other], kind)
        check(add_up, inputs)
        product_ = program(lambda a, b: op.Mul(a, b, 0, 1, 1, 1, 0, *ends, 0), [kind, other], kind)
        check(product_, inputs)
    shifted = program(
        lambda a, b: op.MulInteger(a, b, 1, 0),
        [TensorType(S32, (21,)), fixed(S32, [1])],
        TensorType(S64, (21,)),
    )
    check(shifted, [rows.astype(np.int32)])
    halves = program(
        lambda a, b: op.DivInteger(a, b, 0, 0),
        [TensorType(S32, (21,)), fixed(S32, [2])],
        TensorType(S64, (21,)),
    )
    check(halves, [rows.astype(np.int32)])


def test_ties_round_half_up() -> None:
    halves = [requantize_value(value, 1, 1, 0) for value in (-3, -2, -1, 0, 1, 2, 3)]
    assert halves == [-1, -1, 0, 0, 1, 1, 2]
