"""LSTM, GRU and RNN nodes become elementary ONNX nodes, one group per time step.

The length of the sequence is static, so the loop is unrolled: the input projection of all steps is
one MatMul, each step adds its projection of the state and goes through the gates. Because the
result is ONNX again, onnxruntime calibrates every gate and every cell state, and each of them is
compared in the report. Tensors that play the same part in each step are *tied*: they get one
range, so the steps share weights, multipliers and tables.

Semantics: the ONNX specification of LSTM-14/22, GRU-14/22, RNN-14/22.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tools.compiler.graph import Array
from tools.compiler.onnx_import import OnnxModel, OnnxNode, replace_nodes
from tools.compiler.oracle import Oracle
from tools.compiler.recurrent_cells import Cell, Unrolled, run_cell
from tools.compiler.scope import PROBE_BATCH, reject

RECURRENT = ("LSTM", "GRU", "RNN")
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
}
"""Activations that are ONNX operators, with the attributes that they take from the lists."""
_MAX_STEPS = 512
_OLDEST_OPSET = 11
_MAX_JOINED = 64


def expand_recurrent(model: OnnxModel, samples: Mapping[str, Array]) -> OnnxModel:
    """Replace every recurrent node of the model; the same model when it has none.

    Args:
        model: an imported model.
        samples: checked samples by input name; a few rows give the shapes.

    Raises:
        CompileError: peepholes, varying sequence lengths, unknown activations, computed weights.
    """
    found = [node for node in model.nodes if node.operator in RECURRENT]
    if not found:
        return model
    wanted = [name for node in found for name in node.inputs if name]
    known = {item.name for item in model.inputs} | set(model.initializers)
    size = model.batch or PROBE_BATCH
    feeds = {name: np.resize(value, (size, *value.shape[1:])) for name, value in samples.items()}
    probe = [name for name in dict.fromkeys(wanted) if name not in known]
    values: dict[str, Array] = dict(model.initializers)
    values |= Oracle(model, probe).run_once(feeds)
    values |= feeds
    computed = _computed(model)
    if model.opset < _OLDEST_OPSET:
        reject(
            found[0],
            f"is of opset {model.opset}, older than {_OLDEST_OPSET}",
            "convert the file by onnx.version_converter",
        )
    made = Unrolled(model.opset)
    replaced = {
        node.outputs: _expand(node, values, computed, made, size)
        for node in model.nodes
        if node.operator in RECURRENT
    }
    ties = tuple(tuple(names) for names in made.ties.values())
    return replace_nodes(model, replaced, made.constants, ties)


def _computed(model: OnnxModel) -> frozenset[str]:
    """Names that depend on an input."""
    names = {item.name for item in model.inputs}
    for node in model.nodes:
        if names.intersection(node.inputs) and node.operator not in ("Shape", "Size"):
            names.update(node.outputs)
    return frozenset(names)


def _expand(
    node: OnnxNode,
    values: Mapping[str, Array],
    computed: frozenset[str],
    made: Unrolled,
    batch: int,
) -> list[Any]:
    inputs = [*node.inputs, *[""] * 8][:8]
    layout = int(node.attributes.get("layout", 0))
    x = values[inputs[0]]
    if x.ndim != 3:
        reject(node, f"reads a tensor of shape {x.shape}, expected three axes", "export again")
    steps = int(x.shape[1 if layout else 0])
    if steps > _MAX_STEPS:
        reject(
            node,
            f"has {steps} time steps; a loop is unrolled, at most {_MAX_STEPS} are legal",
            "feed a shorter window",
        )
    _refuse_variants(node, inputs, values, computed, steps)
    cells = _cells(node, inputs, values, computed)
    made.nodes = []
    axis = 1 if layout else 0
    states: list[list[str]] = []
    lasts: list[tuple[str, str]] = []
    for index, cell in enumerate(cells):
        initial = tuple(
            _initial(node, name, index, layout, values, computed, made, f"{cell.prefix}/{key}")
            for name, key in ((inputs[5], "h0"), (inputs[6], "c0"))
        )
        hidden, carried = run_cell(cell, inputs[0], axis, steps, initial, made)
        states.append(hidden)
        lasts.append((hidden[0] if cell.backward else hidden[-1], carried))
    _outputs(node, states, lasts, layout, made)
    return made.nodes


def _refuse_variants(
    node: OnnxNode,
    inputs: list[str],
    values: Mapping[str, Array],
    computed: frozenset[str],
    steps: int,
) -> None:
    if inputs[7] and (inputs[7] in computed or values[inputs[7]].any()):
        reject(node, "has peephole connections (input P)", "train without peepholes")
    if node.attributes.get("input_forget", 0):
        reject(node, "couples input and forget gate (input_forget)", "train without coupling")
    if inputs[4]:
        lengths = values[inputs[4]]
        if inputs[4] in computed or (lengths != steps).any():
            reject(
                node,
                "has sequence lengths of its own (input sequence_lens)",
                "feed windows of one fixed length",
            )


def _cells(
    node: OnnxNode, inputs: list[str], values: Mapping[str, Array], computed: frozenset[str]
) -> list[Cell]:
    for index in (1, 2, 3):
        if inputs[index] in computed:
            reject(node, f"weights ({inputs[index]!r}) depend on the input", "freeze the weights")
    direction = node.attributes.get("direction", b"forward").decode()
    w, r = values[inputs[1]], values[inputs[2]]
    count, rows, hidden = r.shape
    zero = np.zeros((count, 2 * rows), w.dtype)
    b = values[inputs[3]] if inputs[3] else zero
    names = _activation_names(node, count)
    cells = []
    for index in range(count):
        per = len(_DEFAULTS[node.operator])
        cells.append(
            Cell(
                operator=node.operator,
                prefix=f"{node.outputs[0] or node.outputs[1] or node.name}/{index}",
                hidden=hidden,
                input_weight=np.ascontiguousarray(w[index].T),
                state_weight=np.ascontiguousarray(r[index].T),
                input_bias=b[index, :rows],
                state_bias=b[index, rows:],
                activations=names[index * per : index * per + per],
                clip=node.attributes.get("clip"),
                after_reset=bool(node.attributes.get("linear_before_reset", 0)),
                backward=direction == "reverse" or index == 1,
            )
        )
    return cells


def _activation_names(
    node: OnnxNode, directions: int
) -> tuple[tuple[str, Mapping[str, float]], ...]:
    given = node.attributes.get("activations") or []
    names = [item.decode() for item in given] or list(_DEFAULTS[node.operator]) * directions
    lists = {key: list(node.attributes.get(f"activation_{key}") or []) for key in ("alpha", "beta")}
    result = []
    for name in names:
        if name not in _ACTIVATIONS:
            reject(
                node,
                f"uses the activation {name}",
                f"use one of {', '.join(sorted(_ACTIVATIONS))}",
            )
        taken = {key: lists[key].pop(0) for key in _ACTIVATIONS[name] if lists[key]}
        result.append((name, taken))
    return tuple(result)


def _initial(
    node: OnnxNode,
    name: str,
    index: int,
    layout: int,
    values: Mapping[str, Array],
    computed: frozenset[str],
    made: Unrolled,
    label: str,
) -> str:
    """Name of an initial state (N, H), or "" for zeros."""
    if not name:
        return ""
    direction_axis, batch_axis = (1, 0) if layout else (0, 1)
    if name in computed:
        position = made.constant(f"{label}/index", np.array(index, np.int64))
        return made.add("Gather", [name, position], label, axis=direction_axis)
    value = np.moveaxis(values[name], (direction_axis, batch_axis), (0, 1))[index]
    if not value.any():
        return ""
    if (value != value[:1]).any():
        reject(node, "has a constant initial state that differs per sample", "use one state")
    return made.constant(label, value[:1])


def _outputs(
    node: OnnxNode,
    states: list[list[str]],
    lasts: list[tuple[str, str]],
    layout: int,
    made: Unrolled,
) -> None:
    """Y (T, D, N, H), Y_h and Y_c (D, N, H); batch first when ``layout`` is 1."""
    y, last_hidden, last_carried = (*node.outputs, "", "", "")[:3]
    if y:
        axes = [1, 2] if layout else [0, 1]
        rows = []
        for step in range(len(states[0])):
            parts = [
                made.unsqueeze(hidden[step], axes, f"{y}/{index}/{step}/y")
                for index, hidden in enumerate(states)
            ]
            rows.append(_joined(made, parts, axes[1], f"{y}/{step}/y"))
        _joined(made, rows, axes[0], f"{y}/all", y)
    axis = 1 if layout else 0
    for output, index in ((last_hidden, 0), (last_carried, 1)):
        if output:
            parts = [
                made.unsqueeze(pair[index], [axis], f"{output}/{direction}/u")
                for direction, pair in enumerate(lasts)
            ]
            _joined(made, parts, axis, f"{output}/all", output)


def _joined(made: Unrolled, parts: list[str], axis: int, label: str, output: str = "") -> str:
    """Concat in stages of what one instruction takes."""
    stage = 0
    while len(parts) > _MAX_JOINED:
        stage += 1
        parts = [
            made.add("Concat", parts[i : i + _MAX_JOINED], f"{label}/{stage}/{i}", axis=axis)
            for i in range(0, len(parts), _MAX_JOINED)
        ]
    if len(parts) == 1:
        return made.add("Identity", parts, output) if output else parts[0]
    return made.add("Concat", parts, output or f"{label}/joined", axis=axis)
