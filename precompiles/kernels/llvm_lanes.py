"""Vectors in LLVM's terms: what the machine forms of image kernels are written with.

Every form of one operation gives the same integers; which is taken depends on the CPU's features.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def vector(element: Any, count: int) -> Any:
    """Vector type."""
    return ir.VectorType(element, count)


def lanes_of(features: str) -> int:
    """32-bit lanes of the longest vector that all byte and word operations have."""
    return 16 if "+avx512bw" in features else 8 if "+avx2" in features else 4


def shuffle(b: Any, x: Any, y: Any, order: list[int]) -> Any:
    """Elements of ``x`` then ``y`` by index; ``y`` may be None."""
    other = ir.Constant(x.type, ir.Undefined) if y is None else y
    return b.shuffle_vector(x, other, ir.Constant(vector(I32, len(order)), order))


def splat(b: Any, x: Any, count: int) -> Any:
    """A vector of ``count`` times ``x``."""
    kind = vector(x.type, count)
    first = b.insert_element(ir.Constant(kind, ir.Undefined), x, I32(0))
    return shuffle(b, first, None, [0] * count)


def load(b: Any, pointer: Any, kind: Any) -> Any:
    """Unaligned load."""
    return b.load(b.bitcast(pointer, kind.as_pointer()), align=1)


def store(b: Any, value: Any, pointer: Any) -> None:
    """Unaligned store."""
    b.store(value, b.bitcast(pointer, value.type.as_pointer()), align=1)


def store_first(b: Any, value: Any, pointer: Any, count: Any) -> None:
    """Store the first ``count`` elements, and touch nothing behind them."""
    kind = value.type
    places = ir.Constant(vector(I64, kind.count), list(range(kind.count)))
    mask = b.icmp_signed("<", places, splat(b, count, kind.count))
    name = f"llvm.masked.store.v{kind.count}i{kind.element.width}.p0"
    kinds = [kind, kind.as_pointer(), I32, mask.type]
    call = declared(b, name, ir.VoidType(), kinds)
    b.call(call, [value, b.bitcast(pointer, kind.as_pointer()), I32(1), mask])


def unpack(b: Any, x: Any, y: Any, element: Any) -> tuple[Any, Any]:
    """Elements of ``x`` and ``y`` alternating, low and high half of each 16 bytes."""
    total = x.type.count
    count = total * 8 // element.width
    lane = 128 // element.width
    x, y = (b.bitcast(value, vector(element, count)) for value in (x, y))
    halves = []
    for half in (0, lane // 2):
        order = []
        for start in range(0, count, lane):
            for index in range(start + half, start + half + lane // 2):
                order += [index, count + index]
        halves.append(b.bitcast(shuffle(b, x, y, order), vector(I8, total)))
    return halves[0], halves[1]


def interleave(b: Any, rows: list[Any]) -> list[Any]:
    """Four rows of bytes, or two of words, to one vector for each accumulator."""
    if len(rows) == 2:
        return list(unpack(b, rows[0], rows[1], I16))
    low = unpack(b, rows[0], rows[1], I8)
    high = unpack(b, rows[2], rows[3], I8)
    return [part for pair in zip(low, high, strict=True) for part in unpack(b, *pair, I16)]


def dot(b: Any, features: str, taps: int, total: Any, x: Any, w: Any) -> Any:
    """``total`` plus the products of each 32-bit lane: four u8 * s8, or two s16 * s16."""
    if taps == 2:
        return dot_words(b, total, *(b.bitcast(v, vector(I16, v.type.count // 2)) for v in (x, w)))
    width, native = x.type.count * 8, dot_bits(features)
    if native and width > native:
        halves = [[_half(b, v, side) for v in (total, x, w)] for side in (0, 1)]
        low, high = (dot(b, features, taps, *half) for half in halves)
        return shuffle(b, low, high, list(range(total.type.count)))
    kinds = [total.type, x.type, w.type]
    if native and "+i8mm" not in features:
        call = declared(b, f"llvm.x86.avx512.vpdpbusd.{width}", total.type, kinds)
        return b.call(call, [total, x, w])
    if native and width == native:
        call = declared(b, "llvm.aarch64.neon.usdot.v4i32.v16i8", total.type, kinds)
        return b.call(call, [total, x, w])
    words = vector(I16, x.type.count // 2)
    x, w = b.bitcast(x, words), b.bitcast(w, words)
    eight = ir.Constant(words, [8] * words.count)
    even = b.and_(x, ir.Constant(words, [255] * words.count))
    total = dot_words(b, total, even, b.ashr(b.shl(w, eight), eight))
    return dot_words(b, total, b.lshr(x, eight), b.ashr(w, eight))


def dot_bits(features: str) -> int:
    """Widest vector whose byte products the CPU adds in one instruction; 0 when there is none."""
    if "+avx512vnni" in features and "+avx512vl" in features:
        return 512
    if "+avxvnni" in features:
        return 256
    return 128 if "+i8mm" in features else 0


def _half(b: Any, x: Any, side: int) -> Any:
    count = x.type.count // 2
    return shuffle(b, x, None, list(range(side * count, (side + 1) * count)))


def dot_words(b: Any, total: Any, x: Any, w: Any) -> Any:
    """Two s16 products a lane, in the form that LLVM knows as one multiply-add."""
    wide = vector(I32, x.type.count)
    products = b.mul(b.sext(x, wide), b.sext(w, wide))
    even, odd = (list(range(first, wide.count, 2)) for first in (0, 1))
    pairs = b.add(shuffle(b, products, None, even), shuffle(b, products, None, odd))
    return b.add(total, pairs)


def declared(b: Any, name: str, result: Any, kinds: list[Any]) -> Any:
    """A target intrinsic, declared once a module."""
    known = b.module.globals.get(name)
    return known or ir.Function(b.module, ir.FunctionType(result, kinds), name)


def bounded(b: Any, x: Any, lo: Any, hi: Any) -> Any:
    """``min(max(x, lo), hi)``, signed."""
    x = b.select(b.icmp_signed(">", x, lo), x, lo)
    return b.select(b.icmp_signed("<", x, hi), x, hi)


def scale_narrow(b: Any, total: Any, multiplier: Any, rounding: Any, shift: Any) -> Any:
    """``((total * multiplier >> 32) + rounding) >> shift`` on 32-bit lanes."""
    count = total.type.count
    wide = vector(I64, count // 2)
    by = ir.Constant(wide, [32] * wide.count)
    total, multiplier = b.bitcast(total, wide), b.bitcast(multiplier, wide)
    products = [
        b.mul(b.ashr(b.shl(total, by), by), b.ashr(b.shl(multiplier, by), by)),
        b.mul(b.ashr(total, by), b.ashr(multiplier, by)),
    ]
    words = [b.bitcast(product, vector(I32, count)) for product in products]
    order = [place for lane in range(1, count, 2) for place in (lane, count + lane)]
    return b.ashr(b.add(shuffle(b, words[0], words[1], order), rounding), shift)


def packed(b: Any, features: str, x: Any, y: Any, is_signed: bool) -> Any:
    """Both vectors saturated to half their element width, alternating by 8 bytes."""
    element, count = x.type.element, x.type.count
    half = {32: I16, 16: I8}[element.width]
    width = count * element.width
    if {128: "+sse2", 256: "+avx2", 512: "+avx512bw"}[width] in features:
        name = {32: "packssdw", 16: "packsswb" if is_signed else "packuswb"}[element.width]
        suffix = {128: f"sse2.{name}.128", 256: f"avx2.{name}", 512: f"avx512.{name}.512"}[width]
        result = vector(half, 2 * count)
        call = declared(b, f"llvm.x86.{suffix}", result, [x.type, y.type])
        return b.call(call, [x, y])
    low = -(1 << (half.width - 1)) if is_signed else 0
    ends = [ir.Constant(x.type, [end] * count) for end in (low, low + (1 << half.width) - 1)]
    parts = [b.trunc(bounded(b, value, *ends), vector(half, count)) for value in (x, y)]
    lane = 128 // element.width
    order: list[int] = []
    for start in range(0, count, lane):
        order += range(start, start + lane)
        order += range(count + start, count + start + lane)
    return shuffle(b, parts[0], parts[1], order)


def joined(b: Any, vectors: list[Any]) -> Any:
    """Vectors whose 16-byte lanes take turns, as one vector in memory order."""
    kind = vectors[0].type
    lane = 128 // kind.element.width
    parts = [
        shuffle(b, x, None, list(range(start, start + lane)))
        for start in range(0, kind.count, lane)
        for x in vectors
    ]
    while len(parts) > 1:
        both = list(range(2 * parts[0].type.count))
        parts = [shuffle(b, x, y, both) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@dataclass
class Loop:
    """A counted loop being written: its index, what it carries, and what it passes on."""

    index: Any
    carried: list[Any]
    passed: list[Any]


@contextmanager
def counted(b: Any, count: Any, carried: list[Any]) -> Iterator[Loop]:
    """Do-while from 0 to ``count``, at least once; afterwards ``passed`` holds the last values."""
    before = b.block
    body, after = (b.function.append_basic_block(name) for name in ("body", "after"))
    b.branch(body)
    b.position_at_end(body)
    index = b.phi(I64)
    index.add_incoming(I64(0), before)
    phis = [b.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    loop = Loop(index, list(phis), list(phis))
    yield loop
    following = b.add(index, I64(1))
    index.add_incoming(following, b.block)
    for phi, value in zip(phis, loop.passed, strict=True):
        phi.add_incoming(value, b.block)
    b.cbranch(b.icmp_signed("<", following, count), body, after)
    b.position_at_end(after)


def fitted(b: Any, value: Any, kind: Any) -> Any:
    """An int64 as ``kind``, which holds it."""
    return value if kind.width == 64 else b.trunc(value, kind)


def bytes_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Address of the first byte of an array."""
    return builder.bitcast(context.make_array(kind)(context, builder, value).data, I8.as_pointer())


def scale_wide(
    b: Any, total: Any, multiplier: Any, rounding: Any, shift: Any, zero_point: Any, ends: list[Any]
) -> Any:
    """RQ of 32 or 64-bit lanes in 64 bits, clipped; the rounding is int64 scalars."""
    count, kind = total.type.count, vector(I64, total.type.count)
    rounding, shift, zero_point, lo, hi = (
        splat(b, value, count) for value in (rounding, shift, zero_point, *ends)
    )
    total = total if total.type.element.width == 64 else b.sext(total, kind)
    product = b.mul(total, b.sext(multiplier, kind))
    scaled = b.add(b.ashr(b.add(product, rounding), shift), zero_point)
    return b.trunc(bounded(b, scaled, lo, hi), vector(I32, count))
