"""Four whole models with fixed noise as weights: an MLP, a CNN, a transformer block, a forest.

They walk the planner's ways that single operators do not: memory used again, images with borders,
batches of several sizes, kernels chosen by shape.
"""

from collections.abc import Iterator

from precompiles.model import operators as op
from precompiles.model.types import DType, IntegerModel, TensorType
from precompiles.selftest_draft import Draft
from precompiles.selftest_parts import (
    S8,
    S16,
    S32,
    S64,
    U8,
    constant,
    noise,
    random_constant,
)

_TOP = (1 << 31) - 1


def network_models() -> Iterator[tuple[str, IntegerModel, tuple[int, ...]]]:
    """(name, model, further batches to run beside the sample's own)."""
    yield "mlp", mlp(), (1, 20)
    yield "cnn", cnn(), (1,)
    yield "transformer", transformer(), (1,)
    yield "forest", forest(), (1, 100)


def _gemm(draft: Draft, x: int, shape: tuple[int, ...], columns: int, out: DType, seed: int) -> int:
    """Requantised product whose sums of noise fill the output's range about."""
    dtype = draft.tensors[-x - 1].dtype
    weight = draft.constant(random_constant(S8, (shape[-1], columns), seed, -127, 127))
    reach = 1 << 15 if dtype is U8 else 1 << 22
    bias = draft.constant(random_constant(S32, (columns,), seed + 1, -reach, reach))
    multiplier = draft.constant(random_constant(S32, (columns,), seed + 2, 1 << 30, _TOP))
    low, high = out.bounds
    shift = 31 + (10 if dtype is U8 else 16) - (8 if out is S16 else 0)
    gemm = op.Gemm(x, weight, bias, multiplier, shift, 128 if out is U8 else 0, low, high, 0)
    return draft.run(gemm, TensorType(out, (*shape[:-1], columns)))


def mlp() -> IntegerModel:
    """u8 (33) -> 40 -> 24 by table -> s8 (10), and the class."""
    draft = Draft()
    x = draft.input(TensorType(U8, (33,)))
    x = _gemm(draft, x, (33,), 40, U8, 101)
    x = _gemm(draft, x, (40,), 24, U8, 104)
    table = draft.constant(random_constant(U8, (256,), 107, 0, 255))
    x = draft.run(op.Lookup(x, table, 0), TensorType(U8, (24,)))
    x = _gemm(draft, x, (24,), 10, S8, 108)
    return draft.finish(x, draft.run(op.ArgMax(x, 0), TensorType(S32, ())))


def _conv(draft: Draft, x: int, filters: int, size: int, stride: int, group: int, seed: int) -> int:
    """u8 convolution, padded to keep the image's size but for the stride."""
    height, width, channels = draft.tensors[-x - 1].shape
    depth = channels // group
    weight = draft.constant(random_constant(S8, (size, size, depth, filters), seed, -127, 127))
    bias = draft.constant(random_constant(S32, (filters,), seed + 1, -9000, 9000))
    multiplier = draft.constant(random_constant(S32, (filters,), seed + 2, 1 << 30, _TOP))
    pads = (size // 2,) * 4
    terms = size * size * depth
    shift = 37 + (terms.bit_length() + 1) // 2
    strides, rounding = (stride, stride), (128, shift, 128, 0, 255)
    conv = op.Conv(x, weight, bias, multiplier, strides, pads, (1, 1), group, *rounding, 0)
    sides = (height - 1) // stride + 1, (width - 1) // stride + 1
    return draft.run(conv, TensorType(U8, (*sides, filters)))


def cnn() -> IntegerModel:
    """u8 (11, 12, 3): convolution, inverted residual with depthwise, pools, classifier."""
    draft = Draft()
    x = draft.input(TensorType(U8, (11, 12, 3)))
    x = _conv(draft, x, 17, 3, 2, 1, 201)
    wide = _conv(draft, x, 36, 1, 1, 1, 204)
    deep = _conv(draft, wide, 36, 3, 1, 36, 207)
    thin = _conv(draft, deep, 17, 1, 1, 1, 210)
    shape = draft.tensors[-thin - 1]
    x = draft.run(op.Add(x, thin, 128, 128, 3 << 20, 5 << 20, 23, 128, 0, 255, 0), shape)
    pooled = op.MaxPool(x, (2, 2), (2, 2), (0, 0, 0, 0), 0)
    x = draft.run(pooled, TensorType(U8, (3, 3, 17)))
    x = _conv(draft, x, 24, 3, 1, 1, 213)
    area = draft.constant(constant(S32, (1, 1), [954437177]))
    mean = op.AveragePool(x, area, (3, 3), (1, 1), (0, 0, 0, 0), 128, 31, 128, 0, 255, 0)
    x = draft.run(mean, TensorType(U8, (1, 1, 24)))
    x = draft.run(op.Reshape(x, 0), TensorType(U8, (24,)))
    return draft.finish(_gemm(draft, x, (24,), 7, S16, 216))


def transformer() -> IntegerModel:
    """Tokens s32 (6) -> embeddings, an attention block of two heads of 16, s16 (6, 32)."""
    draft = Draft()
    tokens = TensorType(S32, (6,))
    x = draft.run(op.Clip(draft.input(tokens), 0, 49, 0), tokens)
    table = draft.constant(random_constant(S16, (50, 32), 301, -9000, 9000))
    stream = TensorType(S16, (6, 32))
    x = draft.run(op.Gather(x, table, 0), stream)
    places = draft.constant(random_constant(S16, (6, 32), 302, -3000, 3000))
    x = _add(draft, x, places)
    y = _norm(draft, x, 303)
    heads = []
    for index, out in enumerate((U8, S8, S8)):
        part = _gemm(draft, y, (6, 32), 32, out, 310 + 3 * index)
        part = draft.run(op.Reshape(part, 0), TensorType(out, (6, 2, 16)))
        heads.append(draft.run(op.Transpose(part, (1, 0, 2), 0), TensorType(out, (2, 6, 16))))
    scores = op.MatMul(heads[0], heads[1], 128, 1, 1 << 30, 36, 0, -32768, 32767, 0)
    y = draft.run(scores, TensorType(S16, (2, 6, 6)))
    y = draft.run(op.Softmax(y, 900, 4, 0), TensorType(U8, (2, 6, 6)))
    mixed = op.MatMul(y, heads[2], 0, 0, 1 << 30, 38, 128, 0, 255, 0)
    y = draft.run(mixed, TensorType(U8, (2, 6, 16)))
    y = draft.run(op.Transpose(y, (1, 0, 2), 0), TensorType(U8, (6, 2, 16)))
    y = draft.run(op.Reshape(y, 0), TensorType(U8, (6, 32)))
    x = _add(draft, x, _gemm(draft, y, (6, 32), 32, S16, 320))
    y = _gemm(draft, _norm(draft, x, 323), (6, 32), 48, U8, 326)
    gelu = draft.constant(random_constant(U8, (256,), 329, 0, 255))
    y = draft.run(op.Lookup(y, gelu, 0), TensorType(U8, (6, 48)))
    x = _add(draft, x, _gemm(draft, y, (6, 48), 32, S16, 330))
    return draft.finish(x, draft.run(op.TopK(x, 2, 0), TensorType(S32, (6, 2))))


def _add(draft: Draft, a: int, b: int) -> int:
    add = op.Add(a, b, 0, 0, 3 << 20, 3 << 19, 22, 0, -32767, 32767, 0)
    return draft.run(add, TensorType(S16, (6, 32)))


def _norm(draft: Draft, x: int, seed: int) -> int:
    gain = draft.constant(random_constant(S32, (32,), seed, 1 << 20, 1 << 21))
    offset = draft.constant(random_constant(S64, (32,), seed + 1, -(1 << 36), 1 << 36))
    norm = op.LayerNorm(x, gain, offset, 1, 1 << 16, 32, 128, 0, 255, 0)
    return draft.run(norm, TensorType(U8, (6, 32)))


def forest() -> IntegerModel:
    """s32 (5) -> 12 complete trees of depth 4, three targets as s64, and the class."""
    trees, depth, inner = 12, 4, 15
    nodes = 31
    feature: list[int] = []
    left: list[int] = []
    right: list[int] = []
    for tree in range(trees):
        picked = noise(400 + tree, inner, 0, 4)
        feature += [*picked, *(-1 - tree * 16 - leaf for leaf in range(16))]
        children = [tree * nodes + 2 * node + 1 for node in range(inner)]
        left += [*children, *[0] * 16]
        right += [*(child + 1 for child in children), *[0] * 16]
    count = trees * nodes
    fields = (
        constant(S32, (trees,), [tree * nodes for tree in range(trees)]),
        constant(S32, (count,), feature),
        random_constant(S32, (count,), 420, -(1 << 31), _TOP),
        constant(S32, (count,), left),
        constant(S32, (count,), right),
        random_constant(U8, (count,), 421, 0, 1),
        random_constant(S64, (trees * 16, 3), 422, -(1 << 50), 1 << 50),
        random_constant(S64, (3,), 423, -(1 << 50), 1 << 50),
    )
    draft = Draft()
    x = draft.input(TensorType(S32, (5,)))
    roots, split, threshold, low, high, missing, leaves, base = map(draft.constant, fields)
    ensemble = op.TreeEnsemble(
        x, roots, split, threshold, low, high, missing, leaves, base, depth, 0
    )
    y = draft.run(ensemble, TensorType(S64, (3,)))
    return draft.finish(y, draft.run(op.ArgMax(y, 0), TensorType(S32, ())))
