"""onnxruntime as the peer: one thread, all optimisations on, fp32 and its int8 forms.

Of int8 there is no single best form (dynamic, static QDQ, per tensor, per channel), so every form
that quantises is measured and the fastest one counts.
"""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

Array = NDArray[Any]
Feeds = Mapping[str, Array]
FP32 = "onnxruntime fp32"
INT8 = "onnxruntime int8"


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Samples for the static forms."""

    def __init__(self, samples: Sequence[Feeds]) -> None:
        self._left: Iterator[Feeds] = iter(samples)

    def get_next(self) -> Feeds | None:
        """The next sample, or None at the end."""
        return next(self._left, None)


def session(model: bytes) -> Any:
    """A session with one thread and every graph optimisation."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def caller(model: bytes, feeds: Feeds, *, bound: bool = False) -> Callable[[], object]:
    """A call of the model on fixed inputs; ``bound`` takes numpy out of the measurement."""
    made = session(model)
    if not bound:
        given = dict(feeds)
        return lambda: made.run(None, given)
    binding = made.io_binding()
    for name, value in feeds.items():
        binding.bind_cpu_input(name, value)
    for output in made.get_outputs():
        binding.bind_output(output.name, "cpu")
    return lambda: made.run_with_iobinding(binding)


def int8_forms(model: bytes, samples: Sequence[Feeds]) -> dict[str, bytes]:
    """The model in each int8 form that onnxruntime's own quantiser can make of it."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            return _quantised(model, samples, Path(folder))
        finally:
            logging.disable(logging.NOTSET)


def _quantised(model: bytes, samples: Sequence[Feeds], folder: Path) -> dict[str, bytes]:
    source, prepared = folder / "float.onnx", folder / "prepared.onnx"
    source.write_bytes(model)
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    forms: dict[str, bytes] = {}
    target = folder / "quantised.onnx"
    quantization.quantize_dynamic(prepared, target, weight_type=quantization.QuantType.QInt8)
    forms["dynamic"] = target.read_bytes()
    dense = ["MatMul", "Gemm", "Conv"]
    for name, options in (
        ("static", {}),
        ("static per channel", {"per_channel": True}),
        ("static dense", {"op_types_to_quantize": dense}),
    ):
        quantization.quantize_static(
            prepared,
            target,
            _Calibration(samples),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            **options,
        )
        forms[name] = target.read_bytes()
    return forms


def random_feeds(model: bytes, count: int, seed: int = 11) -> list[Feeds]:
    """Standard normal inputs for a model with static shapes and float inputs."""
    random = np.random.default_rng(seed)
    inputs = [(item.name, item.shape) for item in session(model).get_inputs()]
    return [
        {name: random.standard_normal(shape).astype(np.float32) for name, shape in inputs}
        for _ in range(count)
    ]
