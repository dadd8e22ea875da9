"""Train gradient-boosted trees on the breast-cancer data and write ``breast_cancer_gbt.onnx``.

Needs the development dependencies: ``python -m tools.demo.train_breast_cancer``.
"""

import numpy as np
from skl2onnx import to_onnx  # type: ignore[import-untyped]
from sklearn.ensemble import GradientBoostingClassifier

from tools.demo import BREAST_CANCER_GBT, breast_cancer, held_out_rows


def main() -> None:
    """Train on three quarters, print the accuracy on the rest, export."""
    features, labels = breast_cancer()
    held_out = held_out_rows(labels)
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    model = GradientBoostingClassifier(
        n_estimators=60, max_depth=3, learning_rate=0.15, subsample=0.8, random_state=1
    )
    model.fit(features[kept], labels[kept])
    accuracy = model.score(features[held_out], labels[held_out])
    print(f"accuracy on {len(held_out)} unseen patients: {accuracy:.4f}")
    exported = to_onnx(model, features[:1], options={"zipmap": False})
    BREAST_CANCER_GBT.write_bytes(exported.SerializeToString())
    print(f"{BREAST_CANCER_GBT.name}: {BREAST_CANCER_GBT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
