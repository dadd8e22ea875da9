"""One direction of a recurrent layer as elementary ONNX nodes, step by step.

Each part of a step is *tied* to the same part of the other steps: they get one range, so that all
steps share weights, multipliers and tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.helper

from tools.compiler.graph import Array

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_AXES_ARE_INPUTS = 13


@dataclass(slots=True)
class Unrolled:
    """Nodes, constants and ties that replace recurrent nodes."""

    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    ties: dict[str, list[str]] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        """Define an initializer; returns its name."""
        self.constants[name] = np.asarray(value)
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node with one output, which also names it; returns the output."""
        node = onnx.helper.make_node(operator, inputs, [output], name=output, **attributes)
        self.nodes.append(node)
        return output

    def unsqueeze(self, x: str, axes: list[int], output: str) -> str:
        """Append an Unsqueeze in the form of the file's opset."""
        if self.opset < _AXES_ARE_INPUTS:
            return self.add("Unsqueeze", [x], output, axes=axes)
        label = "recurrent/axes" + "".join(map(str, axes))
        return self.add("Unsqueeze", [x, self.constant(label, np.array(axes, np.int64))], output)

    def tied(self, group: str, name: str) -> str:
        """Tie a tensor to the others of a group; returns its name."""
        self.ties.setdefault(group, []).append(name)
        return name


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
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


def run_cell(
    cell: Cell,
    x: str,
    axis: int,
    steps: int,
    initial: tuple[str, ...],
    made: Unrolled,
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


def _sum(cell: Cell, made: Unrolled, name: str, part: str, state: str, key: str) -> str:
    """Input part plus ``state @ R``, clipped when the node says so; tied over the steps."""
    total = part
    if state:
        product = made.add("MatMul", [state, f"{cell.prefix}/{key}"], f"{name}/{key}h")
        made.tied(f"{cell.prefix}/{key}h", product)
        total = made.add("Add", [part, product], f"{name}/{key}s")
    return _clipped(cell, made, name, total, key)


def _clipped(cell: Cell, made: Unrolled, name: str, total: str, key: str) -> str:
    if cell.clip is not None:
        low = made.constant(f"{cell.prefix}/low", np.array(-cell.clip, cell.input_weight.dtype))
        high = made.constant(f"{cell.prefix}/high", np.array(cell.clip, cell.input_weight.dtype))
        total = made.add("Clip", [total, low, high], f"{name}/{key}c")
    return made.tied(f"{cell.prefix}/{key}s", total)


def _gate(
    cell: Cell, made: Unrolled, name: str, total: str, part: tuple[int, int], activation: int
) -> str:
    """Activation of the columns ``part`` (start, stop, in units of the hidden size)."""
    operator, attributes = cell.activations[activation]
    key = f"{part[0]}{part[1]}"
    source = total
    if part != (0, GATES[cell.operator]):
        source = _columns(cell, made, f"{name}/g{key}", total, part)
    output = made.add(operator, [source], f"{name}/a{key}", **attributes)
    return made.tied(f"{cell.prefix}/a{key}", output)


def _columns(cell: Cell, made: Unrolled, name: str, x: str, part: tuple[int, int]) -> str:
    ends = [made.constant(f"recurrent/at{item * cell.hidden}", _at(item, cell)) for item in part]
    last = made.constant("recurrent/last", np.array([-1], np.int64))
    return made.add("Slice", [x, *ends, last], name)


def _at(item: int, cell: Cell) -> Array:
    return np.array([item * cell.hidden], np.int64)


def _lstm(
    cell: Cell, made: Unrolled, name: str, part: str, hidden: str, carried: str
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
    cell: Cell, made: Unrolled, name: str, part: str, hidden: str, carried: str
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


def _reset_after(cell: Cell, made: Unrolled, name: str, own: str, hidden: str, gates: str) -> str:
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
    cell: Cell, made: Unrolled, name: str, part: str, hidden: str, carried: str
) -> tuple[str, str]:
    total = _sum(cell, made, name, part, hidden, "r")
    output = _gate(cell, made, name, total, (0, 1), 0)
    return made.tied(f"{cell.prefix}/h", output), carried
