"""Legal programs chosen to be bad for one operator each: fuel of ``assay bench gas``.

Shapes are what an attacker would pick: one channel, one column, rows of one or two, K = 4 and
N = 16, padding and strides that do little work a byte, broadcast axes of two, many tiny
instructions. Constants are fixed noise: time depends on them in trees alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Final, TypeAlias

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)

U8, S8, S16, S32, S64 = DType
Shape: TypeAlias = tuple[int, ...]
TOP: Final = (1 << 31) - 1
_SCALE: Final = Quantization(1, 1, 0)


class Sketch:
    """A program in the making: constants first, then inputs, then what instructions write."""

    def __init__(self) -> None:
        self._noise = np.random.default_rng(3)
        self.constants: list[Constant] = []
        self.inputs: list[TensorType] = []
        self.computed: list[TensorType] = []
        self.instructions: list[op.Instruction] = []

    def constant(self, dtype: DType, shape: Shape, low: int, high: int) -> int:
        """Id of a constant of noise in [low, high]; all constants come before ``input``."""
        data = self._noise.integers(low, high, shape, endpoint=True).astype(NUMPY_TYPES[dtype])
        self.constants.append(Constant(TensorType(dtype, shape), data.tobytes()))
        return len(self.constants) - 1

    def values(self, dtype: DType, values: Sequence[int]) -> int:
        """Id of a vector."""
        data = np.array(values, NUMPY_TYPES[dtype])
        self.constants.append(Constant(TensorType(dtype, data.shape), data.tobytes()))
        return len(self.constants) - 1

    def input(self, dtype: DType, shape: Shape) -> int:
        """Id of one more input."""
        self.inputs.append(TensorType(dtype, shape))
        return len(self.constants) + len(self.inputs) - 1

    def add(self, instruction: op.Instruction, dtype: DType, shape: Shape) -> int:
        """Id of what the instruction writes; its ``output`` is set here."""
        output = len(self.constants) + len(self.inputs) + len(self.computed)
        self.computed.append(TensorType(dtype, shape))
        self.instructions.append(replace(instruction, output=output))
        return output

    def model(self, *outputs: int) -> IntegerModel:
        """The program with these outputs."""
        first = len(self.constants)
        return IntegerModel(
            tuple(Port(f"x{i}", first + i, _SCALE) for i in range(len(self.inputs))),
            tuple(Port(f"y{i}", value, _SCALE) for i, value in enumerate(outputs)),
            tuple(self.constants),
            (*self.inputs, *self.computed),
            tuple(self.instructions),
        )


def rounding(dtype: DType) -> tuple[int, int, int, int]:
    """shift, zero_point, lo, hi of a plain requantisation."""
    return 40, 0, *dtype.bounds


Build: TypeAlias = Callable[..., IntegerModel]


def gemm(x: DType, rows: int, depth: int, columns: int, out: DType = U8) -> IntegerModel:
    """(rows, depth) times (depth, columns)."""
    s = Sketch()
    reach = 127 if x is U8 or depth < 500 else 3
    weight = s.constant(S8, (depth, columns), -reach, reach)
    bias = s.constant(S32, (columns,), -999, 999)
    multiplier = s.constant(S32, (columns,), 1 << 30, TOP)
    value = s.input(x, (rows, depth))
    body = op.Gemm(value, weight, bias, multiplier, *rounding(out), 0)
    return s.model(s.add(body, out, (rows, columns)))


def conv(
    x: DType,
    size: tuple[int, int],
    channels: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: int = 1,
    pad: int = 0,
    dilation: int = 1,
) -> IntegerModel:
    """channels: in, out, groups; ``pad`` on every side."""
    s = Sketch()
    depth, filters, group = channels
    weight = s.constant(S8, (*kernel, depth // group, filters), -3, 3)
    bias = s.constant(S32, (filters,), -999, 999)
    multiplier = s.constant(S32, (filters,), 1 << 30, TOP)
    value = s.input(x, (*size, depth))
    shape = tuple(
        (length + 2 * pad - dilation * (taps - 1) - 1) // stride + 1
        for length, taps in zip(size, kernel, strict=True)
    )
    geometry = (stride, stride), (pad,) * 4, (dilation, dilation), group, 7
    body = op.Conv(value, weight, bias, multiplier, *geometry, *rounding(U8), 0)
    return s.model(s.add(body, U8, (*shape, filters)))


def matmul(
    a: DType, b: DType, leading: int, rows: int, depth: int, columns: int, turned: int = 0
) -> IntegerModel:
    """``leading`` products of (rows, depth) and (depth, columns)."""
    s = Sketch()
    table = s.constant(S16, (256,), -90, 90) if a is S16 else -1
    inner = (columns, depth) if turned else (depth, columns)
    left, right = (leading, rows, depth), (leading, *inner)
    x = s.input(U8 if a is S16 else a, left)
    y = s.input(U8 if b is S16 else b, right)
    if a is S16:
        x = s.add(op.Lookup(x, table, 0), S16, left)
    if b is S16:
        y = s.add(op.Lookup(y, table, 0), S16, right)
    body = op.MatMul(x, y, 3, turned, 1 << 20, *rounding(U8), 0)
    return s.model(s.add(body, U8, (leading, rows, columns)))


def linear(x: DType, rows: int, depth: int, columns: int) -> IntegerModel:
    """Exact 64-bit product."""
    s = Sketch()
    weight = s.constant(S32, (depth, columns), -9, 9)
    bias = s.constant(S64, (columns,), -9, 9)
    table = s.constant(S32, (256,), -999, 999) if x is S64 else 0
    value = s.input(U8 if x is S64 else S32, (rows, depth))
    if x is S64:
        value = s.add(op.Lookup(value, table, 0), S32, (rows, depth))
        value = s.add(op.AddInteger(value, value, 0), S64, (rows, depth))
    body = op.LinearInteger(value, weight, bias, 0)
    return s.model(s.add(body, S64, (rows, columns)))


def pool(
    average: bool, x: DType, shape: Shape, kernel: Shape, stride: int, pad: int = 0
) -> IntegerModel:
    """Maximum or average over windows."""
    s = Sketch()
    sizes = [
        (length + 2 * pad - taps) // stride + 1
        for length, taps in zip(shape[:2], kernel, strict=True)
    ]
    out = (*sizes, shape[2])
    geometry = kernel, (stride, stride), (pad,) * 4
    if not average:
        value = s.input(x, shape)
        return s.model(s.add(op.MaxPool(value, *geometry, 0), x, out))
    areas = s.constant(S32, (sizes[0], sizes[1]), 1, 1 << 16)
    value = s.input(x, shape)
    body = op.AveragePool(value, areas, *geometry, 1, *rounding(x), 0)
    return s.model(s.add(body, x, out))


def binary(
    kind: str, dtypes: Sequence[DType], a: Shape, b: Shape, fixed: bool = False
) -> IntegerModel:
    """Add, Mul, integer or choosing operator of two operands, the second perhaps constant."""
    s = Sketch()
    first, second, out = dtypes
    stored = s.constant(second, b, 1, 100) if fixed else -1
    divisor = s.constant(S32, (256,), 1, 1 << 20) if kind == "DivInteger" and not fixed else -1
    left = s.input(first, a)
    right = stored
    if not fixed:
        right = s.input(U8 if divisor >= 0 else second, b)
    if divisor >= 0:
        right = s.add(op.Lookup(right, divisor, 0), S32, b)
    body: op.Instruction
    if kind == "Add":
        body = op.Add(left, right, 1, 2, 1 << 20, -(1 << 19), *rounding(out), 0)
    elif kind == "Mul":
        body = op.Mul(left, right, 1, 2, 1 << 12, *rounding(out), 0)
    elif kind in ("AddInteger", "SubInteger", "Minimum", "Maximum"):
        body = getattr(op, kind)(left, right, 0)
    elif kind == "Compare":
        body = op.Compare(left, right, 2, 0)
    else:
        body = getattr(op, kind)(left, right, 7, 0)
    return s.model(s.add(body, out, np.broadcast_shapes(a, b)))


def select(dtype: DType, condition: Shape, a: Shape, b: Shape) -> IntegerModel:
    """Three inputs."""
    s = Sketch()
    values = s.input(U8, condition), s.input(dtype, a), s.input(dtype, b)
    return s.model(s.add(op.Select(*values, 0), dtype, np.broadcast_shapes(condition, a, b)))


def requantize(x: DType, out: DType, shape: Shape, per_channel: bool) -> IntegerModel:
    """One multiplier, or one for each channel."""
    s = Sketch()
    count = shape[-1] if per_channel else 1
    multiplier = s.constant(S32, (count,), 1 << 10, 1 << 20)
    value = s.input(x, shape)
    if x is S64:
        value = s.add(op.Clip(value, -(1 << 40), 1 << 40, 0), x, shape)
    return s.model(s.add(op.Requantize(value, multiplier, 0, *rounding(out), 0), out, shape))


def lookup(x: DType, out: DType, shape: Shape) -> IntegerModel:
    """Table of 256 or 65,536."""
    s = Sketch()
    table = s.constant(out, (1 << 8 * x.size,), 0, 100)
    value = s.input(x, shape)
    return s.model(s.add(op.Lookup(value, table, 0), out, shape))


def piecewise(x: DType, shape: Shape, knots: int) -> IntegerModel:
    """Search among ``knots``."""
    s = Sketch()
    step = (1 << 32) // (knots + 1)
    places = s.values(S64, [-(1 << 31) + step * (i + 1) for i in range(knots)])
    heights = s.constant(S64, (knots,), 0, 99)
    slopes = s.constant(S64, (knots,), 1, 9)
    value = s.input(S32, shape)
    if x is S64:
        value = s.add(op.AddInteger(value, value, 0), S64, shape)
    return s.model(s.add(op.PiecewiseLinear(value, places, heights, slopes, 3, 0), S64, shape))


def wide_roots(x: DType, shape: Shape, bits: int) -> IntegerModel:
    """Square roots of numbers of up to ``bits`` bits."""
    s = Sketch()
    value = s.input(x, shape)
    value = s.add(op.Clip(value, 0, (1 << bits) - 1, 0), x, shape)
    return s.model(s.add(op.SquareRoot(value, 0), S64, shape))


def rows(kind: str, x: DType, shape: Shape, out: DType = U8) -> IntegerModel:
    """A reduction, softmax or norm of the last axis."""
    s = Sketch()
    width = shape[-1]
    gain = offset = table = -1
    if kind.startswith("LayerNorm"):
        gain = s.constant(S32, (width,), -999, 999)
        offset = s.constant(S64, (width,), -999, 999)
    narrowed = kind in ("Softmax", "LayerNorm", "LayerNormRms") and x in (S16, S32)
    if narrowed:
        table = s.constant(x, (256,), -20_000, 20_000)
    value = s.input(U8 if narrowed else x, shape)
    if narrowed:
        value = s.add(op.Lookup(value, table, 0), x, shape)
    elif kind == "ReduceSum" and x is S64:
        value = s.add(op.Clip(value, -(1 << 30), 1 << 30, 0), x, shape)
    if kind == "Softmax":
        body: op.Instruction = op.Softmax(value, 30_000, 0, 0)
        return s.model(s.add(body, out, shape))
    if kind.startswith("LayerNorm"):
        center = 0 if kind.endswith("Rms") else 1
        body = op.LayerNorm(value, gain, offset, center, 9, *rounding(out), 0)
        return s.model(s.add(body, out, shape))
    if kind == "ArgMax":
        return s.model(s.add(op.ArgMax(value, 0), S32, shape[:-1]))
    dtype = S64 if kind == "ReduceSum" else x
    return s.model(s.add(getattr(op, kind)(value, 0), dtype, (*shape[:-1], 1)))


def top_k(x: DType, shape: Shape, k: int) -> IntegerModel:
    """The largest of each row."""
    s = Sketch()
    value = s.input(x, shape)
    return s.model(s.add(op.TopK(value, k, 0), S32, (*shape[:-1], k)))


def move(kind: str, x: DType, shape: Shape, *attributes: Shape) -> IntegerModel:
    """Transpose, Slice, Pad, Expand, Reshape, Clip."""
    s = Sketch()
    value = s.input(x, shape)
    if kind == "Transpose":
        out = tuple(shape[axis] for axis in attributes[0])
        return s.model(s.add(op.Transpose(value, attributes[0], 0), x, out))
    if kind == "Slice":
        starts, steps, out = attributes
        return s.model(s.add(op.Slice(value, starts, steps, 0), x, out))
    if kind == "Pad":
        before, after = attributes
        out = tuple(map(sum, zip(before, shape, after, strict=True)))
        return s.model(s.add(op.Pad(value, before, after, 3, 0), x, out))
    if kind == "Expand":
        return s.model(s.add(op.Expand(value, 0), x, attributes[0]))
    if kind == "Clip":
        return s.model(s.add(op.Clip(value, 0, 9, 0), x, shape))
    return s.model(s.add(op.Reshape(value, 0), x, (prod(shape),)))


def concat(x: DType, shape: Shape, count: int, axis: int) -> IntegerModel:
    """One tensor joined with itself."""
    s = Sketch()
    value = s.input(x, shape)
    out = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
    return s.model(s.add(op.Concat((value,) * count, axis, 0), x, out))


def gather(table: Shape, dtype: DType, count: int) -> IntegerModel:
    """``count`` rows far apart."""
    s = Sketch()
    stored = s.constant(dtype, table, 0, 100)
    value = s.input(S32, (count,))
    value = s.add(op.Clip(value, 0, table[0] - 1, 0), S32, (count,))
    return s.model(s.add(op.Gather(value, stored, 0), dtype, (count, *table[1:])))


def trees(
    x: DType, count: int, depth: int, features: int, targets: int = 1, thin: bool = False
) -> IntegerModel:
    """Complete trees, or with ``thin`` a single path of ``depth`` decisions in each."""
    s = Sketch()
    nodes = 2 * depth + 1 if thin else 2 ** (depth + 1) - 1
    inner = np.arange(nodes) % 2 == 0 if thin else np.arange(nodes) < nodes // 2
    inner = inner & (np.arange(nodes) < nodes - 1)
    left = np.arange(nodes) + 1 if thin else 2 * np.arange(nodes) + 1
    base = np.repeat(np.arange(count) * nodes, nodes)
    noise = np.random.default_rng(4)
    spread = noise.integers(0, features, count * nodes)
    many = np.tile(inner, count)
    feature = np.where(many, spread, -1 - noise.integers(0, 64, count * nodes))
    child = np.where(many, np.tile(left, count) + base, 0)
    nodes_of_all = (count * nodes,)
    roots = s.values(S32, [int(v) for v in np.arange(count) * nodes])
    features_read = s.values(S32, feature.tolist())
    threshold = s.constant(x, nodes_of_all, -(1 << 30), 1 << 30)
    lefts = s.values(S32, child.tolist())
    rights = s.values(S32, np.where(many, child + 1, 0).tolist())
    missing = s.constant(U8, nodes_of_all, 0, 1)
    leaves = s.constant(S64, (64, targets), -99, 99)
    start = s.constant(S64, (targets,), -99, 99)
    value = s.input(x, (features,))
    return s.model(
        s.add(
            op.TreeEnsemble(
                value,
                roots,
                features_read,
                threshold,
                lefts,
                rights,
                missing,
                leaves,
                start,
                depth,
                0,
            ),
            S64,
            (targets,),
        )
    )


def tiny(count: int, x: DType, shape: Shape) -> IntegerModel:
    """``count`` instructions that do nothing much, one after another."""
    s = Sketch()
    value = s.input(x, shape)
    for index in range(count):
        value = s.add(op.Clip(value, 0, 9 + index % 2, 0), x, shape)
    return s.model(value)


def ports(count: int) -> IntegerModel:
    """As many inputs and outputs as there may be, of one byte."""
    s = Sketch()
    return s.model(*[s.input(U8, (1,)) for _ in range(count)])
