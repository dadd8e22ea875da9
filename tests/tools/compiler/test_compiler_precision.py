"""Precision per tensor: rules, fixed grids, fixed weights, the search and its report."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.helper import make_node

from precompiles.model.types import DType
from precompiles.runner import plan_model
from tools.compiler import compile_onnx
from tools.compiler.calibrate import calibrate
from tools.compiler.front import float_graph
from tools.compiler.graph import Dense, FloatGraph, GraphInput, Reshape
from tools.compiler.lower import lower_graph
from tools.compiler.onnx_import import import_onnx
from tools.compiler.passes import optimise
from tools.compiler.precision import Form, precision_of
from tools.compiler.quantize import Grid, activation_grid, narrow_reach, weight_scales
from tools.compiler.report import quantize_samples, run_samples
from tools.compiler.samples import check_samples

ORIGIN = ("Gemm", "g")


def small_graph() -> FloatGraph:
    operations = (
        Dense(origin=ORIGIN, output="a", x="x", weight=np.eye(4), bias=np.zeros(4)),
        Reshape(origin=ORIGIN, output="b", x="a"),
        Dense(origin=ORIGIN, output="y", x="b", weight=np.eye(2), bias=np.zeros(2)),
    )
    inputs = (GraphInput("x", (4,), np.dtype(np.float32)),)
    return FloatGraph(inputs, ("y",), operations, {"x": (4,), "a": (4,), "b": (2, 2), "y": (2, 2)})


def test_forms_come_from_the_base_the_raised_and_fixed_grids() -> None:
    graph = small_graph()
    assert precision_of(graph, "int8").form_of("a") == Form(DType.U8)
    assert precision_of(graph, "int16").form_of("a") == Form(DType.S16)
    raised = precision_of(graph, "int8", {"a"})
    assert raised.form_of("a") == raised.form_of("b") == Form(DType.S16)
    assert raised.form_of("y") == Form(DType.U8)
    assert precision_of(graph, "wide", {"a"}).form_of("a") == Form(DType.S32)
    fixed = replace(graph, grids={"a": Grid(DType.U8, Fraction(1, 7), 3)})
    assert precision_of(fixed, "int16").form_of("a").dtype is DType.U8
    assert precision_of(fixed, "int8", {"a"}).form_of("a").dtype is DType.U8


@given(
    st.integers(1, 3000),
    st.floats(0.001, 100),
    st.integers(0, 2**32 - 1),
    st.sampled_from([255, 511, 32_767]),
)
def test_sums_of_codes_fit_31_bits(depth: int, scale: float, seed: int, bound: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(depth, 2)) * scale
    bias = rng.normal(size=2) * scale * 10.0 ** rng.integers(0, 8)
    for reach in (bound, max(1, narrow_reach(weight, bias, Fraction(1, 50), bound))):
        x_scale = Fraction(bound, 50 * reach)
        scales = np.array([float(s) for s in weight_scales(weight, bias, x_scale, reach)])
        codes = np.abs(np.floor(weight / scales + 0.5)).sum(axis=0)
        offset = np.abs(bias) / (float(x_scale) * scales)
        assert (codes * reach + offset < 2**31).all()
        if 1 < reach < bound:  # with the narrow reach every weight keeps its 8 bits
            assert (np.abs(weight).max(axis=0) / scales >= 126).all()


def test_a_grid_of_fewer_codes_covers_the_same_range() -> None:
    grid = activation_grid(-3.0, 2.0, DType.S16, 1000)
    assert grid.limits == (-1000, 1000)
    assert float(grid.scale) * 1000 >= 3.0
    assert activation_grid(-3.0, 2.0, DType.S8).limits == (-127, 127)


def image_net(make_onnx: Callable[..., bytes]) -> tuple[bytes, np.ndarray]:
    """Convolutions with a skip sum in whose wide range the number that matters is small.

    Weights are multiples of a 127th of their channel's largest, so activations lose alone.
    """
    rng = np.random.default_rng(5)

    def filters(depth: int) -> np.ndarray:
        codes = rng.integers(-100, 101, (6, depth, 3, 3))
        codes[:, -1, 0, 0] = 127
        return codes / 512

    nodes = [
        make_node("Conv", ["x", "w0"], ["a"], kernel_shape=[3, 3], pads=[1] * 4, name="first"),
        make_node("Relu", ["a"], ["b"]),
        make_node("Conv", ["b", "w1"], ["c"], kernel_shape=[3, 3], pads=[1] * 4, name="second"),
        make_node("Add", ["c", "b"], ["e"], name="skip"),
        make_node("Conv", ["e", "w3"], ["m"], kernel_shape=[3, 3], name="third"),
        make_node("Relu", ["m"], ["r"]),
        make_node("GlobalMaxPool", ["r"], ["f"], name="pool"),
        make_node("Flatten", ["f"], ["g"]),
        make_node("Gemm", ["g", "w2"], ["y"], name="head"),
    ]
    gain = np.ones((6, 1, 1, 1))
    gain[0] = 60.0
    constants = {
        "w0": filters(2).astype(np.float32),
        "w1": (filters(6) * gain / 2).astype(np.float32),
        "w3": (filters(6) * (np.arange(6) > 0).reshape(1, 6, 1, 1)).astype(np.float32),
        "w2": np.array([[0.0], [1], [-1], [1], [-1], [0.5]], dtype=np.float32),
    }
    x = (rng.integers(0, 256, (200, 2, 10, 10)) / 255).astype(np.float32)
    return make_onnx(nodes, {"x": [2, 10, 10]}, constants), x


def test_the_search_raises_few_tensors_and_says_which(make_onnx: Callable[..., bytes]) -> None:
    data, x = image_net(make_onnx)
    report = compile_onnx(data, x).report
    assert report.precision == "mixed"
    assert [item.precision for item in report.attempts] == ["int8", "int16", "mixed"]
    narrow, words, mixed = report.attempts
    assert not narrow.accepted
    assert words.accepted
    assert mixed.accepted
    assert mixed.tensors == len(report.raised)
    assert 1 <= len(report.raised) <= 4
    assert report.gas == mixed.gas < words.gas
    for row in report.raised:
        assert row.operator
        assert row.decibels < 60
    assert "16 bits" in report.to_text()
    assert report.worst_operator is not None
    assert report.to_json()["worst_operator"]["node"] == report.worst_operator.node


def test_mixed_tensors_have_both_types(make_onnx: Callable[..., bytes]) -> None:
    data, x = image_net(make_onnx)
    compiled = compile_onnx(data, x)
    kinds = {kind.dtype for kind in compiled.model.tensors}
    assert {DType.U8, DType.S16} <= kinds


@pytest.mark.parametrize("base", ["int8", "int16"])
def test_fixed_grids_and_steps_are_kept(make_onnx: Callable[..., bytes], base: str) -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(-128, 128, (40, 6)).astype(np.float64)
    step = np.float32(0.01)
    nodes = [make_node("Reshape", ["x", "s"], ["r"]), make_node("MatMul", ["r", "w"], ["y"])]
    constants = {"w": (codes * step).astype(np.float32), "s": np.array([-1, 40])}
    model = import_onnx(make_onnx(nodes, {"x": [4, 10]}, constants))
    x = rng.integers(0, 256, (50, 4, 10)) / 32.0 - 4.0
    samples = check_samples(model.inputs, x.astype(np.float32))
    graph = optimise(float_graph(model, samples))
    dense = next(item for item in graph.operations if isinstance(item, Dense))
    steps = np.full(6, float(step))
    operations = tuple(
        replace(item, steps=steps) if item is dense else item for item in graph.operations
    )
    grid = Grid(DType.U8, Fraction(1, 32), 128)
    graph = replace(graph, operations=operations, grids={"x": grid, "r": grid})
    calibration = calibrate(model, graph, samples)
    lowered = lower_graph(("y",), graph, calibration, precision_of(graph, base))
    stored = [
        np.frombuffer(item.data, np.int8).reshape(item.type.shape)
        for item in lowered.constants
        if item.type.dtype is DType.S8
    ]
    assert len(stored) == 1
    assert (stored[0] == codes).all()
    port = lowered.inputs[0].quantization
    assert (port.scale_num, port.scale_den, port.zero_point) == (1, 32, 128)
    got = run_samples(plan_model(lowered), quantize_samples(lowered, samples))[0]
    exact = x.reshape(50, 40) @ (codes * float(step))
    assert np.abs(got - exact).max() < 1e-5 * np.abs(exact).max() + 1e-5
