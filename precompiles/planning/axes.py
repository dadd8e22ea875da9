"""Layouts for elementwise kernels: how operands that broadcast step through memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from precompiles.kernels.broadcast import ATTRIBUTES, AXES
from precompiles.kernels.jit import Kernel
from precompiles.kernels.typed import Element
from precompiles.model.types import TensorType
from precompiles.planning.planner import Place, Planner

LONG = 16
"""Rows from which on the last axis before the columns is walked innermost."""


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand seen in the shape of the output; distances in elements, 0 where it repeats."""

    start: Place | int
    """Place in memory, or offset in weights."""
    sample_bytes: int
    window_bytes: int
    """From the first to the last byte of one sample."""
    distances: tuple[int, ...]
    """Of the batch, then of each axis of the output."""

    @property
    def words(self) -> tuple[Place | int, ...]:
        """What ``broadcast.operand`` reads."""
        in_weights = not isinstance(self.start, Place)
        return self.start, self.sample_bytes, self.window_bytes, int(in_weights)


@dataclass(frozen=True, slots=True)
class Axis:
    """Positions and, for each operand, the distance between two of them."""

    size: int
    distances: tuple[int, ...]
    is_batched: bool = False
    """True when ``size`` is per sample."""

    @property
    def weight(self) -> int:
        """How long the axis is taken to be, before the batch is known."""
        return self.size * (LONG if self.is_batched else 1)


def element_type(planner: Planner, value: int) -> Element:
    """The numpy scalar type of a value."""
    return planner.dtype(value).type


def view(planner: Planner, value: int, shape: Sequence[int]) -> Operand:
    """A value, tensor or constant, with border or without, broadcast to ``shape``."""
    kind = planner.model.type_of(value)
    if value in planner.borders:
        image, (height, row, channels) = planner.image(value), kind.shape
        pitch = image.row_bytes // kind.dtype.size
        window = (height - 1) * image.row_bytes + row * channels * kind.dtype.size
        distances: tuple[int, ...] = (image.sample_bytes // kind.dtype.size, pitch, channels, 1)
        return Operand(image.place, image.sample_bytes, window, _repeat(kind, distances, shape))
    in_weights, start = planner.operand(value)
    distances = (0 if in_weights else kind.elements, *_contiguous(kind.shape))
    sample_bytes = 0 if in_weights else kind.nbytes
    return Operand(start, sample_bytes, kind.nbytes, _repeat(kind, distances, shape))


def _contiguous(shape: Sequence[int]) -> list[int]:
    distances = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        distances[axis] = distances[axis + 1] * shape[axis + 1]
    return distances


def _repeat(kind: TensorType, distances: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    inner = zip(kind.shape, distances[1:], strict=True)
    missing = (0,) * (len(shape) - len(kind.shape))
    return (distances[0], *missing, *(step if size > 1 else 0 for size, step in inner))


def emit_elementwise(
    planner: Planner, kernel: Kernel, operands: Sequence[Operand], shape: Sequence[int], *words: int
) -> None:
    """Emit one step over the output (first of ``operands``) and what it is made from."""
    padded = (*words, *(0,) * (ATTRIBUTES - len(words)))
    placed = [word for item in operands for word in item.words]
    planner.emit(kernel, *placed, *padded, *layout(arranged(merged(operands, shape))))


def merged(operands: Sequence[Operand], shape: Sequence[int]) -> list[Axis]:
    """Batch and axes of the output, outermost first, joined where all operands allow it."""
    columns = list(zip(*(item.distances for item in operands), strict=True))
    found = [Axis(1, columns[0], True)]
    for size, distances in zip(shape, columns[1:], strict=True):
        if size == 1:
            continue
        last = found[-1]
        joins = all(far == size * near for far, near in zip(last.distances, distances, strict=True))
        if joins:
            found[-1] = Axis(last.size * size, distances, last.is_batched)
        else:
            found.append(Axis(size, distances))
    return found


def arranged(axes: Sequence[Axis]) -> list[Axis]:
    """The axes with a dense one as columns and a long one as rows; there may be one more."""
    unit = Axis(1, (1,) * len(axes[0].distances))
    is_dense = axes[-1].distances[0] == 1 and max(axes[-1].distances) == 1
    *outer, columns = axes if is_dense else (*axes, unit)
    if len(outer) > 1 and outer[-1].weight < LONG:
        outer.append(outer.pop(max(range(len(outer)), key=lambda place: outer[place].weight)))
    return [*outer, columns]


def layout(axes: Sequence[Axis]) -> tuple[int, ...]:
    """Words of a layout, at most seven axes, the last two as rows and columns."""
    full = [Axis(1, (0,) * len(axes[0].distances))] * (AXES - len(axes)) + list(axes)
    batched = next(number for number, axis in enumerate(full) if axis.is_batched)
    sizes = [axis.size for axis in full]
    distances = [
        axis.distances[number] for number in range(len(full[0].distances)) for axis in full
    ]
    return batched, *sizes, *distances
