"""Importers of transposed convolution, depth and space, and normalisations of images."""

import numpy as np

from tools.compiler.graph import Affine, Conv, Floats, Function, Mul
from tools.compiler.graph_attention import LayerNorm
from tools.compiler.onnx_dense import emit_dense
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_shape import emit_slice
from tools.compiler.scope import (
    Importer,
    Scope,
    constant,
    data,
    origin,
    reject,
    required,
)

_MAX_SPATIAL = 2
_MAX_NORM_ROW = 65_535


def _pair(values: object, count: int, default: int) -> tuple[int, int]:
    """A spatial attribute with a leading entry for the missing height of 1-D data."""
    given = tuple(int(item) for item in values) if isinstance(values, (list, tuple)) else ()
    height, width = (default, *(given or (default,) * count))[-2:]
    return height, width


def phase_weights(
    weight: Floats, group: int, strides: tuple[int, int], dilations: tuple[int, int]
) -> Floats:
    """Filters of one ordinary convolution that computes every phase of a transposed one.

    Output pixel ``s * j + r`` of a transposed convolution reads input pixels ``j - t`` through
    the taps k with ``k * dilation == s * t + r``. So phase r is a convolution of its own, and all
    ``s * s`` phases have the same window of ``t``.

    Args:
        weight: (C, O / group, KH, KW), as ONNX has it.
        group: groups.
        strides: s for both axes.
        dilations: of both axes.

    Returns:
        (group * sh * sw * O / group, C / group, TH, TW), the filters in the order (g, rh, rw, o).
    """
    channels, filters = weight.shape[:2]
    depth = channels // group
    spans = [dilations[i] * (weight.shape[2 + i] - 1) // strides[i] + 1 for i in (0, 1)]
    made = np.zeros((group, *strides, filters, depth, *spans))
    for row in range(weight.shape[2]):
        top, above = divmod(row * dilations[0], strides[0])
        for column in range(weight.shape[3]):
            left, before = divmod(column * dilations[1], strides[1])
            taps = weight[:, :, row, column].reshape(group, depth, filters)
            made[:, above, before, :, :, spans[0] - 1 - top, spans[1] - 1 - left] = np.swapaxes(
                taps, 1, 2
            )
    return made.reshape(-1, depth, *spans)


def _conv_transpose(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    count = len(scope.shapes[x]) - 1
    if not 1 <= count <= _MAX_SPATIAL:
        reject(node, f"works on {count} spatial axes, expected 1 or 2", "use 1-D or 2-D layers")
    weight = np.asarray(required(scope, node, 1, "weight"), dtype=np.float64)
    if weight.ndim == 3:
        weight = weight[:, :, np.newaxis, :]
    group = int(node.attributes.get("group", 1))
    filters = weight.shape[1] * group
    strides = _pair(node.attributes.get("strides"), count, 1)
    dilations = _pair(node.attributes.get("dilations"), count, 1)
    wanted = scope.probed_shape(node, node.outputs[0])
    size = (1, *scope.shapes[x][1:])[-2:]
    target = (1, *wanted[1:])[-2:]
    cut = _cut(node, count, size, target, (weight.shape[2], weight.shape[3]), strides, dilations)
    kernel = phase_weights(weight, group, strides, dilations)
    spans = kernel.shape[2:]
    blocks = tuple(-(-(cut[i] + target[i]) // strides[i]) for i in (0, 1))
    bias = constant(scope, node, 2, "bias")
    values = np.zeros(filters) if bias is None else np.asarray(bias, dtype=np.float64)
    phases = strides[0] * strides[1]
    by_group = np.repeat(values.reshape(group, 1, -1), phases, axis=1).reshape(-1)
    image = scope.reshape(node, x, (scope.shapes[x][0], *size))
    operation = Conv(
        origin=origin(node),
        output=scope.fresh(node),
        x=image,
        weight=kernel,
        bias=by_group,
        strides=(1, 1),
        pads=(
            spans[0] - 1,
            spans[1] - 1,
            max(0, blocks[0] - size[0]),
            max(0, blocks[1] - size[1]),
        ),
        dilations=(1, 1),
        group=group,
    )
    found = tuple(max(blocks[i], size[i]) for i in (0, 1))
    name = scope.emit(operation, (len(kernel), *found))
    name = _spread(scope, node, name, group, strides, found)
    ranges = {axis + 1: (cut[axis], target[axis], 1) for axis in (0, 1)}
    name = emit_slice(scope, node, name, ranges, scope.fresh(node))
    scope.reshape(node, name, wanted, node.outputs[0])


def _cut(
    node: OnnxNode,
    count: int,
    size: tuple[int, ...],
    target: tuple[int, ...],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> tuple[int, int]:
    """Rows and columns of the full result that stand before the output."""
    mode = node.attributes.get("auto_pad", b"NOTSET").decode()
    given = node.attributes.get("pads") if mode == "NOTSET" else None
    if mode in ("NOTSET", "VALID") and "output_shape" not in node.attributes:
        return _pair(list(given[:count]) if given else None, count, 0)
    extra = _pair(node.attributes.get("output_padding"), count, 0)
    cut = []
    for axis in (0, 1):
        full = strides[axis] * (size[axis] - 1) + dilations[axis] * (kernel[axis] - 1) + 1
        total = max(0, full + extra[axis] - target[axis])
        cut.append(total // 2 if mode == "SAME_UPPER" else total - total // 2)
    return cut[0], cut[1]


def _spread(
    scope: Scope,
    node: OnnxNode,
    x: str,
    group: int,
    strides: tuple[int, int],
    blocks: tuple[int, ...],
) -> str:
    """(g * rh * rw * o, H, W) as (g * o, H * rh, W * rw)."""
    per = scope.shapes[x][0] // (group * strides[0] * strides[1])
    if strides == (1, 1):
        return x
    split = scope.reshape(node, x, (group, *strides, per, *blocks))
    moved = scope.transpose(node, split, (0, 3, 4, 1, 5, 2))
    return scope.reshape(node, moved, (group * per, blocks[0] * strides[0], blocks[1] * strides[1]))


def _depth_to_space(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    block = int(node.attributes["blocksize"])
    channels, height, width = scope.shapes[x]
    per = channels // (block * block)
    if node.attributes.get("mode", b"DCR") == b"CRD":
        split = scope.reshape(node, x, (per, block, block, height, width))
        moved = scope.transpose(node, split, (0, 3, 1, 4, 2))
    else:
        split = scope.reshape(node, x, (block, block, per, height, width))
        moved = scope.transpose(node, split, (2, 3, 0, 4, 1))
    scope.reshape(node, moved, (per, height * block, width * block), node.outputs[0])


def _space_to_depth(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    block = int(node.attributes["blocksize"])
    channels, height, width = scope.shapes[x]
    rows, columns = height // block, width // block
    split = scope.reshape(node, x, (channels, rows, block, columns, block))
    moved = scope.transpose(node, split, (2, 4, 0, 1, 3))
    scope.reshape(node, moved, (channels * block * block, rows, columns), node.outputs[0])


def _local_response(scope: Scope, node: OnnxNode) -> None:
    """``x * (bias + alpha / size * sum of squares over near channels) ** -beta``."""
    x = data(scope, node)
    shape = scope.shapes[x]
    size = int(node.attributes["size"])
    alpha = float(node.attributes.get("alpha", 1e-4))
    beta = float(node.attributes.get("beta", 0.75))
    bias = float(node.attributes.get("bias", 1.0))
    squares = Function(origin=origin(node), output=scope.fresh(node), x=x, expression=np.square)
    scope.emit(squares, shape)
    channel = np.arange(shape[0])
    offset = channel[:, np.newaxis] - channel  # from the output channel to the one that it reads
    near = (offset >= -((size - 1) // 2)) & (offset <= size - 1 - (size - 1) // 2)
    order = (*range(1, len(shape)), 0)
    last = scope.transpose(node, squares.output, order)
    weight = near.astype(np.float64) * alpha / size
    total = emit_dense(scope, node, last, weight, np.full(1, bias), scope.fresh(node))
    back = tuple(int(axis) for axis in np.argsort(order))
    power = Function(
        origin=origin(node),
        output=scope.fresh(node),
        x=scope.transpose(node, total, back),
        expression=lambda s: np.power(np.maximum(s, 1e-12), -beta),
    )
    scope.emit(power, shape)
    scope.emit(Mul(origin=origin(node), output=node.outputs[0], a=x, b=power.output), shape)


def _group_norm(scope: Scope, node: OnnxNode) -> None:
    """Each group of channels, all its pixels, is one row; then a factor and an offset."""
    x = data(scope, node)
    shape = scope.shapes[x]
    by_instance = node.operator == "InstanceNormalization"
    groups = shape[0] if by_instance else int(node.attributes["num_groups"])
    width = int(np.prod(shape, dtype=np.int64)) // groups
    if not 2 <= width <= _MAX_NORM_ROW:
        reject(
            node,
            f"normalises {width} values at once, 2 to {_MAX_NORM_ROW} are legal",
            "normalise smaller images, or use BatchNormalization",
        )
    norm = LayerNorm(
        origin=origin(node),
        output=scope.fresh(node),
        x=scope.reshape(node, x, (groups, width)),
        gain=np.ones(width),
        offset=np.zeros(width),
        epsilon=float(node.attributes.get("epsilon", 1e-5)),
    )
    flat = scope.reshape(node, scope.emit(norm, (groups, width)), shape)
    column = (-1, *[1] * (len(shape) - 1))
    factors = []
    for index, what in ((1, "scale"), (2, "bias")):
        value = np.asarray(required(scope, node, index, what), np.float64).reshape(-1)
        factors.append(np.repeat(value, shape[0] // value.size).reshape(column))
    affine = Affine(
        origin=origin(node), output=node.outputs[0], x=flat, scale=factors[0], offset=factors[1]
    )
    scope.emit(affine, shape)


IMPORTERS: dict[str, Importer] = {
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _group_norm,
    "LRN": _local_response,
    "SpaceToDepth": _space_to_depth,
}
