"""Borders and channels of images: rows of bytes, copied and filled."""

import numpy as np

from precompiles.kernels.arrays import S64, U8
from precompiles.kernels.copies import copy_run
from precompiles.kernels.jit import kernel, subroutine

RUN = 16
"""Pixels interleaved at once."""


@subroutine
def fill_bytes(window: U8, size: int, value: int) -> None:
    """Fill with a u8 or s8 (size 1) or an s16 (size 2)."""
    if size == 1:
        window[:] = np.uint8(value & 255)
    else:
        window.view(np.int16)[:] = np.int16(value)


@kernel
def pad_image(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Copy images into larger ones with a border.

    args: x, sample and row distance, rows, bytes of a row's pixels; out (contiguous), border
    rows above, border bytes left, rows below, bytes right; value, element size.
    """
    rows, width = args[3], args[4]
    above, left, below, right = args[6], args[7], args[8], args[9]
    pitch = left + width + right
    sample_bytes = pitch * (above + rows + below)
    for sample in range(batch):
        out = memory[args[5] + sample * sample_bytes : args[5] + (sample + 1) * sample_bytes]
        fill_bytes(out[: above * pitch + left], args[11], args[10])
        for row in range(rows):
            source = args[0] + sample * args[1] + row * args[2]
            line = out[(above + row) * pitch + left : (above + row + 1) * pitch + left]
            copy_run(line, 0, memory, source, width)
            if row + 1 < rows:
                fill_bytes(line[width:], args[11], args[10])
        fill_bytes(out[(above + rows) * pitch - right :], args[11], args[10])


@kernel
def repeat_channels(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Repeat each element of images, row by row, into contiguous ones.

    args: x, sample and row distance, rows, elements of a row; out, times, element size.
    """
    rows, count, times, size = args[3], args[4], args[6], args[7]
    for sample in range(batch):
        for row in range(rows):
            source = args[0] + sample * args[1] + row * args[2]
            start = args[5] + (sample * rows + row) * count * times * size
            x = memory[source : source + count * size]
            out = memory[start : start + count * times * size]
            if size == 1:
                for i in range(count):
                    out[i * times : (i + 1) * times] = x[i]
            else:
                words, repeated = x.view(np.int16), out.view(np.int16)
                for i in range(count):
                    repeated[i * times : (i + 1) * times] = words[i]


def interleave_run(planes: int, out: U8, target: int, x: U8, source: int, step: int) -> None:
    """Interleave RUN bytes of each of ``planes`` (2 to 4, a literal) planes, ``step`` bytes apart.

    From byte ``source`` of x to byte ``target`` of out, RUN * planes bytes.
    """
    for plane in range(planes):
        first = source + plane * step
        out[target + plane : target + RUN * planes : planes] = x[first : first + RUN]


@kernel
def interleave_planes(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Turn planes (C, H, W) of bytes, C from 2 to 4, into pixels (H, W, C); W is at least RUN.

    args: x (contiguous), out, its sample and row distance; rows, columns, planes.
    """
    rows, columns, planes = args[4], args[5], args[6]
    for sample in range(batch):
        for row in range(rows):
            start = args[0] + (sample * planes * rows + row) * columns
            end = args[1] + sample * args[2] + row * args[3]
            for first in range(0, columns, RUN):
                column = min(first, columns - RUN)
                source, target, step = start + column, end + column * planes, rows * columns
                if planes == 2:
                    interleave_run(2, memory, target, memory, source, step)
                elif planes == 3:
                    interleave_run(3, memory, target, memory, source, step)
                else:
                    interleave_run(4, memory, target, memory, source, step)
