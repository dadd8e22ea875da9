"""One random instruction of each operator, mostly legal."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import Constant, DType, TensorType

NARROW = (DType.U8, DType.S8, DType.S16)
QUANTIZED = (*NARROW, DType.S32)
WIDE = (DType.S32, DType.S64)
ANY = (*QUANTIZED, DType.S64)


@dataclass
class Draft:
    """A program being drawn. Constants have ids >= 0, tensor t has id -1 - t."""

    rng: random.Random
    constants: list[Constant] = field(default_factory=list)
    tensors: list[TensorType] = field(default_factory=list)
    instructions: list[op.Instruction] = field(default_factory=list)
    inputs: int = 0

    def constant(self, dtype: DType, shape: tuple[int, ...], low: int, high: int) -> int:
        count = TensorType(dtype, shape).elements
        values = [self.number(low, high) for _ in range(count)]
        data = np.array(values, NUMPY_TYPES[dtype]).tobytes()
        self.constants.append(Constant(TensorType(dtype, shape), data))
        return len(self.constants) - 1

    def number(self, low: int, high: int) -> int:
        """An integer in [low, high]; often an end, often small."""
        pick = self.rng.random()
        if pick < 0.15:
            return self.rng.choice((low, high))
        if pick < 0.3:
            return min(max(self.rng.randint(-3, 3), low), high)
        return self.rng.randint(low, high)

    def tensor(self, dtypes: tuple[DType, ...], rank: int | None = None, least: int = 0) -> int:
        """Id of a fitting tensor; LookupError when there is none."""
        fits = [
            -1 - index
            for index, kind in enumerate(self.tensors)
            if kind.dtype in dtypes
            and (rank is None or len(kind.shape) == rank)
            and len(kind.shape) >= least
            and kind.elements <= 4096
        ]
        if not fits:
            raise LookupError
        return self.rng.choice(fits)

    def type_of(self, value: int) -> TensorType:
        return self.constants[value].type if value >= 0 else self.tensors[-1 - value]

    def rounding(self, dtype: DType) -> tuple[int, int, int, int]:
        """shift, zero_point, lo, hi."""
        low, high = dtype.bounds
        ends = sorted((self.number(low, high), self.number(low, high)))
        if self.rng.random() < 0.6:
            ends = [low, high]
        near = self.number(max(low, -20), min(high, 20))
        return self.rng.choice((1, 8, 24, 31, 35, 40, 45, 62)), near, ends[0], ends[1]

    def multipliers(self, shape: tuple[int, ...]) -> int:
        top = self.rng.choice(((1 << 31) - 1, 1 << 16, 3))
        return self.constant(DType.S32, shape, 1, top)


Drawn = tuple[op.Instruction, TensorType]
DRAWERS: dict[type, Callable[[Draft], Drawn]] = {}


def drawer(operator: type) -> Callable[[Callable[[Draft], Drawn]], Callable[[Draft], Drawn]]:
    def register(function: Callable[[Draft], Drawn]) -> Callable[[Draft], Drawn]:
        DRAWERS[operator] = function
        return function

    return register


@drawer(op.Gemm)
def _gemm(d: Draft) -> Drawn:
    x = d.tensor((DType.U8, DType.S16), least=1)
    shape, columns = d.type_of(x).shape, d.rng.choice((1, 2, 16, 33))
    weight = d.constant(DType.S8, (shape[-1], columns), -128, 127)
    bias = d.constant(DType.S32, (columns,), -(1 << 24), 1 << 24)
    out = d.rng.choice(QUANTIZED)
    gemm = op.Gemm(x, weight, bias, d.multipliers((columns,)), *d.rounding(out), 0)
    return gemm, TensorType(out, (*shape[:-1], columns))


@drawer(op.Conv)
def _conv(d: Draft) -> Drawn:
    x = d.tensor((DType.U8,), rank=3)
    height, width, channels = d.type_of(x).shape
    group = d.rng.choice([g for g in (1, 2, 3, 4, 17) if channels % g == 0])
    filters = group * d.rng.choice((1, 2, 17))
    kernel = d.rng.randint(1, 3), d.rng.randint(1, 3)
    strides = d.rng.randint(1, 3), d.rng.randint(1, 3)
    dilations = d.rng.randint(1, 2), d.rng.randint(1, 2)
    pads = tuple(d.rng.randint(0, 2) for _ in range(4))
    sizes = [
        (size + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1)
        // strides[axis]
        + 1
        for axis, size in enumerate((height, width))
    ]
    weight = d.constant(DType.S8, (*kernel, channels // group, filters), -128, 127)
    bias = d.constant(DType.S32, (filters,), -(1 << 24), 1 << 24)
    out = d.rng.choice(QUANTIZED)
    conv = op.Conv(
        x,
        weight,
        bias,
        d.multipliers((filters,)),
        strides,
        pads,
        dilations,
        group,
        d.number(0, 255),
        *d.rounding(out),
        0,
    )
    return conv, TensorType(out, (*(max(size, 1) for size in sizes), filters))


@drawer(op.LinearInteger)
def _linear(d: Draft) -> Drawn:
    x = d.tensor(WIDE, least=1)
    shape, columns = d.type_of(x).shape, d.rng.choice((1, 3, 19))
    reach = d.rng.choice((3, 1 << 20, (1 << 31) - 1))
    weight = d.constant(DType.S32, (shape[-1], columns), -reach, reach)
    bias = d.constant(DType.S64, (columns,), -(1 << 61), 1 << 61)
    return op.LinearInteger(x, weight, bias, 0), TensorType(DType.S64, (*shape[:-1], columns))


def _geometry(d: Draft, x: int) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    height, width, channels = d.type_of(x).shape
    kernel = d.rng.randint(1, height), d.rng.randint(1, width)
    strides = d.rng.randint(1, 3), d.rng.randint(1, 3)
    pads = tuple(d.rng.randint(0, kernel[axis % 2] - 1) for axis in range(4))
    sizes = [
        (size + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1
        for axis, size in enumerate((height, width))
    ]
    return (kernel, strides, pads), (*sizes, channels)


@drawer(op.MaxPool)
def _max_pool(d: Draft) -> Drawn:
    x = d.tensor(NARROW, rank=3)
    geometry, shape = _geometry(d, x)
    return op.MaxPool(x, *geometry, 0), TensorType(d.type_of(x).dtype, shape)


@drawer(op.AveragePool)
def _average_pool(d: Draft) -> Drawn:
    x = d.tensor(NARROW, rank=3)
    geometry, shape = _geometry(d, x)
    out = d.rng.choice(NARROW)
    zero_point = d.number(*d.type_of(x).dtype.bounds)
    multiplier = d.multipliers(shape[:2])
    pool = op.AveragePool(x, multiplier, *geometry, zero_point, *d.rounding(out), 0)
    return pool, TensorType(out, shape)


def _pair(d: Draft, dtypes: tuple[DType, ...]) -> tuple[int, int, tuple[int, ...]]:
    a = d.tensor(dtypes)
    shape = d.type_of(a).shape
    others = [-1 - i for i, kind in enumerate(d.tensors) if kind.dtype in dtypes]
    b = d.rng.choice(others)
    try:
        full = np.broadcast_shapes(shape, d.type_of(b).shape)
    except ValueError:
        cut = shape[d.rng.randint(0, len(shape)) :]
        dtype = d.rng.choice(dtypes)
        reach = d.rng.choice((5, 100))
        low, high = max(dtype.bounds[0], -reach), min(dtype.bounds[1], reach)
        b = d.constant(dtype, tuple(d.rng.choice((1, size)) for size in cut), low, high)
        full = shape
    return (a, b, full) if d.rng.random() < 0.5 else (b, a, full)


@drawer(op.Add)
def _add(d: Draft) -> Drawn:
    a, b, shape = _pair(d, QUANTIZED)
    out = d.rng.choice(QUANTIZED)
    reach = d.rng.choice((3, 1 << 20, (1 << 31) - 1))
    scales = [d.number(-reach, reach) or 1 for _ in range(2)]
    zeros = [d.number(*d.type_of(value).dtype.bounds) for value in (a, b)]
    return op.Add(a, b, *zeros, *scales, *d.rounding(out), 0), TensorType(out, shape)


@drawer(op.Mul)
def _mul(d: Draft) -> Drawn:
    a, b, shape = _pair(d, QUANTIZED)
    out = d.rng.choice(QUANTIZED)
    zeros = [d.number(*d.type_of(value).dtype.bounds) for value in (a, b)]
    multiplier = d.number(1, d.rng.choice((3, (1 << 31) - 1)))
    return op.Mul(a, b, *zeros, multiplier, *d.rounding(out), 0), TensorType(out, shape)


@drawer(op.Requantize)
def _requantize(d: Draft) -> Drawn:
    x = d.tensor(ANY, least=1)
    kind, out = d.type_of(x), d.rng.choice(QUANTIZED)
    length = d.rng.choice((1, kind.shape[-1]))
    zero_point = d.number(*kind.dtype.bounds)
    scale = d.multipliers((length,))
    return op.Requantize(x, scale, zero_point, *d.rounding(out), 0), TensorType(out, kind.shape)


@drawer(op.Clip)
def _clip(d: Draft) -> Drawn:
    x = d.tensor(ANY)
    kind = d.type_of(x)
    reach = d.rng.choice((100, 1 << 20, 1 << 40))
    low, high = max(kind.dtype.bounds[0], -reach), min(kind.dtype.bounds[1], reach)
    return op.Clip(x, *sorted((d.number(low, high), d.number(low, high))), 0), kind


@drawer(op.Lookup)
def _lookup(d: Draft) -> Drawn:
    x = d.tensor((DType.U8, DType.S8))
    out = d.rng.choice(QUANTIZED)
    table = d.constant(out, (256,), *out.bounds)
    return op.Lookup(x, table, 0), TensorType(out, d.type_of(x).shape)


@drawer(op.PiecewiseLinear)
def _piecewise_linear(d: Draft) -> Drawn:
    x = d.tensor(WIDE)
    reach = d.rng.choice((50, 1 << 31, 1 << 40))
    values = sorted({d.rng.randint(-reach, reach) for _ in range(d.rng.randint(1, 9))})
    data = np.array(values, np.int64).tobytes()
    shape = (len(values),)
    d.constants.append(Constant(TensorType(DType.S64, shape), data))
    knots = len(d.constants) - 1
    heights = d.constant(DType.S64, shape, -(1 << 50), 1 << 50)
    slopes = d.constant(DType.S64, shape, -(1 << 20), 1 << 20)
    line = op.PiecewiseLinear(x, knots, heights, slopes, d.rng.choice((0, 1, 20, 62)), 0)
    return line, TensorType(DType.S64, d.type_of(x).shape)


@drawer(op.AddInteger)
def _add_integer(d: Draft) -> Drawn:
    a, b, shape = _pair(d, WIDE)
    return op.AddInteger(a, b, 0), TensorType(DType.S64, shape)


@drawer(op.SubInteger)
def _sub_integer(d: Draft) -> Drawn:
    a, b, shape = _pair(d, WIDE)
    return op.SubInteger(a, b, 0), TensorType(DType.S64, shape)


@drawer(op.MulInteger)
def _mul_integer(d: Draft) -> Drawn:
    a, b, shape = _pair(d, WIDE)
    shift = d.rng.choice((0, 1, 31, 62))
    return op.MulInteger(a, b, shift, 0), TensorType(DType.S64, shape)


@drawer(op.DivInteger)
def _div_integer(d: Draft) -> Drawn:
    a = d.tensor(WIDE)
    shape = d.type_of(a).shape
    b = d.constant(DType.S64, shape[d.rng.randint(0, len(shape)) :], 1, 1 << 40)
    if d.rng.random() < 0.5:
        b = d.tensor(WIDE)
    full = np.broadcast_shapes(shape, d.type_of(b).shape) if b >= 0 else shape
    return op.DivInteger(a, b, d.rng.choice((0, 1, 20, 61)), 0), TensorType(DType.S64, full)


@drawer(op.ReduceSum)
def _reduce_sum(d: Draft) -> Drawn:
    x = d.tensor(ANY, least=1)
    return op.ReduceSum(x, 0), TensorType(DType.S64, (*d.type_of(x).shape[:-1], 1))


@drawer(op.ReduceMax)
def _reduce_max(d: Draft) -> Drawn:
    x = d.tensor(ANY, least=1)
    kind = d.type_of(x)
    return op.ReduceMax(x, 0), TensorType(kind.dtype, (*kind.shape[:-1], 1))


@drawer(op.ArgMax)
def _arg_max(d: Draft) -> Drawn:
    x = d.tensor(ANY, least=1)
    return op.ArgMax(x, 0), TensorType(DType.S32, d.type_of(x).shape[:-1])


@drawer(op.Reshape)
def _reshape(d: Draft) -> Drawn:
    x = d.tensor(ANY)
    kind = d.type_of(x)
    shape = d.rng.choice(((kind.elements,), (1, kind.elements), kind.shape[::-1]))
    return op.Reshape(x, 0), TensorType(kind.dtype, shape)


@drawer(op.Transpose)
def _transpose(d: Draft) -> Drawn:
    x = d.tensor(ANY)
    kind = d.type_of(x)
    axes = d.rng.sample(range(len(kind.shape)), len(kind.shape))
    shape = tuple(kind.shape[axis] for axis in axes)
    return op.Transpose(x, tuple(axes), 0), TensorType(kind.dtype, shape)


@drawer(op.Concat)
def _concat(d: Draft) -> Drawn:
    x = d.tensor(ANY, least=1)
    kind = d.type_of(x)
    axis = d.rng.randrange(len(kind.shape))
    size = d.rng.randint(1, 3)
    shape = (*kind.shape[:axis], size, *kind.shape[axis + 1 :])
    fixed = d.constant(kind.dtype, shape, *kind.dtype.bounds)
    parts = d.rng.choice(((x,), (x, x), (fixed, x), (x, fixed, x)))
    joined = sum(d.type_of(part).shape[axis] for part in parts)
    if fixed not in parts:
        d.constants.pop()
    shape = (*kind.shape[:axis], joined, *kind.shape[axis + 1 :])
    return op.Concat(parts, axis, 0), TensorType(kind.dtype, shape)


@drawer(op.Slice)
def _slice(d: Draft) -> Drawn:
    x = d.tensor(ANY)
    kind = d.type_of(x)
    starts = tuple(d.rng.randrange(size) for size in kind.shape)
    steps = tuple(d.rng.randint(1, 3) for _ in kind.shape)
    shape = tuple(
        d.rng.randint(1, (size - start - 1) // step + 1)
        for size, start, step in zip(kind.shape, starts, steps, strict=True)
    )
    return op.Slice(x, starts, steps, 0), TensorType(kind.dtype, shape)


@drawer(op.Pad)
def _pad(d: Draft) -> Drawn:
    x = d.tensor(ANY)
    kind = d.type_of(x)
    before = tuple(d.rng.randint(0, 2) for _ in kind.shape)
    after = tuple(d.rng.randint(0, 2) for _ in kind.shape)
    value = d.number(*kind.dtype.bounds)
    shape = tuple(sum(sizes) for sizes in zip(before, kind.shape, after, strict=True))
    return op.Pad(x, before, after, value, 0), TensorType(kind.dtype, shape)


@drawer(op.TreeEnsemble)
def _trees(d: Draft) -> Drawn:
    x = d.tensor(WIDE, rank=1)
    kind = d.type_of(x)
    feature: list[int] = []
    left: list[int] = []
    right: list[int] = []
    roots: list[int] = []
    rows = d.rng.randint(1, 4)
    depth = d.rng.randint(0, 3)

    def grow(level: int) -> int:
        node = len(feature)
        feature.append(0)
        left.append(0)
        right.append(0)
        if level == 0 or d.rng.random() < 0.2:
            feature[node] = -1 - d.rng.randrange(rows)
        else:
            feature[node] = d.rng.randrange(kind.elements)
            left[node], right[node] = grow(level - 1), grow(level - 1)
        return node

    for _ in range(d.rng.randint(1, 3)):
        roots.append(grow(depth))
    ids = []
    for values in (roots, feature, left, right):
        data = np.array(values, np.int32).tobytes()
        d.constants.append(Constant(TensorType(DType.S32, (len(values),)), data))
        ids.append(len(d.constants) - 1)
    nodes, targets = (len(feature),), d.rng.randint(1, 3)
    threshold = d.constant(kind.dtype, nodes, *kind.dtype.bounds)
    missing = d.constant(DType.U8, nodes, 0, 1)
    leaves = d.constant(DType.S64, (rows, targets), -(1 << 60), 1 << 60)
    base = d.constant(DType.S64, (targets,), -(1 << 60), 1 << 60)
    forest = op.TreeEnsemble(
        x, ids[0], ids[1], threshold, ids[2], ids[3], missing, leaves, base, depth, 0
    )
    return forest, TensorType(DType.S64, (targets,))
