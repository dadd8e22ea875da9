"""``assay bench kernels``: each hot operator beside onnxruntime, one thread, one process."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from precompiles.runner import Plan, plan_model
from tools.bench import operators
from tools.bench.networks import forest
from tools.bench.operators import Case
from tools.bench.peers import FP32, INT8, caller
from tools.bench.timing import Row, compare, measure
from tools.compiler import compile_onnx
from tools.compiler.graph import Array
from tools.compiler.report import quantize_samples
from tools.progress import StageProgress

_TREE_FEATURES: Final = 30

CASES: Final[tuple[tuple[Callable[..., Case], tuple[int, ...]], ...]] = (
    (operators.gemm, (128, 384, 1536)),
    (operators.gemm, (256, 768, 3072)),
    (operators.gemm, (1, 256, 256)),
    (operators.gemm, (1, 1024, 1024)),
    (operators.gemm, (1, 4096, 4096)),
    (operators.conv, (224, 3, 64, 7, 2)),
    (operators.conv, (56, 64, 64, 3)),
    (operators.conv, (28, 128, 128, 3)),
    (operators.conv, (14, 256, 256, 3)),
    (operators.conv, (7, 512, 512, 3)),
    (operators.conv, (112, 32, 16, 1)),
    (operators.conv, (56, 24, 144, 1)),
    (operators.conv, (14, 384, 64, 1)),
    (operators.conv, (7, 320, 1280, 1)),
    (operators.conv, (112, 32, 0, 3)),
    (operators.conv, (56, 144, 0, 3, 2)),
    (operators.conv, (28, 192, 0, 3)),
    (operators.conv, (14, 384, 0, 3)),
    (operators.conv, (7, 960, 0, 3)),
    (operators.softmax, (1536, 128)),
    (operators.layer_norm, (128, 384)),
    (operators.lookup, (196_608,)),
)


def run_kernels(progress: StageProgress) -> Iterator[Row]:
    """Measure every case; one row for each peer. Times are thread CPU time of one call."""
    total = len(CASES) + 1
    for index, (build, shape) in enumerate(CASES):
        case = build(*shape)
        progress(f"kernels: {case.name}", index, total)
        yield from _rows(case)
    progress("kernels: trees", total - 1, total)
    yield from _trees()
    progress("kernels: done", total, total)


def _rows(case: Case) -> list[Row]:
    plan = plan_model(case.model)
    candidates = {"ours": _bound(plan, case.inputs), FP32: case.fp32, **case.int8}
    times = measure(candidates)
    peers = {FP32: times[FP32]}
    if case.int8:
        peers = {INT8: min(times[name] for name in case.int8), **peers}
    return compare(case.name, times["ours"], peers)


def _bound(plan: Plan, inputs: Sequence[Array]) -> Callable[[], object]:
    """A run on inputs that lie in memory already, as onnxruntime's with a binding."""
    arena = plan.arenas.take(len(inputs[0]))
    for window, item in zip(arena.inputs, inputs, strict=True):
        window[...] = item.reshape(-1).view(np.uint8).reshape(window.shape)
    return lambda: plan.arenas.run(arena)


def _trees() -> Iterator[Row]:
    """100 trees of depth 6: one row of features, and a thousand."""
    model = forest(_TREE_FEATURES)
    random = np.random.default_rng(5)
    x = random.integers(-1000, 1001, (1000, _TREE_FEATURES)).astype(np.float32)
    compiled = compile_onnx(model, {"x": x})
    plan = plan_model(compiled.model)
    (codes,) = quantize_samples(compiled.model, {"x": x})
    for batch in (1, 1000):
        given, wanted = codes[:batch], x[:batch]
        times = measure(
            {
                "ours": _bound(plan, [given]),
                FP32: caller(model, {"x": wanted}, bound=True),
            }
        )
        yield from compare(
            f"trees 100 x depth 6, batch {batch}", times["ours"], {FP32: times[FP32]}
        )
