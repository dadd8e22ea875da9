"""Depthwise convolution: every output channel reads one input channel; the twin is conv_reference.

A *panel* holds what one block of channels needs: bias, multipliers and the weights of each group
of taps, in the order in which ``interleaved`` puts channels into 32-bit lanes. Taps are byte
offsets from the first pixel of a window, so kernels of any size, dilation and pitch are alike.
"""

import numpy as np

from precompiles.kernels.arrays import S8, S32, S64, U8, Array
from precompiles.kernels.image_args import (
    COLUMNS,
    FLIP,
    HI,
    LO,
    OUT,
    OUT_ROW,
    OUT_SAMPLE,
    OUT_STEP,
    OWN,
    ROUNDING,
    ROWS,
    SHIFT,
    X_ROW,
    X_SAMPLE,
    X_STEP,
    ZERO_POINT,
    X,
)
from precompiles.kernels.jit import kernel

BLOCKS = (64, 32, 16)
"""Bytes of channels that a tile takes at once."""

TAPS, GROUPS, BLOCK_TABLE, BLOCK_COUNT, PANELS = range(OWN, OWN + 5)
"""Places in the args row behind the shared ones: tap table (s64 byte offsets) and its groups; block
table (as ``pack_panels``), its rows, the panels."""

STORED = {1: np.uint8, 2: np.int16, 4: np.int32}


def channel_order(lanes: int, size: int) -> Array:
    """Channel of each 32-bit lane of the sums, (4 / size, lanes / 4); ``size`` bytes an element."""
    runs = np.arange(lanes // size).reshape(lanes // 16, 4 // size, 4)
    return np.ascontiguousarray(runs.transpose(1, 0, 2)).reshape(4 // size, lanes // 4)


def pack_panel(lanes: int, size: int, weight: S8, bias: S32, multiplier: S32) -> U8:
    """Panel of one block: weight (taps, lanes / size) with ``taps`` a multiple of 4 / size."""
    order, per_group = channel_order(lanes, size), 4 // size
    grouped = weight.reshape(len(weight) // per_group, per_group, lanes // size)
    terms = grouped.transpose(0, 2, 1)[:, order].astype(np.int8 if size == 1 else np.int16)
    parts = (bias[order], multiplier[order], terms)
    return np.concatenate([np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in parts])


def pack_panels(size: int, stored: int, weight: S8, bias: S32, multiplier: S32) -> tuple[S64, U8]:
    """Block table (lanes, x bytes, out bytes, panel bytes, channels) and panels; blocks overlap.

    Args:
        size: bytes of an element of x.
        stored: bytes of an element of the output.
        weight: (taps, C), taps a multiple of 4 / size.
        bias: (C).
        multiplier: (C).
    """
    table, panels, place = [], [], 0
    for lanes, first in blocks_of(len(bias), size):
        part = slice(first, first + lanes // size)
        missing = max(part.stop - len(bias), 0)
        panel = pack_panel(
            lanes,
            size,
            np.pad(weight[:, part], ((0, 0), (0, missing))),
            np.pad(bias[part], (0, missing)),
            np.pad(multiplier[part], (0, missing)),
        )
        count = min(lanes // size, len(bias))
        table.append((lanes, first * size, first * stored, place, count))
        panels.append(panel)
        place += len(panel)
    return np.array(table, np.int64), np.concatenate(panels)


def blocks_of(channels: int, size: int) -> list[tuple[int, int]]:
    """(lanes, first channel) of blocks that cover all channels; only a sole block exceeds them."""
    blocks, first = [], 0
    while first < channels:
        rest = (channels - first) * size
        fitting = [lanes for lanes in BLOCKS if lanes <= channels * size]
        covering = [lanes for lanes in fitting if lanes >= rest]
        lanes = min(covering) if covering else max(fitting, default=BLOCKS[-1])
        if not covering and len(fitting) and rest < max(fitting):
            lanes = max(lanes for lanes in fitting if lanes <= rest)
        first = max(min(first, channels - lanes // size), 0)
        blocks.append((lanes, first))
        first += lanes // size
    return blocks


def depthwise_image(
    groups: int,
    slide: int,
    wide: int,
    kind: int,
    store: int,
    memory: U8,
    weights: U8,
    args: S64,
    batch: int,
) -> None:
    """All blocks of channels of all samples; places in ``args`` as named above.

    groups, slide, wide, kind and store are literals. ``groups`` of 4 / kind taps are kept in
    registers, or 0: then GROUPS of them are read for each pixel. ``slide`` is 0, or the horizontal
    stride, 1 or 2 columns, when each group is one column of the window, at equal distance.
    ``wide`` is 0 when the rounding is narrow. ``kind`` is the bytes of
    an element of x, 1 for u8 and 2 for s16; ``store`` those of the output, where a byte is xored
    with FLIP.
    """
    blocks = weights[args[BLOCK_TABLE] :][: 40 * args[BLOCK_COUNT]].view(np.int64).reshape(-1, 5)
    for sample in range(batch):
        for lanes, x, out, panel, count in blocks.tolist():
            _block(
                (lanes, count),
                (wide, kind, store),
                memory,
                weights,
                args.tolist(),
                x + int(args[X] + sample * args[X_SAMPLE]),
                out + int(args[OUT] + sample * args[OUT_SAMPLE]),
                weights[args[PANELS] + panel :],
            )


def _block(
    channels: tuple[int, int],
    form: tuple[int, int, int],
    memory: U8,
    weights: U8,
    args: list[int],
    x: int,
    out: int,
    panel: U8,
) -> None:
    """One block of channels of one sample in numpy."""
    (lanes, count), (wide, kind, store) = channels, form
    order, per_group = channel_order(lanes, kind), 4 // kind
    taps, size = args[GROUPS] * per_group, lanes // kind
    offsets = weights[args[TAPS] :][: 8 * taps].view(np.int64).tolist()
    bias, multiplier = panel[: 2 * per_group * lanes].view(np.int32).reshape(2, *order.shape)
    terms = panel[2 * per_group * lanes :][: taps * lanes]
    terms = terms.view(np.int8 if kind == 1 else np.int16)
    terms = terms.reshape(-1, per_group, lanes // 4, per_group).astype(np.int64)
    for row, column in np.ndindex(args[ROWS], args[COLUMNS]):
        sums = bias.astype(np.int64)
        for tap, offset in enumerate(offsets):
            start = x + row * args[X_ROW] + column * args[X_STEP] + offset
            values = memory[start : start + lanes].view(np.uint8 if kind == 1 else np.int16)
            sums += values.astype(np.int64)[order] * terms[tap // per_group, :, :, tap % per_group]
        scaled = sums * multiplier
        if wide:
            scaled = ((scaled + args[ROUNDING]) >> args[SHIFT]) + args[ZERO_POINT]
        else:
            scaled = ((scaled >> 32) + args[ROUNDING]) >> args[SHIFT]
        result = np.empty(size, np.int64)
        result[order] = np.clip(scaled, args[LO], args[HI])
        if store == 1:
            result ^= args[FLIP]
        target = out + row * args[OUT_ROW] + column * args[OUT_STEP]
        memory[target : target + count * store].view(STORED[store])[:] = result[:count]


@kernel
def depthwise_slide1_u8_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to 8 bits; three columns of up to four rows, stride 1."""
    depthwise_image(3, 1, 0, 1, 1, memory, weights, args, batch)


@kernel
def depthwise_slide2_u8_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to 8 bits; three columns of up to four rows, stride 2."""
    depthwise_image(3, 2, 0, 1, 1, memory, weights, args, batch)


@kernel
def depthwise_4_u8_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to 8 bits; up to four taps."""
    depthwise_image(1, 0, 0, 1, 1, memory, weights, args, batch)


@kernel
def depthwise_u8_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to 8 bits; any taps."""
    depthwise_image(0, 0, 0, 1, 1, memory, weights, args, batch)


@kernel
def depthwise_u8_q8_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to 8 bits; any taps, any shift."""
    depthwise_image(0, 0, 1, 1, 1, memory, weights, args, batch)


@kernel
def depthwise_u8_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to s16; any taps."""
    depthwise_image(0, 0, 0, 1, 2, memory, weights, args, batch)


@kernel
def depthwise_u8_s16_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to s16; any taps, any shift."""
    depthwise_image(0, 0, 1, 1, 2, memory, weights, args, batch)


@kernel
def depthwise_u8_s32(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """u8 to s32; any taps, any shift."""
    depthwise_image(0, 0, 1, 1, 4, memory, weights, args, batch)


@kernel
def depthwise_s16_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to 8 bits; any taps."""
    depthwise_image(0, 0, 0, 2, 1, memory, weights, args, batch)


@kernel
def depthwise_s16_q8_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to 8 bits; any taps, any shift."""
    depthwise_image(0, 0, 1, 2, 1, memory, weights, args, batch)


@kernel
def depthwise_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to s16; any taps."""
    depthwise_image(0, 0, 0, 2, 2, memory, weights, args, batch)


@kernel
def depthwise_s16_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to s16; any taps, any shift."""
    depthwise_image(0, 0, 1, 2, 2, memory, weights, args, batch)


@kernel
def depthwise_s16_s32(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 to s32; any taps, any shift."""
    depthwise_image(0, 0, 1, 2, 4, memory, weights, args, batch)
