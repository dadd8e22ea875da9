"""LSTM, GRU and RNN of every ONNX variant against onnxruntime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx.helper import make_node

from tools.compiler import CompileError, compile_onnx
from tools.compiler.front import float_graph, prepare
from tools.compiler.graph import Dense
from tools.compiler.onnx_import import import_onnx
from tools.compiler.passes import optimise
from tools.compiler.samples import check_samples

Build = Callable[..., bytes]
STEPS, WIDTH, HIDDEN = 5, 3, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, STEPS, WIDTH)).astype(np.float32)


def weights(operator: str, directions: int = 1) -> dict[str, np.ndarray]:
    rows = GATES[operator] * HIDDEN
    rng = np.random.default_rng(rows + directions)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=(directions, *shape)) * 0.5).astype(np.float32)

    return {"w": draw(rows, WIDTH), "r": draw(rows, HIDDEN), "b": draw(2 * rows)}


def layer(
    operator: str,
    constants: dict[str, np.ndarray],
    output: str = "Y",
    *,
    layout: int = 0,
    initial: bool = False,
    **attributes: Any,
) -> list[Any]:
    """The layer on a batch-first input, and one of its outputs with the batch in front."""
    inputs = ["x" if layout else "t", "w", "r", "b"]
    if initial:
        inputs += ["", "h0"] + (["c0"] if operator == "LSTM" else [])
    outputs = {"Y": ["o", "", ""], "Y_h": ["", "o", ""], "Y_c": ["", "", "o"]}[output]
    outputs = outputs[: 3 if operator == "LSTM" else 2]
    if layout:
        attributes["layout"] = 1
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node(operator, inputs, outputs, hidden_size=HIDDEN, **attributes),
    ]
    batch = 0 if layout else (2 if output == "Y" else 1)
    rank = 4 if output == "Y" else 3
    order = [batch, *(axis for axis in range(rank) if axis != batch)]
    nodes.append(make_node("Transpose", ["o"], ["y"], perm=order))
    return nodes[1:] if layout else nodes


def errors(data: bytes, samples: Any = X) -> dict[str, float]:
    """Largest error of each precision, relative to the spread of the output."""
    found = {}
    for precision in ("wide", "int16", "int8"):
        report = compile_onnx(data, samples, precision=precision).report
        found[precision] = report.max_abs_error / report.outputs[0].spread
    return found


def check(data: bytes, samples: Any = X) -> None:
    found = errors(data, samples)
    assert found["wide"] < 1e-4, found
    assert found["int16"] < 0.02, found
    assert found["int8"] < 0.12, found


@pytest.mark.parametrize("output", ["Y", "Y_h"])
@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_outputs_of_one_direction(make_onnx: Build, operator: str, output: str) -> None:
    constants = weights(operator)
    check(make_onnx(layer(operator, constants, output), {"x": [STEPS, WIDTH]}, constants))


def test_last_cell_state(make_onnx: Build) -> None:
    constants = weights("LSTM")
    check(make_onnx(layer("LSTM", constants, "Y_c"), {"x": [STEPS, WIDTH]}, constants))


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
def test_directions(make_onnx: Build, operator: str, direction: str) -> None:
    constants = weights(operator, 2 if direction == "bidirectional" else 1)
    nodes = layer(operator, constants, "Y", direction=direction)
    check(make_onnx(nodes, {"x": [STEPS, WIDTH]}, constants))


def test_gru_with_the_reset_gate_after_the_product(make_onnx: Build) -> None:
    constants = weights("GRU")
    nodes = layer("GRU", constants, "Y", linear_before_reset=1)
    check(make_onnx(nodes, {"x": [STEPS, WIDTH]}, constants))


def test_activations_and_clip(make_onnx: Build) -> None:
    constants = weights("LSTM")
    nodes = layer("LSTM", constants, "Y", activations=["HardSigmoid", "Softsign", "Tanh"], clip=1.5)
    check(make_onnx(nodes, {"x": [STEPS, WIDTH]}, constants))


@pytest.mark.parametrize("operator", ["LSTM", "GRU"])
def test_initial_states(make_onnx: Build, operator: str) -> None:
    constants = weights(operator)
    row = np.full((1, 1, HIDDEN), 0.7, dtype=np.float32)
    batch = [
        make_node("Shape", ["x"], ["s"], start=0, end=1),
        make_node("Concat", ["one", "s", "width"], ["shape"], axis=0),
        make_node("Expand", ["row", "shape"], ["h0"]),
        make_node("Neg", ["h0"], ["c0"]),
    ]
    extra = {"one": np.array([1]), "width": np.array([HIDDEN]), "row": row}
    nodes = [*batch, *layer(operator, constants, "Y", initial=True)]
    check(make_onnx(nodes, {"x": [STEPS, WIDTH]}, {**constants, **extra}))


def test_state_that_is_an_input(make_onnx: Build) -> None:
    constants = weights("GRU")
    nodes = [
        make_node("Transpose", ["h"], ["h0"], perm=[1, 0, 2]),
        *layer("GRU", constants, "Y_h", initial=True),
    ]
    data = make_onnx(nodes, {"x": [STEPS, WIDTH], "h": [1, HIDDEN]}, constants)
    state = RNG.normal(size=(len(X), 1, HIDDEN)).astype(np.float32)
    check(data, {"x": X, "h": state})


def test_two_layers_and_a_dense_head(make_onnx: Build) -> None:
    first = weights("LSTM")
    second = {
        "w2": RNG.normal(size=(1, 3 * HIDDEN, HIDDEN)).astype(np.float32),
        "r2": RNG.normal(size=(1, 3 * HIDDEN, HIDDEN)).astype(np.float32) * 0.5,
        "v": RNG.normal(size=(HIDDEN, 2)).astype(np.float32),
        "last": np.array(-1),
        "ones": np.array([1]),
    }
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node("LSTM", ["t", "w", "r", "b"], ["o"], hidden_size=HIDDEN),
        make_node("Squeeze", ["o", "ones"], ["h"]),
        make_node("GRU", ["h", "w2", "r2"], ["p"], hidden_size=HIDDEN),
        make_node("Squeeze", ["p", "ones"], ["q"]),
        make_node("Transpose", ["q"], ["u"], perm=[1, 0, 2]),
        make_node("Gather", ["u", "last"], ["e"], axis=1),
        make_node("MatMul", ["e", "v"], ["y"]),
    ]
    check(make_onnx(nodes, {"x": [STEPS, WIDTH]}, {**first, **second}))


def test_steps_share_their_weights_and_tables(make_onnx: Build) -> None:
    constants = weights("LSTM")
    data = make_onnx(layer("LSTM", constants, "Y_h"), {"x": [STEPS, WIDTH]}, constants)
    compiled = compile_onnx(data, X, precision="int8")
    narrow = [item for item in compiled.model.constants if item.type.shape == (HIDDEN, 16)]
    assert len(narrow) == 1  # recurrent weights once, not once per step
    tables = [item for item in compiled.model.constants if item.type.shape == (256,)]
    assert len(tables) <= 5  # sigmoid, tanh, tanh of the cell; two more for the first step


def test_input_projection_is_one_product(make_onnx: Build) -> None:
    constants = weights("LSTM")
    data = make_onnx(layer("LSTM", constants, "Y_h"), {"x": [STEPS, WIDTH]}, constants)
    model = import_onnx(data)
    samples = check_samples(model.inputs, X)
    graph = optimise(float_graph(prepare(model, samples), samples))
    dense = [item for item in graph.operations if isinstance(item, Dense)]
    assert sorted(item.weight.shape for item in dense)[0] == (WIDTH, 16)
    assert len(dense) == 1 + STEPS - 1


REFUSED = {
    "peepholes": ({"p": np.ones((1, 3 * HIDDEN), np.float32)}, {}, "peephole"),
    "coupled gates": ({}, {"input_forget": 1}, "input_forget"),
    "activation": ({}, {"activations": ["Affine", "Tanh", "Tanh"]}, "Affine"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refusals_name_the_reason_and_a_way_out(make_onnx: Build, name: str) -> None:
    extra, attributes, text = REFUSED[name]
    constants = weights("LSTM")
    inputs = ["t", "w", "r", "b", *(["", "", "", "p"] if extra else [])]
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node("LSTM", inputs, ["o", "", ""], name="cells", hidden_size=HIDDEN, **attributes),
        make_node("Transpose", ["o"], ["y"], perm=[2, 0, 1, 3]),
    ]
    data = make_onnx(nodes, {"x": [STEPS, WIDTH]}, {**constants, **extra})
    with pytest.raises(CompileError, match=text) as caught:
        compile_onnx(data, X)
    assert caught.value.operator == "LSTM"
    assert caught.value.node == "cells"
    assert caught.value.advice


def test_varying_lengths_are_refused(make_onnx: Build) -> None:
    constants = {**weights("GRU"), "n": np.array([2, 2, 2], np.int32)}
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        make_node("GRU", ["t", "w", "r", "b", "n"], ["o", ""], hidden_size=HIDDEN),
        make_node("Transpose", ["o"], ["y"], perm=[2, 0, 1, 3]),
    ]
    with pytest.raises(CompileError, match="sequence lengths"):
        compile_onnx(make_onnx(nodes, {"x": [STEPS, WIDTH]}, constants), X)


def test_output_with_time_first_is_refused(make_onnx: Build) -> None:
    constants = weights("GRU")
    nodes = layer("GRU", constants, "Y")[:-1]
    nodes[-1].output[0] = "y"
    with pytest.raises(CompileError, match="batch on axis 2"):
        compile_onnx(make_onnx(nodes, {"x": [STEPS, WIDTH]}, constants), X)
