"""From ONNX bytes and samples to a validated integer model with its report."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from precompiles.errors import ModelError
from precompiles.model.codec import encode_model, model_id
from precompiles.model.types import CostRecord, DType, IntegerModel
from precompiles.model.validate import validate_model
from precompiles.runner import plan_model
from tools.compiler.calibrate import Calibration, calibrate
from tools.compiler.errors import CompileError
from tools.compiler.front import float_graph
from tools.compiler.graph import Array, Conv, Dense, FloatGraph, Pool, Trees, consumers
from tools.compiler.lower import lower_graph
from tools.compiler.onnx_import import OnnxModel, import_onnx
from tools.compiler.passes import optimise
from tools.compiler.precision import PRECISIONS, precision_of
from tools.compiler.report import (
    Attempt,
    OperatorReport,
    OutputReport,
    Report,
    compare_outputs,
    gas_figures,
    quantize_samples,
    run_samples,
)
from tools.compiler.report_operators import compare_operators
from tools.compiler.samples import check_samples

Progress = Callable[[str, int, int], None]
AUTO_AGREEMENT = 0.999
AUTO_RELATIVE_ERROR = 0.01
CHEAP_WIDE = 1.5
"""``auto`` takes wide, which is nearly exact, when its call costs at most this times int8's."""
_STAGES = 4
_SMALL_WEIGHTS = 1 << 20


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


def compile_onnx(
    source: str | os.PathLike[str] | bytes,
    samples: Array | Mapping[str, Array] | None,
    *,
    precision: str = "auto",
    progress: Progress | None = None,
) -> Compiled:
    """Compile an ONNX file to an integer model and compare it with onnxruntime.

    Args:
        source: path or bytes of the ONNX file.
        samples: real inputs, batch first: one array, or arrays by input name. They set the
            integer ranges, and the report is measured on them.
        precision: ``int8`` (u8 activations, s8 weights per channel), ``int16`` (s16 activations),
            ``wide`` (s32 and s64 fixed point), or ``auto``: the first of these that gives the same
            label as onnxruntime on 99.9 % of the samples (numbers: 1 % of their spread), else the
            best; or wide at once where it costs little more.
        progress: called with (stage, done, total).

    Raises:
        CompileError: the file, the samples or an operator is refused; the text says what to do.
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise CompileError(f"precision {precision!r}, expected auto, {', '.join(PRECISIONS)}")
    report_progress = progress or (lambda stage, done, total: None)
    wanted = PRECISIONS if precision == "auto" else (precision,)
    total = _STAGES + len(wanted)
    report_progress("compile: import", 0, total)
    model = import_onnx(source)
    checked = check_samples(model.inputs, samples)
    report_progress("compile: simplify", 1, total)
    graph = optimise(float_graph(model, checked))
    _check_missing(graph, checked)
    report_progress("compile: calibrate", 2, total)
    calibration = calibrate(model, graph, checked)
    attempts = _attempts(model, graph, calibration, wanted, report_progress)
    chosen, reason = _choose(attempts, precision)
    report_progress("compile: compare with onnxruntime", total - 1, total)
    operators = compare_operators(graph, calibration, precision_of(graph, chosen.precision))
    compiled = _compiled(
        model, calibration, chosen, reason, [item[0] for item in attempts], operators
    )
    report_progress("compile: done", total, total)
    return compiled


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A legal model at one precision, measured."""

    precision: str
    model: IntegerModel
    cost: CostRecord
    outputs: tuple[OutputReport, ...]

    @property
    def is_exact(self) -> bool:
        """True when nothing narrower than 32 bits is computed: precision changes nothing."""
        return all(kind.dtype in (DType.S32, DType.S64) for kind in self.model.tensors)


def _attempts(
    model: OnnxModel,
    graph: FloatGraph,
    calibration: Calibration,
    wanted: tuple[str, ...],
    progress: Progress,
) -> list[tuple[Attempt, _Candidate]]:
    """Measure precisions from narrow to wide until one keeps the labels; at least one."""
    attempts: list[tuple[Attempt, _Candidate]] = []
    total = _STAGES + len(wanted)
    for index, one in enumerate(wanted):
        progress(f"compile: lower to {one}", 3 + index, total)
        try:
            candidate = _candidate(model, graph, calibration, one)
        except CompileError:
            if not attempts:  # wider only makes a model larger; the narrow one stands
                raise
            break
        attempts.append((_attempt(candidate), candidate))
        if candidate.is_exact or attempts[-1][0].accepted:
            break
    first = attempts[0][0]
    if first.accepted and len(wanted) > 1 and not attempts[0][1].is_exact and _is_small(graph):
        widest = _candidate(model, graph, calibration, wanted[-1])
        if gas_figures(widest.cost)[0] <= CHEAP_WIDE * first.gas:
            attempts.append((_attempt(widest), widest))
    return attempts


def _is_small(graph: FloatGraph) -> bool:
    """True for dense networks of which the wide form is surely legal and cheap to try."""
    weights = [item.weight.size for item in graph.operations if isinstance(item, Dense)]
    return sum(weights) <= _SMALL_WEIGHTS and not any(
        isinstance(item, Conv | Pool) for item in graph.operations
    )


def _check_missing(graph: FloatGraph, samples: Mapping[str, Array]) -> None:
    """Missing values are legal only where tree ensembles are the first to read them."""
    readers = consumers(graph)
    for name, values in samples.items():
        if not np.isnan(values.astype(np.float64)).any():
            continue
        for reader in readers.get(name, []):
            if not isinstance(reader, Trees):
                raise CompileError(
                    f"samples of input {name!r} contain NaN, which {reader.origin[0]} cannot read",
                    advice="fill missing values first; only tree ensembles know them",
                )


def _candidate(
    model: OnnxModel, graph: FloatGraph, calibration: Calibration, precision: str
) -> _Candidate:
    lowered = lower_graph(model, graph, calibration, precision_of(graph, precision))
    try:
        cost = validate_model(lowered)
    except ModelError as error:
        raise CompileError(
            f"the integer model at precision {precision} is not legal: {error}",
            advice="the model is too large for one call, or its ranges are extreme; make it"
            " smaller, or choose another precision",
        ) from error
    inputs = quantize_samples(lowered, calibration.samples)
    got = run_samples(plan_model(lowered), inputs)
    outputs = compare_outputs(lowered, got, calibration.outputs)
    return _Candidate(precision, lowered, cost, outputs)


def _attempt(candidate: _Candidate) -> Attempt:
    agreements = [item.agreement for item in candidate.outputs if item.agreement is not None]
    accepted = all(
        item.agreement >= AUTO_AGREEMENT
        if item.agreement is not None
        else item.max_abs_error <= AUTO_RELATIVE_ERROR * max(item.spread, 1e-9)
        for item in candidate.outputs
    )
    return Attempt(
        precision=candidate.precision,
        agreement=min(agreements) if agreements else None,
        max_abs_error=max(item.max_abs_error for item in candidate.outputs),
        gas=gas_figures(candidate.cost)[0],
        accepted=accepted,
    )


def _choose(attempts: list[tuple[Attempt, _Candidate]], precision: str) -> tuple[_Candidate, str]:
    last, candidate = attempts[-1]
    if candidate.is_exact and not last.accepted:
        return candidate, "the widest there is, and yet fewer labels agree than wanted"
    if candidate.is_exact:
        return candidate, "integers on the grid of the features, no narrow activations"
    if precision != "auto":
        return candidate, "as asked"
    if last.accepted and last.precision == PRECISIONS[-1] and attempts[0][0].accepted:
        return candidate, "nearly exact, for little more gas"
    if last.accepted:
        return candidate, "the narrowest that keeps the labels"
    best = max(attempts, key=lambda item: (item[0].agreement or 0.0, -item[0].max_abs_error))
    return best[1], "none keeps 99.9 % of the labels; this is the nearest"


def _compiled(
    model: OnnxModel,
    calibration: Calibration,
    chosen: _Candidate,
    reason: str,
    attempts: list[Attempt],
    operators: tuple[OperatorReport, ...],
) -> Compiled:
    data = encode_model(chosen.model)
    gas, further = gas_figures(chosen.cost)
    report = Report(
        precision="wide" if chosen.is_exact else chosen.precision,
        reason=reason,
        samples=len(next(iter(calibration.samples.values()))),
        outputs=chosen.outputs,
        operators=operators,
        attempts=tuple(attempts),
        labels=model.labels,
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
