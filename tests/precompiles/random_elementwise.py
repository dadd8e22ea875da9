"""Random elementwise instructions."""

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import Constant, DType, TensorType
from tests.precompiles.random_drafts import ANY, QUANTIZED, WIDE, Draft, Drawn, drawer, pair


@drawer(op.Add)
def _add(d: Draft) -> Drawn:
    a, b, shape = pair(d, QUANTIZED)
    out = d.rng.choice(QUANTIZED)
    reach = d.rng.choice((3, 1 << 20, (1 << 31) - 1))
    scales = [d.number(-reach, reach) or 1 for _ in range(2)]
    zeros = [d.number(*d.type_of(value).dtype.bounds) for value in (a, b)]
    return op.Add(a, b, *zeros, *scales, *d.rounding(out), 0), TensorType(out, shape)


@drawer(op.Mul)
def _mul(d: Draft) -> Drawn:
    a, b, shape = pair(d, QUANTIZED)
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
    a, b, shape = pair(d, WIDE)
    return op.AddInteger(a, b, 0), TensorType(DType.S64, shape)


@drawer(op.SubInteger)
def _sub_integer(d: Draft) -> Drawn:
    a, b, shape = pair(d, WIDE)
    return op.SubInteger(a, b, 0), TensorType(DType.S64, shape)


@drawer(op.MulInteger)
def _mul_integer(d: Draft) -> Drawn:
    a, b, shape = pair(d, WIDE)
    shift = d.rng.choice((0, 1, 31, 62))
    return op.MulInteger(a, b, shift, 0), TensorType(DType.S64, shape)


@drawer(op.DivInteger)
def _div_integer(d: Draft) -> Drawn:
    bits = d.rng.choice((0, 8, 40, 60))
    a = d.clipped(d.tensor(WIDE), -(1 << bits), 1 << bits)
    shape, reach = d.type_of(a).shape, d.rng.choice((3, 1 << 30, 1 << 61))
    b = d.constant(DType.S64, shape[d.rng.randint(0, len(shape)) :], 1, reach)
    if d.rng.random() < 0.5:
        d.constants.pop()
        b = d.clipped(a if d.rng.random() < 0.3 else d.tensor(WIDE), 1, reach)
    try:
        full = np.broadcast_shapes(shape, d.type_of(b).shape)
    except ValueError as error:
        raise LookupError from error
    shift = d.rng.choice((0, 1, 20, max(60 - bits, 0)))
    return op.DivInteger(a, b, shift, 0), TensorType(DType.S64, full)


@drawer(op.Compare)
def _compare(d: Draft) -> Drawn:
    a, b, shape = pair(d, ANY)
    return op.Compare(a, b, d.rng.randint(0, 2), 0), TensorType(DType.U8, shape)


def _alike(d: Draft) -> tuple[int, int, TensorType]:
    """Two operands of one dtype."""
    dtype = d.type_of(d.tensor(ANY)).dtype
    a, b, shape = pair(d, (dtype,))
    return a, b, TensorType(dtype, shape)


@drawer(op.Select)
def _select(d: Draft) -> Drawn:
    a, b, kind = _alike(d)
    cut = kind.shape[d.rng.randint(0, len(kind.shape)) :]
    condition = d.constant(DType.U8, tuple(d.rng.choice((1, size)) for size in cut), 0, 2)
    fits = [
        -1 - index
        for index, other in enumerate(d.tensors)
        if other.dtype is DType.U8 and other.shape in (kind.shape, kind.shape[1:])
    ]
    if fits and d.rng.random() < 0.7:
        d.constants.pop()
        condition = d.rng.choice(fits)
    return op.Select(condition, a, b, 0), kind


@drawer(op.Minimum)
def _minimum(d: Draft) -> Drawn:
    a, b, kind = _alike(d)
    return op.Minimum(a, b, 0), kind


@drawer(op.Maximum)
def _maximum(d: Draft) -> Drawn:
    a, b, kind = _alike(d)
    return op.Maximum(a, b, 0), kind


@drawer(op.SquareRoot)
def _square_root(d: Draft) -> Drawn:
    x = d.clipped(d.tensor(WIDE), 0, d.rng.choice((9, 1 << 32, (1 << 62) - 1)))
    return op.SquareRoot(x, 0), TensorType(DType.S64, d.type_of(x).shape)
