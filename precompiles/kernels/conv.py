"""2-D convolution, NHWC, on an input whose border is already there: the twin.

Kernels: ``gemm.PRODUCTS`` over windows, ``depthwise``.
"""

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact
from precompiles.kernels.requantize import clip_value, requantize_value


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
