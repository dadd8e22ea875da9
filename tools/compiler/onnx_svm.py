"""Importers of support vector machines: kernels, one-against-one votes, Platt probabilities.

Scores follow onnxruntime where the specification is open: microsoft/onnxruntime
``core/providers/cpu/ml/svmclassifier.cc``, ``svmregressor.cc``.
"""

import numpy as np

from tools.compiler.graph import Expression, Floats, Function
from tools.compiler.graph_choices import LESS
from tools.compiler.graph_tabular import Distances, Power
from tools.compiler.onnx_choices import emit_compare, emit_constant
from tools.compiler.onnx_dense import emit_argmax, emit_dense
from tools.compiler.onnx_elementwise import sigmoid
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.onnx_ml import class_count, emit_classifier, post_transform
from tools.compiler.scope import Importer, Scope, data, origin, reject

_MAX_DEGREE = 16
_LEAST = 1e-7
_ROUNDS = 100
_TOLERANCE = 0.0025


def _list(node: OnnxNode, key: str) -> Floats:
    return np.asarray(node.attributes.get(key, ()), dtype=np.float32).astype(np.float64)


def _sums(
    scope: Scope, node: OnnxNode, x: str, vectors: Floats, weight: Floats, bias: Floats
) -> str:
    """Kernel of x with each support vector (J, F), times weights (J, N): (N)."""
    kind = node.attributes.get("kernel_type", b"LINEAR").decode()
    if kind == "LINEAR":
        return emit_dense(scope, node, x, vectors.T @ weight, bias, scope.fresh(node))
    name = _kernel(scope, node, x, vectors, kind)
    return emit_dense(scope, node, name, weight, bias, scope.fresh(node))


def _kernel(scope: Scope, node: OnnxNode, x: str, vectors: Floats, kind: str) -> str:
    """Kernel of x with each support vector (J, F): (J)."""
    gamma, offset, degree = (*_list(node, "kernel_params").tolist(), 0.0, 0.0, 0.0)[:3]
    if kind == "RBF":
        distances = Distances(origin=origin(node), output=scope.fresh(node), x=x, centres=vectors)
        name = scope.emit(distances, (len(vectors),))
        return _function(scope, node, name, lambda d: np.exp(-gamma * d))
    bias = np.full(len(vectors), offset)
    name = emit_dense(scope, node, x, gamma * vectors.T, bias, scope.fresh(node))
    if kind == "SIGMOID":
        return _function(scope, node, name, np.tanh)
    if kind != "POLY" or degree != int(degree) or not 1 <= degree <= _MAX_DEGREE:
        reject(node, f"has kernel {kind} of degree {degree:g}", "use a whole degree up to 16")
    if degree == 1:
        return name
    power = Power(origin=origin(node), output=scope.fresh(node), x=name, degree=int(degree))
    return scope.emit(power, (len(vectors),))


def _function(scope: Scope, node: OnnxNode, x: str, expression: Expression) -> str:
    operation = Function(
        origin=origin(node),
        output=scope.fresh(node),
        x=x,
        expression=expression,
    )
    return scope.emit(operation, scope.shapes[x])


def _features(scope: Scope, node: OnnxNode, x: str, vectors: Floats, count: int) -> Floats:
    """Support vectors as rows; CompileError when they do not fit x."""
    width = scope.shapes[x][-1] if len(scope.shapes[x]) == 1 else 0
    if not count or vectors.size != count * width:
        reject(
            node,
            f"has {vectors.size} support vector values for {count} vectors of {width} features",
            "export again with a current converter (skl2onnx)",
        )
    return vectors.reshape(count, width)


def _regressor(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    coefficients, rho = _list(node, "coefficients"), _list(node, "rho")
    count = int(node.attributes.get("n_supports", 0))
    one_class = bool(node.attributes.get("one_class", 0))
    weight = coefficients.reshape(-1, 1)
    if count:
        vectors = _features(scope, node, x, _list(node, "support_vectors"), count)
        raw = _sums(scope, node, x, vectors, weight, rho[:1])
    else:
        raw = emit_dense(scope, node, x, weight, rho[:1], scope.fresh(node))
    if not one_class:
        post_transform(scope, node, raw, node.outputs[0])
        return
    inside = _above_zero(scope, node, raw)
    emit_dense(scope, node, inside, np.full((1, 1), 2.0), np.full(1, -1.0), node.outputs[0])


def _above_zero(scope: Scope, node: OnnxNode, x: str) -> str:
    zero = emit_constant(scope, node, np.zeros(1))
    return emit_compare(scope, node, zero, x, LESS, scope.fresh(node))


def _classifier(scope: Scope, node: OnnxNode) -> None:
    x = data(scope, node)
    counts = [int(item) for item in node.attributes.get("vectors_per_class", ())]
    classes = class_count(node)
    coefficients = _list(node, "coefficients")
    positive = not (coefficients < 0).any()
    if not any(counts):
        weight = coefficients.reshape(classes, -1).T
        raw = emit_dense(scope, node, x, weight, _list(node, "rho")[:1], scope.fresh(node))
        emit_classifier(scope, node, raw, classes, positive=False)
        return
    vectors = _features(scope, node, x, _list(node, "support_vectors"), sum(counts))
    weight = pair_weights(coefficients.reshape(classes - 1, -1), counts)
    rho = _list(node, "rho")
    pairs = _sums(scope, node, x, vectors, weight, rho[: weight.shape[1]])
    if _list(node, "prob_a").size:
        _probabilities(scope, node, pairs, classes)
    elif classes == 2:
        emit_classifier(scope, node, pairs, classes, positive=positive)
    else:
        post_transform(scope, node, pairs, node.outputs[1])
        _vote(scope, node, scope.resolve(pairs), classes)


def pair_weights(coefficients: Floats, counts: list[int]) -> Floats:
    """Weights (vectors, pairs) of the decisions between classes i < j, in libsvm's order.

    ``coefficients`` is (classes - 1, vectors): row j - 1 for the vectors of class i, row i for
    those of class j.
    """
    starts = np.concatenate([[0], np.cumsum(counts)])
    columns = []
    for i in range(len(counts)):
        for j in range(i + 1, len(counts)):
            column = np.zeros(coefficients.shape[1])
            first, second = (slice(starts[k], starts[k + 1]) for k in (i, j))
            column[first] = coefficients[j - 1, first]
            column[second] = coefficients[i, second]
            columns.append(column)
    return np.stack(columns, axis=1)


def _vote(scope: Scope, node: OnnxNode, pairs: str, classes: int) -> None:
    """Label with the most votes, lowest index among equals."""
    if not node.outputs[0]:
        return
    chosen = _above_zero(scope, node, pairs)
    weight = np.zeros((scope.shapes[pairs][-1], classes))
    bias = np.zeros(classes)
    pair = 0
    for i in range(classes):
        for j in range(i + 1, classes):
            weight[pair, i], weight[pair, j] = 1.0, -1.0
            bias[j] += 1.0
            pair += 1
    votes = emit_dense(scope, node, chosen, weight, bias, scope.fresh(node))
    emit_argmax(scope, node, votes, node.outputs[0])


def _probabilities(scope: Scope, node: OnnxNode, pairs: str, classes: int) -> None:
    """Platt's sigmoid; more than two classes need an iteration that has no integer form."""
    if classes != 2:
        reject(
            node,
            f"couples pairwise probabilities of {classes} classes by iteration",
            "train with probability=False and use the decision scores, or two classes",
        )
    slope, offset = _list(node, "prob_a")[0], _list(node, "prob_b")[0]
    first = _function(scope, node, pairs, lambda s: coupled(sigmoid(-(slope * s + offset))))
    output = node.outputs[1]
    weight, bias = np.array([[1.0, -1.0]]), np.array([0.0, 1.0])
    emit_dense(scope, node, first, weight, bias, output)
    if node.outputs[0]:
        emit_argmax(scope, node, output, node.outputs[0])


def coupled(pair: Floats) -> Floats:
    """Probability of the first of two classes from Platt's estimate.

    libsvm's iteration (``multiclass_probability``) stops early, so this is not the estimate itself.
    """
    first = np.clip(pair, _LEAST, 1 - _LEAST)
    own = np.stack([(1 - first) ** 2, first**2])
    cross = -first * (1 - first)
    p = np.full(own.shape, 0.5)
    done = np.zeros(first.shape, dtype=bool)
    for _ in range(_ROUNDS):
        forces = own * p + cross * p[::-1]
        mean = (p * forces).sum(axis=0)
        done |= np.abs(forces - mean).max(axis=0) < _TOLERANCE
        if done.all():
            break
        stepped = _relaxed(p, own, cross, forces, mean)
        p = np.where(done, p, stepped)
    return np.asarray(p[0])


def _relaxed(p: Floats, own: Floats, cross: Floats, forces: Floats, mean: Floats) -> Floats:
    """One round over both classes."""
    p, forces = p.copy(), forces.copy()
    for i in (0, 1):
        change = (mean - forces[i]) / own[i]
        p[i] += change
        mean = (mean + change * (change * own[i] + 2 * forces[i])) / (1 + change) ** 2
        forces[i] = (forces[i] + change * own[i]) / (1 + change)
        forces[1 - i] = (forces[1 - i] + change * cross) / (1 + change)
        p /= 1 + change
    return p


IMPORTERS: dict[str, Importer] = {
    "ai.onnx.ml.SVMClassifier": _classifier,
    "ai.onnx.ml.SVMRegressor": _regressor,
}
