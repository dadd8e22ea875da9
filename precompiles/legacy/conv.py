"""2-D convolution, NHWC, on an input whose border is already there."""

import numpy as np

from precompiles.kernels.arrays import S8, S32, U8, Exact, empty_exact
from precompiles.legacy.jit import kernel
from precompiles.legacy.requantize import clip_value, requantize_value


def conv_reference(
    x: Exact,
    weight: Exact,
    bias: Exact,
    multiplier: Exact,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """RQ of each window's sum; group and channel counts follow from the shapes.

    x (H, W, C), border included; weight (KH, KW, C / group, O), output channel o reads group
    ``o // (O // group)``; bias and multiplier (O); result (OH, OW, O) with
    OH = (H - dilation * (KH - 1) - 1) // stride + 1, OW likewise.
    """
    kernel_h, kernel_w, depth, filters = weight.shape
    per_group = filters // (x.shape[2] // depth)
    rows = (x.shape[0] - dilations[0] * (kernel_h - 1) - 1) // strides[0] + 1
    columns = (x.shape[1] - dilations[1] * (kernel_w - 1) - 1) // strides[1] + 1
    taps = [
        [(index, int(w)) for index, w in np.ndenumerate(weight[..., o]) if w]
        for o in range(filters)
    ]
    out = empty_exact((rows, columns, filters))
    for row, column, o in np.ndindex(*out.shape):
        top, left, first = row * strides[0], column * strides[1], o // per_group * depth
        total = bias[o]
        for (i, j, c), w in taps[o]:
            total += x[top + i * dilations[0], left + j * dilations[1], first + c] * w
        scaled = requantize_value(total, multiplier[o], shift, zero_point)
        out[row, column, o] = clip_value(scaled, lo, hi)
    return out


@kernel(
    "void(uint8[:, :, :, ::1], int64, int64, int64, int64, int64, int64, int64,"
    " uint8[:, :, :, ::1])"
)
def windows_u8(
    x: U8,
    first_channel: int,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    dilation_h: int,
    dilation_w: int,
    out: U8,
) -> None:
    """Gather each window of one group, so that a convolution is ``gemm_u8``.

    x (B, H, W, C), border included; out (B, OH, OW, KH * KW * depth), written in window order
    with the ``depth`` channels from ``first_channel``.
    """
    depth = out.shape[3] // (kernel_h * kernel_w)
    for sample in range(out.shape[0]):
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                window = out[sample, row, column]
                filled = 0
                for i in range(kernel_h):
                    for j in range(kernel_w):
                        line = row * stride_h + i * dilation_h
                        source = x[sample, line, column * stride_w + j * dilation_w]
                        for c in range(depth):
                            window[filled + c] = source[first_channel + c]
                        filled += depth


@kernel(
    "void(uint8[:, :, :, ::1], int8[:, :, ::1], int32[::1], int32[::1], int64, int64,"
    " int64, int64, int64, int64, int64, int64, int32[:, :, :, ::1])"
)
def depthwise_u8(
    x: U8,
    weight: S8,
    bias: S32,
    multiplier: S32,
    stride_h: int,
    stride_w: int,
    dilation_h: int,
    dilation_w: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
    out: S32,
) -> None:
    """Equal conv_reference where each output channel reads one input channel.

    x (B, H, W, O), border included and channels repeated to O; weight (KH, KW, O); bias and
    multiplier (O); out (B, OH, OW, O), written.
    """
    half = np.int64(1) << np.int64(shift - 1)
    for sample in range(out.shape[0]):
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                sums = out[sample, row, column]
                sums[:] = bias
                for i in range(weight.shape[0]):
                    for j in range(weight.shape[1]):
                        line = row * stride_h + i * dilation_h
                        source = x[sample, line, column * stride_w + j * dilation_w]
                        taps = weight[i, j]
                        for n in range(sums.size):
                            product = np.int16(np.int16(source[n]) * np.int16(taps[n]))
                            sums[n] = np.int32(sums[n] + np.int32(product))
                for n in range(sums.size):
                    scaled = np.int64((np.int64(sums[n]) * np.int64(multiplier[n]) + half) >> shift)
                    sums[n] = np.int32(min(max(int(scaled + zero_point), lo), hi))
