"""Importers of ai.onnx.ml: linear models, scalers, normalisers, tree ensembles.

Scores follow onnxruntime where the specification is open (one score for two classes, all-positive
leaf weights): microsoft/onnxruntime ``core/providers/cpu/ml`` (``write_scores``).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx.numpy_helper

from tools.compiler.graph import Affine, Array, Floats, Function, Trees, TreeTable
from tools.compiler.onnx_dense import emit_argmax, emit_dense, emit_softmax
from tools.compiler.onnx_elementwise import sigmoid
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import Importer, Scope, data, origin, reject

_TREE_ADVICE = "export again with a current converter (skl2onnx, onnxmltools)"


def _scaler(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    shift = np.asarray(node.attributes.get("offset", [0.0]), dtype=np.float32)
    scale = np.asarray(node.attributes.get("scale", [1.0]), dtype=np.float32)
    wide = scale.astype(np.float64)
    operation = Affine(
        origin=origin(node),
        output=node.outputs[0],
        x=x,
        scale=wide,
        offset=-shift.astype(np.float64) * wide,
        as_onnx=lambda values: (values.astype(np.float32) - shift) * scale,
    )
    scope.emit(operation, scope.shapes[x])


def post_transform(scope: Scope, node: OnnxNode, x: str, output: str) -> None:
    """Emit ONNX-ML's ``post_transform`` from raw scores ``x`` to ``output``."""
    name = node.attributes.get("post_transform", b"NONE").decode()
    if name == "NONE":
        scope.alias(output, x)
    elif name == "LOGISTIC":
        operation = Function(origin=origin(node), output=output, x=x, expression=sigmoid)
        scope.emit(operation, scope.shapes[x])
    elif name in ("SOFTMAX", "SOFTMAX_ZERO"):
        emit_softmax(scope, node, x, output)
    else:
        reject(node, f"has post_transform {name}", "use NONE, LOGISTIC or SOFTMAX")


def _two_scores(scope: Scope, node: OnnxNode, x: str, *, complement: bool) -> str:
    """Scores ``[1 - s, s]`` (complement) or ``[-s, s]`` from one score s."""
    weight = np.array([[-1.0, 1.0]])
    bias = np.array([1.0 if complement else 0.0, 0.0])
    return emit_dense(scope, node, x, weight, bias, scope.fresh(node))


def emit_classifier(
    scope: Scope, node: OnnxNode, scores: str, classes: int, *, positive: bool
) -> None:
    """Emit label and probabilities from raw scores; one score for two classes is widened."""
    label, output = node.outputs[0], (*node.outputs, "")[1] or scope.fresh(node)
    logistic = node.attributes.get("post_transform", b"NONE") == b"LOGISTIC"
    if scope.shapes[scores][-1] == 1 and classes == 2:
        widened = _two_scores(scope, node, scores, complement=positive)
        if logistic and not positive:
            post_transform(scope, node, widened, output)
        else:
            scope.alias(output, widened)
    else:
        post_transform(scope, node, scores, output)
    if label:
        emit_argmax(scope, node, scope.resolve(output), label)


def _matrix(node: OnnxNode, features: int) -> tuple[Floats, Floats]:
    """Weights (features, targets) and intercepts of a linear model."""
    coefficients = np.asarray(node.attributes["coefficients"], dtype=np.float64)
    if coefficients.size % features:
        reject(node, f"has {coefficients.size} coefficients for {features} features", _TREE_ADVICE)
    weight = coefficients.reshape(-1, features).T
    intercepts = np.asarray(node.attributes.get("intercepts") or [0.0], dtype=np.float64)
    return weight, intercepts


def _linear_regressor(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    weight, intercepts = _matrix(node, scope.shapes[x][-1])
    raw = emit_dense(scope, node, x, weight, intercepts, scope.fresh(node))
    post_transform(scope, node, raw, node.outputs[0])


def class_count(node: OnnxNode) -> int:
    """Number of class labels that the node names."""
    keys = ("classlabels_ints", "classlabels_int64s", "classlabels_strings")
    return max(len(node.attributes.get(key, ())) for key in keys)


def _linear_classifier(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    weight, intercepts = _matrix(node, scope.shapes[x][-1])
    raw = emit_dense(scope, node, x, weight, intercepts, scope.fresh(node))
    emit_classifier(scope, node, raw, class_count(node), positive=False)


def _values(attributes: Mapping[str, Any], key: str) -> Floats:
    """A float list that newer converters store as a tensor attribute."""
    tensor = attributes.get(f"{key}_as_tensor")
    if tensor is not None:
        return np.asarray(onnx.numpy_helper.to_array(tensor), dtype=np.float64).reshape(-1)
    return np.asarray(attributes.get(key, ()), dtype=np.float32).astype(np.float64)


def tree_table(node: OnnxNode, prefix: str, targets: int) -> TreeTable:
    """Read the ``nodes_*`` and ``class_*`` or ``target_*`` attributes.

    Args:
        node: a TreeEnsembleClassifier or TreeEnsembleRegressor.
        prefix: ``class`` or ``target``.
        targets: columns of the leaf table.

    Raises:
        CompileError: lists of unequal length, or ids that name no node.
    """
    attributes = node.attributes
    tree_ids = np.asarray(attributes["nodes_treeids"], dtype=np.int64)
    node_ids = np.asarray(attributes["nodes_nodeids"], dtype=np.int64)
    count = len(tree_ids)
    rows = {
        (int(t), int(n)): row for row, (t, n) in enumerate(zip(tree_ids, node_ids, strict=True))
    }
    mode = tuple(item.decode() for item in attributes["nodes_modes"])
    value = _values(attributes, "nodes_values")
    feature = np.asarray(attributes["nodes_featureids"], dtype=np.int64)
    missing = np.asarray(
        attributes.get("nodes_missing_value_tracks_true") or [0] * count, dtype=np.int64
    )
    children = []
    try:
        for key in ("nodes_truenodeids", "nodes_falsenodeids"):
            ids = np.asarray(attributes[key], dtype=np.int64)
            children.append(
                np.array(
                    [
                        0 if mode[row] == "LEAF" else rows[int(tree_ids[row]), int(ids[row])]
                        for row in range(count)
                    ],
                    dtype=np.int64,
                )
            )
        leaf = np.zeros((count, targets))
        entries = zip(
            attributes[f"{prefix}_treeids"],
            attributes[f"{prefix}_nodeids"],
            attributes[f"{prefix}_ids"],
            _values(attributes, f"{prefix}_weights"),
            strict=True,
        )
        for tree, item, target, weight in entries:
            leaf[rows[int(tree), int(item)], int(target)] += weight
    except (KeyError, IndexError, ValueError) as error:
        reject(node, f"has inconsistent tree lists ({error!r})", _TREE_ADVICE)
    if not len(value) == len(feature) == len(mode) == len(missing) == count:
        reject(node, f"has node lists of unequal length, expected {count}", _TREE_ADVICE)
    roots = np.unique(tree_ids, return_index=True)[1]
    return TreeTable(
        roots=np.sort(roots),
        feature=feature,
        value=value,
        mode=mode,
        true=children[0],
        false=children[1],
        missing_true=missing,
        leaf=leaf,
        base=np.zeros(targets),
    )


def emit_trees(scope: Scope, node: OnnxNode, table: TreeTable) -> str:
    """Emit the sums of an ensemble that reads input 0; CompileError when it is no row."""
    x = data(scope, node)
    shape = scope.shapes[x]
    if len(shape) != 1 or int(table.feature.max(initial=0)) >= shape[0]:
        reject(node, f"reads features of shape {shape}", "give it one row of features per sample")
    operation = Trees(origin=origin(node), output=scope.fresh(node), x=x, table=table)
    return scope.emit(operation, (table.leaf.shape[1],))


def _tree_classifier(scope: Scope, node: OnnxNode) -> None:
    classes = class_count(node)
    ids = sorted({int(item) for item in node.attributes["class_ids"]})
    base = _values(node.attributes, "base_values")
    table = tree_table(node, "class", max(classes, ids[-1] + 1))
    if classes == 2 and len(ids) == 1:
        leaf = table.leaf[:, ids]
        table = replace(table, leaf=leaf, base=base[-1:] if base.size else np.zeros(1))
        positive = not (_values(node.attributes, "class_weights") < 0).any()
        scores = emit_trees(scope, node, table)
        emit_classifier(scope, node, scores, classes, positive=positive)
        return
    padded: Array = np.zeros(table.leaf.shape[1])
    padded[: base.size] = base
    scores = emit_trees(scope, node, replace(table, leaf=table.leaf, base=padded))
    emit_classifier(scope, node, scores, classes, positive=False)


def _tree_regressor(scope: Scope, node: OnnxNode) -> None:
    targets = int(node.attributes.get("n_targets", 1))
    table = tree_table(node, "target", targets)
    base = _values(node.attributes, "base_values")
    aggregate = node.attributes.get("aggregate_function", b"SUM").decode()
    if aggregate not in ("SUM", "AVERAGE"):
        reject(node, f"aggregates trees by {aggregate}", "use SUM or AVERAGE")
    factor = 1.0 if aggregate == "SUM" else 1.0 / len(table.roots)
    table = replace(table, leaf=table.leaf * factor, base=base if base.size else np.zeros(targets))
    raw = emit_trees(scope, node, table)
    transform_sums(scope, node, raw)


def transform_sums(scope: Scope, node: OnnxNode, raw: str) -> None:
    """``post_transform`` of a regressor.

    Raises:
        CompileError: a transform of one target, which the specification has and onnxruntime not.
    """
    name = node.attributes.get("post_transform", b"NONE")
    if name != b"NONE" and scope.shapes[raw] == (1,):
        reject(
            node,
            f"has post_transform {name.decode()} for one target, which onnxruntime leaves out",
            "export without it, and add a Sigmoid node where it is meant",
        )
    post_transform(scope, node, raw, node.outputs[0])


IMPORTERS: dict[str, Importer] = {
    "ai.onnx.ml.LinearClassifier": _linear_classifier,
    "ai.onnx.ml.LinearRegressor": _linear_regressor,
    "ai.onnx.ml.Scaler": _scaler,
    "ai.onnx.ml.TreeEnsembleClassifier": _tree_classifier,
    "ai.onnx.ml.TreeEnsembleRegressor": _tree_regressor,
}
