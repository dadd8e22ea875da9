"""Random products."""

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tests.precompiles.random_drafts import ANY, QUANTIZED, WIDE, Draft, Drawn, drawer


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
    x = d.tensor((DType.U8, DType.S16), rank=3)
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
        d.number(*d.type_of(x).dtype.bounds),
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


@drawer(op.MatMul)
def _matmul(d: Draft) -> Drawn:
    """Of two tensors with equal leading axes: one tensor with itself, rescaled and turned."""
    y = d.tensor(ANY, least=2)
    narrow = d.rng.random() < 0.5
    a = d.rescaled(y, DType.U8 if narrow else DType.S16)
    b = d.rescaled(y, DType.S8 if narrow else d.rng.choice((DType.S8, DType.S16)))
    *leading, rows, depth = d.type_of(y).shape
    zero_point = d.number(*d.type_of(a).dtype.bounds)
    if d.type_of(b).dtype is DType.S16:
        a, b = d.clipped(a, -3000, 3000), d.clipped(b, -3000, 3000)
        zero_point = d.number(-3000, 3000)
    transpose = d.rng.randint(0, 1)
    if not transpose:
        rank = len(leading)
        axes = (*range(rank), rank + 1, rank)
        shape = (*leading, depth, rows)
        b = d.append(op.Transpose(b, axes, 0), TensorType(d.type_of(b).dtype, shape))
    out = d.rng.choice(QUANTIZED)
    multiplier = d.number(1, d.rng.choice((3, 1 << 20, (1 << 31) - 1)))
    product = op.MatMul(a, b, zero_point, transpose, multiplier, *d.rounding(out), 0)
    return product, TensorType(out, (*leading, rows, rows))
