"""The whole line: canonical bytes, determinism, report, progress, names."""

import json
from collections.abc import Callable

import numpy as np
from onnx.helper import make_node
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from precompiles.model.codec import decode_model, encode_model, model_id
from precompiles.model.validate import validate_model
from tools.compiler import compile_onnx
from tools.demo import BREAST_CANCER_GBT, DIGITS_CNN, breast_cancer, digits


def test_the_bytes_are_canonical_and_the_same_every_time() -> None:
    samples = digits()[0][:200]
    first = compile_onnx(DIGITS_CNN, samples)
    second = compile_onnx(DIGITS_CNN.read_bytes(), {"image": samples})
    assert first.model_bytes == second.model_bytes
    assert first.model_id == second.model_id == model_id(first.model_bytes)
    assert decode_model(first.model_bytes) == first.model
    assert encode_model(first.model) == first.model_bytes
    assert validate_model(first.model) == first.cost


def test_report_is_json_and_text() -> None:
    report = compile_onnx(BREAST_CANCER_GBT, breast_cancer()[0]).report
    again = json.loads(json.dumps(report.to_json()))
    assert again["agreement"] == 1.0
    assert again["labels"] == [0, 1]
    assert again["model_bytes"] == report.model_bytes
    text = report.to_text()
    assert "same label 100.00%" in text
    assert f"{report.gas:,}" in text


def test_operator_rows_follow_the_network() -> None:
    report = compile_onnx(DIGITS_CNN, digits()[0][:200], precision="int8").report
    names = [row.operator for row in report.operators]
    assert names == ["Conv", "Conv", "MaxPool", "Conv", "MaxPool", "Flatten", "Gemm"]
    assert all(row.relative_error < 0.05 for row in report.operators)
    wide = compile_onnx(DIGITS_CNN, digits()[0][:200], precision="wide").report
    assert all(row.relative_error < 1e-5 for row in wide.operators)


def test_progress_counts_up_to_the_end() -> None:
    seen: list[tuple[str, int, int]] = []
    compile_onnx(
        BREAST_CANCER_GBT,
        breast_cancer()[0][:50],
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    assert [item[1] for item in seen] == sorted(item[1] for item in seen)
    assert seen[0][0] == "compile: import"
    assert seen[-1][0] == "compile: done"
    assert seen[-1][1] == seen[-1][2]


def test_port_names_are_legal_whatever_onnx_says(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("Relu", ["größe/μ"], ["a" * 100]),
        make_node("Neg", ["größe/μ"], ["a" * 100 + "b"]),
    ]
    data = make_onnx(nodes, {"größe/μ": [3]}, outputs=("a" * 100, "a" * 100 + "b"))
    compiled = compile_onnx(data, np.linspace(-1, 1, 30).reshape(10, 3))
    assert compiled.input_names == ("gr__e/_",)
    assert len(set(compiled.output_names)) == 2
    assert all(len(name) == 64 for name in compiled.output_names)


def test_flat_rows_and_single_samples_are_understood() -> None:
    images = digits()[0][:60]
    flat = compile_onnx(DIGITS_CNN, images.reshape(60, 64), precision="int8")
    assert flat.model_bytes == compile_onnx(DIGITS_CNN, images, precision="int8").model_bytes
    assert compile_onnx(DIGITS_CNN, images[0], precision="int8").report.samples == 1


def test_fixed_batch_of_one(make_onnx: Callable[..., bytes]) -> None:
    import onnx

    data = make_onnx([make_node("Relu", ["x"], ["y"])], {"x": [3]})
    model = onnx.load_model_from_string(data)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    compiled = compile_onnx(model.SerializeToString(), np.linspace(-1, 1, 21).reshape(7, 3))
    assert compiled.report.samples == 7
    assert compiled.report.max_abs_error < 0.01


def test_probabilities_come_first_and_the_label_branch_is_dropped(
    sklearn_onnx: Callable[..., bytes],
) -> None:
    x, y = make_classification(300, 6, random_state=0)
    x = x.astype(np.float32)
    data = sklearn_onnx(LogisticRegression().fit(x, y), x, options={"zipmap": False})
    compiled = compile_onnx(data, x)
    assert compiled.output_names == ("probabilities",)
    assert compiled.model.type_of(compiled.model.outputs[0].value).shape == (2,)
