"""Convolutions and pools against int64 numpy and the twins, between guard bytes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from precompiles.kernels import jit, tile
from precompiles.kernels.arrays import exact
from precompiles.kernels.depthwise import blocks_of, channel_order
from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from precompiles.reference import run_sample
from tests.precompiles.image_programs import (
    Bench,
    Case,
    conv_int64,
    conv_model,
    digest_of,
    pool_model,
    random_input,
    typed,
)

FORMS = [
    (x_type, out_type)
    for x_type in (DType.U8, DType.S16)
    for out_type in (DType.U8, DType.S8, DType.S16, DType.S32)
]
SAME = (1, 1, 1, 1)
DENSE = (
    Case((7, 9, 16), 24, pads=SAME),
    Case((8, 9, 16), 70, (1, 1), strides=(2, 2)),
    Case((9, 8, 3), 64, (7, 7), (2, 2), (3, 3, 3, 3)),
    Case((12, 12, 1), 6, (5, 5)),
    Case((8, 7, 12), 16, (3, 2), (1, 2), (2, 1, 0, 3), (2, 3), group=2),
    Case((6, 6, 32), 32, pads=SAME, group=8),
    Case((6, 5, 6), 9, pads=SAME, group=3),
    Case((4, 5, 22), 33, group=11),
    Case((5, 4, 14), 35, (2, 2), pads=SAME, dilations=(1, 2), group=7),
    Case((1, 24, 5), 16, (1, 3), pads=(0, 8, 0, 0), dilations=(1, 4)),
    Case((24, 1, 5), 16, (3, 1), pads=(8, 0, 0, 0), dilations=(4, 1)),
    Case((1, 1, 96), 100, (1, 1)),
    Case((3, 3, 20), 10),
    Case((5, 4, 7), 64, (1, 1)),
)
DEPTHWISE = (
    Case((7, 9, 112), 112, pads=SAME, group=112),
    Case((9, 7, 96), 96, pads=SAME, strides=(2, 2), group=96),
    Case((7, 9, 40), 40, (5, 5), pads=(2, 2, 2, 2), group=40),
    Case((9, 9, 24), 24, (4, 3), pads=SAME, group=24),
    Case((5, 9, 17), 17, dilations=(1, 2), strides=(1, 2), group=17),
    Case((1, 29, 40), 40, (1, 3), pads=(0, 2, 0, 0), dilations=(1, 2), group=40),
    Case((29, 1, 5), 10, (3, 1), pads=(2, 0, 0, 0), dilations=(2, 1), group=5),
    Case((6, 6, 3), 3, (2, 2), group=3),
    Case((3, 3, 70), 70, group=70),
)


def check(case: Case, batch: int = 2, seed: int = 0) -> None:
    model = conv_model(case, seed=seed)
    x = random_input(model, batch, seed)
    (out,) = Bench(model, batch).run(x)
    assert np.array_equal(out, conv_int64(model, 0, x)), case


@pytest.mark.parametrize(("x_type", "out_type"), FORMS)
@pytest.mark.parametrize("case", [*DENSE, *DEPTHWISE], ids=str)
def test_convolutions_of_every_form(case: Case, x_type: DType, out_type: DType) -> None:
    case = typed(case, x_type, out_type)
    check(case)
    check(replace(case, shift=26, least_multiplier=1 << 10))  # sums with bits to spare
    check(replace(case, shift=9, least_multiplier=1))  # the wide rounding
    low, high = out_type.bounds
    check(replace(case, ends=(low // 2 + 3, high // 2), zero_point=max(-9, low)), batch=1)


@pytest.mark.parametrize("channels", [*range(1, 36), 47, 48, 63, 64, 65, 79, 80, 96, 127, 130])
def test_channel_tails(channels: int) -> None:
    check(Case((4, 5, channels), channels, pads=SAME, group=channels))
    check(Case((4, 5, 5), channels, pads=SAME))
    check(Case((5, 4, channels), 18, (2, 3)))
    check(Case((4, 4, channels), channels, group=channels, x_type=DType.S16))


@pytest.mark.parametrize("height", range(1, 7))
@pytest.mark.parametrize("width", range(1, 10))
def test_window_tails(height: int, width: int) -> None:
    for filters in (8, 32, 64):
        check(Case((height, width, 8), filters, (1, 1)), batch=3)
        check(Case((height, width, 8), filters, (3, 2), pads=(1, 0, 1, 1)), batch=3)
    check(Case((height, width, 32), 32, (3, 3), pads=SAME, group=32))


@given(st.data())
@settings(max_examples=60)
def test_random_convolutions(data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    group = pick(1, 9)
    kernel, dilations = (pick(1, 4), pick(1, 4)), (pick(1, 3), pick(1, 3))
    pads = (pick(0, 3), pick(0, 3), pick(0, 3), pick(0, 3))
    case = Case(
        (pick(1, 9), pick(1, 9), group * pick(1, 7)),
        group * pick(1, 9),
        kernel,
        (pick(1, 3), pick(1, 3)),
        pads,
        dilations,
        group,
        shift=pick(24, 45),
    )
    assume(min(case.out_shape) > 0)
    model = conv_model(typed(case, *data.draw(st.sampled_from(FORMS))), seed=pick(0, 99))
    x = random_input(model, 2)
    expected = conv_int64(model, 0, x)
    (out,) = Bench(model, 2).run(x)
    assert np.array_equal(out, expected)
    (twin,) = run_sample(model, [exact(x[1])])
    assert np.array_equal(expected[1], twin.astype(np.int64))


@pytest.mark.parametrize("case", [*DENSE, *DEPTHWISE], ids=str)
def test_the_python_form_gives_the_same_integers(case: Case) -> None:
    for x_type, out_type in ((DType.U8, DType.S8), (DType.S16, DType.S16)):
        for shift in (26, 40):
            model = conv_model(replace(typed(case, x_type, out_type), shift=shift))
            x = random_input(model, 2)
            (out,) = Bench(model, 2).run(x)
            assert np.array_equal(out, Bench(model, 2).run(x, is_python=True)[0])


def test_borders_are_written_in_place_by_the_layer_before() -> None:
    first = Case((9, 11, 5), 24, pads=SAME, pad_value=9)
    second = Case(first.out_shape, 24, (5, 5), (1, 2), (2, 1, 2, 3), group=24, pad_value=200)
    third = Case(second.out_shape, 33, pads=(0, 1, 2, 0), pad_value=3)
    model = conv_model(first, second, third)
    bench = Bench(model, 3)
    assert "pad_image" not in bench.names
    for seed in range(2):
        x = random_input(model, 3, seed)
        for index, out in enumerate(bench.run(x)):
            x = conv_int64(model, index, x)
            assert np.array_equal(out, x)


def test_a_border_of_another_value_is_a_copy() -> None:
    case = Case((6, 5, 8), 8, pads=SAME, pad_value=1)
    model = conv_model(case, typed(replace(case, shape=case.out_shape), DType.U8, DType.U8))
    first, again = model.instructions
    assert isinstance(again, op.Conv)
    again = replace(again, x=model.inputs[0].value, pad_value=250)
    model = replace(model, instructions=(first, again))
    bench = Bench(model, 2)
    assert bench.names.count("pad_image") == 2
    x = random_input(model, 2)
    for index, out in enumerate(bench.run(x)):
        assert np.array_equal(out, conv_int64(model, index, x))


@pytest.mark.parametrize("planes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("width", [3, 15, 16, 17, 40])
@pytest.mark.parametrize("pads", [SAME, (0, 0, 0, 0), (2, 0, 1, 3)])
def test_planes_become_pixels(planes: int, width: int, pads: tuple[int, int, int, int]) -> None:
    model = conv_model(Case((5, width, planes), 8, pads=pads))
    (conv,) = model.instructions
    assert isinstance(conv, op.Conv)
    turned = op.Transpose(conv.x, (1, 2, 0), conv.x + 1)
    conv = replace(conv, x=conv.x + 1, output=conv.x + 2)
    tensors = (TensorType(DType.U8, (planes, 5, width)), *model.tensors)
    outputs = (replace(model.outputs[0], value=conv.output),)
    model = replace(model, outputs=outputs, tensors=tensors, instructions=(turned, conv))
    bench = Bench(model, 2)
    assert ("interleave_planes" in bench.names) == (1 < planes < 5 and width > 15)
    x = random_input(model, 2)
    expected = conv_int64(model, 1, x.transpose(0, 2, 3, 1))
    assert np.array_equal(bench.run(x)[0], expected)
    assert np.array_equal(bench.run(x, is_python=True)[0], expected)


@pytest.mark.parametrize("channels", [1, 6, 8, 15, 16, 17, 24, 33, 64, 70, 130])
@pytest.mark.parametrize("x_type", [DType.U8, DType.S8, DType.S16])
@pytest.mark.parametrize("average_type", [None, DType.U8, DType.S8, DType.S16])
def test_pools(channels: int, x_type: DType, average_type: DType | None) -> None:
    for kernel, pads in (((3, 2), (1, 0, 2, 1)), ((2, 2), (0, 0, 0, 0)), ((6, 5), (0, 0, 0, 0))):
        shape = (6, 5, channels)
        model = pool_model(shape, kernel, (2, 1), pads, x_type, average_type)
        x = random_input(model, 2)
        (out,) = Bench(model, 2).run(x)
        (same,) = Bench(model, 2).run(x, is_python=True)
        assert np.array_equal(out, same)
        (twin,) = run_sample(model, [exact(x[1])])
        assert np.array_equal(out[1], twin.astype(np.int64))


@pytest.mark.parametrize("shape", [(300, 400, 1), (2, 40_000, 3), (66_000, 1, 2)])
@pytest.mark.parametrize("average_type", [DType.U8, DType.S16])
def test_an_average_over_more_than_32_bits(
    average_type: DType, shape: tuple[int, int, int]
) -> None:
    model = pool_model(shape, shape[:2], (1, 1), (0, 0, 0, 0), DType.S16, average_type, 50)
    x = random_input(model, 2)
    x[:] = np.where(x < 0, x, 32767)
    bench = Bench(model, 2)
    assert bench.names[0].startswith("average_pool_long")
    (twin,) = run_sample(model, [exact(x[1])])
    (out,) = bench.run(x)
    assert np.array_equal(out[1], twin.astype(np.int64))


def test_an_average_of_bytes_over_more_than_32_bits() -> None:
    shape = (3000, 3000, 1)
    model = pool_model(shape, shape[:2], (1, 1), (0, 0, 0, 0), DType.S8, DType.S16, 50)
    x = random_input(model, 1)
    item = model.instructions[0]
    assert isinstance(item, op.AveragePool)
    total = int(x.astype(np.int64).sum()) - item.x_zero_point * x.size
    multiplier = int(np.frombuffer(model.constants[0].data, np.int32)[0])
    scaled = item.zero_point + ((total * multiplier + (1 << 49)) >> 50)
    assert Bench(model, 1).run(x)[0].item() == min(max(scaled, item.lo), item.hi)


def test_channels_are_covered_once_and_in_order() -> None:
    for size in (1, 2):
        for channels in range(1, 300):
            blocks = blocks_of(channels, size)
            covered = {c for lanes, first in blocks for c in range(first, first + lanes // size)}
            assert covered >= set(range(channels))
            assert len(blocks) == 1 or max(covered) == channels - 1
        for lanes in (16, 32, 64):
            order = channel_order(lanes, size)
            assert sorted(order.reshape(-1)) == list(range(lanes // size))


SCRIPT = """
from tests.precompiles.image_programs import digest_of
from tests.precompiles.test_kernels_images import processor_cases
print(digest_of(processor_cases()))
"""


def processor_cases() -> list[Case]:
    """Every kernel of convolutions."""
    cases = [typed(case, *form) for form in FORMS for case in (DENSE[0], DENSE[3], DEPTHWISE[2])]
    cases += [replace(case, shift=shift, least_multiplier=1) for case in cases for shift in (9, 26)]
    return cases + [case for case in (*DENSE, *DEPTHWISE) if case.x_type is DType.U8]


def foreign_digest(cache: Path, **environment: str) -> str:
    root = Path(jit.__file__).parent.parent.parent
    fixed = {"ASSAY_CACHE_DIR": str(cache), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={**os.environ, **fixed, **environment},
        cwd=cache,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_CPU_NAME": "skylake-avx512", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_BOUNDSCHECK": "1"},
        {"NUMBA_DISABLE_JIT": "1"},
    ],
    ids=str,
)
def test_other_processors_give_the_same_integers(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    assert foreign_digest(tmp_path, **environment) == digest_of(processor_cases())


def test_a_wrong_tap_is_seen() -> None:
    """The comparison of this file notices one swapped weight."""
    model = conv_model(DENSE[0])
    bench = Bench(model, 1)
    x = random_input(model, 1)
    lane = 8 * tile.LANES  # behind bias and multipliers of the first panel
    weights = bench.weights.copy()
    place = bench.planner.steps[-1].args[tile.PANELS]
    assert isinstance(place, int)
    weights[place + lane] ^= 1
    bench.weights = weights
    assert not np.array_equal(bench.run(x)[0], conv_int64(model, 0, x))
