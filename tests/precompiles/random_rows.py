"""Random instructions over windows and rows."""

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tests.precompiles.random_drafts import ANY, NARROW, QUANTIZED, Draft, Drawn, drawer


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


@drawer(op.Softmax)
def _softmax(d: Draft) -> Drawn:
    x = d.clipped(d.tensor(QUANTIZED, least=1), -(1 << 27), 1 << 27)
    low, high = d.interval(x)
    most = max(((1 << 31) - 1) // max(high - low, 1), 1)
    scale = d.number(1, most), d.number(0, 30)
    out = d.rng.choice((DType.U8, DType.S16))
    return op.Softmax(x, *scale, 0), TensorType(out, d.type_of(x).shape)


@drawer(op.LayerNorm)
def _layer_norm(d: Draft) -> Drawn:
    x = d.tensor((DType.S16, DType.S32), least=1)
    x = d.clipped(x, -32767, d.rng.choice((-32000, 40, 32767)))
    row = (d.type_of(x).shape[-1],)
    reach = d.rng.choice((300, 1 << 20, (1 << 31) - 1))
    gain = d.constant(DType.S32, row, -reach, reach)
    limit = d.rng.choice((1 << 20, (1 << 61) - 1))
    offset = d.constant(DType.S64, row, -limit, limit)
    epsilon = d.number(0, d.rng.choice((1, 1 << 20, (1 << 61) - 1)))
    out = d.rng.choice(QUANTIZED)
    norm = op.LayerNorm(x, gain, offset, d.rng.randint(0, 1), epsilon, *d.rounding(out), 0)
    return norm, TensorType(out, d.type_of(x).shape)


@drawer(op.TopK)
def _top_k(d: Draft) -> Drawn:
    x = d.tensor(ANY, least=1)
    *leading, row = d.type_of(x).shape
    k = d.rng.randint(1, row)
    return op.TopK(x, k, 0), TensorType(DType.S32, (*leading, k))
