"""Operator -> function of arrays, with its constants prepared once.

``bind(instruction, model)`` returns ``run(*tensors) -> output``, where ``tensors`` are the
operands that are not constants, in operand order, each C-contiguous of shape (B, *shape). A bound
function holds no state, so several threads may run it. The model must be legal.
"""

from collections.abc import Callable, Sequence
from functools import partial, singledispatch
from typing import TypeAlias

import numpy as np

from precompiles.errors import ModelError
from precompiles.kernels.arrays import S32, S64, Array
from precompiles.legacy import conv, gemm, integer, layout, pool, requantize, trees
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES, constant_array, is_constant
from precompiles.model.types import DType, IntegerModel

Bound: TypeAlias = Callable[..., Array]
Quad: TypeAlias = tuple[int, int, int, int]


@singledispatch
def bind(instruction: op.Instruction, model: IntegerModel) -> Bound:
    """Runnable form of one instruction; ModelError for an unknown operator."""
    raise ModelError(f"L4: no kernel for {type(instruction).__name__}")


def prepared(model: IntegerModel, value: int, dtype: type[np.generic] | None = None) -> Array:
    """Writable, aligned copy of a constant, optionally widened: what kernels demand."""
    return np.array(constant_array(model, value), dtype=dtype, order="C")


def _rounding(
    instruction: op.Gemm | op.Conv | op.AveragePool | op.Add | op.Mul | op.Requantize,
) -> Quad:
    """The last attributes of every requantising kernel."""
    return instruction.shift, instruction.zero_point, instruction.lo, instruction.hi


def _quad(first: Sequence[int], second: Sequence[int]) -> Quad:
    """Two pairs (height, width) as four kernel arguments."""
    return first[0], first[1], second[0], second[1]


def _flat_s64(x: Array) -> S64:
    return np.ascontiguousarray(x, dtype=np.int64).reshape(-1)


def _spread(x: Array, shape: tuple[int, ...], batch: int, dtype: type[np.generic]) -> Array:
    """Broadcast (B or 1, *small) to (B, *shape), contiguous and flat."""
    if x.shape == (batch, *shape):
        return np.ascontiguousarray(x, dtype=dtype).reshape(-1)
    missing = len(shape) - (x.ndim - 1)
    aligned = x.reshape(x.shape[0], *(1,) * missing, *x.shape[1:])
    full = np.broadcast_to(aligned, (batch, *shape))  # read-only, so it is copied
    return np.array(full, dtype=dtype, order="C").reshape(-1)


def _binary(
    model: IntegerModel,
    instruction: op.Add | op.Mul | op.AddInteger | op.SubInteger | op.MulInteger | op.DivInteger,
    dtype: type[np.generic],
    apply: Callable[[Array, Array], Array],
) -> Bound:
    """Broadcast two operands, of which one may be a constant, and apply a flat function."""
    kind = model.type_of(instruction.output)
    fixed = [
        prepared(model, value)[np.newaxis] if is_constant(model, value) else None
        for value in (instruction.a, instruction.b)
    ]

    def run(*tensors: Array) -> Array:
        given = iter(tensors)
        a, b = (item if item is not None else next(given) for item in fixed)
        batch = len(tensors[0])
        left = _spread(a, kind.shape, batch, dtype)
        right = _spread(b, kind.shape, batch, dtype)
        return _narrow(apply(left, right), kind.dtype).reshape(batch, *kind.shape)

    return run


def _narrow(values: Array, dtype: DType) -> Array:
    """Cast to the output dtype, inside which the validator has proven all values."""
    return values.astype(NUMPY_TYPES[dtype], copy=False)


@bind.register
def _(instruction: op.Gemm, model: IntegerModel) -> Bound:
    kind = model.type_of(instruction.output)
    weight = prepared(model, instruction.weight)
    bias, multiplier = prepared(model, instruction.bias), prepared(model, instruction.multiplier)
    is_byte = model.type_of(instruction.x).dtype is DType.U8
    product = gemm.gemm_u8 if is_byte else gemm.gemm_s16
    rounding = _rounding(instruction)

    def run(x: Array) -> Array:
        rows = x.reshape(-1, weight.shape[0])
        out: S32 = np.empty((len(rows), weight.shape[1]), np.int32)
        product(rows, weight, bias, multiplier, *rounding, out)
        return _narrow(out, kind.dtype).reshape(len(x), *kind.shape)

    return run


@bind.register
def _(instruction: op.Conv, model: IntegerModel) -> Bound:
    weight = prepared(model, instruction.weight)
    top, left, bottom, right = instruction.pads
    border = partial(
        layout.pad, before=(top, left, 0), after=(bottom, right, 0), value=instruction.pad_value
    )
    grouped = instruction.group > 1 and weight.shape[2] == 1
    image = _depthwise(instruction, model, weight) if grouped else _windows(instruction, model)

    def run(x: Array) -> Array:
        return image(border(x) if any(instruction.pads) else x)

    return run


def _depthwise(instruction: op.Conv, model: IntegerModel, weight: Array) -> Bound:
    kind = model.type_of(instruction.output)
    bias, multiplier = prepared(model, instruction.bias), prepared(model, instruction.multiplier)
    taps = np.ascontiguousarray(weight[:, :, 0, :])
    repeat = weight.shape[3] // instruction.group
    rounding = _rounding(instruction)

    def run(x: Array) -> Array:
        wide = x if repeat == 1 else np.repeat(x, repeat, axis=3)
        out: S32 = np.empty((len(x), *kind.shape), np.int32)
        geometry = _quad(instruction.strides, instruction.dilations)
        conv.depthwise_u8(wide, taps, bias, multiplier, *geometry, *rounding, out)
        return _narrow(out, kind.dtype)

    return run


def _windows(instruction: op.Conv, model: IntegerModel) -> Bound:
    """Gather the windows of each group, then one matrix product; sample by sample."""
    kind = model.type_of(instruction.output)
    weight = prepared(model, instruction.weight)
    bias, multiplier = prepared(model, instruction.bias), prepared(model, instruction.multiplier)
    kernel_h, kernel_w, depth, filters = weight.shape
    group, terms = instruction.group, kernel_h * kernel_w * depth
    size = filters // group
    parts = [np.s_[index * size : (index + 1) * size] for index in range(group)]
    matrices = [np.ascontiguousarray(weight.reshape(terms, filters)[:, part]) for part in parts]
    rounding = _rounding(instruction)
    rows, columns, _ = kind.shape
    geometry = _quad(instruction.strides, instruction.dilations)
    is_plain = (kernel_h, kernel_w, group, *instruction.strides) == (1, 1, 1, 1, 1)

    def run(x: Array) -> Array:
        out: S32 = np.empty((len(x), *kind.shape), np.int32)
        window = np.empty((1, rows, columns, terms), np.uint8)
        sums: S32 = np.empty((rows * columns, size), np.int32)
        for sample in range(len(x)):
            for index, part in enumerate(parts):
                image = x[sample : sample + 1]
                if not is_plain:
                    conv.windows_u8(image, index * depth, kernel_h, kernel_w, *geometry, window)
                    image = window
                flat = image.reshape(rows * columns, terms)
                gemm.gemm_u8(flat, matrices[index], bias[part], multiplier[part], *rounding, sums)
                out[sample, :, :, part] = sums.reshape(rows, columns, size)
        return _narrow(out, kind.dtype)

    return run


@bind.register
def _(instruction: op.LinearInteger, model: IntegerModel) -> Bound:
    kind = model.type_of(instruction.output)
    weight, bias = prepared(model, instruction.weight), prepared(model, instruction.bias)

    def run(x: Array) -> Array:
        rows = np.ascontiguousarray(x.reshape(-1, weight.shape[0]), dtype=np.int64)
        out: S64 = np.empty((len(rows), weight.shape[1]), np.int64)
        gemm.linear_integer(rows, weight, bias, out)
        return out.reshape(len(x), *kind.shape)

    return run


@bind.register
def _(instruction: op.MaxPool, model: IntegerModel) -> Bound:
    kind = model.type_of(instruction.output)
    geometry = _quad(instruction.kernel, instruction.strides)
    top, left = instruction.pads[:2]

    def run(x: Array) -> Array:
        out = np.empty((len(x), *kind.shape), np.int16)
        pool.max_pool(x.astype(np.int16, copy=False), *geometry, top, left, out)
        return _narrow(out, kind.dtype)

    return run


@bind.register
def _(instruction: op.AveragePool, model: IntegerModel) -> Bound:
    kind = model.type_of(instruction.output)
    multiplier = prepared(model, instruction.multiplier, np.int64)
    geometry = _quad(instruction.kernel, instruction.strides)
    top, left = instruction.pads[:2]
    rounding = _rounding(instruction)
    zero_point = instruction.x_zero_point

    def run(x: Array) -> Array:
        out = np.empty((len(x), *kind.shape), np.int32)
        image = x.astype(np.int16, copy=False)
        pool.average_pool(image, multiplier, *geometry, top, left, zero_point, *rounding, out)
        return _narrow(out, kind.dtype)

    return run


@bind.register
def _(instruction: op.Add, model: IntegerModel) -> Bound:
    scales = (
        instruction.a_zero_point,
        instruction.b_zero_point,
        instruction.a_multiplier,
        instruction.b_multiplier,
    )
    rounding = _rounding(instruction)

    def apply(a: Array, b: Array) -> Array:
        out = np.empty(a.size, np.int32)
        requantize.add(a, b, *scales, *rounding, out)
        return out

    return _binary(model, instruction, np.int32, apply)


@bind.register
def _(instruction: op.Mul, model: IntegerModel) -> Bound:
    scales = instruction.a_zero_point, instruction.b_zero_point, instruction.multiplier
    rounding = _rounding(instruction)

    def apply(a: Array, b: Array) -> Array:
        out = np.empty(a.size, np.int32)
        requantize.multiply(a, b, *scales, *rounding, out)
        return out

    return _binary(model, instruction, np.int32, apply)


@bind.register
def _(instruction: op.Requantize, model: IntegerModel) -> Bound:
    kind = model.type_of(instruction.output)
    channels = kind.shape[-1]
    multiplier = prepared(model, instruction.multiplier, np.int64)
    multiplier = np.array(np.broadcast_to(multiplier, (channels,)))
    rounding = _rounding(instruction)
    zero_point = instruction.x_zero_point

    def run(x: Array) -> Array:
        rows = _flat_s64(x).reshape(-1, channels)
        out = np.empty(rows.shape, np.int32)
        requantize.requantize(rows, multiplier, zero_point, *rounding, out)
        return _narrow(out, kind.dtype).reshape(len(x), *kind.shape)

    return run


@bind.register
def _(instruction: op.Clip, model: IntegerModel) -> Bound:
    return lambda x: np.clip(x, instruction.lo, instruction.hi)


@bind.register
def _(instruction: op.Lookup, model: IntegerModel) -> Bound:
    return partial(layout.lookup, table=prepared(model, instruction.table))


@bind.register
def _(instruction: op.PiecewiseLinear, model: IntegerModel) -> Bound:
    knots, values = prepared(model, instruction.knots), prepared(model, instruction.values)
    slopes = prepared(model, instruction.slopes)

    def run(x: Array) -> Array:
        out = np.empty(x.size, np.int64)
        integer.piecewise_linear(_flat_s64(x), knots, values, slopes, instruction.shift, out)
        return out.reshape(x.shape)

    return run


@bind.register
def _(instruction: op.AddInteger, model: IntegerModel) -> Bound:
    return _binary(model, instruction, np.int64, np.add)


@bind.register
def _(instruction: op.SubInteger, model: IntegerModel) -> Bound:
    return _binary(model, instruction, np.int64, np.subtract)


@bind.register(op.MulInteger)
@bind.register(op.DivInteger)
def _(instruction: op.MulInteger | op.DivInteger, model: IntegerModel) -> Bound:
    is_product = isinstance(instruction, op.MulInteger)
    function = integer.multiply_integer if is_product else integer.divide_integer

    def apply(a: Array, b: Array) -> Array:
        out = np.empty(a.size, np.int64)
        function(a, b, instruction.shift, out)
        return out

    return _binary(model, instruction, np.int64, apply)


@bind.register
def _(instruction: op.ReduceSum, model: IntegerModel) -> Bound:
    return layout.reduce_sum


@bind.register
def _(instruction: op.ReduceMax, model: IntegerModel) -> Bound:
    return layout.reduce_max


@bind.register
def _(instruction: op.ArgMax, model: IntegerModel) -> Bound:
    return layout.arg_max


@bind.register
def _(instruction: op.Reshape, model: IntegerModel) -> Bound:
    shape = model.type_of(instruction.output).shape
    return lambda x: x.reshape(len(x), *shape)


@bind.register
def _(instruction: op.Transpose, model: IntegerModel) -> Bound:
    return partial(layout.transpose, permutation=instruction.permutation)


@bind.register
def _(instruction: op.Concat, model: IntegerModel) -> Bound:
    fixed = [
        prepared(model, value)[np.newaxis] if is_constant(model, value) else None
        for value in instruction.inputs
    ]

    def run(*tensors: Array) -> Array:
        given, batch = iter(tensors), len(tensors[0])
        parts = [
            next(given) if item is None else np.broadcast_to(item, (batch, *item.shape[1:]))
            for item in fixed
        ]
        return layout.concat(parts, instruction.axis)

    return run


@bind.register
def _(instruction: op.Slice, model: IntegerModel) -> Bound:
    shape = model.type_of(instruction.output).shape
    return partial(
        layout.slice_steps, starts=instruction.starts, steps=instruction.steps, shape=shape
    )


@bind.register
def _(instruction: op.Pad, model: IntegerModel) -> Bound:
    return partial(
        layout.pad, before=instruction.before, after=instruction.after, value=instruction.value
    )


@bind.register
def _(instruction: op.TreeEnsemble, model: IntegerModel) -> Bound:
    feature, left = prepared(model, instruction.feature), prepared(model, instruction.left)
    roots, right = prepared(model, instruction.roots), prepared(model, instruction.right)
    threshold = prepared(model, instruction.threshold, np.int64)
    missing_right = prepared(model, instruction.missing_right)
    leaves, base = prepared(model, instruction.leaves), prepared(model, instruction.base)
    missing = model.type_of(instruction.x).dtype.bounds[0]

    def run(x: Array) -> Array:
        rows = np.ascontiguousarray(x, dtype=np.int64)
        out: S64 = np.empty((len(x), base.size), np.int64)
        nodes = feature, threshold, left, right, missing_right
        trees.trees(rows, roots, *nodes, leaves, base, missing, out)
        return out

    return run
