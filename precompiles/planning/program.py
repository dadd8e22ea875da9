"""Plan a whole model: steps, offsets, weights; then the table of a batch."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from precompiles.kernels.arrays import S64, U8
from precompiles.kernels.jit import Kernel
from precompiles.kernels.walk import HEADER
from precompiles.model.types import IntegerModel, Port
from precompiles.planning import (  # noqa: F401 - each registers the plans of its operators
    dense,
    elementwise,
    images,
    moves,
    rows,
    trees,
)
from precompiles.planning.borders import choose_borders, fill
from precompiles.planning.memory import lifetimes, place
from precompiles.planning.planner import Image, Place, Planner, places_of
from precompiles.planning.registry import plan


@dataclass(frozen=True, slots=True)
class Window:
    """Where the bytes of a port lie: ``rows`` rows of ``row`` bytes per sample.

    Row (b, r) starts at byte ``scaled * batch + fixed + b * sample_bytes + r * row_bytes``.
    """

    scaled: int
    fixed: int
    rows: int
    row: int
    row_bytes: int
    sample_bytes: int

    @property
    def is_flat(self) -> bool:
        """True when the samples lie one behind the other without a border."""
        return self.sample_bytes == self.rows * self.row


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What a walk needs, for any batch: word i of the table is ``fixed[i] + scaled[i] * batch``."""

    kernels: tuple[Kernel, ...]
    positions: S64
    """Index of each step's first word."""
    fixed: S64
    scaled: S64
    weights: U8
    bytes_per_sample: int
    """Bytes of an arena for one sample, slack excluded."""
    inputs: tuple[Window, ...]
    outputs: tuple[Window, ...]


def plan_program(model: IntegerModel) -> Program:
    """Plan a legal model."""
    planner = Planner(model, choose_borders(model))
    for port in model.inputs:
        fill(planner, port.value)
    for instruction in model.instructions:
        fill(planner, instruction.output)
        plan(instruction, planner)
    inputs = [planner.image(port.value) for port in model.inputs]
    outputs = [planner.image(port.value) for port in model.outputs]
    steps = planner.steps
    lives = lifetimes(len(planner.sizes), places_of(steps), _buffers(inputs), _buffers(outputs))
    offsets, total = place(planner.sizes, lives)
    positions: list[int] = []
    fixed: list[int] = []
    scaled: list[int] = []
    for step in steps:
        positions.append(len(fixed))
        fixed += [HEADER + len(step.args), 0]
        scaled += [0, 0]
        for item in step.args:
            if isinstance(item, Place):
                fixed.append(item.offset)
                scaled.append(offsets[item.buffer])
            else:
                fixed.append(item)
                scaled.append(0)
    return Program(
        tuple(step.kernel for step in steps),
        np.array(positions, np.int64),
        np.array(fixed, np.int64),
        np.array(scaled, np.int64),
        planner.weights(),
        total,
        tuple(_window(model, port, planner, offsets) for port in model.inputs),
        tuple(_window(model, port, planner, offsets) for port in model.outputs),
    )


def _window(model: IntegerModel, port: Port, planner: Planner, offsets: list[int]) -> Window:
    kind, image = model.type_of(port.value), planner.image(port.value)
    count = kind.shape[0] if kind.shape else 1
    scaled, row = offsets[image.place.buffer], kind.nbytes // count
    return Window(scaled, image.place.offset, count, row, image.row_bytes, image.sample_bytes)


def _buffers(ports: Iterable[Image]) -> list[int]:
    return [item.place.buffer for item in ports]
