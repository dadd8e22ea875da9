"""Volatility forecasters (LSTM, GRU, shape [10, 4]) and a dilated TCN [24, 5], held-out candles."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

from precompiles.runner import plan_model
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples

FIXTURES = Path(__file__).parents[1] / "fixtures" / "onnx"
GOAL = 0.005


@pytest.fixture(scope="module")
def networks() -> ModuleType:
    """The script that made the networks: its data are made here again, with other seeds."""
    spec = importlib.util.spec_from_file_location("networks", FIXTURES / "make_networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative_errors(name: str, seen: Any, held_out: Any, precision: str) -> tuple[float, float]:
    """Mean and largest error on held-out rows, relative to the range of the output."""
    path = FIXTURES / f"{name}.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": held_out})[0]
    model = compile_onnx(path, seen, precision=precision).model
    got = run_samples(plan_model(model), quantize_samples(model, {"x": held_out}))[0]
    error = np.abs(got - expected) / np.ptp(expected)
    return float(error.mean()), float(error.max())


@pytest.mark.parametrize("precision", ["auto", "int16", "wide"])
@pytest.mark.parametrize("name", ["forecaster_lstm", "forecaster_gru", "tcn"])
def test_relative_error_on_candles_never_seen(
    networks: ModuleType, name: str, precision: str
) -> None:
    build = networks.features if name == "tcn" else networks.windows
    seen, _ = build(networks.candles(700, seed=2))
    held_out, _ = build(networks.candles(700, seed=3))
    mean, largest = relative_errors(name, seen, held_out, precision)
    assert mean <= GOAL
    if precision != "int16":  # whose weights have 8 bits
        assert largest <= GOAL
