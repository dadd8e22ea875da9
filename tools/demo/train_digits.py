"""Train the digits CNN and write ``digits_cnn.onnx`` beside this file.

PyTorch is no dependency of Assay. In an environment of its own::

    pip install torch onnx onnxscript scikit-learn
    python -m tools.demo.train_digits
"""

import numpy as np
import torch  # type: ignore[import-not-found]
from torch import nn

from tools.demo import DIGITS_CNN, digits, held_out_rows

EPOCHS = 60
BATCH = 64


class _Scale(nn.Module):  # type: ignore[misc]
    """Pixels 0..16 to 0..1; the compiler folds it into the first convolution."""

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        return x / 16


def build() -> "nn.Module":
    """Three convolutions with batch normalisation, two poolings, one dense layer."""
    return nn.Sequential(
        _Scale(),
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def train(model: "nn.Module", images: "torch.Tensor", labels: "torch.Tensor") -> None:
    """Adam with a cosine schedule on cross-entropy."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        model.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
        schedule.step()
    model.eval()


def main() -> None:
    """Train on three quarters, print the accuracy on the rest, export."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    images, labels = digits()
    held_out = held_out_rows(labels)
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    model = build()
    train(model, torch.from_numpy(images[kept]), torch.from_numpy(labels[kept]))
    with torch.no_grad():
        guess = model(torch.from_numpy(images[held_out])).argmax(dim=1).numpy()
    print(f"accuracy on {len(held_out)} unseen digits: {np.mean(guess == labels[held_out]):.4f}")
    torch.onnx.export(
        model,
        (torch.from_numpy(images[:1]),),
        str(DIGITS_CNN),
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
        opset_version=17,
        dynamo=False,
    )
    print(f"{DIGITS_CNN.name}: {DIGITS_CNN.stat().st_size} bytes")


if __name__ == "__main__":
    main()
