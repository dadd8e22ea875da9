"""onnxruntime as the float reference: outputs, and every intermediate tensor on demand."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnx.helper
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from tools.compiler.errors import CompileError
from tools.compiler.graph import Array
from tools.compiler.onnx_import import OnnxModel

_BATCH = 128
_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class Oracle:
    """One onnxruntime session, CPU, one thread, no graph optimisation."""

    def __init__(
        self,
        model: OnnxModel,
        tensors: Sequence[str] = (),
        batch_axes: Mapping[str, int] | None = None,
    ) -> None:
        """Load the model; ``tensors`` are computed in addition to its outputs.

        ``batch_axes`` names tensors whose batch is not their first axis; ``pieces`` moves it there.

        Raises:
            CompileError: onnxruntime refuses the model.
        """
        self._batch = model.batch
        self._axes = batch_axes or {}
        self._names = tuple(dict.fromkeys((*model.outputs, *tensors)))
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                _with_outputs(model.proto, self._names), options, providers=["CPUExecutionProvider"]
            )
        except _ERRORS as error:
            raise CompileError(
                f"onnxruntime refuses the model: {_first_line(error)}",
                advice="check that the file runs in onnxruntime before compiling it",
            ) from error

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs for a batch of any size, in pieces of the size that the file fixes."""
        parts: dict[str, list[Array]] = {name: [] for name in self._names}
        for piece in self.pieces(feeds):
            for name, value in piece.items():
                parts[name].append(value)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def pieces(self, feeds: Mapping[str, Array], size: int = _BATCH) -> Iterator[dict[str, Array]]:
        """The same piece by piece, so that all tensors of all samples never live at once.

        ``size`` samples in each piece, unless the file fixes the batch.
        """
        size = self._batch or size
        count = len(next(iter(feeds.values())))
        for start in range(0, count, size):
            part = {name: value[start : start + size] for name, value in feeds.items()}
            length = min(size, count - start)
            if self._batch and length < size:
                part = {
                    name: np.concatenate([value, np.repeat(value[-1:], size - length, axis=0)])
                    for name, value in part.items()
                }
            values = self.run_once(part)
            yield {
                name: _rows(value, length, self._axes.get(name, 0))
                for name, value in values.items()
            }

    def run_once(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """One call of onnxruntime, values as they come."""
        try:
            values = self._session.run(list(self._names), dict(feeds))
        except _ERRORS as error:
            raise CompileError(
                f"onnxruntime cannot run the samples: {_first_line(error)}"
            ) from error
        return dict(zip(self._names, values, strict=True))


def _rows(value: Array, length: int, axis: int) -> Array:
    return np.moveaxis(value, axis, 0)[:length] if value.ndim else value.reshape(1)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _with_outputs(proto: bytes, names: Sequence[str]) -> bytes:
    model = onnx.load_model_from_string(proto)
    model.graph.ClearField("output")
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    data: bytes = model.SerializeToString()
    return data
