"""Plans of operators on rows of the last axis."""

import numpy as np

from precompiles.kernels import norm, rows, softmax
from precompiles.model import operators as op
from precompiles.model.types import DType
from precompiles.planning.axes import element_type
from precompiles.planning.planner import Planner
from precompiles.planning.registry import plan


def _rows(planner: Planner, value: int) -> tuple[int, int]:
    """Rows per sample and columns of a value."""
    kind = planner.model.type_of(value)
    columns = kind.shape[-1]
    return kind.elements // columns, columns


def _reduce(planner: Planner, row: rows.Row, x: int, output: int, results: int = 1) -> None:
    kernel = rows.row_kernel(row, element_type(planner, x), element_type(planner, output))
    planner.emit(kernel, planner.tensor(x), planner.tensor(output), *_rows(planner, x), results)


@plan.register
def _(instruction: op.ReduceSum, planner: Planner) -> None:
    _reduce(planner, rows.reduce_sum_row, instruction.x, instruction.output)


@plan.register
def _(instruction: op.ReduceMax, planner: Planner) -> None:
    _reduce(planner, rows.reduce_max_row, instruction.x, instruction.output)


@plan.register
def _(instruction: op.ArgMax, planner: Planner) -> None:
    _reduce(planner, rows.arg_max_row, instruction.x, instruction.output)


@plan.register
def _(instruction: op.TopK, planner: Planner) -> None:
    _reduce(planner, rows.top_k_row, instruction.x, instruction.output, instruction.k)


@plan.register
def _(instruction: op.Softmax, planner: Planner) -> None:
    x, output = instruction.x, instruction.output
    is_byte = planner.model.type_of(output).dtype is DType.U8
    make = softmax.softmax_u8 if is_byte else softmax.softmax_s16
    count, columns = _rows(planner, x)
    scratch = planner.scratch(columns * np.dtype(np.int32).itemsize)
    places = planner.tensor(x), planner.tensor(output)
    scale = instruction.multiplier, instruction.shift
    planner.emit(make(element_type(planner, x)), *places, count, columns, *scale, scratch)


@plan.register
def _(instruction: op.LayerNorm, planner: Planner) -> None:
    x, output = instruction.x, instruction.output
    kernel = norm.layer_norm(element_type(planner, x), element_type(planner, output))
    gain = planner.place(planner.constant(instruction.gain))
    offset = planner.place(planner.constant(instruction.offset))
    rounding = instruction.shift, instruction.zero_point, instruction.lo, instruction.hi
    places = planner.tensor(x), planner.tensor(output)
    words = gain, offset, instruction.center, instruction.epsilon, *rounding
    planner.emit(kernel, *places, *_rows(planner, x), *words)
