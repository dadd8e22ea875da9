"""A model of somebody else, as its package ships it: magika's file types of 500 real files.

The model is a tf2onnx export of JAX code: one-hot products, norms and softmax written out.
"""

import importlib.util
import os
import random
import sysconfig
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from precompiles.model import operators as op
from precompiles.runner import plan_model
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples

HALF, BLOCK, PADDING = 1024, 4096, 256
SEEN, FILES = 250, 500


@pytest.fixture(scope="module")
def model_path() -> Path:
    package = importlib.util.find_spec("magika")
    if package is None or package.origin is None:
        pytest.skip("magika is not installed")
    found = sorted(Path(package.origin).parent.glob("models/standard_v3_*/model.onnx"))
    assert found
    return found[-1]


def features(path: Path) -> np.ndarray:
    """First and last 1,024 bytes of a file without white space around it, as magika takes them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(min(BLOCK, size)).lstrip()[:HALF]
        file.seek(max(0, size - BLOCK))
        last = file.read().rstrip()[-HALF:]
    codes = np.full(2 * HALF, PADDING, dtype=np.int32)
    codes[: len(first)] = np.frombuffer(first, np.uint8)
    if last:
        codes[2 * HALF - len(last) :] = np.frombuffer(last, np.uint8)
    return codes


def real_files(count: int) -> list[Path]:
    """Files of Python and its packages, every kind in turn."""
    kinds: dict[str, list[Path]] = {}
    for root in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        for folder, _, names in os.walk(root):
            for name in sorted(names):
                path = Path(folder, name)
                if not path.is_symlink() and path.stat().st_size >= 64:
                    kinds.setdefault(path.suffix, []).append(path)
    rng = random.Random(0)
    for paths in kinds.values():
        rng.shuffle(paths)
    chosen: list[Path] = []
    place = 0
    while len(chosen) < count:
        row = [paths[place] for _, paths in sorted(kinds.items()) if place < len(paths)]
        if not row:
            break
        chosen += row
        place += 1
    return chosen[:count]


@pytest.mark.slow
def test_top_label_of_real_files(model_path: Path) -> None:
    paths = real_files(SEEN + FILES)
    assert len(paths) == SEEN + FILES
    x = np.stack([features(path) for path in paths])
    x = x[np.random.default_rng(0).permutation(len(x))]
    seen, held_out = x[:SEEN], x[SEEN:]
    compiled = compile_onnx(model_path, seen)
    kinds = {type(item) for item in compiled.model.instructions}
    assert {op.Gather, op.LayerNorm, op.Conv} <= kinds  # what the exporter had taken apart
    session = onnxruntime.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    pieces = [held_out[start : start + 50] for start in range(0, FILES, 50)]
    expected = np.concatenate([session.run(None, {"bytes": part})[0] for part in pieces])
    plan = plan_model(compiled.model)
    got = run_samples(plan, quantize_samples(compiled.model, {"bytes": held_out}))[0]
    assert np.mean(got.argmax(axis=1) == expected.argmax(axis=1)) >= 0.99
