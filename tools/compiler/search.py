"""The search for a precision: from 8 bits up, tensor by tensor, until the samples agree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, log10

from precompiles.errors import ModelError
from precompiles.model.types import CostRecord, DType, IntegerModel
from precompiles.model.validate import validate_model
from precompiles.runner import plan_model
from tools.compiler.calibrate import Calibration
from tools.compiler.ease import view_of
from tools.compiler.errors import CompileError
from tools.compiler.graph import Conv, Dense, FloatGraph, Operation, Pool
from tools.compiler.lower import lower_graph, wanted_in_integer_form
from tools.compiler.precision import PRECISIONS, Precision, is_move, precision_of
from tools.compiler.report import (
    Attempt,
    OutputReport,
    RaisedReport,
    compare_outputs,
    gas_figures,
    quantize_samples,
    run_samples,
)

AUTO_AGREEMENT = 0.999
AUTO_RELATIVE_ERROR = 0.0025
CHEAP_WIDE = 1.5
"""``auto`` takes wide, which is nearly exact, when its call costs at most this times int8's."""

_SMALL_WEIGHTS = 1 << 20
_WIDEST_WEIGHTS = 1 << 23
"""Networks with more weights are not tried in wide form, which has no narrow products."""

_DROPS = 12
"""Raised tensors that are tried at 8 bits again, those with the least noise first."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A legal model at one precision, measured on the samples."""

    precision: Precision
    model: IntegerModel
    cost: CostRecord
    outputs: tuple[OutputReport, ...]

    @property
    def name(self) -> str:
        """int8, int16, wide, or mixed when the search raised tensors."""
        return "mixed" if self.precision.raised else self.precision.name

    @property
    def is_exact(self) -> bool:
        """True when nothing narrower than 32 bits is computed: precision changes nothing."""
        return all(kind.dtype in (DType.S32, DType.S64) for kind in self.model.tensors)

    @property
    def agreement(self) -> float | None:
        """Least label agreement of any output that has one."""
        found = [item.agreement for item in self.outputs if item.agreement is not None]
        return min(found) if found else None

    @property
    def max_abs_error(self) -> float:
        """Largest error of any output."""
        return max(item.max_abs_error for item in self.outputs)

    @property
    def gas(self) -> int:
        """Gas of a call with one sample."""
        return gas_figures(self.cost)[0]

    @property
    def accepted(self) -> bool:
        """True when every output keeps its labels, or its numbers to 1 % of their spread."""
        return all(
            item.agreement >= AUTO_AGREEMENT
            if item.agreement is not None
            else item.max_abs_error <= AUTO_RELATIVE_ERROR * max(item.spread, 1e-9)
            for item in self.outputs
        )

    @property
    def attempt(self) -> Attempt:
        """The line of the report."""
        return Attempt(
            precision=self.name,
            tensors=len(self.precision.raised),
            agreement=self.agreement,
            max_abs_error=self.max_abs_error,
            gas=self.gas,
            accepted=self.accepted,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The candidate that was taken, why, what else was measured, and which tensors were raised."""

    candidate: Candidate
    reason: str
    attempts: tuple[Attempt, ...]
    raised: tuple[RaisedReport, ...] = ()


@dataclass(slots=True, eq=False)
class Search:
    """Builds and measures candidates of one graph.

    Attributes:
        output_names: names of the model's outputs.
        graph: after the passes.
        calibration: statistics, samples and expected outputs.
        tried: called with the name of each candidate before it is built.
        classes: number of class labels that the file names.
    """

    output_names: tuple[str, ...]
    graph: FloatGraph
    calibration: Calibration
    tried: Callable[[str], None]
    classes: int = 0
    _attempts: list[Attempt] = field(default_factory=list)

    def choose(self, precision: str) -> Choice:
        """The candidate for ``--precision``: as asked, or the cheapest that the samples accept."""
        if precision != "auto":
            asked = self._measured(precision)
            return Choice(asked, _as_asked(asked), tuple(self._attempts))
        choice = self._automatic()
        return Choice(choice.candidate, choice.reason, tuple(self._attempts), choice.raised)

    def _automatic(self) -> Choice:
        narrow = self._first()
        if narrow.is_exact or narrow.name != "int8":
            return Choice(narrow, _as_asked(narrow), ())
        if narrow.accepted:
            return self._cheap_wide(Choice(narrow, "the narrowest that keeps the labels", ()))
        middle = self._other("int16")
        if middle is not None and middle.accepted:
            return self._cheap_wide(self._raised(narrow, middle))
        wide = self._wide(_WIDEST_WEIGHTS, no_images=False)
        tried = [item for item in (narrow, middle, wide) if item is not None]
        if wide is not None and wide.accepted:
            return Choice(wide, "the narrowest that keeps the labels", ())
        best = max(tried, key=lambda item: (item.agreement or 0.0, -item.max_abs_error))
        reason = f"none keeps {AUTO_AGREEMENT:.1%} of the labels; this is the nearest"
        return Choice(best, reason, ())

    def _first(self) -> Candidate:
        """The narrowest that is legal; the error of int8 when none is."""
        try:
            return self._measured("int8")
        except CompileError as error:
            found = self._other("int16") or self._wide(_WIDEST_WEIGHTS, no_images=False)
            if found is None:
                raise error
            wide = None if found.accepted else self._wide(_WIDEST_WEIGHTS, no_images=False)
            return wide or found

    def _cheap_wide(self, choice: Choice) -> Choice:
        """Wide, which is nearly exact, where its call costs little more than what was accepted."""
        wide = self._wide(_SMALL_WEIGHTS, no_images=True)
        if wide is not None and wide.gas <= CHEAP_WIDE * choice.candidate.gas:
            return Choice(wide, "nearly exact, for little more gas", ())
        return choice

    def _measured(self, name: str) -> Candidate:
        candidate = self.build(name)
        self._attempts.append(candidate.attempt)
        return candidate

    def _other(self, name: str) -> Candidate | None:
        """A wider candidate; None when it is not legal (wider only makes a model larger)."""
        try:
            return self._measured(name)
        except CompileError:
            return None

    def _wide(self, most_weights: int, *, no_images: bool) -> Candidate | None:
        layers = [item for item in self.graph.operations if isinstance(item, Dense | Conv)]
        images = any(isinstance(item, Conv | Pool) for item in self.graph.operations)
        if sum(item.weight.size for item in layers) > most_weights or (images and no_images):
            return None
        return self._other(PRECISIONS[-1])

    def build(self, name: str, raised: frozenset[str] = frozenset()) -> Candidate:
        """Lower, validate and run the samples.

        Raises:
            CompileError: an operation has no integer form, or the model is not legal.
        """
        graph, calibration = view_of(self.graph, self.calibration, name)
        precision = precision_of(graph, name, raised)
        self.tried("mixed precision" if raised else name)
        lowered = lower_graph(self.output_names, graph, calibration, precision)
        try:
            cost = validate_model(lowered)
        except ModelError as error:
            raise CompileError(
                f"the integer model at precision {name} is not legal: {error}",
                advice="the model is too large for one call, or its ranges are extreme; make it"
                " smaller, or choose another precision",
            ) from error
        inputs = quantize_samples(lowered, self.calibration.samples)
        got = run_samples(plan_model(lowered), inputs)
        outputs = compare_outputs(lowered, got, self.calibration.outputs, self.classes)
        return Candidate(precision, lowered, cost, outputs)

    def _raised(self, narrow: Candidate, middle: Candidate) -> Choice:
        """As few tensors at 16 bits as the samples ask for; all of them when that is no dearer."""
        noisy = self.noisy_tensors(narrow.precision)
        names = [name for name, _ in noisy]
        best, count = self._shortest(names)
        if best is None or best.gas >= middle.gas:
            return Choice(middle, "the narrowest that keeps the labels", ())
        kept = set(names[:count])
        losses: dict[str, Candidate] = {}
        for name in list(reversed(names[:count]))[:_DROPS]:
            if len(kept) == 1:
                break
            without = self.build("int8", frozenset(kept - {name}))
            if without.accepted:
                best = without
                kept.discard(name)
            else:
                losses[name] = without
        self._attempts.append(best.attempt)
        reason = f"8 bits, but 16 in {len(kept)} of {len(names)} tensors, to keep the labels"
        ratios = dict(noisy)
        rows = [self._row(name, ratios[name], losses.get(name)) for name in names if name in kept]
        return Choice(best, reason, (), tuple(rows))

    def _row(self, name: str, noise: float, without: Candidate | None) -> RaisedReport:
        producer = {item.output: item.origin for item in self.graph.operations}
        operator, node = producer.get(name, ("input", name))
        decibels = -10 * log10(noise) if 0 < noise < inf else 0.0
        agreement = None if without is None else without.agreement
        error = None if without is None else without.max_abs_error
        return RaisedReport(name, operator, node, decibels, agreement, error)

    def _shortest(self, names: list[str]) -> tuple[Candidate | None, int]:
        """The shortest accepted prefix of the tensors in order of noise, by bisection."""
        low, high = 1, len(names)
        best: Candidate | None = None
        found = high
        while low <= high:
            middle = (low + high) // 2
            candidate = self.build("int8", frozenset(names[:middle]))
            if candidate.accepted:
                best, found, high = candidate, middle, middle - 1
            else:
                low = middle + 1
        return best, found

    def noisy_tensors(self, precision: Precision) -> list[tuple[str, float]]:
        """8-bit tensors that more bits would help, noisiest first, with noise over signal."""
        graph, calibration = view_of(self.graph, self.calibration, precision.name)
        fine = wanted_in_integer_form(graph, precision)
        names = [item.name for item in graph.inputs if len(item.shape) > 1]
        names += [item.output for item in graph.operations if _computes(item)]
        ranked = []
        for name in names:
            narrow = precision.form_of(name).dtype in (DType.U8, DType.S8)
            if narrow and name not in fine and name not in graph.grids:
                ranked.append((name, noise_ratio(calibration, name)))
        return sorted(ranked, key=lambda item: -item[1])


def noise_ratio(calibration: Calibration, name: str) -> float:
    """Mean square error of the tensor's 8-bit grid over the mean square of its values."""
    histogram = calibration.histograms.get(name)
    found: Mapping[str, object] = calibration.statistics.ranges
    if histogram is None or name not in found:
        return inf
    span = calibration.statistics.clipped.get(name, calibration.statistics.ranges[name])
    low, high = min(span.low, 0.0), max(span.high, 0.0)
    return histogram.noise(low, high) / max(histogram.power(), 1e-300)


def _computes(operation: Operation) -> bool:
    return not is_move(operation)


def _as_asked(candidate: Candidate) -> str:
    if not candidate.is_exact:
        return "as asked"
    if candidate.accepted:
        return "integers on the grid of the features, no narrow activations"
    return "the widest there is, and yet fewer labels agree than wanted"
