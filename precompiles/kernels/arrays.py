"""Names for the arrays that kernels take, and for the twins' unbounded ones."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
U8: TypeAlias = NDArray[np.uint8]
S8: TypeAlias = NDArray[np.int8]
S16: TypeAlias = NDArray[np.int16]
S32: TypeAlias = NDArray[np.int32]
S64: TypeAlias = NDArray[np.int64]

Exact: TypeAlias = NDArray[Any]
"""Array of Python integers (dtype object), one sample without a batch axis: what twins take."""


def exact(values: Array) -> Exact:
    """The same numbers as unbounded Python integers."""
    return np.asarray(values).astype(object)


def empty_exact(shape: tuple[int, ...]) -> Exact:
    """Array to be filled with Python integers."""
    return np.empty(shape, dtype=object)
