"""LayerNorm and RMSNorm of rows."""

from math import isqrt

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact
from precompiles.kernels.requantize import clip_value


def layer_norm_reference(
    x: Exact,
    gain: Exact,
    offset: Exact,
    center: int,
    epsilon: int,
    shift: int,
    zero_point: int,
    lo: int,
    hi: int,
) -> Exact:
    """Each last-axis row normalised, scaled and shifted; x (.., N), gain and offset (N).

    ``center`` 1 subtracts the mean (LayerNorm), 0 does not (RMSNorm); ``epsilon`` is in units of
    ``N * sum(x**2)``.
    """
    out = empty_exact(x.shape)
    count = x.shape[-1]
    half = 1 << (shift - 1)
    for index in np.ndindex(*x.shape[:-1]):
        row = list(x[index])
        total = sum(row) if center else 0
        variance = count * sum(value * value for value in row) - total * total
        inverse = (1 << 40) // (isqrt(variance + epsilon) + 1)
        for column, value in enumerate(row):
            unit = ((count * value - total) * inverse) >> 24
            scaled = (unit * gain[column] + offset[column] + half) >> shift
            out[(*index, column)] = clip_value(zero_point + scaled, lo, hi)
    return out
