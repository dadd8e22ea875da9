"""The machine form of ``depthwise.depthwise_image``: taps interleaved in registers.

The four taps of a group lie in four rows of the image. Unpacking them inside each 16 bytes puts
the four terms of one channel into one 32-bit lane, so a byte dot product adds four taps of 16
channels at once; the packs of the epilogue undo the order. Every form gives the same integers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import depthwise
from precompiles.kernels import image_args as at
from precompiles.kernels.llvm_lanes import (
    I8,
    I32,
    I64,
    bounded,
    bytes_of,
    counted,
    dot,
    fitted,
    interleave,
    joined,
    load,
    packed,
    scale_narrow,
    scale_wide,
    splat,
    store,
    store_first,
    vector,
)


@dataclass
class Block:
    """One block of channels while its code is written; the run-time values are int64."""

    b: Any
    features: str
    groups: int
    slide: int
    wide: int
    kind: int
    store: int
    memory: Any
    weights: Any
    args: Any

    def __post_init__(self) -> None:
        self.lanes, self.panel, self.valid = 0, I64(0), I64(0)
        count = depthwise.PANELS + 1
        self.given = [load(self.b, self.b.gep(self.args, [I64(8 * i)]), I64) for i in range(count)]

    def write(self, batch: Any) -> None:
        """All samples, all blocks, each by the code of its number of lanes."""
        b, given = self.b, self.given
        x, out = (b.gep(self.memory, [given[place]]) for place in (at.X, at.OUT))
        table = b.gep(self.weights, [given[depthwise.BLOCK_TABLE]])
        blocks = given[depthwise.BLOCK_COUNT]
        with counted(b, batch, []) as sample, counted(b, blocks, []) as block:
            row = b.gep(table, [b.mul(block.index, I64(40))])
            lanes, x_first, out_first, panel, self.valid = (
                load(b, b.gep(row, [I64(8 * i)]), I64) for i in range(5)
            )
            x_first = b.add(x_first, b.mul(sample.index, given[at.X_SAMPLE]))
            out_first = b.add(out_first, b.mul(sample.index, given[at.OUT_SAMPLE]))
            self.panel = b.add(panel, given[depthwise.PANELS])
            for self.lanes in depthwise.BLOCKS:
                with b.if_then(b.icmp_signed("==", lanes, I64(self.lanes))):
                    self.write_block(b.gep(x, [x_first]), b.gep(out, [out_first]))

    def write_block(self, x: Any, out: Any) -> None:
        """Constants into registers, then rows, then pixels."""
        b, per_group = self.b, self.per_group
        sums = vector(I32, self.lanes // 4)
        words = [load(b, self.at(index), sums) for index in range(2 * per_group)]
        self.bias, self.multiplier = words[:per_group], words[per_group:]
        self.kept = [self.group(I64(index)) for index in range(self.groups)]
        self.offsets = [self.tap(I64(index)) for index in range(self.groups * per_group)]
        self.is_whole = b.icmp_signed("==", self.valid, I64(self.lanes // self.kind))
        with counted(b, self.given[at.ROWS], []) as row:
            source = b.gep(x, [b.mul(row.index, self.given[at.X_ROW])])
            target = b.gep(out, [b.mul(row.index, self.given[at.OUT_ROW])])
            if self.slide:
                self.write_sliding(source, target)
            else:
                with counted(b, self.given[at.COLUMNS], []) as pixel:
                    place = b.gep(source, [b.mul(pixel.index, self.given[at.X_STEP])])
                    self.finish(self.summed(place), target, pixel.index)

    @property
    def per_group(self) -> int:
        """Taps in a group; also the number of sum vectors."""
        return 4 if self.kind == 1 else 2

    def at(self, vectors: int) -> Any:
        """Address of a vector of the panel."""
        return self.b.gep(self.weights, [self.b.add(self.panel, I64(vectors * self.lanes))])

    def group(self, index: Any) -> list[Any]:
        """Weights of one group of taps, a vector for each sum."""
        b, size = self.b, self.per_group * self.lanes
        start = b.gep(self.at(2 * self.per_group), [b.mul(index, I64(size))])
        places = [b.gep(start, [I64(i * self.lanes)]) for i in range(self.per_group)]
        return [load(b, place, vector(I8, self.lanes)) for place in places]

    def tap(self, index: Any) -> Any:
        """Byte offset of a tap from the window's first pixel."""
        place = self.b.add(self.given[depthwise.TAPS], self.b.mul(index, I64(8)))
        return load(self.b, self.b.gep(self.weights, [place]), I64)

    def added(self, sums: list[Any], parts: list[Any], weights: list[Any]) -> list[Any]:
        """Sums with one more group of taps."""
        pairs = zip(sums, parts, weights, strict=True)
        return [dot(self.b, self.features, self.per_group, *items) for items in pairs]

    def read(self, place: Any, offsets: list[Any]) -> list[Any]:
        """One group of taps, interleaved."""
        b, kind = self.b, vector(I8, self.lanes)
        return interleave(b, [load(b, b.gep(place, [offset]), kind) for offset in offsets])

    def summed(self, place: Any) -> list[Any]:
        """Bias plus all taps of the window at ``place``."""
        size, sums = self.per_group, self.bias
        for index in range(self.groups):
            parts = self.read(place, self.offsets[index * size : (index + 1) * size])
            sums = self.added(sums, parts, self.kept[index])
        if self.groups:
            return sums
        with counted(self.b, self.given[depthwise.GROUPS], sums) as loop:
            first = self.b.mul(loop.index, I64(size))
            offsets = [self.tap(self.b.add(first, I64(index))) for index in range(size)]
            parts = self.read(place, offsets)
            loop.passed = self.added(loop.carried, parts, self.group(loop.index))
        return loop.passed

    def write_sliding(self, source: Any, target: Any) -> None:
        """One row whose groups are the columns of the window, each unpacked once."""
        b, step = self.b, self.slide
        pitch = self.offsets[self.per_group]
        rows = self.offsets[: self.per_group]
        kept = [
            part
            for index in range(self.groups - step)
            for part in self.column(source, rows, pitch, index)
        ]
        with counted(b, self.given[at.COLUMNS], kept) as pixel:
            place = b.gep(source, [b.mul(pixel.index, self.given[at.X_STEP])])
            parts = list(pixel.carried)
            for index in range(self.groups - step, self.groups):
                parts += self.column(place, rows, pitch, index)
            sums, size = self.bias, self.per_group
            for index in range(self.groups):
                sums = self.added(sums, parts[index * size : (index + 1) * size], self.kept[index])
            pixel.passed = parts[step * size :]
            self.finish(sums, target, pixel.index)

    def column(self, place: Any, rows: list[Any], pitch: Any, index: int) -> list[Any]:
        """Column ``index`` of the window at ``place``, interleaved."""
        b = self.b
        return self.read(b.gep(place, [b.mul(pitch, I64(index))]), rows)

    def finish(self, sums: list[Any], target: Any, pixel: Any) -> None:
        """Rescale, clip and store one pixel."""
        b = self.b
        place = b.gep(target, [b.mul(pixel, self.given[at.OUT_STEP])])
        scaled = [self.scaled(*pair) for pair in zip(sums, self.multiplier, strict=True)]
        if self.store < 4:
            pairs = zip(scaled[::2], scaled[1::2], strict=True)
            scaled = [packed(b, self.features, x, y, True) for x, y in pairs]
        if self.store == 1 and self.kind == 1:
            scaled = [packed(b, self.features, scaled[0], scaled[1], False)]
        out = self.clipped(scaled[0] if len(scaled) == 1 else joined(b, scaled))
        if self.store == 1:
            out = b.trunc(out, vector(I8, out.type.count)) if self.kind == 2 else out
            out = b.xor(out, splat(b, b.trunc(self.given[at.FLIP], I8), out.type.count))
        if self.lanes > depthwise.BLOCKS[-1]:
            store(b, out, place)
            return
        with b.if_else(self.is_whole) as (whole, some):
            with whole:
                store(b, out, place)
            with some:
                store_first(b, out, place, self.valid)

    def clipped(self, values: Any) -> Any:
        """``[lo, hi]`` in the element's width, unsigned for bytes."""
        b, kind = self.b, values.type
        ends = (self.given[at.LO], self.given[at.HI])
        lo, hi = (splat(b, fitted(b, end, kind.element), kind.count) for end in ends)
        if kind.element.width > 8:
            return bounded(b, values, lo, hi)
        values = b.select(b.icmp_unsigned(">", values, lo), values, lo)
        return b.select(b.icmp_unsigned("<", values, hi), values, hi)

    def scaled(self, total: Any, multiplier: Any) -> Any:
        """RQ before the clip, in 32-bit lanes."""
        b, count = self.b, total.type.count
        given = self.given
        rounding, shift = given[at.ROUNDING], given[at.SHIFT]
        if self.wide:
            ends = [given[at.LO], given[at.HI]]
            zero_point = given[at.ZERO_POINT]
            return scale_wide(b, total, multiplier, rounding, shift, zero_point, ends)
        rounding, shift = (splat(b, b.trunc(value, I32), count) for value in (rounding, shift))
        return scale_narrow(b, total, multiplier, rounding, shift)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def emit_depthwise(
    typing: Any,
    groups: Any,
    slide: Any,
    wide: Any,
    kind: Any,
    store: Any,
    memory: Any,
    weights: Any,
    args: Any,
    batch: Any,
) -> tuple[Any, Callable[..., Any]]:
    """``depthwise_image`` for literal groups, slide, wide, kind and store."""
    literals = (groups, slide, wide, kind, store)
    sizes = [item.literal_value for item in literals]
    arrays = (memory, weights, args)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, _, features = context.codegen().magic_tuple()
        pairs = zip(arrays, values[5:8], strict=True)
        addresses = [bytes_of(context, builder, *pair) for pair in pairs]
        Block(builder, features or "", *sizes, *addresses).write(values[8])
        return context.get_dummy_value()

    return types.void(*literals, *arrays, types.int64), emit


@overload(depthwise.depthwise_image, prefer_literal=True)  # type: ignore[untyped-decorator]
def _depthwise_image(
    groups: Any,
    slide: Any,
    wide: Any,
    kind: Any,
    store: Any,
    memory: Any,
    weights: Any,
    args: Any,
    batch: Any,
) -> Any:
    def call(
        groups: Any,
        slide: Any,
        wide: Any,
        kind: Any,
        store: Any,
        memory: Any,
        weights: Any,
        args: Any,
        batch: Any,
    ) -> Any:
        return emit_depthwise(groups, slide, wide, kind, store, memory, weights, args, batch)

    return call
