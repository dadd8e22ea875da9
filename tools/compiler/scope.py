"""What an importer of one ONNX node works with: constants, shapes, and where operations go.

Anything that does not depend on the model's inputs is a constant, and its value is the one that
onnxruntime computed in a probe run. ``Shape`` of a data tensor counts as independent, because
shapes are static; so Shape/Gather/Concat/Range/ConstantOfShape chains vanish here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from tools.compiler.errors import CompileError
from tools.compiler.graph import (
    Array,
    Floats,
    GraphInput,
    Operation,
    Reshape,
    Shape,
    Transpose,
    renamed,
)
from tools.compiler.onnx_import import OnnxModel, OnnxNode
from tools.compiler.oracle import Oracle
from tools.compiler.quantize import Grid

if TYPE_CHECKING:
    from tools.compiler.coded import Coded
    from tools.compiler.onnx_dynamic import Pending

PROBE_BATCH = 3
_SHAPE_OPERATORS = ("Shape", "Size")


class Scope:
    """State of one import: constants, per-sample shapes, aliases, operations so far."""

    def __init__(
        self,
        constants: Mapping[str, Array],
        tensors: Mapping[str, Array],
        inputs: tuple[GraphInput, ...],
        opset: int,
    ) -> None:
        """``tensors`` holds the probe's value of every data tensor, batch first."""
        self.opset = opset
        self.operations: list[Operation] = []
        self.shapes: dict[str, Shape] = {item.name: item.shape for item in inputs}
        self.inputs = inputs
        self.grids: dict[str, Grid] = {}
        self.coded: dict[str, Coded] = {}
        self.pending: dict[str, Pending] = {}
        self.steps: dict[str, tuple[Floats, int]] = {}
        self._constants = dict(constants)
        self._tensors = dict(tensors)
        self.batch = next(len(tensors[item.name]) for item in inputs)
        self.batch_axes: dict[str, int] = {}
        self.merged: set[str] = set()
        self._aliases: dict[str, str] = {}
        self._fresh = 0

    def constant(self, name: str) -> Array | None:
        """Value of a constant, or None when the tensor depends on the input or is absent."""
        return self._constants.get(name)

    def resolve(self, name: str) -> str:
        """Name of the tensor that really holds ``name``'s values."""
        while name in self._aliases:
            name = self._aliases[name]
        return name

    def alias(self, output: str, name: str) -> None:
        """``output`` is the same tensor as ``name``.

        A tensor that ONNX does not know takes the name that ONNX has for it, so that it can be
        looked up in onnxruntime.
        """
        resolved = self.resolve(name)
        if output == resolved:
            return
        if "#" in resolved and "#" not in output and resolved in self.shapes:
            self._rename(resolved, output)
            output, resolved = resolved, output
        self._aliases[output] = resolved

    def _rename(self, old: str, new: str) -> None:
        """Give the tensor of a recent operation another name."""
        for index in range(len(self.operations) - 1, -1, -1):
            operation = self.operations[index]
            if operation.output == old:
                self.operations[index] = replace(operation, output=new)
                break
            self.operations[index] = renamed(operation, {old: new})
        self.shapes[new] = self.shapes.pop(old)

    def dtype(self, name: str) -> "np.dtype[Any]":
        """Element type that onnxruntime gives the tensor."""
        return self._tensors[name].dtype

    def probe(self, name: str) -> Array:
        """The probe's value of a data tensor."""
        return self._tensors[name]

    def share_probe(self, name: str, other: str) -> None:
        """Let ``other`` have the probe's value of ``name``."""
        self._tensors[other] = self._tensors[name]

    def move_batch(self, name: str, axis: int) -> None:
        """Show the probe's value of ``name`` with its batch, now on ``axis``, in front."""
        self._tensors[name] = np.moveaxis(self._tensors[name], axis, 0)

    def split_batch(self, name: str) -> None:
        """Show the probe's value of ``name``, whose batch is merged, with the batch apart."""
        value = self._tensors[name]
        self._tensors[name] = value.reshape(self.batch, -1, *value.shape[1:])
        self.merged.add(name)

    def assume(self, name: str, value: Array) -> None:
        """From now on an ONNX tensor is a constant, whatever its node reads."""
        self._constants[name] = value

    def define_constant(self, node: OnnxNode, value: Array) -> str:
        """A constant that ONNX does not have, under a new name."""
        name = self.fresh(node)
        self._constants[name] = value
        return name

    def probed_shape(self, node: OnnxNode, name: str) -> Shape:
        """Per-sample shape of an ONNX tensor as onnxruntime computed it."""
        shape = self._tensors[name].shape
        if not shape or shape[0] != self.batch:
            reject(
                node,
                f"the first dimension of {name!r} is not the batch (shape {shape}"
                f" for a batch of {self.batch})",
                "keep the batch first and never mix samples",
            )
        return tuple(int(dim) for dim in shape[1:])

    def emit(self, operation: Operation, shape: Shape) -> str:
        """Append an operation whose output has this per-sample shape; returns the output name."""
        self.operations.append(operation)
        self.shapes[operation.output] = shape
        return operation.output

    def fresh(self, node: OnnxNode) -> str:
        """A new tensor name that ONNX cannot have given."""
        self._fresh += 1
        return f"{node.outputs[0] or node.name}#{self._fresh}"

    def reshape(self, node: OnnxNode, x: str, shape: Shape, output: str = "") -> str:
        """``x`` under another shape; the same tensor when the shape already fits."""
        if self.shapes[x] == shape:
            if output:
                self.alias(output, x)
            return x
        name = output or self.fresh(node)
        return self.emit(Reshape(origin=origin(node), output=name, x=x), shape)

    def transpose(self, node: OnnxNode, x: str, permutation: Shape, output: str = "") -> str:
        """``x`` with permuted per-sample axes; the same tensor for the identity."""
        if permutation == tuple(range(len(permutation))):
            if output:
                self.alias(output, x)
            return x
        shape = tuple(self.shapes[x][axis] for axis in permutation)
        name = output or self.fresh(node)
        operation = Transpose(origin=origin(node), output=name, x=x, permutation=permutation)
        return self.emit(operation, shape)


Importer: TypeAlias = Callable[[Scope, OnnxNode], None]


def reject(node: OnnxNode, reason: str, advice: str) -> NoReturn:
    """Raise the CompileError that names this node."""
    raise CompileError(reason, advice=advice, node=node.name, operator=node.operator)


def origin(node: OnnxNode) -> tuple[str, str]:
    """``(operator, node name)`` for messages."""
    return node.operator, node.name


def data(scope: Scope, node: OnnxNode, index: int = 0) -> str:
    """Input ``index`` as a tensor name; CompileError when it is absent or a constant."""
    name = node.inputs[index] if index < len(node.inputs) else ""
    resolved = scope.resolve(name)
    if resolved not in scope.shapes:
        what = "is constant" if scope.constant(name) is not None else "is missing"
        reject(
            node, f"input {index} ({name!r}) {what}, expected computed data", "simplify the graph"
        )
    return resolved


def constant(scope: Scope, node: OnnxNode, index: int, what: str) -> Array | None:
    """Input ``index`` as a constant; None when absent; CompileError when it is computed data."""
    name = node.inputs[index] if index < len(node.inputs) else ""
    if not name:
        return None
    value = scope.constant(name)
    if value is None:
        reject(
            node,
            f"{what} ({name!r}) depends on the input, expected a constant",
            "freeze it before export (constant folding, fixed weights)",
        )
    return value


def required(scope: Scope, node: OnnxNode, index: int, what: str) -> Array:
    """As ``constant``, but absent is an error too."""
    value = constant(scope, node, index, what)
    if value is None:
        reject(node, f"{what} (input {index}) is missing", "export the model again")
    return value


def integers(scope: Scope, node: OnnxNode, key: str, index: int) -> Shape | None:
    """A list of integers given as attribute ``key`` or as constant input ``index``."""
    if key in node.attributes:
        value: Sequence[int] = node.attributes[key]
        return tuple(int(item) for item in value)
    array = constant(scope, node, index, key)
    return None if array is None else tuple(int(item) for item in array.reshape(-1))


def sample_axis(node: OnnxNode, axis: int, rank: int) -> int:
    """Per-sample axis of an ONNX axis; ``rank`` counts the batch. CompileError for the batch."""
    normal = axis + rank if axis < 0 else axis
    if normal == 0:
        reject(node, "works along the batch axis, which would mix samples", "use another axis")
    return normal - 1


def _read(node: OnnxNode) -> tuple[str, ...]:
    """Inputs whose values a node reads; of some it only takes the type."""
    return node.inputs[:1] if node.operator == "CastLike" else node.inputs


def open_scope(model: OnnxModel, opset: int, samples: Mapping[str, Array]) -> Scope:
    """Probe the model with a few samples and sort its tensors into constants and data."""
    dependent = {item.name for item in model.inputs}
    constants = dict(model.initializers)
    names: list[str] = []
    for node in model.nodes:
        names.extend(name for name in node.outputs if name)
        is_data = (
            bool(dependent.intersection(_read(node))) and node.operator not in _SHAPE_OPERATORS
        )
        if is_data:
            dependent.update(name for name in node.outputs if name)
    size = model.batch or PROBE_BATCH
    feeds = {name: np.resize(value, (size, *value.shape[1:])) for name, value in samples.items()}
    values = Oracle(model, names).run_once(feeds)
    constants.update({name: value for name, value in values.items() if name not in dependent})
    tensors = {name: value for name, value in values.items() if name in dependent} | feeds
    return Scope(constants, tensors, model.inputs, opset)
