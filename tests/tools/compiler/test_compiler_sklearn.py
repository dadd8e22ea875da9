"""scikit-learn estimators trained here, exported by skl2onnx, against onnxruntime."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
)
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from precompiles.gas import gas_for
from tools.compiler import compile_onnx


def blobs() -> tuple[np.ndarray, np.ndarray]:
    return make_classification(4000, 20, n_informative=8, random_state=0)


LOADERS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "cancer": lambda: load_breast_cancer(return_X_y=True),
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "blobs": blobs,
}

Export = Callable[..., bytes]


def train(model: Any, name: str) -> np.ndarray:
    """Fit on the first 2,000 rows; the last 2,000 are the samples."""
    features, target = LOADERS[name]()
    features = features.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations are enough here
        model.fit(features[:2000], target[:2000])
    return features[-2000:]


CLASSIFIERS = {
    "scaled logistic regression": (
        make_pipeline(StandardScaler(), LogisticRegression()),
        "cancer",
        1e-5,
    ),
    "min-max logistic regression": (
        make_pipeline(MinMaxScaler(), LogisticRegression()),
        "cancer",
        1e-5,
    ),
    "unscaled logistic regression": (LogisticRegression(max_iter=500), "cancer", 5e-5),
    "three-class logistic regression": (LogisticRegression(max_iter=500), "wine", 1e-5),
    "principal components": (
        make_pipeline(StandardScaler(), PCA(5), LogisticRegression()),
        "wine",
        1e-5,
    ),
    "linear support vectors": (LinearSVC(), "iris", 1e-5),
    "one hidden layer": (
        make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=80, random_state=0)),
        "cancer",
        0.03,
    ),
    "two hidden layers": (
        make_pipeline(StandardScaler(), MLPClassifier((32, 32), max_iter=30, random_state=0)),
        "blobs",
        0.05,
    ),
    "tanh layer": (
        MLPClassifier((24,), activation="tanh", max_iter=40, random_state=0),
        "blobs",
        0.05,
    ),
    "digits layer": (MLPClassifier((48,), max_iter=40, random_state=0), "digits", 0.05),
    "decision tree": (DecisionTreeClassifier(max_depth=6, random_state=0), "wine", 1e-6),
    "boosted trees": (GradientBoostingClassifier(n_estimators=30, random_state=0), "cancer", 2e-6),
    "three-class boosting": (
        GradientBoostingClassifier(n_estimators=15, random_state=0),
        "iris",
        2e-6,
    ),
    "forest of ten classes": (
        RandomForestClassifier(20, max_depth=8, random_state=0),
        "digits",
        2e-6,
    ),
    "chosen columns": (
        make_pipeline(SelectKBest(k=10), StandardScaler(), LogisticRegression()),
        "cancer",
        1e-5,
    ),
    "column transformer before a linear model": (
        make_pipeline(
            ColumnTransformer(
                [("a", StandardScaler(), [0, 5, 2]), ("b", MinMaxScaler(), [7, 9, 3])]
            ),
            LogisticRegression(),
        ),
        "cancer",
        1e-5,
    ),
    "column transformer before trees": (
        make_pipeline(
            ColumnTransformer(
                [("a", StandardScaler(), [0, 5, 2]), ("b", MinMaxScaler(), [7, 9, 3])]
            ),
            GradientBoostingClassifier(n_estimators=20, random_state=0),
        ),
        "cancer",
        2e-6,
    ),
    "trees on principal components": (
        make_pipeline(PCA(5), GradientBoostingClassifier(n_estimators=10, random_state=0)),
        "cancer",
        2e-6,
    ),
    "stacked": (
        StackingClassifier(
            [
                ("linear", LogisticRegression(max_iter=300)),
                ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
            ]
        ),
        "iris",
        1e-5,
    ),
    "one against the rest": (OneVsRestClassifier(LogisticRegression()), "iris", 1e-3),
    "scaled forest": (
        make_pipeline(StandardScaler(), RandomForestClassifier(21, random_state=0)),
        "blobs",
        2e-6,
    ),
}


@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_classifiers(sklearn_onnx: Export, name: str) -> None:
    model, data, limit = CLASSIFIERS[name]
    samples = train(model, data)
    compiled = compile_onnx(sklearn_onnx(model, samples), samples)
    report = compiled.report
    assert report.agreement is not None
    allowed = 0.005 * len(samples) + report.outputs[0].ties
    assert (1 - report.agreement) * len(samples) <= allowed
    assert report.max_abs_error <= limit * max(1.0, report.outputs[0].spread)
    assert report.labels == tuple(model.classes_.tolist())
    assert report.gas == gas_for(compiled.cost, 1) < 300_000


REGRESSORS = {
    "linear": LinearRegression(),
    "scaled ridge": make_pipeline(StandardScaler(), Ridge()),
    "forest": RandomForestRegressor(20, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=30, random_state=0),
    "layers": make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=(24,), max_iter=80, random_state=0)
    ),
}


@pytest.mark.parametrize("name", sorted(REGRESSORS))
def test_regressors(sklearn_onnx: Export, name: str) -> None:
    model = REGRESSORS[name]
    samples = train(model, "diabetes")
    report = compile_onnx(sklearn_onnx(model, samples), samples).report
    assert report.agreement is None
    limit = 0.01 if name == "layers" else 1e-6
    assert report.max_abs_error <= limit * report.outputs[0].spread


def test_string_labels_are_reported(sklearn_onnx: Export) -> None:
    features, target = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[target]
    model = LogisticRegression(max_iter=500).fit(features.astype(np.float32), names)
    data = sklearn_onnx(model, features.astype(np.float32))
    report = compile_onnx(data, features.astype(np.float32)).report
    assert report.labels == ("setosa", "versicolor", "virginica")
    assert report.agreement == 1.0


def test_zipmap_and_tensor_output_give_the_same_model(sklearn_onnx: Export) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression())
    samples = train(model, "cancer")
    plain = sklearn_onnx(model, samples, options={"zipmap": False})
    first = compile_onnx(plain, samples)
    second = compile_onnx(sklearn_onnx(model, samples), samples)
    assert first.model.instructions == second.model.instructions
    assert first.model.constants == second.model.constants


def test_unseen_rows_of_a_linear_model_agree_far_outside_the_samples(
    sklearn_onnx: Export, reference: Callable[..., list[np.ndarray]]
) -> None:
    from precompiles.runner import plan_model
    from tools.compiler.report import quantize_samples, run_samples

    model = make_pipeline(StandardScaler(), Ridge())
    samples = train(model, "diabetes")
    data = sklearn_onnx(model, samples)
    compiled = compile_onnx(data, samples)
    unseen = samples * 6
    codes = quantize_samples(compiled.model, {"x": unseen})
    got = run_samples(plan_model(compiled.model), codes)[0]
    expected = reference(data, {"X": unseen})[0]
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()
