"""Where precision is lost: every inner tensor against onnxruntime, on a few samples."""

import numpy as np

from precompiles.runner import plan_model
from tools.compiler.calibrate import INNER_SAMPLES, Calibration
from tools.compiler.graph import FloatGraph
from tools.compiler.lower import lower_with_taps
from tools.compiler.precision import Precision
from tools.compiler.report import OperatorReport, quantize_samples, run_samples


def compare_operators(
    graph: FloatGraph, calibration: Calibration, precision: Precision
) -> tuple[OperatorReport, ...]:
    """Worst error of each operation that onnxruntime can show, in execution order.

    Errors are those of the tensor as it stands, so they include what came before.
    """
    model, names = lower_with_taps(graph, calibration, precision)
    if not names:
        return ()
    count = min((len(values) for values in calibration.inner.values()), default=INNER_SAMPLES)
    first = {name: values[:count] for name, values in calibration.samples.items()}
    got = run_samples(plan_model(model), quantize_samples(model, first))
    origins = {operation.output: operation.origin for operation in graph.operations}
    reports = []
    for name, values in zip(names, got, strict=True):
        if name not in calibration.inner:
            continue
        reference = np.asarray(calibration.inner[name], dtype=np.float64)
        error = float(np.abs(values.reshape(reference.shape) - reference).max())
        magnitude = max(calibration.statistics.ranges[name].magnitude, 1e-12)
        operator, node = origins[name]
        reports.append(OperatorReport(operator, node, error, error / magnitude))
    return tuple(reports)
