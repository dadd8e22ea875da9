"""xgboost's and lightgbm's own files, against the packages themselves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from precompiles.runner import plan_model
from tools.compiler import Compiled, CompileError, compile_model
from tools.compiler.native_lightgbm import read_lightgbm
from tools.compiler.native_ubjson import read_ubjson
from tools.compiler.native_xgboost import read_xgboost
from tools.compiler.report import quantize_samples, run_samples

xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

SIZES = {"n_estimators": 12, "max_depth": 4}
FEW = {"n_estimators": 12, "num_leaves": 12, "verbose": -1}


def run(compiled: Compiled, x: np.ndarray) -> np.ndarray:
    inputs = quantize_samples(compiled.model, {"features": x})
    return run_samples(plan_model(compiled.model), inputs)[0]


def two_classes() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_breast_cancer(return_X_y=True)
    return x.astype(np.float32), y


def three_classes() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_iris(return_X_y=True)
    return x.astype(np.float32), y


def numbers() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_diabetes(return_X_y=True, scaled=False)
    return x.astype(np.float32), y


def with_holes(x: np.ndarray) -> np.ndarray:
    holed = x.copy()
    holed[np.random.default_rng(3).random(x.shape) < 0.1] = np.nan
    return holed


XGBOOST: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
    "binary": (lambda: xgboost.XGBClassifier(**SIZES), two_classes, "proba"),
    "multiclass": (lambda: xgboost.XGBClassifier(**SIZES), three_classes, "proba"),
    "regression": (lambda: xgboost.XGBRegressor(**SIZES), numbers, "value"),
    "base score": (lambda: xgboost.XGBRegressor(base_score=100.0, **SIZES), numbers, "value"),
    "poisson": (lambda: xgboost.XGBRegressor(objective="count:poisson", **SIZES), numbers, "value"),
    "gamma": (lambda: xgboost.XGBRegressor(objective="reg:gamma", **SIZES), numbers, "value"),
    "tweedie": (lambda: xgboost.XGBRegressor(objective="reg:tweedie", **SIZES), numbers, "value"),
    "absolute": (
        lambda: xgboost.XGBRegressor(objective="reg:absoluteerror", **SIZES),
        numbers,
        "value",
    ),
    "dart": (
        lambda: xgboost.XGBClassifier(booster="dart", rate_drop=0.5, **SIZES),
        three_classes,
        "proba",
    ),
    "forest": (lambda: xgboost.XGBRFClassifier(**SIZES), three_classes, "proba"),
    "linear": (
        lambda: xgboost.XGBClassifier(booster="gblinear", n_estimators=9),
        three_classes,
        "proba",
    ),
    "hinge": (
        lambda: xgboost.XGBClassifier(objective="binary:hinge", **SIZES),
        two_classes,
        "hinge",
    ),
    "unlinked": (
        lambda: xgboost.XGBClassifier(objective="binary:logitraw", **SIZES),
        two_classes,
        "margin",
    ),
    "two targets": (
        lambda: xgboost.XGBRegressor(**SIZES),
        lambda: (numbers()[0], np.stack([numbers()[1], -numbers()[1]], axis=1)),
        "value",
    ),
}


def expected(model: Any, x: np.ndarray, kind: str) -> np.ndarray:
    if kind == "proba":
        return np.asarray(model.predict_proba(x))
    if kind == "margin":
        values = model.predict(x, output_margin=True)
    elif kind == "hinge":
        values = model.get_booster().predict(xgboost.DMatrix(x))
    else:
        values = model.predict(x)
    return np.asarray(values, dtype=np.float64).reshape(len(x), -1)


@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize("name", sorted(XGBOOST))
def test_xgboost(name: str, suffix: str, tmp_path: Path) -> None:
    make, data, kind = XGBOOST[name]
    x, y = data()
    model = make().fit(x, y)
    path = tmp_path / f"model.{suffix}"
    model.save_model(path)
    compiled = compile_model(path, x)
    wanted = expected(model, x, kind)
    got = run(compiled, x)
    assert got.shape == wanted.shape
    scale = max(1.0, float(np.abs(wanted).max()))
    assert np.abs(got - wanted).max() <= 4e-6 * scale
    if kind == "proba":
        assert (got.argmax(axis=1) == wanted.argmax(axis=1)).all()


LIGHTGBM: dict[str, tuple[dict[str, Any], Callable[[], Any], str]] = {
    "binary": ({}, two_classes, "proba"),
    "binary, other slope": ({"sigmoid": 1.7}, two_classes, "proba"),
    "multiclass": ({}, three_classes, "proba"),
    "one against all": ({"objective": "multiclassova"}, three_classes, "raw proba"),
    "forest": (
        {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
        two_classes,
        "proba",
    ),
    "dart": ({"boosting_type": "dart"}, two_classes, "proba"),
    "regression": ({}, numbers, "value"),
    "regression of the root": ({"reg_sqrt": True}, numbers, "value"),
    "poisson": ({"objective": "poisson"}, numbers, "value"),
    "tweedie": ({"objective": "tweedie"}, numbers, "value"),
    "absolute": ({"objective": "regression_l1"}, numbers, "value"),
}


@pytest.mark.parametrize("name", sorted(LIGHTGBM))
def test_lightgbm(name: str, tmp_path: Path) -> None:
    options, data, kind = LIGHTGBM[name]
    x, y = data()
    classifies = kind.endswith("proba")
    make = lightgbm.LGBMClassifier if classifies else lightgbm.LGBMRegressor
    model = make(**{**FEW, **options}).fit(x, y)
    path = tmp_path / "model.txt"
    model.booster_.save_model(path)
    compiled = compile_model(path, x)
    booster = lightgbm.Booster(model_file=str(path))
    wanted = np.asarray(booster.predict(x), dtype=np.float64)
    if kind == "proba" and wanted.ndim == 1:
        wanted = np.stack([1 - wanted, wanted], axis=1)
    got = run(compiled, x)
    scale = max(1.0, float(np.abs(wanted).max()))
    assert np.abs(got - wanted.reshape(got.shape)).max() <= 4e-6 * scale


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_missing_values_take_the_trained_way(package: str, tmp_path: Path) -> None:
    x, y = two_classes()
    holed = with_holes(x)
    path = tmp_path / "model.ubj"
    if package == "xgboost":
        model = xgboost.XGBClassifier(**SIZES).fit(holed, y)
        model.save_model(path)
    else:
        model = lightgbm.LGBMClassifier(**FEW).fit(holed, y)
        model.booster_.save_model(path)
    got = run(compile_model(path, holed), holed)
    assert np.abs(got - model.predict_proba(holed)).max() < 4e-6


def test_lightgbm_without_missing_values_reads_them_as_zero(tmp_path: Path) -> None:
    x, y = three_classes()
    model = lightgbm.LGBMClassifier(**FEW).fit(x, y)
    model.booster_.save_model(tmp_path / "model.txt")
    holed = with_holes(x)
    got = run(compile_model(tmp_path / "model.txt", holed), holed)
    assert np.abs(got - model.predict_proba(holed)).max() < 4e-6


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_trees_need_no_samples(package: str, tmp_path: Path) -> None:
    x, y = two_classes()
    path = tmp_path / "model.json"
    if package == "xgboost":
        model = xgboost.XGBClassifier(**SIZES).fit(x, y)
        model.save_model(path)
    else:
        x = x.astype(np.float64)
        model = lightgbm.LGBMClassifier(**FEW).fit(x, y)
        model.booster_.save_model(path)
    compiled = compile_model(path, None)
    assert compiled.report.samples == 2048
    assert compiled.report.labels == (0, 1)
    got, wanted = run(compiled, x), model.predict_proba(x)
    assert (got.argmax(axis=1) == wanted.argmax(axis=1)).all()
    assert np.abs(got - wanted).max() < 4e-6
    assert compile_model(path.read_bytes(), None).model_bytes == compiled.model_bytes


def test_early_stopping_ends_where_the_estimator_ends(tmp_path: Path) -> None:
    x, y = two_classes()
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=3, early_stopping_rounds=3)
    model.fit(x[:400], y[:400], eval_set=[(x[400:], y[400:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(tmp_path / "model.json")
    got = run(compile_model(tmp_path / "model.json", x), x)
    assert np.abs(got - model.predict_proba(x)).max() < 4e-6


def test_old_files_have_one_base_score(tmp_path: Path) -> None:
    x, y = two_classes()
    model = xgboost.XGBClassifier(**SIZES).fit(x, y)
    model.save_model(tmp_path / "model.json")
    document = json.loads((tmp_path / "model.json").read_text())
    parameters = document["learner"]["learner_model_param"]
    parameters["base_score"] = str(json.loads(parameters["base_score"])[0])
    old = compile_model(json.dumps(document).encode(), x)
    assert old.model_bytes == compile_model(tmp_path / "model.json", x).model_bytes


def refuse(text: str, data: bytes) -> None:
    with pytest.raises(CompileError, match=text):
        compile_model(data, None)


def saved(model: Any, path: Path) -> dict[str, Any]:
    model.save_model(path / "model.json")
    document: dict[str, Any] = json.loads((path / "model.json").read_text())
    return document


def test_refused_by_name(tmp_path: Path) -> None:
    x, y = numbers()
    vector = xgboost.XGBRegressor(multi_strategy="multi_output_tree", **SIZES)
    document = saved(vector.fit(x, np.stack([y, y], axis=1)), tmp_path)
    refuse("multi_strategy", json.dumps(document).encode())
    document = saved(xgboost.XGBRegressor(**SIZES).fit(x, y), tmp_path)
    document["learner"]["objective"]["name"] = "reg:mine"
    refuse("reg:mine", json.dumps(document).encode())
    document["learner"]["objective"]["name"] = "reg:squarederror"
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][0] = 0
    refuse("inconsistent", json.dumps(document).encode())
    tree["left_children"][0] = 1
    tree["split_type"][0] = 1
    refuse("categories", json.dumps(document).encode())
    linear = saved(xgboost.XGBRegressor(booster="gblinear").fit(x, y), tmp_path)
    refuse("needs samples", json.dumps(linear).encode())
    refuse("not an xgboost model", b'{"learner": {}, "version": [3]}')
    refuse("not a JSON file", b'{"learner": {')


def test_lightgbm_refused_by_name(tmp_path: Path) -> None:
    x, y = numbers()
    text = lightgbm.LGBMRegressor(**FEW).fit(x, y).booster_.model_to_string()
    refuse("objective 'magic'", text.replace("objective=regression", "objective=magic").encode())
    refuse("zero as missing", text.replace("decision_type=2", "decision_type=4").encode())
    refuse("truncated", text[: len(text) // 4].encode())
    refuse("categories", text.replace("num_cat=0", "num_cat=1", 1).encode())
    refuse("linear models", text.replace("is_linear=0", "is_linear=1", 1).encode())
    refuse("inconsistent", text.replace("split_feature=", "split_feature=9", 1).encode())


def test_both_encodings_say_the_same(tmp_path: Path) -> None:
    x, y = three_classes()
    model = xgboost.XGBClassifier(**SIZES).fit(x, y)
    model.save_model(tmp_path / "model.ubj")
    document = saved(model, tmp_path)
    binary = read_ubjson((tmp_path / "model.ubj").read_bytes())
    assert binary.keys() == document.keys()
    first, second = (
        read_xgboost(path.read_bytes()).table
        for path in (tmp_path / "model.ubj", tmp_path / "model.json")
    )
    assert first is not None
    assert second is not None
    assert (first.value == second.value).all()
    assert (first.leaf == second.leaf).all()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"i\xff", -1),
        (b"U\xff", 255),
        (b"I\x01\x00", 256),
        (b"l\x00\x01\x00\x00", 65536),
        (b"d?\x80\x00\x00", 1.0),
        (b"Si\x02ab", "ab"),
        (b"[i\x01TFZ]", [1, True, False, None]),
        (b"[#i\x02i\x01i\x02", [1, 2]),
        (b"[$U#i\x03\x01\x02\x03", [1, 2, 3]),
        (b"{i\x01a[]}", {"a": []}),
    ],
)
def test_ubjson(data: bytes, value: Any) -> None:
    assert read_ubjson(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"i",
        b"[i\x01",
        b"Si\xffa",
        b"SL\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[$U#l\x7f\xff\xff\xff",
        b"[$U",
        b"i\x01i\x02",
        b"x",
        b"Si\x01\xff",
        b"{i\x01ai\x01i\x01ai\x02}",
        b"[" * 100,
    ],
)
def test_ubjson_refuses_what_it_does_not_know(data: bytes) -> None:
    with pytest.raises(CompileError, match="UBJSON"):
        read_ubjson(data)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    x, y = three_classes()
    model = xgboost.XGBClassifier(n_estimators=1, max_depth=2).fit(x, y)
    model.save_model(tmp_path / "model.ubj")
    data = (tmp_path / "model.ubj").read_bytes()
    for length in range(8, len(data), 97):
        with pytest.raises(CompileError):
            read_xgboost(data[:length])
    text = lightgbm.LGBMClassifier(**FEW).fit(x, y).booster_.model_to_string().encode()
    body = text[: text.index(b"end of trees")]
    for length in range(8, len(body), 997):
        with pytest.raises(CompileError):
            read_lightgbm(body[:length])
