"""Bytes moved between places that never overlap: runs, strided grids, transposed tiles."""

from functools import cache
from typing import Final

import numpy as np

from precompiles.kernels.arrays import S64, U8, Array
from precompiles.kernels.broadcast import (
    COLUMNS,
    OPERAND,
    ROWS,
    distance,
    extent,
    operand,
    outer_size,
    start,
)
from precompiles.kernels.jit import Kernel, kernel, subroutine
from precompiles.kernels.typed import Element, named

TILE_BYTES: Final = 16
"""A tile is square, and each of its rows has this many bytes."""


def move(out: U8, o: int, x: U8, i: int, count: int) -> None:
    """Copy ``count`` bytes, a literal, from byte ``i`` of x to byte ``o`` of out."""
    out[o : o + count] = x[i : i + count]


def move_tile(out: U8, o: int, o_step: int, x: U8, i: int, x_step: int, size: int) -> None:
    """Transpose a square of elements of ``size`` bytes, a literal; steps are bytes from row to row.

    The squares start at byte ``i`` of x and byte ``o`` of out; rows are TILE_BYTES long.
    """
    count = TILE_BYTES // size
    for row in range(count):
        for column in range(count):
            source, target = i + column * x_step + row * size, o + row * o_step + column * size
            out[target : target + size] = x[source : source + size]


@subroutine
def copy_run(out: U8, o: int, x: U8, i: int, count: int) -> None:
    """Copy ``count`` bytes: words of the largest fitting size, the last one over the one before."""
    if count >= 64:
        for first in range(0, count - 63, 64):
            move(out, o + first, x, i + first, 64)
        move(out, o + count - 64, x, i + count - 64, 64)
    elif count >= 32:
        move(out, o, x, i, 32)
        move(out, o + count - 32, x, i + count - 32, 32)
    elif count >= 16:
        move(out, o, x, i, 16)
        move(out, o + count - 16, x, i + count - 16, 16)
    elif count >= 8:
        move(out, o, x, i, 8)
        move(out, o + count - 8, x, i + count - 8, 8)
    elif count >= 4:
        move(out, o, x, i, 4)
        move(out, o + count - 4, x, i + count - 4, 4)
    elif count >= 2:
        move(out, o, x, i, 2)
        move(out, o + count - 2, x, i + count - 2, 2)
    elif count == 1:
        move(out, o, x, i, 1)


@kernel
def copy_rows(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Copy rows whose bytes lie side by side in both; operands and layout as in ``broadcast``."""
    out, x = operand(memory, weights, args, 0, batch), operand(memory, weights, args, 1, batch)
    layout = args[2 * OPERAND :]
    columns, rows = extent(layout, COLUMNS, batch), extent(layout, ROWS, batch)
    out_step, x_step = distance(layout, 0, ROWS), distance(layout, 1, ROWS)
    for block in range(outer_size(layout, batch)):
        o, i = start(layout, 0, block, batch), start(layout, 1, block, batch)
        for row in range(rows):
            copy_run(out, o + row * out_step, x, i + row * x_step, columns)


@cache
def copy_grid(element: Element) -> Kernel:
    """Kernel that copies elements, any distance apart, column after column of each row."""

    def copy(memory: U8, weights: U8, args: S64, batch: int) -> None:
        out = operand(memory, weights, args, 0, batch).view(element)
        x = operand(memory, weights, args, 1, batch).view(element)
        layout = args[2 * OPERAND :]
        columns, rows = extent(layout, COLUMNS, batch), extent(layout, ROWS, batch)
        out_step, x_step = distance(layout, 0, ROWS), distance(layout, 1, ROWS)
        out_near, x_near = distance(layout, 0, COLUMNS), distance(layout, 1, COLUMNS)
        for block in range(outer_size(layout, batch)):
            o, i = start(layout, 0, block, batch), start(layout, 1, block, batch)
            for row in range(rows):
                target, source = out[o + row * out_step :], x[i + row * x_step :]
                for column in range(columns):
                    target[column * out_near] = source[column * x_near]

    return kernel(named(copy, "copy_grid", element))


@cache
def transpose_tiles(size: int) -> Kernel:
    """Kernel that copies columns, side by side in the output, from rows side by side in x.

    Layout in bytes; elements of ``size`` bytes, at least a tile of rows and of columns. Tiles at
    the ends lie over others, and write the same bytes again.
    """
    tile = TILE_BYTES // size

    def copy(memory: U8, weights: U8, args: S64, batch: int) -> None:
        out, x = operand(memory, weights, args, 0, batch), operand(memory, weights, args, 1, batch)
        layout = args[2 * OPERAND :]
        columns, rows = extent(layout, COLUMNS, batch), extent(layout, ROWS, batch)
        out_step, x_step = distance(layout, 0, ROWS), distance(layout, 1, COLUMNS)
        for block in range(outer_size(layout, batch)):
            o, i = start(layout, 0, block, batch), start(layout, 1, block, batch)
            for first_row in range(0, rows, tile):
                row = min(first_row, rows - tile)
                for first_column in range(0, columns, tile):
                    column = min(first_column, columns - tile)
                    target = o + row * out_step + column * size
                    source = i + column * x_step + row * size
                    move_tile(out, target, out_step, x, source, x_step, size)

    return kernel(named(copy, f"transpose_{size}"))


@subroutine
def repeat_row(x: Array, out: Array, words: S64) -> None:
    """The one element of x, everywhere."""
    value = x[0]
    for i in range(out.size):
        out[i] = value


@cache
def fill(element: Element) -> Kernel:
    """Kernel that writes one value; args: out, elements per sample, value."""
    size = np.dtype(element).itemsize

    def write(memory: U8, weights: U8, args: S64, batch: int) -> None:
        out = memory[args[0] : args[0] + args[1] * batch * size].view(element)
        value = element(args[2])
        for i in range(out.size):
            out[i] = value

    return kernel(named(write, "fill", element))


@kernel
def gather_rows(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Equal gather_reference; args: x (s32), indices per sample, table in weights, row bytes, out.

    Every index lies inside the table (proven).
    """
    count, size = args[1] * batch, args[3]
    x = memory[args[0] : args[0] + count * 4].view(np.int32)
    out = memory[args[4] : args[4] + count * size]
    for i in range(count):
        copy_run(out, i * size, weights, args[2] + np.int64(x[i]) * size, size)
