"""Importers of Resize and Upsample, of Pad in every mode, and of reversed slices.

Resizing is separable: each axis is a constant matrix, which onnxruntime itself gives when it
resizes an identity matrix. Rows with a single one select pixels; others are a dense layer.
"""

from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnxruntime

from tools.compiler.graph import Floats, Pad, Shape
from tools.compiler.onnx_choices import emit_expand
from tools.compiler.onnx_dense import emit_dense
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_shape import emit_select
from tools.compiler.scope import (
    Importer,
    Scope,
    constant,
    data,
    integers,
    origin,
    reject,
)

_KEPT = (
    "antialias",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "mode",
    "nearest_mode",
)
_RESIZE_OPSET = 11
_LARGEST = 4096
_PAD_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def _resize(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    shape = scope.shapes[x]
    target = scope.probed_shape(node, node.outputs[0])
    if node.attributes.get("coordinate_transformation_mode", b"") == b"tf_crop_and_resize":
        reject(node, "crops while it resizes", "slice first, then resize")
    if len(target) != len(shape) or max(*shape, *target) > _LARGEST:
        reject(node, f"resizes {shape} to {target}", f"keep every axis at most {_LARGEST}")
    scales = _scales(scope, node, len(shape) + 1)
    name = x
    for axis, (size, wanted) in enumerate(zip(shape, target, strict=True)):
        if size == wanted and (scales is None or scales[axis + 1] == 1.0):
            continue
        scale = None if scales is None else scales[axis + 1]
        name = _resize_axis(scope, node, name, axis, axis_matrix(node, size, wanted, scale))
    scope.alias(node.outputs[0], scope.reshape(node, name, target))


def _scales(scope: Scope, node: OnnxNode, rank: int) -> list[float] | None:
    """Factors of all axes, or None when the node gives sizes."""
    index = 1 if node.operator == "Upsample" else 2
    given = constant(scope, node, index, "scales")
    values = node.attributes.get("scales") if given is None else given.reshape(-1).tolist()
    if not values:
        return None
    axes = node.attributes.get("axes") or range(rank)
    factors = [1.0] * rank
    for axis, value in zip(axes, values, strict=True):
        factors[axis] = float(value)
    return factors


def axis_matrix(node: OnnxNode, size: int, wanted: int, scale: float | None) -> Floats:
    """The (wanted, size) matrix by which one axis is resized, from onnxruntime itself."""
    kept: dict[str, Any] = {key: node.attributes[key] for key in _KEPT if key in node.attributes}
    inputs = ["x", "", "", "sizes"] if scale is None else ["x", "", "scales"]
    if node.operator == "Upsample":  # of old opsets: asymmetric, and floor of the position
        kept = {
            "mode": node.attributes.get("mode", b"nearest"),
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    constants = [
        onnx.numpy_helper.from_array(np.array([1, 1, wanted, size], np.int64), "sizes"),
        onnx.numpy_helper.from_array(np.array([1, 1, scale or 1.0, 1], np.float32), "scales"),
    ]
    used = [item for item in constants if item.name in inputs]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Resize", inputs, ["y"], **kept)],
        "axis",
        [info("x", onnx.TensorProto.FLOAT, [1, 1, size, size])],
        [info("y", onnx.TensorProto.FLOAT, None)],
        used,
    )
    opset = 18 if "antialias" in kept else 13
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    identity = np.eye(size, dtype=np.float32)[np.newaxis, np.newaxis]
    matrix: Floats = np.asarray(session.run(None, {"x": identity})[0], np.float64)[0, 0]
    return matrix


def _resize_axis(scope: Scope, node: OnnxNode, x: str, axis: int, matrix: Floats) -> str:
    shape = scope.shapes[x]
    wanted, size = matrix.shape
    if ((matrix == 0) | (matrix == 1)).all() and (matrix.sum(axis=1) == 1).all():
        chosen = matrix.argmax(axis=1)
        factor = wanted // size
        if wanted % size == 0 and (chosen == np.arange(wanted) // factor).all():
            return _repeat(scope, node, x, axis, factor)
        indices = [int(item) for item in chosen]
        return emit_select(scope, node, x, axis, indices, scope.fresh(node))
    order = (*(item for item in range(len(shape)) if item != axis), axis)
    last = scope.transpose(node, x, order)
    name = emit_dense(scope, node, last, matrix.T, np.zeros(1), scope.fresh(node))
    return scope.transpose(node, name, tuple(int(item) for item in np.argsort(order)))


def _repeat(scope: Scope, node: OnnxNode, x: str, axis: int, factor: int) -> str:
    """Every entry of an axis ``factor`` times."""
    shape = scope.shapes[x]
    before = int(np.prod(shape[: axis + 1], dtype=np.int64))
    after = int(np.prod(shape[axis + 1 :], dtype=np.int64))
    split = scope.reshape(node, x, (before, 1, after))
    spread = emit_expand(scope, node, split, (before, factor, after))
    target: Shape = (*shape[:axis], shape[axis] * factor, *shape[axis + 1 :])
    return scope.reshape(node, spread, target)


def _pad(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    mode = node.attributes.get("mode", b"constant").decode()
    if mode != "constant" and mode not in _PAD_MODES:
        reject(node, f"pads in mode {mode!r}", "use constant, reflect, edge or wrap")
    given = integers(scope, node, "pads", 1) or ()
    fill = constant(scope, node, 2, "value")
    value = float(node.attributes.get("value", 0.0)) if fill is None else float(fill.reshape(-1)[0])
    rank = len(scope.shapes[x]) + 1
    axes = [axis % rank for axis in integers(scope, node, "axes", 3) or range(rank)]
    before, after = [0] * rank, [0] * rank
    for axis, low, high in zip(axes, given[: len(axes)], given[len(axes) :], strict=True):
        before[axis], after[axis] = low, high
    if before[0] or after[0]:
        reject(node, f"has pads {given}, which pad the batch", "pad data axes only")
    borders = list(zip(before[1:], after[1:], strict=True))
    name = _cropped(scope, node, x, borders)
    borders = [(max(low, 0), max(high, 0)) for low, high in borders]
    if mode == "constant":
        name = _constant_border(scope, node, name, borders, value)
    else:
        for axis, (low, high) in enumerate(borders):
            name = _copied_border(scope, node, name, axis, (low, high), _PAD_MODES[mode])
    scope.alias(node.outputs[0], name)


def _cropped(scope: Scope, node: OnnxNode, x: str, borders: list[tuple[int, int]]) -> str:
    """Negative pads cut."""
    name = x
    for axis, (low, high) in enumerate(borders):
        size = scope.shapes[name][axis]
        first, last = max(-low, 0), size - max(-high, 0)
        if (first, last) != (0, size):
            indices = list(range(first, last))
            name = emit_select(scope, node, name, axis, indices, scope.fresh(node))
    return name


def _constant_border(
    scope: Scope, node: OnnxNode, x: str, borders: list[tuple[int, int]], value: float
) -> str:
    if not any(low or high for low, high in borders):
        return x
    shape = scope.shapes[x]
    operation = Pad(
        origin=origin(node),
        output=scope.fresh(node),
        x=x,
        before=tuple(low for low, _ in borders),
        after=tuple(high for _, high in borders),
        value=value,
    )
    padded = tuple(low + size + high for size, (low, high) in zip(shape, borders, strict=True))
    return scope.emit(operation, padded)


def _copied_border(
    scope: Scope, node: OnnxNode, x: str, axis: int, border: tuple[int, int], mode: str
) -> str:
    if border == (0, 0):
        return x
    positions = np.arange(scope.shapes[x][axis])
    padded = np.pad(positions, border, mode=mode)  # type: ignore[call-overload]
    indices = [int(item) for item in padded]
    return emit_select(scope, node, x, axis, indices, scope.fresh(node))


IMPORTERS: dict[str, Importer] = {
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
}
