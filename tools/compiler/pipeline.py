"""From a model file and samples to a validated integer model with its report."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from precompiles.model.codec import encode_model, model_id
from precompiles.model.types import CostRecord, IntegerModel
from tools.compiler.calibrate import METHODS, Calibration, calibrate, calibrate_floats
from tools.compiler.columns import fold_columns
from tools.compiler.ease import view_of
from tools.compiler.errors import CompileError
from tools.compiler.front import float_graph, prepare
from tools.compiler.graph import Array, FloatGraph, Trees, consumers
from tools.compiler.graph_tabular import Impute, readers_of_missing
from tools.compiler.native import native_graph, threshold_samples
from tools.compiler.native_formats import native_bytes, read_native
from tools.compiler.onnx_elementwise import sigmoid
from tools.compiler.onnx_import import import_onnx
from tools.compiler.passes import optimise
from tools.compiler.precision import PRECISIONS
from tools.compiler.report import Report, gas_figures
from tools.compiler.report_operators import compare_operators
from tools.compiler.samples import check_samples, sample_shapes
from tools.compiler.search import Choice, Search

Progress = Callable[[str, int, int], None]
_CALIBRATED, _COMPARE, _DONE = 6, 15, 16


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A finished model: what the registry takes, and what the author wants to know."""

    model: IntegerModel
    model_bytes: bytes
    model_id: bytes
    cost: CostRecord
    report: Report
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile, checked.

    Attributes:
        precision: auto, or one of ``PRECISIONS``.
        calibration: one of ``METHODS``.
    """

    precision: str = "auto"
    calibration: str = METHODS[0]

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *PRECISIONS):
            names = ", ".join(PRECISIONS)
            raise CompileError(f"precision {self.precision!r}, expected auto, {names}")
        if self.calibration not in METHODS:
            names = ", ".join(METHODS)
            raise CompileError(f"calibration {self.calibration!r}, expected {names}")


def compile_onnx(
    source: str | os.PathLike[str] | bytes,
    samples: Array | Mapping[str, Array] | None,
    *,
    precision: str = "auto",
    calibration: str = METHODS[0],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Compile an ONNX file to an integer model and compare it with onnxruntime.

    Args:
        source: path or bytes of the ONNX file.
        samples: real inputs, batch first: one array, or arrays by input name. They set the
            integer ranges, and the report is measured on them.
        precision: ``int8`` (u8 activations, s8 weights per channel), ``int16`` (s16 activations),
            ``wide`` (s32 and s64 fixed point), or ``auto``: 8 bits, and 16 in as few tensors as
            it takes to give the same label as onnxruntime on 99.9 % of the samples (numbers: 0.25 %
            of their spread), or wide where that costs little more, or nothing else is enough.
        calibration: how the range of an 8-bit tensor is chosen: ``minmax``, ``percentile`` or
            ``mse`` (``calibrate``).
        shapes: sizes of dynamic dimensions by input name, batch included; by default those of the
            samples.
        progress: called with (stage, done, total).

    Raises:
        CompileError: the file, the samples or an operator is refused; the text says what to do.
    """
    options = Options(precision, calibration)
    steps = Steps(progress)
    steps.at("import", 0)
    model = import_onnx(source, shapes, sample_shapes(samples))
    checked = check_samples(model.inputs, samples)
    steps.at("simplify", 1)
    model = prepare(model, checked)
    graph = optimise(float_graph(model, checked))
    check_missing(graph, checked)
    steps.at("calibrate", 2)
    statistics = calibrate(
        model, graph, checked, method=options.calibration, progress=steps.calibrated
    )
    return finish(model.output_names, model.labels, graph, statistics, options, steps)


class Steps:
    """Progress of one compilation: one bar of ``_DONE`` steps that never goes back."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress or (lambda stage, done, total: None)
        self._done = 0

    def at(self, stage: str, done: int) -> None:
        """Report a stage; ``done`` may repeat, never shrink."""
        self._done = max(self._done, done)
        self._progress(f"compile: {stage}", self._done, _DONE)

    def calibrated(self, done: int, total: int) -> None:
        """Report samples done while calibrating."""
        self.at("calibrate", 2 + (_CALIBRATED - 2) * done // total)

    def lowering(self, name: str) -> None:
        """Report one more candidate of the search."""
        self.at(f"lower to {name}", min(max(self._done, _CALIBRATED) + 1, _COMPARE - 1))


def check_missing(graph: FloatGraph, samples: Mapping[str, Array]) -> None:
    """Missing values are legal only where tree ensembles or imputers are the first to read them.

    Raises:
        CompileError: another operation reads NaN.
    """
    readers = consumers(graph)
    for name, values in samples.items():
        if not np.isnan(values.astype(np.float64)).any():
            continue
        for reader in readers_of_missing(readers, name):
            if not isinstance(reader, Trees | Impute):
                raise CompileError(
                    f"samples of input {name!r} contain NaN, which {reader.origin[0]} cannot read",
                    advice="fill missing values first (SimpleImputer); only tree ensembles know"
                    " them",
                )


def finish(
    output_names: tuple[str, ...],
    labels: tuple[int | str, ...],
    graph: FloatGraph,
    calibration: Calibration,
    options: Options,
    steps: Steps,
) -> Compiled:
    """Search a precision for a calibrated graph, encode the model and write its report."""
    search = Search(output_names, graph, calibration, steps.lowering, len(labels))
    choice = search.choose(options.precision)
    steps.at("compare with the original", _COMPARE)
    compiled = _compiled(labels, graph, calibration, choice)
    steps.at("done", _DONE)
    return compiled


def _compiled(
    labels: tuple[int | str, ...], graph: FloatGraph, calibration: Calibration, choice: Choice
) -> Compiled:
    chosen = choice.candidate
    data = encode_model(chosen.model)
    gas, further = gas_figures(chosen.cost)
    report = Report(
        precision="wide" if chosen.is_exact else chosen.name,
        reason=choice.reason,
        samples=len(next(iter(calibration.samples.values()))),
        outputs=chosen.outputs,
        operators=compare_operators(
            *view_of(graph, calibration, chosen.precision.name), chosen.precision
        ),
        raised=choice.raised,
        attempts=choice.attempts,
        labels=labels,
        model_bytes=len(data),
        constant_bytes=sum(len(item.data) for item in chosen.model.constants),
        instructions=len(chosen.model.instructions),
        gas=gas,
        gas_per_further_sample=further,
    )
    return Compiled(
        model=chosen.model,
        model_bytes=data,
        model_id=model_id(data),
        cost=chosen.cost,
        report=report,
        input_names=tuple(port.name for port in chosen.model.inputs),
        output_names=tuple(port.name for port in chosen.model.outputs),
    )


def compile_model(
    source: str | os.PathLike[str] | bytes,
    samples: Array | Mapping[str, Array] | None,
    *,
    precision: str = "auto",
    calibration: str = METHODS[0],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Compile an ONNX file, or a model in xgboost's or lightgbm's own format, known by its content.

    Arguments and errors as for ``compile_onnx``. Boosted trees need no samples: without them the
    report is measured on rows around their thresholds.
    """
    data = native_bytes(source)
    if data is None:
        return compile_onnx(
            source,
            samples,
            precision=precision,
            calibration=calibration,
            shapes=shapes,
            progress=progress,
        )
    options = Options(precision, calibration)
    steps = Steps(progress)
    steps.at("import", 0)
    native = read_native(data)
    graph, names = native_graph(native, sigmoid)
    graph = fold_columns(graph)
    steps.at("simplify", 1)
    checked = check_samples(graph.inputs, threshold_samples(native) if samples is None else samples)
    check_missing(graph, checked)
    steps.at("calibrate", 2)
    statistics = calibrate_floats(
        graph, checked, method=options.calibration, progress=steps.calibrated
    )
    return finish(names, native.labels, graph, statistics, options, steps)
