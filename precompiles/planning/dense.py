"""Plans of matrix products, and the step that they share with convolutions."""

from dataclasses import dataclass
from math import prod

import numpy as np

from precompiles.kernels import gemm, linear, matmul, tile
from precompiles.kernels.arrays import S8, S64
from precompiles.model import operators as op
from precompiles.model.types import DType
from precompiles.planning.planner import Place, Planner
from precompiles.planning.registry import plan


@dataclass(frozen=True, slots=True)
class Grid:
    """First byte of samples, rows and columns that lie at equal distances, in bytes."""

    place: Place
    sample: int
    row: int
    step: int


def rounding_of(instruction: op.Gemm | op.Conv | op.MatMul, dtype: DType) -> tile.Rounding:
    """The rounding form of an output type; four bytes are always wide."""
    form = instruction.shift, instruction.zero_point, instruction.lo, instruction.hi
    if dtype.size < 4:
        return tile.rounding_form(*form, dtype is DType.S8)
    half = 1 << (instruction.shift - 1)
    return tile.Rounding(True, 0, instruction.shift, half, *form[1:])


def emit_product(
    planner: Planner,
    instruction: op.Gemm | op.Conv,
    dtypes: tuple[DType, DType],
    grids: tuple[Grid, Grid],
    windows: tuple[int, int],
    segments: S64,
    weight: S8,
    x_group: int = 0,
) -> None:
    """One step: sums over windows of x, times constant weights, rescaled and stored.

    Args:
        planner: collects it.
        instruction: its bias and multiplier have a word for each output channel.
        dtypes: of x (u8 or s16) and of the output.
        grids: first byte of each window of x, and of each output pixel.
        windows: rows and columns of windows in a sample.
        segments: byte offset in a window of each run of x.
        weight: (channel groups, runs, elements of a run, output channels of a group).
        x_group: bytes of x from one channel group to the next.
    """
    (x_type, out_type), (x, out) = dtypes, grids
    form = rounding_of(instruction, out_type)
    bias, multiplier = (planner.constant(v) for v in (instruction.bias, instruction.multiplier))
    table, panels = tile.pack_panels(x_type.size, out_type.size, weight, bias, multiplier, x_group)
    planner.emit(
        gemm.PRODUCTS[x_type.size, out_type.size, form.is_wide],
        *(x.place, x.sample, x.row, x.step),
        *(out.place, out.sample, out.row, out.step),
        *(1, *windows),
        *(planner.place(segments), len(segments), -(-weight.shape[2] * x_type.size // 4)),
        *(planner.place(table), len(table), planner.place(panels), 0),
        *form.words,
    )


@plan.register
def _(instruction: op.Gemm, planner: Planner) -> None:
    kind, out_kind = (planner.model.type_of(v) for v in (instruction.x, instruction.output))
    rows = prod(kind.shape[:-1])
    grids = (
        Grid(planner.tensor(value), item.nbytes, item.nbytes, item.nbytes // rows)
        for value, item in ((instruction.x, kind), (instruction.output, out_kind))
    )
    weight = planner.constant(instruction.weight)[np.newaxis, np.newaxis]
    x, out = grids
    emit_product(
        planner,
        instruction,
        (kind.dtype, out_kind.dtype),
        (x, out),
        (1, rows),
        np.zeros(1, np.int64),
        weight,
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
    form = rounding_of(instruction, out_kind.dtype)
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
