"""Networks exported by PyTorch, by both of its exporters (tests/fixtures/onnx)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_classification

from precompiles.runner import plan_model, run_reference
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples

STYLES = ["torchscript", "dynamo"]


def images() -> np.ndarray:
    return load_digits().images.astype(np.float32)[:, np.newaxis] / 16


def rows() -> np.ndarray:
    x, _ = make_classification(
        4000, 20, n_informative=10, n_classes=3, class_sep=1.5, random_state=5
    )
    return x.astype(np.float32)[2000:]


SAMPLES = {
    "image_net": images,
    "sequence_net": lambda: images().reshape(-1, 1, 64),
    "table_net": rows,
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_automatic_precision_keeps_the_labels(
    fixture_path: Callable[[str], Path], name: str, style: str
) -> None:
    compiled = compile_onnx(fixture_path(f"{name}_{style}"), SAMPLES[name]())
    assert compiled.report.agreement is not None
    assert compiled.report.agreement >= 0.995
    assert compiled.report.gas < 300_000
    assert compiled.report.attempts[-1].accepted


@pytest.mark.parametrize(
    ("precision", "agreement", "error"),
    [("int8", 0.99, 0.12), ("int16", 0.995, 0.05), ("wide", 1.0, 2e-4)],
)
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_each_precision(
    fixture_path: Callable[[str], Path], name: str, precision: str, agreement: float, error: float
) -> None:
    samples = SAMPLES[name]()[::3]
    report = compile_onnx(fixture_path(f"{name}_dynamo"), samples, precision=precision).report
    assert report.agreement is not None
    assert report.agreement >= agreement
    assert report.max_abs_error <= error * report.outputs[0].spread


def test_table_net_on_rows_it_was_not_calibrated_on(
    fixture_path: Callable[[str], Path], reference: Callable[..., list[np.ndarray]]
) -> None:
    path = fixture_path("table_net_torchscript")
    every = rows()
    compiled = compile_onnx(path, every[:300])
    codes = quantize_samples(compiled.model, {"x": every})
    got = run_samples(plan_model(compiled.model), codes)[0]
    expected = reference(path.read_bytes(), {"x": every})[0]
    assert np.mean(got.argmax(axis=1) == expected.argmax(axis=1)) >= 0.995


@pytest.mark.parametrize("precision", ["int8", "int16", "wide"])
def test_the_twins_compute_the_same_integers(
    fixture_path: Callable[[str], Path], precision: str
) -> None:
    compiled = compile_onnx(fixture_path("table_net_dynamo"), rows()[:200], precision=precision)
    codes = quantize_samples(compiled.model, {"x": rows()[:6]})
    raw = run_reference(compiled.model, codes[0].tobytes(), 6)
    got = run_samples(plan_model(compiled.model), codes)[0]
    port = compiled.model.outputs[0]
    dtype = {4: "<i4", 5: "<i8"}[int(compiled.model.type_of(port.value).dtype)]
    scale = port.quantization.scale_num / port.quantization.scale_den
    assert np.array_equal(np.frombuffer(raw, dtype).reshape(6, -1) * scale, got)
