"""Plan of tree ensembles: nodes in pairs of siblings, trees that are alike side by side.

Every inner node gets a pair of slots for its children, so a step needs no branch: the pair's place
plus the comparison. Nodes that several parents share are written once for each parent, and their
own children once. A missing value is the lowest word: it goes left wherever the threshold is at
least the next word; nodes that send it right read a second row, in which it is the highest.
"""

from dataclasses import dataclass

import numpy as np

from precompiles.kernels import trees
from precompiles.kernels.arrays import S64, Array
from precompiles.model import operators as op
from precompiles.planning.axes import element_type
from precompiles.planning.planner import Place, Planner
from precompiles.planning.registry import plan

SEVERAL = -2
NONE = -1
"""Targets of a subtree besides a number: several, or none that is not 0."""


@dataclass(frozen=True, slots=True)
class Forest:
    """An ensemble's constants, and what follows from them about every node."""

    roots: S64
    feature: S64
    left: S64
    right: S64
    leaves: Array
    depth: S64
    """Decisions below each node that a root reaches."""
    target: S64
    """The only target below each such node that is not 0, NONE or SEVERAL."""


def forest_of(instruction: op.TreeEnsemble, planner: Planner) -> Forest:
    """Read the constants, and follow every path from the leaves up."""
    names = "roots", "feature", "left", "right"
    roots, feature, left, right = (
        planner.constant(getattr(instruction, name)).astype(np.int64) for name in names
    )
    leaves = planner.constant(instruction.leaves)
    filled = leaves != 0
    count = filled.sum(axis=1)
    of_row = np.where(count == 0, NONE, np.where(count == 1, filled.argmax(axis=1), SEVERAL))
    inner = np.flatnonzero(feature >= 0)
    depth = np.zeros(feature.size, np.int64)
    target = np.where(feature < 0, of_row[np.maximum(-feature - 1, 0)], NONE)
    for _ in range(instruction.depth):
        a, b = left[inner], right[inner]
        depth[inner] = 1 + np.maximum(depth[a], depth[b])
        target[inner] = np.where(
            target[a] == NONE,
            target[b],
            np.where((target[b] == NONE) | (target[a] == target[b]), target[a], SEVERAL),
        )
    return Forest(roots, feature, left, right, leaves, depth, target)


@plan.register
def _(instruction: op.TreeEnsemble, planner: Planner) -> None:
    forest = forest_of(instruction, planner)
    width = forest.leaves.shape[1]
    is_leaf = forest.feature[forest.roots] < 0
    fixed = forest.leaves[-forest.feature[forest.roots[is_leaf]] - 1].sum(axis=0)
    base = planner.constant(instruction.base) + fixed
    out = planner.tensor(instruction.output)
    planner.emit(trees.start_sums, planner.place(base), width, out)
    roots = forest.roots[~is_leaf]
    if not roots.size:
        return
    x, features = _rows(instruction, planner)
    order = np.lexsort((forest.depth[roots], forest.target[roots]))
    roots = roots[order]
    roots = roots[forest.target[roots] != NONE]
    many = int((forest.target[roots] == SEVERAL).sum())
    element = element_type(planner, instruction.x)
    nodes = _nodes(instruction, planner, forest, roots)
    tables = planner.place(nodes), nodes.size, planner.place(forest.leaves), forest.leaves.size
    places = np.arange(roots.size) * trees.WORDS
    depths = forest.depth[roots]
    targets = forest.target[roots]
    if many:
        words = *_table(planner, places[:many], depths[:many], targets[:many]), width, out
        planner.emit(trees.add_leaf_rows(element), x, features, *tables, *words)
    if many < roots.size:
        together = trees.TOGETHER
        depths = depths[many:]
        starts = np.arange(0, depths.size - depths.size % together, together)
        for first in starts:
            depths[first : first + together] = depths[first : first + together].max()
        words = *_table(planner, places[many:], depths, targets[many:]), width, out
        planner.emit(trees.add_leaves(element), x, features, *tables, *words)


def _table(planner: Planner, roots: S64, depths: S64, targets: S64) -> tuple[int, int, int, int]:
    return (
        roots.size,
        planner.place(roots.astype(np.int64)),
        planner.place(depths.astype(np.int64)),
        planner.place(targets.astype(np.int64)),
    )


def _rows(instruction: op.TreeEnsemble, planner: Planner) -> tuple[Place, int]:
    """Where the rows lie that nodes read, and their length."""
    x, kind = planner.tensor(instruction.x), planner.model.type_of(instruction.x)
    if not _needs_marks(instruction, planner):
        return x, kind.elements
    marked = planner.scratch(2 * kind.nbytes)
    element = element_type(planner, instruction.x)
    planner.emit(trees.mark_missing(element), x, kind.elements, marked, *kind.dtype.bounds)
    return marked, 2 * kind.elements


def _needs_marks(instruction: op.TreeEnsemble, planner: Planner) -> bool:
    feature = planner.constant(instruction.feature)
    return bool(planner.constant(instruction.missing_right)[feature >= 0].any())


def _nodes(instruction: op.TreeEnsemble, planner: Planner, forest: Forest, roots: S64) -> Array:
    """Words of all slots: the roots, then the children of every inner node, pair after pair."""
    inner = np.flatnonzero(forest.feature >= 0)
    pair = np.zeros(forest.feature.size, np.int64)
    pair[inner] = roots.size + 2 * np.arange(inner.size)
    children = np.stack([forest.left[inner], forest.right[inner]], axis=1).reshape(-1)
    slots = np.concatenate([roots, children])
    feature = forest.feature[slots]
    threshold = planner.constant(instruction.threshold)[slots].astype(np.int64)
    goes_right = planner.constant(instruction.missing_right)[slots] != 0
    lowest = planner.model.type_of(instruction.x).dtype.bounds[0]
    threshold = np.where(~goes_right & (threshold == lowest), lowest + 1, threshold)
    row_length = planner.model.type_of(instruction.x).elements
    is_inner = feature >= 0
    words = np.zeros((slots.size, trees.WORDS), np.int64)
    words[:, 0] = np.where(is_inner, feature + row_length * goes_right, 0)
    words[:, 1] = np.where(is_inner, threshold, lowest)
    words[:, 2] = np.where(is_inner, pair[slots], np.arange(slots.size) - 1) * trees.WORDS
    words[:, 3] = np.where(is_inner, 0, -feature - 1) * forest.leaves.shape[1]
    return words.astype(planner.dtype(instruction.x))
