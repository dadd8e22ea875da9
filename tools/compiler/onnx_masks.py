"""Attention masks: what is added to scores as minus infinity becomes a choice.

``softmax(scores + mask)`` with a mask of 0 and very negative numbers equals a softmax of scores of
which the masked ones lie far below the rest. So the sum is rewritten to a ``Select`` between the
scores and a constant, and the scores keep their own fine grid. A mask is recognised by how it is
made (a constant, a choice of constants, an affine map with a huge factor), never by the samples,
which may all be of full length.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tools.compiler.graph import (
    Add,
    Affine,
    Floats,
    Function,
    Operation,
    Reshape,
    Slice,
    Transpose,
)
from tools.compiler.graph_choices import LESS, Constant, Expand, Select
from tools.compiler.onnx_choices import (
    emit_compare,
    emit_constant,
    emit_extreme,
    emit_not,
    emit_select,
)
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.scope import Scope

_DEEP = -1e3
"""Added numbers below this are masks: no score is near enough to come back."""
_LOW = -1e9
_MOVES = (Reshape, Transpose, Slice, Expand)

Producers = Mapping[str, Operation]


def masked_scores(scope: Scope, node: OnnxNode) -> OnnxNode:
    """The softmax node, reading a choice where it read a sum of scores and a mask."""
    producers = {item.output: item for item in scope.operations}
    name = scope.resolve(node.inputs[0])
    made = producers.get(name)
    if isinstance(made, Function) and made.clamp is not None and made.clamp[0] <= _DEEP:
        made = producers.get(made.x)  # older exports bound the sum by the lowest float
    scores, keep = name, None
    if isinstance(made, Add) and made.sign == 1:
        for other, mask in ((made.a, made.b), (made.b, made.a)):
            keep = _kept(scope, node, mask, producers)
            if keep is not None:
                scores = other
                break
    elif isinstance(made, Affine) and bool((made.scale == 1).all()) and _is_mask(made.offset):
        scores, keep = made.x, emit_constant(scope, node, made.offset > _DEEP)
    if keep is None:
        return node
    low = emit_constant(scope, node, np.full((), _LOW))
    chosen = emit_select(scope, node, keep, (scores, low), scope.fresh(node))
    return replace(node, inputs=(chosen, *node.inputs[1:]))


def _is_mask(value: Floats) -> bool:
    """True when every element is 0 or very negative, and some are negative."""
    deep = value <= _DEEP
    return bool(deep.any() and (deep | (value == 0)).all())


def _kept(scope: Scope, node: OnnxNode, name: str, producers: Producers) -> str | None:
    """A tensor that is 0 where the mask ``name`` is very negative; None when it is no mask."""
    made = producers.get(name)
    if isinstance(made, _MOVES):
        inner = _kept(scope, node, made.x, producers)
        if inner is None:
            return None
        moved = replace(made, x=inner, output=scope.fresh(node))
        return scope.emit(moved, scope.shapes[made.output])
    if isinstance(made, Select):
        return _chosen(scope, node, made, producers)
    if isinstance(made, Affine):
        return _mapped(scope, node, made, producers)
    return None


def _chosen(scope: Scope, node: OnnxNode, made: Select, producers: Producers) -> str | None:
    """Where(condition, 0, very negative), or the other way round."""
    a, b = producers.get(made.a), producers.get(made.b)
    if not isinstance(a, Constant) or not isinstance(b, Constant):
        return None
    if not a.value.any() and bool((b.value <= _DEEP).all()):
        return made.condition
    if not b.value.any() and bool((a.value <= _DEEP).all()):
        return emit_not(scope, node, made.condition, scope.fresh(node))
    return None


def _mapped(scope: Scope, node: OnnxNode, made: Affine, producers: Producers) -> str | None:
    """``scale * x + offset`` with huge numbers: the comparison of x that it stands for."""
    if made.offset.size > 1:  # a constant mask on top of a computed one
        inner = _kept(scope, node, made.x, producers)
        if inner is None or not bool((made.scale == 1).all()) or not _is_mask(made.offset):
            return None
        constant = emit_constant(scope, node, made.offset > _DEEP)
        return emit_extreme(scope, node, inner, constant, "minimum", scope.fresh(node))
    scale, offset, name = 1.0, 0.0, made.output
    step: Operation | None = made
    while isinstance(step, Affine) and step.scale.size == step.offset.size == 1:
        offset += scale * float(step.offset.reshape(-1)[0])
        scale *= float(step.scale.reshape(-1)[0])
        name = step.x
        step = producers.get(name)
    if abs(scale) < -_DEEP:
        return None
    zero = -offset / scale  # what is kept; masked numbers are at least 1 away
    bound = emit_constant(scope, node, np.full((), zero - np.copysign(0.5, scale)))
    first, second = (bound, name) if scale > 0 else (name, bound)
    return emit_compare(scope, node, first, second, LESS, scope.fresh(node))
