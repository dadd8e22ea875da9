"""The demo models: accuracy on rows that training never saw, size, gas."""

import numpy as np

from precompiles.runner import plan_model
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples
from tools.demo import BREAST_CANCER_GBT, DIGITS_CNN, breast_cancer, digits, held_out_rows


def test_digits_lose_at_most_half_a_point_and_stay_cheap() -> None:
    images, labels = digits()
    unseen = held_out_rows(labels)
    seen = np.setdiff1d(np.arange(len(labels)), unseen)
    compiled = compile_onnx(DIGITS_CNN, images[seen])
    codes = quantize_samples(compiled.model, {"image": images[unseen]})
    guess = run_samples(plan_model(compiled.model), codes)[0].argmax(axis=1)
    accuracy = float(np.mean(guess == labels[unseen]))
    float_accuracy = 0.9911  # printed by tools/demo/train_digits.py
    assert accuracy >= float_accuracy - 0.005
    assert compiled.report.gas < 300_000
    assert DIGITS_CNN.stat().st_size < 200_000
    assert compiled.model.type_of(compiled.model.inputs[0].value).nbytes == 64


def test_breast_cancer_keeps_every_label() -> None:
    features, labels = breast_cancer()
    compiled = compile_onnx(BREAST_CANCER_GBT, features)
    assert compiled.report.agreement == 1.0
    codes = quantize_samples(compiled.model, {"X": features})
    guess = run_samples(plan_model(compiled.model), codes)[0].argmax(axis=1)
    unseen = held_out_rows(labels)
    assert np.mean(guess[unseen] == labels[unseen]) >= 0.94
    assert compiled.report.gas < 300_000
