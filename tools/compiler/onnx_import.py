"""ONNX bytes to a checked, pruned list of nodes; protobuf never leaves this file.

Only the outputs that an integer model can have are kept: float outputs in their order (a ZipMap is
replaced by the tensor it wraps), or the integer label when there is no float output. Nodes that no
kept output needs are dropped, which removes the label branch of most scikit-learn exports.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.checker
import onnx.helper
import onnx.inliner
import onnx.numpy_helper
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tools.compiler.errors import CompileError
from tools.compiler.graph import Array, GraphInput, Shape
from tools.compiler.onnx_external import load_external

MAX_ONNX_BYTES = 1 << 30
ML_DOMAIN = "ai.onnx.ml"
_FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
_INPUT_TYPES = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT16: "int16",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.BOOL: "bool",
}
_NO_BOUND = "its work has no static bound"
_REJECTED = {
    "If": _NO_BOUND,
    "Loop": _NO_BOUND,
    "Scan": _NO_BOUND,
    "NonZero": "its output shape depends on the data",
    "Unique": "its output shape depends on the data",
    "Compress": "its output shape depends on the data",
    "NonMaxSuppression": "its output shape depends on the data",
    "RandomNormal": "it is not a function of the input",
    "RandomNormalLike": "it is not a function of the input",
    "RandomUniform": "it is not a function of the input",
    "RandomUniformLike": "it is not a function of the input",
    "Bernoulli": "it is not a function of the input",
    "Multinomial": "it is not a function of the input",
}


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node; ``operator`` carries the domain prefix when it is not ai.onnx."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxModel:
    """A pruned model.

    Attributes:
        batch: the batch size that the file fixes, or None when any batch is allowed.
        labels: class labels in score order when the file names them.
        proto: serialised pruned model for onnxruntime.
        ties: tensors that must share one range, because they play one part in a loop.
    """

    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    nodes: tuple[OnnxNode, ...]
    initializers: Mapping[str, Array]
    batch: int | None
    labels: tuple[int | str, ...]
    opset: int
    proto: bytes
    ties: tuple[tuple[str, ...], ...] = ()


def import_onnx(
    source: str | os.PathLike[str] | bytes,
    shapes: Mapping[str, Shape] | None = None,
    seen: Mapping[str, Shape] | None = None,
) -> OnnxModel:
    """Read an ONNX file (path or bytes), check it and prune it.

    Args:
        source: the file.
        shapes: whole shapes, batch included, for inputs with dynamic dimensions. A dimension that
            the file fixes must agree, but for the batch.
        seen: shapes of the samples, used where they fit and nothing else says more; the name ""
            is the only input of a model that has one.

    Raises:
        CompileError: not ONNX, truncated, dynamic shapes, no usable output, or a node whose
            operator can never be part of an integer model.
    """
    model = _inline(_parse(source))
    graph = model.graph
    initializers = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    outputs, output_names = _outputs(graph)
    nodes = _prune(graph, outputs)
    _refuse_rejected(nodes)
    declared = {item.name: item for item in graph.input if item.name not in initializers}
    _fix_shapes(declared, shapes or {})
    _use_shapes(declared, seen or {})
    inputs, batch = _inputs(graph, initializers, nodes, outputs)
    labels = _labels(graph, initializers)
    proto = _pruned_proto(model, nodes, inputs, outputs)
    return OnnxModel(
        inputs=inputs,
        outputs=outputs,
        output_names=output_names,
        nodes=tuple(_node(item) for item in nodes),
        initializers=initializers,
        batch=batch,
        labels=labels,
        opset=max(
            (i.version for i in model.opset_import if i.domain in ("", "ai.onnx")), default=1
        ),
        proto=proto,
    )


def replace_nodes(
    model: OnnxModel,
    replaced: Mapping[tuple[str, ...], list[Any]],
    constants: Mapping[str, Array],
    ties: tuple[tuple[str, ...], ...] = (),
) -> OnnxModel:
    """The model with some nodes, named by their outputs, replaced by ONNX nodes of others.

    Args:
        model: an imported model.
        replaced: outputs of a node to the nodes that stand for it.
        constants: new initializers.
        ties: see ``OnnxModel``.
    """
    proto = onnx.load_model_from_string(model.proto)
    nodes: list[Any] = []
    for item in proto.graph.node:
        nodes.extend(replaced.get(tuple(item.output), [item]))
    kept = [onnx.NodeProto.FromString(item.SerializeToString()) for item in nodes]
    proto.graph.ClearField("node")
    proto.graph.node.extend(kept)
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    return replace(
        model,
        nodes=tuple(_node(item) for item in kept),
        initializers={**model.initializers, **constants},
        proto=proto.SerializeToString(deterministic=True),
        ties=(*model.ties, *ties),
    )


def _parse(source: str | os.PathLike[str] | bytes) -> Any:
    if isinstance(source, bytes):
        data, folder = source, None
    else:
        try:
            with open(source, "rb") as file:
                data = file.read(MAX_ONNX_BYTES + 1)
        except OSError as error:
            raise CompileError(f"cannot read {os.fspath(source)}: {error.strerror}") from error
        folder = Path(source).absolute().parent
    if not 0 < len(data) <= MAX_ONNX_BYTES:
        raise CompileError(f"the ONNX file has {len(data)} bytes, expected 1 to {MAX_ONNX_BYTES}")
    again = "the file is truncated or no ONNX model; export it again"
    try:
        model = onnx.load_model_from_string(data)
        load_external(model, folder)
        onnx.checker.check_model(model)
    except DecodeError as error:
        raise CompileError("cannot decode the ONNX file", advice=again) from error
    except (onnx.checker.ValidationError, ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CompileError(f"not a valid ONNX model: {reason}", advice=again) from error
    if not model.graph.node or not model.graph.output:
        raise CompileError("the ONNX graph has no node or no output", advice=again)
    return model


def _inline(model: Any) -> Any:
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _node(item: Any) -> OnnxNode:
    prefix = f"{item.domain}." if item.domain not in ("", "ai.onnx") else ""
    attributes = {
        attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in item.attribute
    }
    return OnnxNode(
        name=item.name or next((name for name in item.output if name), item.op_type),
        operator=prefix + item.op_type,
        inputs=tuple(item.input),
        outputs=tuple(item.output),
        attributes=attributes,
    )


def _refuse_rejected(nodes: list[Any]) -> None:
    for item in nodes:
        reason = _REJECTED.get(item.op_type)
        if reason is not None and item.domain in ("", "ai.onnx"):
            raise CompileError(
                f"cannot become integer instructions, because {reason}",
                advice="export the model without it (fixed sizes, no control flow)",
                node=_node(item).name,
                operator=item.op_type,
            )


def _outputs(graph: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tensors to compute, and the names under which the file announces them."""
    maps = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
    floats: list[tuple[str, str]] = []
    labels: list[tuple[str, str]] = []
    for output in graph.output:
        kind = output.type.WhichOneof("value")
        if output.name in maps:
            floats.append((maps[output.name], output.name))
        elif kind == "tensor_type":
            is_float = output.type.tensor_type.elem_type in _FLOAT_TYPES
            (floats if is_float else labels).append((output.name, output.name))
        else:
            raise CompileError(
                f"output {output.name!r} is a {kind}, expected a tensor",
                advice="export with zipmap=False and tensor outputs",
            )
    kept = floats or labels
    return tuple(item[0] for item in kept), tuple(item[1] for item in kept)


def _prune(graph: Any, outputs: tuple[str, ...]) -> list[Any]:
    needed = set(outputs)
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(name for name in node.input if name)
            kept.append(node)
    return kept[::-1]


def _fix_shapes(declared: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
    """Give dynamic dimensions of the inputs the sizes that the author names."""
    for name, shape in shapes.items():
        if name not in declared:
            raise CompileError(
                f"a shape is given for input {name!r}, the model's inputs are {sorted(declared)}"
            )
        dims = _dims(declared[name], shape)
        if len(dims) != len(shape):
            raise CompileError(
                f"input {name!r} has {len(dims)} dimensions, the given shape {shape} has"
                f" {len(shape)} (the first is the batch)"
            )
        for axis, (dim, size) in enumerate(zip(dims, shape, strict=True)):
            if axis and dim.HasField("dim_value") and dim.dim_value not in (0, size):
                raise CompileError(
                    f"dimension {axis} of input {name!r} is {dim.dim_value} in the file, and"
                    f" {size} in the given shape"
                )
            if axis:
                dim.dim_value = size


def _use_shapes(declared: Mapping[str, Any], seen: Mapping[str, Shape]) -> None:
    """Give dimensions that are still dynamic the sizes of the samples, where these fit."""
    for name, shape in seen.items():
        item = declared.get(name)
        if not name and len(declared) == 1:
            item = next(iter(declared.values()))
        if item is None:
            continue
        dims = _dims(item, shape)
        for dim, size in list(zip(dims, shape, strict=False))[1:]:
            if len(dims) == len(shape) and (not dim.HasField("dim_value") or dim.dim_value < 1):
                dim.dim_value = size


def _dims(item: Any, shape: Shape) -> Any:
    """Dimensions of an input; as many free ones as ``shape`` has when the file says nothing."""
    tensor = item.type.tensor_type
    if not tensor.HasField("shape"):
        tensor.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in shape)
    return tensor.shape.dim


def _inputs(
    graph: Any, initializers: Mapping[str, Array], nodes: list[Any], outputs: tuple[str, ...]
) -> tuple[tuple[GraphInput, ...], int | None]:
    used = {name for node in nodes for name in node.input} | set(outputs)
    inputs: list[GraphInput] = []
    batches: set[int | None] = set()
    for item in graph.input:
        if item.name in initializers or item.name not in used:
            continue
        tensor = item.type.tensor_type
        if item.type.WhichOneof("value") != "tensor_type" or tensor.elem_type not in _INPUT_TYPES:
            raise CompileError(
                f"input {item.name!r} is not a tensor of numbers",
                advice="encode strings and categories off-chain and export a numeric input",
            )
        if not tensor.HasField("shape") or not tensor.shape.dim:
            raise CompileError(f"input {item.name!r} has no batch dimension or no static shape")
        first, *rest = tensor.shape.dim
        batches.add(first.dim_value if first.HasField("dim_value") else None)
        for axis, dim in enumerate(rest, start=1):
            if not dim.HasField("dim_value") or dim.dim_value < 1:
                raise CompileError(
                    f"input {item.name!r} has a dynamic shape: dimension {axis} is"
                    f" {dim.dim_param or 'unknown'!r}",
                    advice="only the first dimension (the batch) may vary: export with fixed sizes,"
                    " or fix them (command line: --shape NAME=1,3,224,224)",
                )
        shape = tuple(dim.dim_value for dim in rest)
        dtype = np.dtype(_INPUT_TYPES[tensor.elem_type])
        inputs.append(GraphInput(item.name, shape, dtype))
    if not inputs:
        raise CompileError("no output depends on an input")
    if len(batches) > 1:
        raise CompileError(f"inputs have different batch dimensions {sorted(map(str, batches))}")
    return tuple(inputs), batches.pop()


def _labels(graph: Any, initializers: Mapping[str, Array]) -> tuple[int | str, ...]:
    """Class labels in score order, from the node that knows them (the last one wins)."""
    labels: tuple[int | str, ...] = ()
    for item in graph.node:
        node = _node(item)
        for key in ("classlabels_int64s", "classlabels_ints"):
            if node.attributes.get(key):
                labels = tuple(int(value) for value in node.attributes[key])
        if node.attributes.get("classlabels_strings"):
            labels = tuple(value.decode() for value in node.attributes["classlabels_strings"])
        if node.operator == f"{ML_DOMAIN}.ArrayFeatureExtractor" and node.inputs[0] in initializers:
            values = initializers[node.inputs[0]].reshape(-1).tolist()
            labels = tuple(
                value.decode() if isinstance(value, bytes) else value for value in values
            )
    return labels


def _pruned_proto(
    model: Any, nodes: list[Any], inputs: tuple[GraphInput, ...], outputs: tuple[str, ...]
) -> bytes:
    pruned = onnx.ModelProto()
    pruned.CopyFrom(model)
    graph = pruned.graph
    names = {item.name for item in inputs}
    used = {name for node in nodes for name in node.input} | set(outputs)
    kept_inputs = [item for item in graph.input if item.name in names]
    kept_constants = [item for item in graph.initializer if item.name in used]
    for field in ("node", "output", "input", "initializer", "value_info"):
        graph.ClearField(field)
    graph.node.extend(nodes)
    graph.input.extend(kept_inputs)
    graph.initializer.extend(kept_constants)
    graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in outputs)
    versions = {item.domain: item.version for item in model.opset_import}
    pruned.ClearField("opset_import")
    pruned.opset_import.extend(
        onnx.helper.make_opsetid(domain, version) for domain, version in versions.items()
    )
    data: bytes = pruned.SerializeToString(deterministic=True)
    return data
