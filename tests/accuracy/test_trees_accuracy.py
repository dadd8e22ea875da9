"""Tree ensembles on 2,000 rows that they were not trained on: no label may change."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import IsolationForest, RandomForestClassifier

from precompiles.runner import plan_model
from tools.compiler import Compiled, compile_model
from tools.compiler.report import quantize_samples, run_samples

ROWS = 2000
MARGIN = 1e-5


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, their labels, and 2,000 other rows."""
    x, y = make_classification(
        2 * ROWS, 20, n_informative=8, n_classes=3, flip_y=0.05, random_state=4
    )
    return x[:ROWS].astype(np.float32), y[:ROWS], x[ROWS:].astype(np.float32)


def run(compiled: Compiled, x: np.ndarray) -> np.ndarray:
    name = compiled.input_names[0]
    inputs = quantize_samples(compiled.model, {name: x})
    return run_samples(plan_model(compiled.model), inputs)[0]


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_boosted_trees_from_their_own_files(package: str, tmp_path: Any) -> None:
    module = pytest.importorskip(package)
    x, y, unseen = rows()
    path = tmp_path / "model.ubj"
    if package == "xgboost":
        model = module.XGBClassifier(n_estimators=33, max_depth=6).fit(x, y)
        model.save_model(path)
    else:
        model = module.LGBMClassifier(n_estimators=33, num_leaves=31, verbose=-1).fit(x, y)
        model.booster_.save_model(path)
    got, wanted = run(compile_model(path, None), unseen), model.predict_proba(unseen)
    assert int((got.argmax(axis=1) != wanted.argmax(axis=1)).sum()) == 0
    assert np.abs(got - wanted).max() < MARGIN


FORESTS: dict[str, Callable[[], Any]] = {
    "random forest": lambda: RandomForestClassifier(30, max_depth=10, random_state=0),
    "isolation forest": lambda: IsolationForest(n_estimators=30, random_state=0),
}


@pytest.mark.parametrize("name", sorted(FORESTS))
def test_forests_from_onnx(name: str) -> None:
    import onnxruntime

    x, y, unseen = rows()
    model = FORESTS[name]().fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx  # type: ignore[import-untyped]

        options = {id(model): {"zipmap": False}} if name == "random forest" else None
        versions = {"": 17, "ai.onnx.ml": 3}
        data = to_onnx(model, x[:1], options=options, target_opset=versions).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"X": unseen})[1]
    got = run(compile_model(data, x), unseen)
    if name == "random forest":
        flips = got.argmax(axis=1) != wanted.argmax(axis=1)
    else:
        flips = (got >= 0) != (wanted >= 0)
    assert int(flips.sum()) == 0
    assert np.abs(got - wanted).max() < MARGIN
