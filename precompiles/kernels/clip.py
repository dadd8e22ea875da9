"""Clip, dtype by dtype; also the pattern of every small kernel."""

import numpy as np

from precompiles.kernels.arrays import S64, U8, Array
from precompiles.kernels.jit import kernel, subroutine


@subroutine
def clip_window(x: Array, lo: int, hi: int, out: Array) -> None:
    """``min(max(x, lo), hi)`` of each element; x and out of one size and dtype."""
    for i in range(out.size):
        out[i] = min(max(np.int64(x[i]), lo), hi)


@kernel
def clip_u8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: x, elements per sample, lo, hi, out."""
    size = args[1] * batch
    x = memory[args[0] : args[0] + size]
    out = memory[args[4] : args[4] + size]
    clip_window(x, args[2], args[3], out)


@kernel
def clip_s8(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: as clip_u8."""
    size = args[1] * batch
    x = memory[args[0] : args[0] + size].view(np.int8)
    out = memory[args[4] : args[4] + size].view(np.int8)
    clip_window(x, args[2], args[3], out)


@kernel
def clip_s16(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: as clip_u8."""
    size = args[1] * batch * 2
    x = memory[args[0] : args[0] + size].view(np.int16)
    out = memory[args[4] : args[4] + size].view(np.int16)
    clip_window(x, args[2], args[3], out)


@kernel
def clip_s32(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: as clip_u8."""
    size = args[1] * batch * 4
    x = memory[args[0] : args[0] + size].view(np.int32)
    out = memory[args[4] : args[4] + size].view(np.int32)
    clip_window(x, args[2], args[3], out)


@kernel
def clip_s64(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """args: as clip_u8."""
    size = args[1] * batch * 8
    x = memory[args[0] : args[0] + size].view(np.int64)
    out = memory[args[4] : args[4] + size].view(np.int64)
    clip_window(x, args[2], args[3], out)
