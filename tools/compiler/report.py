"""What the integer model loses against onnxruntime, measured with the chain's own kernels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from precompiles.gas import gas_for
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import CostRecord, IntegerModel, Port
from precompiles.runner import Plan, run_arrays
from tools.compiler.graph import Array, Floats
from tools.compiler.quantize import Grid, quantize_array

_CHUNK = 256
_TIE = 1e-6


@dataclass(frozen=True, slots=True)
class OutputReport:
    """One output against onnxruntime.

    Attributes:
        agreement: share of samples with the same label (largest score), or the same side of 0.5
            for a single score inside [0, 1], or the same sign for another single score of a file
            with two class labels; None for other numbers.
        ties: samples whose two best scores differ by less than 1e-6 in onnxruntime, so that its
            own float rounding decides the label.
        spread: largest minus smallest value that onnxruntime gives.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    max_abs_error: float
    mean_abs_error: float
    spread: float
    agreement: float | None
    ties: int


@dataclass(frozen=True, slots=True)
class OperatorReport:
    """Worst difference of one tensor, relative to its calibrated range."""

    operator: str
    node: str
    max_abs_error: float
    relative_error: float


@dataclass(frozen=True, slots=True)
class RaisedReport:
    """A tensor that has 16 bits although the rest has 8.

    Attributes:
        decibels: signal over the noise of its 8-bit grid.
        agreement, max_abs_error: of the outputs, measured with only this tensor back at 8 bits;
            None when that was not tried.
    """

    tensor: str
    operator: str
    node: str
    decibels: float
    agreement: float | None
    max_abs_error: float | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One precision that was tried; ``tensors`` were raised to 16 bits."""

    precision: str
    tensors: int
    agreement: float | None
    max_abs_error: float
    gas: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The whole comparison; ``gas`` is one call with one sample, before the EVM's own costs."""

    precision: str
    reason: str
    samples: int
    outputs: tuple[OutputReport, ...]
    operators: tuple[OperatorReport, ...]
    raised: tuple[RaisedReport, ...]
    attempts: tuple[Attempt, ...]
    labels: tuple[int | str, ...]
    model_bytes: int
    constant_bytes: int
    instructions: int
    gas: int
    gas_per_further_sample: int

    @property
    def agreement(self) -> float | None:
        """Label agreement of the first output that has one."""
        return next((item.agreement for item in self.outputs if item.agreement is not None), None)

    @property
    def worst_operator(self) -> OperatorReport | None:
        """The operation that loses most: its error grows most over those before it."""
        worst, growth, before = None, 0.0, 0.0
        for row in self.operators:
            if row.relative_error - before > growth:
                worst, growth = row, row.relative_error - before
            before = max(before, row.relative_error)
        return worst

    @property
    def max_abs_error(self) -> float:
        """Largest error of any output."""
        return max(item.max_abs_error for item in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings."""
        worst = self.worst_operator
        return {
            **asdict(self),
            "agreement": self.agreement,
            "max_abs_error": self.max_abs_error,
            "worst_operator": None if worst is None else asdict(worst),
        }

    def to_text(self) -> str:
        """A table for people."""
        lines = [
            f"precision        {self.precision} ({self.reason})",
            f"samples          {self.samples}",
            f"model            {self.model_bytes:,} bytes, {self.instructions} instructions",
            f"gas              {self.gas:,} a call,"
            f" {self.gas_per_further_sample:,} a further sample",
        ]
        for item in self.outputs:
            agreed = "" if item.agreement is None else f", same label {item.agreement:.2%}"
            agreed += f" ({item.ties} ties)" if item.ties else ""
            lines.append(
                f"output {item.name}: {item.dtype} {list(item.shape)}, max error"
                f" {item.max_abs_error:.3g}, mean error {item.mean_abs_error:.3g}{agreed}"
            )
        if self.labels:
            shown = ", ".join(map(str, self.labels[:12]))
            lines.append(f"labels           {shown}{', ...' if len(self.labels) > 12 else ''}")
        lines += self._raised_lines()
        if self.operators:
            lines.append(f"{'operator':<24} {'node':<32} {'worst error':>12} {'of range':>9}")
        for row in self.operators:
            lines.append(
                f"{row.operator[:24]:<24} {row.node[:32]:<32} {row.max_abs_error:>12.3g}"
                f" {row.relative_error:>9.2%}"
            )
        if self.worst_operator is not None:
            worst = self.worst_operator
            lines.append(f"loses most       {worst.operator} {worst.node}")
        return "\n".join(lines)

    def _raised_lines(self) -> list[str]:
        lines = []
        for row in self.raised:
            effect = ""
            if row.agreement is not None:
                effect = f"; with 8 bits {row.agreement:.2%} of the labels agree"
            elif row.max_abs_error is not None:
                effect = f"; with 8 bits the outputs are off by {row.max_abs_error:.3g}"
            lines.append(
                f"16 bits          {row.operator} {row.node}: signal to noise of 8 bits"
                f" {row.decibels:.0f} dB{effect}"
            )
        return lines


def quantize_samples(model: IntegerModel, samples: Mapping[str, Array]) -> list[Array]:
    """Samples on the grids of the input ports; ``samples`` in port order."""
    arrays = []
    for port, values in zip(model.inputs, samples.values(), strict=True):
        codes = quantize_array(np.asarray(values, dtype=np.float64), port_grid(model, port))
        arrays.append(codes.astype(NUMPY_TYPES[model.type_of(port.value).dtype]))
    return arrays


def port_grid(model: IntegerModel, port: Port) -> Grid:
    """Number grid of a port."""
    scale = Fraction(port.quantization.scale_num, port.quantization.scale_den)
    return Grid(model.type_of(port.value).dtype, scale, port.quantization.zero_point)


def run_samples(plan: Plan, inputs: Sequence[Array]) -> list[Floats]:
    """Real values of every output, (N, *shape), computed by the chain's kernels."""
    parts = [
        run_arrays(plan, [item[start : start + _CHUNK] for item in inputs])
        for start in range(0, len(inputs[0]), _CHUNK)
    ]
    results = []
    for index, port in enumerate(plan.model.outputs):
        codes = np.concatenate([part[index] for part in parts])
        grid = port_grid(plan.model, port)
        results.append((codes.astype(np.float64) - grid.zero_point) * float(grid.scale))
    return results


def compare_outputs(
    model: IntegerModel, got: Sequence[Floats], expected: Mapping[str, Floats], classes: int = 0
) -> tuple[OutputReport, ...]:
    """Errors and agreement of each output; ``expected`` in port order.

    ``classes`` is the number of labels: with two, one score decides by its sign.
    """
    reports = []
    for port, values, wanted in zip(model.outputs, got, expected.values(), strict=True):
        reference = wanted.reshape(values.shape)
        difference = np.abs(values - reference)
        kind = model.type_of(port.value)
        reports.append(
            OutputReport(
                name=port.name,
                dtype=kind.dtype.name.lower(),
                shape=kind.shape,
                max_abs_error=float(difference.max()),
                mean_abs_error=float(difference.mean()),
                spread=float(reference.max() - reference.min()),
                agreement=_agreement(values, reference, classes),
                ties=_ties(reference),
            )
        )
    return tuple(reports)


def _agreement(values: Floats, reference: Floats, classes: int) -> float | None:
    if values.ndim == 2 and values.shape[1] >= 2:
        return float(np.mean(values.argmax(axis=1) == reference.argmax(axis=1)))
    is_score = reference.size == len(reference) and 0 <= reference.min() < reference.max() <= 1
    if is_score:
        return float(np.mean((values > 0.5) == (reference > 0.5)))
    if classes == 2 and reference.size == len(reference):
        return float(np.mean((values > 0) == (reference > 0)))
    return None


def _ties(reference: Floats) -> int:
    if reference.ndim != 2 or reference.shape[1] < 2:
        return 0
    best = np.sort(reference, axis=1)
    return int((best[:, -1] - best[:, -2] < _TIE).sum())


def gas_figures(cost: CostRecord) -> tuple[int, int]:
    """Gas of a call with one sample, and of each further sample."""
    return gas_for(cost, 1), cost.gas_per_sample
