"""Output intervals of tree ensembles."""

import numpy as np

from precompiles.model import operators as op
from precompiles.model.checks import Array, Interval, array_interval, require, require_within
from precompiles.model.ranges.rules import INT64, Ranges, output_interval


@output_interval.register
def _(instruction: op.TreeEnsemble, ranges: Ranges) -> Interval:
    feature = ranges.array(instruction.feature)
    roots = ranges.array(instruction.roots)
    leaves = ranges.array(instruction.leaves)
    _check_tree_nodes(instruction, ranges, feature, roots)
    _check_tree_depth(instruction, ranges, feature, roots)
    lows, highs = leaves.min(axis=0).astype(object), leaves.max(axis=0).astype(object)
    base = ranges.array(instruction.base).astype(object)
    trees = len(roots)
    reach = int((abs(base) + np.maximum(-lows, highs) * trees).max())
    require(reach <= INT64[1], "L14", f"sum of max|leaf| + |base| is {reach}, expected < 2**63")
    return int((base + lows * trees).min()), int((base + highs * trees).max())


def _check_tree_nodes(
    instruction: op.TreeEnsemble, ranges: Ranges, feature: Array, roots: Array
) -> None:
    """L14: every index that a walk can follow stays inside its array."""
    nodes, rows = len(feature), len(ranges.array(instruction.leaves))
    features = ranges.model.type_of(instruction.x).elements
    require_within(array_interval(roots), (0, nodes - 1), "L14", "roots")
    require_within(array_interval(feature), (-rows, features - 1), "L14", "feature")
    internal = np.flatnonzero(feature >= 0)
    for name in ("left", "right"):
        child = ranges.array(getattr(instruction, name))[internal]
        if len(child):
            require_within(array_interval(child), (0, nodes - 1), "L14", name)
            require(bool((child > internal).all()), "L14", f"{name} does not exceed its parent")
    require_within(ranges.of(instruction.missing_right), (0, 1), "L14", "missing_right")


def _check_tree_depth(
    instruction: op.TreeEnsemble, ranges: Ranges, feature: Array, roots: Array
) -> None:
    """L14: after ``depth`` decisions every walk stands on a leaf."""
    left, right = ranges.array(instruction.left), ranges.array(instruction.right)
    frontier = np.unique(roots)
    for _ in range(instruction.depth):
        frontier = frontier[feature[frontier] >= 0]
        frontier = np.unique(np.concatenate((left[frontier], right[frontier])))
    deeper = int((feature[frontier] >= 0).sum())
    require(deeper == 0, "L14", f"{deeper} walks are longer than depth {instruction.depth}")
