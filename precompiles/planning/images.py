"""Plans of convolutions and pools."""

from dataclasses import dataclass, replace

import numpy as np

from precompiles.kernels import depthwise, image, pool, tile
from precompiles.kernels.arrays import S8, Array
from precompiles.kernels.gemm import PRODUCTS
from precompiles.model import operators as op
from precompiles.model.types import DType, IntegerModel, TensorType
from precompiles.planning.borders import reads_image, writes_image
from precompiles.planning.planner import Image, Place, Planner
from precompiles.planning.registry import plan


@dataclass(frozen=True, slots=True)
class Windows:
    """Where the windows of an operator lie, in bytes, and how many there are.

    Tap (i, j) of window (row, column) of sample b starts at ``place + b * sample_bytes + row *
    row_step + column * step + i * tap_row + j * tap_step``.
    """

    place: Place
    sample_bytes: int
    rows: int
    columns: int
    row_step: int
    step: int
    kernel: tuple[int, int]
    tap_row: int
    tap_step: int

    @property
    def taps(self) -> Array:
        """Byte offsets of the taps, (KH, KW)."""
        high, wide = (np.arange(count, dtype=np.int64) for count in self.kernel)
        return high[:, np.newaxis] * self.tap_row + wide * self.tap_step

    @property
    def is_straight(self) -> bool:
        """True when each row of windows goes on where the one before it ends."""
        return self.row_step == self.columns * self.step

    def turned(self) -> "Windows":
        """The same with rows and columns exchanged: one column of windows becomes one row."""
        return replace(
            self,
            rows=self.columns,
            columns=self.rows,
            row_step=self.step,
            step=self.row_step,
            kernel=self.kernel[::-1],
            tap_row=self.tap_step,
            tap_step=self.tap_row,
        )


@dataclass(frozen=True, slots=True)
class Output:
    """Where the pixels of an output are written, in bytes."""

    place: Place
    sample_bytes: int
    row_step: int
    step: int

    def turned(self) -> "Output":
        """The same with rows and columns exchanged."""
        return replace(self, row_step=self.step, step=self.row_step)


def padded_input(instruction: op.Conv, planner: Planner) -> Image:
    """The input as an image whose first pixel is the corner of the first window."""
    layout, kind = planner.image(instruction.x), planner.model.type_of(instruction.x)
    rows, columns, channels = kind.shape
    size, pixel = kind.dtype.size, channels * kind.dtype.size
    top, left, bottom, right = pads = instruction.pads
    border = layout.border
    have = (border.top, border.left, border.bottom, border.right)
    lies_there = all(has >= need for has, need in zip(have, pads, strict=True))
    if not any(pads) or (lies_there and border.value == instruction.pad_value):
        return replace(layout, place=layout.place + (-top * layout.row_bytes - left * pixel))
    pitch = (left + columns + right) * pixel
    sample_bytes = pitch * (top + rows + bottom)
    place = planner.scratch(sample_bytes)
    planner.emit(
        image.pad_image,
        *(layout.place, layout.sample_bytes, layout.row_bytes, rows, columns * pixel),
        *(place, top, left * pixel, bottom, right * pixel, instruction.pad_value, size),
    )
    return Image(place, sample_bytes, pitch)


def windows_of(instruction: op.Conv, planner: Planner, layout: Image, pixel: int) -> Windows:
    """Windows over ``layout`` with ``pixel`` bytes a pixel."""
    kernel_h, kernel_w, _, _ = planner.model.type_of(instruction.weight).shape
    rows, columns, _ = planner.model.type_of(instruction.output).shape
    (down, across), (tap_down, tap_across) = instruction.strides, instruction.dilations
    return Windows(
        layout.place,
        layout.sample_bytes,
        rows,
        columns,
        down * layout.row_bytes,
        across * pixel,
        (kernel_h, kernel_w),
        tap_down * layout.row_bytes,
        tap_across * pixel,
    )


@reads_image.register(op.Conv)
@reads_image.register(op.MaxPool)
@reads_image.register(op.AveragePool)
def _(instruction: op.Instruction, model: IntegerModel, value: int) -> bool:
    return True


@writes_image.register(op.Conv)
@writes_image.register(op.MaxPool)
@writes_image.register(op.AveragePool)
def _(instruction: op.Instruction, model: IntegerModel) -> bool:
    return True


def is_depthwise(instruction: op.Conv, model: IntegerModel) -> bool:
    """One input channel for each output channel, and several of them."""
    return model.type_of(instruction.weight).shape[2] == 1 and instruction.group > 1


@plan.register
def _(instruction: op.Conv, planner: Planner) -> None:
    layout = padded_input(instruction, planner)
    if is_depthwise(instruction, planner.model):
        plan_depthwise(instruction, planner, layout)
    else:
        plan_dense(instruction, planner, layout)


def output_of(instruction: op.Conv, planner: Planner) -> Output:
    """Where the output's pixels are written."""
    kind, layout = (
        planner.model.type_of(instruction.output),
        planner.image(instruction.output),
    )
    pixel = kind.shape[2] * kind.dtype.size
    return Output(layout.place, layout.sample_bytes, layout.row_bytes, pixel)


def form_of(instruction: op.Conv, kind: TensorType, most: int = 1 << 31) -> tile.Rounding:
    """Rounding of the epilogue of sums below ``most``; an s32 has the wide form alone."""
    shift, ends = instruction.shift, (instruction.zero_point, instruction.lo, instruction.hi)
    if kind.dtype.size == 4:
        return tile.Rounding(True, 0, shift, 1 << (shift - 1), *ends)
    return tile.rounding_form(shift, *ends, kind.dtype is DType.S8, most)


def plan_dense(instruction: op.Conv, planner: Planner, layout: Image) -> None:
    """Several input channels for each output channel: windows times panels."""
    model = planner.model
    kind, out_kind = model.type_of(instruction.x), model.type_of(instruction.output)
    size, stored, channels = kind.dtype.size, out_kind.dtype.size, kind.shape[2]
    windows = windows_of(instruction, planner, layout, channels * size)
    output = output_of(instruction, planner)
    weight = _merged_groups(planner.constant(instruction.weight), instruction.group, size)
    if windows.columns == 1:
        windows, output = windows.turned(), output.turned()
        weight = weight.transpose(0, 2, 1, 3, 4)
    if windows.is_straight and output.row_step == windows.columns * output.step:
        windows = replace(windows, rows=1, columns=windows.rows * windows.columns)
    groups, high, wide, depth, filters = weight.shape
    offsets = windows.taps
    if depth == channels and windows.tap_step == channels * size:
        offsets, run = offsets[:, :1], wide * depth
        if windows.tap_row == run * size:
            offsets, run = offsets[:1], high * run
    else:
        run = depth
    bias, multiplier = (planner.constant(v) for v in (instruction.bias, instruction.multiplier))
    missing = groups * filters - len(bias)
    table, panels = tile.pack_panels(
        *(size, stored, weight.reshape(groups, -1, run, filters)),
        *(np.pad(bias, (0, missing)), np.pad(multiplier, (0, missing)), depth * size),
    )
    table[-1, 1] -= missing
    most = tile.most_of(size, planner.constant(instruction.weight), bias)
    form = form_of(instruction, out_kind, min(most, 1 << 31))
    planner.emit(
        PRODUCTS[size, stored, form.is_wide],
        *(windows.place, windows.sample_bytes, windows.row_step, windows.step),
        *(output.place, output.sample_bytes, output.row_step, output.step),
        *(1, windows.rows, windows.columns),
        *(planner.place(offsets), offsets.size, -(-run * size // 4)),
        *(planner.place(table), len(table), planner.place(panels), 0, *form.words),
    )


_MERGED_BYTES = 128
"""Most bytes of x that groups in one panel read at a tap, so that groups that do not exist read no
more behind the last pixel than kernels may."""


def _merged_groups(weight: S8, group: int, size: int) -> S8:
    """Weights (groups, KH, KW, depth, filters), narrow groups merged block by block.

    A panel has 16 lanes at least: groups with fewer filters share one, each with zero weights for
    the channels of its neighbours. The last one is filled up with groups that do not exist.
    """
    high, wide, depth, total = weight.shape
    filters = total // group
    times = min(tile.LANES // filters, _MERGED_BYTES // (depth * size), group)
    times = max(times, 1)
    count = -(-group // times)
    parts = weight.reshape(high, wide, depth, group, filters)
    parts = np.pad(parts, ((0, 0), (0, 0), (0, 0), (0, count * times - group), (0, 0)))
    parts = parts.reshape(high, wide, depth, count, times, filters)
    out = np.zeros((count, high, wide, times, depth, times, filters), np.int8)
    for index in range(times):
        out[:, :, :, index, :, index] = parts[:, :, :, :, index].transpose(3, 0, 1, 2, 4)
    return out.reshape(count, high, wide, times * depth, times * filters)


_NARROW = {
    (DType.U8, 1): depthwise.depthwise_u8_q8,
    (DType.U8, 2): depthwise.depthwise_u8_s16,
    (DType.S16, 1): depthwise.depthwise_s16_q8,
    (DType.S16, 2): depthwise.depthwise_s16,
}
_WIDE = {
    (DType.U8, 1): depthwise.depthwise_u8_q8_wide,
    (DType.U8, 2): depthwise.depthwise_u8_s16_wide,
    (DType.U8, 4): depthwise.depthwise_u8_s32,
    (DType.S16, 1): depthwise.depthwise_s16_q8_wide,
    (DType.S16, 2): depthwise.depthwise_s16_wide,
    (DType.S16, 4): depthwise.depthwise_s16_s32,
}


def plan_depthwise(instruction: op.Conv, planner: Planner, layout: Image) -> None:
    """One input channel for each output channel."""
    model = planner.model
    size, filters = (
        model.type_of(instruction.x).dtype.size,
        model.type_of(instruction.output).shape[2],
    )
    layout = _repeated(instruction, planner, layout, filters // instruction.group)
    windows = windows_of(instruction, planner, layout, filters * size)
    _emit_depthwise(instruction, planner, windows, output_of(instruction, planner))


def _repeated(instruction: op.Conv, planner: Planner, layout: Image, times: int) -> Image:
    """The padded image with every channel repeated."""
    if times == 1:
        return layout
    kind = planner.model.type_of(instruction.x)
    (height, width, channels), size = kind.shape, kind.dtype.size
    rows = height + instruction.pads[0] + instruction.pads[2]
    count = (width + instruction.pads[1] + instruction.pads[3]) * channels
    pitch = count * times * size
    place = planner.scratch(rows * pitch)
    planner.emit(
        image.repeat_channels,
        *(layout.place, layout.sample_bytes, layout.row_bytes, rows, count, place, times, size),
    )
    return Image(place, rows * pitch, pitch)


def _emit_depthwise(
    instruction: op.Conv, planner: Planner, windows: Windows, output: Output
) -> None:
    """One call for all blocks of channels."""
    model = planner.model
    kind, out_kind = model.type_of(instruction.x), model.type_of(instruction.output)
    size, stored, per_group = kind.dtype.size, out_kind.dtype.size, 4 // kind.dtype.size
    if windows.columns == 1 or (windows.kernel[1] == 1 and windows.rows == 1):
        windows, output = windows.turned(), output.turned()
        weight = planner.constant(instruction.weight)[:, :, 0].transpose(1, 0, 2)
    else:
        weight = planner.constant(instruction.weight)[:, :, 0]
    form = form_of(instruction, out_kind)
    kernel = (_WIDE if form.is_wide else _NARROW)[kind.dtype, stored]
    taps = windows.taps
    slide = windows.step // windows.tap_step if windows.step % windows.tap_step == 0 else 0
    if kernel is depthwise.depthwise_u8_q8:
        if windows.kernel[0] in (3, 4) and windows.kernel[1] == 3 and slide in (1, 2):
            kernel = (depthwise.depthwise_slide1_u8_q8, depthwise.depthwise_slide2_u8_q8)[slide - 1]
            taps, weight = taps.T, weight.transpose(1, 0, 2)
            extra = 4 - windows.kernel[0]
            taps = np.pad(taps, ((0, 0), (0, extra)))
            weight = np.pad(weight, ((0, 0), (0, extra), (0, 0)))
        elif taps.size <= per_group:
            kernel = depthwise.depthwise_4_u8_q8
    flat = weight.reshape(-1, weight.shape[2])
    missing = -len(flat) % per_group
    offsets = np.pad(taps.reshape(-1), (0, missing))
    flat = np.pad(flat, ((0, missing), (0, 0)))
    bias, multiplier = (planner.constant(v) for v in (instruction.bias, instruction.multiplier))
    table, panels = depthwise.pack_panels(size, stored, flat, bias, multiplier)
    planner.emit(
        kernel,
        *(windows.place, windows.sample_bytes, windows.row_step, windows.step),
        *(output.place, output.sample_bytes, output.row_step, output.step),
        *(windows.rows, windows.columns, form.flip, form.shift),
        *(form.rounding, form.zero_point, form.lo, form.hi),
        *(planner.place(offsets), len(offsets) // per_group),
        *(planner.place(table), len(table), planner.place(panels)),
    )


@plan.register
def _(instruction: op.MaxPool, planner: Planner) -> None:
    kind = planner.model.type_of(instruction.x)
    kernel = pool.max_pool_s16 if kind.dtype is DType.S16 else pool.max_pool_q8
    flip = 128 if kind.dtype is DType.S8 else 0
    unused = (1, 0, 0, 0, 0)
    planner.emit(kernel, *_pool_args(instruction, planner, (flip, *unused), (0, flip, 0)))


_AVERAGE = {
    (1, 1): pool.average_pool_q8,
    (1, 2): pool.average_pool_q8_s16,
    (2, 1): pool.average_pool_s16_q8,
    (2, 2): pool.average_pool_s16,
}
_AVERAGE_LONG = {
    (1, 1): pool.average_pool_long_q8,
    (1, 2): pool.average_pool_long_q8_s16,
    (2, 1): pool.average_pool_long_s16_q8,
    (2, 2): pool.average_pool_long_s16,
}


@plan.register
def _(instruction: op.AveragePool, planner: Planner) -> None:
    model = planner.model
    kind, out_kind = model.type_of(instruction.x), model.type_of(instruction.output)
    x_flip, flip = (128 if item.dtype is DType.S8 else 0 for item in (kind, out_kind))
    numbers = (
        *(flip, instruction.shift, 1 << (instruction.shift - 1)),
        *(instruction.zero_point + flip, instruction.lo + flip, instruction.hi + flip),
    )
    multiplier = planner.place(planner.constant(instruction.multiplier))
    own = (multiplier, x_flip, instruction.x_zero_point + x_flip)
    words = _pool_args(instruction, planner, numbers, own)
    area = min(instruction.kernel[0], kind.shape[0]) * min(instruction.kernel[1], kind.shape[1])
    sizes = kind.dtype.size, out_kind.dtype.size
    is_short = area * ((1 << 8 * sizes[0]) - 1) < 1 << 31
    planner.emit((_AVERAGE if is_short else _AVERAGE_LONG)[sizes], *words)


def _pool_args(
    instruction: op.MaxPool | op.AveragePool,
    planner: Planner,
    numbers: tuple[int, ...],
    own: tuple[int, int, int],
) -> list[int | Place]:
    """The args row of a pool, given those from FLIP to HI and from MULTIPLIER on."""
    model = planner.model
    kind, out_kind = model.type_of(instruction.x), model.type_of(instruction.output)
    (height, width, channels), (rows, columns, _) = kind.shape, out_kind.shape
    size, stored = kind.dtype.size, out_kind.dtype.size
    x, out = planner.image(instruction.x), planner.image(instruction.output)
    table = [
        (lanes, first * size, first * stored, min(lanes // size, channels))
        for lanes, first in depthwise.blocks_of(channels, size)
    ]
    (down, across), (kernel_h, kernel_w) = instruction.strides, instruction.kernel
    return [
        *(x.place, x.sample_bytes, x.row_bytes, channels * size),
        *(out.place, out.sample_bytes, out.row_bytes, channels * stored),
        *(rows, columns, *numbers, height, width),
        *(down, instruction.pads[0], kernel_h, across, instruction.pads[1], kernel_w),
        *(planner.place(np.array(table, np.int64)), len(table), *own),
    ]
