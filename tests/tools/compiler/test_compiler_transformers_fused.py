"""Fused transformer nodes and the rewrites for 8 bits."""

import numpy as np
import pytest
from onnx import helper

from precompiles.model import operators as op
from tools.compiler import CompileError, compile_onnx

RNG = np.random.default_rng(12)
TOKENS, WIDTH, HEADS = 6, 16, 4
MICROSOFT = "com.microsoft"


def normal(*shape, scale=1.0):
    return (RNG.normal(size=shape) * scale).astype(np.float32)


def fused(operator, inputs, outputs="y", **attributes):
    return helper.make_node(
        operator, inputs.split(","), outputs.split(), domain=MICROSOFT, **attributes
    )


def relative_error(compiled):
    return max(item.max_abs_error / item.spread for item in compiled.report.outputs)


def count(compiled, operator):
    return sum(isinstance(item, operator) for item in compiled.model.instructions)


@pytest.mark.parametrize("options", [{}, {"is_causal": 1}, {"scale": 0.2}])
@pytest.mark.parametrize("rank", [3, 4])
def test_attention_of_onnx(make_onnx, rank, options):
    heads = {"q_num_heads": HEADS, "kv_num_heads": HEADS} if rank == 3 else {}
    shape = (TOKENS, WIDTH) if rank == 3 else (HEADS, TOKENS, WIDTH // HEADS)
    nodes = [helper.make_node("Attention", ["q", "k", "v"], ["y"], **heads, **options)]
    data = make_onnx(nodes, dict.fromkeys("qkv", shape), opset=23)
    samples = {name: normal(64, *shape) for name in "qkv"}
    compiled = compile_onnx(data, samples, precision="int16")
    assert (count(compiled, op.MatMul), count(compiled, op.Softmax)) == (2, 1)
    assert relative_error(compiled) < 0.01


@pytest.mark.parametrize("unidirectional", [0, 1])
def test_multi_head_attention(make_onnx, unidirectional):
    node = fused("MultiHeadAttention", "q,k,v,b", num_heads=HEADS, unidirectional=unidirectional)
    shapes = dict.fromkeys("qkv", (TOKENS, WIDTH))
    data = make_onnx([node], shapes, {"b": normal(3 * WIDTH, scale=0.2)})
    samples = {name: normal(64, TOKENS, WIDTH) for name in "qkv"}
    compiled = compile_onnx(data, samples, precision="int16")
    assert count(compiled, op.Softmax) == 1
    assert relative_error(compiled) < 0.01


def test_packed_attention(make_onnx):
    constants = {"w": normal(WIDTH, 3 * WIDTH, scale=0.25), "b": normal(3 * WIDTH, scale=0.2)}
    node = fused("Attention", "x,w,b", num_heads=HEADS, unidirectional=1)
    data = make_onnx([node], {"x": (TOKENS, WIDTH)}, constants)
    compiled = compile_onnx(data, normal(64, TOKENS, WIDTH), precision="int16")
    assert count(compiled, op.Gemm) == 3  # query, key and value apart
    assert relative_error(compiled) < 0.01


@pytest.mark.parametrize("operator", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_skip_normalisation(make_onnx, operator):
    constants = {"g": 1 + normal(WIDTH, scale=0.2), "o": normal(WIDTH), "b": normal(WIDTH)}
    simplified = "Simplified" in operator
    node = fused(operator, "x,s,g,b" if simplified else "x,s,g,o,b", epsilon=1e-6)
    if simplified:
        del constants["o"]
    data = make_onnx([node], {"x": (TOKENS, WIDTH), "s": (TOKENS, WIDTH)}, constants)
    samples = {name: normal(64, TOKENS, WIDTH) for name in "xs"}
    compiled = compile_onnx(data, samples, precision="int16")
    assert count(compiled, op.LayerNorm) == 1
    assert relative_error(compiled) < 0.01


@pytest.mark.parametrize("operator", ["BiasGelu", "FastGelu", "QuickGelu", "Gelu"])
def test_gelu_is_one_function(make_onnx, operator):
    has_bias = operator in ("BiasGelu", "FastGelu")
    constants = {"b": normal(WIDTH)} if has_bias else {}
    data = make_onnx([fused(operator, "x,b" if has_bias else "x")], {"x": (4, WIDTH)}, constants)
    compiled = compile_onnx(data, normal(64, 4, WIDTH), precision="int16")
    assert relative_error(compiled) < 0.01


def test_rotary_embedding(make_onnx):
    angles = np.outer(np.arange(TOKENS), 10.0 ** -np.arange(2)).astype(np.float32)
    shape = (HEADS, TOKENS, WIDTH // HEADS)
    node = helper.make_node("RotaryEmbedding", ["x", "c", "s"], ["y"])
    data = make_onnx(
        [node], {"x": shape}, {"c": np.cos(angles)[None], "s": np.sin(angles)[None]}, opset=23
    )
    compiled = compile_onnx(data, normal(64, *shape), precision="int16")
    assert relative_error(compiled) < 0.01


def test_cache_is_refused_by_name(make_onnx):
    node = fused("MultiHeadAttention", "q,k,v,,,,p,p", num_heads=HEADS)
    shapes = {**dict.fromkeys("qkv", (TOKENS, WIDTH)), "p": (HEADS, 2, WIDTH // HEADS)}
    with pytest.raises(CompileError, match="cache") as caught:
        compile_onnx(make_onnx([node], shapes), {n: normal(2, *s) for n, s in shapes.items()})
    assert caught.value.advice


def feed_forward(loud):
    """LayerNorm, Dense, GELU, Dense; some columns of the norm and of the hidden layer are loud."""
    hidden = 256
    gain = np.ones(32, np.float32)
    gain[:2] = loud
    up = normal(32, hidden, scale=32**-0.5)
    up[:2] /= loud
    up[:, 0] *= loud
    nodes = [
        helper.make_node("LayerNormalization", ["x", "g", "o"], ["n"], axis=-1),
        helper.make_node("MatMul", ["n", "up"], ["h"]),
        helper.make_node("Gelu", ["h"], ["a"]),
        helper.make_node("MatMul", ["a", "down"], ["y"]),
    ]
    down = normal(hidden, 32, scale=hidden**-0.5)
    return nodes, {"g": gain, "o": normal(32, scale=0.1), "up": up, "down": down}


def test_loud_columns_cost_little(make_onnx):
    """Without the rewrites the loud columns make the error four times as large."""
    errors = {}
    samples = normal(256, 4, 32)
    for loud in (1.0, 12.0):
        nodes, constants = feed_forward(loud)
        data = make_onnx(nodes, {"x": (4, 32)}, constants, opset=20)
        compiled = compile_onnx(data, samples, precision="int8")
        errors[loud] = compiled.report.outputs[0].mean_abs_error
    assert errors[12.0] < 2.5 * errors[1.0]


def test_loud_columns_become_columns_of_their_own(make_onnx):
    nodes, constants = feed_forward(12.0)
    data = make_onnx(nodes, {"x": (4, 32)}, constants, opset=20)
    narrow = compile_onnx(data, normal(256, 4, 32), precision="int8")
    words = compile_onnx(data, normal(256, 4, 32), precision="int16")
    widths = [
        next(
            compiled.model.type_of(item.x).shape[-1]
            for item in compiled.model.instructions
            if isinstance(item, op.Lookup) or type(item).__name__ == "PiecewiseLinear"
        )
        for compiled in (narrow, words)
    ]
    assert widths[0] > widths[1] == 256
