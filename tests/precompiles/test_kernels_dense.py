"""Matrix products against int64 numpy and the twins, between guard bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.kernels import jit, tile
from precompiles.kernels.arrays import Array, exact
from precompiles.model.types import DType, IntegerModel
from precompiles.reference import run_sample
from tests.precompiles.dense_programs import (
    NARROW,
    S8,
    S16,
    S32,
    S64,
    SPARE,
    U8,
    WIDE,
    Bench,
    Rescale,
    digest_of,
    expected,
    gemm_model,
    linear_model,
    matmul_model,
    random_inputs,
)

OUTPUTS = (U8, S8, S16, S32)
PAIRS = ((U8, S8), (S16, S8), (S16, S16))
CHANNELS = (*range(1, 36), 47, 48, 49, 63, 64, 65, 70, 79, 80, 96, 112, 113, 127, 128, 130)


def random_weight(depth: int, channels: int, seed: int = 0, limit: int = 128) -> Array:
    return np.random.default_rng(seed).integers(-limit, limit, (depth, channels))


def check(model: IntegerModel, inputs: list[Array] | None = None, batch: int = 2) -> None:
    if inputs is None:  # the sums of two computed matrices must fit, too
        limit = 1 << 30 if len(model.inputs) == 1 else 3000
        inputs = random_inputs(model, batch, limit=limit)
    bench, wanted = Bench(model, batch), expected(model, inputs)
    assert np.array_equal(bench.run(inputs), wanted)


@pytest.mark.parametrize("out_type", OUTPUTS)
@pytest.mark.parametrize("x_type", [U8, S16])
def test_gemm_of_every_form(x_type: DType, out_type: DType) -> None:
    for channels in (5, 16, 40, 100):
        weight = random_weight(37, channels)
        for rescale in (NARROW, SPARE, WIDE, Rescale(40, 20, (7, 111)), Rescale(62), Rescale(33)):
            model = gemm_model(9, weight, x_type, out_type, rescale)
            inputs = random_inputs(model, 2)
            bench, wanted = Bench(model, 2), expected(model, inputs)
            assert np.array_equal(bench.run(inputs), wanted)
            assert np.array_equal(bench.run(inputs, is_python=True), wanted)
            (twin,) = run_sample(model, [exact(inputs[0][1])])
            assert np.array_equal(wanted[1], twin.astype(np.int64))


@pytest.mark.parametrize("channels", CHANNELS)
def test_channel_tails(channels: int) -> None:
    for rows in (1, 4, 5, 11):
        check(gemm_model(rows, random_weight(21, channels)))
        check(gemm_model(rows, random_weight(9, channels), S16, S16))
    check(gemm_model(3, random_weight(8, channels), U8, S32))
    check(matmul_model((2, 5, 11), channels))
    check(matmul_model((3, 18), channels, (S16, S16, S8), True, 77, Rescale(50)))


@pytest.mark.parametrize("depth", [*range(1, 40), 63, 64, 65, 66, 67, 70])
def test_depth_tails(depth: int) -> None:
    for rows in (1, 7):
        check(gemm_model(rows, random_weight(depth, 70)))
        check(gemm_model(rows, random_weight(depth, 20), S16, S16))
    for a_type, b_type in PAIRS:
        for is_turned in (False, True):
            types = a_type, b_type, S16
            check(matmul_model((2, 3, depth), 50, types, is_turned, 5, Rescale(50)))


@pytest.mark.parametrize("rows", range(1, 71))
def test_row_tails(rows: int) -> None:
    for channels in (8, 33, 64):
        check(gemm_model(rows, random_weight(6, channels)), batch=1 + rows % 3)
    check(matmul_model((2, rows, 5), 40))


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize(("a_type", "b_type"), PAIRS)
@pytest.mark.parametrize("out_type", OUTPUTS)
def test_matmul_of_every_form(
    a_type: DType, b_type: DType, out_type: DType, is_turned: bool
) -> None:
    types = a_type, b_type, out_type
    for shape, channels in (((3, 5, 19), 70), ((2, 1, 2, 8), 33), ((4, 33), 6)):
        for rescale in (Rescale(48), SPARE, WIDE):
            for zero_point in (0, 131):
                model = matmul_model(shape, channels, types, is_turned, zero_point, rescale)
                inputs = random_inputs(model, 2, limit=5000)
                bench, wanted = Bench(model, 2), expected(model, inputs)
                assert np.array_equal(bench.run(inputs), wanted)
                assert np.array_equal(bench.run(inputs, is_python=True), wanted)
        (twin,) = run_sample(model, [exact(x[1]) for x in inputs])
        assert np.array_equal(wanted[1], twin.astype(np.int64))


@given(st.data())
@settings(max_examples=80)
def test_random_products(data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    rescale = Rescale(
        pick(1, 62), pick(-300, 300), (pick(0, 40), pick(41, 127)), 1, 1 << pick(5, 31) - 1
    )
    out_type, seed = data.draw(st.sampled_from(OUTPUTS)), pick(0, 99)
    if data.draw(st.booleans()):
        weight = random_weight(pick(1, 70), pick(1, 140), seed)
        x_type = data.draw(st.sampled_from((U8, S16)))
        model = gemm_model(pick(1, 20), weight, x_type, out_type, rescale, seed=seed)
    else:
        shape = *(pick(1, 3) for _ in range(pick(0, 2))), pick(1, 20), pick(1, 70)
        types = *data.draw(st.sampled_from(PAIRS)), out_type
        model = matmul_model(shape, pick(1, 140), types, bool(pick(0, 1)), pick(0, 255), rescale)
    inputs = random_inputs(model, 2, seed, limit=3000)
    wanted = expected(model, inputs)
    assert np.array_equal(Bench(model, 2).run(inputs), wanted)
    (twin,) = run_sample(model, [exact(x[0]) for x in inputs])
    assert np.array_equal(wanted[0], twin.astype(np.int64))


@pytest.mark.parametrize("rows", [1, 9])
@pytest.mark.parametrize("channels", [2, 64])
def test_the_longest_extreme_sum(rows: int, channels: int) -> None:
    """255 * -128 * 65,793 = -2,147,483,520, the most that int32 holds."""
    weight = np.full((65_793, channels), -128)
    weight[:, 1] = 127
    for rescale in (
        Rescale(31, 0, None, (1 << 31) - 1),
        Rescale(33, 1, None, (1 << 31) - 1),
        Rescale(62, 0, None, (1 << 31) - 1),
        Rescale(1, 0, None, 1, 1),
    ):
        for out_type in (S32, S16, U8):
            model = gemm_model(rows, weight, U8, out_type, rescale, bias=0)
            check(model, [np.full((1, rows, 65_793), 255, np.uint8)], 1)


def test_the_longest_extreme_sum_of_16_bits() -> None:
    weight = np.full((512, 65), -128)
    for value in (32_767, -32_767):
        model = gemm_model(5, weight, S16, S32, Rescale(31, 0, None, (1 << 31) - 1), bias=0)
        check(model, [np.full((1, 5, 512), value, np.int16)], 1)
    for values in ((32_767, -32_768), (-32_767, -32_768)):
        model = matmul_model((1, 2), 33, (S16, S16, S32), False, 0, Rescale(33))
        a, b = (
            np.full((1, *s), v, np.int16) for s, v in zip(((1, 2), (2, 33)), values, strict=True)
        )
        check(model, [a, b], 1)


@pytest.mark.parametrize("x_type", [S32, S64])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 31, 64, 70])
def test_linear_integer(depth: int, x_type: DType) -> None:
    rng = np.random.default_rng(depth)
    for channels in (1, 2, 3, 4, 5, 7, 31, 32, 33, 70):
        weight = rng.integers(-(1 << 31), 1 << 31, (depth, channels))
        bias = rng.integers(-(1 << 61), 1 << 61, channels)
        model = linear_model(3, weight, bias, x_type)
        inputs = random_inputs(model, 2, limit=1 << 24)
        bench, wanted = Bench(model, 2), expected(model, inputs)
        assert np.array_equal(bench.run(inputs), wanted)
        assert np.array_equal(bench.run(inputs, is_python=True), wanted)
    (twin,) = run_sample(model, [exact(inputs[0][0])])
    assert np.array_equal(twin.astype(np.int64), wanted[0])


def test_linear_integer_to_the_last_bit() -> None:
    for channels in (1, 33):
        weight = np.full((2, channels), -(1 << 31))
        model = linear_model(1, weight, np.full(channels, -1), S64)
        check(model, [np.array([[[1 << 31, (1 << 31) - 1]]])], 1)
        check(model, [np.array([[[-(1 << 31), 1 - (1 << 31)]]])], 1)


def test_a_form_is_narrow_as_far_as_the_sums_allow() -> None:
    for x_type, depth, shift, name in (
        (U8, 32, 22, "product_u8_q8"),  # 33 - 22 = 11 bits, 31 - 20
        (U8, 32, 21, "product_u8_q8_wide"),
        (U8, 33, 22, "product_u8_q8_wide"),
        (S16, 63, 30, "product_s16_q8"),
        (S16, 64, 30, "product_s16_q8_wide"),
    ):
        weight = np.full((depth, 20), -128)
        rescale = Rescale(shift, 0, None, 1 << 20, 1 << 20)
        model = gemm_model(5, weight, x_type, U8, rescale, bias=3)
        assert Bench(model, 1).names == [name]
        dtype = np.dtype(np.uint8 if x_type is U8 else np.int16)
        low, high = x_type.bounds
        for value in (low + 1, high, 1, 0):
            check(model, [np.full((1, 5, depth), value, dtype)], 1)


def test_channels_are_covered_in_order() -> None:
    for channels in range(1, 300):
        panels = tile.widths_of(channels)
        covered = {c for vectors, first in panels for c in range(first, first + 16 * vectors)}
        assert covered >= set(range(channels))
        assert channels < tile.LANES or max(covered) == channels - 1
    for vectors in (1, 2, 4):
        for stored in (1, 2, 4):
            order = tile.channel_order(vectors, stored)
            assert sorted(order) == list(range(16 * vectors))


SCRIPT = """
from tests.precompiles.dense_programs import digest_of
from tests.precompiles.test_kernels_dense import processor_models
print(digest_of(processor_models()))
"""


def processor_models() -> list[IntegerModel]:
    """Every kernel of matrix products, and every width and height of tile."""
    models = []
    for out_type in OUTPUTS:
        for rescale in (Rescale(48), SPARE, WIDE):
            for channels in (70, 40, 5):
                weight = random_weight(19, channels)
                models += [gemm_model(10, weight, x, out_type, rescale) for x in (U8, S16)]
            models += [
                matmul_model((2, 6, 23), 70, (*pair, out_type), is_turned, 9, rescale)
                for pair in PAIRS
                for is_turned in (False, True)
            ]
    models += [gemm_model(1, random_weight(70, 130)), gemm_model(3, random_weight(3, 33))]
    bias = np.arange(40)
    models += [
        linear_model(2, random_weight(50, n), bias[:n], x) for n in (3, 40) for x in (S32, S64)
    ]
    return models


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
    ("processor", "features"),
    [
        ("generic", ""),
        ("x86-64-v3", ""),
        ("x86-64-v3", "+avx2,+sse2"),
        ("x86-64-v4", "+avx512f,+avx512bw,+avx512vl,+avx512dq,+avx2,+sse2"),
        ("x86-64-v4", "+avx512f,+avx512vl,+avx512vnni,+avx2,+sse2"),
        ("alderlake", "+avxvnni,+avx2,+sse2"),
    ],
)
def test_other_processors_give_the_same_integers(
    tmp_path: Path, processor: str, features: str
) -> None:
    host = pytest.importorskip("llvmlite.binding").get_host_cpu_features()
    if not all(host.get(item.removeprefix("+")) for item in features.split(",") if item):
        pytest.skip("this processor cannot run them")
    found = foreign_digest(tmp_path, NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features)
    assert found == digest_of(processor_models())


@pytest.mark.slow
@pytest.mark.parametrize("switch", ["NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"])
def test_other_ways_to_run_give_the_same_integers(tmp_path: Path, switch: str) -> None:
    assert foreign_digest(tmp_path, **{switch: "1"}) == digest_of(processor_models())


def test_a_wrong_weight_is_seen() -> None:
    """The comparison of this file notices one changed bit."""
    model = gemm_model(5, random_weight(12, 20))
    bench, inputs = Bench(model, 1), random_inputs(model, 1)
    weights = bench.weights.copy()
    place = bench.planner.steps[-1].args[tile.PANELS]
    assert isinstance(place, int)
    weights[place + 8 * tile.LANES] ^= 1
    bench.weights = weights
    assert not np.array_equal(bench.run(inputs), expected(model, inputs))
