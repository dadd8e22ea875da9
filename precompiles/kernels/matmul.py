"""Products of two computed matrices with int32 sums: pack one, then multiply as by constants."""

import operator

import numpy as np

from precompiles.kernels import tile
from precompiles.kernels.arrays import S64, U8, Array, Exact, empty_exact
from precompiles.kernels.gemm import PRODUCTS
from precompiles.kernels.jit import kernel
from precompiles.kernels.requantize import clip_value, requantize_value

B, B_SAMPLE, SAMPLES, DEPTH, CHANNELS, TURNED, GROUPS = range(7)
PANEL_TABLE, PANEL_COUNT, PANELS, PANEL_SAMPLE, STORED, ORDER = range(7, 13)
ZERO_POINT, MULTIPLIER = range(13, 15)
"""Places in the args row of ``pack_matrices``: b and the distance of its matrices, matrices for
each sample of the batch, rows and columns of one, 1 when it lies as (N, K), groups of x; panel
table in ``weights``, its rows, panels in ``memory`` and their distance from matrix to matrix, bytes
of an output element, ``order_table`` in ``weights``; zero point of a, multiplier."""

UNITS = 16
"""Most runs of four channels in a panel."""

CHUNK = 8
"""Groups in a panel are a multiple of this, so that whole vectors can be written."""


def matmul_reference(
    a: Exact,
    b: Exact,
    a_zero_point: int,
    transpose_b: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """RQ of ``sum_k (a[.., m, k] - a_zero_point) * b[.., k, n]``.

    a (.., M, K); b (.., K, N), or (.., N, K) when ``transpose_b`` is 1; result (.., M, N).
    """
    columns = b if transpose_b else b.swapaxes(-1, -2)
    out = empty_exact((*a.shape[:-1], columns.shape[-2]))
    for index in np.ndindex(*out.shape):
        row = [value - a_zero_point for value in a[index[:-1]]]
        column = columns[(*index[:-2], index[-1])]
        total = sum(map(operator.mul, row, column))
        out[index] = clip_value(requantize_value(total, multiplier, shift, zero_point), lo, hi)
    return out


def order_table(size: int, term: int, stored: int) -> S64:
    """Byte of each run of four channels in a group's weights: (5, UNITS), row by vectors."""
    table = np.zeros((5, UNITS), np.int64)
    for vectors in (1, 2, 4):
        lanes = np.argsort(tile.channel_order(vectors, stored))
        table[vectors, : 4 * vectors] = lanes[::4] * (4 // size * term)
    return table


def pack_matrices(size: int, term: int, memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Pack every b as panels of ``tile``, biased against the zero point of a.

    size and term are literals, as of ``tile.multiply_windows``; places in ``args`` as named above.
    """
    given = args.tolist()
    depth, channels, stored = given[DEPTH], given[CHANNELS], given[STORED]
    table = weights[given[PANEL_TABLE] :][: 8 * tile.PANEL_WORDS * given[PANEL_COUNT]]
    rows = table.view(np.int64).reshape(-1, tile.PANEL_WORDS).tolist()
    shape = (channels, depth) if given[TURNED] else (depth, channels)
    for sample in range(batch * given[SAMPLES]):
        b = memory[given[B] + sample * given[B_SAMPLE] :][: depth * channels * term]
        matrix = b.view(np.int8 if term == 1 else np.int16).reshape(shape)
        matrix = matrix.T if given[TURNED] else matrix
        per = 4 // size
        matrix = np.pad(matrix, ((0, given[GROUPS] * per - depth), (0, tile.LANES)))
        for vectors, _, _, out_first, place in rows:
            first, width = out_first // stored, vectors * tile.LANES
            part = matrix[:, first : first + width][:, tile.channel_order(vectors, stored)]
            sums = part.sum(axis=0, dtype=np.int64)
            words = -sums * given[ZERO_POINT], np.full(width, given[MULTIPLIER])
            terms = part.reshape(-1, per, width).transpose(0, 2, 1)
            parts: tuple[Array, ...] = (*(item.astype(np.int32) for item in words), terms)
            start = given[PANELS] + sample * given[PANEL_SAMPLE] + place
            for item in parts:
                data = np.ascontiguousarray(item).reshape(-1).view(np.uint8)
                memory[start : start + data.size] = data
                start += data.size


@kernel
def pack_u8_s8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Panels of s8 for u8."""
    pack_matrices(1, 1, memory, weights, args, batch)


@kernel
def pack_s16_s8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Panels of s8 for s16."""
    pack_matrices(2, 1, memory, weights, args, batch)


@kernel
def pack_s16_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Panels of s16 for s16."""
    pack_matrices(2, 2, memory, weights, args, batch)


PACKS = {(1, 1): pack_u8_s8, (2, 1): pack_s16_s8, (2, 2): pack_s16_s16}
"""Kernel by bytes of an element of a and of b."""


@kernel
def product_s16_s16_q8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 times s16 to 8 bits."""
    tile.multiply_windows(2, 2, 0, 1, memory, weights, args, batch)


@kernel
def product_s16_s16_q8_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 times s16 to 8 bits, any shift."""
    tile.multiply_windows(2, 2, 1, 1, memory, weights, args, batch)


@kernel
def product_s16_s16_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 times s16 to s16."""
    tile.multiply_windows(2, 2, 0, 2, memory, weights, args, batch)


@kernel
def product_s16_s16_s16_wide(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 times s16 to s16, any shift."""
    tile.multiply_windows(2, 2, 1, 2, memory, weights, args, batch)


@kernel
def product_s16_s16_s32(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """s16 times s16 to s32, any shift."""
    tile.multiply_windows(2, 2, 1, 4, memory, weights, args, batch)


MATMULS = {
    **{(size, 1, stored, wide): item for (size, stored, wide), item in PRODUCTS.items()},
    (2, 2, 1, False): product_s16_s16_q8,
    (2, 2, 1, True): product_s16_s16_q8_wide,
    (2, 2, 2, False): product_s16_s16_s16,
    (2, 2, 2, True): product_s16_s16_s16_wide,
    (2, 2, 4, True): product_s16_s16_s32,
}
"""Kernel by bytes of an element of a, of b and of the output, and by the rounding form."""
