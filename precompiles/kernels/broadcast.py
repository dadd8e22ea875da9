"""Elementwise kernels over operands that broadcast: one walk, and a function of one row.

A layout is seven axes: up to five outer ones, rows, columns. The batch is (part of) one axis.
Operands step along each axis by a distance of elements, 0 where they repeat. Columns lie side by
side in the output and in every operand that does not repeat along them; a row function gets such
an operand as a window of one element.

Words of ``args``: for the output and each operand in turn offset, bytes from sample to sample,
bytes of one sample's window, 1 when it lies in ``weights``; then ``ATTRIBUTES`` words of the
operator; then the layout: number of the axis that the batch multiplies, seven sizes, seven
distances of the output, of the first operand, and so on.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

from precompiles.kernels.arrays import S64, U8, Array
from precompiles.kernels.jit import Kernel, kernel, subroutine
from precompiles.kernels.typed import Element, named

AXES: Final = 7
ROWS: Final = AXES - 2
COLUMNS: Final = AXES - 1
OPERAND: Final = 4
"""Words of one operand."""
ATTRIBUTES: Final = 9
"""Words of the operator's own numbers, unused ones included."""

RowOfOne = Callable[[Array, Array, S64], None]
RowOfTwo = Callable[[Array, Array, Array, S64], None]
RowOfThree = Callable[[Array, Array, Array, Array, S64], None]


@subroutine
def operand(memory: U8, weights: U8, args: S64, number: int, batch: int) -> U8:
    """Bytes of operand ``number``, all samples; 0 is the output."""
    words = args[number * OPERAND : (number + 1) * OPERAND]
    source = weights if words[3] != 0 else memory
    return source[words[0] : words[0] + (batch - 1) * words[1] + words[2]]


@subroutine
def extent(layout: S64, axis: int, batch: int) -> int:
    """Size of an axis in this run."""
    size = int(layout[1 + axis])
    return size * batch if layout[0] == axis else size


@subroutine
def distance(layout: S64, number: int, axis: int) -> int:
    """Elements from one position of an axis to the next, in operand ``number``."""
    return int(layout[1 + AXES * (number + 1) + axis])


@subroutine
def outer_size(layout: S64, batch: int) -> int:
    """Number of blocks of rows."""
    count = 1
    for axis in range(ROWS):
        count *= extent(layout, axis, batch)
    return count


@subroutine
def start(layout: S64, number: int, block: int, batch: int) -> int:
    """Element at which a block of rows starts in operand ``number``."""
    place = 0
    if block > 0:
        for step in range(ROWS):
            axis = ROWS - 1 - step
            size = extent(layout, axis, batch)
            if size > 1:
                place += (block % size) * distance(layout, number, axis)
                block //= size
    return place


@subroutine
def width(layout: S64, number: int, columns: int) -> int:
    """Elements of an operand that one row reads."""
    return columns if distance(layout, number, COLUMNS) > 0 else 1


def _stem(row: Callable[..., None]) -> str:
    return row.__name__.removesuffix("_row")


@cache
def unary(row: RowOfOne, x_type: Element, out_type: Element) -> Kernel:
    """Kernel that applies ``row(x, out, attributes)``."""

    def walk(memory: U8, weights: U8, args: S64, batch: int) -> None:
        out = operand(memory, weights, args, 0, batch).view(out_type)
        x = operand(memory, weights, args, 1, batch).view(x_type)
        attributes = args[2 * OPERAND : 2 * OPERAND + ATTRIBUTES]
        layout = args[2 * OPERAND + ATTRIBUTES :]
        columns = extent(layout, COLUMNS, batch)
        x_width = width(layout, 1, columns)
        rows = extent(layout, ROWS, batch)
        for block in range(outer_size(layout, batch)):
            o = start(layout, 0, block, batch)
            i = start(layout, 1, block, batch)
            for _ in range(rows):
                row(x[i : i + x_width], out[o : o + columns], attributes)
                o += distance(layout, 0, ROWS)
                i += distance(layout, 1, ROWS)

    return kernel(named(walk, _stem(row), x_type, out_type))


@cache
def binary(row: RowOfTwo, a_type: Element, b_type: Element, out_type: Element) -> Kernel:
    """Kernel that applies ``row(a, b, out, attributes)``."""

    def walk(memory: U8, weights: U8, args: S64, batch: int) -> None:
        out = operand(memory, weights, args, 0, batch).view(out_type)
        a = operand(memory, weights, args, 1, batch).view(a_type)
        b = operand(memory, weights, args, 2, batch).view(b_type)
        attributes = args[3 * OPERAND : 3 * OPERAND + ATTRIBUTES]
        layout = args[3 * OPERAND + ATTRIBUTES :]
        columns = extent(layout, COLUMNS, batch)
        a_width, b_width = width(layout, 1, columns), width(layout, 2, columns)
        rows = extent(layout, ROWS, batch)
        for block in range(outer_size(layout, batch)):
            o = start(layout, 0, block, batch)
            i = start(layout, 1, block, batch)
            j = start(layout, 2, block, batch)
            for _ in range(rows):
                row(a[i : i + a_width], b[j : j + b_width], out[o : o + columns], attributes)
                o += distance(layout, 0, ROWS)
                i += distance(layout, 1, ROWS)
                j += distance(layout, 2, ROWS)

    return kernel(named(walk, _stem(row), a_type, b_type, out_type))


@cache
def tabled(row: RowOfTwo, x_type: Element, table_type: Element, out_type: Element) -> Kernel:
    """Kernel that applies ``row(x, table, out, attributes)``; a table lies in ``weights``.

    Its offset and bytes are the first two attributes.
    """

    def walk(memory: U8, weights: U8, args: S64, batch: int) -> None:
        out = operand(memory, weights, args, 0, batch).view(out_type)
        x = operand(memory, weights, args, 1, batch).view(x_type)
        attributes = args[2 * OPERAND : 2 * OPERAND + ATTRIBUTES]
        layout = args[2 * OPERAND + ATTRIBUTES :]
        table = weights[attributes[0] : attributes[0] + attributes[1]].view(table_type)
        columns = extent(layout, COLUMNS, batch)
        rows = extent(layout, ROWS, batch)
        for block in range(outer_size(layout, batch)):
            o = start(layout, 0, block, batch)
            i = start(layout, 1, block, batch)
            for _ in range(rows):
                row(x[i : i + columns], table, out[o : o + columns], attributes)
                o += distance(layout, 0, ROWS)
                i += distance(layout, 1, ROWS)

    return kernel(named(walk, _stem(row), x_type, table_type, out_type))


@cache
def ternary(row: RowOfThree, value_type: Element) -> Kernel:
    """Kernel that applies ``row(a, b, condition, out, attributes)``; condition is u8."""

    def walk(memory: U8, weights: U8, args: S64, batch: int) -> None:
        out = operand(memory, weights, args, 0, batch).view(value_type)
        a = operand(memory, weights, args, 1, batch).view(value_type)
        b = operand(memory, weights, args, 2, batch).view(value_type)
        c = operand(memory, weights, args, 3, batch)
        attributes = args[4 * OPERAND : 4 * OPERAND + ATTRIBUTES]
        layout = args[4 * OPERAND + ATTRIBUTES :]
        columns = extent(layout, COLUMNS, batch)
        a_width, b_width = width(layout, 1, columns), width(layout, 2, columns)
        c_width = width(layout, 3, columns)
        rows = extent(layout, ROWS, batch)
        for block in range(outer_size(layout, batch)):
            o = start(layout, 0, block, batch)
            i = start(layout, 1, block, batch)
            j = start(layout, 2, block, batch)
            k = start(layout, 3, block, batch)
            for _ in range(rows):
                left, right = a[i : i + a_width], b[j : j + b_width]
                row(left, right, c[k : k + c_width], out[o : o + columns], attributes)
                o += distance(layout, 0, ROWS)
                i += distance(layout, 1, ROWS)
                j += distance(layout, 2, ROWS)
                k += distance(layout, 3, ROWS)

    return kernel(named(walk, _stem(row), value_type))
