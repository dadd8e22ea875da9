"""The demo's convolution network on all of scikit-learn's digits: at most 0.3 points."""

import numpy as np
import onnxruntime
import pytest

from precompiles.runner import plan_model
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples
from tools.demo import DIGITS_CNN, digits

POINTS = 0.003


@pytest.mark.parametrize("calibration", ["minmax", "mse"])
@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_accuracy(precision: str, calibration: str) -> None:
    images, labels = digits()
    compiled = compile_onnx(DIGITS_CNN, images[::4], precision=precision, calibration=calibration)
    name = compiled.input_names[0]
    inputs = quantize_samples(compiled.model, {name: images})
    got = run_samples(plan_model(compiled.model), inputs)[0].argmax(axis=1)
    session = onnxruntime.InferenceSession(str(DIGITS_CNN), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {name: images})[0].argmax(axis=1)
    assert np.mean(got == labels) >= np.mean(theirs == labels) - POINTS
