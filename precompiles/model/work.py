"""Work of one sample, operator by operator, from types alone; prices: precompiles.model.prices.

Every formula counts what the kernels do: dense dimensions padded to the tile, rows and runs that
cost something whatever their length, windows, and the bytes of copies.
"""

from collections.abc import Sequence
from functools import singledispatch
from math import prod

from precompiles.model import operators as op
from precompiles.model import prices
from precompiles.model.buffers import (
    LANES,
    NODE_WORDS,
    Matrices,
    is_depthwise,
    matrices_of,
    padded,
    padded_image,
)
from precompiles.model.operands import operands_of
from precompiles.model.types import IntegerModel, TensorType

_FEW = 8
"""Rows of a matrix product from which on a register tile is full."""

_LONG = 16
"""Positions of an axis from which on it is walked innermost whatever the batch."""


@singledispatch
def sample_work(instruction: op.Instruction, model: IntegerModel) -> int:
    """Price of one sample in 1/512 gas; by default that of an elementwise step."""
    return _elementwise(instruction, model, 1)


def _output(instruction: op.Instruction, model: IntegerModel) -> TensorType:
    return model.type_of(instruction.output)


def _product(rows: int, terms: int, columns: int, size: int) -> int:
    """Rows of ``terms`` bytes times a matrix of bytes, rescaled; ``size`` bytes an element of x."""
    wide = padded(columns, LANES)
    price = prices.MULTIPLY_ADD if rows >= _FEW and wide > LANES else prices.NARROW_MULTIPLY_ADD
    dense = padded(terms, 4) * wide * price * (1 if size == 1 else prices.WORD_FACTOR)
    return rows * (dense // size + wide * prices.OUTPUT + prices.WINDOW)


@sample_work.register
def _(instruction: op.Gemm, model: IntegerModel) -> int:
    rows = model.type_of(instruction.x).elements // model.type_of(instruction.weight).shape[0]
    return _products(rows, matrices_of(instruction, model))


def _products(rows: int, matrices: Matrices) -> int:
    terms = matrices.terms * matrices.size
    return matrices.count * _product(rows, terms, matrices.columns, matrices.size)


@sample_work.register
def _(instruction: op.MatMul, model: IntegerModel) -> int:
    kind, other = model.type_of(instruction.a), model.type_of(instruction.b)
    *leading, rows, columns = _output(instruction, model).shape
    depth, size, matrices = kind.shape[-1], kind.dtype.size, prod(leading)
    product = _product(rows, depth * size, columns, size * other.dtype.size)
    packed = padded(depth, 32) * padded(columns, LANES) * prices.PACKED_ELEMENT
    return matrices * (product * other.dtype.size + packed + prices.MATRIX)


@sample_work.register
def _(instruction: op.Conv, model: IntegerModel) -> int:
    kind, out = model.type_of(instruction.x), _output(instruction, model)
    rows, columns, filters = out.shape
    image = padded_image(instruction, model) * prices.COPIED_BYTE if any(instruction.pads) else 0
    if is_depthwise(instruction, model):
        kernel_h, kernel_w, _, _ = model.type_of(instruction.weight).shape
        times = filters // instruction.group
        copies = times if times > 1 else 0
        repeated = padded_image(instruction, model) * copies * prices.REPEATED_BYTE
        price = prices.DEPTHWISE_MULTIPLY_ADD * kind.dtype.size
        taps = padded(kernel_h * kernel_w, 4) * price
        window = padded(filters, LANES) * (taps + prices.OUTPUT) + prices.WINDOW
        return rows * columns * window + image + repeated
    return _windows(instruction, model) + image


def _windows(instruction: op.Conv, model: IntegerModel) -> int:
    kernel_h, kernel_w, _, _ = model.type_of(instruction.weight).shape
    rows, columns, _ = _output(instruction, model).shape
    matrices = matrices_of(instruction, model)
    segments = matrices.count * kernel_h * kernel_w * prices.SEGMENT
    return _products(rows * columns, matrices) + rows * columns * segments


@sample_work.register
def _(instruction: op.LinearInteger, model: IntegerModel) -> int:
    depth, columns = model.type_of(instruction.weight).shape
    rows = model.type_of(instruction.x).elements // depth
    return rows * (depth * columns * prices.WIDE_MULTIPLY_ADD + prices.WINDOW)


@sample_work.register(op.MaxPool)
@sample_work.register(op.AveragePool)
def _(instruction: op.MaxPool | op.AveragePool, model: IntegerModel) -> int:
    height, width, _ = model.type_of(instruction.x).shape
    size = model.type_of(instruction.x).dtype.size
    area = min(instruction.kernel[0], height) * min(instruction.kernel[1], width)
    rows, columns, channels = _output(instruction, model).shape
    lanes = padded(channels * size, LANES)
    tap = lanes * prices.POOLED_BYTE + prices.POOLED_TAP
    return rows * columns * (area * tap + lanes * prices.OUTPUT + prices.WINDOW)


def _walk(model: IntegerModel, operands: Sequence[int], shape: Sequence[int]) -> int:
    """Price of the rows and blocks of rows in which operands that broadcast are walked.

    Neighbouring axes join where every operand is whole in both or repeats in both; the last joined
    axis is a row.
    """
    patterns: list[tuple[bool, ...]] = [tuple(value >= len(model.constants) for value in operands)]
    sizes = [1]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        kinds = (model.type_of(value).shape for value in operands)
        places = ((kind, axis - len(shape) + len(kind)) for kind in kinds)
        pattern = tuple(place >= 0 and kind[place] > 1 for kind, place in places)
        if pattern == patterns[-1]:
            sizes[-1] *= size
        else:
            patterns.append(pattern)
            sizes.append(size)
    outer = sizes[:-1]
    rows, longest = (prod(outer), max(outer)) if outer else (0, 1)
    blocks = rows // longest if longest >= _LONG else rows
    if len(shape) == 3:  # an image may lie with its border, row by row
        rows = max(rows, shape[0])
    return rows * prices.WALKED_ROW + blocks * prices.WALKED_BLOCK


def _elementwise(instruction: op.Instruction, model: IntegerModel, steps: int) -> int:
    """Steps of one element, at least a byte of the widest operand each."""
    kind = _output(instruction, model)
    operands = operands_of(instruction)
    widest = max(model.type_of(value).dtype.size for value in (*operands, instruction.output))
    work = kind.elements * (steps * prices.ELEMENT + widest * prices.ELEMENT_BYTE)
    return work + _walk(model, operands, kind.shape)


@sample_work.register(op.Requantize)
@sample_work.register(op.Add)
@sample_work.register(op.Mul)
@sample_work.register(op.MulInteger)
def _(instruction: op.Requantize | op.Add | op.Mul | op.MulInteger, model: IntegerModel) -> int:
    rows = 0
    if (
        isinstance(instruction, op.Requantize)
        and model.type_of(instruction.multiplier).elements > 1
    ):
        kind = _output(instruction, model)
        rows = kind.elements // kind.shape[-1]
    return _elementwise(instruction, model, prices.RESCALE_STEPS) + rows * prices.WALKED_ROW


@sample_work.register
def _(instruction: op.DivInteger, model: IntegerModel) -> int:
    divisions = _output(instruction, model).elements * prices.DIVISION
    return divisions + _elementwise(instruction, model, 1)


@sample_work.register
def _(instruction: op.Lookup, model: IntegerModel) -> int:
    return _output(instruction, model).elements * prices.TABLE_ELEMENT


@sample_work.register
def _(instruction: op.PiecewiseLinear, model: IntegerModel) -> int:
    knots = model.type_of(instruction.knots).elements
    per_element = prices.CURVE_ELEMENT + knots.bit_length() * prices.SEARCH_STEP
    return _output(instruction, model).elements * per_element


@sample_work.register
def _(instruction: op.SquareRoot, model: IntegerModel) -> int:
    return _output(instruction, model).elements * prices.SQUARE_ROOT


def _by_row(kind: TensorType, element: int, row: int) -> int:
    rows = kind.elements // kind.shape[-1]
    return kind.elements * element + rows * row


@sample_work.register(op.ReduceSum)
@sample_work.register(op.ReduceMax)
@sample_work.register(op.ArgMax)
def _(instruction: op.ReduceSum | op.ReduceMax | op.ArgMax, model: IntegerModel) -> int:
    kind = model.type_of(instruction.x)
    return _by_row(kind, prices.ELEMENT + kind.dtype.size * prices.ELEMENT_BYTE, prices.ROW)


@sample_work.register
def _(instruction: op.Softmax, model: IntegerModel) -> int:
    kind = model.type_of(instruction.x)
    return _by_row(kind, prices.SOFTMAX_ELEMENT, prices.ROW + prices.DIVISION)


@sample_work.register
def _(instruction: op.LayerNorm, model: IntegerModel) -> int:
    row = prices.ROW + prices.DIVISION + prices.SQUARE_ROOT
    return _by_row(model.type_of(instruction.x), prices.NORM_ELEMENT, row)


@sample_work.register
def _(instruction: op.TopK, model: IntegerModel) -> int:
    """A heap of k: every element may have to sink through it, and k of them once more."""
    kind, levels = model.type_of(instruction.x), instruction.k.bit_length()
    element = prices.ELEMENT + levels * prices.HEAP_LEVEL
    return _by_row(kind, element, prices.HEAP_ROW + instruction.k * levels * prices.HEAP_LEVEL)


def _copied(kind: TensorType, run: int) -> int:
    """Bytes of a tensor copied in runs of ``run`` elements."""
    runs = -(-kind.elements // max(run, 1))
    return kind.nbytes * prices.COPIED_BYTE + runs * prices.COPIED_RUN


@sample_work.register
def _(instruction: op.Reshape, model: IntegerModel) -> int:
    return 0


@sample_work.register
def _(instruction: op.Transpose, model: IntegerModel) -> int:
    """Axes that stay last stay together."""
    kind, run = _output(instruction, model), 1
    for place in range(len(kind.shape) - 1, -1, -1):
        if instruction.permutation[place] != place:
            break
        run *= kind.shape[place]
    return _copied(kind, run)


@sample_work.register
def _(instruction: op.Slice, model: IntegerModel) -> int:
    kind = _output(instruction, model)
    run = kind.shape[-1] if kind.shape and instruction.steps[-1] == 1 else 1
    return _copied(kind, run)


@sample_work.register
def _(instruction: op.Concat, model: IntegerModel) -> int:
    """Each input lies in the output as runs of its axes from ``axis`` on."""
    kind = _output(instruction, model)
    runs = prod(kind.shape[: instruction.axis]) * len(instruction.inputs)
    return kind.nbytes * prices.COPIED_BYTE + runs * prices.COPIED_RUN


@sample_work.register
def _(instruction: op.Pad, model: IntegerModel) -> int:
    kind = _output(instruction, model)
    inner = model.type_of(instruction.x)
    run = inner.shape[-1] if inner.shape else 1
    return kind.nbytes * prices.COPIED_BYTE + _copied(inner, run)


@sample_work.register
def _(instruction: op.Expand, model: IntegerModel) -> int:
    kind = _output(instruction, model)
    walked = _walk(model, (instruction.x, instruction.output), kind.shape)
    return kind.nbytes * prices.COPIED_BYTE + walked


@sample_work.register
def _(instruction: op.Gather, model: IntegerModel) -> int:
    rows = model.type_of(instruction.x).elements
    return rows * prices.GATHERED_ROW + _output(instruction, model).nbytes * prices.GATHERED_BYTE


@sample_work.register
def _(instruction: op.TreeEnsemble, model: IntegerModel) -> int:
    nodes = model.type_of(instruction.feature).elements
    threshold = model.type_of(instruction.threshold).dtype.size
    _, targets = model.type_of(instruction.leaves).shape
    trees = model.type_of(instruction.roots).elements
    size = nodes * NODE_WORDS * threshold
    fitting = (price for limit, price in prices.TREE_VISITS if size <= limit)
    visit = next(fitting, prices.TREE_VISIT_LARGE)
    leaf = visit + targets * prices.ELEMENT
    rows = model.type_of(instruction.x).elements * 2 * prices.ELEMENT
    return trees * ((instruction.depth + 1) * visit + leaf) + rows
