"""Kernels that move elements: runs, grids, tiles, borders, against the twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.kernels.arrays import Array
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import DType, TensorType
from precompiles.planning.borders import choose_borders
from precompiles.runner import plan_model, run_arrays
from precompiles.selftest_draft import Draft
from tests.precompiles.dense_programs import Bench
from tests.precompiles.step_programs import S8, S16, S32, S64, U8, check, fixed, program, twin

ANY = (U8, S8, S16, S32, S64)


def numbered(kind: TensorType, batch: int) -> Array:
    """Every element its own number, as far as the type can tell."""
    values = np.arange(batch * kind.elements).reshape(batch, *kind.shape)
    return values.astype(NUMPY_TYPES[kind.dtype])


def transposed(dtype: DType, shape: tuple[int, ...], order: tuple[int, ...]) -> list[str]:
    kind = TensorType(dtype, shape)
    out = TensorType(dtype, tuple(shape[axis] for axis in order))
    model = program(lambda x: op.Transpose(x, order, 0), [kind], out)
    return check(model, [numbered(kind, 2)])


@pytest.mark.parametrize("dtype", ANY)
@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (8, 40), (31, 9), (2, 3), (1, 5), (5, 1)])
def test_transposed_matrices(dtype: DType, shape: tuple[int, int]) -> None:
    (kernel,) = transposed(dtype, shape, (1, 0))
    has_tiles = min(shape) * dtype.size >= 16
    assert kernel.startswith("transpose") == has_tiles
    transposed(dtype, (3, *shape), (0, 2, 1))


@pytest.mark.parametrize("depth", [*range(1, 20), 24, 31, 32, 33, 63, 64, 65, 100, 128, 200])
def test_heads_split_and_merge(depth: int) -> None:
    """Rows of every length are copied whole."""
    assert transposed(S8, (5, 3, depth), (1, 0, 2))[0].startswith("copy")
    transposed(S16, (2, 3, 4, depth), (2, 0, 1, 3))


@settings(max_examples=40)
@given(st.data())
def test_any_permutation(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=4)))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    transposed(data.draw(st.sampled_from(ANY)), shape, order)


@settings(max_examples=40)
@given(st.data())
def test_any_slice(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 19), min_size=1, max_size=4))
    starts, steps, sizes = [], [], []
    for size in shape:
        starts.append(data.draw(st.integers(0, size - 1)))
        steps.append(data.draw(st.integers(1, 3)))
        sizes.append(data.draw(st.integers(1, (size - starts[-1] - 1) // steps[-1] + 1)))
    kind = TensorType(data.draw(st.sampled_from(ANY)), tuple(shape))
    model = program(
        lambda x: op.Slice(x, tuple(starts), tuple(steps), 0),
        [kind],
        TensorType(kind.dtype, tuple(sizes)),
    )
    check(model, [numbered(kind, 2)])


@settings(max_examples=40)
@given(st.data())
def test_any_pad(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    counts = st.lists(st.integers(0, 3), min_size=len(shape), max_size=len(shape))
    before, after = tuple(data.draw(counts)), tuple(data.draw(counts))
    kind = TensorType(data.draw(st.sampled_from(ANY)), tuple(shape))
    value = data.draw(st.integers(*kind.dtype.bounds))
    full = tuple(map(sum, zip(before, shape, after, strict=True)))
    model = program(
        lambda x: op.Pad(x, before, after, value, 0), [kind], TensorType(kind.dtype, full)
    )
    check(model, [numbered(kind, 2)])


@settings(max_examples=40)
@given(st.data())
def test_any_concat(data: st.DataObject) -> None:
    """Tensors and constants, the same one twice, on any axis."""
    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    axis = data.draw(st.integers(0, len(shape) - 1))
    dtype = data.draw(st.sampled_from(ANY))
    draft = Draft()
    parts, total, inputs = [], 0, []
    for number in range(data.draw(st.integers(1, 4))):
        size = data.draw(st.integers(1, 20))
        total += size
        kind = TensorType(dtype, (*shape[:axis], size, *shape[axis + 1 :]))
        if number and data.draw(st.booleans()):
            parts.append(draft.constant(fixed(dtype, numbered(kind, 1)[0])))
        else:
            parts.append(draft.input(kind))
            inputs.append(numbered(kind, 2))
    if data.draw(st.booleans()):
        parts.append(parts[0])
        total += (inputs[0].shape[1:])[axis]
    out = TensorType(dtype, (*shape[:axis], total, *shape[axis + 1 :]))
    model = draft.finish(draft.run(op.Concat(tuple(parts), axis, 0), out))
    check(model, inputs)


@settings(max_examples=40)
@given(st.data())
def test_any_expansion(data: st.DataObject) -> None:
    full = data.draw(st.lists(st.integers(1, 17), min_size=1, max_size=5))
    cut = data.draw(st.integers(0, len(full)))
    inner = tuple(size if data.draw(st.booleans()) else 1 for size in full[cut:])
    kind = TensorType(data.draw(st.sampled_from(ANY)), inner)
    model = program(lambda x: op.Expand(x, 0), [kind], TensorType(kind.dtype, tuple(full)))
    check(model, [numbered(kind, 2)])


@pytest.mark.parametrize("dtype", ANY)
@pytest.mark.parametrize("inner", [(), (1,), (3,), (2, 5), (64,), (100,)])
def test_gathered_rows(dtype: DType, inner: tuple[int, ...]) -> None:
    rows = 300
    table = numbered(TensorType(dtype, (rows, *inner)), 1)[0]
    kind = TensorType(S32, (2, 7))
    model = program(
        lambda x, t: op.Gather(x, t, 0),
        [kind, fixed(dtype, table)],
        TensorType(dtype, (2, 7, *inner)),
        clip=(0, rows - 1),
    )
    x = np.random.default_rng(0).integers(-5, rows + 5, (3, 2, 7)).astype(np.int32)
    check(model, [x])


@pytest.mark.parametrize("operator", ["transpose", "grid", "gather", "repeat", "pad"])
def test_python_forms(operator: str) -> None:
    kind = TensorType(S16, (9, 17))
    models = {
        "transpose": program(
            lambda x: op.Transpose(x, (1, 0), 0), [kind], TensorType(S16, (17, 9))
        ),
        "grid": program(lambda x: op.Slice(x, (1, 0), (2, 3), 0), [kind], TensorType(S16, (4, 6))),
        "gather": program(
            lambda x, t: op.Gather(x, t, 0),
            [TensorType(S32, (3,)), fixed(S16, numbered(kind, 1)[0])],
            TensorType(S16, (3, 17)),
            clip=(0, 8),
        ),
        "repeat": program(
            lambda x: op.Expand(x, 0), [TensorType(S16, (9, 1))], TensorType(S16, (9, 17))
        ),
        "pad": program(
            lambda x: op.Pad(x, (1, 2), (0, 3), -7, 0), [kind], TensorType(S16, (10, 22))
        ),
    }
    check(models[operator], is_python=True)


def test_reshape_moves_nothing() -> None:
    kind = TensorType(S32, (4, 6))
    draft = Draft()
    x = draft.run(op.Clip(draft.input(kind), -9, 900, 0), kind)
    model = draft.finish(draft.run(op.Reshape(x, 0), TensorType(S32, (3, 8))))
    assert Bench(model, 2).names == ["clip_i4_i4"]
    check(model)


def test_joined_and_cut_images_with_borders() -> None:
    """A convolution pads what Concat joins and what Slice cuts; nothing is copied for it."""
    kind, half = TensorType(U8, (4, 5, 6)), TensorType(U8, (4, 5, 3))
    draft = Draft()
    x, y = draft.input(half), draft.input(half)
    joined = draft.run(op.Concat((x, y), 2, 0), kind)
    cut = draft.run(op.Slice(joined, (0, 0, 1), (1, 1, 2), 0), half)
    outputs = []
    for value, channels, pad in ((joined, 6, 9), (cut, 3, 4)):
        weight = draft.constant(fixed(S8, numbered(TensorType(S8, (3, 3, channels, 2)), 1)[0]))
        bias, scale = draft.constant(fixed(S32, [1, 2])), draft.constant(fixed(S32, [1 << 30] * 2))
        conv = op.Conv(
            value, weight, bias, scale, (1, 1), (1,) * 4, (1, 1), 1, pad, 41, 5, 0, 255, 0
        )
        outputs.append(draft.run(conv, TensorType(U8, (4, 5, 2))))
    model = draft.finish(*outputs)
    assert len(choose_borders(model)) == 2
    inputs = [numbered(half, 2), numbered(half, 2)[:, ::-1].copy()]
    found = run_arrays(plan_model(model), inputs)
    assert np.array_equal(found[0], twin(model, inputs))
