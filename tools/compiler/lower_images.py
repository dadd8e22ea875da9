"""Convolution and pooling, on channels-last images.

u8 and s16 activations use ``Conv``, ``MaxPool`` and ``AveragePool``. At ``wide`` each window is
gathered into one row (slices and a concat), which is multiplied by the unrolled weights.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.limits import MAX_CONCAT, MAX_KERNEL, MAX_STRIDE
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import Array, Conv, Floats, Pool, Shape
from tools.compiler.lower_dense import matmul, quantized_weights, with_room
from tools.compiler.lowering import (
    Lowering,
    clamp_codes,
    lower,
    on_grid,
    refuse,
    reshape,
    to_grid,
    transpose,
)
from tools.compiler.program import Operand
from tools.compiler.quantize import Grid, narrow_reach, requantize_multipliers

_MAX_UNROLLED = 1 << 24
_DIVISION_BITS = 26


def _image(state: Lowering, x: Operand) -> Operand:
    """(C, H, W) or (C, L) as (H, W, C), H = 1 for (C, L)."""
    last = state.channels_last(x)
    if len(last.type.shape) == 2:
        return reshape(state, last, (1, *last.type.shape))
    return last


def _result(state: Lowering, image: Operand, rank: int) -> Operand:
    """(H, W, C) as the channels-last form of a tensor of this rank."""
    shaped = reshape(state, image, image.type.shape[3 - rank :])
    return replace(shaped, channels_last=True)


@lower.register
def _(operation: Conv, state: Lowering) -> Operand:
    if max(operation.weight.shape[2:]) > MAX_KERNEL or (
        max(*operation.strides, *operation.dilations) > MAX_STRIDE
    ):
        raise refuse(
            operation,
            f"has kernel {operation.weight.shape[2:]}, strides {operation.strides}, dilations"
            f" {operation.dilations}; at most {MAX_KERNEL}, {MAX_STRIDE}, {MAX_STRIDE} are legal",
            "use smaller windows",
        )
    rank = len(state.shape(operation.x))
    image = _image(state, _convolved(state, operation))
    if image.type.dtype in (DType.U8, DType.S16):
        return _result(state, _narrow_conv(operation, state, image), rank)
    return _result(state, _wide_conv(operation, state, image), rank)


def _convolved(state: Lowering, operation: Conv) -> Operand:
    """The input as u8, or as s16 with as many bits as the sums leave it, or as s32."""
    if state.precision == "wide":
        return state.activation(operation.x)
    x = state.activation(operation.x, DType.U8, DType.S16)
    if x.type.dtype is DType.U8:
        return x
    flat = np.transpose(operation.weight, (2, 3, 1, 0)).reshape(-1, len(operation.weight))
    x = with_room(state, x, flat, operation.bias)
    if narrow_reach(flat, operation.bias, x.scale, x.bound) >= x.bound:
        return x
    return to_grid(state, x, Grid(DType.S32, x.scale))


def _output_size(
    image: Operand, kernel: Shape, strides: Shape, pads: Shape, dilations: Shape
) -> Shape:
    return tuple(
        (
            image.type.shape[axis]
            + pads[axis]
            + pads[axis + 2]
            - dilations[axis] * (kernel[axis] - 1)
            - 1
        )
        // strides[axis]
        + 1
        for axis in (0, 1)
    )


def _narrow_conv(operation: Conv, state: Lowering, image: Operand) -> Operand:
    filters, depth, rows, columns = operation.weight.shape
    kernel_last = np.transpose(operation.weight, (2, 3, 1, 0))
    flat = kernel_last.reshape(-1, filters)
    constants = quantized_weights(state, operation, image, flat, operation.bias)
    grid = constants.grid
    size = _output_size(
        image, (rows, columns), operation.strides, operation.pads, operation.dilations
    )
    lo, hi = clamp_codes(operation.clamp, grid)
    program = state.program
    ref = program.emit(
        op.Conv,
        grid.dtype,
        (*size, filters),
        x=image.ref,
        weight=program.constant(constants.weight.reshape(rows, columns, depth, filters), DType.S8),
        bias=program.constant(constants.bias, DType.S32),
        multiplier=program.constant(constants.multipliers, DType.S32),
        strides=operation.strides,
        pads=operation.pads,
        dilations=operation.dilations,
        group=operation.group,
        pad_value=image.zero_point,
        shift=constants.shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, (*size, filters), grid, (lo, hi), channels_last=True)


def unrolled_weights(operation: Conv) -> Floats:
    """Weights (KH * KW * C, O) over whole windows; zero outside a filter's group."""
    filters, depth, rows, columns = operation.weight.shape
    channels = depth * operation.group
    full = np.zeros((rows, columns, channels, filters))
    per_group = filters // operation.group
    for item in range(filters):
        start = (item // per_group) * depth
        full[:, :, start : start + depth, item] = np.transpose(operation.weight[item], (1, 2, 0))
    return full.reshape(-1, filters)


def _wide_conv(operation: Conv, state: Lowering, image: Operand) -> Operand:
    unrolled = operation.weight.size * operation.group
    if unrolled > _MAX_UNROLLED:
        raise refuse(
            operation,
            f"unrolls to {unrolled} weights at precision {state.precision}, more than"
            f" {_MAX_UNROLLED}",
            "use precision int8, which has a convolution of its own",
        )
    kernel = (operation.weight.shape[2], operation.weight.shape[3])
    gathered = _windows(
        state, image, kernel, operation.strides, operation.pads, operation.dilations, 0
    )
    weight = unrolled_weights(operation)
    return matmul(state, operation, gathered, weight, operation.bias, operation.clamp)


def _windows(
    state: Lowering,
    image: Operand,
    kernel: Shape,
    strides: Shape,
    pads: Shape,
    dilations: Shape,
    fill: int,
) -> Operand:
    """(OH, OW, KH * KW * C): each window as one row, in (kh, kw, c) order."""
    size = _output_size(image, kernel, strides, pads, dilations)
    channels = image.type.shape[2]
    padded = _padded(state, image, pads, fill)
    shape = (*size, channels)
    parts = []
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            starts = (row * dilations[0], column * dilations[1], 0)
            ref = state.program.emit(
                op.Slice, image.type.dtype, shape, x=padded.ref, starts=starts, steps=(*strides, 1)
            )
            parts.append(ref)
    return _joined(state, padded, parts, shape)


def _joined(state: Lowering, like: Operand, parts: list[int], shape: Shape) -> Operand:
    """Concat on the last axis, in stages of what one Concat takes."""
    widths = [shape[2]] * len(parts)
    while len(parts) > 1:
        joined, sums = [], []
        for start in range(0, len(parts), MAX_CONCAT):
            group = tuple(parts[start : start + MAX_CONCAT])
            width = sum(widths[start : start + MAX_CONCAT])
            if len(group) == 1:
                joined.append(group[0])
            else:
                result = (*shape[:2], width)
                joined.append(
                    state.program.emit(op.Concat, like.type.dtype, result, inputs=group, axis=2)
                )
            sums.append(width)
        parts, widths = joined, sums
    kind = TensorType(like.type.dtype, (*shape[:2], widths[0]))
    return replace(like, ref=parts[0], type=kind, channels_last=False)


def _padded(state: Lowering, image: Operand, pads: Shape, fill: int) -> Operand:
    if not any(pads):
        return image
    height, width, channels = image.type.shape
    shape = (height + pads[0] + pads[2], width + pads[1] + pads[3], channels)
    ref = state.program.emit(
        op.Pad,
        image.type.dtype,
        shape,
        x=image.ref,
        before=(pads[0], pads[1], 0),
        after=(pads[2], pads[3], 0),
        value=fill,
    )
    kind = TensorType(image.type.dtype, shape)
    return replace(image, ref=ref, type=kind, lo=min(image.lo, fill), hi=max(image.hi, fill))


@lower.register
def _(operation: Pool, state: Lowering) -> Operand:
    rank = len(state.shape(operation.x))
    image = _image(state, state.activation(operation.x))
    if operation.kind == "max":
        return _result(state, _max_pool(operation, state, image), rank)
    return _result(state, _average_pool(operation, state, image), rank)


def _max_pool(operation: Pool, state: Lowering, image: Operand) -> Operand:
    size = _output_size(image, operation.kernel, operation.strides, operation.pads, (1, 1))
    shape = (*size, image.type.shape[2])
    if image.type.dtype is not DType.S32:
        ref = state.program.emit(
            op.MaxPool,
            image.type.dtype,
            shape,
            x=image.ref,
            kernel=operation.kernel,
            strides=operation.strides,
            pads=operation.pads,
        )
        return replace(image, ref=ref, type=TensorType(image.type.dtype, shape))
    rows = _rows_of_windows(operation, state, image, image.lo)
    ref = state.program.emit(op.ReduceMax, DType.S32, (*rows.type.shape[:-1], 1), x=rows.ref)
    top = replace(rows, ref=ref, type=TensorType(DType.S32, (*rows.type.shape[:-1], 1)))
    return reshape(state, top, shape)


def _rows_of_windows(operation: Pool, state: Lowering, image: Operand, fill: int) -> Operand:
    """(OH, OW, C, KH * KW): the members of each window on the last axis."""
    channels = image.type.shape[2]
    area = operation.kernel[0] * operation.kernel[1]
    if operation.kernel == image.type.shape[:2] and not any(operation.pads):
        flat = reshape(state, image, (area, channels))
        moved = transpose(state, flat, (1, 0))
        return reshape(state, moved, (1, 1, channels, area))
    gathered = _windows(
        state, image, operation.kernel, operation.strides, operation.pads, (1, 1), fill
    )
    split = reshape(state, gathered, (*gathered.type.shape[:2], area, channels))
    return transpose(state, split, (0, 1, 3, 2))


def window_counts(operation: Pool, size: Shape, positions: Shape) -> Array:
    """Divisor of each output position: the window's area, or its part inside the image."""
    area = operation.kernel[0] * operation.kernel[1]
    if operation.count_pads:
        return np.full(positions, area)
    sides = []
    for axis in (0, 1):
        start = np.arange(positions[axis]) * operation.strides[axis] - operation.pads[axis]
        stop = np.minimum(start + operation.kernel[axis], size[axis])
        sides.append(stop - np.maximum(start, 0))
    return np.asarray(np.outer(sides[0], sides[1]))


def _average_pool(operation: Pool, state: Lowering, image: Operand) -> Operand:
    size = _output_size(image, operation.kernel, operation.strides, operation.pads, (1, 1))
    counts = window_counts(operation, image.type.shape, size)
    if image.type.dtype is DType.S32:
        return _wide_average(operation, state, image, counts)
    grid = state.grid(operation.output)
    area = int(operation.kernel[0] * operation.kernel[1])
    ratios = [image.scale / (grid.scale * Fraction(int(count))) for count in counts.reshape(-1)]
    multipliers, shift = requantize_multipliers(ratios, area * image.bound)
    lo, hi = clamp_codes(operation.clamp, grid)
    shape = (*size, image.type.shape[2])
    table = np.array(multipliers, dtype=np.int64).reshape(size)
    ref = state.program.emit(
        op.AveragePool,
        grid.dtype,
        shape,
        x=image.ref,
        multiplier=state.program.constant(table, DType.S32),
        kernel=operation.kernel,
        strides=operation.strides,
        pads=operation.pads,
        x_zero_point=image.zero_point,
        shift=shift,
        zero_point=grid.zero_point,
        lo=lo,
        hi=hi,
    )
    return on_grid(ref, shape, grid, (lo, hi), channels_last=True)


def _wide_average(operation: Pool, state: Lowering, image: Operand, counts: Array) -> Operand:
    """Sum of each window, divided by its area."""
    rows = _rows_of_windows(operation, state, image, 0)
    area = rows.type.shape[-1]
    kind = TensorType(DType.S64, (*rows.type.shape[:-1], 1))
    ref = state.program.emit(op.ReduceSum, DType.S64, kind.shape, x=rows.ref)
    total = replace(rows, ref=ref, type=kind, lo=rows.lo * area, hi=rows.hi * area)
    flat = reshape(state, total, kind.shape[:-1])
    if len(set(counts.reshape(-1).tolist())) == 1:
        flat = replace(flat, scale=rows.scale / int(counts.reshape(-1)[0]))
    else:
        flat = _divided_by(state, flat, counts)
    return to_grid(state, flat, state.grid(operation.output))


def _divided_by(state: Lowering, total: Operand, counts: Array) -> Operand:
    """Each position divided by a count of its own: a product with ``2**26 / count``."""
    factors = ((1 << _DIVISION_BITS) + counts // 2) // counts
    ref = state.program.emit(
        op.MulInteger,
        DType.S64,
        total.type.shape,
        a=total.ref,
        b=state.program.constant(factors[:, :, np.newaxis], DType.S64),
        shift=_DIVISION_BITS,
    )
    largest = max(abs(total.lo), abs(total.hi)) + 1
    return replace(total, ref=ref, lo=-largest, hi=largest)
