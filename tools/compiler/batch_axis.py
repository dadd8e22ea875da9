"""Tensors whose batch is not the first axis, as recurrent exports have them (time first).

Importers see a world in which the batch always comes first. A node that reads or makes a tensor
with another batch axis is shown to its importer with remapped axis attributes, and the probe's
values are moved; the per-sample axes keep their order, so nothing moves in the integer model.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tools.compiler.onnx_elementwise import UNARY
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import Scope, integers, reject

_ELEMENTWISE = frozenset(
    """
    Add And Cast Ceil Clip Div Dropout Equal Expand Floor Greater GreaterOrEqual Identity Less
    LessOrEqual Max Min Mod Mul Neg Not Or Pow Relu Round Sign Sub Sum Where Xor
    """.split()  # noqa: SIM905 (a table of names)
) | frozenset(UNARY)
_ONE_AXIS = {"Concat": 1, "Softmax": -1, "LogSoftmax": -1, "Split": 0}
"""Operators with one ``axis`` that keep the rank, and its default."""
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")


def batch_first(scope: Scope, node: OnnxNode) -> OnnxNode:
    """The node as it would be if the batch were the first axis of all it reads and makes.

    Raises:
        CompileError: the operator cannot work on such tensors, or mixes batch axes.
    """
    computed = [name for name in node.inputs if scope.resolve(name) in scope.shapes]
    held = {scope.batch_axes.get(name, 0) for name in computed}
    if not computed or (held == {0} and not _moves_batch(scope, node)):
        return node
    ranks = {len(scope.shapes[scope.resolve(name)]) + 1 for name in computed}
    if len(held) > 1 or len(ranks) > 1:
        reject(
            node,
            f"reads tensors with the batch on axes {sorted(held)}, of {sorted(ranks)} dimensions",
            "transpose them to the same layout first",
        )
    rank, axis = ranks.pop(), held.pop()
    shown, outputs = _remapped(scope, node, rank, axis)
    for name in node.outputs:
        if name and outputs:
            scope.batch_axes[name] = outputs
            scope.move_batch(name, outputs)
    return shown


def _moves_batch(scope: Scope, node: OnnxNode) -> bool:
    """True for a node that puts other axes before a batch that comes first."""
    if node.operator == "Transpose":
        return int((node.attributes.get("perm") or [1])[0]) != 0
    if node.operator not in _RESHAPES:
        return False
    shape = scope.probe(node.outputs[0]).shape
    if node.operator == "Unsqueeze":
        axes = integers(scope, node, "axes", 1) or ()
        return 0 in {axis % len(shape) for axis in axes}
    return not shape or shape[0] != scope.batch


def _remap(axis: int, rank: int, batch: int) -> int:
    """Where an ONNX axis is once the batch axis has been moved to the front."""
    normal = axis + rank if axis < 0 else axis
    if normal == batch:
        return 0
    return normal + 1 if normal < batch else normal


def _with(node: OnnxNode, **attributes: Any) -> OnnxNode:
    return replace(node, attributes={**node.attributes, **attributes})


def _remapped(scope: Scope, node: OnnxNode, rank: int, batch: int) -> tuple[OnnxNode, int]:
    """The shown node, and the batch axis of its outputs."""
    kind = node.operator
    if kind == "Transpose":
        return _transpose(node, rank, batch)
    if kind in _RESHAPES:
        return node, _reshaped(scope, node, rank, batch)
    if kind == "MatMul" and batch < rank - 1:
        return node, batch
    if kind in _ELEMENTWISE:
        return _elementwise(scope, node, rank, batch), batch
    if kind in _ONE_AXIS:
        axis = int(node.attributes.get("axis", _ONE_AXIS[kind]))
        return _with(node, axis=_remap(axis, rank, batch)), batch
    if kind == "Gather":
        return _gather(scope, node, rank, batch)
    if kind == "Slice":
        starts = integers(scope, node, "starts", 1) or ()
        axes = integers(scope, node, "axes", 3) or tuple(range(len(starts)))
        return _with(node, axes=[_remap(axis, rank, batch) for axis in axes]), batch
    if kind in _REDUCTIONS:
        return _reduction(scope, node, rank, batch)
    reject(
        node,
        f"reads a tensor whose batch is axis {batch}",
        "transpose it so that the batch comes first",
    )


def _transpose(node: OnnxNode, rank: int, batch: int) -> tuple[OnnxNode, int]:
    permutation = list(node.attributes.get("perm") or reversed(range(rank)))
    made = permutation.index(batch)
    rest = [_remap(axis, rank, batch) for place, axis in enumerate(permutation) if place != made]
    return _with(node, perm=[0, *rest]), made


def _reshaped(scope: Scope, node: OnnxNode, rank: int, batch: int) -> int:
    """Batch axis after a reshape: as many elements stand before it as did."""
    shape = scope.probe(node.outputs[0]).shape
    before = prod(scope.shapes[scope.resolve(node.inputs[0])][:batch])
    if node.operator == "Unsqueeze":
        axes = integers(scope, node, "axes", 1) or ()
        added = {axis % len(shape) for axis in axes}
        return [axis for axis in range(len(shape)) if axis not in added][batch]
    if node.operator == "Squeeze" and integers(scope, node, "axes", 1) is not None:
        axes = integers(scope, node, "axes", 1) or ()
        removed = {axis % rank for axis in axes}
        return batch - sum(axis < batch for axis in removed)
    places = [
        axis
        for axis, size in enumerate(shape)
        if size == scope.batch and prod(shape[:axis]) == before
    ]
    if not places:
        reject(
            node,
            f"reshapes to {shape}, across the batch axis {batch}",
            "transpose so that the batch comes first, then reshape",
        )
    return places[-1]


def _elementwise(scope: Scope, node: OnnxNode, rank: int, batch: int) -> OnnxNode:
    """Constants with a batch axis of their own are moved with the tensor."""
    names = list(node.inputs)
    for index, name in enumerate(names):
        value = scope.constant(name)
        if value is None or value.ndim <= rank - 1 - batch:
            continue
        full = value.reshape((1,) * (rank - value.ndim) + value.shape)
        names[index] = scope.define_constant(node, np.moveaxis(full, batch, 0))
    return replace(node, inputs=tuple(names))


def _gather(scope: Scope, node: OnnxNode, rank: int, batch: int) -> tuple[OnnxNode, int]:
    axis = int(node.attributes.get("axis", 0)) % rank
    indices = scope.constant(node.inputs[1])
    added = 0 if indices is None else indices.ndim
    made = batch if batch < axis else batch - 1 + added
    return _with(node, axis=_remap(axis, rank, batch)), made


def _reduction(scope: Scope, node: OnnxNode, rank: int, batch: int) -> tuple[OnnxNode, int]:
    axes: Sequence[int] = integers(scope, node, "axes", 1) or ()
    removed = 0 if node.attributes.get("keepdims", 1) else sum(a % rank < batch for a in axes)
    shown = _with(node, axes=[_remap(axis, rank, batch) for axis in axes])
    return shown, batch - removed
