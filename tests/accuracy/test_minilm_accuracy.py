"""all-MiniLM-L6-v2 on 500 real sentences against onnxruntime's float32."""

import numpy as np
import onnxruntime
import pytest

from precompiles.runner import plan_model
from tools.bench.minilm import Tokenizer, minilm_onnx, model_folder
from tools.bench.sentences import sentences
from tools.compiler import compile_onnx
from tools.compiler.report import quantize_samples, run_samples

SENTENCES = 500
CALIBRATION = 64
NEAREST = 10
FOLDER = model_folder()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOLDER is None, reason="make data installs the model"),
]


@pytest.fixture(scope="module")
def encoder():
    """The ONNX file, samples to calibrate on, other samples, and their float embeddings."""
    data = minilm_onnx(FOLDER)
    texts = sentences(SENTENCES + CALIBRATION)
    ids, mask = Tokenizer(FOLDER / "vocab.txt").encode(texts)
    held = {"input_ids": ids[:SENTENCES], "attention_mask": mask[:SENTENCES]}
    samples = {"input_ids": ids[SENTENCES:], "attention_mask": mask[SENTENCES:]}
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    parts = [
        session.run(None, {name: value[start : start + 50] for name, value in held.items()})[0]
        for start in range(0, SENTENCES, 50)
    ]
    return data, samples, held, np.concatenate(parts)


def nearest(embeddings):
    """Indices of the ten most similar others of every sentence."""
    similarity = embeddings @ embeddings.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :NEAREST]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("precision", "cosine", "ranking"), [("int8", 0.998, 0.94), ("int16", 0.999, 0.95)]
)
def test_embeddings_are_those_of_float(encoder, precision, cosine, ranking):
    data, samples, held, expected = encoder
    compiled = compile_onnx(data, samples, precision=precision, calibration="mse")
    plan = plan_model(compiled.model)
    (got,) = run_samples(plan, quantize_samples(compiled.model, held))
    got /= np.linalg.norm(got, axis=1, keepdims=True)
    similarity = (got * expected).sum(axis=1)
    found, wanted = nearest(got), nearest(expected)
    shared = np.mean([len(set(a) & set(b)) / NEAREST for a, b in zip(found, wanted, strict=True)])
    print(f"{precision}: cosine {similarity.mean():.5f}, least {similarity.min():.5f},")
    print(f"{shared:.2%} of the nearest ten shared, gas {compiled.report.gas:,}")
    assert similarity.mean() >= cosine
    assert shared >= ranking


def test_tokenizer_is_that_of_the_model():
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    theirs.no_padding()
    theirs.enable_truncation(128)
    texts = [*sentences(200), "Naïve café: a_b isn't 3.14% of x²!", "ẞtraße 漢字 ok", ""]
    ids, mask = Tokenizer(FOLDER / "vocab.txt").encode(texts)
    for row, length, text in zip(ids, mask.sum(axis=1), texts, strict=True):
        assert row[:length].tolist() == theirs.encode(text).ids, text
