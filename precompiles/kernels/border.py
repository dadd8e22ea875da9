"""Fill the border around an image in place, so that a convolution reads it as it lies."""

import numpy as np

from precompiles.kernels.arrays import S64, U8, Array
from precompiles.kernels.jit import kernel, subroutine


@subroutine
def fill_window(image: Array, value: int) -> None:
    """Set every element."""
    for i in range(image.size):
        image[i] = value


@kernel
def fill_border(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Write ``value`` around each image.

    args: first byte of the bordered buffer, rows above, rows inside, rows below, bytes left, bytes
    inside, bytes right, value, bytes per element (1 or 2).
    """
    above, inside, below = args[1], args[2], args[3]
    left, row, right = args[4], args[5], args[6]
    value, size = args[7], args[8]
    pitch = left + row + right
    sample = (above + inside + below) * pitch
    for number in range(batch):
        start = args[0] + number * sample
        _fill(memory, start, above * pitch + left, value, size)
        for line in range(inside - 1):
            _fill(memory, start + (above + line) * pitch + left + row, right + left, value, size)
        last = start + (above + inside - 1) * pitch + left + row
        _fill(memory, last, right + below * pitch, value, size)


@subroutine
def _fill(memory: U8, start: int, length: int, value: int, size: int) -> None:
    window = memory[start : start + length]
    if size == 1:
        fill_window(window, value & 255)
    else:
        fill_window(window.view(np.int16), value)
