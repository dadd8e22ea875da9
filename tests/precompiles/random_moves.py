"""Random moves and trees."""

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import Constant, DType, TensorType
from tests.precompiles.random_drafts import ANY, WIDE, Draft, Drawn, drawer


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


@drawer(op.Gather)
def _gather(d: Draft) -> Drawn:
    rows = d.rng.choice((1, 2, 7, 300))
    x = d.clipped(d.tensor((DType.S32,)), 0, rows - 1)
    inner = tuple(d.rng.choice((1, 3, 8)) for _ in range(d.rng.randint(0, 2)))
    dtype = d.rng.choice(ANY)
    table = d.constant(dtype, (rows, *inner), *dtype.bounds)
    return op.Gather(x, table, 0), TensorType(dtype, (*d.type_of(x).shape, *inner))


@drawer(op.Expand)
def _expand(d: Draft) -> Drawn:
    x = d.tensor(ANY)
    kind = d.type_of(x)
    inner = tuple(d.rng.choice((1, 3)) if size == 1 else size for size in kind.shape)
    outer = tuple(d.rng.choice((1, 2)) for _ in range(d.rng.randint(0, 2)))
    return op.Expand(x, 0), TensorType(kind.dtype, (*outer, *inner))
