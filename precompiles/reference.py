"""Run a model with the reference twins alone: unbounded Python integers, one sample at a time.

This is the definition that the kernels must equal, and what a verifier without numba may run.
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from precompiles.errors import ModelError
from precompiles.kernels import (
    conv,
    gather,
    gemm,
    integer,
    layout,
    matmul,
    moves,
    norm,
    pool,
    requantize,
    roots,
    rows,
    select,
    softmax,
    trees,
)
from precompiles.kernels.arrays import Exact, exact
from precompiles.model import operators as op
from precompiles.model.checks import constant_array, is_constant
from precompiles.model.operands import operands_of
from precompiles.model.types import DType, IntegerModel


def run_sample(model: IntegerModel, inputs: Sequence[Exact]) -> list[Exact]:
    """Outputs of one sample, in declared order.

    Args:
        model: legal.
        inputs: one array of Python integers per input port, of its declared shape.
    """
    values: dict[int, Exact] = {
        port.value: item for port, item in zip(model.inputs, inputs, strict=True)
    }
    for instruction in model.instructions:
        for value in operands_of(instruction):
            if value not in values and is_constant(model, value):
                values[value] = exact(constant_array(model, value))
        shape = model.type_of(instruction.output).shape
        output = np.asarray(evaluate(instruction, values, model), dtype=object)
        values[instruction.output] = output.reshape(shape)
    return [values[port.value] for port in model.outputs]


@singledispatch
def evaluate(
    instruction: op.Instruction, values: Mapping[int, Exact], model: IntegerModel
) -> Exact:
    """Output of one instruction for one sample, its elements in row-major order."""
    raise ModelError(f"L4: no reference for {type(instruction).__name__}")


def _pair(a: Exact, b: Exact) -> tuple[Exact, Exact]:
    left, right = np.broadcast_arrays(a, b)
    return left, right


_SOFTMAX_ONE = {DType.U8: (255, 22), DType.S16: (32_767, 30)}


@evaluate.register
def _(instruction: op.Gemm, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    weight = values[instruction.weight]
    return gemm.gemm_reference(
        values[instruction.x].reshape(-1, weight.shape[0]),
        weight,
        values[instruction.bias],
        values[instruction.multiplier],
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.Conv, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    top, left, bottom, right = instruction.pads
    image = layout.pad_reference(
        values[instruction.x], (top, left, 0), (bottom, right, 0), instruction.pad_value
    )
    return conv.conv_reference(
        image,
        values[instruction.weight],
        values[instruction.bias],
        values[instruction.multiplier],
        instruction.strides,
        instruction.dilations,
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.LinearInteger, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    weight = values[instruction.weight]
    rows = values[instruction.x].reshape(-1, weight.shape[0])
    return gemm.linear_integer_reference(rows, weight, values[instruction.bias])


@evaluate.register
def _(instruction: op.MaxPool, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    shape = model.type_of(instruction.output).shape
    geometry = instruction.kernel, instruction.strides, instruction.pads
    return pool.max_pool_reference(values[instruction.x], *geometry, shape)


@evaluate.register
def _(instruction: op.AveragePool, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return pool.average_pool_reference(
        values[instruction.x],
        values[instruction.multiplier],
        instruction.kernel,
        instruction.strides,
        instruction.pads,
        instruction.x_zero_point,
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.Add, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    a, b = _pair(values[instruction.a], values[instruction.b])
    return requantize.add_reference(
        a,
        b,
        (instruction.a_zero_point, instruction.b_zero_point),
        (instruction.a_multiplier, instruction.b_multiplier),
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.Mul, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    a, b = _pair(values[instruction.a], values[instruction.b])
    return requantize.multiply_reference(
        a,
        b,
        (instruction.a_zero_point, instruction.b_zero_point),
        instruction.multiplier,
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.Requantize, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return requantize.requantize_reference(
        values[instruction.x],
        values[instruction.multiplier],
        instruction.x_zero_point,
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.Clip, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return requantize.clip_reference(values[instruction.x], instruction.lo, instruction.hi)


@evaluate.register
def _(instruction: op.Lookup, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return layout.lookup_reference(values[instruction.x], values[instruction.table])


@evaluate.register
def _(instruction: op.PiecewiseLinear, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return integer.piecewise_linear_reference(
        values[instruction.x],
        values[instruction.knots],
        values[instruction.values],
        values[instruction.slopes],
        instruction.shift,
    )


@evaluate.register
def _(instruction: op.AddInteger, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return values[instruction.a] + values[instruction.b]


@evaluate.register
def _(instruction: op.SubInteger, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return values[instruction.a] - values[instruction.b]


@evaluate.register
def _(instruction: op.MulInteger, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    a, b = _pair(values[instruction.a], values[instruction.b])
    return integer.multiply_integer_reference(a, b, instruction.shift)


@evaluate.register
def _(instruction: op.DivInteger, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    a, b = _pair(values[instruction.a], values[instruction.b])
    return integer.divide_integer_reference(a, b, instruction.shift)


@evaluate.register
def _(instruction: op.ReduceSum, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return layout.reduce_sum_reference(values[instruction.x])


@evaluate.register
def _(instruction: op.ReduceMax, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return layout.reduce_max_reference(values[instruction.x])


@evaluate.register
def _(instruction: op.ArgMax, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return layout.arg_max_reference(values[instruction.x])


@evaluate.register
def _(instruction: op.Reshape, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return values[instruction.x]


@evaluate.register
def _(instruction: op.Transpose, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return layout.transpose_reference(values[instruction.x], instruction.permutation)


@evaluate.register
def _(instruction: op.Concat, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return layout.concat_reference([values[item] for item in instruction.inputs], instruction.axis)


@evaluate.register
def _(instruction: op.Slice, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    shape = model.type_of(instruction.output).shape
    return layout.slice_reference(
        values[instruction.x], instruction.starts, instruction.steps, shape
    )


@evaluate.register
def _(instruction: op.Pad, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return layout.pad_reference(
        values[instruction.x], instruction.before, instruction.after, instruction.value
    )


@evaluate.register
def _(instruction: op.TreeEnsemble, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return trees.trees_reference(
        values[instruction.x],
        values[instruction.roots],
        values[instruction.feature],
        values[instruction.threshold],
        values[instruction.left],
        values[instruction.right],
        values[instruction.missing_right],
        values[instruction.leaves],
        values[instruction.base],
        model.type_of(instruction.x).dtype.bounds[0],
    )


@evaluate.register
def _(instruction: op.MatMul, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return matmul.matmul_reference(
        values[instruction.a],
        values[instruction.b],
        instruction.a_zero_point,
        instruction.transpose_b,
        instruction.multiplier,
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.Softmax, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    one, bits = _SOFTMAX_ONE[model.type_of(instruction.output).dtype]
    scale = instruction.multiplier, instruction.shift
    return softmax.softmax_reference(values[instruction.x], *scale, one, bits)


@evaluate.register
def _(instruction: op.LayerNorm, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return norm.layer_norm_reference(
        values[instruction.x],
        values[instruction.gain],
        values[instruction.offset],
        instruction.center,
        instruction.epsilon,
        instruction.shift,
        instruction.zero_point,
        instruction.lo,
        instruction.hi,
    )


@evaluate.register
def _(instruction: op.Gather, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return gather.gather_reference(values[instruction.x], values[instruction.table])


@evaluate.register
def _(instruction: op.Expand, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    shape = model.type_of(instruction.output).shape
    return moves.expand_reference(values[instruction.x], shape)


@evaluate.register
def _(instruction: op.Compare, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    a, b = _pair(values[instruction.a], values[instruction.b])
    return select.compare_reference(a, b, instruction.relation)


@evaluate.register
def _(instruction: op.Select, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    condition, a, b = np.broadcast_arrays(
        values[instruction.condition], values[instruction.a], values[instruction.b]
    )
    return select.select_reference(condition, a, b)


@evaluate.register
def _(instruction: op.Minimum, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    a, b = _pair(values[instruction.a], values[instruction.b])
    return select.minimum_reference(a, b)


@evaluate.register
def _(instruction: op.Maximum, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    a, b = _pair(values[instruction.a], values[instruction.b])
    return select.maximum_reference(a, b)


@evaluate.register
def _(instruction: op.SquareRoot, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return roots.square_root_reference(values[instruction.x])


@evaluate.register
def _(instruction: op.TopK, values: Mapping[int, Exact], model: IntegerModel) -> Exact:
    return rows.top_k_reference(values[instruction.x], instruction.k)
