"""Sample files: what a user measured, as float arrays for calibration and for inference."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.errors import ToolError

Samples = dict[str, NDArray[np.generic]]


def load_samples(path: Path) -> Samples | NDArray[np.generic]:
    """Read samples, first axis = sample.

    Args:
        path: ``.npy`` (one array), ``.npz`` (one array per model input, by input name) or ``.csv``
            (numbers, one sample per line, an optional header line).

    Raises:
        ToolError: unreadable, empty, or not numeric.
    """
    try:
        if path.suffix == ".npy":
            return _numeric(path, np.load(path, allow_pickle=False))
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name: _numeric(path, archive[name]) for name in archive.files}
        if path.suffix == ".csv":
            return _numeric(path, _read_csv(path))
    except (OSError, ValueError, EOFError) as error:
        raise ToolError(f"cannot read samples from {path}: {error}") from None
    raise ToolError(f"samples are .npy, .npz or .csv files, not {path.name}")


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Name and shape from ``NAME=1,3,224,224``.

    Raises:
        ToolError: not of that form, or a size below 1.
    """
    name, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise ToolError(f"--shape is NAME=1,3,224,224, not {text!r}")
    return name, shape


def _read_csv(path: Path) -> NDArray[np.generic]:
    lines = path.read_text().splitlines()
    try:
        [float(cell) for cell in lines[0].split(",")] if lines else []
        skip = 0
    except ValueError:
        skip = 1
    if len(lines) <= skip:
        raise ValueError("no rows")
    return np.atleast_2d(np.loadtxt(lines[skip:], delimiter=",", dtype=np.float64))


def _numeric(path: Path, array: NDArray[np.generic]) -> NDArray[np.generic]:
    if array.dtype.kind not in "fiub":
        raise ToolError(f"{path}: samples must be numbers, found dtype {array.dtype}")
    if array.ndim == 0 or array.shape[0] == 0:
        raise ToolError(f"{path}: no samples (shape {array.shape})")
    return array
