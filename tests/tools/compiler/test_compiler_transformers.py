"""Attention, normalisation, embeddings and masks against onnxruntime."""

from collections import Counter

import numpy as np
import pytest
from onnx import TensorProto, helper

from precompiles.model import operators as op
from precompiles.runner import plan_model
from tools.compiler import CompileError, compile_onnx
from tools.compiler.report import quantize_samples, run_samples

RNG = np.random.default_rng(11)
TOKENS, WIDTH, HEADS, WORDS = 8, 16, 2, 24
PRECISIONS = [("int8", 0.06), ("int16", 0.01), ("wide", 0.01)]


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def normal(*shape, scale=1.0):
    return (RNG.normal(size=shape) * scale).astype(np.float32)


def executed(compiled, samples):
    """Outputs of the integer model, by the chain's kernels."""
    return run_samples(plan_model(compiled.model), quantize_samples(compiled.model, samples))


def kinds(compiled):
    return Counter(type(item).__name__ for item in compiled.model.instructions)


def relative_error(compiled):
    return max(item.max_abs_error / item.spread for item in compiled.report.outputs)


@pytest.mark.parametrize(("precision", "limit"), PRECISIONS)
@pytest.mark.parametrize(
    ("a", "b"),
    [((4, 6), (6, 5)), ((2, 4, 6), (2, 6, 3)), ((2, 4, 6), (1, 6, 3)), ((4, 6), (2, 6, 3))],
)
def test_products_of_computed_tensors(make_onnx, a, b, precision, limit):
    data = make_onnx([node("MatMul", "a b", "y")], {"a": a, "b": b})
    samples = {"a": normal(64, *a), "b": normal(64, *b)}
    if len(a) != len(b):  # ONNX would broadcast the batch against the leading axis
        data = make_onnx(
            [node("Unsqueeze", "a axes", "c"), node("MatMul", "c b", "y")],
            {"a": a, "b": b},
            {"axes": np.array([1])},
        )
    compiled = compile_onnx(data, samples, precision=precision)
    assert kinds(compiled)["MatMul"] == 1
    assert relative_error(compiled) < limit


def test_turned_factors_are_read_by_rows(make_onnx):
    """``q @ k.T / 3``: no single element is moved, and the factor is part of the product."""
    nodes = [
        node("Transpose", "k", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "s"),
        node("Div", "s three", "y"),
    ]
    data = make_onnx(nodes, {"q": (5, 8), "k": (7, 8)}, {"three": np.float32(3)})
    samples = {"q": normal(64, 5, 8), "k": normal(64, 7, 8)}
    compiled = compile_onnx(data, samples, precision="int16")
    assert set(kinds(compiled)) <= {"MatMul", "Requantize"}
    product = next(i for i in compiled.model.instructions if isinstance(i, op.MatMul))
    assert product.transpose_b == 1
    assert relative_error(compiled) < 0.01


def test_constant_on_the_left(make_onnx):
    data = make_onnx([node("MatMul", "w x", "y")], {"x": (6, 4)}, {"w": normal(5, 6)})
    compiled = compile_onnx(data, normal(64, 6, 4), precision="int16")
    assert relative_error(compiled) < 0.01


NORMS = {
    "layer": [node("LayerNormalization", "x gain bias", "y", axis=-1, epsilon=1e-5)],
    "rms": [node("RMSNormalization", "x gain", "y", axis=-1, epsilon=1e-6)],
    "written out": [
        node("ReduceMean", "x", "mean", axes=[-1]),
        node("Sub", "x mean", "d"),
        node("Pow", "d two", "square"),
        node("ReduceMean", "square", "variance", axes=[-1]),
        node("Add", "variance epsilon", "safe"),
        node("Sqrt", "safe", "deviation"),
        node("Div", "d deviation", "unit"),
        node("Mul", "unit gain", "scaled"),
        node("Add", "scaled bias", "y"),
    ],
    "rms written out": [
        node("Pow", "x two", "square"),
        node("ReduceMean", "square", "power", axes=[-1]),
        node("Add", "power epsilon", "safe"),
        node("Sqrt", "safe", "root"),
        node("Div", "one root", "inverse"),
        node("Mul", "x inverse", "unit"),
        node("Mul", "unit gain", "y"),
    ],
}


@pytest.mark.parametrize(("precision", "limit"), PRECISIONS)
@pytest.mark.parametrize("name", NORMS)
def test_normalisation(make_onnx, name, precision, limit):
    constants = {
        "gain": 1 + normal(WIDTH, scale=0.3),
        "bias": normal(WIDTH, scale=0.3),
        "two": np.float32(2),
        "one": np.float32(1),
        "epsilon": np.float32(1e-5),
    }
    used = {item for one in NORMS[name] for item in one.input}
    constants = {key: value for key, value in constants.items() if key in used}
    data = make_onnx(NORMS[name], {"x": (5, WIDTH)}, constants, opset=23 if name == "rms" else 17)
    samples = normal(128, 5, WIDTH) * 10.0 ** RNG.uniform(-0.5, 0.5, (128, 1, 1))
    compiled = compile_onnx(data, samples.astype(np.float32), precision=precision)
    assert kinds(compiled)["LayerNorm"] == 1
    assert relative_error(compiled) < limit


def mask_nodes(kind):
    """Nodes that make ``scores`` into ``masked`` with the mask of that kind."""
    added = [
        node("Unsqueeze", "mask axis_1", "row"),
        node("Cast", "row", "kept", to=TensorProto.FLOAT),
        node("Sub", "one kept", "absent"),
        node("Mul", "absent lowest", "bias"),
        node("Add", "scores bias", "masked"),
    ]
    return {
        "added": added,
        "chosen": [
            node("Unsqueeze", "mask axis_1", "row"),
            node("Cast", "row", "kept", to=TensorProto.BOOL),
            node("Where", "kept scores lowest", "masked"),
        ],
        "chosen and added": [
            node("Unsqueeze", "mask axis_1", "row"),
            node("Cast", "row", "kept", to=TensorProto.BOOL),
            node("Where", "kept zero lowest", "bias"),
            node("Add", "bias scores", "masked"),
        ],
        "causal": [
            *added[:-1],
            node("Add", "bias causal", "both"),
            node("Add", "both scores", "masked"),
        ],
        "bounded": [
            *added[:-1],
            node("Add", "scores bias", "sum"),
            node("Max", "sum lowest", "masked"),
        ],
    }[kind]


def encoder(kind="added"):
    """Embedding, one attention head with the mask, layer norm, mean over the tokens, length 1."""
    nodes = [
        node("Gather", "table ids", "x"),
        *(
            item
            for part in "qkv"
            for item in [
                node("MatMul", f"x w_{part}", f"m_{part}"),
                node("Add", f"m_{part} b_{part}", part),
            ]
        ),
        node("Transpose", "k", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "raw"),
        node("Mul", "raw scale", "scores"),
        *mask_nodes(kind),
        node("Softmax", "masked", "p", axis=-1),
        node("MatMul", "p v", "mixed"),
        node("Add", "mixed x", "sum_1"),
        node("LayerNormalization", "sum_1 gain offset", "n", axis=-1, epsilon=1e-12),
        node("Unsqueeze", "mask axis_2", "column"),
        node("Shape", "n", "size"),
        node("Expand", "column size", "wide"),
        node("Cast", "wide", "weights", to=TensorProto.FLOAT),
        node("Mul", "n weights", "weighted"),
        node("ReduceSum", "weighted axis_1", "total", keepdims=0),
        node("ReduceSum", "weights axis_1", "count", keepdims=0),
        node("Clip", "count tiny", "safe"),
        node("Div", "total safe", "mean"),
        node("ReduceL2", "mean", "length", axes=[1], keepdims=1),
        node("Div", "mean length", "y"),
    ]
    constants = {
        "table": normal(WORDS, WIDTH),
        **{f"w_{part}": normal(WIDTH, WIDTH, scale=WIDTH**-0.5) for part in "qkv"},
        **{f"b_{part}": normal(WIDTH, scale=0.1) for part in "qkv"},
        "scale": np.float32(WIDTH**-0.5),
        "one": np.float32(1),
        "zero": np.float32(0),
        "tiny": np.float32(1e-9),
        "lowest": np.float32(np.finfo(np.float32).min),
        "causal": np.triu(np.full((TOKENS, TOKENS), -1e9, np.float32), 1),
        "gain": 1 + normal(WIDTH, scale=0.2),
        "offset": normal(WIDTH, scale=0.2),
        "axis_1": np.array([1]),
        "axis_2": np.array([2]),
    }
    used = {item for one in nodes for item in one.input}
    return nodes, {key: value for key, value in constants.items() if key in used}


def sentences(count, shortest=2):
    ids = RNG.integers(0, WORDS, (count, TOKENS))
    lengths = RNG.integers(shortest, TOKENS + 1, count)
    return {"ids": ids, "mask": (np.arange(TOKENS) < lengths[:, np.newaxis]).astype(np.int64)}


@pytest.fixture
def encoder_onnx(make_onnx):
    def build(kind):
        nodes, constants = encoder(kind)
        shapes = {"ids": (TOKENS,), "mask": (TOKENS,)}
        return make_onnx(nodes, shapes, constants, dtype=TensorProto.INT64)

    return build


@pytest.mark.parametrize(("precision", "limit"), PRECISIONS[:2])
@pytest.mark.parametrize("kind", ["added", "chosen", "chosen and added", "causal", "bounded"])
def test_masked_encoder(encoder_onnx, kind, precision, limit):
    samples = sentences(128)
    compiled = compile_onnx(encoder_onnx(kind), samples, precision=precision)
    assert relative_error(compiled) < limit
    found = kinds(compiled)
    assert (found["Softmax"], found["Select"], found["MatMul"]) == (1, 1, 3)
    changed = np.where(samples["mask"] == 1, samples["ids"], (samples["ids"] + 5) % WORDS)
    first = executed(compiled, samples)[0]
    assert np.array_equal(first, executed(compiled, {**samples, "ids": changed})[0])


def test_mask_is_kept_when_no_sample_shows_it(encoder_onnx):
    """A mask is known by how it is made: samples of full length do not wash it out."""
    compiled = compile_onnx(encoder_onnx("added"), sentences(64, TOKENS), precision="int16")
    short = sentences(64)
    changed = np.where(short["mask"] == 1, short["ids"], (short["ids"] + 3) % WORDS)
    assert kinds(compiled)["Select"] == 1
    assert np.array_equal(
        executed(compiled, short)[0], executed(compiled, {**short, "ids": changed})[0]
    )


def test_words_outside_the_vocabulary_are_clipped(encoder_onnx):
    compiled = compile_onnx(encoder_onnx("added"), sentences(32), precision="int8")
    wild = sentences(8)
    wild["ids"] = wild["ids"] + np.array([-10_000, 10_000] * (TOKENS // 2))
    assert np.isfinite(executed(compiled, wild)[0]).all()
    gather = next(i for i in compiled.model.instructions if isinstance(i, op.Gather))
    clip = next(i for i in compiled.model.instructions if i.output == gather.x)
    assert isinstance(clip, op.Clip)
    assert (clip.lo, clip.hi) == (0, WORDS - 1)


def test_residual_stream_has_sixteen_bits_at_int8(encoder_onnx):
    compiled = compile_onnx(encoder_onnx("added"), sentences(64), precision="int8")
    model = compiled.model
    norm = next(i for i in model.instructions if isinstance(i, op.LayerNorm))
    scores, mixed, _ = (i for i in model.instructions if isinstance(i, op.MatMul))
    dtypes = [model.type_of(value).dtype.name for value in (norm.x, scores.a, scores.b, mixed.a)]
    assert dtypes == ["S16", "U8", "S8", "U8"]
    assert model.type_of(scores.output).dtype.name == "S16"


EINSUMS = [
    ("bid,bjd->bij", (4, 6), (5, 6)),
    ("bhid,bhjd->bhij", (2, 4, 6), (2, 5, 6)),
    ("bhij,bjhd->bihd", (2, 4, 5), (5, 2, 3)),
]


@pytest.mark.parametrize(("equation", "a", "b"), EINSUMS)
def test_einsum_of_computed_tensors(make_onnx, equation, a, b):
    data = make_onnx([node("Einsum", "a b", "y", equation=equation)], {"a": a, "b": b})
    compiled = compile_onnx(data, {"a": normal(64, *a), "b": normal(64, *b)}, precision="int16")
    assert relative_error(compiled) < 0.01


def test_einsum_with_a_weight(make_onnx):
    nodes = [node("Einsum", "x w", "y", equation="btd,dhk->bhtk")]
    data = make_onnx(nodes, {"x": (4, 6)}, {"w": normal(6, 2, 3)})
    compiled = compile_onnx(data, normal(64, 4, 6), precision="int16")
    assert kinds(compiled)["Gemm"] == 1
    assert relative_error(compiled) < 0.01


@pytest.mark.parametrize("equation", ["bij,bjj->bi", "...ij,...jk->...ik", "bij,cjk->bcik"])
def test_einsum_that_is_no_product_is_refused_by_name(make_onnx, equation):
    shapes = {"a": (4, 4), "b": (4, 4)}
    data = make_onnx([node("Einsum", "a b", "y", equation=equation)], shapes)
    with pytest.raises(CompileError) as caught:
        compile_onnx(data, {name: normal(3, *shape) for name, shape in shapes.items()})
    assert caught.value.operator == "Einsum"
    assert caught.value.advice


def test_merged_heads(make_onnx):
    """``(N, heads, tokens, width)`` as ``(N * heads, tokens, width)`` and back."""
    nodes = [
        node("Reshape", "k flat", "k_1"),
        node("Transpose", "k_1", "k_2", perm=[0, 2, 1]),
        node("Reshape", "k_2 apart", "k_3"),
        node("MatMul", "q k_3", "s"),
        node("Softmax", "s", "p", axis=-1),
        node("MatMul", "p k", "y"),
    ]
    constants = {"flat": np.array([-1, 5, 4]), "apart": np.array([-1, 2, 4, 5])}
    data = make_onnx(nodes, {"q": (2, 5, 4), "k": (2, 5, 4)}, constants)
    samples = {name: normal(64, 2, 5, 4) for name in "qk"}
    compiled = compile_onnx(data, samples, precision="int16")
    assert relative_error(compiled) < 0.01


def test_length_and_quotient(make_onnx):
    nodes = [node("ReduceL2", "x", "r", axes=[1], keepdims=1), node("Div", "x r", "y")]
    data = make_onnx(nodes, {"x": (WIDTH,)})
    samples = normal(256, WIDTH) * 10.0 ** RNG.uniform(-1, 1, (256, 1))
    compiled = compile_onnx(data, samples.astype(np.float32), precision="int16")
    assert kinds(compiled)["SquareRoot"] == 1
    assert relative_error(compiled) < 1e-4


def test_product_with_a_vector_is_refused_with_a_way_out(make_onnx):
    data = make_onnx([node("MatMul", "a b", "y")], {"a": (4, 6), "b": (6,)})
    samples = {"a": normal(6, 4, 6), "b": normal(6, 6)}
    with pytest.raises(CompileError):
        compile_onnx(data, samples)
