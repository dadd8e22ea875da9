"""Plans of elementwise operators and tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from precompiles.kernels import clip, integer, lookup, requantize, roots, select
from precompiles.kernels.broadcast import RowOfTwo, binary, tabled, ternary, unary
from precompiles.model import operators as op
from precompiles.model.types import IntegerModel
from precompiles.planning.axes import Operand, element_type, emit_elementwise, merged, view
from precompiles.planning.borders import reads_image, writes_image
from precompiles.planning.planner import Planner
from precompiles.planning.registry import plan

RAW: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.int32, 8: np.int64}
"""Types of elements of which only the bits matter, by their bytes."""

_Pairwise = (
    op.Add
    | op.Mul
    | op.AddInteger
    | op.SubInteger
    | op.MulInteger
    | op.DivInteger
    | op.Compare
    | op.Minimum
    | op.Maximum
)
_WITH_BORDERS = op.Add, op.Mul, op.Requantize, op.Clip, op.Lookup, op.Minimum, op.Maximum


def _reads(instruction: op.Instruction, model: IntegerModel, value: int) -> bool:
    return True


def _writes(instruction: op.Instruction, model: IntegerModel) -> bool:
    return True


for _operator in _WITH_BORDERS:
    reads_image.register(_operator, _reads)
    writes_image.register(_operator, _writes)


@dataclass(frozen=True, slots=True)
class Pair:
    """Operands of one step; when one repeats along the columns, it is the second."""

    values: tuple[int, int]
    views: tuple[Operand, Operand]
    is_swapped: bool
    repeats: bool
    """True when the second one repeats along the columns."""


def _pair(planner: Planner, instruction: _Pairwise) -> Pair:
    shape = planner.model.type_of(instruction.output).shape
    values = instruction.a, instruction.b
    out = view(planner, instruction.output, shape)
    views = view(planner, values[0], shape), view(planner, values[1], shape)
    near, a, b = merged((out, *views), shape)[-1].distances
    is_swapped = near > 0 and a == 0
    if is_swapped:
        return Pair(values[::-1], views[::-1], True, True)
    return Pair(values, views, False, b == 0)


def _sorted(planner: Planner, pair: Pair) -> Pair:
    """For an operator that does not mind: the wider dtype first, so that fewer kernels serve."""
    model = planner.model
    first, second = (model.type_of(value).dtype for value in pair.values)
    if pair.repeats or first >= second:
        return pair
    return Pair(pair.values[::-1], pair.views[::-1], not pair.is_swapped, False)


def _emit(planner: Planner, row: RowOfTwo, pair: Pair, output: int, *words: int) -> None:
    shape = planner.model.type_of(output).shape
    types = [element_type(planner, value) for value in (*pair.values, output)]
    operands = view(planner, output, shape), *pair.views
    emit_elementwise(planner, binary(row, *types), operands, shape, *words)


def _emit_unary(planner: Planner, kernel: Any, x: int, output: int, *words: int) -> None:
    shape = planner.model.type_of(output).shape
    operands = [view(planner, value, shape) for value in (output, x)]
    emit_elementwise(planner, kernel, operands, shape, *words)


@plan.register
def _(instruction: op.Add, planner: Planner) -> None:
    pair = _sorted(planner, _pair(planner, instruction))
    order = -1 if pair.is_swapped else 1
    zeros = (instruction.a_zero_point, instruction.b_zero_point)[::order]
    scales = (instruction.a_multiplier, instruction.b_multiplier)[::order]
    rounding = instruction.shift, instruction.zero_point, instruction.lo, instruction.hi
    words = *zeros, *scales, *rounding
    _emit(planner, requantize.add_row, pair, instruction.output, *words)


@plan.register
def _(instruction: op.Mul, planner: Planner) -> None:
    pair = _sorted(planner, _pair(planner, instruction))
    order = -1 if pair.is_swapped else 1
    zeros = (instruction.a_zero_point, instruction.b_zero_point)[::order]
    rounding = instruction.shift, instruction.zero_point, instruction.lo, instruction.hi
    words = *zeros, instruction.multiplier, *rounding
    _emit(planner, requantize.multiply_row, pair, instruction.output, *words)


@plan.register
def _(instruction: op.Requantize, planner: Planner) -> None:
    shape = planner.model.type_of(instruction.output).shape
    values = instruction.output, instruction.x, instruction.multiplier
    operands = [view(planner, value, shape) for value in values]
    x_type, out_type = (
        element_type(planner, value) for value in (instruction.x, instruction.output)
    )
    kernel = binary(requantize.requantize_row, x_type, np.int32, out_type)
    rounding = instruction.shift, instruction.zero_point, instruction.lo, instruction.hi
    emit_elementwise(planner, kernel, operands, shape, instruction.x_zero_point, *rounding)


@plan.register
def _(instruction: op.Clip, planner: Planner) -> None:
    kind = element_type(planner, instruction.x)
    kernel = unary(clip.clip_row, kind, kind)
    ends = instruction.lo, instruction.hi
    _emit_unary(planner, kernel, instruction.x, instruction.output, *ends)


@plan.register
def _(instruction: op.Lookup, planner: Planner) -> None:
    table = planner.constant(instruction.table)
    raw, index = RAW[table.itemsize], RAW[planner.dtype(instruction.x).itemsize]
    is_bytes = raw is index is np.uint8
    row = lookup.lookup_bytes_row if is_bytes else lookup.lookup_row
    kernel = tabled(row, index, raw, raw)
    words = planner.place(table), table.nbytes
    _emit_unary(planner, kernel, instruction.x, instruction.output, *words)


@plan.register
def _(instruction: op.PiecewiseLinear, planner: Planner) -> None:
    parts = instruction.knots, instruction.values, instruction.slopes
    table = np.concatenate([planner.constant(value) for value in parts])
    kind = element_type(planner, instruction.x)
    kernel = tabled(integer.piecewise_linear_row, kind, np.int64, np.int64)
    steps = (table.size // 3 - 1).bit_length()
    words = planner.place(table), table.nbytes, instruction.shift, steps
    _emit_unary(planner, kernel, instruction.x, instruction.output, *words)


@plan.register
def _(instruction: op.AddInteger, planner: Planner) -> None:
    pair = _sorted(planner, _pair(planner, instruction))
    _emit(planner, integer.add_integer_row, pair, instruction.output)


@plan.register
def _(instruction: op.SubInteger, planner: Planner) -> None:
    pair = _pair(planner, instruction)
    row = integer.subtract_from_row if pair.is_swapped else integer.subtract_integer_row
    _emit(planner, row, pair, instruction.output)


@plan.register
def _(instruction: op.MulInteger, planner: Planner) -> None:
    pair = _sorted(planner, _pair(planner, instruction))
    _emit(planner, integer.multiply_integer_row, pair, instruction.output, instruction.shift)


@plan.register
def _(instruction: op.DivInteger, planner: Planner) -> None:
    shape = planner.model.type_of(instruction.output).shape
    values = instruction.a, instruction.b
    views = view(planner, values[0], shape), view(planner, values[1], shape)
    pair = Pair(values, views, False, False)
    _emit(planner, integer.divide_integer_row, pair, instruction.output, instruction.shift)


@plan.register
def _(instruction: op.Compare, planner: Planner) -> None:
    pair = _pair(planner, instruction)
    if instruction.relation == select.EQUAL:
        _emit(planner, select.equal_row, _sorted(planner, pair), instruction.output)
    elif instruction.relation == select.LESS:
        row = select.greater_row if pair.is_swapped else select.less_row
        _emit(planner, row, pair, instruction.output, 0)
    elif pair.repeats:  # a <= b is the contrary of a > b, which is b < a
        row = select.less_row if pair.is_swapped else select.greater_row
        _emit(planner, row, pair, instruction.output, 1)
    else:
        turned = Pair(pair.values[::-1], pair.views[::-1], True, False)
        _emit(planner, select.less_row, turned, instruction.output, 1)


@plan.register
def _(instruction: op.Select, planner: Planner) -> None:
    shape = planner.model.type_of(instruction.output).shape
    values = instruction.output, instruction.a, instruction.b, instruction.condition
    operands = [view(planner, value, shape) for value in values]
    kernel = ternary(select.select_row, RAW[planner.dtype(instruction.a).itemsize])
    emit_elementwise(planner, kernel, operands, shape)


@plan.register
def _(instruction: op.Minimum, planner: Planner) -> None:
    _emit(planner, clip.minimum_row, _pair(planner, instruction), instruction.output)


@plan.register
def _(instruction: op.Maximum, planner: Planner) -> None:
    _emit(planner, clip.maximum_row, _pair(planner, instruction), instruction.output)


@plan.register
def _(instruction: op.SquareRoot, planner: Planner) -> None:
    kernel = unary(roots.square_root_row, element_type(planner, instruction.x), np.int64)
    _emit_unary(planner, kernel, instruction.x, instruction.output)
