"""Classical models of scikit-learn: kernels, encoders, norms, distances, mixtures."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import AdaBoostClassifier, IsolationForest, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from tools.compiler import CompileError, compile_onnx
from tools.compiler.onnx_svm import coupled, pair_weights

Rows = tuple[np.ndarray, np.ndarray]


def flowers() -> Rows:
    x, y = load_iris(return_X_y=True)
    return x.astype(np.float32), y


def two_flowers() -> Rows:
    x, y = flowers()
    return x, (y > 0).astype(int)


def lengths() -> Rows:
    x, _ = flowers()
    return x[:, :3], x[:, 3]


def scattered() -> Rows:
    """Rows without equal distances, of which onnxruntime's rounding would decide the order."""
    x = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)
    return x, x @ np.array([1.0, -2.0, 0.5])


def cells() -> Rows:
    x, y = load_breast_cancer(return_X_y=True)
    return x.astype(np.float32), y


def categories() -> Rows:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, (150, 3)).astype(np.float32)
    return x, ((x.sum(axis=1) + rng.normal(size=150)) > 4).astype(int)


def holes() -> Rows:
    x, y = flowers()
    holed = x.copy()
    holed[::7, 1] = np.nan
    holed[::11, 3] = np.nan
    return holed, y


def export(model: Any, x: np.ndarray) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx  # type: ignore[import-untyped]

        options: dict[int, dict[str, Any]] = {}
        if hasattr(model, "classes_") and not isinstance(model, LinearSVC):
            options[id(model)] = {"zipmap": False}
        if isinstance(model, KNeighborsClassifier | KNeighborsRegressor):
            options.setdefault(id(model), {})["optim"] = "cdist"
        versions = {"": 17, "ai.onnx.ml": 3}
        data = to_onnx(model, x[:1], options=options or None, target_opset=versions)
        serialised: bytes = data.SerializeToString()
        return serialised


MODELS: dict[str, tuple[Callable[[], Any], Callable[[], Rows], float]] = {
    "svc, two classes": (SVC, two_flowers, 1e-5),
    "svc": (SVC, flowers, 1e-5),
    "svc, linear": (lambda: SVC(kernel="linear"), flowers, 2e-5),
    "svc, cubic": (lambda: SVC(kernel="poly"), flowers, 1e-4),
    "svc, tanh": (
        lambda: make_pipeline(StandardScaler(), SVC(kernel="sigmoid")),
        flowers,
        1e-4,
    ),
    "svc, scaled": (lambda: make_pipeline(StandardScaler(), SVC()), cells, 1e-3),
    "nu svc": (NuSVC, flowers, 1e-5),
    "svr": (SVR, lengths, 1e-5),
    "svr, linear": (lambda: SVR(kernel="linear"), lengths, 3e-4),  # float32 sums lose that
    "one class": (OneClassSVM, flowers, 1e-3),
    "linear svc, two classes": (LinearSVC, two_flowers, 1e-6),
    "linear svc": (LinearSVC, flowers, 1e-6),
    "nearest neighbours": (KNeighborsClassifier, flowers, 1e-6),
    "nearest numbers": (KNeighborsRegressor, scattered, 0.01),
    "gaussian bayes": (GaussianNB, flowers, 1e-4),
    "multinomial bayes": (MultinomialNB, flowers, 1e-5),
    "bernoulli bayes": (lambda: BernoulliNB(binarize=2.0), flowers, 1e-5),
    "complement bayes": (ComplementNB, flowers, 1e-5),
    "ada boost": (lambda: AdaBoostClassifier(n_estimators=5), flowers, 1e-5),
    "isolation forest": (
        lambda: IsolationForest(n_estimators=10, random_state=0),
        flowers,
        1e-5,
    ),
    "mixture": (lambda: GaussianMixture(3, random_state=0), flowers, 1e-4),
    "diagonal mixture": (
        lambda: GaussianMixture(3, covariance_type="diag", random_state=0),
        flowers,
        1e-4,
    ),
    "k means": (lambda: KMeans(3, random_state=0), flowers, 1e-4),
    "polynomial": (
        lambda: make_pipeline(PolynomialFeatures(2), LogisticRegression(max_iter=2000)),
        flowers,
        1e-5,
    ),
    "cubic ridge": (lambda: make_pipeline(PolynomialFeatures(3), Ridge()), lengths, 1e-5),
    "imputer": (lambda: make_pipeline(SimpleImputer(), LogisticRegression()), holes, 1e-5),
    "imputer of trees": (
        lambda: make_pipeline(SimpleImputer(), RandomForestClassifier(5, random_state=0)),
        holes,
        1e-6,
    ),
    "binarizer": (
        lambda: make_pipeline(Binarizer(threshold=2.0), LogisticRegression()),
        flowers,
        1e-5,
    ),
    "l1 rows": (lambda: make_pipeline(Normalizer("l1"), LogisticRegression()), flowers, 1e-5),
    "l2 rows": (lambda: make_pipeline(Normalizer("l2"), LogisticRegression()), flowers, 1e-5),
    "max rows": (lambda: make_pipeline(Normalizer("max"), LogisticRegression()), flowers, 1e-5),
    "one hot": (
        lambda: make_pipeline(
            OneHotEncoder(sparse_output=False, handle_unknown="ignore"), LogisticRegression()
        ),
        categories,
        1e-5,
    ),
    "ordinal": (
        lambda: make_pipeline(OrdinalEncoder(), DecisionTreeClassifier(max_depth=5)),
        categories,
        1e-6,
    ),
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models(name: str) -> None:
    make, rows, limit = MODELS[name]
    x, y = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make().fit(x, y)
    report = compile_onnx(export(model, x), x).report
    for output in report.outputs:
        assert output.agreement in (None, 1.0), output
        assert output.max_abs_error <= limit * max(output.spread, 1.0), output


def test_one_score_of_two_classes_agrees_by_its_sign() -> None:
    x, y = two_flowers()
    report = compile_onnx(export(LinearSVC().fit(x, y), x), x).report
    assert report.outputs[0].shape == (1,)
    assert report.agreement == 1.0


def test_signed_rows_are_normalised_by_their_absolute_sum() -> None:
    x, y = flowers()
    centred = x - x.mean(axis=0)
    model = make_pipeline(Normalizer("l1"), LogisticRegression()).fit(centred, y)
    report = compile_onnx(export(model, centred), centred).report
    assert report.max_abs_error < 1e-5


def test_probabilities_of_two_classes_follow_the_iteration_of_libsvm() -> None:
    x, y = two_flowers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SVC(probability=True, random_state=0).fit(x, y)
    report = compile_onnx(export(model, x), x).report
    assert report.agreement == 1.0
    assert report.max_abs_error < 1e-3
    halves = coupled(np.array([0.5, 0.25, 0.75]))
    assert halves[0] == 0.5
    assert halves[1] + halves[2] == pytest.approx(1.0, abs=1e-3)


def test_pair_weights_follow_libsvm() -> None:
    coefficients = np.arange(1.0, 9.0).reshape(2, 4)
    weight = pair_weights(coefficients, [1, 2, 1])
    assert weight.tolist() == [[1, 5, 0], [2, 0, 6], [3, 0, 7], [0, 4, 8]]


def refused(data: bytes, x: np.ndarray, operator: str, text: str) -> None:
    with pytest.raises(CompileError, match=text) as caught:
        compile_onnx(data, x)
    assert caught.value.operator == operator
    assert caught.value.node
    assert caught.value.advice


def test_refused_by_name() -> None:
    x, y = flowers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SVC(probability=True).fit(x, y)
    refused(export(model, x), x, "ai.onnx.ml.SVMClassifier", "couples pairwise")


def ml_graph(nodes: list[Any], width: int, columns: int) -> bytes:
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", width])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", columns])],
    )
    versions = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("ai.onnx.ml", 5)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def ensemble(**changes: Any) -> Any:
    """Two trees: ``x0 <= 0.5 ? 1 : (x1 > 0.25 ? 2 : 3)`` and ``x1 < 0.5 ? 10 : 20``."""
    from_array = onnx.numpy_helper.from_array
    attributes: dict[str, Any] = {
        "n_targets": 1,
        "tree_roots": [0, 2],
        "nodes_featureids": [0, 1, 1],
        "nodes_splits": from_array(np.array([0.5, 0.25, 0.5], np.float32)),
        "nodes_modes": from_array(np.array([0, 3, 1], np.uint8)),
        "nodes_truenodeids": [0, 1, 3],
        "nodes_trueleafs": [1, 1, 1],
        "nodes_falsenodeids": [1, 2, 4],
        "nodes_falseleafs": [0, 1, 1],
        "leaf_targetids": [0] * 5,
        "leaf_weights": from_array(np.array([1, 2, 3, 10, 20], np.float32)),
        "aggregate_function": 1,
        "post_transform": 0,
        **changes,
    }
    return onnx.helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", name="trees", **attributes
    )


@pytest.mark.parametrize("changes", [{}, {"aggregate_function": 0}])
def test_tree_ensemble_of_version_five(changes: dict[str, int]) -> None:
    x = np.random.default_rng(0).random((300, 2)).astype(np.float32)
    report = compile_onnx(ml_graph([ensemble(**changes)], 2, 1), x).report
    assert report.max_abs_error < 2e-6


def test_a_transform_of_one_target_is_refused() -> None:
    x = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    data = ml_graph([ensemble(post_transform=2)], 2, 1)
    refused(data, x, "ai.onnx.ml.TreeEnsemble", "leaves out")


def test_tree_ensemble_with_sets_is_refused() -> None:
    modes = onnx.numpy_helper.from_array(np.array([0, 6, 1], np.uint8))
    values = onnx.numpy_helper.from_array(np.array([1.0, np.nan], np.float32))
    node = ensemble(nodes_modes=modes, membership_values=values)
    x = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    refused(ml_graph([node], 2, 1), x, "ai.onnx.ml.TreeEnsemble", "sets")


def test_label_encoder_and_its_default() -> None:
    node = onnx.helper.make_node(
        "LabelEncoder",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        keys_floats=[1.0, 2.0, 5.0],
        values_floats=[0.5, -7.0, 100.25],
        default_float=3.0,
    )
    x = np.random.default_rng(0).integers(0, 7, (200, 2)).astype(np.float32)
    assert compile_onnx(ml_graph([node], 2, 2), x).report.max_abs_error < 1e-6


def test_an_imputer_of_a_number() -> None:
    node = onnx.helper.make_node(
        "Imputer",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        imputed_value_floats=[0.125, 7.3],
        replaced_value_float=3.0,
    )
    x = np.random.default_rng(0).integers(0, 7, (200, 2)).astype(np.float32)
    assert compile_onnx(ml_graph([node], 2, 2), x).report.max_abs_error < 1e-5
