"""Softmax of rows, by an integer cubic for ``2**-f``."""

import numpy as np

from precompiles.kernels.arrays import Exact, empty_exact


def exponential_reference(octaves: int) -> int:
    """``2**16 * 2**-(octaves / 2**16)``, octaves >= 0: 65,536 at 0, then falling to 0 or 1."""
    fraction = (octaves & 65535) >> 1
    p = 7591 - (fraction * 1307 >> 15)
    p = 22670 - (fraction * p >> 15)
    p = 32768 - (fraction * p >> 15)
    return (p << 1) >> min(octaves >> 16, 31)


def softmax_reference(x: Exact, multiplier: int, shift: int, one: int, bits: int) -> Exact:
    """Softmax of each last-axis row; x (.., N), result of the same shape in [0, one].

    Args:
        x: integers; one unit is ``multiplier / 2**(shift + 16)`` octaves.
        multiplier: 1 to 2**31 - 1.
        shift: 0 to 30.
        one: 255 for u8, 32,767 for s16.
        bits: precision of the reciprocal, 22 for u8 and 30 for s16.
    """
    out = empty_exact(x.shape)
    for index in np.ndindex(*x.shape[:-1]):
        row = list(x[index])
        top = max(row)
        terms = [exponential_reference((top - value) * multiplier >> shift) for value in row]
        inverse = (one << bits) // sum(terms)
        for column, term in enumerate(terms):
            out[(*index, column)] = (term * inverse + (1 << (bits - 1))) >> bits
    return out
