"""The machine form of ``tile.multiply_windows``: a register tile and the loops around it.

A tile takes a few windows times the channels of one panel (or of a part of it, where vectors are
shorter than its 16 lanes) through all groups with the sums in registers, then rescales, packs and
stores them there. The last tile overlaps the one before it and stores the same integers again.
Heights are chosen by the registers of the CPU; every choice gives the same integers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import tile
from precompiles.kernels.llvm_lanes import (
    I8,
    I16,
    I32,
    I64,
    Loop,
    bounded,
    bytes_of,
    counted,
    dot,
    fitted,
    lanes_of,
    load,
    packed,
    scale_narrow,
    scale_wide,
    splat,
    store,
    store_first,
    vector,
)
from precompiles.kernels.llvm_places import Places, Walk


@dataclass
class Sweep:
    """One call while its code is written; the run-time values are int64."""

    b: Any
    features: str
    size: int
    term: int
    wide: int
    stored: int
    memory: Any
    weights: Any
    args: Any

    def __post_init__(self) -> None:
        self.given = [load(self.b, self.b.gep(self.args, [I64(8 * i)]), I64) for i in range(25)]
        self.places = Places(self.b, self.given)
        self.lanes = lanes_of(self.features)
        registers = 32 if self.lanes == 16 or "+neon" in self.features else 16
        high = 4 if registers == 32 else 3
        self.heights = {4: (high, 1), 2: (2 * high, high, 1), 1: (8, 3, 1)}
        if self.wide:  # rare, and twice the code
            self.heights = {4: (high, 1), 2: (high, 1), 1: (4, 1)}
        self.panel = self.channels = I64(0)
        self.vectors, self.part = 0, I64(0)

    def write(self, batch: Any) -> None:
        """All samples, all panels, each by the code of its width."""
        b, given = self.b, self.given
        samples = b.mul(batch, given[tile.SAMPLES])
        per_sample = b.mul(given[tile.ROWS], given[tile.COLUMNS])
        x, out = (b.gep(self.memory, [given[place]]) for place in (tile.X, tile.OUT))
        is_shared = b.icmp_signed("==", given[tile.PANEL_SAMPLE], I64(0))
        turns = b.select(is_shared, I64(1), samples)
        windows = b.mul(b.select(is_shared, samples, I64(1)), per_sample)
        panels = b.select(is_shared, self.weights, self.memory)
        with counted(b, turns, []) as turn:
            steps = (tile.X_SAMPLE, tile.OUT_SAMPLE, tile.PANEL_SAMPLE)
            moved = [b.mul(turn.index, given[step]) for step in steps]
            x, out = b.gep(x, [moved[0]]), b.gep(out, [moved[1]])
            self.write_panels(x, out, b.gep(panels, [moved[2]]), windows)

    def write_panels(self, x: Any, out: Any, panels: Any, windows: Any) -> None:
        """All panels over ``windows`` windows from ``x``."""
        b, given = self.b, self.given
        table = b.gep(self.weights, [given[tile.PANEL_TABLE]])
        with counted(b, given[tile.PANEL_COUNT], []) as panel:
            row = b.gep(table, [b.mul(panel.index, I64(8 * tile.PANEL_WORDS))])
            vectors, self.channels, x_first, out_first, place = (
                load(b, b.gep(row, [I64(8 * i)]), I64) for i in range(tile.PANEL_WORDS)
            )
            self.panel = b.gep(panels, [b.add(given[tile.PANELS], place)])
            places = b.gep(x, [x_first]), b.gep(out, [out_first])
            for count, heights in self.heights.items():
                self.vectors = count
                with b.if_then(b.icmp_signed("==", vectors, I64(count))):
                    parts = I64(tile.LANES // self.lanes)
                    with counted(b, parts, []) as part:
                        self.part = part.index if self.lanes < tile.LANES else I64(0)
                        self.write_windows(*places, windows, heights)

    def write_windows(self, x: Any, out: Any, windows: Any, heights: tuple[int, ...]) -> None:
        """All windows by the tallest tile that they fill."""
        b, (height, *lower) = self.b, heights
        if not lower:
            self.write_tiles(x, out, windows, height)
            return
        with b.if_else(b.icmp_signed(">=", windows, I64(height))) as (fits, rest):
            with fits:
                self.write_tiles(x, out, windows, height)
            with rest:
                self.write_windows(x, out, windows, tuple(lower))

    def write_tiles(self, x: Any, out: Any, windows: Any, height: int) -> None:
        """Tiles of ``height`` windows, the last one ending with the last window."""
        b = self.b
        count = b.sdiv(b.add(windows, I64(height - 1)), I64(height))
        first = Walk(x, out, I64(0), I64(0))
        if height > 1:
            end = self.places.at(x, out, b.sub(windows, I64(height)))
            is_ragged = b.icmp_signed("!=", b.srem(windows, I64(height)), I64(0))
            ragged = b.select(is_ragged, b.sub(count, I64(1)), I64(-1))
        with counted(b, count, first.values) as loop:
            at = Walk(*loop.carried)
            if height > 1:
                is_end = b.icmp_signed("==", loop.index, ragged)
                at = self.places.chosen(is_end, end, at)
            at = self.places.wrapped(at)
            rows, outs, at = self.places.taken(at, height)
            loop.passed = at.values
            self.write_tile(rows, outs)

    @property
    def sums(self) -> Any:
        """Type of a vector of sums."""
        return vector(I32, self.lanes)

    def constants(self, index: int) -> list[Any]:
        """Bias (0) or multipliers (1) of the part, a vector for each vector of the panel."""
        b = self.b
        start = b.gep(self.panel, [b.mul(self.part, I64(4 * self.lanes))])
        first = index * self.vectors
        places = [b.gep(start, [I64(64 * (first + v))]) for v in range(self.vectors)]
        return [load(b, place, self.sums) for place in places]

    def write_tile(self, rows: list[Any], outs: list[Any]) -> None:
        """Sum, rescale and store one tile."""
        multiplier = self.constants(1)
        sums = self.summed(rows)
        for number, out in enumerate(outs):
            total = sums[number * self.vectors : (number + 1) * self.vectors]
            scaled = [self.scaled(*pair) for pair in zip(total, multiplier, strict=True)]
            self.finish(scaled, out)

    def summed(self, rows: list[Any]) -> list[Any]:
        """Bias plus all groups, vector by vector, window by window."""
        b, given = self.b, self.given
        groups, unroll = given[tile.GROUPS], self.unroll(len(rows))
        zero = ir.Constant(self.sums, None)
        sums = self.constants(0) * len(rows) + [zero] * (len(rows) * self.vectors * (unroll - 1))
        stride = self.vectors * self.lanes_bytes(tile.LANES)
        offset = b.mul(self.part, I64(self.lanes_bytes(self.lanes)))
        start = b.gep(self.panel, [b.add(offset, I64(128 * self.vectors))])
        table = b.gep(self.weights, [given[tile.SEGMENT_TABLE]])
        odd = b.add(b.srem(b.sub(groups, I64(1)), I64(unroll)), I64(1)) if unroll > 1 else groups
        with counted(b, given[tile.SEGMENTS], [start, *sums]) as segment:
            place, sums = segment.carried[0], segment.carried[1:]
            by = load(b, b.gep(table, [b.mul(segment.index, I64(8))]), I64)
            starts = [b.gep(row, [by]) for row in rows]
            with counted(b, odd, sums) as loop:
                loop.passed = self.added(loop.carried, starts, place, loop.index, stride, 1)
            sums = loop.passed
            if unroll > 1:
                with stepped(b, odd, groups, unroll, sums) as loop:
                    loop.passed = self.added(
                        loop.carried, starts, place, loop.index, stride, unroll
                    )
                sums = loop.carried
            segment.passed = [b.gep(place, [b.mul(groups, I64(stride))]), *sums]
        sums = segment.passed[1:]
        each = len(rows) * self.vectors
        totals = sums[:each]
        for index in range(1, unroll):
            totals = [b.add(*p) for p in zip(totals, sums[index * each :][:each], strict=True)]
        return totals

    def unroll(self, height: int) -> int:
        """Groups at once, each with sums of its own, so that no addition waits for another."""
        return max(8 // (height * self.vectors), 1)

    def lanes_bytes(self, lanes: int) -> int:
        """Bytes of a group's weights for ``lanes`` channels."""
        return lanes * 4 // self.size * self.term

    def added(
        self, sums: list[Any], rows: list[Any], place: Any, group: Any, stride: int, unroll: int
    ) -> list[Any]:
        """Sums with ``unroll`` more groups, the first being ``group``."""
        b, result = self.b, list(sums)
        panel = b.gep(place, [b.mul(group, I64(stride))])
        x_first = b.mul(group, I64(4))
        for index in range(unroll):
            terms = [self.terms(panel, stride * index, v) for v in range(self.vectors)]
            for number, row in enumerate(rows):
                source = b.gep(row, [b.add(x_first, I64(4 * index))])
                spread = splat(b, load(b, source, I32), self.lanes)
                x = b.bitcast(spread, vector(I8, 4 * self.lanes))
                for v, w in enumerate(terms):
                    slot = (index * len(rows) + number) * self.vectors + v
                    result[slot] = dot(b, self.features, 4 // self.size, result[slot], x, w)
        return result

    def terms(self, panel: Any, first: int, number: int) -> Any:
        """Weights of one vector for one group, as bytes or words."""
        b = self.b
        place = b.gep(panel, [I64(first + number * self.lanes_bytes(tile.LANES))])
        if self.size == self.term:
            return load(b, place, vector(I8, 4 * self.lanes))
        words = b.sext(load(b, place, vector(I8, 2 * self.lanes)), vector(I16, 2 * self.lanes))
        return b.bitcast(words, vector(I8, 4 * self.lanes))

    def scaled(self, total: Any, multiplier: Any) -> Any:
        """RQ in 32-bit lanes; the wide form is clipped already."""
        b, given = self.b, self.given
        rounding, shift = given[tile.ROUNDING], given[tile.SHIFT]
        if self.wide:
            ends = [given[tile.LO], given[tile.HI]]
            zero_point = given[tile.ZERO_POINT]
            return scale_wide(b, total, multiplier, rounding, shift, zero_point, ends)
        words = (rounding, shift, given[tile.SPARE])
        rounding, shift, spare = (splat(b, b.trunc(word, I32), self.lanes) for word in words)
        return scale_narrow(b, b.shl(total, spare), multiplier, rounding, shift)

    def finish(self, scaled: list[Any], out: Any) -> None:
        """Pack, clip and store the channels of one window."""
        b, features = self.b, self.features
        if self.stored < 4 and self.vectors > 1:
            pairs = zip(scaled[::2], scaled[1::2], strict=True)
            scaled = [packed(b, features, x, y, True) for x, y in pairs]
            if self.stored == 1 and self.vectors == 4:
                scaled = [packed(b, features, scaled[0], scaled[1], False)]
        element = ir.IntType(8 * self.stored)
        for number, values in enumerate(scaled):
            values = self.clipped(values)
            count = values.type.count
            if values.type.element.width > element.width:
                values = b.trunc(values, vector(element, count))
            if self.stored == 1:
                flip = b.trunc(self.given[tile.FLIP], I8)
                values = b.xor(values, splat(b, flip, count))
            first = number * tile.LANES * self.vectors // len(scaled)
            offset = b.add(b.mul(self.part, I64(count)), I64(first))
            place = b.gep(out, [b.mul(offset, I64(self.stored))])
            if self.vectors > 1:
                store(b, values, place)
            else:
                self.store_some(values, place)

    def store_some(self, values: Any, place: Any) -> None:
        """Store the channels that exist."""
        b = self.b
        left = b.sub(self.channels, b.mul(self.part, I64(self.lanes)))
        with b.if_else(b.icmp_signed(">=", left, I64(self.lanes))) as (whole, some):
            with whole:
                store(b, values, place)
            with some:
                store_first(b, values, place, left)

    def clipped(self, values: Any) -> Any:
        """``[lo, hi]`` in the element's width, unsigned for bytes."""
        b, kind = self.b, values.type
        if self.wide and kind.element.width == 32:
            return values
        ends = (self.given[tile.LO], self.given[tile.HI])
        lo, hi = (splat(b, fitted(b, end, kind.element), kind.count) for end in ends)
        if kind.element.width > 8:
            return bounded(b, values, lo, hi)
        values = b.select(b.icmp_unsigned(">", values, lo), values, lo)
        return b.select(b.icmp_unsigned("<", values, hi), values, hi)


@contextmanager
def stepped(b: Any, first: Any, end: Any, step: int, carried: list[Any]) -> Iterator[Loop]:
    """While from ``first`` to ``end``, or not at all; afterwards ``carried`` holds the values."""
    before = b.block
    head, body, after = (b.function.append_basic_block(name) for name in ("head", "turn", "done"))
    b.branch(head)
    b.position_at_end(head)
    index = b.phi(I64)
    index.add_incoming(first, before)
    phis = [b.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    b.cbranch(b.icmp_signed("<", index, end), body, after)
    b.position_at_end(body)
    loop = Loop(index, list(phis), list(phis))
    yield loop
    index.add_incoming(b.add(index, I64(step)), b.block)
    for phi, value in zip(phis, loop.passed, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head)
    b.position_at_end(after)
    loop.carried = list(phis)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def emit_windows(
    typing: Any,
    size: Any,
    term: Any,
    wide: Any,
    stored: Any,
    memory: Any,
    weights: Any,
    args: Any,
    batch: Any,
) -> tuple[Any, Callable[..., Any]]:
    """``multiply_windows`` for its literals."""
    literals = (size, term, wide, stored)
    sizes = [item.literal_value for item in literals]
    arrays = (memory, weights, args)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, _, features = context.codegen().magic_tuple()
        pairs = zip(arrays, values[4:7], strict=True)
        addresses = [bytes_of(context, builder, *pair) for pair in pairs]
        Sweep(builder, features or "", *sizes, *addresses).write(values[7])
        return context.get_dummy_value()

    return types.void(*literals, *arrays, types.int64), emit


@overload(tile.multiply_windows, prefer_literal=True)  # type: ignore[untyped-decorator]
def _multiply_windows(
    size: Any,
    term: Any,
    wide: Any,
    stored: Any,
    memory: Any,
    weights: Any,
    args: Any,
    batch: Any,
) -> Any:
    def call(
        size: Any,
        term: Any,
        wide: Any,
        stored: Any,
        memory: Any,
        weights: Any,
        args: Any,
        batch: Any,
    ) -> Any:
        return emit_windows(size, term, wide, stored, memory, weights, args, batch)

    return call
