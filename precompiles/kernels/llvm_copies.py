"""The machine forms of ``copies.move`` and ``copies.move_tile``: whole vectors, no bounds."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import copies
from precompiles.kernels.llvm_lanes import I8, bytes_of, load, shuffle, store, vector


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def emit_move(
    typing: Any, out: Any, o: Any, x: Any, i: Any, count: Any
) -> tuple[Any, Callable[..., Any]]:
    """``move`` for a literal count."""
    size = count.literal_value
    kind = ir.IntType(8 * size) if size <= 8 else vector(I8, size)

    def emit(context: Any, b: Any, signature: Any, values: Any) -> Any:
        target = b.gep(bytes_of(context, b, out, values[0]), [values[1]])
        source = b.gep(bytes_of(context, b, x, values[2]), [values[3]])
        store(b, load(b, source, kind), target)
        return context.get_dummy_value()

    return types.void(out, types.int64, x, types.int64, count), emit


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def emit_tile(
    typing: Any, out: Any, o: Any, o_step: Any, x: Any, i: Any, x_step: Any, size: Any
) -> tuple[Any, Callable[..., Any]]:
    """``move_tile`` for a literal size: stage by stage, both halves of the rows are woven."""
    width = size.literal_value
    count = copies.TILE_BYTES // width
    kind = vector(ir.IntType(8 * width), count)
    woven = [
        place for pair in zip(range(count), range(count, 2 * count), strict=True) for place in pair
    ]
    long = types.int64

    def emit(context: Any, b: Any, signature: Any, values: Any) -> Any:
        target = b.gep(bytes_of(context, b, out, values[0]), [values[1]])
        source = b.gep(bytes_of(context, b, x, values[3]), [values[4]])
        rows = [load(b, _row(b, source, values[5], row), kind) for row in range(count)]
        for _ in range(count.bit_length() - 1):
            pairs = zip(rows[: count // 2], rows[count // 2 :], strict=True)
            halves = (woven[:count], woven[count:])
            rows = [shuffle(b, low, high, half) for low, high in pairs for half in halves]
        for row, value in enumerate(rows):
            store(b, value, _row(b, target, values[2], row))
        return context.get_dummy_value()

    return types.void(out, long, long, x, long, long, size), emit


def _row(b: Any, first: Any, step: Any, row: int) -> Any:
    return b.gep(first, [b.mul(step, step.type(row))])


@overload(copies.move, prefer_literal=True)  # type: ignore[untyped-decorator]
def _move(out: Any, o: Any, x: Any, i: Any, count: Any) -> Any:
    def call(out: Any, o: Any, x: Any, i: Any, count: Any) -> Any:
        return emit_move(out, o, x, i, count)

    return call


@overload(copies.move_tile, prefer_literal=True)  # type: ignore[untyped-decorator]
def _move_tile(out: Any, o: Any, o_step: Any, x: Any, i: Any, x_step: Any, size: Any) -> Any:
    def call(out: Any, o: Any, o_step: Any, x: Any, i: Any, x_step: Any, size: Any) -> Any:
        return emit_tile(out, o, o_step, x, i, x_step, size)

    return call
