"""Bytes of one sample's buffers, bounded from types alone (L2).

Tensors lie in buffers of a multiple of 64 bytes from the instruction that writes them to the last
one that reads them; an image that convolutions pad may lie in a larger one, with its border around
it. Some instructions need a buffer of their own besides.
"""

from collections.abc import Mapping
from functools import singledispatch
from math import prod

from precompiles.model import operators as op
from precompiles.model.operands import operands_of
from precompiles.model.types import IntegerModel

ALIGNMENT = 64
LANES = 16
"""Columns of a matrix product are computed in multiples of this."""

TERMS = 32
"""Bytes of a column of a computed matrix are brought into order in multiples of this."""


def padded(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple


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
    """Largest sum of buffers alive at one instruction, its own ones included, for one sample."""
    uses = last_uses(model)
    borders = _borders(model)
    alive = {port.value: _buffer(model, port.value, borders) for port in model.inputs}
    total = peak = sum(alive.values())
    for index, instruction in enumerate(model.instructions):
        alive[instruction.output] = _buffer(model, instruction.output, borders)
        total += alive[instruction.output]
        peak = max(peak, total + own_bytes(instruction, model))
        for value in {*operands_of(instruction), instruction.output}:
            if uses[value] == index and value in alive:
                total -= alive.pop(value)
    return peak


@singledispatch
def own_bytes(instruction: op.Instruction, model: IntegerModel) -> int:
    """Bytes of buffers that one instruction uses besides its operands and its output."""
    return 0


@own_bytes.register
def _(instruction: op.Conv, model: IntegerModel) -> int:
    """A copy with its border, and one with channels repeated for each of their filters."""
    image = padded_image(instruction, model) if any(instruction.pads) else 0
    filters, times = model.type_of(instruction.weight).shape[3], 0
    if is_depthwise(instruction, model) and filters > instruction.group:
        times = filters // instruction.group
    repeated = padded_image(instruction, model) * times
    return padded(image, ALIGNMENT) + padded(repeated, ALIGNMENT)


@own_bytes.register
def _(instruction: op.MatMul, model: IntegerModel) -> int:
    """The second operand in the order of the product, with two words a column."""
    a, b = model.type_of(instruction.a), model.type_of(instruction.b)
    columns = padded(model.type_of(instruction.output).shape[-1], LANES)
    terms = padded(a.shape[-1] * a.dtype.size, TERMS) // a.dtype.size * b.dtype.size
    panels = padded(columns * (8 + terms), ALIGNMENT)
    return padded(prod(a.shape[:-2]) * panels, ALIGNMENT)


@own_bytes.register
def _(instruction: op.Softmax, model: IntegerModel) -> int:
    """A word for each element of one row."""
    return padded(4 * model.type_of(instruction.x).shape[-1], ALIGNMENT)


@own_bytes.register
def _(instruction: op.TreeEnsemble, model: IntegerModel) -> int:
    """Two rows of features: missing values as they are, and as the highest word."""
    return padded(2 * model.type_of(instruction.x).nbytes, ALIGNMENT)


def is_depthwise(instruction: op.Conv, model: IntegerModel) -> bool:
    """One input channel for each filter, and several of them."""
    return instruction.group > 1 and model.type_of(instruction.weight).shape[2] == 1


def padded_image(instruction: op.Conv, model: IntegerModel) -> int:
    """Bytes of a convolution's input with its border."""
    return _with_border(model, instruction.x, instruction.pads)


def _borders(model: IntegerModel) -> dict[int, tuple[int, ...]]:
    """Widest pads (top, left, bottom, right) that convolutions give each tensor."""
    found: dict[int, tuple[int, ...]] = {}
    for instruction in model.instructions:
        if isinstance(instruction, op.Conv) and any(instruction.pads):
            known = found.get(instruction.x, (0, 0, 0, 0))
            sides = zip(known, instruction.pads, strict=True)
            found[instruction.x] = tuple(max(pair) for pair in sides)
    return found


def _buffer(model: IntegerModel, value: int, borders: Mapping[int, tuple[int, ...]]) -> int:
    if value in borders:
        return padded(_with_border(model, value, borders[value]), ALIGNMENT)
    return padded(model.type_of(value).nbytes, ALIGNMENT)


def _with_border(model: IntegerModel, value: int, pads: tuple[int, ...]) -> int:
    kind = model.type_of(value)
    height, width, channels = kind.shape
    top, left, bottom, right = pads
    return (height + top + bottom) * (width + left + right) * channels * kind.dtype.size
