"""Work of a call, from shapes alone, so that gas never needs the weights.

Per sample: arithmetic, by operator. Per call: the call, each instruction, each constant byte.
Prices: precompiles/model/prices.py. Nothing here reads constant data.
"""

from functools import singledispatch
from math import prod

from precompiles.model import operators as op
from precompiles.model import prices
from precompiles.model.operands import operands_of
from precompiles.model.types import CostRecord, IntegerModel, TensorType

_DEPTHWISE_BELOW = 16
"""A convolution with fewer output channels per group than this runs at the depthwise price."""

_BINARY = (
    op.Add,
    op.Mul,
    op.AddInteger,
    op.SubInteger,
    op.MulInteger,
    op.DivInteger,
    op.Compare,
    op.Select,
    op.Minimum,
    op.Maximum,
)


def cost_of(model: IntegerModel) -> CostRecord:
    """Static upper bound of the work of ``model``, which must be legal in types and shapes."""
    ports = len(model.inputs) + len(model.outputs)
    per_slice = prices.INSTRUCTION * len(model.instructions) + prices.PORT * ports
    per_slice += prices.WEIGHT_BYTE * sum(item.type.nbytes for item in model.constants)
    input_bytes = sum(model.type_of(port.value).nbytes for port in model.inputs)
    output_bytes = sum(model.type_of(port.value).nbytes for port in model.outputs)
    scratch = scratch_bytes(model)
    per_sample = prices.COPIED_BYTE * (input_bytes + output_bytes)
    per_sample += sum(sample_work(item, model) for item in model.instructions)
    per_sample += min(per_slice, per_slice * scratch // prices.SLICE_BYTES)
    return CostRecord(
        gas_per_call=_gas(prices.CALL + per_slice),
        gas_per_sample=_gas(per_sample),
        input_bytes_per_sample=input_bytes,
        output_bytes_per_sample=output_bytes,
        scratch_bytes_per_sample=scratch,
    )


def last_uses(model: IntegerModel) -> dict[int, int]:
    """Index of the last instruction that reads each tensor; outputs live to the end."""
    uses: dict[int, int] = {}
    for index, instruction in enumerate(model.instructions):
        for value in (*operands_of(instruction), instruction.output):
            uses[value] = index
    for port in model.outputs:
        uses[port.value] = len(model.instructions)
    return uses


def scratch_bytes(model: IntegerModel) -> int:
    """Largest sum of tensors alive at one instruction, plus its widened copies, for one sample."""
    uses = last_uses(model)
    alive = {port.value: model.type_of(port.value).nbytes for port in model.inputs}
    total = peak = sum(alive.values())
    for index, instruction in enumerate(model.instructions):
        alive[instruction.output] = model.type_of(instruction.output).nbytes
        total += alive[instruction.output]
        peak = max(peak, total + _working_bytes(instruction, model))
        for value in {*operands_of(instruction), instruction.output}:
            if uses[value] == index and value in alive:
                total -= alive.pop(value)
    return peak


@singledispatch
def sample_work(instruction: op.Instruction, model: IntegerModel) -> int:
    """Price of one sample in 1/512 gas; by default a copy of the output."""
    return prices.COPIED_BYTE * model.type_of(instruction.output).nbytes


def _gas(units: int) -> int:
    return -(-units // prices.SCALE)


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _output(instruction: op.Instruction, model: IntegerModel) -> TensorType:
    return model.type_of(instruction.output)


def _working_bytes(instruction: op.Instruction, model: IntegerModel) -> int:
    """Bound of what the runner allocates beside the output: widened or padded copies."""
    copies = 3 if isinstance(instruction, _BINARY) else 1
    widened = 8 * copies * _output(instruction, model).elements
    for value in operands_of(instruction):
        if value >= len(model.constants):
            widened += 8 * model.type_of(value).elements
    if isinstance(instruction, op.Conv):
        widened += _padded_image(instruction, model)
        kernel_h, kernel_w, depth, _ = model.type_of(instruction.weight).shape
        rows, columns, _ = _output(instruction, model).shape
        widened += rows * columns * kernel_h * kernel_w * depth
    if isinstance(instruction, op.MatMul):
        widened += 3 * _packed_matrix(instruction, model)
    return widened


def _packed_matrix(instruction: op.MatMul, model: IntegerModel) -> int:
    """Elements of the second operand, rows padded to 4 and columns to 16."""
    *leading, rows, columns = model.type_of(instruction.b).shape
    if instruction.transpose_b:
        rows, columns = columns, rows
    return prod(leading) * _padded(rows, 4) * _padded(columns, 16)


def _padded_image(instruction: op.Conv, model: IntegerModel) -> int:
    """Bytes of a convolution's input with its border, channels repeated to the filters."""
    height, width, channels = model.type_of(instruction.x).shape
    top, left, bottom, right = instruction.pads
    filters = model.type_of(instruction.weight).shape[3]
    depth = max(channels, filters) if instruction.group > 1 else channels
    return (height + top + bottom) * (width + left + right) * depth


@sample_work.register
def _(instruction: op.Gemm, model: IntegerModel) -> int:
    depth, columns = model.type_of(instruction.weight).shape
    rows = model.type_of(instruction.x).elements // depth
    dense = _padded(depth, 4) * _padded(columns, 16)
    return rows * (dense * prices.MULTIPLY_ADD + _padded(columns, 16) * prices.OUTPUT)


@sample_work.register
def _(instruction: op.Conv, model: IntegerModel) -> int:
    kernel_h, kernel_w, depth, filters = model.type_of(instruction.weight).shape
    rows, columns, _ = _output(instruction, model).shape
    per_group, taps = filters // instruction.group, kernel_h * kernel_w
    if per_group < _DEPTHWISE_BELOW or depth == 1:
        work = filters * taps * depth * prices.DEPTHWISE_MULTIPLY_ADD
    else:
        terms = _padded(taps * depth, 4)
        work = instruction.group * _padded(per_group, 16) * terms * prices.MULTIPLY_ADD
    work += instruction.group * taps * (prices.WINDOW_TAP + depth * prices.COPIED_BYTE)
    once = _padded_image(instruction, model) * prices.COPIED_BYTE
    if depth > 1 or instruction.group == 1:
        once += instruction.group * prices.WINDOW_PASS
    return rows * columns * (work + filters * prices.OUTPUT) + once


@sample_work.register
def _(instruction: op.MatMul, model: IntegerModel) -> int:
    *leading, rows, columns = _output(instruction, model).shape
    a, b = model.type_of(instruction.a), model.type_of(instruction.b)
    packed = _packed_matrix(instruction, model)
    product = packed * rows * prices.MULTIPLY_ADD * a.dtype.size * b.dtype.size
    outputs = prod(leading) * rows * _padded(columns, 16)
    return product + outputs * prices.OUTPUT + packed * prices.PACKED_ELEMENT


@sample_work.register
def _(instruction: op.LinearInteger, model: IntegerModel) -> int:
    depth, columns = model.type_of(instruction.weight).shape
    rows = model.type_of(instruction.x).elements // depth
    return rows * depth * columns * prices.WIDE_MULTIPLY_ADD


@sample_work.register(op.MaxPool)
@sample_work.register(op.AveragePool)
def _(instruction: op.MaxPool | op.AveragePool, model: IntegerModel) -> int:
    height, width, _ = model.type_of(instruction.x).shape
    area = min(instruction.kernel[0], height) * min(instruction.kernel[1], width)
    rows, columns, channels = _output(instruction, model).shape
    return rows * columns * (channels * (area + 1) * prices.ELEMENT + prices.WINDOW_TAP)


@sample_work.register(op.Add)
@sample_work.register(op.Mul)
def _(instruction: op.Add | op.Mul, model: IntegerModel) -> int:
    return _output(instruction, model).elements * 2 * prices.ELEMENT


@sample_work.register(op.Compare)
@sample_work.register(op.Select)
@sample_work.register(op.Minimum)
@sample_work.register(op.Maximum)
@sample_work.register(op.Clip)
@sample_work.register(op.AddInteger)
@sample_work.register(op.SubInteger)
@sample_work.register(op.Transpose)
@sample_work.register(op.Slice)
@sample_work.register(op.Expand)
def _(instruction: op.Instruction, model: IntegerModel) -> int:
    kind = _output(instruction, model)
    return kind.elements * prices.ELEMENT + kind.nbytes * prices.COPIED_BYTE


@sample_work.register(op.Requantize)
@sample_work.register(op.MulInteger)
def _(instruction: op.Requantize | op.MulInteger, model: IntegerModel) -> int:
    return _output(instruction, model).elements * 2 * prices.ELEMENT


@sample_work.register
def _(instruction: op.DivInteger, model: IntegerModel) -> int:
    return _output(instruction, model).elements * prices.DIVISION


@sample_work.register
def _(instruction: op.Lookup, model: IntegerModel) -> int:
    wide = 2 if model.type_of(instruction.x).dtype.size == 2 else 1
    return _output(instruction, model).elements * wide * prices.TABLE_ELEMENT


@sample_work.register
def _(instruction: op.PiecewiseLinear, model: IntegerModel) -> int:
    return _output(instruction, model).elements * prices.SEARCH_ELEMENT


@sample_work.register(op.ReduceSum)
@sample_work.register(op.ReduceMax)
@sample_work.register(op.ArgMax)
def _(instruction: op.ReduceSum | op.ReduceMax | op.ArgMax, model: IntegerModel) -> int:
    rows = _output(instruction, model).elements
    return model.type_of(instruction.x).elements * prices.ELEMENT + rows * prices.ROW


@sample_work.register
def _(instruction: op.Softmax, model: IntegerModel) -> int:
    kind = _output(instruction, model)
    rows = kind.elements // kind.shape[-1]
    return kind.elements * prices.SOFTMAX_ELEMENT + rows * (prices.ROW + prices.DIVISION)


@sample_work.register
def _(instruction: op.LayerNorm, model: IntegerModel) -> int:
    kind = _output(instruction, model)
    rows = kind.elements // kind.shape[-1]
    per_row = prices.ROW + prices.DIVISION + prices.SQUARE_ROOT
    return kind.elements * prices.NORM_ELEMENT + rows * per_row


@sample_work.register
def _(instruction: op.TopK, model: IntegerModel) -> int:
    kind = model.type_of(instruction.x)
    rows = kind.elements // kind.shape[-1]
    scans = kind.elements * instruction.k * prices.SELECTION
    return scans + kind.elements * prices.ELEMENT + rows * prices.ROW


@sample_work.register
def _(instruction: op.SquareRoot, model: IntegerModel) -> int:
    return _output(instruction, model).elements * prices.SQUARE_ROOT


@sample_work.register
def _(instruction: op.Gather, model: IntegerModel) -> int:
    rows = model.type_of(instruction.x).elements
    copied = _output(instruction, model).nbytes * prices.COPIED_BYTE
    return rows * prices.GATHERED_ROW + copied


@sample_work.register
def _(instruction: op.TreeEnsemble, model: IntegerModel) -> int:
    nodes = model.type_of(instruction.feature).elements
    threshold = model.type_of(instruction.threshold).dtype.size
    _, targets = model.type_of(instruction.leaves).shape
    trees = model.type_of(instruction.roots).elements
    size = nodes * (13 + threshold)
    fitting = (price for limit, price in prices.TREE_VISITS if size <= limit)
    visit = next(fitting, prices.TREE_VISIT_LARGE)
    leaf = visit + targets * prices.ELEMENT
    return trees * ((instruction.depth + 1) * visit + leaf)
