"""Quantised ONNX keeps its scales: our integers are those of onnxruntime, or next to them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

from precompiles.model import operators as op
from precompiles.runner import plan_model
from tools.compiler import CompileError, compile_onnx
from tools.compiler.report import quantize_samples, run_samples

Build = Callable[..., bytes]
RNG = np.random.default_rng(9)
IMAGES = RNG.normal(size=(64, 3, 10, 9)).astype(np.float32)


def draw(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) * 0.4).astype(np.float32)


def network(make_onnx: Build) -> bytes:
    """Convolutions, a sum, pools, a concat, a leaky and a plain rectifier, a dense layer."""
    nodes = [
        make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        make_node("Relu", ["c1"], ["r1"]),
        make_node("MaxPool", ["r1"], ["m1"], kernel_shape=[2, 2], strides=[2, 2]),
        make_node("Conv", ["m1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], group=2),
        make_node("LeakyRelu", ["c2"], ["l2"], alpha=0.1),
        make_node("Add", ["l2", "m1"], ["s2"]),
        make_node("Concat", ["s2", "m1"], ["k2"], axis=1),
        make_node("Sigmoid", ["k2"], ["g2"]),
        make_node("Mul", ["k2", "g2"], ["p2"]),
        make_node("GlobalAveragePool", ["p2"], ["a2"]),
        make_node("Flatten", ["a2"], ["f2"]),
        make_node("Gemm", ["f2", "w3", "b3"], ["y"], transB=1),
    ]
    constants = {
        "w1": draw(6, 3, 3, 3), "b1": draw(6), "w2": draw(6, 3, 3, 3), "b2": draw(6),
        "w3": draw(5, 12), "b3": draw(5),
    }  # fmt: skip
    return make_onnx(nodes, {"x": [3, 10, 9]}, constants)


@pytest.fixture
def quantized(make_onnx: Build, tmp_path: Path) -> Callable[..., Path]:
    """The network, statically quantised by onnxruntime's own tools."""

    def build(form: str, activation: str, weight: str, *, per_channel: bool) -> Path:
        from onnxruntime.quantization import (
            CalibrationDataReader,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self._pieces: Iterator[dict[str, Any]] = iter([{"x": IMAGES}])

            def get_next(self) -> dict[str, Any] | None:
                return next(self._pieces, None)

        source, target = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
        source.write_bytes(network(make_onnx))
        quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=QuantFormat[form],
            activation_type=QuantType[activation],
            weight_type=QuantType[weight],
            per_channel=per_channel,
        )
        return target

    return build


def outputs(path: Path | bytes, precision: str = "int8") -> tuple[np.ndarray, np.ndarray, Any]:
    """Ours, onnxruntime's, and the compiled model."""
    source = path if isinstance(path, bytes) else str(path)
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": IMAGES})[0].astype(np.float64)
    compiled = compile_onnx(path, IMAGES, precision=precision)
    inputs = quantize_samples(compiled.model, {"x": IMAGES})
    return run_samples(plan_model(compiled.model), inputs)[0], expected, compiled


def output_step(path: Path) -> float:
    """Scale of the last quantised tensor of the file."""
    model = onnx.load(path)
    values = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    last = [
        node for node in model.graph.node if "Linear" in node.op_type or "QGemm" in node.op_type
    ]
    return float(values[last[-1].input[1]])


FORMS = [
    ("QDQ", "QUInt8", "QInt8", True),
    ("QDQ", "QInt8", "QInt8", False),
    ("QDQ", "QInt16", "QInt8", True),
    ("QOperator", "QUInt8", "QInt8", True),
    ("QOperator", "QInt8", "QInt8", False),
]


@pytest.mark.parametrize(("form", "activation", "weight", "per_channel"), FORMS)
def test_integers_are_those_of_onnxruntime(
    quantized: Callable[..., Path], form: str, activation: str, weight: str, per_channel: bool
) -> None:
    path = quantized(form, activation, weight, per_channel=per_channel)
    ours, expected, _ = outputs(path)
    steps = np.abs(ours - expected) / output_step(path)
    bound = 1.01 if activation != "QInt16" else 40  # a table of 16 bits has knots, not entries
    assert steps.max() <= bound
    assert steps.mean() < 0.4 * bound


def test_stored_weights_and_biases_are_kept(quantized: Callable[..., Path]) -> None:
    path = quantized("QOperator", "QUInt8", "QInt8", per_channel=True)
    stored = {
        item.name: onnx.numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer
    }
    model = outputs(path)[2].model
    constants = [np.frombuffer(item.data, np.int8) for item in model.constants]
    for name in ("w1_quantized", "w2_quantized"):
        wanted = np.ascontiguousarray(np.transpose(stored[name], (2, 3, 1, 0))).reshape(-1)
        assert any(np.array_equal(item, wanted) for item in constants), name


def test_nothing_is_requantised_twice(quantized: Callable[..., Path]) -> None:
    path = quantized("QDQ", "QUInt8", "QInt8", per_channel=True)
    model = outputs(path)[2].model
    kinds = [type(item) for item in model.instructions]
    assert kinds.count(op.Conv) == 2
    assert kinds.count(op.Requantize) <= 3  # the three parts of two joins that differ in scale


def test_unsigned_weights_off_the_middle_are_rounded_again(quantized: Callable[..., Path]) -> None:
    path = quantized("QDQ", "QUInt8", "QUInt8", per_channel=False)
    ours, expected, _ = outputs(path)
    assert np.abs(ours - expected).max() <= 5 * output_step(path)


def test_codes_as_inputs_and_outputs(make_onnx: Build) -> None:
    nodes = [
        make_node("QLinearConv", ["x", "s", "z", "w", "t", "o", "u", "v", "b"], ["y"], pads=[1] * 4)
    ]
    constants = {
        "s": np.float32(0.02), "z": np.uint8(120), "t": np.float32(0.01), "o": np.int8(0),
        "u": np.float32(0.05), "v": np.uint8(100),
        "w": RNG.integers(-127, 128, (4, 2, 3, 3)).astype(np.int8),
        "b": RNG.integers(-500, 500, 4).astype(np.int32),
    }  # fmt: skip
    data = make_onnx(
        nodes,
        {"x": [2, 6, 6]},
        constants,
        dtype=onnx.TensorProto.UINT8,
        output_dtype=onnx.TensorProto.UINT8,
    )
    codes = RNG.integers(0, 256, (40, 2, 6, 6)).astype(np.uint8)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": codes})[0].astype(np.int64)
    compiled = compile_onnx(data, codes, precision="int8")
    plan = plan_model(compiled.model)
    ours = run_samples(plan, quantize_samples(compiled.model, {"x": codes}))[0]
    assert np.abs(ours - expected).max() <= 1
    assert np.mean(ours == expected) > 0.99


@pytest.mark.parametrize("weight", ["QInt8", "QUInt8"])
def test_dynamic_quantisation_is_the_real_product(
    make_onnx: Build, tmp_path: Path, weight: str
) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = [
        make_node("MatMul", ["x", "w"], ["h"]),
        make_node("Add", ["h", "b"], ["s"]),
        make_node("Relu", ["s"], ["r"]),
        make_node("MatMul", ["r", "v"], ["y"]),
    ]
    constants = {"w": draw(8, 16), "b": draw(16), "v": draw(16, 3)}
    source, target = tmp_path / "float.onnx", tmp_path / "dynamic.onnx"
    source.write_bytes(make_onnx(nodes, {"x": [5, 8]}, constants))
    quantize_dynamic(str(source), str(target), weight_type=QuantType[weight])
    rows = RNG.normal(size=(80, 5, 8)).astype(np.float32)
    for precision in ("int8", "wide"):  # onnxruntime's own rounding of x is the difference
        report = compile_onnx(target, rows, precision=precision).report
        assert report.max_abs_error < 0.02 * report.outputs[0].spread


def test_activations_with_scales_per_channel_are_refused(make_onnx: Build) -> None:
    nodes = [
        make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q", axis=1),
        make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1),
    ]
    constants = {"s": np.array([0.1, 0.2, 0.3], np.float32), "z": np.zeros(3, np.uint8)}
    with pytest.raises(CompileError, match="3 scales") as caught:
        compile_onnx(make_onnx(nodes, {"x": [3, 10, 9]}, constants), IMAGES)
    assert (caught.value.operator, caught.value.node) == ("QuantizeLinear", "q")
    assert "per tensor" in caught.value.advice
