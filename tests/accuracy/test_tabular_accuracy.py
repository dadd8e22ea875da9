"""Logistic regression and small networks on rows of features: at most 0.2 points of accuracy."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from precompiles.runner import plan_model
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples

POINTS = 0.002

MODELS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    "network": lambda: make_pipeline(
        StandardScaler(), MLPClassifier((48, 24), max_iter=150, random_state=0)
    ),
}


def made() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_classification(3000, 16, n_informative=9, n_classes=4, random_state=2)
    return x, y


DATA: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "cells": lambda: load_breast_cancer(return_X_y=True),
    "made": made,
    "wine": lambda: load_wine(return_X_y=True),
}


@pytest.mark.parametrize("precision", ["auto", "int8"])
@pytest.mark.parametrize("data", sorted(DATA))
@pytest.mark.parametrize("name", sorted(MODELS))
def test_accuracy_on_held_out_rows(name: str, data: str, precision: str) -> None:
    x, y = DATA[data]()
    x = x.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    fitted, held = order[: len(x) // 2], order[len(x) // 2 :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx  # type: ignore[import-untyped]

        model = MODELS[name]().fit(x[fitted], y[fitted])
        exported = to_onnx(model, x[:1], options={id(model): {"zipmap": False}})
    compiled = compile_onnx(exported.SerializeToString(), x[fitted], precision=precision)
    inputs = quantize_samples(compiled.model, {compiled.input_names[0]: x[held]})
    got = run_samples(plan_model(compiled.model), inputs)[0].argmax(axis=1)
    ours = float(np.mean(model.classes_[got] == y[held]))
    theirs = float(np.mean(model.predict(x[held]) == y[held]))
    allowed = POINTS if precision == "auto" else 4 * POINTS
    assert ours >= theirs - allowed
