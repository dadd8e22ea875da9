"""xgboost's own files, JSON and UBJSON, versions 1.3 to 3: trees, dart, random forests, linear.

Source: dmlc/xgboost doc/model.schema and src/objective; probabilities as ``predict_proba`` gives
them, numbers as ``predict``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tools.compiler.errors import CompileError
from tools.compiler.graph import Array, Floats, TreeTable
from tools.compiler.native import NativeModel
from tools.compiler.native_ubjson import read_ubjson

_IDENTITY = """
    reg:squarederror reg:linear reg:absoluteerror reg:quantileerror reg:pseudohubererror
    reg:squaredlogerror rank:pairwise rank:ndcg rank:map
""".split()  # noqa: SIM905 (a table of names)
_EXPONENTIAL = "count:poisson reg:gamma reg:tweedie survival:cox survival:aft".split()  # noqa: SIM905
_ADVICE = "save the model again with a current xgboost (save_model to .json or .ubj)"


def is_xgboost(data: bytes) -> bool:
    """True for a JSON or UBJSON object that starts as xgboost writes it."""
    head = data[:256]
    return head.lstrip()[:1] == b"{" and (b"learner" in head or b"version" in head)


def read_xgboost(data: bytes) -> NativeModel:
    """Read a saved booster.

    Raises:
        CompileError: no xgboost model, or an objective, booster or split that is not supported;
            the text names it.
    """
    document = _document(data)
    try:
        return _model(document["learner"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CompileError(f"not an xgboost model: {error!r}", advice=_ADVICE) from error


def _document(data: bytes) -> Any:
    if data.lstrip()[1:].lstrip()[:1] != b'"':
        return read_ubjson(data)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CompileError(f"not a JSON file: {error}", advice=_ADVICE) from error


def _model(learner: Mapping[str, Any]) -> NativeModel:
    parameters = learner["learner_model_param"]
    objective = learner["objective"]["name"]
    link, labels, targets = _link(objective, parameters)
    features = int(parameters["num_feature"])
    base = _base_margin(parameters["base_score"], objective, targets)
    booster = learner["gradient_booster"]
    origin = ("xgboost", objective)
    table, weight, bias = None, None, None
    if booster["name"] == "gblinear":
        weights = np.asarray(booster["model"]["weights"], dtype=np.float64)
        weights = weights.reshape(features + 1, targets)
        weight, bias = weights[:-1], weights[-1] + base
    else:
        table = _table(learner, booster, features, base)
    kind = np.dtype(np.float32)
    return NativeModel(origin, features, kind, table, weight, bias, link, 1.0, labels)


def _link(objective: str, parameters: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int]:
    """Name of the link, class labels, columns of the raw sums."""
    targets = max(int(parameters["num_class"]), int(parameters.get("num_target", 1)), 1)
    if objective in ("multi:softprob", "multi:softmax"):
        return "softmax", tuple(range(targets)), targets
    if objective == "binary:logistic":
        return "sigmoid", (0, 1) if targets == 1 else (), targets
    if objective == "reg:logistic":
        return "sigmoid", (), targets
    if objective == "binary:hinge":
        return "step", (), targets
    if objective == "binary:logitraw" or objective in _IDENTITY:
        return "identity", (), targets
    if objective in _EXPONENTIAL:
        return "exp", (), targets
    raise CompileError(
        f"xgboost objective {objective!r} has no integer form yet",
        advice="use binary:logistic, multi:softprob, reg:squarederror or another that"
        " docs/guide/compiler.md lists",
    )


def _base_margin(text: str, objective: str, targets: int) -> Floats:
    """``base_score`` (one number, or since version 3 a list) as raw sums, (targets)."""
    parsed = json.loads(text) if text.strip().startswith("[") else [float(text)]
    score = np.asarray(parsed, dtype=np.float32).astype(np.float64)
    if objective in ("binary:logistic", "reg:logistic"):
        score = -np.log(1.0 / score - 1.0)
    elif objective in _EXPONENTIAL:
        score = np.log(score)
    return np.asarray(np.broadcast_to(score, (targets,)), dtype=np.float64)


def _table(
    learner: Mapping[str, Any], booster: Mapping[str, Any], features: int, base: Floats
) -> TreeTable:
    dart = booster["name"] == "dart"
    model = booster["gbtree"]["model"] if dart else booster["model"]
    trees, groups = model["trees"], model["tree_info"]
    used = _used_trees(learner, model, len(trees))
    factors = booster["weight_drop"] if dart else [1.0] * len(trees)
    columns: list[tuple[Array, ...]] = []
    roots: list[int] = []
    start = 0
    for index in range(used):
        columns.append(_tree(trees[index], start, features))
        roots.append(start)
        leaf = np.zeros((len(columns[-1][0]), len(base)))
        leaf[:, groups[index]] = columns[-1][-1] * factors[index]
        columns[-1] = (*columns[-1][:-1], leaf)
        start += len(leaf)
    if not columns:
        raise CompileError("the xgboost model has no tree", advice="train at least one round")
    feature, value, true, false, missing, leaves = (
        np.concatenate(parts) for parts in zip(*columns, strict=True)
    )
    mode = tuple("LEAF" if item < 0 else "BRANCH_LT" for item in true.tolist())
    return TreeTable(
        roots=np.array(roots, dtype=np.int64),
        feature=feature,
        value=value,
        mode=mode,
        true=np.maximum(true, 0),
        false=np.maximum(false, 0),
        missing_true=missing,
        leaf=leaves,
        base=base,
    )


def _used_trees(learner: Mapping[str, Any], model: Mapping[str, Any], count: int) -> int:
    """All trees; of an estimator that stopped early, those up to its best iteration."""
    attributes = learner.get("attributes") or {}
    if "scikit_learn" not in attributes or "best_iteration" not in attributes:
        return count
    rounds: Sequence[int] = model.get("iteration_indptr") or ()
    best = int(attributes["best_iteration"]) + 1
    return int(rounds[best]) if best < len(rounds) else count


def _tree(tree: Mapping[str, Any], start: int, features: int) -> tuple[Array, ...]:
    """Feature, value, true and false child (rows of the table, -1 in leaves), missing, leaf."""
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise CompileError(
            "the xgboost model has trees with several outputs in each leaf",
            advice="train with multi_strategy='one_output_per_tree'",
        )
    if any(tree.get("split_type") or ()) or tree.get("categories"):
        raise CompileError(
            "the xgboost model splits on categories",
            advice="train with enable_categorical=False on one-hot or ordinal features",
        )
    left = np.asarray(tree["left_children"], dtype=np.int64)
    right = np.asarray(tree["right_children"], dtype=np.int64)
    feature = np.asarray(tree["split_indices"], dtype=np.int64)
    values = np.asarray(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    missing = np.asarray(tree["default_left"], dtype=np.int64)
    inner = left >= 0
    children = np.concatenate([left[inner], right[inner]])
    lengths = {len(item) for item in (left, right, feature, values, missing)}
    rows = np.arange(len(left))[inner]
    if len(lengths) != 1 or not left.size or (children <= np.concatenate([rows, rows])).any():
        raise CompileError("the xgboost model has an inconsistent tree", advice=_ADVICE)
    if (children >= len(left)).any() or (feature[inner] >= features).any():
        raise CompileError("the xgboost model has an inconsistent tree", advice=_ADVICE)
    true, false = (np.where(inner, side + start, -1) for side in (left, right))
    leaf = np.where(inner, 0.0, values)
    return np.where(inner, feature, 0), np.where(inner, values, 0), true, false, missing, leaf
