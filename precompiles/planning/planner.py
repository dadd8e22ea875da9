"""What an operator's ``plan`` function works with: places in memory, prepared weights, steps.

Memory of a run is one arena. Whatever lies there is a *buffer* with a size per sample, rounded up
to 64 bytes; its offset is planned per sample and multiplied by the batch, so one plan serves every
batch. A buffer lives from the first step that names it to the last. Bytes of an arena are bounded
by ``memory.place``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from precompiles.kernels.arrays import U8, Array
from precompiles.kernels.jit import Kernel
from precompiles.model.checks import NUMPY_TYPES, constant_array, is_constant
from precompiles.model.types import IntegerModel

ALIGNMENT = 64
SLACK = 256
"""Readable bytes behind the last tensor and the last weight: kernels may read so far past an end,
never write."""


def aligned(size: int) -> int:
    """``size`` rounded up to the alignment of every buffer."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Place:
    """Byte address inside a buffer, for ``emit`` alone: no arithmetic but ``place + bytes``."""

    buffer: int
    offset: int = 0

    def __add__(self, offset: int) -> "Place":
        return Place(self.buffer, self.offset + offset)


@dataclass(frozen=True, slots=True)
class Border:
    """Pixels around an image, each of whose elements is ``value`` before anybody reads."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """Where the pixels of a (B, H, W, C) tensor lie, border or not.

    Pixel (b, h, w) starts at ``place + b * sample_bytes + h * row_bytes + w * C * itemsize``, and
    inside ``border`` also for h and w below 0 or beyond H and W. Without a border ``row_bytes =
    W * C * itemsize`` and ``sample_bytes = H * row_bytes``. ``place`` need not be aligned.
    """

    place: Place
    sample_bytes: int
    row_bytes: int
    border: Border = Border()


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a kernel; a Place becomes ``offset of its buffer * batch + its own offset``."""

    kernel: Kernel
    args: tuple[int | Place, ...]


class Planner:
    """Collects the steps of one model, in order; see the module."""

    def __init__(self, model: IntegerModel, borders: Mapping[int, Border] | None = None) -> None:
        self.model = model
        self.borders = borders or {}
        self.steps: list[Step] = []
        self.sizes: list[int] = []
        """Bytes per sample of every buffer."""
        self._tensors: dict[int, Place] = {}
        self._images: dict[int, Image] = {}
        self._weights: list[bytes] = []
        self._weight_bytes = 0
        self._placed: dict[bytes, int] = {}

    def tensor(self, value: int) -> Place:
        """Where a computed value lies: (B, *shape), contiguous. Not for an image with a border."""
        if value in self.borders:
            raise ValueError(f"value {value} has a border: ask for its image")
        if value not in self._tensors:
            if is_constant(self.model, value):
                raise ValueError(f"value {value} is a constant: ask for its array")
            self._tensors[value] = self.scratch(self.model.type_of(value).nbytes)
        return self._tensors[value]

    def operand(self, value: int) -> tuple[bool, Place | int]:
        """(False, place in memory) of a tensor; (True, offset in weights) of a constant as stored.

        A constant has no batch axis and is what the file says, row-major.
        """
        if is_constant(self.model, value):
            return True, self.place(self.constant(value))
        return False, self.tensor(value)

    def constant(self, value: int) -> Array:
        """Read-only array of a constant."""
        return constant_array(self.model, value)

    def place(self, array: Array) -> int:
        """Offset in ``weights`` of the array's bytes, row-major; equal bytes are kept once."""
        data = np.ascontiguousarray(array).tobytes()
        key = hashlib.blake2b(data, digest_size=32).digest()
        if key not in self._placed:
            self._placed[key] = self._weight_bytes
            self._weights.append(data)
            self._weight_bytes += aligned(len(data))
        return self._placed[key]

    def scratch(self, bytes_per_sample: int) -> Place:
        """A new buffer, times batch; memory of this instruction when no later step names it."""
        self.sizes.append(aligned(max(bytes_per_sample, 1)))
        return Place(len(self.sizes) - 1)

    def alias(self, output: int, x: int) -> None:
        """Let a value lie where another lies; both contiguous and of one size (Reshape)."""
        self._tensors[output] = self.tensor(x)

    def image(self, value: int) -> Image:
        """Where the pixels of a tensor (H, W, C) lie."""
        kind = self.model.type_of(value)
        if value not in self.borders:
            height = kind.shape[0] if kind.shape else 1
            return Image(self.tensor(value), kind.nbytes, kind.nbytes // height)
        if value not in self._images:
            border, pixel = self.borders[value], kind.shape[2] * kind.dtype.size
            row = (border.left + kind.shape[1] + border.right) * pixel
            sample = (border.top + kind.shape[0] + border.bottom) * row
            inner = border.top * row + border.left * pixel
            self._images[value] = Image(self.scratch(sample) + inner, sample, row, border)
        return self._images[value]

    def emit(self, kernel: Kernel, *args: int | Place) -> None:
        """Append a step. Integers are passed as they are, places become byte offsets."""
        self.steps.append(Step(kernel, tuple(_word(item) for item in args)))

    def dtype(self, value: int) -> "np.dtype[Any]":
        """Element type of a value as numpy names it."""
        return NUMPY_TYPES[self.model.type_of(value).dtype]

    def weights(self) -> U8:
        """All prepared constants, aligned, with slack behind; kernels only read them. Once."""
        memory = empty_aligned(self._weight_bytes + SLACK)
        offset = 0
        self._weights.reverse()
        while self._weights:
            data = self._weights.pop()
            memory[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
            memory[offset + len(data) : offset + aligned(len(data))] = 0
            offset += aligned(len(data))
        memory[offset:] = 0
        return memory


def empty_aligned(size: int) -> U8:
    """Uninitialised bytes whose first lies on the alignment."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


def _word(item: int | Place) -> int | Place:
    return item if isinstance(item, Place) else int(item)


def places_of(steps: Sequence[Step]) -> list[list[int]]:
    """Buffers that each step names."""
    return [[item.buffer for item in step.args if isinstance(item, Place)] for step in steps]
