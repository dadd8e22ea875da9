"""Plans of matrix products."""

from math import prod

import numpy as np

from precompiles.kernels import gemm, linear, matmul, tile
from precompiles.model import operators as op
from precompiles.model.types import DType
from precompiles.planning.planner import Planner
from precompiles.planning.registry import plan


def rounding_of(instruction: op.Gemm | op.MatMul, dtype: DType, most: int) -> tile.Rounding:
    """The rounding form of an output type, given ``|sum| < most``; four bytes are always wide."""
    form = instruction.shift, instruction.zero_point, instruction.lo, instruction.hi
    if dtype.size < 4:
        return tile.rounding_form(*form, dtype is DType.S8, most)
    half = 1 << (instruction.shift - 1)
    return tile.Rounding(True, 0, instruction.shift, half, *form[1:])


@plan.register
def _(instruction: op.Gemm, planner: Planner) -> None:
    kind, out_kind = (planner.model.type_of(v) for v in (instruction.x, instruction.output))
    size, stored = kind.dtype.size, out_kind.dtype.size
    constants = (instruction.weight, instruction.bias, instruction.multiplier)
    weight, bias, multiplier = (planner.constant(value) for value in constants)
    (depth, channels), rows = weight.shape, prod(kind.shape[:-1])
    table, panels = tile.pack_panels(size, stored, weight[np.newaxis, np.newaxis], bias, multiplier)
    form = rounding_of(instruction, out_kind.dtype, tile.most_of(size, weight, bias))
    planner.emit(
        gemm.PRODUCTS[size, stored, form.is_wide],
        *(planner.tensor(instruction.x), kind.nbytes, 0, depth * size),
        *(planner.tensor(instruction.output), out_kind.nbytes, 0, channels * stored),
        *(1, 1, rows),
        *(planner.place(np.zeros(1, np.int64)), 1, -(-depth * size // 4)),
        *(planner.place(table), len(table), planner.place(panels), 0, *form.words),
    )


@plan.register
def _(instruction: op.MatMul, planner: Planner) -> None:
    kinds = (planner.model.type_of(v) for v in (instruction.a, instruction.b, instruction.output))
    kind, other, out_kind = kinds
    size, term, stored = kind.dtype.size, other.dtype.size, out_kind.dtype.size
    (rows, depth), channels = kind.shape[-2:], out_kind.shape[-1]
    matrices = prod(kind.shape[:-2])
    groups = -(-depth * size // 4)
    padded = -(-groups // matmul.CHUNK) * matmul.CHUNK
    table = tile.table_of(channels, stored, padded * 4 // size * term)
    vectors, _, _, _, last = table[-1].tolist()
    pitch = last + tile.panel_bytes(vectors, padded * 4 // size * term)
    panels = planner.scratch(matrices * pitch)
    planner.emit(
        matmul.PACKS[size, term],
        *(planner.tensor(instruction.b), depth * channels * term, matrices),
        *(depth, channels, instruction.transpose_b, groups),
        *(planner.place(table), len(table), panels, pitch, stored),
        planner.place(matmul.order_table(size, term, stored)),
        *(instruction.a_zero_point, instruction.multiplier),
    )
    low, high = (end - instruction.a_zero_point for end in kind.dtype.bounds)
    most = max(-low, high) * (1 << (8 * term - 1)) * depth + 1
    form = rounding_of(instruction, out_kind.dtype, min(most, 1 << 31))
    x, out = planner.tensor(instruction.a), planner.tensor(instruction.output)
    planner.emit(
        matmul.MATMULS[size, term, stored, form.is_wide],
        *(x, rows * depth * size, 0, depth * size),
        *(out, rows * channels * stored, 0, channels * stored),
        *(matrices, 1, rows),
        *(planner.place(np.zeros(1, np.int64)), 1, groups),
        *(planner.place(table), len(table), panels, pitch),
        *form.words,
    )


@plan.register
def _(instruction: op.LinearInteger, planner: Planner) -> None:
    kind = planner.model.type_of(instruction.x)
    weight, bias = (planner.constant(v) for v in (instruction.weight, instruction.bias))
    depth, width = weight.shape
    is_narrow = width < min(depth, linear.NARROW)
    planner.emit(
        linear.LINEARS[kind.dtype.size, is_narrow],
        *(planner.tensor(instruction.x), prod(kind.shape[:-1]), depth),
        *(planner.place(weight.T if is_narrow else weight), planner.place(bias), width),
        planner.tensor(instruction.output),
    )
