"""The float graph at one precision to an integer model."""

from collections.abc import Sequence

from precompiles.model.limits import MAX_PORTS
from precompiles.model.types import DType, IntegerModel
from tools.compiler import (  # each registers its operations with ``lower``
    lower_attention,
    lower_choices,
    lower_dense,
    lower_elementwise,
    lower_images,
    lower_moves,
    lower_quantized,
    lower_scores,
    lower_tabular,
    lower_trees,
)
from tools.compiler.calibrate import Calibration
from tools.compiler.errors import CompileError
from tools.compiler.graph import (
    ArgMax,
    Concat,
    FloatGraph,
    Function,
    Normalize,
    Pad,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Transpose,
    Trees,
    operands,
)
from tools.compiler.graph_attention import Divide, Length
from tools.compiler.graph_choices import Expand, Extreme, Negate, Rounding, Select, TopK
from tools.compiler.graph_tabular import Distances, Impute, LogSumExp, Power
from tools.compiler.lower_elementwise import has_table
from tools.compiler.lower_inputs import declare_inputs
from tools.compiler.lowering import Lowering, lower
from tools.compiler.precision import Precision
from tools.compiler.program import Operand

FAMILIES = (
    lower_attention,
    lower_choices,
    lower_dense,
    lower_elementwise,
    lower_images,
    lower_moves,
    lower_quantized,
    lower_scores,
    lower_tabular,
    lower_trees,
)
_INTEGER_INPUT = (
    Softmax,
    Normalize,
    Trees,
    Rounding,
    Divide,
    Length,
    Distances,
    Power,
    LogSumExp,
    Impute,
)
_TRANSPARENT = (
    Reshape,
    Transpose,
    Slice,
    Concat,
    Pad,
    Function,
    Reduce,
    ArgMax,
    Expand,
    Extreme,
    Negate,
    Select,
    TopK,
)


def wanted_in_integer_form(graph: FloatGraph, precision: Precision) -> frozenset[str]:
    """Tensors that outputs, scores and normalisation read, through what only moves them.

    A small 16-bit argument of a scalar function is one too: curves are finer than tables.
    """
    wanted = set(graph.outputs)
    distances = {item.output for item in graph.operations if isinstance(item, Distances)}
    for operation in reversed(graph.operations):
        if isinstance(operation, Function) and operation.x in distances:
            wanted.add(operation.output)  # kernels are summed with large weights
        passes = isinstance(operation, _TRANSPARENT) and operation.output in wanted
        curve = (
            isinstance(operation, Function)
            and operation.clamp is None
            and precision.form_of(operation.x).dtype is DType.S16
            and not has_table(graph, operation)
        )
        narrow = isinstance(operation, Softmax) and not (
            operation.logarithm or operation.output in wanted or precision.name == "wide"
        )
        if passes or curve or (isinstance(operation, _INTEGER_INPUT) and not narrow):
            wanted.update(operands(operation))
    return frozenset(wanted)


def lower_graph(
    names: Sequence[str], graph: FloatGraph, calibration: Calibration, precision: Precision
) -> IntegerModel:
    """Emit the whole program.

    Args:
        names: names of the outputs.
        graph: after the passes.
        calibration: ranges and samples.
        precision: the form of every tensor.

    Raises:
        CompileError: names the operation that has no integer form.
    """
    state = _lowered(graph, calibration, precision)
    outputs = [
        (name, state.plain(state.native(tensor)))
        for name, tensor in zip(names, graph.outputs, strict=True)
    ]
    refs = [operand.ref for _, operand in outputs]
    if len(set(refs)) != len(refs):
        raise CompileError("two outputs are the same tensor", advice="export it once")
    return state.program.finish(outputs)


def lower_with_taps(
    graph: FloatGraph, calibration: Calibration, precision: Precision
) -> tuple[IntegerModel, tuple[str, ...]]:
    """The same program with its inner tensors as outputs, to see where precision is lost.

    Returns:
        The model, and the tensor name behind each of its outputs (at most ``MAX_PORTS``).
    """
    state = _lowered(graph, calibration, precision)
    taps: dict[int, tuple[str, Operand]] = {}
    for operation in graph.operations:
        name = operation.output
        if name not in calibration.statistics.ranges or not state.has(name):
            continue
        operand = state.plain(state.native(name))
        if operand.ref >= 0 and operand.scale.denominator < 1 << 64:  # no constant
            taps.setdefault(operand.ref, (name, operand))
    chosen = list(taps.values())[-MAX_PORTS:]
    return state.program.finish(chosen), tuple(name for name, _ in chosen)


def _lowered(graph: FloatGraph, calibration: Calibration, precision: Precision) -> Lowering:
    fine = wanted_in_integer_form(graph, precision)
    state = Lowering(graph, calibration.statistics, precision, fine)
    declare_inputs(state, calibration.samples)
    for operation in graph.operations:
        state.define(operation.output, lower(operation, state))
    return state
