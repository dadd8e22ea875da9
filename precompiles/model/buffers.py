"""Bytes of a run, bounded from types alone (L2): of one sample's buffers, and of constants.

Tensors lie in buffers of a multiple of 64 bytes from the instruction that writes them to the last
one that reads them; an image that convolutions pad may lie in a larger one, with its border around
it. Some instructions need a buffer of their own besides.

Constants are kept as kernels read them: matrices in panels of 16 columns, padded, with their bias
and multiplier, once for each instruction; nodes of trees in pairs of siblings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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


MERGED_BYTES = 128
"""Bytes of x at a tap up to which narrow groups of a convolution share a matrix."""

NODE_WORDS = 8
"""Words of the dtype of x for each node of a tree, as a child of one parent or of two."""


@dataclass(frozen=True, slots=True)
class Matrices:
    """Constant matrices of one instruction: how many, terms of a column, columns, bytes of x."""

    count: int
    terms: int
    columns: int
    size: int

    @property
    def nbytes(self) -> int:
        """Bytes in memory, with two words for each column."""
        return self.count * padded(self.columns, LANES) * (self.terms + 8)


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


def prepared_bytes(model: IntegerModel) -> int:
    """Bytes of constants in memory: as stored, and as instructions want them."""
    total = sum(item.type.nbytes for item in model.constants)
    for instruction in model.instructions:
        if isinstance(instruction, op.Gemm | op.Conv):
            total += matrices_of(instruction, model).nbytes
        elif isinstance(instruction, op.TreeEnsemble):
            nodes = model.type_of(instruction.threshold)
            total += NODE_WORDS * (nodes.nbytes + 8 * model.type_of(instruction.roots).elements)
    return total


def matrices_of(instruction: op.Gemm | op.Conv, model: IntegerModel) -> Matrices:
    """Of a convolution one for each group, or for several narrow ones; a run is a kernel row."""
    size = model.type_of(instruction.x).dtype.size
    whole = 4 // size
    shape = model.type_of(instruction.weight).shape
    if isinstance(instruction, op.Gemm):
        return Matrices(1, padded(shape[0], whole), shape[1], size)
    kernel_h, kernel_w, depth, filters = shape
    group = instruction.group
    if is_depthwise(instruction, model):
        return Matrices(1, padded(kernel_h * padded(kernel_w, 4), whole), filters, size)
    each = filters // group
    times = max(min(LANES // each, MERGED_BYTES // (depth * size), group), 1)
    run, runs = depth * times, kernel_h * kernel_w
    if run == model.type_of(instruction.x).shape[2] and instruction.dilations[1] == 1:
        run, runs = kernel_w * run, kernel_h
    return Matrices(-(-group // times), runs * padded(run, whole), each * times, size)


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
