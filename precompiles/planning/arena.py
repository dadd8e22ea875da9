"""Memory of runs, kept between them: each thread that runs a program has an arena of its own."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from precompiles.errors import PrecompileFault
from precompiles.kernels.arrays import S64, U8, Array
from precompiles.kernels.walk import WALK, is_native, walk_python
from precompiles.planning.planner import SLACK, empty_aligned
from precompiles.planning.program import Program, Window

KEPT: Final = 8
KEPT_BYTES: Final = 64 << 20
"""Idle arenas of one program: so many, and so many bytes together."""


class Arena:
    """Memory of one run for exactly ``batch`` samples, with the step table of that batch."""

    __slots__ = ("_sources", "_targets", "batch", "inputs", "memory", "outputs", "table")

    def __init__(self, program: Program, addresses: S64 | None, batch: int, memory: U8) -> None:
        self.batch = batch
        self.memory = memory
        self.table = program.fixed + program.scaled * batch
        if addresses is not None:
            self.table[program.positions + 1] = addresses
        self.inputs = [_rows(memory, window, batch) for window in program.inputs]
        """uint8 (B, rows, bytes) of each port; pitches as the program lays them."""
        self.outputs = [_rows(memory, window, batch) for window in program.outputs]
        self._targets = _pieces(memory, program.inputs, batch)
        self._sources = _pieces(memory, program.outputs, batch)

    def fill(self, data: bytes | memoryview) -> None:
        """Copy the raw border form of the inputs in; of the right length."""
        targets, offset = self._targets, 0
        if targets is None:
            rows = np.frombuffer(data, np.uint8).reshape(self.batch, -1)
            for window in self.inputs:
                size = window.shape[1] * window.shape[2]
                window[...] = rows[:, offset : offset + size].reshape(window.shape)
                offset += size
        elif len(targets) == 1:
            targets[0][:] = data
        else:
            for target in targets:
                target[:] = data[offset : offset + len(target)]
                offset += len(target)

    def read(self) -> bytes:
        """Raw border form of the outputs."""
        if self._sources is not None:
            return b"".join(self._sources)
        columns = [window.reshape(self.batch, -1) for window in self.outputs]
        return np.concatenate(columns, axis=1).tobytes()


class Arenas:
    """Lends arenas of one program to threads and runs it in them; safe for several threads."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._idle: deque[Arena] = deque()
        self._addresses: S64 | None = None
        self._walk: Callable[[U8, U8, S64, int], int] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held: weights, tables and idle arenas."""
        program = self.program
        held = program.weights.nbytes + 4 * program.fixed.nbytes
        return held + sum(arena.memory.nbytes for arena in tuple(self._idle))

    def take(self, batch: int) -> Arena:
        """An arena for ``batch`` samples that nobody else has."""
        try:
            arena = self._idle.pop()
        except IndexError:
            return self._make(batch, None)
        return arena if arena.batch == batch else self._make(batch, arena.memory)

    def give(self, arena: Arena) -> None:
        """Take an arena back; those given back first are dropped when there are too many."""
        idle = self._idle
        idle.append(arena)
        if len(idle) > 1 and (len(idle) > KEPT or len(idle) * arena.memory.nbytes > KEPT_BYTES):
            idle.popleft()

    def run(self, arena: Arena) -> None:
        """Walk the program over the arena's inputs.

        Raises:
            PrecompileFault: a kernel failed, which no legal model can bring about.
        """
        program = self.program
        if self._walk is None:
            walk_python(program.kernels, arena.memory, program.weights, arena.table, arena.batch)
            return
        failed = self._walk(arena.memory, program.weights, arena.table, arena.batch)
        if failed >= 0:
            raise PrecompileFault(f"step {failed}, {program.kernels[failed].name}, failed")

    def _make(self, batch: int, memory: U8 | None) -> Arena:
        program = self.program
        if self._walk is None and is_native():
            self._addresses = np.array([item.address() for item in program.kernels], np.int64)
            self._walk = WALK.compiled()
        size = program.bytes_per_sample * batch + SLACK
        if memory is None or memory.nbytes < size:
            memory = empty_aligned(size)
        return Arena(program, self._addresses, batch, memory)


def _rows(memory: U8, window: Window, batch: int) -> Array:
    start = window.scaled * batch + window.fixed
    shape = batch, window.rows, window.row
    strides = window.sample_bytes, window.row_bytes, 1
    return np.lib.stride_tricks.as_strided(memory[start:], shape, strides)


def _pieces(memory: U8, windows: Sequence[Window], batch: int) -> list[memoryview] | None:
    """One piece of memory for each port, when their order is that of the raw border form."""
    if not all(item.is_flat and (batch == 1 or len(windows) == 1) for item in windows):
        return None
    starts = [item.scaled * batch + item.fixed for item in windows]
    return [
        memory[start : start + batch * item.sample_bytes].data
        for start, item in zip(starts, windows, strict=True)
    ]
