"""Memory of a run, kept between runs: one arena per thread that runs a plan at the same time."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from precompiles.errors import PrecompileFault
from precompiles.kernels.arrays import Array
from precompiles.kernels.jit import Kernel
from precompiles.kernels.walk import WALK, is_native, walk_python
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import TensorType
from precompiles.planning.planner import SLACK, Image, empty_aligned
from precompiles.planning.program import Program

KEPT = 4
"""Idle arenas of one plan."""


class Arena:
    """Memory for a number of samples, its step table, and windows on inputs and outputs."""

    __slots__ = ("batch", "inputs", "memory", "outputs", "table")

    def __init__(self, program: Program, ports: "Ports", batch: int, native: bool) -> None:
        self.batch = batch
        self.memory = empty_aligned(program.bytes_per_sample * batch + SLACK)
        self.table = program.table(batch, Kernel.address if native else None)
        self.inputs = [
            _window(self.memory, offset, image, kind, batch)
            for (offset, image), kind in zip(program.inputs, ports[0], strict=True)
        ]
        self.outputs = [
            _window(self.memory, offset, image, kind, batch)
            for (offset, image), kind in zip(program.outputs, ports[1], strict=True)
        ]


Ports = tuple[Sequence[TensorType], Sequence[TensorType]]


class Arenas:
    """Lends arenas of one program to threads, and runs it in them."""

    def __init__(self, program: Program, ports: Ports) -> None:
        self._program = program
        self._ports = ports
        self._idle: deque[Arena] = deque(maxlen=KEPT)
        self._native: bool | None = None

    def take(self, batch: int) -> Arena:
        """An arena for exactly ``batch`` samples, that nobody else has."""
        try:
            arena = self._idle.pop()
        except IndexError:
            return self._make(batch)
        return arena if arena.batch == batch else self._make(batch)

    def give(self, arena: Arena) -> None:
        """Take an arena back; the oldest is dropped when there are many."""
        self._idle.append(arena)

    def run(self, arena: Arena) -> None:
        """Walk the program over the arena's inputs.

        Raises:
            PrecompileFault: a kernel failed, which no legal model can bring about.
        """
        program = self._program
        if not self._native:
            kernels = program.kernels
            walk_python(kernels, arena.memory, program.weights, arena.table, arena.batch)
            return
        failed = WALK(arena.memory, program.weights, arena.table, arena.batch)
        if failed >= 0:
            raise PrecompileFault(f"step {failed}, {program.kernels[failed].name}, failed")

    def _make(self, batch: int) -> Arena:
        if self._native is None:
            self._native = is_native(self._program.kernels)
        return Arena(self._program, self._ports, batch, self._native)


def _window(memory: Array, offset: int, image: Image, kind: TensorType, batch: int) -> Array:
    """(B, *shape) of a port's tensor, wherever its border lets it lie."""
    dtype = NUMPY_TYPES[kind.dtype]
    height = kind.shape[0] if kind.shape else 1
    row = kind.nbytes // height
    start = offset * batch + image.place.offset
    rows = np.lib.stride_tricks.as_strided(
        memory[start:], (batch, height, row), (image.sample_bytes, image.row_bytes, 1)
    )
    return rows.view(dtype).reshape(batch, *kind.shape) if _flat(image, kind) else rows.view(dtype)


def _flat(image: Image, kind: TensorType) -> bool:
    return image.sample_bytes == kind.nbytes
