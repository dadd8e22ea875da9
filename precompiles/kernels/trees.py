"""Tree ensembles: integer thresholds, integer leaves, one walk per tree."""

from functools import cache
from typing import Final

import numpy as np

from precompiles.kernels.arrays import S64, U8, Array, Exact
from precompiles.kernels.jit import Kernel, kernel, subroutine
from precompiles.kernels.typed import Element, named

WORDS: Final = 4
"""Words of a node: feature, threshold, word of its left child, and a leaf's place in leaves."""
TOGETHER: Final = 8
"""Trees walked at once, so that none waits for another's memory."""


def trees_reference(
    x: Exact,
    roots: Exact,
    feature: Exact,
    threshold: Exact,
    left: Exact,
    right: Exact,
    missing_right: Exact,
    leaves: Exact,
    base: Exact,
    missing: int,
) -> Exact:
    """``base`` plus the leaf row reached in each tree; x (F), leaves (rows, targets)."""
    total = base
    for root in roots:
        node = root
        while feature[node] >= 0:
            value = x[feature[node]]
            is_missing = value == missing
            goes_right = missing_right[node] if is_missing else value >= threshold[node]
            node = right[node] if goes_right else left[node]
        total = total + leaves[-feature[node] - 1]
    return total


@subroutine
def child(nodes: Array, place: int, row: Array) -> int:
    """Word of the next node: the left child, or when ``x >= threshold`` the right one behind it.

    A leaf's threshold is the lowest word and its children lie where it is itself the right one, so
    it stays.
    """
    node = np.uint32(place)
    is_right = row[np.uint32(nodes[node])] >= nodes[np.uint32(node + 1)]
    return int(nodes[np.uint32(node + 2)]) + (WORDS if is_right else 0)


@subroutine
def leaf_of(nodes: Array, place: int) -> int:
    """Place in leaves of a leaf."""
    return int(nodes[np.uint32(np.uint32(place) + 3)])


@subroutine
def walk_one(nodes: Array, root: int, depth: int, row: Array) -> int:
    """Place in leaves of the leaf that one tree reaches."""
    place = root
    for _ in range(depth):
        place = child(nodes, place, row)
    return leaf_of(nodes, place)


@kernel
def start_sums(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Write the base of every sample; args: base in weights, targets, out."""
    targets = args[1]
    base = weights[args[0] : args[0] + targets * 8].view(np.int64)
    out = memory[args[2] : args[2] + targets * batch * 8].view(np.int64)
    for sample in range(batch):
        sums = out[sample * targets : (sample + 1) * targets]
        for target in range(targets):
            sums[target] = base[target]


@cache
def mark_missing(element: Element) -> Kernel:
    """Kernel that writes each row twice, the second time with missing values as the highest.

    args: x, features, out, lowest word, highest word.
    """
    size = np.dtype(element).itemsize

    def mark(memory: U8, weights: U8, args: S64, batch: int) -> None:
        features = args[1]
        x = memory[args[0] : args[0] + batch * features * size].view(element)
        out = memory[args[2] : args[2] + 2 * batch * features * size].view(element)
        missing, highest = element(args[3]), element(args[4])
        for sample in range(batch):
            row = x[sample * features : (sample + 1) * features]
            same = out[2 * sample * features : (2 * sample + 1) * features]
            marked = out[(2 * sample + 1) * features : (2 * sample + 2) * features]
            for i in range(features):
                value = row[i]
                same[i] = value
                marked[i] = highest if value == missing else value

    return kernel(named(mark, "mark_missing", element))


@cache
def add_leaves(element: Element) -> Kernel:
    """Kernel that adds one leaf of each tree to one target of each sample.

    A leaf's place is that of the first target of its row. args: x, features of a row, nodes, their
    number of words, leaves, their number, trees, roots,
    depth of each group of eight, targets of trees, targets, out; all tables in weights.
    """
    size = np.dtype(element).itemsize

    def add(memory: U8, weights: U8, args: S64, batch: int) -> None:
        features, trees, width = args[1], args[6], args[10]
        x = memory[args[0] : args[0] + batch * features * size].view(element)
        nodes = weights[args[2] : args[2] + args[3] * size].view(element)
        leaves = weights[args[4] : args[4] + args[5] * 8].view(np.int64)
        roots = weights[args[7] : args[7] + trees * 8].view(np.int64)
        depths = weights[args[8] : args[8] + trees * 8].view(np.int64)
        targets = weights[args[9] : args[9] + trees * 8].view(np.int64)
        out = memory[args[11] : args[11] + batch * width * 8].view(np.int64)
        whole = trees - trees % TOGETHER
        for tree in range(0, whole, TOGETHER):
            group = roots[tree : tree + TOGETHER]
            to = targets[tree : tree + TOGETHER]
            depth = depths[tree]
            for sample in range(batch):
                row = x[sample * features : (sample + 1) * features]
                sums = out[sample * width : (sample + 1) * width]
                p0, p1, p2, p3 = group[0], group[1], group[2], group[3]
                p4, p5, p6, p7 = group[4], group[5], group[6], group[7]
                for _ in range(depth):
                    p0, p1 = child(nodes, p0, row), child(nodes, p1, row)
                    p2, p3 = child(nodes, p2, row), child(nodes, p3, row)
                    p4, p5 = child(nodes, p4, row), child(nodes, p5, row)
                    p6, p7 = child(nodes, p6, row), child(nodes, p7, row)
                l0, l1, l2, l3 = (
                    leaf_of(nodes, p0),
                    leaf_of(nodes, p1),
                    leaf_of(nodes, p2),
                    leaf_of(nodes, p3),
                )
                l4, l5, l6, l7 = (
                    leaf_of(nodes, p4),
                    leaf_of(nodes, p5),
                    leaf_of(nodes, p6),
                    leaf_of(nodes, p7),
                )
                if to[0] == to[TOGETHER - 1]:
                    of = leaves[to[0] :]
                    low = of[l0] + of[l1] + of[l2] + of[l3]
                    sums[to[0]] += low + of[l4] + of[l5] + of[l6] + of[l7]
                else:
                    sums[to[0]] += leaves[l0 + to[0]]
                    sums[to[1]] += leaves[l1 + to[1]]
                    sums[to[2]] += leaves[l2 + to[2]]
                    sums[to[3]] += leaves[l3 + to[3]]
                    sums[to[4]] += leaves[l4 + to[4]]
                    sums[to[5]] += leaves[l5 + to[5]]
                    sums[to[6]] += leaves[l6 + to[6]]
                    sums[to[7]] += leaves[l7 + to[7]]
        for tree in range(whole, trees):
            for sample in range(batch):
                row = x[sample * features : (sample + 1) * features]
                place = walk_one(nodes, roots[tree], depths[tree], row)
                out[sample * width + targets[tree]] += leaves[place + targets[tree]]

    return kernel(named(add, "add_leaves", element))


@cache
def add_leaf_rows(element: Element) -> Kernel:
    """Kernel that adds one row of leaves of each tree to all targets of each sample.

    args: as add_leaves, but depths of trees, and no targets of them.
    """
    size = np.dtype(element).itemsize

    def add(memory: U8, weights: U8, args: S64, batch: int) -> None:
        features, trees, width = args[1], args[6], args[10]
        x = memory[args[0] : args[0] + batch * features * size].view(element)
        nodes = weights[args[2] : args[2] + args[3] * size].view(element)
        leaves = weights[args[4] : args[4] + args[5] * 8].view(np.int64)
        roots = weights[args[7] : args[7] + trees * 8].view(np.int64)
        depths = weights[args[8] : args[8] + trees * 8].view(np.int64)
        out = memory[args[11] : args[11] + batch * width * 8].view(np.int64)
        for tree in range(trees):
            for sample in range(batch):
                row = x[sample * features : (sample + 1) * features]
                sums = out[sample * width : (sample + 1) * width]
                place = walk_one(nodes, roots[tree], depths[tree], row)
                leaf = leaves[place : place + width]
                for target in range(width):
                    sums[target] += leaf[target]

    return kernel(named(add, "add_leaf_rows", element))
