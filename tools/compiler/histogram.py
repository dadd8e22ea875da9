"""Histograms of bounded size that grow with the data, and the 8-bit range that suits them best."""

from collections.abc import Callable

import numpy as np

from tools.compiler.graph import Array, Floats
from tools.compiler.spans import Range

BINS = 2048
_MOST_ELEMENTS = 1 << 16
"""Elements of one tensor that one update looks at; more are thinned out evenly."""

_FACTORS = np.linspace(1.0, 0.2, 41)
_TAIL = 1e-4
CODES = 255


class Histogram:
    """Counts of one tensor's values in ``BINS`` equal bins; the width doubles as values grow.

    Exact zeros are counted apart: every activation grid holds them without error.
    """

    def __init__(self) -> None:
        self.zeros = 0
        self.counts: Floats = np.zeros(BINS)
        self.width = 0.0

    def update(self, values: Array) -> None:
        """Add finite values (a sample of them when there are many)."""
        flat = np.asarray(values).reshape(-1)
        flat = flat[:: -(-flat.size // _MOST_ELEMENTS) or 1]
        self.zeros += flat.size - int(np.count_nonzero(flat))
        flat = flat[np.isfinite(flat) & (flat != 0)].astype(np.float64)
        if flat.size:
            self._grow(float(np.abs(flat).max()))
            places = np.floor(flat / self.width).astype(np.int64) + BINS // 2
            self.counts += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)

    def _grow(self, reach: float) -> None:
        """Double the width until ``reach`` is inside."""
        if self.width == 0.0:
            self.width = 2.0 ** np.ceil(np.log2(max(reach, 2.0**-100))) / (BINS // 2)
        while reach > self.width * (BINS // 2):
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros(BINS)
            self.counts[BINS // 4 : 3 * BINS // 4] = pairs
            self.width *= 2

    @property
    def centres(self) -> Floats:
        """Middle of each bin."""
        return np.asarray((np.arange(BINS) - BINS // 2 + 0.5) * self.width)

    def power(self) -> float:
        """Mean square of the values."""
        total = max(float(self.counts.sum()) + self.zeros, 1.0)
        return float((self.counts * self.centres**2).sum()) / total

    def noise(self, low: float, high: float, codes: int = CODES) -> float:
        """Mean square error of a grid of ``codes`` + 1 codes over ``[low, high]``."""
        total = max(float(self.counts.sum()) + self.zeros, 1.0)
        middle = self.centres
        step = (high - low) / codes
        cut = np.maximum(middle - high, 0) + np.maximum(low - middle, 0)
        inside = np.where(cut > 0, 0.0, step**2 / 12)
        return float((self.counts * (cut**2 + inside)).sum()) / total


def best_range(histogram: Histogram, found: Range) -> Range:
    """The range inside ``found`` whose 8-bit grid has the least mean square error."""
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    if high > 0:
        high *= _least(lambda factor: histogram.noise(low, high * factor))
    if low < 0:
        low *= _least(lambda factor: histogram.noise(low * factor, high))
    return Range(low, high)


def _least(noise: Callable[[float], float]) -> float:
    """The factor with the least noise, the largest one of equals."""
    return float(_FACTORS[int(np.argmin([noise(float(factor)) for factor in _FACTORS]))])


def percentile_range(histogram: Histogram, found: Range) -> Range:
    """The range inside ``found`` without the outermost 0.01 % of the values on each side."""
    counts = histogram.counts.copy()
    counts[BINS // 2] += histogram.zeros
    total = float(counts.sum())
    if total == 0:
        return found
    edges = (np.arange(BINS + 1) - BINS // 2) * histogram.width
    below = np.concatenate([[0.0], np.cumsum(counts)]) / total
    low = float(edges[np.searchsorted(below, _TAIL, side="right") - 1])
    high = float(edges[np.searchsorted(below, 1 - _TAIL, side="left")])
    return Range(max(low, found.low), min(high, found.high))
