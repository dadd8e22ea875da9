"""A small causal decoder: the next character that float would choose, at every position."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from precompiles.runner import plan_model
from tools.bench.sentences import sentences
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples

FILE = Path(__file__).parents[1] / "fixtures" / "onnx" / "tiny_gpt.onnx"
ALPHABET = "\n !\"'(),-./0123456789:;?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz*"
CONTEXT = 32
CALIBRATION, HELD = 96, 300


def windows(count):
    """Pieces of text as character numbers (count, CONTEXT), and the character after each one."""
    text = " ".join(sentences(600))
    codes = np.array([ALPHABET.index(c) if c in ALPHABET else 1 for c in text])
    starts = np.random.default_rng(5).integers(0, len(codes) - CONTEXT - 1, count)
    pieces = np.stack([codes[start : start + CONTEXT + 1] for start in starts])
    return pieces[:, :-1].astype(np.int64), pieces[:, 1:]


def perplexity(logits, following):
    logits = logits - logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, following[..., np.newaxis], -1)[..., 0]
    return float(np.exp((np.log(np.exp(logits).sum(axis=-1)) - chosen).mean()))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("precision", "agreement"), [("int8", 0.96), ("int16", 0.97)])
def test_next_tokens_are_those_of_float(precision, agreement):
    tokens, following = windows(CALIBRATION + HELD)
    compiled = compile_onnx(FILE, tokens[:CALIBRATION], precision=precision)
    held, following = tokens[CALIBRATION:], following[CALIBRATION:]
    session = onnxruntime.InferenceSession(FILE, providers=["CPUExecutionProvider"])
    expected = np.concatenate(
        [session.run(None, {"tokens": held[i : i + 60]})[0] for i in range(0, HELD, 60)]
    )
    inputs = quantize_samples(compiled.model, {"tokens": held})
    (got,) = run_samples(plan_model(compiled.model), inputs)
    same = (got.argmax(axis=-1) == expected.argmax(axis=-1)).mean()
    ratio = perplexity(got, following) / perplexity(expected, following)
    print(f"{precision}: same token {same:.2%}, perplexity x {ratio:.4f}")
    assert same >= agreement
    assert ratio <= 1.02


def test_the_future_is_not_seen():
    tokens, _ = windows(40)
    compiled = compile_onnx(FILE, tokens, precision="int8")
    plan = plan_model(compiled.model)
    changed = tokens.copy()
    changed[:, CONTEXT // 2 :] = (changed[:, CONTEXT // 2 :] + 7) % len(ALPHABET)
    first, second = (
        run_samples(plan, quantize_samples(compiled.model, {"tokens": item}))[0]
        for item in (tokens, changed)
    )
    assert np.array_equal(first[:, : CONTEXT // 2], second[:, : CONTEXT // 2])
    assert not np.array_equal(first, second)
