"""Einsum of two operands: moves and one matrix product."""

from collections.abc import Sequence

import numpy as np

from tools.compiler.graph import Floats, Shape
from tools.compiler.onnx_attention import emit_matmul
from tools.compiler.onnx_dense import emit_dense
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import Importer, Scope, data, reject, required


def _einsum(scope: Scope, node: OnnxNode) -> None:
    terms, result = _terms(node)
    computed = [i for i, name in enumerate(node.inputs) if scope.constant(name) is None]
    batch = result[:1]
    foreign = [term for i, term in enumerate(terms) if i not in computed]
    legal = len(terms) == 2 and len(result) > 1 and all(len(set(t)) == len(t) for t in terms)
    legal = legal and all(terms[i][:1] == batch for i in computed)
    if not legal or any(batch in term for term in foreign):
        reject(
            node,
            f"has equation {_text(node)!r}",
            "use two operands, no label twice in one, and the batch first in every computed one",
        )
    first = computed[0]
    x, labels = data(scope, node, first), terms[first][1:]
    if len(computed) == 2:
        other = data(scope, node, 1)
        made = _product(scope, node, (x, labels), (other, terms[1][1:]), result[1:])
    else:
        weight = np.asarray(required(scope, node, 1 - first, "weight"), dtype=np.float64)
        made = _weighted(scope, node, (x, labels), (weight, terms[1 - first]), result[1:])
    scope.reshape(node, made, scope.probed_shape(node, node.outputs[0]), node.outputs[0])


def _text(node: OnnxNode) -> str:
    return str(node.attributes["equation"].decode()).replace(" ", "")


def _terms(node: OnnxNode) -> tuple[list[str], str]:
    """Labels of each operand and of the result."""
    left, arrow, result = _text(node).partition("->")
    if not arrow or "." in left:
        reject(node, f"has equation {_text(node)!r}", "name every axis and the result")
    return left.split(","), result


def _sizes(shape: Shape, labels: str) -> dict[str, int]:
    return dict(zip(labels, shape, strict=True))


def _arranged(
    scope: Scope, node: OnnxNode, x: tuple[str, str], groups: Sequence[str], whole: int
) -> str:
    """A tensor with its labels in groups; all but the first ``whole`` groups become one axis."""
    name, labels = x
    sizes = _sizes(scope.shapes[name], labels)
    order = "".join(groups)
    moved = scope.transpose(node, name, tuple(labels.index(label) for label in order))
    shape = [sizes[label] for group in groups[:whole] for label in group]
    shape += [int(np.prod([sizes[label] for label in group])) for group in groups[whole:]]
    return scope.reshape(node, moved, tuple(shape))


def _product(
    scope: Scope, node: OnnxNode, a: tuple[str, str], b: tuple[str, str], result: str
) -> str:
    shared = [label for label in a[1] if label in b[1] and label in result]
    summed = "".join(label for label in a[1] if label in b[1] and label not in result)
    rows = "".join(label for label in a[1] if label not in b[1])
    columns = "".join(label for label in b[1] if label not in a[1])
    leading = "".join(shared)
    sizes = _sizes(scope.shapes[a[0]], a[1]) | _sizes(scope.shapes[b[0]], b[1])
    _require_result(node, leading + rows + columns, result)
    left = _arranged(scope, node, a, (leading, rows, summed), 1)
    right = _arranged(scope, node, b, (leading, summed, columns), 1)
    product = emit_matmul(scope, node, left, right, scope.fresh(node))
    return _finished(scope, node, product, leading + rows + columns, (sizes, result))


def _weighted(
    scope: Scope, node: OnnxNode, x: tuple[str, str], weight: tuple[Floats, str], result: str
) -> str:
    values, labels = weight
    summed = "".join(label for label in x[1] if label in labels and label not in result)
    rows = "".join(label for label in x[1] if label not in summed)
    columns = "".join(label for label in labels if label not in summed)
    if set(rows) & set(columns):
        reject(
            node,
            f"pairs an axis of its weight with one of its data ({_text(node)!r})",
            "use one matrix for all of them",
        )
    _require_result(node, rows + columns, result)
    sizes = _sizes(scope.shapes[x[0]], x[1]) | _sizes(values.shape, labels)
    left = _arranged(scope, node, x, (rows, summed), 1)
    order = [labels.index(label) for label in summed + columns]
    depth = int(np.prod([sizes[label] for label in summed]))
    matrix = np.transpose(values, order).reshape(depth, -1)
    product = emit_dense(scope, node, left, matrix, np.zeros(1), scope.fresh(node))
    return _finished(scope, node, product, rows + columns, (sizes, result))


def _require_result(node: OnnxNode, made: str, result: str) -> None:
    if sorted(made) != sorted(result):
        reject(node, f"sums an axis of one operand alone ({_text(node)!r})", "use ReduceSum first")


def _finished(
    scope: Scope, node: OnnxNode, product: str, labels: str, wanted: tuple[dict[str, int], str]
) -> str:
    sizes, result = wanted
    apart = scope.reshape(node, product, tuple(sizes[label] for label in labels))
    return scope.transpose(node, apart, tuple(labels.index(label) for label in result))


IMPORTERS: dict[str, Importer] = {"Einsum": _einsum}
