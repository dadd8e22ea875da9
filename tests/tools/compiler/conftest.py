"""Small ONNX graphs, trained estimators and the comparison with onnxruntime."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.shape_inference
import onnxruntime
import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures" / "onnx"


@pytest.fixture
def fixture_path() -> Callable[[str], Path]:
    return lambda name: FIXTURES / f"{name}.onnx"


@pytest.fixture
def make_onnx() -> Callable[..., bytes]:
    """Bytes of a graph: nodes, shapes of inputs (batch excluded), constants, output names."""

    def build(
        nodes: Sequence[Any],
        inputs: Mapping[str, Sequence[int | str]],
        constants: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = ("y",),
        *,
        opset: int = 17,
        dtype: int = onnx.TensorProto.FLOAT,
        output_dtype: int = onnx.TensorProto.FLOAT,
    ) -> bytes:
        graph = onnx.helper.make_graph(
            list(nodes),
            "g",
            [
                onnx.helper.make_tensor_value_info(name, dtype, ["N", *shape])
                for name, shape in inputs.items()
            ],
            [onnx.helper.make_tensor_value_info(name, output_dtype, None) for name in outputs],
            [
                onnx.numpy_helper.from_array(np.asarray(value), name)
                for name, value in (constants or {}).items()
            ],
        )
        versions = {"": opset, "ai.onnx.ml": 3, "com.microsoft": 1}
        opsets = [onnx.helper.make_opsetid(domain, item) for domain, item in versions.items()]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
        inferred = onnx.shape_inference.infer_shapes(model)
        for output in inferred.graph.output:
            if not output.type.tensor_type.HasField("shape"):
                output.type.tensor_type.shape.dim.extend(
                    [onnx.TensorShapeProto.Dimension(dim_param=f"d{axis}") for axis in range(2)]
                )
        return inferred.SerializeToString()

    return build


@pytest.fixture
def sklearn_onnx() -> Callable[..., bytes]:
    """Export of a fitted scikit-learn estimator."""

    def export(model: Any, x: np.ndarray, **options: Any) -> bytes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from skl2onnx import to_onnx

            return to_onnx(model, x[:1], **options).SerializeToString()

    return export


@pytest.fixture
def reference() -> Callable[..., list[np.ndarray]]:
    """Float outputs of onnxruntime for whole sample sets."""

    def run(data: bytes, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return session.run(None, dict(feeds))

    return run
