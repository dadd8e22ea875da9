"""Integer thresholds decide exactly as onnxruntime, for every comparison and on every side."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node

from precompiles.runner import plan_model, run_reference
from tools.compiler import CompileError, compile_onnx
from tools.compiler.report import quantize_samples, run_samples

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def stump(mode: str, thresholds: Sequence[float], *, missing: int = 0, x: str = "x") -> Any:
    """One tree per threshold, feature 0, then feature 1 below; leaves with distinct weights."""
    lists: dict[str, list[Any]] = {key: [] for key in ("tree", "id", "f", "v", "m", "t", "e", "n")}
    targets: dict[str, list[Any]] = {key: [] for key in ("tree", "id", "k", "w")}
    for tree, threshold in enumerate(thresholds):
        rows = [
            (0, 0, threshold, mode, 1, 2),
            (1, 1, -threshold, mode, 3, 4),
            (2, 0, 0.0, "LEAF", 0, 0),
            (3, 0, 0.0, "LEAF", 0, 0),
            (4, 0, 0.0, "LEAF", 0, 0),
        ]
        for item, feature, value, kind, true, false in rows:
            for key, entry in zip(
                ("tree", "id", "f", "v", "m", "t", "e", "n"),
                (tree, item, feature, value, kind, true, false, missing),
                strict=True,
            ):
                lists[key].append(entry)
        for item, weight in ((2, 1.0), (3, -0.25), (4, 0.125)):
            for key, entry in zip(("tree", "id", "k", "w"), (tree, item, 0, weight), strict=True):
                targets[key].append(entry * (1 if key != "w" else (tree + 1)))
    return make_node(
        "TreeEnsembleRegressor",
        [x],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=lists["tree"],
        nodes_nodeids=lists["id"],
        nodes_featureids=lists["f"],
        nodes_values=[float(item) for item in lists["v"]],
        nodes_modes=lists["m"],
        nodes_truenodeids=lists["t"],
        nodes_falsenodeids=lists["e"],
        nodes_missing_value_tracks_true=lists["n"],
        target_treeids=targets["tree"],
        target_nodeids=targets["id"],
        target_ids=targets["k"],
        target_weights=[float(item) for item in targets["w"]],
    )


THRESHOLDS = [0.0, 0.1, -0.3, 1.5, 2.0**-10, 1 / 3, 7.25, -8.0]


def edge_samples(thresholds: Sequence[float]) -> np.ndarray:
    """Every threshold, its float32 neighbours (of zero: one grid step), and ordinary values."""
    centre = np.array([*thresholds, *(-item for item in thresholds)], dtype=np.float32)
    up = np.nextafter(centre, np.float32(np.inf))
    down = np.nextafter(centre, np.float32(-np.inf))
    up, down = (
        np.where(centre == 0, step, item) for item, step in ((up, 2.0**-40), (down, -(2.0**-40)))
    )
    column = np.concatenate([centre, up, down, np.linspace(-9, 9, 40)]).astype(np.float32)
    rng = np.random.default_rng(2)
    return np.stack([rng.permutation(column), rng.permutation(column)], axis=1)


@pytest.mark.parametrize("mode", MODES)
def test_every_comparison_at_its_very_edge(make_onnx: Callable[..., bytes], mode: str) -> None:
    data = make_onnx([stump(mode, THRESHOLDS)], {"x": [2]})
    compiled = compile_onnx(data, edge_samples(THRESHOLDS))
    assert compiled.report.max_abs_error == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", [0, 1])
def test_missing_values_follow_their_branch(
    make_onnx: Callable[..., bytes], mode: str, missing: int
) -> None:
    samples = edge_samples(THRESHOLDS)
    samples[::3, 0] = np.nan
    samples[1::5, 1] = np.nan
    data = make_onnx([stump(mode, THRESHOLDS, missing=missing)], {"x": [2]})
    assert compile_onnx(data, samples).report.max_abs_error == 0


def test_decimal_samples_get_a_decimal_grid(make_onnx: Callable[..., bytes]) -> None:
    samples = np.round(np.random.default_rng(3).normal(size=(200, 2)), 2).astype(np.float32)
    data = make_onnx([stump("BRANCH_LEQ", [0.1, 0.25, -0.37])], {"x": [2]})
    compiled = compile_onnx(data, samples)
    assert compiled.model.inputs[0].quantization.scale_den == 100
    assert compiled.report.max_abs_error == 0


def test_every_code_of_the_grid_is_decided_as_its_float(
    make_onnx: Callable[..., bytes], reference: Callable[..., list[np.ndarray]]
) -> None:
    """All codes from -1000 to 1000, not only those near samples."""
    data = make_onnx([stump("BRANCH_LT", [0.1, 0.3, -0.7, 5.55])], {"x": [2]})
    samples = np.round(np.random.default_rng(3).uniform(-9, 9, (50, 2)), 2).astype(np.float32)
    compiled = compile_onnx(data, samples)
    codes = np.stack([np.arange(-1000, 1001), np.arange(1000, -1001, -1)], axis=1)
    got = run_samples(plan_model(compiled.model), [codes.astype("<i4")])[0]
    expected = reference(data, {"x": (codes / 100).astype(np.float32)})[0]
    assert np.array_equal(got, expected)


def test_a_scaler_goes_into_the_thresholds(make_onnx: Callable[..., bytes]) -> None:
    scaler = make_node(
        "Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=[0.3, -1.7], scale=[0.37, 2.1]
    )
    data = make_onnx([scaler, stump("BRANCH_LEQ", THRESHOLDS, x="s")], {"x": [2]})
    samples = np.random.default_rng(4).normal(size=(500, 2)).astype(np.float32) * 4
    compiled = compile_onnx(data, samples)
    assert compiled.report.max_abs_error == 0
    assert [type(item).__name__ for item in compiled.model.instructions] == ["TreeEnsemble"]


def test_a_falling_scaler_is_refused(make_onnx: Callable[..., bytes]) -> None:
    scaler = make_node(
        "Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=[0.0, 0.0], scale=[1.0, -2.0]
    )
    data = make_onnx([scaler, stump("BRANCH_LEQ", THRESHOLDS, x="s")], {"x": [2]})
    with pytest.raises(CompileError, match="negative factor"):
        compile_onnx(data, edge_samples(THRESHOLDS))


def test_trees_on_whole_numbers(make_onnx: Callable[..., bytes]) -> None:
    cast = make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)
    data = make_onnx(
        [cast, stump("BRANCH_LT", [3.0, 10.5, -2.0], x="f")], {"x": [2]}, dtype=TensorProto.INT64
    )
    samples = np.random.default_rng(5).integers(-20, 20, (300, 2))
    compiled = compile_onnx(data, samples)
    assert compiled.report.max_abs_error == 0


def test_reference_twin_agrees_on_missing_values(make_onnx: Callable[..., bytes]) -> None:
    samples = edge_samples(THRESHOLDS)[:40]
    samples[::4, 0] = np.nan
    compiled = compile_onnx(make_onnx([stump("BRANCH_LEQ", THRESHOLDS)], {"x": [2]}), samples)
    codes = quantize_samples(compiled.model, {"x": samples})
    raw = run_reference(compiled.model, codes[0].tobytes(), len(samples))
    got = run_samples(plan_model(compiled.model), codes)[0]
    scale = compiled.model.outputs[0].quantization
    exact = np.frombuffer(raw, "<i8").reshape(-1, 1) * (scale.scale_num / scale.scale_den)
    assert np.array_equal(got, exact)


def test_trees_that_are_too_deep_name_the_limit(make_onnx: Callable[..., bytes]) -> None:
    depth = 30
    ids = list(range(2 * depth + 1))
    node = make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * len(ids),
        nodes_nodeids=ids,
        nodes_featureids=[0] * len(ids),
        nodes_values=[float(item) for item in ids],
        nodes_modes=[
            "BRANCH_LEQ" if item % 2 == 0 and item < 2 * depth else "LEAF" for item in ids
        ],
        nodes_truenodeids=[item + 1 if item % 2 == 0 and item < 2 * depth else 0 for item in ids],
        nodes_falsenodeids=[item + 2 if item % 2 == 0 and item < 2 * depth else 0 for item in ids],
        target_treeids=[0] * (depth + 1),
        target_nodeids=[*range(1, 2 * depth, 2), 2 * depth],
        target_ids=[0] * (depth + 1),
        target_weights=[float(item) for item in range(depth + 1)],
    )
    with pytest.raises(CompileError, match="depth 30, at most 24"):
        compile_onnx(make_onnx([node], {"x": [2]}), edge_samples(THRESHOLDS))
