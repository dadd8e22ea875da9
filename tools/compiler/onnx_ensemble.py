"""Importer of ai.onnx.ml 5 TreeEnsemble, which replaces the older tree operators."""

from typing import Any

import numpy as np
import onnx.numpy_helper

from tools.compiler.graph import Array, Floats, TreeTable
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_ml import emit_trees, transform_sums
from tools.compiler.scope import Importer, Scope, reject

_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = (b"NONE", b"SOFTMAX", b"LOGISTIC", b"SOFTMAX_ZERO", b"PROBIT")
_ADVICE = "export again with a current converter"


def _tensor(node: OnnxNode, key: str) -> Floats:
    value = node.attributes.get(key)
    if value is None:
        reject(node, f"has no {key}", _ADVICE)
    return np.asarray(onnx.numpy_helper.to_array(value), dtype=np.float64).reshape(-1)


def _whole(node: OnnxNode, key: str, default: Any = ()) -> Array:
    return np.asarray(node.attributes.get(key, default), dtype=np.int64).reshape(-1)


def ensemble_table(node: OnnxNode) -> TreeTable:
    """Inner nodes first, then leaves.

    Raises:
        CompileError: set membership tests, lists of unequal length, ids that name no node.
    """
    splits = _tensor(node, "nodes_splits")
    weights = _tensor(node, "leaf_weights")
    codes = _tensor(node, "nodes_modes").astype(int)
    if (codes >= len(_MODES)).any():
        reject(node, "tests membership in sets", "train without categorical splits")
    count, leaves = len(splits), len(weights)
    feature, targets = _whole(node, "nodes_featureids"), _whole(node, "leaf_targetids")
    sides = [_children(node, side, count, leaves) for side in ("true", "false")]
    missing = _whole(node, "nodes_missing_value_tracks_true", (0,) * count)
    roots = _whole(node, "tree_roots")
    width = int(node.attributes.get("n_targets", 1))
    if not (len(feature) == len(codes) == len(missing) == count and len(targets) == leaves):
        reject(node, f"has node lists of unequal length, expected {count}", _ADVICE)
    if not roots.size or roots.min() < 0 or roots.max() >= count or targets.max() >= width:
        reject(node, "has roots or targets that do not exist", _ADVICE)
    leaf = np.zeros((count + leaves, width))
    leaf[count + np.arange(leaves), targets] = weights
    padding = np.zeros(leaves, dtype=np.int64)
    return TreeTable(
        roots=roots,
        feature=np.concatenate([feature, padding]),
        value=np.concatenate([splits, padding]),
        mode=tuple(_MODES[code] for code in codes) + ("LEAF",) * leaves,
        true=np.concatenate([sides[0], padding]),
        false=np.concatenate([sides[1], padding]),
        missing_true=np.concatenate([missing, padding]),
        leaf=leaf,
        base=np.zeros(width),
    )


def _children(node: OnnxNode, side: str, count: int, leaves: int) -> Array:
    """Rows of the table that one side of each node leads to."""
    ids = _whole(node, f"nodes_{side}nodeids")
    is_leaf = _whole(node, f"nodes_{side}leafs") != 0
    if not len(ids) == len(is_leaf) == count or (ids < 0).any():
        reject(node, f"has node lists of unequal length, expected {count}", _ADVICE)
    if (ids >= np.where(is_leaf, leaves, count)).any():
        reject(node, "has children that do not exist", _ADVICE)
    return np.where(is_leaf, ids + count, ids)


def _ensemble(scope: Scope, node: OnnxNode) -> None:
    table = ensemble_table(node)
    aggregate = _AGGREGATES[int(node.attributes.get("aggregate_function", 1))]
    if aggregate not in ("SUM", "AVERAGE"):
        reject(node, f"aggregates trees by {aggregate}", "use SUM or AVERAGE")
    if aggregate == "AVERAGE":
        table.leaf[:] /= len(table.roots)
    raw = emit_trees(scope, node, table)
    named = _TRANSFORMS[int(node.attributes.get("post_transform", 0))]
    attributes = {**node.attributes, "post_transform": named}
    shown = OnnxNode(node.name, node.operator, node.inputs, node.outputs, attributes)
    transform_sums(scope, shown, raw)


IMPORTERS: dict[str, Importer] = {"ai.onnx.ml.TreeEnsemble": _ensemble}
