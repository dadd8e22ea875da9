"""State of one lowering, and the conversions between the forms that a tensor can have.

Three forms: *activation* (u8, s8, s16 or s32, on the grid that calibration and ``precision`` give
the tensor), *integer* (s32 or s64, zero point 0, exact arithmetic) and, for images, *channels
last*. Each operation is lowered in the form that suits it; a conversion is made once per tensor.
"""

from dataclasses import replace
from fractions import Fraction
from functools import singledispatch

import numpy as np

from precompiles.model import operators as op
from precompiles.model.types import DType, TensorType
from tools.compiler.errors import CompileError
from tools.compiler.graph import Bounds, FloatGraph, Floats, Operation, Shape
from tools.compiler.precision import Form, Precision
from tools.compiler.program import Features, Operand, Program
from tools.compiler.quantize import (
    WORD_LIMIT,
    Grid,
    activation_grid,
    ceil_log2,
    power_of_two,
    quantize_value,
    requantize_multipliers,
)
from tools.compiler.spans import Range, Statistics

FRACTION_BITS = 30
"""Fraction bits of probabilities and other function values."""


class Lowering:
    """One model being lowered at one precision."""

    def __init__(
        self,
        graph: FloatGraph,
        statistics: Statistics,
        precision: Precision,
        fine: frozenset[str],
    ) -> None:
        """``fine`` names the tensors that are wanted in integer form."""
        self.graph = graph
        self.program = Program()
        self.forms = precision
        self.fine = fine
        self.raw: dict[str, Operand] = {}
        self.constants: dict[str, Floats] = {}
        self.features: dict[str, Features] = {}
        self.means = statistics.means
        self._ranges = statistics.ranges
        self._clipped = statistics.clipped
        self._values: dict[str, Operand] = {}
        self._forms: dict[tuple[object, ...], Operand] = {}

    @property
    def precision(self) -> str:
        """Name of the base precision: int8, int16 or wide."""
        return self.forms.name

    @property
    def activation_dtype(self) -> DType:
        """Dtype of activations that nothing raised; prefer ``dtype_of``."""
        return self.forms.base

    def dtype_of(self, name: str) -> DType:
        """Dtype of a tensor's activation: u8, s8, s16 or s32."""
        return self.forms.form_of(name).dtype

    def define(self, name: str, operand: Operand) -> None:
        """Set the native value of a tensor."""
        self._values[name] = operand

    def native(self, name: str) -> Operand:
        """A tensor as its producer left it."""
        return self._values[name]

    def has(self, name: str) -> bool:
        """True once the tensor has a value."""
        return name in self._values

    def shape(self, name: str) -> Shape:
        """Per-sample shape in ONNX order."""
        return self.graph.shapes[name]

    def range_of(self, name: str) -> Range:
        """Calibrated range of a tensor; CompileError when no sample run showed it."""
        found = self._ranges.get(name)
        if found is None:
            operand = self._values.get(name)
            if operand is None:
                raise CompileError(f"tensor {name!r} has no calibrated range")
            real = [
                float(operand.scale * (q - operand.zero_point)) for q in (operand.lo, operand.hi)
            ]
            return Range(min(real), max(real))
        return found

    def has_range(self, name: str) -> bool:
        """True when calibration saw the tensor."""
        return name in self._ranges

    def grid(self, name: str, form: Form | None = None) -> Grid:
        """Activation grid of a tensor, in another form than its own when one is given.

        A fixed grid (``FloatGraph.grids``) is returned as it is for its own dtype.
        """
        form = form or self.forms.form_of(name)
        fixed = self.graph.grids.get(name)
        if fixed is not None and fixed.dtype is form.dtype:
            return fixed
        found = self.range_of(name)
        if form.dtype in (DType.U8, DType.S8):
            found = self._clipped.get(name, found)
        return activation_grid(found.low, found.high, form.dtype, form.reach)

    def result_grid(self, name: str) -> Grid:
        """Grid for an operation that requantises: s32 where integer form is wanted."""
        if name in self.fine and name not in self.graph.grids:
            found = self.range_of(name)
            return activation_grid(found.low, found.high, DType.S32)
        return self.grid(name)

    def activation(self, name: str, *dtypes: DType) -> Operand:
        """A tensor in activation form.

        As its producer left it when that is narrow (u8, s8, s16) or of the tensor's own dtype;
        with ``dtypes``, when it is one of these. Otherwise it is requantised to the tensor's own
        dtype, or to the first of ``dtypes``.
        """
        native = self._values[name]
        own = self.dtype_of(name)
        wanted = dtypes or (own, DType.U8, DType.S8, DType.S16)
        if native.type.dtype in wanted:
            return self._as_word(name, native)
        form = self.forms.form_of(name) if own in wanted else Form(wanted[0])
        return self.on(native, self.grid(name, form))

    def _as_word(self, name: str, x: Operand) -> Operand:
        """An s32 activation within ``WORD_LIMIT``; features on their own grid may be larger."""
        if x.type.dtype is not DType.S32 or x.bound <= WORD_LIMIT or not self.has_range(name):
            return x
        reach = Fraction(max(16 * self.range_of(name).magnitude, 2.0**-20)) / x.scale
        if reach > WORD_LIMIT:
            return self.on(x, self.grid(name, Form(DType.S32)))
        key = ("word", x.ref)
        if key not in self._forms:
            self._forms[key] = clip(self, x, -reach.__ceil__(), reach.__ceil__())
        return self._forms[key]

    def on(self, x: Operand, grid: Grid) -> Operand:
        """An operand requantised to a grid, once."""
        if x.type.dtype is grid.dtype and (x.scale, x.zero_point) == (grid.scale, grid.zero_point):
            return x
        key = ("on", x.ref, grid)
        if key not in self._forms:
            self._forms[key] = to_grid(self, x, grid)
        return self._forms[key]

    def integer(self, name: str) -> Operand:
        """A tensor in integer form."""
        native = self._values[name]
        if native.is_integer_form:
            return native
        key = ("integer", native.ref)
        if key not in self._forms:
            extra = 12 if native.type.dtype is DType.U8 else 8
            scale = power_of_two(ceil_log2(native.scale) - extra)
            self._forms[key] = to_grid(self, native, Grid(DType.S32, scale))
        return self._forms[key]

    def bounded(self, name: str) -> Operand:
        """A tensor in integer form whose interval is at most 16 times its calibrated range.

        Intervals are pessimistic (a quotient, a sum of leaves); weights need the bits.
        """
        x = self._values[name]
        if name not in self._ranges:
            return x
        reach = Fraction(max(16 * self._ranges[name].magnitude, 2.0**-20)) / x.scale
        if x.bound < 4 * reach:
            return x
        key = ("bounded", x.ref)
        if key not in self._forms:
            self._forms[key] = clip(self, x, -reach.__ceil__(), reach.__ceil__())
        return self._forms[key]

    def channels_last(self, x: Operand) -> Operand:
        """Move axis 0 last."""
        if x.channels_last or len(x.type.shape) < 2:
            return x
        order = (*range(1, len(x.type.shape)), 0)
        return replace(self._moved(x, order, "last"), channels_last=True)

    def plain(self, x: Operand) -> Operand:
        """Axes in ONNX order."""
        if not x.channels_last:
            return x
        last = len(x.type.shape) - 1
        return replace(self._moved(x, (last, *range(last)), "first"), channels_last=False)

    def _moved(self, x: Operand, order: Shape, kind: str) -> Operand:
        key = (kind, x.ref)
        if key not in self._forms:
            self._forms[key] = transpose(self, x, order)
        return self._forms[key]


@singledispatch
def lower(operation: Operation, state: Lowering) -> Operand:
    """Emit the instructions of one operation; returns its native result."""
    raise CompileError(
        "has no integer form", operator=operation.origin[0], node=operation.origin[1]
    )


def refuse(operation: Operation, reason: str, advice: str) -> CompileError:
    """The error that names the ONNX node of an operation."""
    return CompileError(
        reason, advice=advice, operator=operation.origin[0], node=operation.origin[1]
    )


def grid_limits(grid: Grid) -> tuple[int, int]:
    """Codes that results on this grid are clipped to."""
    return grid.limits


def clamp_codes(clamp: Bounds, grid: Grid) -> tuple[int, int]:
    """Lowest and highest code of a result that is clipped to real bounds."""
    low, high = grid_limits(grid)
    codes = [quantize_value(bound, grid) for bound in clamp]
    return min(max(codes[0], low), high), min(max(codes[1], low), high)


def on_grid(
    ref: int, shape: Shape, grid: Grid, bounds: tuple[int, int], *, channels_last: bool = False
) -> Operand:
    """Operand for an output on a grid, with its proven bounds."""
    kind = TensorType(grid.dtype, shape)
    return Operand(ref, kind, grid.scale, grid.zero_point, *bounds, channels_last=channels_last)


def transpose(state: Lowering, x: Operand, order: Shape) -> Operand:
    """Permute axes; a Reshape when no element moves."""
    shape = tuple(x.type.shape[axis] for axis in order)
    moving = [axis for axis in order if x.type.shape[axis] > 1]
    if moving == sorted(moving):
        return reshape(state, x, shape)
    ref = state.program.emit(op.Transpose, x.type.dtype, shape, x=x.ref, permutation=order)
    return replace(x, ref=ref, type=TensorType(x.type.dtype, shape))


def reshape(state: Lowering, x: Operand, shape: Shape) -> Operand:
    """The same elements under another shape."""
    if x.type.shape == shape:
        return x
    ref = state.program.emit(op.Reshape, x.type.dtype, shape, x=x.ref)
    return replace(x, ref=ref, type=TensorType(x.type.dtype, shape))


def clip(state: Lowering, x: Operand, lo: int, hi: int) -> Operand:
    """Clip codes; nothing when the interval already fits."""
    if lo <= x.lo and x.hi <= hi:
        return x
    ref = state.program.emit(op.Clip, x.type.dtype, x.type.shape, x=x.ref, lo=lo, hi=hi)
    return replace(x, ref=ref, lo=min(max(x.lo, lo), hi), hi=max(min(x.hi, hi), lo))


def to_grid(state: Lowering, x: Operand, grid: Grid) -> Operand:
    """Requantise to another grid (s16 or s32 or u8), saturating."""
    if not x.type.shape:
        return reshape(state, to_grid(state, reshape(state, x, (1,)), grid), ())
    ratio = x.scale / grid.scale
    limits = grid_limits(grid)
    if x.bound >= 1 << 33 and not _is_halving(ratio):
        reach = max(abs(limit - grid.zero_point) for limit in limits) * grid.scale
        shift = max(1, ceil_log2(reach / x.scale) - 29)
        middle = Grid(DType.S32, x.scale * (1 << shift))
        x = _requantize(state, x, middle, (1, shift), (-(1 << 31) + 1, (1 << 31) - 1))
        ratio = x.scale / grid.scale
    multipliers, shift = requantize_multipliers([ratio], x.bound)
    return _requantize(state, x, grid, (multipliers[0], shift), limits)


def _is_halving(ratio: Fraction) -> bool:
    """True for 1/2, 1/4, ...: a bare shift."""
    return ratio.numerator == 1 and ratio.denominator.bit_count() == 1 and ratio.denominator > 1


def _requantize(
    state: Lowering, x: Operand, grid: Grid, factor: tuple[int, int], limits: tuple[int, int]
) -> Operand:
    multiplier, shift = factor
    half = 1 << (shift - 1)
    codes = [
        grid.zero_point + (((q - x.zero_point) * multiplier + half) >> shift) for q in (x.lo, x.hi)
    ]
    ref = state.program.emit(
        op.Requantize,
        grid.dtype,
        x.type.shape,
        x=x.ref,
        multiplier=state.program.constant(np.array([multiplier]), DType.S32),
        x_zero_point=x.zero_point,
        shift=shift,
        zero_point=grid.zero_point,
        lo=limits[0],
        hi=limits[1],
    )
    bounds = min(max(codes[0], limits[0]), limits[1]), max(min(codes[1], limits[1]), limits[0])
    return on_grid(ref, x.type.shape, grid, bounds, channels_last=x.channels_last)


def coarsen(state: Lowering, x: Operand, fraction_bits: int) -> Operand:
    """An integer operand with at most this many fraction bits, when its scale is a power of two."""
    target = power_of_two(-fraction_bits)
    if x.scale >= target or not _is_halving(x.scale):
        return x
    return rescale(state, x, target)


def rescale(state: Lowering, x: Operand, scale: Fraction) -> Operand:
    """An integer operand as s64 on a coarser or equal scale; the ratio is a power of two."""
    shift = ceil_log2(scale / x.scale)
    half = (1 << shift) >> 1
    ref = state.program.emit(
        op.MulInteger,
        DType.S64,
        x.type.shape,
        a=x.ref,
        b=state.program.constant(np.array(1), DType.S32),
        shift=shift,
    )
    kind = TensorType(DType.S64, x.type.shape)
    lo, hi = (x.lo + half) >> shift, (x.hi + half) >> shift
    return replace(x, ref=ref, type=kind, scale=scale, lo=lo, hi=hi)
