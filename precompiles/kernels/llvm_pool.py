"""The machine form of ``pool.pool_image``: one window's channels in registers, tap after tap."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import image_args as at
from precompiles.kernels import pool
from precompiles.kernels.llvm_lanes import (
    I8,
    I16,
    I32,
    I64,
    bytes_of,
    counted,
    fitted,
    load,
    scale_wide,
    shuffle,
    splat,
    store,
    store_first,
    vector,
)


@dataclass
class Block:
    """One block of channels while its code is written; the run-time values are int64."""

    b: Any
    is_average: int
    kind: int
    store: int
    memory: Any
    weights: Any
    args: Any
    lanes: int = 0
    valid: Any = None
    given: list[Any] = field(default_factory=list)

    def write(self, batch: Any) -> None:
        """All samples, all blocks, each by the code of its number of lanes."""
        b = self.b
        places = (b.gep(self.args, [I64(8 * i)]) for i in range(pool.X_ZERO_POINT + 1))
        self.given = given = [load(b, place, I64) for place in places]
        table = b.gep(self.weights, [given[pool.BLOCK_TABLE]])
        blocks = given[pool.BLOCK_COUNT]
        with counted(b, batch, []) as sample, counted(b, blocks, []) as block:
            row = b.gep(table, [b.mul(block.index, I64(32))])
            lanes, x_first, out_first, self.valid = (
                load(b, b.gep(row, [I64(8 * i)]), I64) for i in range(4)
            )
            x_first = b.add(x_first, b.mul(sample.index, given[at.X_SAMPLE]))
            out_first = b.add(out_first, b.mul(sample.index, given[at.OUT_SAMPLE]))
            x, out = (b.gep(self.memory, [given[place]]) for place in (at.X, at.OUT))
            for self.lanes in pool.BLOCKS:
                with b.if_then(b.icmp_signed("==", lanes, I64(self.lanes))):
                    self.write_block(b.gep(x, [x_first]), b.gep(out, [out_first]))

    def write_block(self, x: Any, out: Any) -> None:
        """All windows."""
        b, given = self.b, self.given
        with counted(b, given[at.ROWS], []) as row:
            first_row, last_row = self.inside(row.index, pool.STRIDE_H, pool.HEIGHT)
            target = b.gep(out, [b.mul(row.index, given[at.OUT_ROW])])
            with counted(b, given[at.COLUMNS], []) as column:
                first, last = self.inside(column.index, pool.STRIDE_W, pool.WIDTH)
                count = b.sub(last_row, first_row), b.sub(last, first)
                corner = b.add(b.mul(first_row, given[at.X_ROW]), b.mul(first, given[at.X_STEP]))
                values = self.window(b.gep(x, [corner]), *count)
                if self.is_average:
                    window = b.add(b.mul(row.index, given[at.COLUMNS]), column.index)
                    values = [self.rescaled(values, window, b.mul(*count))]
                place = b.gep(target, [b.mul(column.index, given[at.OUT_STEP])])
                self.keep(values[0], place)

    def inside(self, index: Any, stride: int, size: int) -> tuple[Any, Any]:
        """First and last + 1 position of a window inside the image; pad, kernel follow stride."""
        b, given = self.b, self.given
        start = b.sub(b.mul(index, given[stride]), given[stride + 1])
        end = b.add(start, given[stride + 2])
        start = b.select(b.icmp_signed(">", start, I64(0)), start, I64(0))
        return start, b.select(b.icmp_signed("<", end, given[size]), end, given[size])

    def window(self, x: Any, rows: Any, columns: Any) -> list[Any]:
        """Maximum, or sums, over the taps of one window."""
        b, given = self.b, self.given
        down, across = (rows, given[at.X_ROW]), (columns, given[at.X_STEP])
        elements = self.lanes // self.kind
        size = min(elements, 16)
        if not self.is_average:
            return self.swept(x, down, across, [self.read(x)])
        zeros = [ir.Constant(vector(I32, size), None)] * (elements // size)
        if self.is_average == pool.SUM:
            return self.swept(x, down, across, zeros)
        is_tall = b.icmp_signed(">", rows, columns)
        outer, inner = (
            [b.select(is_tall, *items) for items in zip(*pair, strict=True)]
            for pair in ((across, down), (down, across))
        )
        chunks = b.sdiv(b.add(inner[0], I64(pool.CHUNK - 1)), I64(pool.CHUNK))
        wide = [ir.Constant(vector(I64, size), None)] * len(zeros)
        with counted(b, outer[0], wide) as line:
            start = b.gep(x, [b.mul(line.index, outer[1])])
            with counted(b, chunks, line.carried) as chunk:
                first = b.mul(chunk.index, I64(pool.CHUNK))
                rest = b.sub(inner[0], first)
                count = b.select(b.icmp_signed("<", rest, I64(pool.CHUNK)), rest, I64(pool.CHUNK))
                place = b.gep(start, [b.mul(first, inner[1])])
                sums = self.swept(place, (I64(1), I64(0)), (count, inner[1]), zeros)
                pairs = zip(chunk.carried, sums, strict=True)
                chunk.passed = [b.add(total, b.sext(part, total.type)) for total, part in pairs]
            line.passed = chunk.passed
        return line.passed

    def swept(
        self, x: Any, down: tuple[Any, Any], across: tuple[Any, Any], start: list[Any]
    ) -> list[Any]:
        """``start`` joined by taps, given the count and the byte distance of both directions."""
        b = self.b
        with counted(b, down[0], start) as row:
            source = b.gep(x, [b.mul(row.index, down[1])])
            with counted(b, across[0], row.carried) as column:
                values = self.read(b.gep(source, [b.mul(column.index, across[1])]))
                if self.is_average:
                    column.passed = self.summed(column.carried, values)
                else:
                    column.passed = [self.larger(column.carried[0], values)]
            row.passed = column.passed
        return row.passed

    def read(self, place: Any) -> Any:
        """Channels of one tap; bytes as u8."""
        b = self.b
        if self.kind == 2:
            return load(b, place, vector(I16, self.lanes // 2))
        values = load(b, place, vector(I8, self.lanes))
        return b.xor(values, splat(b, b.trunc(self.given[pool.X_FLIP], I8), self.lanes))

    def larger(self, x: Any, y: Any) -> Any:
        """Element by element."""
        b = self.b
        compare = b.icmp_unsigned if self.kind == 1 else b.icmp_signed
        return b.select(compare(">", x, y), x, y)

    def summed(self, sums: list[Any], values: Any) -> list[Any]:
        """One more tap in 32-bit sums."""
        b, size = self.b, sums[0].type.count
        out = []
        for index, total in enumerate(sums):
            part = shuffle(b, values, None, list(range(index * size, (index + 1) * size)))
            widen = b.zext if self.kind == 1 else b.sext
            out.append(b.add(total, widen(part, total.type)))
        return out

    def rescaled(self, sums: list[Any], window: Any, area: Any) -> Any:
        """RQ by the window's own multiplier, in the output's elements."""
        b, given = self.b, self.given
        place = b.gep(self.weights, [b.add(given[pool.MULTIPLIER], b.mul(window, I64(4)))])
        element, size = sums[0].type.element, sums[0].type.count
        multiplier = splat(b, load(b, place, I32), size)
        less = splat(b, fitted(b, b.mul(area, given[pool.X_ZERO_POINT]), element), size)
        rounding = (given[item] for item in (at.ROUNDING, at.SHIFT, at.ZERO_POINT))
        numbers = [*rounding, [given[at.LO], given[at.HI]]]
        kind = vector(I8 if self.store == 1 else I16, size)
        parts = []
        for total in sums:
            scaled = scale_wide(b, b.sub(total, less), multiplier, *numbers)
            parts.append(b.trunc(scaled, kind))
        while len(parts) > 1:
            both = list(range(2 * parts[0].type.count))
            parts = [shuffle(b, x, y, both) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def keep(self, values: Any, place: Any) -> None:
        """Store one pixel's channels; a block that is not whole touches nothing else."""
        b = self.b
        if self.store == 1:
            flip = b.trunc(self.given[at.FLIP], I8)
            values = b.xor(values, splat(b, flip, values.type.count))
        if self.lanes > pool.BLOCKS[-1]:
            store(b, values, place)
            return
        is_whole = b.icmp_signed("==", self.valid, I64(self.lanes // self.kind))
        with b.if_else(is_whole) as (whole, some):
            with whole:
                store(b, values, place)
            with some:
                store_first(b, values, place, self.valid)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def emit_pool(
    typing: Any,
    is_average: Any,
    kind: Any,
    store: Any,
    memory: Any,
    weights: Any,
    args: Any,
    batch: Any,
) -> tuple[Any, Callable[..., Any]]:
    """``pool_image`` for literal is_average, kind and store."""
    literals = (is_average, kind, store)
    sizes = [item.literal_value for item in literals]
    arrays = (memory, weights, args)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pairs = zip(arrays, values[3:6], strict=True)
        addresses = [bytes_of(context, builder, *pair) for pair in pairs]
        Block(builder, *sizes, *addresses).write(values[6])
        return context.get_dummy_value()

    return types.void(*literals, *arrays, types.int64), emit


@overload(pool.pool_image, prefer_literal=True)  # type: ignore[untyped-decorator]
def _pool_image(
    is_average: Any, kind: Any, store: Any, memory: Any, weights: Any, args: Any, batch: Any
) -> Any:
    def call(
        is_average: Any, kind: Any, store: Any, memory: Any, weights: Any, args: Any, batch: Any
    ) -> Any:
        return emit_pool(is_average, kind, store, memory, weights, args, batch)

    return call
