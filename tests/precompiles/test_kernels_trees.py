"""Tree ensembles: thresholds, missing values, shared nodes, several targets, against the twin."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.kernels.arrays import Array
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import DType, IntegerModel, TensorType
from tests.precompiles.step_programs import S32, S64, U8, Make, check, fixed, program


class Grower:
    """Nodes of a random ensemble; a node may have several parents."""

    def __init__(self, seed: int, features: int, rows: int, share: float) -> None:
        self.rng = random.Random(seed)
        self.features, self.rows, self.share = features, rows, share
        self.feature: list[int] = []
        self.left: list[int] = []
        self.right: list[int] = []

    def grow(self, depth: int) -> int:
        node = len(self.feature)
        for column in (self.feature, self.left, self.right):
            column.append(0)
        if depth == 0 or self.rng.random() < 0.15:
            self.feature[node] = -1 - self.rng.randrange(self.rows)
            return node
        self.feature[node] = self.rng.randrange(self.features)
        self.left[node] = self.grow(depth - 1)
        shares = self.rng.random() < self.share
        self.right[node] = self.left[node] if shares else self.grow(depth - 1)
        return node


def ensemble_of(depth: int) -> Make:
    return lambda x, a, b, c, d, e, f, g, h: op.TreeEnsemble(x, a, b, c, d, e, f, g, h, depth, 0)


def ensemble(
    dtype: DType,
    features: int,
    grower: Grower,
    roots: list[int],
    depth: int,
    leaves: Array,
    missing: float,
) -> IntegerModel:
    rng = np.random.default_rng(len(grower.feature))
    count = len(grower.feature)
    low, high = dtype.bounds
    threshold = rng.integers(-5, 6, (count,))
    for end in (low, low + 1, high):
        threshold[rng.random(count) < 0.08] = end
    tables = [
        fixed(S32, roots),
        fixed(S32, grower.feature),
        fixed(dtype, threshold),
        fixed(S32, grower.left),
        fixed(S32, grower.right),
        fixed(U8, rng.random((count,)) < missing),
        fixed(S64, leaves),
        fixed(S64, rng.integers(-9, 9, (leaves.shape[1],))),
    ]
    return program(
        ensemble_of(depth),
        [TensorType(dtype, (features,)), *tables],
        TensorType(S64, (leaves.shape[1],)),
    )


def samples(dtype: DType, shape: tuple[int, int], seed: int) -> Array:
    """Values around the thresholds, some of them missing, some at the other end."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-7, 8, shape)
    low, high = dtype.bounds
    for end in (low, low + 1, high):
        x[rng.random(shape) < 0.1] = end
    return x.astype(NUMPY_TYPES[dtype])


@settings(max_examples=50)
@given(st.data())
def test_any_ensemble(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 1 << 30))
    features, rows = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 20))
    depth, count = data.draw(st.integers(0, 6)), data.draw(st.sampled_from([1, 3, 8, 9, 17, 30]))
    grower = Grower(seed, features, rows, data.draw(st.sampled_from([0.0, 0.3])))
    roots = [grower.grow(grower.rng.randint(0, depth)) for _ in range(count)]
    roots += data.draw(st.lists(st.sampled_from(roots), max_size=3))
    rng = np.random.default_rng(seed)
    targets = data.draw(st.integers(1, 4))
    leaves = rng.integers(-(1 << 50), 1 << 50, (rows, targets))
    if data.draw(st.booleans()):  # every leaf speaks of one target
        leaves *= np.arange(targets) == rng.integers(0, targets, (rows, 1))
    dtype = data.draw(st.sampled_from([S32, S64]))
    missing = data.draw(st.sampled_from([0.0, 0.5]))
    model = ensemble(dtype, features, grower, roots, depth, leaves, missing)
    check(model, [samples(dtype, (data.draw(st.integers(1, 9)), features), seed)])


@pytest.mark.parametrize("dtype", [S32, S64])
def test_thresholds_and_missing_values(dtype: DType) -> None:
    """One split: right from the threshold on; a missing value by its own bit."""
    low, high = dtype.bounds
    x = np.array([[4], [5], [6], [low], [low + 1], [high]]).astype(NUMPY_TYPES[dtype])
    for threshold in (5, low, low + 1, high):
        for bit in (0, 1):
            tables = [
                fixed(S32, [0]),
                fixed(S32, [0, -1, -2]),
                fixed(dtype, [threshold, 0, 0]),
                fixed(S32, [1, 0, 0]),
                fixed(S32, [2, 0, 0]),
                fixed(U8, [bit, 0, 0]),
                fixed(S64, np.array([[10], [20]])),
                fixed(S64, [1000]),
            ]
            model = program(
                ensemble_of(1),
                [TensorType(dtype, (1,)), *tables],
                TensorType(S64, (1,)),
            )
            check(model, [x])
            check(model, [x], is_python=True)


def test_classes_of_trees_in_turn() -> None:
    """Trees of several classes, sums of each class apart, groups of eight across classes."""
    grower = Grower(5, 4, 12, 0.0)
    roots = [grower.grow(4) for _ in range(27)]
    for node, feature in enumerate(grower.feature):
        if feature < 0:
            tree = max(place for place, root in enumerate(roots) if root <= node)
            grower.feature[node] = -1 - (4 * (tree % 3) + node % 4)
    leaves = np.zeros((12, 3), np.int64)
    leaves[np.arange(12), np.arange(12) // 4] = np.arange(12) * 1000 + 1
    model = ensemble(S32, 4, grower, roots, 4, leaves, 0.3)
    names = check(model, [samples(S32, (33, 4), 1)])
    assert names == ["start_sums", "mark_missing_i4", "add_leaves_i4"]


def test_chains_of_shared_nodes_stay_small() -> None:
    """Both children of every node are the next one: paths double, the plan does not."""
    depth = 24
    grower = Grower(0, 3, 1, 0.0)
    grower.feature = [node % 3 for node in range(depth)] + [-1]
    grower.left = grower.right = [node + 1 for node in range(depth)] + [0]
    model = ensemble(S64, 3, grower, [0, 1, 2], depth, np.array([[7]]), 0.2)
    check(model, [samples(S64, (2, 3), 0)])
