"""Importers for rows of features: encoders, imputers, norms, distances, sums of squares, logs."""

import numpy as np
import onnx.numpy_helper

from tools.compiler.graph import Array, Floats, Function, Mul, Reduce
from tools.compiler.graph_attention import Divide, Length
from tools.compiler.graph_choices import EQUAL, LESS
from tools.compiler.graph_tabular import Distances, Impute, LogSumExp
from tools.compiler.onnx_choices import emit_compare, emit_constant
from tools.compiler.onnx_dense import emit_dense
from tools.compiler.onnx_elementwise import emit_normalize
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_shape import emit_slice
from tools.compiler.scope import (
    Importer,
    Scope,
    data,
    integers,
    origin,
    reject,
    required,
    sample_axis,
)

_MAX_FACTORS = 16
_TEXT_ADVICE = "encode strings and categories off-chain and export numeric categories"


def _imputer(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    whole = "imputed_value_int64s" in node.attributes
    kind = "int64" if whole else "float"
    values = np.asarray(node.attributes.get(f"imputed_value_{kind}s", ()), dtype=np.float64)
    replaced = float(node.attributes.get(f"replaced_value_{kind}", 0))
    if values.size not in (1, scope.shapes[x][-1]):
        reject(node, f"imputes {values.size} values in {scope.shapes[x]}", "export it again")
    operation = Impute(
        origin=origin(node), output=node.outputs[0], x=x, values=values, replaced=replaced
    )
    scope.emit(operation, scope.shapes[x])


def _binarizer(scope: Scope, node: OnnxNode) -> None:
    threshold = float(np.float32(node.attributes.get("threshold", 0.0)))
    limit = emit_constant(scope, node, np.full((), threshold))
    emit_compare(scope, node, limit, data(scope, node), LESS, node.outputs[0])


def _equalities(scope: Scope, node: OnnxNode, x: str, keys: Floats, output: str) -> str:
    """1 where x, with a new last axis, equals the key of that column, else 0."""
    shape = scope.shapes[x]
    wide = scope.reshape(node, x, (*shape, 1))
    row = emit_constant(scope, node, keys)
    return emit_compare(scope, node, wide, row, EQUAL, output)


def _one_hot(scope: Scope, node: OnnxNode) -> None:
    """Unknown categories become zeros, whatever ``zeros`` asks for (there is no run-time error)."""
    if "cats_strings" in node.attributes:
        reject(node, "encodes strings", _TEXT_ADVICE)
    keys = np.asarray(node.attributes["cats_int64s"], dtype=np.float64)
    x = data(scope, node)
    _equalities(scope, node, x, keys, node.outputs[0])


def _pairs(node: OnnxNode, side: str) -> Floats:
    """``keys`` or ``values`` of a LabelEncoder as numbers."""
    if f"{side}_strings" in node.attributes:
        reject(node, f"has {side} that are strings", _TEXT_ADVICE)
    if f"{side}_tensor" in node.attributes:
        array = onnx.numpy_helper.to_array(node.attributes[f"{side}_tensor"])
        if array.dtype.kind not in "fiub":
            reject(node, f"has {side} that are strings", _TEXT_ADVICE)
        return np.asarray(array, dtype=np.float64).reshape(-1)
    for kind in ("floats", "int64s"):
        if f"{side}_{kind}" in node.attributes:
            return np.asarray(node.attributes[f"{side}_{kind}"], dtype=np.float64)
    reject(node, f"has no {side}", "export it with numeric keys and values")


def _default(node: OnnxNode) -> float:
    if "default_tensor" in node.attributes:
        array = onnx.numpy_helper.to_array(node.attributes["default_tensor"])
        value = float(array.reshape(-1)[0]) if array.dtype.kind in "fiub" else 0.0
    elif "values_floats" in node.attributes:
        value = float(node.attributes.get("default_float", -0.0))
    else:
        value = float(node.attributes.get("default_int64", -1))
    return 0.0 if np.isnan(value) else value


def _label_encoder(scope: Scope, node: OnnxNode) -> None:
    """Sum over the keys of ``(x == key) * (value - default)``, plus the default."""
    keys, values, default = _pairs(node, "keys"), _pairs(node, "values"), _default(node)
    known = np.isfinite(keys) & np.isfinite(values)
    keys, values = keys[known], values[known]
    if not keys.size:
        reject(node, "has no numeric key", _TEXT_ADVICE)
    x = data(scope, node)
    hit = _equalities(scope, node, x, keys, scope.fresh(node))
    weight = (values - default).reshape(-1, 1)
    found = emit_dense(scope, node, hit, weight, np.full(1, default), scope.fresh(node))
    scope.reshape(node, found, scope.shapes[x], node.outputs[0])


def _normalizer(scope: Scope, node: OnnxNode) -> None:
    """Rows divided by their norm; MAX divides by the largest value, with its sign."""
    x, output = data(scope, node), node.outputs[0]
    norm = node.attributes.get("norm", b"MAX").decode()
    if norm == "L1":
        emit_normalize(scope, node, x, output)
        return
    shape = (*scope.shapes[x][:-1], 1)
    if norm == "L2":
        length = Length(origin=origin(node), output=scope.fresh(node), x=x)
        divisor = scope.emit(length, shape)
    elif norm == "MAX" and (scope.probe(node.inputs[0]).max(axis=-1) > 0).all():
        top = Reduce(origin=origin(node), output=scope.fresh(node), x=x, kind="max")
        divisor = scope.emit(top, shape)
    else:
        reject(node, f"normalises by {norm} of rows without a positive value", "use L1 or L2")
    operation = Divide(origin=origin(node), output=output, a=x, b=divisor)
    scope.emit(operation, scope.shapes[x])


def _last_axis(scope: Scope, node: OnnxNode) -> tuple[str, tuple[int, ...]]:
    """The reduced axes as one last axis, and the shape of what stays."""
    x = data(scope, node)
    rank = len(scope.shapes[x]) + 1
    axes = integers(scope, node, "axes", 1)
    if not axes:
        reject(node, "reduces over every axis, also the batch", "name the axes")
    reduced = sorted({sample_axis(node, axis, rank) for axis in axes})
    kept = tuple(axis for axis in range(rank - 1) if axis not in reduced)
    moved = scope.transpose(node, x, (*kept, *reduced))
    rows = tuple(scope.shapes[x][axis] for axis in kept)
    size = int(np.prod([scope.shapes[x][axis] for axis in reduced]))
    return scope.reshape(node, moved, (*rows, size)), rows


def _log_sum_exp(scope: Scope, node: OnnxNode) -> None:
    x, rows = _last_axis(scope, node)
    operation = LogSumExp(origin=origin(node), output=scope.fresh(node), x=x)
    name = scope.emit(operation, (*rows, 1))
    scope.reshape(node, name, scope.probed_shape(node, node.outputs[0]), node.outputs[0])


def _sum_square(scope: Scope, node: OnnxNode) -> None:
    """Squared distance to the origin."""
    x, rows = _last_axis(scope, node)
    centre = np.zeros((1, scope.shapes[x][-1]))
    operation = Distances(origin=origin(node), output=scope.fresh(node), x=x, centres=centre)
    name = scope.emit(operation, (*rows, 1))
    scope.reshape(node, name, scope.probed_shape(node, node.outputs[0]), node.outputs[0])


def _product(scope: Scope, node: OnnxNode) -> None:
    x, rows = _last_axis(scope, node)
    size = scope.shapes[x][-1]
    if size > _MAX_FACTORS:
        reject(node, f"multiplies {size} values", f"multiply at most {_MAX_FACTORS}")
    axis = len(rows)
    parts = [
        emit_slice(scope, node, x, {axis: (index, 1, 1)}, scope.fresh(node))
        for index in range(size)
    ]
    found = parts[0]
    for part in parts[1:]:
        operation = Mul(origin=origin(node), output=scope.fresh(node), a=found, b=part)
        found = scope.emit(operation, (*rows, 1))
    scope.reshape(node, found, scope.probed_shape(node, node.outputs[0]), node.outputs[0])


def _pairwise_distances(scope: Scope, node: OnnxNode) -> None:
    """Distances of each sample to constant rows (k-nearest neighbours, kernels)."""
    metric = node.attributes.get("metric", b"sqeuclidean").decode()
    if metric not in ("sqeuclidean", "euclidean"):
        reject(node, f"has metric {metric}", "use the Euclidean metric")
    centres: Array = np.asarray(required(scope, node, 1, "reference rows"), dtype=np.float64)
    x = data(scope, node)
    output = node.outputs[0] if metric == "sqeuclidean" else scope.fresh(node)
    operation = Distances(origin=origin(node), output=output, x=x, centres=centres)
    name = scope.emit(operation, (len(centres),))
    if metric == "euclidean":
        root = Function(origin=origin(node), output=node.outputs[0], x=name, expression=np.sqrt)
        scope.emit(root, (len(centres),))


IMPORTERS: dict[str, Importer] = {
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceProd": _product,
    "ReduceSumSquare": _sum_square,
    "ai.onnx.ml.Binarizer": _binarizer,
    "ai.onnx.ml.Imputer": _imputer,
    "ai.onnx.ml.LabelEncoder": _label_encoder,
    "ai.onnx.ml.Normalizer": _normalizer,
    "ai.onnx.ml.OneHotEncoder": _one_hot,
    "com.microsoft.CDist": _pairwise_distances,
}
