"""Whatever is wrong with the file or the samples ends in one CompileError that says what to do."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from tools.compiler import CompileError, compile_onnx
from tools.demo import BREAST_CANCER_GBT, DIGITS_CNN, breast_cancer, digits

Build = Callable[..., bytes]


def dense(make_onnx: Build, **changes: Any) -> bytes:
    node = make_node("MatMul", ["x", "w"], ["y"], name="layer")
    return make_onnx([node], {"x": changes.pop("shape", [4])}, {"w": np.eye(4, dtype=np.float32)})


ROWS = np.ones((5, 4), dtype=np.float32)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(share: float) -> None:
    data = DIGITS_CNN.read_bytes()
    with pytest.raises(CompileError):
        compile_onnx(data[: int(share * len(data))], digits()[0][:4])


def test_garbage_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="truncated or no ONNX model"):
        compile_onnx(b"not a model at all", ROWS)
    with pytest.raises(CompileError, match=r"cannot read .*absent"):
        compile_onnx(tmp_path / "absent.onnx", ROWS)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_never_end_in_another_error(seed: int) -> None:
    rng = random.Random(seed)
    path, samples = rng.choice(
        [(DIGITS_CNN, digits()[0][:4]), (BREAST_CANCER_GBT, breast_cancer()[0][:4])]
    )
    data = bytearray(path.read_bytes())
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(min(len(data), rng.choice([300, 3000, len(data)])))] = rng.randrange(256)
    with contextlib.suppress(CompileError):
        compile_onnx(bytes(data), samples, precision="int8")


def test_no_samples(make_onnx: Build) -> None:
    with pytest.raises(CompileError, match=r"calibration data is needed.*--samples"):
        compile_onnx(dense(make_onnx), None)


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.ones((5, 3)), r"shape \(5, 3\), expected \(N, 4\)"),
        (np.ones((0, 4)), "at least 1"),
        (np.float64(1), "shape"),
        (np.array([["a", "b", "c", "d"]]), "expected numbers"),
        (np.full((2, 4), np.nan), "NaN, which MatMul cannot read"),
        (np.full((2, 4), np.inf), "infinities"),
        ({"z": ROWS}, r"samples are for \['z'\], the model's inputs are \['x'\]"),
    ],
)
def test_bad_samples(make_onnx: Build, samples: Any, text: str) -> None:
    with pytest.raises(CompileError, match=text):
        compile_onnx(dense(make_onnx), samples)


def test_fractions_for_a_whole_number_input(make_onnx: Build) -> None:
    nodes = [
        make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        make_node("MatMul", ["f", "w"], ["y"]),
    ]
    data = make_onnx(nodes, {"x": [4]}, {"w": np.eye(4, dtype=np.float32)}, dtype=TensorProto.INT64)
    with pytest.raises(CompileError, match="not whole numbers"):
        compile_onnx(data, ROWS / 2)


def test_unequal_sample_counts(make_onnx: Build) -> None:
    data = make_onnx([make_node("Add", ["a", "b"], ["y"])], {"a": [4], "b": [4]})
    with pytest.raises(CompileError, match="expected the same number"):
        compile_onnx(data, {"a": ROWS, "b": ROWS[:2]})
    with pytest.raises(CompileError, match="one sample array for the 2 inputs"):
        compile_onnx(data, ROWS)


def test_dynamic_shape_names_the_dimension(make_onnx: Build) -> None:
    node = make_node("GlobalAveragePool", ["x"], ["y"])
    data = make_onnx([node], {"x": [3, "height", 8]})
    with pytest.raises(CompileError, match=r"dimension 2 is 'height'.*fixed sizes"):
        compile_onnx(data, np.ones((2, 3 * 8 * 8)))


CASES: dict[str, tuple[list[Any], dict[str, Any], str, str]] = {
    "unknown operator": (
        [make_node("Hardmax", ["x"], ["y"], name="hard")],
        {},
        "Hardmax",
        "has no integer form yet",
    ),
    "foreign domain": (
        [make_node("Fancy", ["x"], ["y"], name="f", domain="com.microsoft")],
        {},
        "com.microsoft.Fancy",
        "no integer form yet",
    ),
    "shape that depends on data": (
        [
            make_node("NonZero", ["x"], ["n"], name="nz"),
            make_node("Cast", ["n"], ["y"], to=TensorProto.FLOAT),
        ],
        {},
        "NonZero",
        "output shape depends on the data",
    ),
    "mixing samples": (
        [make_node("ReduceMean", ["x"], ["y"], name="mean", axes=[0])],
        {},
        "ReduceMean",
        "batch",
    ),
    "bits of data": (
        [
            make_node("Cast", ["x"], ["i"], to=TensorProto.UINT8),
            make_node("BitShift", ["i", "ones"], ["a"], name="bits", direction="LEFT"),
            make_node("Cast", ["a"], ["y"], to=TensorProto.FLOAT),
        ],
        {"ones": np.ones(1, dtype=np.uint8)},
        "BitShift",
        "depends on the model's input",
    ),
    "pad of the batch": (
        [make_node("Pad", ["x", "pads"], ["y"], name="pad")],
        {"pads": np.array([1, 0, 0, 0])},
        "Pad",
        "batch",
    ),
    "weights that are not finite": (
        [make_node("MatMul", ["x", "w"], ["y"], name="broken")],
        {"w": np.full((4, 2), np.nan, dtype=np.float32)},
        "MatMul",
        "NaN or infinite",
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_refused_operators_name_node_and_way_out(make_onnx: Build, name: str) -> None:
    nodes, constants, operator, text = CASES[name]
    with pytest.raises(CompileError, match=text) as caught:
        compile_onnx(make_onnx(nodes, {"x": [4]}, constants), ROWS * np.arange(4))
    assert caught.value.operator == operator
    assert caught.value.node
    assert caught.value.advice
    assert operator in str(caught.value)


def test_unknown_precision(make_onnx: Build) -> None:
    with pytest.raises(CompileError, match="expected auto, int8, int16, wide"):
        compile_onnx(dense(make_onnx), ROWS, precision="float")


def test_control_flow_is_refused(make_onnx: Build) -> None:
    import onnx

    branch = onnx.helper.make_graph(
        [make_node("Identity", ["x"], ["b"])],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    nodes = [make_node("If", ["c"], ["y"], name="maybe", then_branch=branch, else_branch=branch)]
    data = make_onnx(nodes, {"x": [4]}, {"c": np.array(True)})
    with pytest.raises(CompileError):
        compile_onnx(data, ROWS)
