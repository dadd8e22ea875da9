"""Histograms, ranges of 8-bit grids, bias correction, statistics of moved tensors."""

from collections.abc import Callable

import numpy as np
import pytest
from onnx.helper import make_node

from tools.compiler import CompileError, compile_onnx
from tools.compiler.calibrate import METHODS, calibrate
from tools.compiler.front import float_graph
from tools.compiler.histogram import BINS, Histogram, best_range, percentile_range
from tools.compiler.onnx_import import import_onnx
from tools.compiler.passes import optimise
from tools.compiler.samples import check_samples
from tools.compiler.spans import Range


def filled(values: np.ndarray, pieces: int = 1) -> Histogram:
    histogram = Histogram()
    for part in np.array_split(values, pieces):
        histogram.update(part)
    return histogram


def test_a_histogram_grows_and_loses_no_count() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=5000) * 2.0**k for k in range(8)])
    streamed, whole = filled(values, 8), filled(values)
    assert streamed.counts.sum() == whole.counts.sum() == values.size
    assert streamed.width == whole.width
    assert np.abs(np.cumsum(streamed.counts - whole.counts)).max() <= 0.01 * values.size
    assert streamed.power() == pytest.approx(float(np.mean(values**2)), rel=0.02)


def test_a_histogram_ignores_what_is_not_finite_and_counts_zeros_apart() -> None:
    histogram = filled(np.array([0.0, 1.0, np.nan, np.inf, -2.0, 0.0]))
    assert histogram.counts.sum() == 2
    assert histogram.zeros == 2
    assert len(histogram.counts) == BINS
    assert filled(np.zeros(5)).power() == 0.0


def test_noise_is_that_of_rounding() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(-1, 1, 60_000)
    step = 2.0 / 255
    rounded = np.rint(values / step) * step
    assert filled(values).noise(-1.0, 1.0) == pytest.approx(
        float(np.mean((values - rounded) ** 2)), rel=0.1
    )


def test_the_best_range_cuts_rare_outliers_only() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=50_000)
    found = Range(float(values.min()), float(values.max()))
    cut = best_range(filled(values), found)
    assert found.low < cut.low < -2.5
    assert 2.5 < cut.high < found.high
    flat = rng.uniform(0, 1, 50_000)
    assert best_range(filled(flat), Range(0.0, 1.0)).high > 0.95


def test_percentiles() -> None:
    values = np.concatenate([np.linspace(0, 1, 50_000), [100.0]])
    cut = percentile_range(filled(values), Range(0.0, 100.0))
    assert cut.high < 2.0
    assert cut.low == 0.0


def network(make_onnx: Callable[..., bytes], seed: int = 0) -> tuple[bytes, np.ndarray]:
    rng = np.random.default_rng(seed)
    nodes = [
        make_node("Gemm", ["x", "w0", "b0"], ["h0"]),
        make_node("Relu", ["h0"], ["h1"]),
        make_node("Gemm", ["h1", "w1", "b1"], ["h2"]),
        make_node("Relu", ["h2"], ["h3"]),
        make_node("Gemm", ["h3", "w2", "b2"], ["y"]),
    ]
    constants = {
        "w0": rng.normal(size=(700, 48)).astype(np.float32) / 20,
        "b0": rng.normal(size=48).astype(np.float32) / 10,
        "w1": rng.normal(size=(48, 32)).astype(np.float32) / 6,
        "b1": rng.normal(size=32).astype(np.float32) / 10,
        "w2": rng.normal(size=(32, 8)).astype(np.float32) / 5,
        "b2": np.zeros(8, dtype=np.float32),
    }
    x = rng.normal(size=(400, 700)).astype(np.float32)
    return make_onnx(nodes, {"x": [700]}, constants), x


@pytest.mark.parametrize("method", METHODS)
def test_every_method_compiles(make_onnx: Callable[..., bytes], method: str) -> None:
    data, x = network(make_onnx)
    report = compile_onnx(data, x, precision="int8", calibration=method).report
    assert report.outputs[0].mean_abs_error < 0.02 * report.outputs[0].spread


def test_an_unknown_method_is_refused(make_onnx: Callable[..., bytes]) -> None:
    data, x = network(make_onnx)
    with pytest.raises(CompileError, match="minmax"):
        compile_onnx(data, x, calibration="magic")


def test_biases_take_the_mean_error_of_rounded_weights(make_onnx: Callable[..., bytes]) -> None:
    """With inputs far from zero the rounding of weights shifts every output of a channel."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(64, 8)).astype(np.float32)
    weight[0] *= 30
    nodes = [make_node("Reshape", ["x", "s"], ["f"]), make_node("MatMul", ["f", "w"], ["y"])]
    constants = {"w": weight, "s": np.array([-1, 64], dtype=np.int64)}
    data = make_onnx(nodes, {"x": [8, 8]}, constants)
    x = (5 + rng.normal(size=(600, 8, 8)) / 4).astype(np.float32)
    compiled = compile_onnx(data, x, precision="int8")
    from precompiles.runner import plan_model
    from tools.compiler.report import quantize_samples, run_samples

    got = run_samples(plan_model(compiled.model), quantize_samples(compiled.model, {"x": x}))[0]
    error = got - x.reshape(600, 64) @ weight
    assert np.abs(error.mean(axis=0)).max() < 0.1 * np.abs(error).max()


def test_statistics_know_tensors_that_the_file_does_not_name(
    make_onnx: Callable[..., bytes],
) -> None:
    data, x = network(make_onnx)
    model = import_onnx(data)
    samples = check_samples(model.inputs, x)
    graph = optimise(float_graph(model, samples))
    seen: list[tuple[int, int]] = []
    found = calibrate(
        model, graph, samples, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (400, 400)
    assert {item.output for item in graph.operations} <= found.statistics.ranges.keys()
    assert found.statistics.means["x"].shape == (700,)
    assert len(found.outputs["y"]) == 400
