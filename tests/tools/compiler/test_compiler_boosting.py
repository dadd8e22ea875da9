"""xgboost and LightGBM models through onnxmltools, missing values included."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine, make_classification

from tools.compiler import compile_onnx

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")


def convert(model: Any, features: int) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnxmltools import convert_lightgbm, convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        one = convert_xgboost if "xgboost" in type(model).__module__ else convert_lightgbm
        kinds = [("x", FloatTensorType([None, features]))]
        return one(model, initial_types=kinds, target_opset=15).SerializeToString()


def fit(model: Any, x: np.ndarray, y: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, y)


MODELS: dict[str, Callable[..., Any]] = {
    "xgboost": lambda **kw: xgboost.XGBClassifier(n_estimators=60, n_jobs=1, **kw),
    "lightgbm": lambda **kw: lightgbm.LGBMClassifier(n_estimators=60, n_jobs=1, verbose=-1, **kw),
}


@pytest.mark.parametrize("library", sorted(MODELS))
def test_two_thousand_unseen_rows_keep_their_label(library: str) -> None:
    x, y = make_classification(4000, 20, n_informative=8, random_state=1)
    x = x.astype(np.float32)
    model = fit(MODELS[library](), x[:2000], y[:2000])
    report = compile_onnx(convert(model, 20), x[2000:]).report
    assert report.samples == 2000
    assert report.agreement == 1.0
    assert report.max_abs_error < 2e-6


@pytest.mark.parametrize("library", sorted(MODELS))
def test_breast_cancer(library: str) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    model = fit(MODELS[library](), x[:400], y[:400])
    report = compile_onnx(convert(model, 30), x).report
    assert report.agreement == 1.0
    assert report.max_abs_error < 2e-6


@pytest.mark.parametrize("library", sorted(MODELS))
def test_three_classes(library: str) -> None:
    x, y = load_wine(return_X_y=True)
    x = x.astype(np.float32)
    model = fit(MODELS[library](), x, y)
    report = compile_onnx(convert(model, 13), x).report
    assert report.agreement == 1.0
    assert report.outputs[0].shape == (3,)
    assert report.max_abs_error < 5e-6


@pytest.mark.parametrize("library", sorted(MODELS))
def test_missing_values(library: str) -> None:
    x, y = make_classification(1500, 10, n_informative=6, random_state=2)
    x = x.astype(np.float32)
    x[np.random.default_rng(0).random(x.shape) < 0.2] = np.nan
    model = fit(MODELS[library](), x[:700], y[:700])
    report = compile_onnx(convert(model, 10), x[700:]).report
    assert report.agreement == 1.0
    assert report.max_abs_error < 2e-6


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_regressors(library: str) -> None:
    x, y = load_diabetes(return_X_y=True)
    x = x.astype(np.float32)
    kinds = {
        "xgboost": lambda: xgboost.XGBRegressor(n_estimators=40, n_jobs=1),
        "lightgbm": lambda: lightgbm.LGBMRegressor(n_estimators=40, n_jobs=1, verbose=-1),
    }
    model = fit(kinds[library](), x, y)
    report = compile_onnx(convert(model, 10), x).report
    assert report.max_abs_error <= 1e-6 * report.outputs[0].spread
