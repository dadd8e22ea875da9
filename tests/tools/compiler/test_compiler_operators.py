"""Each imported operator, alone or in its usual company, against onnxruntime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from tools.compiler import compile_onnx

RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def check(data: bytes, samples: Any, wide: float = 2e-4, narrow: float = 0.08) -> None:
    """Errors relative to the spread of the output, at both ends of precision."""
    for precision, limit in (("wide", wide), ("int16", max(wide, narrow / 2)), ("int8", narrow)):
        report = compile_onnx(data, samples, precision=precision).report
        for output in report.outputs:
            assert output.max_abs_error <= limit * max(output.spread, 1e-3), (precision, output)


UNARY = {
    "Abs": {},
    "Elu": {"alpha": 0.7},
    "Erf": {},
    "Exp": {},
    "HardSigmoid": {},
    "HardSwish": {},
    "LeakyRelu": {"alpha": 0.2},
    "Neg": {},
    "Relu": {},
    "Selu": {},
    "Sigmoid": {},
    "Sin": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
}


@pytest.mark.parametrize("operator", sorted(UNARY))
def test_scalar_functions_between_dense_layers(
    make_onnx: Callable[..., bytes], operator: str
) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node(operator, ["h"], ["a"], **UNARY[operator]),
        make_node("MatMul", ["a", "v"], ["y"]),
    ]
    data = make_onnx(nodes, {"x": [6]}, {"w": normal(6, 8) * 0.4, "v": normal(8, 3)})
    check(data, normal(200, 6))


@pytest.mark.parametrize("operator", ["Gelu", "Mish"])
def test_scalar_functions_of_newer_opsets(make_onnx: Callable[..., bytes], operator: str) -> None:
    nodes = [make_node("MatMul", ["x", "w"], ["h"]), make_node(operator, ["h"], ["y"])]
    check(make_onnx(nodes, {"x": [6]}, {"w": normal(6, 8)}, opset=20), normal(100, 6))


def test_gelu_written_with_erf_is_one_function(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node("Div", ["h", "r"], ["d"]),
        make_node("Erf", ["d"], ["e"]),
        make_node("Add", ["e", "one"], ["p"]),
        make_node("Mul", ["h", "p"], ["q"]),
        make_node("Mul", ["q", "half"], ["g"]),
        make_node("MatMul", ["g", "v"], ["y"]),
    ]
    constants = {
        "w": normal(5, 7),
        "v": normal(7, 2),
        "r": np.float32(2**0.5),
        "one": np.float32(1),
        "half": np.float32(0.5),
    }
    data = make_onnx(nodes, {"x": [5]}, constants)
    check(data, normal(200, 5))
    compiled = compile_onnx(data, normal(200, 5), precision="int8")
    names = [type(item).__name__ for item in compiled.model.instructions]
    assert names.count("Lookup") == 1
    assert "Mul" not in names


@pytest.mark.parametrize(
    ("operator", "attributes", "shape", "weight"),
    [
        ("Conv", {}, (3, 9, 8), (5, 3, 3, 3)),
        ("Conv", {"strides": [2, 1], "pads": [1, 0, 2, 1]}, (3, 9, 8), (5, 3, 3, 2)),
        ("Conv", {"dilations": [2, 3], "group": 2}, (4, 10, 10), (6, 2, 2, 2)),
        ("Conv", {"group": 4, "pads": [1, 1, 1, 1]}, (4, 7, 7), (4, 1, 3, 3)),
        ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (2, 9, 6), (3, 2, 3, 2)),
        ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (2, 9, 6), (3, 2, 3, 2)),
        ("Conv", {"strides": [2], "pads": [2, 1], "dilations": [2]}, (3, 20), (4, 3, 3)),
    ],
)
def test_convolutions(
    make_onnx: Callable[..., bytes],
    operator: str,
    attributes: dict[str, Any],
    shape: tuple[int, ...],
    weight: tuple[int, ...],
) -> None:
    nodes = [
        make_node("Conv", ["x", "w", "b"], ["h"], **attributes),
        make_node("Relu", ["h"], ["y"]),
    ]
    constants = {"w": normal(*weight), "b": normal(weight[0])}
    check(make_onnx(nodes, {"x": list(shape)}, constants), normal(60, *shape))


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        (
            "AveragePool",
            {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        ),
        ("GlobalAveragePool", {}),
        ("GlobalMaxPool", {}),
    ],
)
def test_pooling(
    make_onnx: Callable[..., bytes], operator: str, attributes: dict[str, Any]
) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["h"]),
        make_node(operator, ["h"], ["y"], **attributes),
    ]
    data = make_onnx(nodes, {"x": [2, 7, 7]}, {"w": normal(3, 2, 1, 1)})
    check(data, normal(60, 2, 7, 7))


def test_average_pool_that_excludes_the_border(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node(
            "AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]
        )
    ]
    data = make_onnx(nodes, {"x": [2, 6, 5]})
    samples = normal(40, 2, 6, 5)
    for precision in ("int8", "int16"):
        report = compile_onnx(data, samples, precision=precision).report
        assert report.max_abs_error <= 0.02 * report.outputs[0].spread


def test_pooling_and_convolution_on_sequences(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["h"], pads=[1, 1]),
        make_node("MaxPool", ["h"], ["m"], kernel_shape=[2], strides=[2]),
        make_node("AveragePool", ["m"], ["p"], kernel_shape=[2], strides=[1]),
        make_node("ReduceMean", ["p"], ["y"], axes=[2], keepdims=0),
    ]
    data = make_onnx(nodes, {"x": [2, 16]}, {"w": normal(4, 2, 3)})
    check(data, normal(60, 2, 16))


def test_residual_sum_product_and_difference_of_tensors(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        make_node("Add", ["x", "a"], ["s"]),
        make_node("Relu", ["s"], ["r"]),
        make_node("GlobalAveragePool", ["r"], ["g"]),
        make_node("Sigmoid", ["g"], ["f"]),
        make_node("Mul", ["r", "f"], ["m"]),
        make_node("Sub", ["m", "x"], ["y"]),
    ]
    data = make_onnx(nodes, {"x": [3, 5, 5]}, {"w": normal(3, 3, 3, 3) * 0.3})
    check(data, normal(60, 3, 5, 5))


def test_batch_normalization_alone_and_before_padding(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["n"]),
        make_node("Conv", ["n", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    constants = {
        "g": 1 + 0.1 * normal(3),
        "b": normal(3),
        "m": normal(3),
        "v": np.abs(normal(3)) + 0.5,
        "w": normal(2, 3, 3, 3),
    }
    check(make_onnx(nodes, {"x": [3, 6, 6]}, constants), normal(60, 3, 6, 6))


def test_batch_normalization_folds_into_the_convolution(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["c"]),
        make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"]),
        make_node("Clip", ["n", "zero", "six"], ["y"]),
    ]
    constants = {
        "w": normal(4, 3, 3, 3),
        "g": normal(4),
        "b": normal(4),
        "m": normal(4),
        "v": np.abs(normal(4)) + 0.5,
        "zero": np.float32(0),
        "six": np.float32(6),
    }
    data = make_onnx(nodes, {"x": [3, 6, 6]}, constants)
    samples = np.abs(normal(60, 3, 6, 6))
    check(data, samples)
    compiled = compile_onnx(data, samples, precision="int8")
    names = [type(item).__name__ for item in compiled.model.instructions]
    assert names.count("Conv") == 1
    assert not {"Add", "Mul", "Clip"} & set(names)


def test_operators_that_move_elements(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["c"]),
        make_node("Slice", ["c", "starts", "ends", "axes", "steps"], ["s"]),
        make_node("Pad", ["s", "pads"], ["p"]),
        make_node("Concat", ["p", "p"], ["t"], axis=1),
        make_node("Split", ["t", "sizes"], ["u", "v"], axis=1),
        make_node("Transpose", ["u"], ["q"], perm=[0, 2, 3, 1]),
        make_node("Transpose", ["v"], ["r"], perm=[0, 2, 3, 1]),
        make_node("Concat", ["q", "r"], ["k"], axis=3),
        make_node("Gather", ["k", "rows"], ["i"], axis=1),
        make_node("Shape", ["x"], ["shape"]),
        make_node("Gather", ["shape", "first"], ["batch"], axis=0),
        make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        make_node("Reshape", ["i", "target"], ["f"]),
        make_node("MatMul", ["f", "m"], ["y"]),
    ]
    constants = {
        "w": normal(4, 2, 1, 1),
        "starts": np.array([0, 1]),
        "ends": np.array([6, 100]),
        "axes": np.array([2, 3]),
        "steps": np.array([2, 1]),
        "pads": np.array([0, 0, 1, 0, 0, 1, 0, 2]),
        "sizes": np.array([3, 7]),
        "rows": np.array([3, 0, 1]),
        "first": np.array([0]),
        "rest": np.array([-1]),
        "m": normal(3 * 7 * 10, 3) * 0.2,
    }
    check(make_onnx(nodes, {"x": [2, 6, 6]}, constants), normal(50, 2, 6, 6))


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [11, 17])
def test_softmax(make_onnx: Callable[..., bytes], operator: str, opset: int) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node(operator, ["h"], ["y"], axis=1),
    ]
    data = make_onnx(nodes, {"x": [6]}, {"w": normal(6, 5)}, opset=opset)
    check(data, normal(100, 6), wide=2e-5)


def test_softmax_over_channels(make_onnx: Callable[..., bytes]) -> None:
    nodes = [make_node("Conv", ["x", "w"], ["h"]), make_node("Softmax", ["h"], ["y"], axis=1)]
    data = make_onnx(nodes, {"x": [2, 4, 3]}, {"w": normal(5, 2, 1, 1)})
    check(data, normal(40, 2, 4, 3), wide=2e-5)


def test_argmax_is_the_label_itself(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node("ArgMax", ["h"], ["y"], axis=1, keepdims=0),
    ]
    data = make_onnx(nodes, {"x": [6]}, {"w": normal(6, 5)}, output_dtype=TensorProto.INT64)
    compiled = compile_onnx(data, normal(200, 6), precision="wide")
    assert compiled.report.max_abs_error == 0
    assert compiled.report.outputs[0].dtype == "s32"


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceSum", "ReduceMax"])
def test_reductions(make_onnx: Callable[..., bytes], operator: str) -> None:
    axes = {"axes": [1]} if operator != "ReduceSum" else {}
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node(operator, ["h", "one"] if not axes else ["h"], ["y"], keepdims=1, **axes),
    ]
    data = make_onnx(nodes, {"x": [4, 6]}, {"w": normal(6, 5), "one": np.array([1])})
    check(data, normal(80, 4, 6))


def test_several_inputs_and_outputs(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("Gemm", ["a", "w"], ["h"], transB=1, alpha=0.5),
        make_node("Gemm", ["b", "v", "c"], ["g"]),
        make_node("Add", ["h", "g"], ["s"]),
        make_node("Tanh", ["s"], ["y"]),
        make_node("Sub", ["h", "g"], ["z"]),
    ]
    constants = {"w": normal(5, 3), "v": normal(4, 5), "c": normal(5)}
    data = make_onnx(nodes, {"a": [3], "b": [4]}, constants, outputs=("y", "z"))
    samples = {"a": normal(100, 3), "b": normal(100, 4) * 0.5}
    check(data, samples)
    compiled = compile_onnx(data, samples)
    assert compiled.input_names == ("a", "b")
    assert compiled.output_names == ("y", "z")


def test_clip_prelu_power_min_max(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node("PRelu", ["h", "slope"], ["p"]),
        make_node("Clip", ["p", "low"], ["c"]),
        make_node("Pow", ["c", "two"], ["q"]),
        make_node("Min", ["q", "top"], ["m"]),
        make_node("Sum", ["m", "h", "p"], ["y"]),
    ]
    constants = {
        "w": normal(6, 4),
        "slope": np.abs(normal(4)),
        "low": np.float32(-1),
        "two": np.float32(2),
        "top": np.float32(3),
    }
    check(make_onnx(nodes, {"x": [6]}, constants), normal(150, 6))


def test_one_probability_without_an_axis(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node("Squeeze", ["h", "one"], ["s"]),
        make_node("Sigmoid", ["s"], ["y"]),
    ]
    data = make_onnx(nodes, {"x": [5]}, {"w": normal(5, 1), "one": np.array([1])})
    compiled = compile_onnx(data, normal(100, 5))
    assert compiled.report.outputs[0].shape == ()
    assert compiled.report.agreement == 1.0
    assert compiled.report.max_abs_error < 5e-6


def test_long_rows_keep_their_weights_at_int16(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node("Relu", ["h"], ["r"]),
        make_node("MatMul", ["r", "v"], ["y"]),
    ]
    constants = {"w": normal(3000, 100) * 0.02, "v": normal(100, 4) * 0.1}
    data = make_onnx(nodes, {"x": [3000]}, constants)
    report = compile_onnx(data, normal(40, 3000), precision="int16").report
    assert report.max_abs_error <= 0.01 * report.outputs[0].spread


def test_ratios_of_tensors_and_weights_of_zero(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node("Exp", ["h"], ["e"]),
        make_node("ReduceSum", ["e", "one"], ["s"]),
        make_node("Div", ["e", "s"], ["q"]),
        make_node("MatMul", ["q", "zero"], ["z"]),
        make_node("Add", ["q", "z"], ["y"]),
    ]
    constants = {
        "w": normal(5, 4) * 0.3,
        "one": np.array([1]),
        "zero": np.zeros((4, 4), dtype=np.float32),
    }
    check(make_onnx(nodes, {"x": [5]}, constants), normal(60, 5))


def test_whole_number_input(make_onnx: Callable[..., bytes]) -> None:
    nodes = [
        make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        make_node("MatMul", ["f", "w"], ["y"]),
    ]
    data = make_onnx(nodes, {"x": [5]}, {"w": normal(5, 3)}, dtype=TensorProto.INT64)
    samples = RNG.integers(-50, 50, (80, 5))
    compiled = compile_onnx(data, samples)
    assert compiled.model.inputs[0].quantization.scale_den == 1
    assert compiled.report.max_abs_error <= 1e-5 * compiled.report.outputs[0].spread
