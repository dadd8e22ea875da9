"""Input ports: which grid the caller's numbers are put on."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.graph import (
    Array,
    Dense,
    Floats,
    GraphInput,
    Trees,
    consumers,
)
from tools.compiler.graph_tabular import Impute, readers_of_missing
from tools.compiler.lowering import Lowering, clip
from tools.compiler.program import Features, Operand
from tools.compiler.quantize import (
    WORD_LIMIT,
    Grid,
    ceil_log2,
    exact_grid,
    power_of_two,
)

_MAX_DECIMALS = 9
_HEADROOM_BITS = 4
_FEATURE_BITS = 27
_MAX_WIDE_PRODUCTS = 1 << 18


def declare_inputs(state: Lowering, samples: Mapping[str, Array]) -> None:
    """Declare every port, then what all consumers of it share (clips, feature scales)."""
    ports = {
        item.name: _declare(state, item, np.asarray(samples[item.name], dtype=np.float64))
        for item in state.graph.inputs
    }
    for name, port in ports.items():
        state.raw[name] = port
        values = np.asarray(samples[name], dtype=np.float64)
        if is_tabular(state, name):
            missing = _has_imputer(state, name)
            state.define(name, port if missing else _clipped(state, port, values))
            if port.type.shape:
                state.features[name] = _features(state, state.native(name), values)
        elif port.type.dtype is DType.S32:
            state.define(name, clip(state, port, -WORD_LIMIT, WORD_LIMIT))
        else:
            state.define(name, port)


def is_tabular(state: Lowering, name: str) -> bool:
    """True for rows of features: they keep an exact s32 or s64 grid until the first layer.

    A wide first layer of a large flat network is left to narrow activations instead.
    """
    shape = state.shape(name)
    if len(shape) > 1:
        return False
    readers = consumers(state.graph).get(name, [])
    products = sum(item.weight.size for item in readers if isinstance(item, Dense))
    return state.precision == "wide" or products <= _MAX_WIDE_PRODUCTS


def _has_imputer(state: Lowering, name: str) -> bool:
    """True when missing values must survive until an imputer reads them."""
    readers = consumers(state.graph)
    return any(isinstance(item, Impute) for item in readers_of_missing(readers, name))


def feeds_trees(state: Lowering, name: str) -> bool:
    """True when a tree ensemble reads the input."""
    return any(isinstance(item, Trees) for item in consumers(state.graph).get(name, []))


def _declare(state: Lowering, item: GraphInput, values: Floats) -> Operand:
    if item.name in state.graph.grids:
        grid = state.graph.grids[item.name]
    elif is_tabular(state, item.name):
        exact = feeds_trees(state, item.name)
        grid = feature_grid(values, is_integer=item.dtype.kind != "f", exact=exact)
    else:
        grid = _image_grid(state, item.name, values)
    return state.program.input(item.name, grid.dtype, item.shape, grid.scale, grid.zero_point)


def _image_grid(state: Lowering, name: str, values: Floats) -> Grid:
    step = exact_grid(values)
    if step is not None:
        return Grid(state.forms.base, step)
    return state.grid(name)


def feature_grid(values: Floats, *, is_integer: bool, exact: bool) -> Grid:
    """Fixed-point grid of feature rows.

    A decimal grid ``10**-d`` when every sample is a float of at most nine decimals (then decimal
    input is exact), else a binary one. s32 where eight times the samples fit, else s64.

    Args:
        values: samples, NaN for missing.
        is_integer: ONNX declares whole numbers.
        exact: trees compare the values, so every float32 sample should be on the grid.
    """
    finite = values[np.isfinite(values)]
    largest = max(float(np.abs(finite).max(initial=0.0)), 2.0**-20)
    decimals = 0 if is_integer else decimal_digits(finite)
    if decimals is not None:
        scale = Fraction(1, 10**decimals)
        if largest * 10.0**decimals < 2.0**49:
            narrow = largest * 10.0**decimals < 2.0**28
            return Grid(DType.S32 if narrow else DType.S64, scale)
    magnitude = ceil_log2(Fraction(largest))
    columns = np.abs(np.nan_to_num(values)).reshape(len(values), -1).max(axis=0)
    spread = largest / max(float(columns[columns > 0].min(initial=largest)), 2.0**-60)
    if exact or spread > 2.0**6:
        return Grid(DType.S64, power_of_two(-min(40, 49 - magnitude)))
    return Grid(DType.S32, power_of_two(-min(40, 27 - magnitude)))


def decimal_digits(values: Floats) -> int | None:
    """Fewest decimals d <= 9 with which every value survives a float32 round trip, or None."""
    single = values.astype(np.float32)
    for digits in range(_MAX_DECIMALS + 1):
        unit = 10.0**digits
        if np.array_equal((np.rint(values * unit) / unit).astype(np.float32), single):
            return digits
    return None


def _largest_code(port: Operand, values: Floats) -> Floats:
    """Largest absolute code of each feature over the samples, at least 1."""
    columns = np.abs(np.nan_to_num(values)).reshape(len(values), -1).max(axis=0)
    return np.asarray(np.maximum(np.ceil(columns / float(port.scale)), 1.0))


def _clipped(state: Lowering, port: Operand, values: Floats) -> Operand:
    """The port clipped to sixteen times what the samples reach; s32 ports need no clip."""
    if port.type.dtype is DType.S32:
        return port
    bits = ceil_log2(Fraction(float(_largest_code(port, values).max()))) + _HEADROOM_BITS
    return clip(state, port, -(1 << bits), 1 << bits)


def _features(state: Lowering, x: Operand, values: Floats) -> Features:
    """Features brought to similar magnitudes by powers of two."""
    codes = _largest_code(x, values)
    bits = [ceil_log2(Fraction(float(code))) for code in codes]
    top = max(bits)
    lift = [top - item for item in bits]
    drop = max(0, top - _FEATURE_BITS)
    if max(lift) < 4 and drop == 0:
        return Features(x, (0,) * len(lift), top)
    factors = [1 << min(item, 62 - top - _HEADROOM_BITS) for item in lift]
    shifts = tuple(factor.bit_length() - 1 for factor in factors)
    reach = max(abs(x.lo), abs(x.hi))
    limit = 1 << min(62 - max(shifts), max(1, reach.bit_length()))
    bounded = clip(state, x, -limit, limit)
    kind = TensorType(DType.S64, x.type.shape)
    ref = state.program.emit(
        op.MulInteger,
        DType.S64,
        x.type.shape,
        a=bounded.ref,
        b=state.program.constant(np.array(factors, dtype=np.int64), DType.S64),
        shift=drop,
    )
    span = (max(abs(bounded.lo), abs(bounded.hi)) * max(factors)) >> drop
    lifted = replace(
        bounded, ref=ref, type=kind, scale=x.scale * (1 << drop), lo=-span - 1, hi=span + 1
    )
    kept = min(top, _FEATURE_BITS)
    bound = 1 << (kept + _HEADROOM_BITS)
    return Features(clip(state, lifted, -bound, bound), shifts, kept)
