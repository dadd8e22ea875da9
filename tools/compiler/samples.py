"""The author's calibration samples, checked against the inputs that the ONNX file declares."""

from collections.abc import Mapping

import numpy as np

from tools.compiler.errors import CompileError
from tools.compiler.graph import Array, GraphInput

_ADVICE = "pass real inputs: an array (batch first), or a mapping of input name to array"


def check_samples(
    inputs: tuple[GraphInput, ...], samples: Array | Mapping[str, Array] | None
) -> dict[str, Array]:
    """Samples by input name, in the declared dtype, batch first.

    One sample without the batch dimension and rows flattened to ``(N, elements)`` are accepted.
    NaN passes here (trees know missing values); infinities do not.

    Raises:
        CompileError: none given, wrong names, shapes or kinds, unequal counts, infinities.
    """
    if samples is None:
        raise CompileError(
            "calibration data is needed: the ranges of integers come from real inputs",
            advice="pass samples (command line: --samples file.npy, .npz or .csv)",
        )
    given = samples if isinstance(samples, Mapping) else _single(inputs, samples)
    names = {item.name for item in inputs}
    if set(given) != names:
        raise CompileError(
            f"samples are for {sorted(given)}, the model's inputs are {sorted(names)}"
        )
    arrays = {item.name: _array(item, given[item.name]) for item in inputs}
    counts = {name: len(value) for name, value in arrays.items()}
    if len(set(counts.values())) != 1 or min(counts.values()) == 0:
        raise CompileError(f"samples per input are {counts}, expected the same number, at least 1")
    return arrays


def sample_shapes(samples: Array | Mapping[str, Array] | None) -> dict[str, tuple[int, ...]]:
    """Whole shapes of samples by input name; "" for an array without a name."""
    if samples is None:
        return {}
    given = samples if isinstance(samples, Mapping) else {"": samples}
    return {name: tuple(np.shape(value)) for name, value in given.items()}


def _single(inputs: tuple[GraphInput, ...], samples: Array) -> dict[str, Array]:
    if len(inputs) != 1:
        names = sorted(item.name for item in inputs)
        raise CompileError(f"one sample array for the {len(inputs)} inputs {names}", advice=_ADVICE)
    return {inputs[0].name: samples}


def _array(declared: GraphInput, value: Array) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise CompileError(
            f"samples of input {declared.name!r} are {array.dtype}, expected numbers",
            advice=_ADVICE,
        )
    shape = declared.shape
    if array.shape == shape and array.ndim:
        array = array[np.newaxis]
    elements = int(np.prod(shape, dtype=np.int64))
    if array.ndim and array.shape[1:] != shape and array.shape[1:] == (elements,):
        array = array.reshape(-1, *shape)
    if not array.ndim or array.shape[1:] != shape:
        raise CompileError(
            f"samples of input {declared.name!r} have shape {array.shape},"
            f" expected (N, {', '.join(map(str, shape))})",
            advice=_ADVICE,
        )
    if declared.dtype.kind == "f":
        if np.isinf(array.astype(np.float64)).any():
            raise CompileError(f"samples of input {declared.name!r} contain infinities")
        return array.astype(declared.dtype)
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise CompileError(
            f"samples of input {declared.name!r} are not whole numbers, but it is {declared.dtype}"
        )
    return array.astype(declared.dtype)
