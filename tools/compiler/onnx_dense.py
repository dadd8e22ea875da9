"""Importers of Gemm, MatMul, Conv, pooling, reductions, Softmax and ArgMax."""

from collections.abc import Sequence

import numpy as np

from tools.compiler.coded import weight_steps
from tools.compiler.graph import Add, ArgMax, Conv, Dense, Floats, Pool, Reduce, Shape, Softmax
from tools.compiler.graph_choices import Negate
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import (
    Importer,
    Scope,
    constant,
    data,
    integers,
    origin,
    reject,
    required,
    sample_axis,
)

_MAX_SPATIAL = 2


def emit_dense(
    scope: Scope,
    node: OnnxNode,
    x: str,
    weight: Floats,
    bias: Floats,
    output: str,
    steps: Floats | None = None,
) -> str:
    """Emit ``x @ weight + bias`` on the last axis; ``steps`` as for ``Dense``."""
    shape = (*scope.shapes[x][:-1], weight.shape[1])
    operation = Dense(
        origin=origin(node),
        output=output,
        x=x,
        weight=np.asarray(weight, dtype=np.float64),
        bias=np.asarray(np.broadcast_to(bias, (weight.shape[1],)), dtype=np.float64),
        steps=steps,
    )
    return scope.emit(operation, shape)


def _known_steps(scope: Scope, node: OnnxNode, index: int, axis: int) -> Floats | None:
    """Scales of a weight that the file holds quantised, one per entry of ``axis``."""
    found, values = scope.steps.get(node.inputs[index]), scope.constant(node.inputs[index])
    if found is None or values is None:
        return None
    scale, given = found
    if scale.size > 1 and given % values.ndim != axis:
        return None
    return weight_steps(np.asarray(values, np.float64), scale, axis)


def _gemm(scope: Scope, node: OnnxNode) -> None:
    if node.attributes.get("transA", 0):
        reject(node, "transposes its data operand", "transpose the weights instead")
    x = data(scope, node)
    weight = np.asarray(required(scope, node, 1, "weight"), dtype=np.float64)
    steps = _known_steps(scope, node, 1, 0 if node.attributes.get("transB", 0) else 1)
    if node.attributes.get("transB", 0):
        weight = weight.T
    alpha = float(node.attributes.get("alpha", 1.0))
    weight = weight * alpha
    steps = steps * alpha if steps is not None and alpha > 0 else None
    beta = float(node.attributes.get("beta", 1.0))
    has_tensor = len(node.inputs) > 2 and scope.resolve(node.inputs[2]) in scope.shapes
    bias = None if has_tensor else constant(scope, node, 2, "bias")
    row = np.zeros(1) if bias is None else beta * np.asarray(bias, dtype=np.float64).reshape(-1)
    if row.size not in (1, weight.shape[1]):
        reject(
            node, f"has a bias of {row.size} values for {weight.shape[1]} columns", "use one row"
        )
    if not has_tensor:
        emit_dense(scope, node, x, weight, row, node.outputs[0], steps)
        return
    if beta != 1.0:
        reject(node, f"scales a computed C by beta = {beta}", "export with beta = 1")
    product = emit_dense(scope, node, x, weight, row, scope.fresh(node), steps)
    other = data(scope, node, 2)
    total = Add(origin=origin(node), output=node.outputs[0], a=product, b=other)
    scope.emit(total, scope.shapes[product])


def _matmul(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    weight = np.asarray(
        required(scope, node, 1, "second operand of a product of two computed tensors"), np.float64
    )
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim == 1:
        name = emit_dense(scope, node, x, weight.reshape(-1, 1), np.zeros(1), scope.fresh(node))
        scope.reshape(node, name, scope.probed_shape(node, node.outputs[0]), node.outputs[0])
        return
    if weight.ndim != 2 or not scope.shapes[x]:
        reject(node, f"has a stack of weights of shape {weight.shape}", "use one matrix per MatMul")
    steps = _known_steps(scope, node, 1, 1)
    emit_dense(scope, node, x, weight, np.zeros(1), node.outputs[0], steps)


def _spatial(scope: Scope, node: OnnxNode, x: str) -> int:
    count = len(scope.shapes[x]) - 1
    if not 1 <= count <= _MAX_SPATIAL:
        reject(node, f"works on {count} spatial axes, expected 1 or 2", "use 1-D or 2-D layers")
    return count


def _two(values: Sequence[int] | None, count: int, default: int) -> tuple[int, int]:
    """Spatial attribute with a leading entry for the missing height of 1-D data."""
    given = tuple(values) if values else (default,) * count
    height, width = (default, *given)[-2:]
    return height, width


def _pads(
    node: OnnxNode,
    size: tuple[int, int],
    kernel: Shape,
    strides: Shape,
    dilations: Shape,
    count: int,
) -> tuple[int, int, int, int]:
    """Pads as (top, left, bottom, right) from ``pads`` or ``auto_pad``."""
    mode = node.attributes.get("auto_pad", b"NOTSET").decode()
    if mode in ("NOTSET", "VALID"):
        given = node.attributes.get("pads") if mode == "NOTSET" else None
        half = list(given or [0] * (2 * count))
        top, left = (0, *half[:count])[-2:]
        bottom, right = (0, *half[count:])[-2:]
        return top, left, bottom, right
    before, after = [], []
    for axis in (0, 1):
        positions = -(-size[axis] // strides[axis])
        span = (kernel[axis] - 1) * dilations[axis] + 1
        total = max(0, (positions - 1) * strides[axis] + span - size[axis])
        small, large = total // 2, total - total // 2
        before.append(small if mode == "SAME_UPPER" else large)
        after.append(large if mode == "SAME_UPPER" else small)
    return before[0], before[1], after[0], after[1]


def _image_size(scope: Scope, x: str) -> tuple[int, int]:
    height, width = (1, *scope.shapes[x][1:])[-2:]
    return height, width


def emit_conv(
    scope: Scope,
    node: OnnxNode,
    x: str,
    weight: Floats,
    bias: Floats | None,
    shape: Shape,
    output: str,
    steps: Floats | None = None,
) -> str:
    """Emit a convolution with the node's attributes; weight as in ONNX, ``shape`` of the result."""
    count = _spatial(scope, node, x)
    if weight.ndim == 3:
        weight = weight[:, :, np.newaxis, :]
    strides = _two(node.attributes.get("strides"), count, 1)
    dilations = _two(node.attributes.get("dilations"), count, 1)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    operation = Conv(
        origin=origin(node),
        output=output,
        x=x,
        weight=weight,
        bias=np.zeros(len(weight)) if bias is None else bias,
        strides=strides,
        pads=_pads(node, _image_size(scope, x), kernel, strides, dilations, count),
        dilations=dilations,
        group=int(node.attributes.get("group", 1)),
        steps=steps,
    )
    return scope.emit(operation, shape)


def _conv(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    weight = np.asarray(required(scope, node, 1, "weight"), dtype=np.float64)
    given = constant(scope, node, 2, "bias")
    bias = None if given is None else np.asarray(given, dtype=np.float64)
    shape = scope.probed_shape(node, node.outputs[0])
    steps = _known_steps(scope, node, 1, 0)
    emit_conv(scope, node, x, weight, bias, shape, node.outputs[0], steps)


def _pool(scope: Scope, node: OnnxNode) -> None:
    import_pool(scope, node, node.operator, data(scope, node), node.outputs[0])


def import_pool(scope: Scope, node: OnnxNode, operator: str, x: str, output: str) -> str:
    """Emit the pooling ``operator`` of x with the node's attributes."""
    if operator.startswith("Global"):
        return _global_pool(scope, node, operator, x, output)
    count = _spatial(scope, node, x)
    kernel = _two(node.attributes["kernel_shape"], count, 1)
    strides = _two(node.attributes.get("strides"), count, 1)
    dilations = _two(node.attributes.get("dilations"), count, 1)
    if dilations != (1, 1):
        reject(node, f"has dilations {dilations}", "use a pooling without dilation")
    size = _image_size(scope, x)
    pads = list(_pads(node, size, kernel, strides, dilations, count))
    shape = scope.probed_shape(node, node.outputs[0])
    positions = (1, *shape[1:])[-2:]
    counted = bool(node.attributes.get("count_include_pad", 0))
    for axis in (0, 1):  # ceil_mode: the last window may hang over the end
        missing = (positions[axis] - 1) * strides[axis] + kernel[axis]
        missing -= size[axis] + pads[axis] + pads[axis + 2]
        if missing > 0 and counted:
            reject(node, "combines ceil_mode with count_include_pad", "use one of the two")
        pads[axis + 2] += max(0, missing)
    kind = "max" if operator == "MaxPool" else "average"
    return _emit_pool(scope, node, x, kind, (kernel, strides, tuple(pads)), counted, output)


def _emit_pool(
    scope: Scope,
    node: OnnxNode,
    x: str,
    kind: str,
    window: tuple[Shape, Shape, Shape],
    counted: bool,
    output: str,
) -> str:
    kernel, strides, pads = window
    size = _image_size(scope, x)
    positions = [
        (size[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1
        for axis in (0, 1)
    ]
    rank = len(scope.shapes[x])
    operation = Pool(
        origin=origin(node),
        output=output,
        x=x,
        kind=kind,
        kernel=kernel,
        strides=strides,
        pads=pads,
        count_pads=counted,
    )
    return scope.emit(operation, (scope.shapes[x][0], *positions[3 - rank :]))


def _global_pool(scope: Scope, node: OnnxNode, operator: str, x: str, output: str) -> str:
    _spatial(scope, node, x)
    kind = "max" if operator == "GlobalMaxPool" else "average"
    window = (_image_size(scope, x), (1, 1), (0, 0, 0, 0))
    return _emit_pool(scope, node, x, kind, window, False, output)


def _reduce(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    rank = len(scope.shapes[x]) + 1
    axes = integers(scope, node, "axes", 1)
    if not axes:
        reject(node, "reduces over every axis, also the batch", "name the axes")
    kept = sorted({sample_axis(node, axis, rank) for axis in axes})
    shape = scope.probed_shape(node, node.outputs[0])
    if node.operator == "ReduceMean" and rank in (3, 4) and kept == list(range(1, rank - 1)):
        window = (_image_size(scope, x), (1, 1), (0, 0, 0, 0))
        if shape == scope.shapes[x][:1]:
            name = _emit_pool(scope, node, x, "average", window, False, scope.fresh(node))
            scope.reshape(node, name, shape, node.outputs[0])
        else:
            _emit_pool(scope, node, x, "average", window, False, node.outputs[0])
        return
    order = tuple(axis for axis in range(rank - 1) if axis not in kept)
    moved = scope.transpose(node, x, (*order, *kept))
    size = int(np.prod([scope.shapes[x][axis] for axis in kept]))
    rows = tuple(scope.shapes[x][axis] for axis in order)
    flat = scope.reshape(node, moved, (*rows, size))
    name = scope.fresh(node) if shape != (*rows, 1) else node.outputs[0]
    if node.operator == "ReduceMax":
        reduced = Reduce(origin=origin(node), output=name, x=flat, kind="max")
        scope.emit(reduced, (*rows, 1))
    elif node.operator == "ReduceMin":
        negated = Negate(origin=origin(node), output=scope.fresh(node), x=flat)
        scope.emit(negated, (*rows, size))
        reduced = Reduce(
            origin=origin(node), output=scope.fresh(node), x=negated.output, kind="max"
        )
        scope.emit(reduced, (*rows, 1))
        scope.emit(Negate(origin=origin(node), output=name, x=reduced.output), (*rows, 1))
    else:
        weight = np.full((size, 1), 1.0 / size if node.operator == "ReduceMean" else 1.0)
        emit_dense(scope, node, flat, weight, np.zeros(1), name)
    if name != node.outputs[0]:
        scope.reshape(node, name, shape, node.outputs[0])


def _last_axis(scope: Scope, node: OnnxNode, x: str, axis: int) -> tuple[str, Shape]:
    """``x`` with ``axis`` moved to the end, and the permutation that moves it back."""
    rank = len(scope.shapes[x])
    order = (*(item for item in range(rank) if item != axis), axis)
    back = tuple(int(item) for item in np.argsort(order))
    return scope.transpose(node, x, order), back


def emit_softmax(
    scope: Scope, node: OnnxNode, x: str, output: str, *, logarithm: bool = False
) -> str:
    """Emit a softmax over the last axis."""
    operation = Softmax(origin=origin(node), output=output, x=x, logarithm=logarithm)
    return scope.emit(operation, scope.shapes[x])


def _softmax(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    shape = scope.shapes[x]
    logarithm = node.operator == "LogSoftmax"
    old = scope.opset < 13
    axis = sample_axis(node, int(node.attributes.get("axis", 1 if old else -1)), len(shape) + 1)
    if axis == len(shape) - 1:
        emit_softmax(scope, node, x, node.outputs[0], logarithm=logarithm)
    elif old:  # every axis from this one on is one row
        rows = (*shape[:axis], int(np.prod(shape[axis:])))
        flat = scope.reshape(node, x, rows)
        name = emit_softmax(scope, node, flat, scope.fresh(node), logarithm=logarithm)
        scope.reshape(node, name, shape, node.outputs[0])
    else:
        moved, back = _last_axis(scope, node, x, axis)
        name = emit_softmax(scope, node, moved, scope.fresh(node), logarithm=logarithm)
        scope.transpose(node, name, back, node.outputs[0])


def emit_argmax(scope: Scope, node: OnnxNode, x: str, output: str) -> str:
    """Emit the index of the first maximum of the last axis."""
    operation = ArgMax(origin=origin(node), output=output, x=x)
    return scope.emit(operation, scope.shapes[x][:-1])


def _argmax(scope: Scope, node: OnnxNode) -> None:
    if node.attributes.get("select_last_index", 0):
        reject(node, "wants the last maximum", "export with select_last_index = 0")
    x = data(scope, node)
    rank = len(scope.shapes[x]) + 1
    axis = sample_axis(node, int(node.attributes.get("axis", 0)), rank)
    moved, _ = _last_axis(scope, node, x, axis)
    shape = scope.probed_shape(node, node.outputs[0])
    keeps = bool(node.attributes.get("keepdims", 1))
    name = emit_argmax(scope, node, moved, scope.fresh(node) if keeps else node.outputs[0])
    if keeps:
        scope.reshape(node, name, shape, node.outputs[0])


IMPORTERS: dict[str, Importer] = {
    "ArgMax": _argmax,
    "AveragePool": _pool,
    "Conv": _conv,
    "Gemm": _gemm,
    "GlobalAveragePool": _pool,
    "GlobalMaxPool": _pool,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceMin": _reduce,
    "ReduceSum": _reduce,
    "Softmax": _softmax,
}
