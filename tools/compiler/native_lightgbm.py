"""lightgbm's text model (``save_model``), versions 2 to 4.

Source: microsoft/LightGBM src/io/tree.cpp, src/boosting/gbdt_model_text.cpp, src/objective.
"""

from collections.abc import Mapping

import numpy as np

from tools.compiler.errors import CompileError
from tools.compiler.graph import Array, Floats, TreeTable
from tools.compiler.native import NativeModel

_IDENTITY = """
    regression regression_l2 regression_l1 huber fair quantile mape lambdarank rank_xendcg custom
""".split()  # noqa: SIM905 (a table of names)
_EXPONENTIAL = "poisson gamma tweedie".split()  # noqa: SIM905 (a table of names)
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_ZERO, _MISSING_NAN = 1, 2, 4, 8
_ADVICE = "save the model again with booster.save_model"


def is_lightgbm(data: bytes) -> bool:
    """True for the first line of a text model."""
    return data[:64].split(b"\n")[0].strip() == b"tree"


def read_lightgbm(data: bytes) -> NativeModel:
    """Read a text model.

    Raises:
        CompileError: truncated, or an objective or split that is not supported; the text names it.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CompileError(f"not a lightgbm model: {error}", advice=_ADVICE) from error
    if "end of trees" not in text:
        raise CompileError("the lightgbm model is truncated", advice=_ADVICE)
    head, *blocks = text.split("end of trees")[0].split("\nTree=")
    header = _entries(head)
    try:
        return _model(header, [_entries(block) for block in blocks])
    except (KeyError, IndexError, ValueError) as error:
        raise CompileError(f"not a lightgbm model: {error!r}", advice=_ADVICE) from error


def _entries(block: str) -> dict[str, str]:
    """``key=value`` lines; a line without ``=`` is a key with an empty value."""
    found = {}
    for line in block.splitlines():
        key, _, value = line.strip().partition("=")
        found[key] = value
    return found


def _model(header: Mapping[str, str], blocks: list[dict[str, str]]) -> NativeModel:
    words = header.get("objective", "custom").split()
    name, options = words[0], dict(word.partition(":")[::2] for word in words[1:])
    link = _link(name, "sqrt" in words)
    targets = int(header["num_tree_per_iteration"])
    features = int(header["max_feature_idx"]) + 1
    if not blocks:
        raise CompileError("the lightgbm model has no tree", advice="train at least one round")
    rounds = max(1, len(blocks) // targets)
    factor = 1.0 / rounds if "average_output" in header else 1.0
    labels = (
        tuple(range(max(2, targets))) if name in ("binary", "multiclass", "multiclassova") else ()
    )
    return NativeModel(
        origin=("lightgbm", name),
        features=features,
        dtype=np.dtype(np.float64),
        table=_table(blocks, features, targets, factor),
        weight=None,
        bias=None,
        link=link,
        factor=float(options.get("sigmoid", "1")) if link == "sigmoid" else 1.0,
        labels=labels,
    )


def _link(name: str, root: bool) -> str:
    links = {
        "binary": "sigmoid",
        "multiclass": "softmax",
        "multiclassova": "sigmoid",
        "cross_entropy": "sigmoid",
        "cross_entropy_lambda": "log1p_exp",
        **dict.fromkeys(_IDENTITY, "identity"),
        **dict.fromkeys(_EXPONENTIAL, "exp"),
    }
    if name not in links:
        raise CompileError(
            f"lightgbm objective {name!r} has no integer form yet",
            advice=f"use one of {', '.join(sorted(links))}",
        )
    return "square" if root and name.startswith("regression") else links[name]


def _table(blocks: list[dict[str, str]], features: int, targets: int, factor: float) -> TreeTable:
    columns: list[tuple[Array, ...]] = []
    roots: list[int] = []
    start = 0
    for index, block in enumerate(blocks):
        parts = _tree(block, start, features)
        leaf = np.zeros((len(parts[0]), targets))
        leaf[:, index % targets] = parts[-1] * factor
        columns.append((*parts[:-1], leaf))
        roots.append(start)
        start += len(leaf)
    feature, value, true, false, missing, leaves = (
        np.concatenate(parts) for parts in zip(*columns, strict=True)
    )
    return TreeTable(
        roots=np.array(roots, dtype=np.int64),
        feature=feature,
        value=value,
        mode=tuple("LEAF" if item < 0 else "BRANCH_LEQ" for item in true.tolist()),
        true=np.maximum(true, 0),
        false=np.maximum(false, 0),
        missing_true=missing,
        leaf=leaves,
        base=np.zeros(targets),
    )


def _numbers(block: Mapping[str, str], key: str, count: int) -> Floats:
    values = np.array(block[key].split(), dtype=np.float64) if count else np.zeros(0)
    if values.size != count:
        raise CompileError(
            f"tree {block.get('', '?')!r} of the lightgbm model has {values.size} values of {key},"
            f" expected {count}",
            advice=_ADVICE,
        )
    return values


def _tree(block: Mapping[str, str], start: int, features: int) -> tuple[Array, ...]:
    """Inner nodes, then leaves: feature, value, true, false (rows, -1 in leaves), missing, leaf."""
    if block.get("is_linear", "0") == "1":
        raise CompileError(
            "the lightgbm model has linear models in its leaves",
            advice="train with linear_tree=False",
        )
    if int(block.get("num_cat", "0")):
        raise CompileError(
            "the lightgbm model splits on categories",
            advice="train without categorical_feature, on one-hot or ordinal features",
        )
    leaves = int(block["num_leaves"])
    inner = leaves - 1
    feature, kind = (
        _numbers(block, key, inner).astype(int) for key in ("split_feature", "decision_type")
    )
    threshold = _numbers(block, "threshold", inner)
    children = [_numbers(block, key, inner).astype(int) for key in ("left_child", "right_child")]
    if (kind & _MISSING_ZERO).any():
        raise CompileError(
            "the lightgbm model treats zero as missing", advice="train with zero_as_missing=False"
        )
    joined = np.concatenate(children)
    if (feature >= features).any() or (joined >= inner).any() or (-joined > leaves).any():
        raise CompileError("the lightgbm model has an inconsistent tree", advice=_ADVICE)
    rows = [np.where(side >= 0, side, inner - 1 - side) + start for side in children]
    follows_default = (kind & _MISSING_NAN) != 0
    missing = np.where(follows_default, (kind & _DEFAULT_LEFT) != 0, threshold >= 0)
    padding = np.full(leaves, -1)
    zeros = np.zeros(leaves)
    return (
        np.concatenate([feature, zeros.astype(int)]),
        np.concatenate([threshold, zeros]),
        np.concatenate([rows[0], padding]),
        np.concatenate([rows[1], padding]),
        np.concatenate([missing.astype(int), zeros.astype(int)]),
        np.concatenate([np.zeros(inner), _numbers(block, "leaf_value", leaves)]),
    )
