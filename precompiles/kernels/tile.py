"""Sums of products of x with weights over windows, rescaled: Gemm, MatMul, Conv and their kin.

A *window* is what one output pixel (or row of a matrix) reads: SEGMENTS runs of GROUPS * 4 bytes of
x, at the byte offsets of a table from the window's first byte. A *group* is the four bytes of x
that one 32-bit lane multiplies at once: four u8, or two s16. Gemm has one segment, a convolution
one for each row of its kernel, or for each tap when dilated.

A *panel* holds what 64, 32 or 16 output channels need: bias and multipliers (s32), then for each
group of each segment the weights of all channels. Channels lie in the order in which saturating
packs bring them back to memory order. Runs that are no multiple of a group read up to three bytes
too many and multiply them by zero weights.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from precompiles.kernels.arrays import S8, S32, S64, U8, Array

LANES = 16
"""Channels in a vector of a panel; a panel has 4, 2 or 1 of them."""

X, X_SAMPLE, X_ROW, X_STEP = range(4)
OUT, OUT_SAMPLE, OUT_ROW, OUT_STEP = range(4, 8)
SAMPLES, ROWS, COLUMNS, SEGMENT_TABLE, SEGMENTS, GROUPS = range(8, 14)
PANEL_TABLE, PANEL_COUNT, PANELS, PANEL_SAMPLE = range(14, 18)
FLIP, SHIFT, ROUNDING, ZERO_POINT, LO, HI, SPARE = range(18, 25)
"""Places in the args row. Byte offsets and distances of samples, rows and windows of x and of the
output; samples for each of the batch, rows and columns of windows; segment table (s64 byte offsets
in ``weights``), its size, groups in each segment; panel table (``PANEL_WORDS``) in ``weights``, its
rows, the first panel and the distance from one sample's panels to the next (0 when they are shared,
then panels lie in ``weights``, otherwise in ``memory``); rounding as ``rounding_form`` says."""

PANEL_WORDS = 5
"""A row of the panel table: vectors, channels, x bytes, out bytes, panel bytes; all s64. Fewer
channels than lanes only where there is one vector."""

STORED: Final[dict[int, "np.dtype[Any]"]] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.int16),
    4: np.dtype(np.int32),
}


def channel_order(vectors: int, stored: int) -> Array:
    """Channel of each lane of a panel, (vectors * LANES); ``stored`` bytes an output element."""
    channels = np.arange(vectors * LANES)
    if stored == 1 and vectors == 4:
        return channels.reshape(4, 4, 4).transpose(1, 0, 2).reshape(-1)
    if stored < 4 and vectors > 1:
        return channels.reshape(-1, 4, 2, 4).transpose(0, 2, 1, 3).reshape(-1)
    return channels


def widths_of(channels: int) -> list[tuple[int, int]]:
    """(vectors, first channel) of panels that cover all; the last ones may overlap."""
    panels, first = [], 0
    while first < channels:
        rest = channels - first
        if rest > 3 * LANES and channels >= 4 * LANES:
            vectors = 4
        elif rest > LANES and channels >= 2 * LANES:
            vectors = 2
        else:
            vectors = 1
        start = max(min(first, channels - vectors * LANES), 0)
        panels.append((vectors, start))
        first = start + vectors * LANES
    return panels


def table_of(channels: int, stored: int, terms: int) -> S64:
    """Panel table of one matrix with ``terms`` bytes of weights for each channel, (panels, 5)."""
    rows, place = [], 0
    for vectors, first in widths_of(channels):
        count = min(vectors * LANES, channels)
        rows.append((vectors, count, 0, first * stored, place))
        place += panel_bytes(vectors, terms)
    return np.array(rows, np.int64)


def panel_bytes(vectors: int, terms: int) -> int:
    """Bytes of a panel with ``terms`` bytes of weights for each channel; a multiple of 64."""
    return -(-vectors * LANES * (8 + terms) // 64) * 64


def pack_panels(
    size: int, stored: int, weight: S8, bias: S32, multiplier: S32, x_group: int = 0
) -> tuple[S64, U8]:
    """Panel table and panels of constant weights.

    Args:
        size: bytes of an element of x.
        stored: bytes of an element of the output.
        weight: (channel groups, segments, elements of a segment, channels of a group).
        bias: (channels of all groups).
        multiplier: (channels of all groups).
        x_group: bytes of x from one channel group to the next.
    """
    groups, _, depth, filters = weight.shape
    per = 4 // size
    weight = np.pad(weight, ((0, 0), (0, 0), (0, -depth % per), (0, 0)))
    weight = weight.reshape(groups, -1, per, filters)
    table, panels, place = [], [], 0
    for group in range(groups):
        for vectors, first in widths_of(filters):
            width = vectors * LANES
            count = min(width, filters - first)
            order, missing = channel_order(vectors, stored), width - count
            terms = weight[group, :, :, first : first + count]
            terms = np.pad(terms, ((0, 0), (0, 0), (0, missing)))
            start = group * filters + first
            words = [
                np.pad(item[start : start + count], (0, missing))[order].astype(np.int32)
                for item in (bias, multiplier)
            ]
            packed: Array = np.ascontiguousarray(terms[:, :, order].transpose(0, 2, 1))
            panel = np.concatenate([item.reshape(-1).view(np.uint8) for item in (*words, packed)])
            table.append((vectors, count, group * x_group, start * stored, place))
            panels.append(np.pad(panel, (0, -len(panel) % 64)))
            place += len(panels[-1])
    return np.array(table, np.int64), np.concatenate(panels)


@dataclass(frozen=True, slots=True)
class Rounding:
    """RQ as an epilogue takes it: a byte is computed as u8, then xored with ``flip``.

    Narrow: ``(((t << spare) * m >> 32) + rounding) >> shift``: from shift 33 on, neither the
    rounding term nor the zero point has bits below 2**32, and a smaller shift grows by bits that
    no sum needs. Wide: ``zero_point + ((t * m + rounding) >> shift)``.
    """

    is_wide: bool
    flip: int
    shift: int
    rounding: int
    zero_point: int
    lo: int
    hi: int
    spare: int = 0

    @property
    def words(self) -> tuple[int, ...]:
        """As the last words of an args row."""
        ends = self.lo, self.hi
        return self.flip, self.shift, self.rounding, self.zero_point, *ends, self.spare


def rounding_form(
    shift: int, zero_point: int, lo: int, hi: int, is_s8: bool, most: int = 1 << 31
) -> Rounding:
    """Narrow where no 32-bit word is left, given ``|t| < most`` and ``|t * m| < 2**62``."""
    flip = 128 if is_s8 else 0
    zero_point, lo, hi = zero_point + flip, lo + flip, hi + flip
    spare = max(33 - shift, 0)
    if most << spare <= 1 << 31:
        rest = shift + spare - 32
        rounding = (zero_point << rest) + (1 << (rest - 1))
        if abs(rounding) <= 1 << 30:
            return Rounding(False, flip, rest, rounding, 0, lo, hi, spare)
    return Rounding(True, flip, shift, 1 << (shift - 1), zero_point, lo, hi)


def multiply_windows(
    size: int,
    term: int,
    wide: int,
    stored: int,
    memory: U8,
    weights: U8,
    args: S64,
    batch: int,
) -> None:
    """Every output of every window; places in ``args`` as named above. First four are literals.

    Args:
        size: bytes of an element of x: 1 for u8, 2 for s16.
        term: bytes of a weight: 1 for s8, 2 for s16 (only with s16 x).
        wide: 0 when the rounding is narrow.
        stored: bytes of an output element; 1 is a byte xored with FLIP.
        memory: arena.
        weights: tables, and panels that all samples share.
        args: as above.
        batch: samples are ``batch * args[SAMPLES]``; at least one, like every count.
    """
    given = args.tolist()
    segments = weights[given[SEGMENT_TABLE] :][: 8 * given[SEGMENTS]].view(np.int64)
    table = weights[given[PANEL_TABLE] :][: 8 * PANEL_WORDS * given[PANEL_COUNT]].view(np.int64)
    run = segments[:, np.newaxis] + np.arange(4 * given[GROUPS])
    samples = np.arange(batch * given[SAMPLES])[:, np.newaxis, np.newaxis]
    rows = np.arange(given[ROWS])[:, np.newaxis]
    columns = np.arange(given[COLUMNS])
    for sample in samples if given[PANEL_SAMPLE] else [samples]:
        x = sample * given[X_SAMPLE] + rows * given[X_ROW] + columns * given[X_STEP]
        out = sample * given[OUT_SAMPLE] + rows * given[OUT_ROW] + columns * given[OUT_STEP]
        panels = memory[given[PANEL_SAMPLE] * sample.item() :] if given[PANEL_SAMPLE] else weights
        for vectors, channels, x_first, out_first, place in table.reshape(-1, PANEL_WORDS).tolist():
            panel = panels[given[PANELS] + place :]
            product = _Panel(size, term, vectors, stored, run.size // 4, panel)
            for block in range(0, x.size, 256):
                starts = x.reshape(-1)[block : block + 256, np.newaxis] + given[X] + x_first
                values = memory[(starts + run.reshape(-1)).reshape(-1)].reshape(len(starts), -1)
                result = product.rescaled(values, wide, given)[:, :channels]
                result = np.ascontiguousarray(result).view(np.uint8).reshape(len(starts), -1)
                targets = out.reshape(-1)[block : block + 256, np.newaxis] + given[OUT] + out_first
                memory[targets + np.arange(result.shape[1])] = result


def most_of(size: int, weight: S8, bias: S32) -> int:
    """More than any sum, whatever x of ``size`` bytes is; weight (.., terms, N), bias (N)."""
    reach = 255 if size == 1 else 1 << 15
    sums = np.abs(weight.reshape(-1, len(bias)).astype(np.int64)).sum(axis=0) * reach
    return int((sums + np.abs(bias.astype(np.int64))).max()) + 1


class _Panel:
    """One panel, unpacked."""

    def __init__(
        self, size: int, term: int, vectors: int, stored: int, groups: int, panel: U8
    ) -> None:
        width, per = vectors * LANES, 4 // size
        self.dtype = np.uint8 if size == 1 else np.int16
        self.stored = stored
        self.order = channel_order(vectors, stored)
        self.bias, self.multiplier = panel[: 8 * width].view(np.int32).reshape(2, width)
        packed = panel[8 * width :][: groups * width * per * term]
        terms = packed.view(np.int8 if term == 1 else np.int16).reshape(groups, width, per)
        self.weight = terms.transpose(0, 2, 1).reshape(groups * per, width).astype(np.int64)

    def rescaled(self, values: U8, wide: int, given: list[int]) -> Array:
        """(windows, bytes) to (windows, channels of the panel) of the stored type."""
        total = values.view(self.dtype).astype(np.int64) @ self.weight + self.bias
        total = (total << given[SPARE]).astype(np.int32).astype(np.int64) * self.multiplier
        if wide:
            scaled = ((total + given[ROUNDING]) >> given[SHIFT]) + given[ZERO_POINT]
        else:
            scaled = ((total >> 32) + given[ROUNDING]) >> given[SHIFT]
        clipped = np.clip(scaled, given[LO], given[HI])
        if self.stored == 1:
            clipped ^= given[FLIP]
        result: Array = np.empty(clipped.shape, STORED[self.stored])
        result[:, self.order] = clipped
        return result
