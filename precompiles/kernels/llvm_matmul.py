"""The machine form of ``matmul.pack_matrices``: units of four channels by 16-byte shuffles.

A *unit* is four channels of one group, 16 or 8 bytes. Rows of b are interleaved to units as they
lie; a turned b is transposed in squares of four channels. Rows behind the last are zeros; channels
behind the last are whatever lies there, since nobody stores them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import matmul, tile
from precompiles.kernels.llvm_lanes import (
    I8,
    I16,
    I32,
    I64,
    bytes_of,
    counted,
    dot,
    interleave,
    lanes_of,
    load,
    splat,
    store,
    unpack,
    vector,
)

ROW = vector(I8, 16)


@dataclass
class Packing:
    """One call while its code is written; the run-time values are int64."""

    b: Any
    features: str
    size: int
    term: int
    memory: Any
    weights: Any
    args: Any

    def __post_init__(self) -> None:
        self.given = [load(self.b, self.b.gep(self.args, [I64(8 * i)]), I64) for i in range(15)]
        self.per = 4 // self.size
        self.unit = 4 * self.per * self.term
        self.terms = self.order = self.source = self.args
        self.vectors = self.stride = self.first = I64(0)

    def write(self, batch: Any) -> None:
        """All matrices, all panels."""
        b, given = self.b, self.given
        samples = b.mul(batch, given[matmul.SAMPLES])
        table = b.gep(self.weights, [given[matmul.PANEL_TABLE]])
        with (
            counted(b, samples, []) as sample,
            counted(b, given[matmul.PANEL_COUNT], []) as number,
        ):
            row = b.gep(table, [b.mul(number.index, I64(8 * tile.PANEL_WORDS))])
            self.vectors, out_first, place = (
                load(b, b.gep(row, [I64(8 * i)]), I64) for i in (0, 3, 4)
            )
            self.first = b.sdiv(out_first, given[matmul.STORED])
            self.stride = b.mul(self.vectors, I64(4 * self.unit))
            start = b.mul(sample.index, given[matmul.B_SAMPLE])
            self.source = b.gep(self.memory, [b.add(given[matmul.B], start)])
            start = b.add(b.mul(sample.index, given[matmul.PANEL_SAMPLE]), place)
            panel = b.gep(self.memory, [b.add(given[matmul.PANELS], start)])
            self.terms = b.gep(panel, [b.mul(self.vectors, I64(128))])
            start = b.mul(self.vectors, I64(8 * matmul.UNITS))
            self.order = b.gep(self.weights, [b.add(given[matmul.ORDER], start)])
            turned = b.icmp_signed("!=", given[matmul.TURNED], I64(0))
            with b.if_else(turned) as (columns, rows):
                with columns:
                    self.write_turned()
                with rows:
                    self.write_rows()
            self.write_words(panel)

    def put(self, units: list[Any], group: Any, number: Any) -> None:
        """Store units side by side, the first being unit ``number`` of the panel."""
        b = self.b
        row = b.gep(self.terms, [b.mul(group, self.stride)])
        for index, unit in enumerate(units):
            place = b.gep(self.order, [b.mul(b.add(number, I64(index)), I64(8))])
            store(b, unit, b.gep(row, [load(b, place, I64)]))

    def split(self, vectors: list[Any]) -> list[Any]:
        """Vectors of 16 bytes as units."""
        if self.unit == 16:
            return vectors
        halves = [self.b.bitcast(item, vector(I64, 2)) for item in vectors]
        return [self.b.extract_element(item, I32(i)) for item in halves for i in (0, 1)]

    def write_rows(self) -> None:
        """Interleave b as (K, N), group after group."""
        b, given = self.b, self.given
        pitch = b.mul(given[matmul.CHANNELS], I64(self.term))
        first = b.gep(self.source, [b.mul(self.first, I64(self.term))])
        last = b.sub(given[matmul.DEPTH], I64(1))
        with counted(b, given[matmul.GROUPS], []) as group:
            rows, masks = [], []
            for index in range(self.per):
                k = b.add(b.mul(group.index, I64(self.per)), I64(index))
                is_there = b.icmp_signed("<=", k, last)
                masks.append(splat(b, b.sext(is_there, I8), 16))
                rows.append(b.gep(first, [b.mul(b.select(is_there, k, last), pitch)]))
            with counted(b, self.vectors, []) as block:
                start = b.mul(block.index, I64(16 * self.term))
                units = []
                for part in range(self.term):
                    by = b.add(start, I64(16 * part))
                    pairs = zip(rows, masks, strict=True)
                    taken = [b.and_(load(b, b.gep(row, [by]), ROW), mask) for row, mask in pairs]
                    units += self.split(self.interleaved(taken))
                self.put(units, group.index, b.mul(block.index, I64(4)))

    def interleaved(self, rows: list[Any]) -> list[Any]:
        """Rows of one group, element by element."""
        if self.unit == 8:
            return list(unpack(self.b, rows[0], rows[1], I8))
        return interleave(self.b, rows)

    def write_turned(self) -> None:
        """Transpose b as (N, K), four channels after four channels."""
        b, given = self.b, self.given
        size = b.mul(given[matmul.DEPTH], I64(self.term))
        last = b.sub(given[matmul.CHANNELS], I64(1))
        per_chunk = 64 // self.unit
        chunks = b.sdiv(b.add(given[matmul.GROUPS], I64(per_chunk - 1)), I64(per_chunk))
        narrow = (ir.IntType(2 * self.unit), ir.IntType(4 * self.unit))
        with counted(b, b.mul(self.vectors, I64(4)), []) as unit:
            channel = b.add(self.first, b.mul(unit.index, I64(4)))
            rows = []
            for index in range(4):
                n = b.add(channel, I64(index))
                n = b.select(b.icmp_signed("<", n, last), n, last)
                rows.append(b.gep(self.source, [b.mul(n, size)]))
            with counted(b, chunks, []) as chunk:
                start = b.mul(chunk.index, I64(16))
                places = ir.Constant(vector(I64, 16), list(range(16)))
                left = splat(b, b.sub(size, start), 16)
                mask = b.sext(b.icmp_signed("<", places, left), ROW)
                taken = [b.and_(load(b, b.gep(row, [start]), ROW), mask) for row in rows]
                low = unpack(b, taken[0], taken[1], narrow[0])
                high = unpack(b, taken[2], taken[3], narrow[0])
                pairs = zip(low, high, strict=True)
                units = [item for pair in pairs for item in unpack(b, *pair, narrow[1])]
                group = b.mul(chunk.index, I64(per_chunk))
                for index, item in enumerate(self.split(units)):
                    self.put([item], b.add(group, I64(index)), unit.index)

    def write_words(self, panel: Any) -> None:
        """Bias and multipliers, from the sums over the packed weights."""
        b, given, lanes = self.b, self.given, lanes_of(self.features)
        kind = vector(I32, lanes)
        ones = ir.Constant(
            vector(I8, 4 * lanes), [1 if self.size == 1 else 1 - i % 2 for i in range(4 * lanes)]
        )
        by, multiplier = (
            splat(b, b.trunc(value, I32), lanes)
            for value in (b.neg(given[matmul.ZERO_POINT]), given[matmul.MULTIPLIER])
        )
        pieces = b.mul(self.vectors, I64(tile.LANES // lanes))
        with counted(b, pieces, []) as piece:
            place = b.gep(self.terms, [b.mul(piece.index, I64(lanes * self.unit // 4))])
            with counted(b, given[matmul.GROUPS], [ir.Constant(kind, None)]) as group:
                source = b.gep(place, [b.mul(group.index, self.stride)])
                w = load(b, source, vector(I8, lanes * self.unit // 4))
                if self.unit == 8:
                    w = b.bitcast(b.sext(w, vector(I16, 2 * lanes)), ones.type)
                total = dot(b, self.features, self.per, group.carried[0], ones, w)
                group.passed = [total]
            target = b.gep(panel, [b.mul(piece.index, I64(4 * lanes))])
            store(b, b.mul(group.passed[0], by), target)
            store(b, multiplier, b.gep(target, [b.mul(self.vectors, I64(64))]))


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def emit_packing(
    typing: Any, size: Any, term: Any, memory: Any, weights: Any, args: Any, batch: Any
) -> tuple[Any, Callable[..., Any]]:
    """``pack_matrices`` for its literals."""
    literals = (size, term)
    sizes = [item.literal_value for item in literals]
    arrays = (memory, weights, args)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, _, features = context.codegen().magic_tuple()
        pairs = zip(arrays, values[2:5], strict=True)
        addresses = [bytes_of(context, builder, *pair) for pair in pairs]
        Packing(builder, features or "", *sizes, *addresses).write(values[5])
        return context.get_dummy_value()

    return types.void(*literals, *arrays, types.int64), emit


@overload(matmul.pack_matrices, prefer_literal=True)  # type: ignore[untyped-decorator]
def _pack_matrices(size: Any, term: Any, memory: Any, weights: Any, args: Any, batch: Any) -> Any:
    def call(size: Any, term: Any, memory: Any, weights: Any, args: Any, batch: Any) -> Any:
        return emit_packing(size, term, memory, weights, args, batch)

    return call
