"""Fused transformer nodes become elementary ONNX nodes before anything else looks at them.

Attention and RotaryEmbedding of ai.onnx carry their own definition as a function of their schema,
which is used as it stands. The nodes that onnxruntime's optimiser makes (com.microsoft) are written
out here. Because the result is ONNX again, onnxruntime calibrates every tensor inside.

Semantics: ONNX operator schemas; onnxruntime docs/ContribOperators.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx.helper
import onnx.inliner
import onnx.numpy_helper
import onnx.shape_inference

from tools.compiler.graph import Array
from tools.compiler.onnx_import import OnnxModel, OnnxNode, replace_nodes
from tools.compiler.scope import reject

_SCHEMA_FUNCTIONS = ("Attention", "RotaryEmbedding")
_MICROSOFT = "com.microsoft"
_LOWEST = float(np.finfo(np.float32).min)


def expand_fused(model: OnnxModel) -> OnnxModel:
    """The model without fused transformer nodes; the same model when it has none.

    Raises:
        CompileError: a fused node with an option that has no elementary form here.
    """
    if any(node.operator in _SCHEMA_FUNCTIONS for node in model.nodes):
        model = _inlined(model)
    replaced: dict[tuple[str, ...], list[Any]] = {}
    made = _Made(model.opset)
    for node in model.nodes:
        writer = _WRITERS.get(node.operator)
        if writer is not None:
            made.begin(node)
            writer(made, node)
            replaced[node.outputs] = made.nodes
    return replace_nodes(model, replaced, made.constants) if replaced else model


def _inlined(model: OnnxModel) -> OnnxModel:
    """Schema functions put in the place of the nodes that they define."""
    proto = onnx.load_model_from_string(model.proto)
    types = _types(proto)
    for item in proto.graph.node:
        if item.domain in ("", "ai.onnx") and item.op_type in _SCHEMA_FUNCTIONS:
            function = _function(model, item, types)
            function.name = f"{item.op_type}_{len(proto.functions)}"
            function.domain = "assay.function"
            proto.functions.append(function)
            item.op_type, item.domain = function.name, function.domain
    proto.opset_import.append(onnx.helper.make_opsetid("assay.function", 1))
    flat = onnx.inliner.inline_local_functions(proto)
    kept = [item for item in flat.opset_import if item.domain != "assay.function"]
    flat.ClearField("opset_import")
    flat.opset_import.extend(kept)
    nodes = tuple(_shown(item) for item in flat.graph.node)
    return replace(model, nodes=nodes, proto=flat.SerializeToString(deterministic=True))


def _shown(item: Any) -> OnnxNode:
    prefix = f"{item.domain}." if item.domain not in ("", "ai.onnx") else ""
    return OnnxNode(
        name=item.name or next((name for name in item.output if name), item.op_type),
        operator=prefix + item.op_type,
        inputs=tuple(item.input),
        outputs=tuple(item.output),
        attributes={
            attribute.name: onnx.helper.get_attribute_value(attribute)
            for attribute in item.attribute
        },
    )


def _types(proto: Any) -> dict[str, Any]:
    """Types of tensors by name, as far as shape inference knows them."""
    inferred = onnx.shape_inference.infer_shapes(proto)
    graph = inferred.graph
    types = {item.name: item.type for item in (*graph.input, *graph.value_info)}
    for weight in graph.initializer:
        types[weight.name] = onnx.helper.make_tensor_type_proto(weight.data_type, weight.dims)
    return types


def _function(model: OnnxModel, item: Any, types: Mapping[str, Any]) -> Any:
    schema = onnx.defs.get_schema(item.op_type, model.opset)
    unknown = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    inputs = [types.get(name, unknown).SerializeToString() if name else b"" for name in item.input]
    versions = sorted(
        version
        for version in schema.context_dependent_function_opset_versions
        if version <= model.opset
    )
    if not versions or len(item.output) > 1:
        node = _shown(item)
        reject(node, "returns a cache or has no definition here", "export without key-value cache")
    body = schema.get_context_dependent_function_with_opset_version(
        versions[-1], item.SerializeToString(), inputs
    )
    return onnx.FunctionProto.FromString(body)


@dataclass(slots=True)
class _Made:
    """Nodes of one fused node, and the constants of all."""

    opset: int
    prefix: str = ""
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def begin(self, node: OnnxNode) -> None:
        self.prefix, self.nodes = node.outputs[0] or node.name, []

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        name = output or f"{self.prefix}/{operator}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: Array) -> str:
        name = f"{self.prefix}/constant_{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def shape(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def unsqueeze(self, x: str, *axes: int) -> str:
        return self.add("Unsqueeze", [x, self.shape(*axes)])


def _has(node: OnnxNode, index: int) -> bool:
    return index < len(node.inputs) and bool(node.inputs[index])


def _skip_norm(made: _Made, node: OnnxNode) -> None:
    """LayerNorm or RMSNorm of ``input + skip + bias``; output 3 is the sum."""
    simplified = "Simplified" in node.operator
    total = (*node.outputs, "", "", "", "")[3]
    bias = 3 if simplified else 4
    last = made.add("Add", list(node.inputs[:2]), "" if _has(node, bias) else total)
    if _has(node, bias):
        last = made.add("Add", [last, node.inputs[bias]], total)
    epsilon = float(node.attributes.get("epsilon", 1e-12))
    weights = [name for name in node.inputs[2 : 3 if simplified else 4] if name]
    _norm(made, last, weights, node.outputs[0], epsilon, simplified=simplified)


def _norm(
    made: _Made, x: str, weights: list[str], output: str, epsilon: float, *, simplified: bool
) -> None:
    operator = "SimplifiedLayerNormalization" if simplified else "LayerNormalization"
    made.add(operator, [x, *weights], output, axis=-1, epsilon=epsilon)


def _gelu(made: _Made, node: OnnxNode) -> None:
    """Gelu, BiasGelu and FastGelu (tanh form), QuickGelu (sigmoid form)."""
    x = node.inputs[0]
    if _has(node, 1):
        x = made.add("Add", [x, node.inputs[1]])
    if node.operator.endswith("QuickGelu"):
        scaled = made.add("Mul", [x, made.number(float(node.attributes.get("alpha", 1.702)))])
        made.add("Mul", [x, made.add("Sigmoid", [scaled])], node.outputs[0])
        return
    if node.operator.endswith("FastGelu"):
        cube = made.add("Mul", [made.add("Mul", [x, x]), x])
        inner = made.add("Add", [x, made.add("Mul", [cube, made.number(0.044715)])])
        curve = made.add("Tanh", [made.add("Mul", [inner, made.number(float(np.sqrt(2 / np.pi)))])])
    else:
        curve = made.add("Erf", [made.add("Mul", [x, made.number(float(np.sqrt(0.5)))])])
    share = made.add("Mul", [made.add("Add", [curve, made.number(1.0)]), made.number(0.5)])
    made.add("Mul", [x, share], node.outputs[0])


def _fused_matmul(made: _Made, node: OnnxNode) -> None:
    attributes = node.attributes
    if attributes.get("transBatchA", 0) or attributes.get("transBatchB", 0):
        reject(node, "transposes leading axes", "export without onnxruntime's optimiser")
    names = []
    for name, key in zip(node.inputs, ("transA", "transB"), strict=True):
        if attributes.get(key, 0):
            reject(node, f"has {key} set", "export without onnxruntime's optimiser")
        names.append(name)
    product = made.add("MatMul", names)
    alpha = made.number(float(attributes.get("alpha", 1.0)))
    made.add("Mul", [product, alpha], node.outputs[0])


def _embedding_norm(made: _Made, node: OnnxNode) -> None:
    """EmbedLayerNormalization: words, positions and segments, summed and normalised."""
    ids, segments, words, places, kinds, *_ = (*node.inputs, "", "", "", "")
    if any(node.outputs[1:]) or _has(node, 8):
        reject(node, "also returns a mask index, or is given positions", "export it without them")
    total = made.add("Gather", [words, ids])
    count = made.add("Gather", [made.add("Shape", [ids]), made.constant(np.array([1], np.int64))])
    cut = made.add("Slice", [places, made.shape(0), count, made.shape(0)])
    total = made.add("Add", [total, made.unsqueeze(cut, 0)])
    if segments and kinds:
        total = made.add("Add", [total, made.add("Gather", [kinds, segments])])
    elif kinds:
        first = made.add("Gather", [kinds, made.constant(np.array([0], np.int64))])
        total = made.add("Add", [total, made.unsqueeze(first, 0)])
    epsilon = float(node.attributes.get("epsilon", 1e-12))
    _norm(made, total, list(node.inputs[5:7]), node.outputs[0], epsilon, simplified=False)


def _multi_head(made: _Made, node: OnnxNode) -> None:
    """MultiHeadAttention with separate query, key and value of shape (N, tokens, width)."""
    query, key, value, bias, padding, added, *caches = (*node.inputs, *[""] * 7)
    if not key or not value or any(caches) or any(node.outputs[1:]):
        reject(node, "has packed inputs or a key-value cache", "export it unpacked, without cache")
    heads = int(node.attributes["num_heads"])
    parts = [query, key, value]
    if bias:
        thirds = made.prefix + "/bias_{}"
        names = [thirds.format(index) for index in range(3)]
        made.nodes.append(
            onnx.helper.make_node("Split", [bias], names, name=names[0], axis=0, num_outputs=3)
            if made.opset >= 18
            else onnx.helper.make_node("Split", [bias], names, name=names[0], axis=0)
        )
        parts = [made.add("Add", [x, part]) for x, part in zip(parts, names, strict=True)]
    _attend(made, node, parts, (heads, padding, added))


def _packed_attention(made: _Made, node: OnnxNode) -> None:
    """Attention of com.microsoft: one weight (K, 3 * width), a padding mask, maybe causal."""
    x, weight, bias, mask, past, added, *_ = (*node.inputs, *[""] * 6)
    if past or any(node.outputs[1:]) or node.attributes.get("qkv_hidden_sizes"):
        reject(node, "has a key-value cache or unequal sizes", "export it without them")
    total = made.add("MatMul", [x, weight])
    if bias:
        total = made.add("Add", [total, bias])
    names = [f"{made.prefix}/part_{index}" for index in range(3)]
    options = {"num_outputs": 3} if made.opset >= 18 else {}
    made.nodes.append(
        onnx.helper.make_node("Split", [total], names, name=names[0], axis=-1, **options)
    )
    _attend(made, node, names, (int(node.attributes["num_heads"]), mask, added))


def _attend(made: _Made, node: OnnxNode, parts: list[str], options: tuple[int, str, str]) -> None:
    """Heads apart, scores, masks, softmax, heads together."""
    heads, padding, added = options
    turned = [(0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)]
    split = [
        made.add("Transpose", [made.add("Reshape", [x, made.shape(0, 0, heads, -1)])], perm=perm)
        for x, perm in zip(parts, turned, strict=True)
    ]
    scores = made.add("MatMul", split[:2])
    scale = float(node.attributes.get("scale", 0.0))
    if scale:
        scores = made.add("Mul", [scores, made.number(scale)])
    else:
        size = made.add("Shape", [split[0]])
        width = made.add("Gather", [size, made.constant(np.array(3, np.int64))])
        as_float = made.add("Cast", [width], to=onnx.TensorProto.FLOAT)
        scores = made.add("Div", [scores, made.add("Sqrt", [as_float])])
    if added:
        scores = made.add("Add", [scores, added])
    if node.attributes.get("unidirectional", 0):
        square = made.add("ConstantOfShape", [_square(made, scores)])
        above = made.add("Trilu", [made.add("Add", [square, made.number(_LOWEST)]), _one(made)])
        scores = made.add("Add", [scores, above])
    if padding:
        kept = made.add("Cast", [made.unsqueeze(padding, 1, 2)], to=onnx.TensorProto.FLOAT)
        absent = made.add("Sub", [made.number(1.0), kept])
        scores = made.add("Add", [scores, made.add("Mul", [absent, made.number(_LOWEST)])])
    mixed = made.add("MatMul", [made.add("Softmax", [scores], axis=-1), split[2]])
    joined = made.add("Transpose", [mixed], perm=[0, 2, 1, 3])
    made.add("Reshape", [joined, made.shape(0, 0, -1)], node.outputs[0])


def _one(made: _Made) -> str:
    return made.constant(np.array(1, np.int64))


def _square(made: _Made, scores: str) -> str:
    """The last two sizes of the scores."""
    return made.add("Slice", [made.add("Shape", [scores]), made.shape(2), made.shape(4)])


_WRITERS: dict[str, Callable[[_Made, OnnxNode], None]] = {
    f"{_MICROSOFT}.Attention": _packed_attention,
    f"{_MICROSOFT}.BiasGelu": _gelu,
    f"{_MICROSOFT}.EmbedLayerNormalization": _embedding_norm,
    f"{_MICROSOFT}.FastGelu": _gelu,
    f"{_MICROSOFT}.FusedMatMul": _fused_matmul,
    f"{_MICROSOFT}.Gelu": _gelu,
    f"{_MICROSOFT}.MultiHeadAttention": _multi_head,
    f"{_MICROSOFT}.QuickGelu": _gelu,
    f"{_MICROSOFT}.SkipLayerNormalization": _skip_norm,
    f"{_MICROSOFT}.SkipSimplifiedLayerNormalization": _skip_norm,
}
