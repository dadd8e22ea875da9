"""The demo models: committed ONNX files, and the data that they were trained and are tested on.

``digits_cnn.onnx`` reads one 8 x 8 image of scikit-learn's digits, pixels 0 to 16, and gives ten
scores; ``breast_cancer_gbt.onnx`` reads the thirty features of scikit-learn's breast-cancer data
and gives two probabilities (malignant, benign). The training scripts beside them made the files.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FOLDER = Path(__file__).parent
DIGITS_CNN = _FOLDER / "digits_cnn.onnx"
BREAST_CANCER_GBT = _FOLDER / "breast_cancer_gbt.onnx"

TEST_SHARE = 0.25
SPLIT_SEED = 7


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (1797, 1, 8, 8), pixels 0 to 16, and their labels 0 to 9; needs scikit-learn."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    images = np.asarray(data.images, dtype=np.float32)[:, np.newaxis]
    return images, np.asarray(data.target, dtype=np.int64)


def breast_cancer() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (569, 30) and labels, 0 malignant, 1 benign; needs scikit-learn."""
    from sklearn.datasets import load_breast_cancer

    data: Any = load_breast_cancer()
    return np.asarray(data.data, dtype=np.float32), np.asarray(data.target, dtype=np.int64)


def held_out_rows(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the quarter that the training scripts never show to the model."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    return np.sort(order[: int(len(labels) * TEST_SHARE)])
