"""LSTM, GRU and RNN nodes become elementary ONNX nodes, one group per time step.

The length of the sequence is static, so the loop is unrolled: the input projection of all steps is
one MatMul, each step adds its projection of the state and goes through the gates. Because the
result is ONNX again, onnxruntime calibrates every gate and every cell state, and each of them is
compared in the report. Tensors that play the same part in each step are *tied*: they get one
range, so the steps share weights, multipliers and tables.

Semantics: the ONNX specification of LSTM-14/22, GRU-14/22, RNN-14/22.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from tools.compiler.graph import Array
from tools.compiler.onnx_import import OnnxModel, OnnxNode, replace_nodes
from tools.compiler.oracle import Oracle
from tools.compiler.scope import PROBE_BATCH, reject

RECURRENT = ("LSTM", "GRU", "RNN")
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
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
_AXES_ARE_INPUTS = 13
_MAX_JOINED = 64


@dataclass(slots=True)
class _Unrolled:
    """Nodes, constants and ties that replace recurrent nodes."""

    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    ties: dict[str, list[str]] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        node = onnx.helper.make_node(operator, inputs, [output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def unsqueeze(self, x: str, axes: list[int], output: str) -> str:
        if self.opset < _AXES_ARE_INPUTS:
            return self.add("Unsqueeze", [x], output, axes=axes)
        label = "recurrent/axes" + "".join(map(str, axes))
        return self.add("Unsqueeze", [x, self.constant(label, np.array(axes, np.int64))], output)

    def tied(self, group: str, name: str) -> str:
        self.ties.setdefault(group, []).append(name)
        return name


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    """One direction of one node: weights transposed for ``x @ w``, bias of the input side."""

    operator: str
    prefix: str
    hidden: int
    input_weight: Array
    state_weight: Array
    input_bias: Array
    state_bias: Array
    activations: tuple[tuple[str, Mapping[str, float]], ...]
    clip: float | None
    after_reset: bool
    backward: bool


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
    made = _Unrolled(model.opset)
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
    made: _Unrolled,
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
        hidden, carried = _run(cell, inputs[0], axis, steps, initial, made)
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
) -> list[_Cell]:
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
            _Cell(
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
    made: _Unrolled,
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


def _run(
    cell: _Cell,
    x: str,
    axis: int,
    steps: int,
    initial: tuple[str, ...],
    made: _Unrolled,
) -> tuple[list[str], str]:
    """All hidden states in time order, and the last cell state."""
    prefix = cell.prefix
    weight = made.constant(f"{prefix}/w", cell.input_weight)
    made.constant(f"{prefix}/r", cell.state_weight)
    state_bias = cell.state_bias.copy()
    if cell.operator == "GRU" and cell.after_reset:  # this part is inside the reset gate
        state_bias[-cell.hidden :] = 0
    bias = made.constant(f"{prefix}/b", cell.input_bias + state_bias)
    product = made.add("MatMul", [x, weight], f"{prefix}/xw")
    projected = made.add("Add", [product, bias], f"{prefix}/xwb")
    hidden, carried = initial
    found: dict[int, str] = {}
    step_of: Callable[..., tuple[str, str]] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[
        cell.operator
    ]
    order = range(steps - 1, -1, -1) if cell.backward else range(steps)
    for step in order:
        where = made.constant(f"recurrent/step{step}", np.array(step, np.int64))
        part = made.add("Gather", [projected, where], f"{prefix}/{step}/x", axis=axis)
        hidden, carried = step_of(cell, made, f"{prefix}/{step}", part, hidden, carried)
        found[step] = hidden
    return [found[step] for step in range(steps)], carried


def _sum(cell: _Cell, made: _Unrolled, name: str, part: str, state: str, key: str) -> str:
    """Input part plus ``state @ R``, clipped when the node says so; tied over the steps."""
    total = part
    if state:
        product = made.add("MatMul", [state, f"{cell.prefix}/{key}"], f"{name}/{key}h")
        made.tied(f"{cell.prefix}/{key}h", product)
        total = made.add("Add", [part, product], f"{name}/{key}s")
    return _clipped(cell, made, name, total, key)


def _clipped(cell: _Cell, made: _Unrolled, name: str, total: str, key: str) -> str:
    if cell.clip is not None:
        low = made.constant(f"{cell.prefix}/low", np.array(-cell.clip, cell.input_weight.dtype))
        high = made.constant(f"{cell.prefix}/high", np.array(cell.clip, cell.input_weight.dtype))
        total = made.add("Clip", [total, low, high], f"{name}/{key}c")
    return made.tied(f"{cell.prefix}/{key}s", total)


def _gate(
    cell: _Cell, made: _Unrolled, name: str, total: str, part: tuple[int, int], activation: int
) -> str:
    """Activation of the columns ``part`` (start, stop, in units of the hidden size)."""
    operator, attributes = cell.activations[activation]
    key = f"{part[0]}{part[1]}"
    source = total
    if part != (0, _GATES[cell.operator]):
        source = _columns(cell, made, f"{name}/g{key}", total, part)
    output = made.add(operator, [source], f"{name}/a{key}", **attributes)
    return made.tied(f"{cell.prefix}/a{key}", output)


def _columns(cell: _Cell, made: _Unrolled, name: str, x: str, part: tuple[int, int]) -> str:
    ends = [made.constant(f"recurrent/at{item * cell.hidden}", _at(item, cell)) for item in part]
    last = made.constant("recurrent/last", np.array([-1], np.int64))
    return made.add("Slice", [x, *ends, last], name)


def _at(item: int, cell: _Cell) -> Array:
    return np.array([item * cell.hidden], np.int64)


def _lstm(
    cell: _Cell, made: _Unrolled, name: str, part: str, hidden: str, carried: str
) -> tuple[str, str]:
    total = _sum(cell, made, name, part, hidden, "r")
    gates = _gate(cell, made, name, total, (0, 3), 0)
    candidate = _gate(cell, made, name, total, (3, 4), 1)
    enter = _columns(cell, made, f"{name}/i", gates, (0, 1))
    state = made.add("Mul", [enter, candidate], f"{name}/ig")
    made.tied(f"{cell.prefix}/ig", state)
    if carried:
        forget = _columns(cell, made, f"{name}/f", gates, (2, 3))
        kept = made.tied(f"{cell.prefix}/fc", made.add("Mul", [forget, carried], f"{name}/fc"))
        state = made.add("Add", [kept, state], f"{name}/c")
    made.tied(f"{cell.prefix}/c", state)
    operator, attributes = cell.activations[2]
    shown = made.add(operator, [state], f"{name}/hc", **attributes)
    made.tied(f"{cell.prefix}/hc", shown)
    leave = _columns(cell, made, f"{name}/o", gates, (1, 2))
    output = made.add("Mul", [leave, shown], f"{name}/h")
    return made.tied(f"{cell.prefix}/h", output), state


def _gru(
    cell: _Cell, made: _Unrolled, name: str, part: str, hidden: str, carried: str
) -> tuple[str, str]:
    size = cell.hidden
    gated = _columns(cell, made, f"{name}/xg", part, (0, 2))
    own = _columns(cell, made, f"{name}/xc", part, (2, 3))
    weight = cell.state_weight
    made.constant(f"{cell.prefix}/rg", weight[:, : 2 * size])
    made.constant(f"{cell.prefix}/rc", weight[:, 2 * size :])
    total = _sum(cell, made, name, gated, hidden, "rg")
    gates = _gate(cell, made, name, total, (0, 2), 0)
    update = _columns(cell, made, f"{name}/z", gates, (0, 1))
    if cell.after_reset:
        total = _reset_after(cell, made, name, own, hidden, gates)
    else:
        state = ""
        if hidden:
            reset = _columns(cell, made, f"{name}/q", gates, (1, 2))
            state = made.add("Mul", [reset, hidden], f"{name}/qh")
            made.tied(f"{cell.prefix}/qh", state)
        total = _sum(cell, made, name, own, state, "rc")
    operator, attributes = cell.activations[1]
    candidate = made.add(operator, [total], f"{name}/n", **attributes)
    made.tied(f"{cell.prefix}/n", candidate)
    if hidden:  # (1 - z) n + z h = n + z (h - n)
        change = made.add("Sub", [hidden, candidate], f"{name}/d")
        made.tied(f"{cell.prefix}/d", change)
        moved = made.add("Mul", [update, change], f"{name}/zd")
        made.tied(f"{cell.prefix}/zd", moved)
    else:  # n - z n
        moved = made.add("Mul", [update, candidate], f"{name}/zn")
        moved = made.add("Neg", [moved], f"{name}/zd")
    output = made.add("Add", [candidate, moved], f"{name}/h")
    return made.tied(f"{cell.prefix}/h", output), carried


def _reset_after(cell: _Cell, made: _Unrolled, name: str, own: str, hidden: str, gates: str) -> str:
    """``x + r * (h @ R + b)``: the reset gate acts after the product."""
    bias = made.constant(f"{cell.prefix}/rb", cell.state_bias[-cell.hidden :].reshape(1, -1))
    reset = _columns(cell, made, f"{name}/q", gates, (1, 2))
    inner = bias
    if hidden:
        product = made.add("MatMul", [hidden, f"{cell.prefix}/rc"], f"{name}/rch")
        inner = made.add("Add", [product, bias], f"{name}/rcb")
        made.tied(f"{cell.prefix}/rcb", inner)
    scaled = made.add("Mul", [reset, inner], f"{name}/qr")
    made.tied(f"{cell.prefix}/qr", scaled)
    total = made.add("Add", [own, scaled], f"{name}/rct")
    return _clipped(cell, made, name, total, "rc")


def _rnn(
    cell: _Cell, made: _Unrolled, name: str, part: str, hidden: str, carried: str
) -> tuple[str, str]:
    total = _sum(cell, made, name, part, hidden, "r")
    output = _gate(cell, made, name, total, (0, 1), 0)
    return made.tied(f"{cell.prefix}/h", output), carried


def _outputs(
    node: OnnxNode,
    states: list[list[str]],
    lasts: list[tuple[str, str]],
    layout: int,
    made: _Unrolled,
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


def _joined(made: _Unrolled, parts: list[str], axis: int, label: str, output: str = "") -> str:
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
