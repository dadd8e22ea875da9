"""Comparisons, choices, rounding, ranking and repetition of computed tensors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from tools.compiler import CompileError, compile_onnx

Build = Callable[..., bytes]
RNG = np.random.default_rng(33)
ROWS = RNG.normal(size=(150, 6, 7)).astype(np.float32)
WEIGHT = RNG.normal(size=(7, 5)).astype(np.float32)
OTHER = RNG.normal(size=(7, 5)).astype(np.float32)
FIRST = make_node("MatMul", ["x", "w"], ["h"])
SECOND = make_node("MatMul", ["x", "v"], ["k"])
FLOAT = {"to": TensorProto.FLOAT}


def error(data: bytes, samples: Any, precision: str) -> float:
    report = compile_onnx(data, samples, precision=precision).report
    return max(item.max_abs_error / max(item.spread, 1e-9) for item in report.outputs)


def check(make_onnx: Build, nodes: list[Any], extra: dict[str, Any], limit: float = 0.03) -> None:
    """Nearly exact at wide; ``limit`` at int8 (1 for steps, which an inexact operand may cross)."""
    constants = {"w": WEIGHT, "v": OTHER, **extra}
    used = {name for node in nodes for name in node.input}
    constants = {name: value for name, value in constants.items() if name in used}
    data = make_onnx(nodes, {"x": [6, 7]}, constants)
    assert error(data, ROWS, "wide") < 2e-5
    assert error(data, ROWS, "int8") <= limit


SMOOTH = {
    "where of two": [FIRST, SECOND, make_node("Less", ["h", "k"], ["m"]),
                     make_node("Where", ["m", "h", "k"], ["y"])],
    "max of two and a row": [FIRST, SECOND, make_node("Max", ["h", "k", "row"], ["y"])],
    "min of two and a row": [FIRST, SECOND, make_node("Min", ["row", "h", "k"], ["y"])],
    "mean of two": [FIRST, SECOND, make_node("Mean", ["h", "k"], ["y"])],
    "least": [FIRST, make_node("ReduceMin", ["h"], ["y"], axes=[1])],
    "largest of all": [FIRST, make_node("ReduceMax", ["h"], ["y"], axes=[1, 2])],
    "largest three": [FIRST, make_node("TopK", ["h", "three"], ["y", "unused"], axis=1)],
    "least three": [FIRST, make_node("TopK", ["h", "three"], ["y", "unused"], axis=2, largest=0)],
    "tile": [FIRST, make_node("Tile", ["h", "times"], ["y"])],
    "expand": [FIRST, make_node("ReduceMax", ["h"], ["r"], axes=[2]),
               make_node("Expand", ["r", "shape"], ["e"]), make_node("Sub", ["h", "e"], ["y"])],
    "lower triangle": [FIRST, make_node("Trilu", ["h"], ["y"], upper=0)],
    "running sum": [FIRST, make_node("CumSum", ["h", "axis"], ["y"])],
    "running sum from the end": [
        FIRST, make_node("CumSum", ["h", "axis"], ["y"], reverse=1, exclusive=1)],
    "slopes per row": [FIRST, make_node("PRelu", ["h", "slopes"], ["y"])],
    "constant that adds rows": [
        FIRST, make_node("ReduceMax", ["h"], ["r"], axes=[1]), make_node("Mul", ["r", "col"], ["y"])
    ],
}  # fmt: skip
EXTRA = {
    "row": np.array([0.3, -0.2, 0.1, 0.5, 0], np.float32),
    "three": np.array([3]),
    "times": np.array([1, 2, 3]),
    "shape": np.array([1, 6, 5]),
    "axis": np.array(1),
    "slopes": np.linspace(0.1, 0.9, 6, dtype=np.float32).reshape(6, 1),
    "col": np.linspace(0.1, 0.9, 4, dtype=np.float32).reshape(4, 1),
}


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_continuous_operators(make_onnx: Build, name: str) -> None:
    check(make_onnx, SMOOTH[name], EXTRA)


STEPS = {
    "where a constant": [make_node("Greater", ["h", "c"], ["m"]),
                         make_node("Where", ["m", "h", "d"], ["y"])],
    "floor": [make_node("Floor", ["h"], ["y"])],
    "ceil": [make_node("Ceil", ["h"], ["y"])],
    "round": [make_node("Round", ["h"], ["y"])],
    "sign": [make_node("Sign", ["h"], ["y"])],
    "truncating cast": [make_node("Cast", ["h"], ["i"], to=TensorProto.INT64),
                        make_node("Cast", ["i"], ["y"], **FLOAT)],
    "cast to truth": [make_node("Relu", ["h"], ["q"]),
                      make_node("Cast", ["q"], ["i"], to=TensorProto.BOOL),
                      make_node("Cast", ["i"], ["y"], **FLOAT)],
    "indices of the least": [make_node("ArgMin", ["h"], ["i"], axis=1, keepdims=0),
                             make_node("Cast", ["i"], ["y"], **FLOAT)],
    "ranking": [make_node("TopK", ["h", "three"], ["unused", "i"], axis=1),
                make_node("Cast", ["i"], ["y"], **FLOAT)],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STEPS))
def test_operators_with_steps(make_onnx: Build, name: str) -> None:
    extra = {**EXTRA, "c": np.float32(0.3), "d": np.float32(-2)}
    check(make_onnx, [FIRST, *STEPS[name]], extra, limit=1.0)


@pytest.mark.parametrize("operator", ["And", "Or", "Xor"])
def test_logic(make_onnx: Build, operator: str) -> None:
    nodes = [
        make_node("Greater", ["x", "c"], ["m"]),
        make_node("LessOrEqual", ["x", "d"], ["n"]),
        make_node(operator, ["m", "n"], ["b"]),
        make_node("Not", ["b"], ["e"]),
        make_node("Cast", ["e"], ["y"], **FLOAT),
    ]
    check(make_onnx, nodes, {"c": np.float32(-0.5), "d": np.float32(0.5)}, limit=1.0)


WHOLE = RNG.integers(-50, 50, (200, 6)).astype(np.int64)
RELATIONS = ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]


@pytest.mark.parametrize("precision", ["int8", "wide"])
@pytest.mark.parametrize("operator", RELATIONS)
def test_whole_numbers_compare_exactly(make_onnx: Build, operator: str, precision: str) -> None:
    nodes = [make_node(operator, ["x", "c"], ["m"]), make_node("Cast", ["m"], ["y"], **FLOAT)]
    constants = {"c": np.array([7, 0, -3, 49, -50, 1])}
    data = make_onnx(nodes, {"x": [6]}, constants, dtype=TensorProto.INT64)
    assert error(data, WHOLE, precision) == 0


@pytest.mark.parametrize("operator", RELATIONS)
def test_thresholds_between_whole_numbers(make_onnx: Build, operator: str) -> None:
    nodes = [
        make_node("Cast", ["x"], ["f"], **FLOAT),
        make_node(operator, ["c", "f"], ["m"]),
        make_node("Cast", ["m"], ["y"], **FLOAT),
    ]
    constants = {"c": np.array([7.5, 0, -3.25, 48.75, -50, 1e9], np.float32)}
    data = make_onnx(nodes, {"x": [6]}, constants, dtype=TensorProto.INT64)
    assert error(data, WHOLE, "int8") == 0


def test_remainder_of_whole_numbers(make_onnx: Build) -> None:
    nodes = [make_node("Mod", ["x", "c"], ["m"]), make_node("Cast", ["m"], ["y"], **FLOAT)]
    data = make_onnx(nodes, {"x": [6]}, {"c": np.int64(7)}, dtype=TensorProto.INT64)
    assert error(data, WHOLE, "int8") == 0


def test_masks_do_not_stretch_the_scale_of_what_they_mask(make_onnx: Build) -> None:
    nodes = [
        make_node("Greater", ["x", "c"], ["m"]),
        make_node("Where", ["m", "x", "d"], ["h"]),
        make_node("Softmax", ["h"], ["y"]),
    ]
    constants = {"c": np.float32(-0.5), "d": np.float32(-3.4e38)}
    data = make_onnx(nodes, {"x": [6, 7]}, constants)
    assert error(data, ROWS, "wide") < 1e-5
    assert error(data, ROWS, "int16") < 1e-2


def test_too_many_ranked_values_are_refused(make_onnx: Build) -> None:
    node = make_node("TopK", ["x", "k"], ["y", "unused"], name="best", axis=1)
    data = make_onnx([node], {"x": [2000]}, {"k": np.array([1500])})
    with pytest.raises(CompileError, match="1500 of 2000") as caught:
        compile_onnx(data, np.ones((2, 2000), np.float32))
    assert (caught.value.operator, caught.value.node) == ("TopK", "best")
