"""What all kernels of images share: places in the args row, and the form of the rounding.

An s8 is computed as the u8 that it is when xored with 128: FLIP does that to a byte on storing,
and the numbers of the rounding are those of the u8.
"""

from dataclasses import dataclass

X, X_SAMPLE, X_ROW, X_STEP = range(4)
"""x: byte offset of the first window; byte distances of samples, of rows and columns of windows."""

OUT, OUT_SAMPLE, OUT_ROW, OUT_STEP = range(4, 8)
"""The same of the output's pixels."""

ROWS, COLUMNS = range(8, 10)
"""Windows."""

FLIP, SHIFT, ROUNDING, ZERO_POINT, LO, HI = range(10, 16)
"""As ``Rounding``."""

OWN = 16
"""First place that each kernel names itself."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """RQ as an epilogue takes it.

    Narrow: ``((t * m >> 32) + rounding) >> shift``. From shift 33 on, the rounding term and the
    zero point have no bits below 2**32. Wide: ``zero_point + ((t * m + rounding) >> shift)``.
    """

    is_wide: bool
    flip: int
    shift: int
    rounding: int
    zero_point: int
    lo: int
    hi: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """From FLIP to HI."""
        return self.flip, self.shift, self.rounding, self.zero_point, self.lo, self.hi


def rounding_form(shift: int, zero_point: int, lo: int, hi: int, is_s8: bool) -> Rounding:
    """Narrow where no 32-bit word is left, given ``|t * m| < 2**62``."""
    flip = 128 if is_s8 else 0
    zero_point, lo, hi = zero_point + flip, lo + flip, hi + flip
    if shift >= 33:
        rounding = (zero_point << (shift - 32)) + (1 << (shift - 33))
        if abs(rounding) <= 1 << 30:
            return Rounding(False, flip, shift - 32, rounding, 0, lo, hi)
    return Rounding(True, flip, shift, 1 << (shift - 1), zero_point, lo, hi)
