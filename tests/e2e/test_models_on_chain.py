"""Models of three kinds, each from its ONNX file to answers on chain, beside onnxruntime."""

import warnings
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tools import keys
from tools.client import Client
from tools.compiler import compile_onnx
from tools.devnet import Network
from tools.infer import infer
from tools.register import publish_model

FIXTURES = Path(__file__).parents[1] / "fixtures" / "onnx"
BATCH = 500

pytestmark = pytest.mark.e2e


def torch_mlp() -> tuple[bytes, np.ndarray, np.ndarray]:
    """An MLP as PyTorch exports it; samples for calibration and unseen ones."""
    x, _ = make_classification(
        4000, 20, n_informative=10, n_classes=3, class_sep=1.5, random_state=5
    )
    x = x.astype(np.float32)
    return (FIXTURES / "table_net_dynamo.onnx").read_bytes(), x[:2000], x[2000:]


def lightgbm_classifier() -> tuple[bytes, np.ndarray, np.ndarray]:
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, y = make_classification(4000, 20, n_informative=8, n_classes=3, random_state=99)
    x = x.astype(np.float32)
    model = lightgbm.LGBMClassifier(n_estimators=40, num_leaves=15, n_jobs=1, verbose=-1)
    model.fit(x[:2000], y[:2000])
    kinds = [("x", FloatTensorType([None, 20]))]
    onnx = convert_lightgbm(model, initial_types=kinds, zipmap=False, target_opset=15)
    return onnx.SerializeToString(), x[:2000], x[2000:]


def logistic_pipeline() -> tuple[bytes, np.ndarray, np.ndarray]:
    from skl2onnx import to_onnx

    x, y = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[:300], y[:300])
    onnx = to_onnx(model, x[:1], options={"zipmap": False})
    return onnx.SerializeToString(), x[:300], x


def float_scores(onnx: bytes, samples: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx, options)
    outputs: list[Any] = session.run(None, {session.get_inputs()[0].name: samples})
    (scores,) = [output for output in outputs if output.dtype.kind == "f"]
    return np.asarray(scores)


@pytest.mark.parametrize("make", [torch_mlp, lightgbm_classifier, logistic_pipeline])
def test_labels_on_chain_agree_with_onnxruntime(make: Any, network: Network) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters
        onnx, known, unseen = make()
    compiled = compile_onnx(onnx, known)
    with Client(network.validators[1].url) as client:
        publish_model(client, keys.dev_key(2), compiled.model_bytes, progress=lambda *_: None)
        rows: list[list[float]] = []
        for start in range(0, len(unseen), BATCH):
            result = infer(
                client, "0x" + compiled.model_id.hex(), unseen[start : start + BATCH], None
            )
            rows += next(iter(result["outputs"].values()))
    labels = np.argmax(np.array(rows), axis=1)
    wanted = np.argmax(float_scores(onnx, unseen), axis=1)
    assert len(labels) == len(unseen) >= 500
    assert (labels == wanted).mean() >= 0.995
