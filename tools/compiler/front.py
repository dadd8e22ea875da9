"""From an imported ONNX model to the float graph: one importer per operator."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from tools.compiler import (
    onnx_attention,
    onnx_choices,
    onnx_dense,
    onnx_dynamic,
    onnx_einsum,
    onnx_elementwise,
    onnx_ensemble,
    onnx_images,
    onnx_ml,
    onnx_pooling,
    onnx_quantized,
    onnx_resize,
    onnx_shape,
    onnx_svm,
    onnx_tabular,
)
from tools.compiler.batch_axis import batch_first
from tools.compiler.batch_merge import apart
from tools.compiler.coded import codes_as_numbers, finish_codes, moved_codes
from tools.compiler.errors import CompileError
from tools.compiler.graph import Array, FloatGraph, Operation, TreeTable, live_operations
from tools.compiler.onnx_dynamic import import_pending, is_pending
from tools.compiler.onnx_fused import expand_fused
from tools.compiler.onnx_import import OnnxModel, OnnxNode
from tools.compiler.onnx_quantized import note_constant
from tools.compiler.onnx_recurrent import expand_recurrent
from tools.compiler.scope import Importer, Scope, open_scope

IMPORTERS: dict[str, Importer] = {
    **onnx_choices.IMPORTERS,
    **onnx_dense.IMPORTERS,
    **onnx_dynamic.IMPORTERS,
    **onnx_elementwise.IMPORTERS,
    **onnx_ensemble.IMPORTERS,
    **onnx_images.IMPORTERS,
    **onnx_ml.IMPORTERS,
    **onnx_quantized.IMPORTERS,
    **onnx_resize.IMPORTERS,
    **onnx_shape.IMPORTERS,
    **onnx_svm.IMPORTERS,
    **onnx_tabular.IMPORTERS,
    **onnx_attention.IMPORTERS,
    **onnx_pooling.IMPORTERS,
    **onnx_einsum.IMPORTERS,
}
_FOLDED = frozenset(
    """
    BitwiseAnd BitShift Constant ConstantOfShape EyeLike GatherElements GatherND IsInf IsNaN
    OneHot Range ScatterElements ScatterND Shape Size
    """.split()  # noqa: SIM905 (a table of names)
)
"""Operators that are understood only where they do not depend on the input."""


def prepare(model: OnnxModel, samples: Mapping[str, Array]) -> OnnxModel:
    """Rewrite what is simpler in ONNX itself: recurrent layers and fused transformer nodes.

    Raises:
        CompileError: a recurrent or fused node of a kind that cannot be written out.
    """
    return expand_recurrent(expand_fused(model), samples)


def float_graph(model: OnnxModel, samples: Mapping[str, Array]) -> FloatGraph:
    """Rewrite every node into float-graph operations.

    Args:
        model: an imported model.
        samples: checked samples by input name; a few rows give shapes and folded constants.

    Raises:
        CompileError: names the first node that has no integer form, and what to do.
    """
    for node in model.nodes:
        if node.operator not in IMPORTERS and node.operator not in _FOLDED:
            raise _unknown(node)
    scope = open_scope(model, model.opset, samples)
    for node in model.nodes:
        _import_node(scope, node)
    outputs = []
    for name in model.outputs:
        if name in scope.coded:
            codes_as_numbers(scope, model.nodes[-1], name)
        resolved = f"{name}@codes" if name in scope.coded else scope.resolve(name)
        if resolved not in scope.shapes:
            raise CompileError(f"output {name!r} does not depend on any input")
        if scope.batch_axes.get(name, 0):
            raise CompileError(
                f"output {name!r} has the batch on axis {scope.batch_axes[name]}",
                advice="transpose it so that the batch comes first (batch_first in PyTorch)",
            )
        outputs.append(resolved)
    operations = live_operations(scope.operations, outputs)
    for operation in operations:
        _require_finite(operation)
    return FloatGraph(
        model.inputs,
        tuple(outputs),
        operations,
        dict(scope.shapes),
        dict(scope.grids),
        model.ties,
        dict(scope.batch_axes),
    )


def _require_finite(operation: Operation) -> None:
    for item in fields(operation):
        value = getattr(operation, item.name)
        arrays = (value.leaf, value.base) if isinstance(value, TreeTable) else (value,)
        legal = all(np.isfinite(one).all() for one in arrays if isinstance(one, np.ndarray))
        if isinstance(value, TreeTable):  # a threshold may be infinite: only missing goes right
            legal = legal and not np.isnan(value.value).any()
        if legal:
            continue
        raise CompileError(
            "has weights that are NaN or infinite",
            advice="train again or repair the weights",
            operator=operation.origin[0],
            node=operation.origin[1],
        )


def _import_node(scope: Scope, node: OnnxNode) -> None:
    if all(scope.constant(name) is not None for name in node.outputs if name):
        note_constant(scope, node)
        return
    importer = IMPORTERS.get(node.operator)
    if importer is None:
        raise CompileError(
            "depends on the model's input, and has no integer form there",
            advice="use an operator that docs/guide/compiler.md lists, or compute it off-chain",
            node=node.name,
            operator=node.operator,
        )
    shown = batch_first(scope, apart(scope, node))
    if node.operator not in onnx_dynamic.IMPORTERS and is_pending(scope, node):
        import_pending(scope, shown)
        return
    if node.operator in onnx_quantized.IMPORTERS:
        importer(scope, shown)
        return
    importer(scope, moved_codes(scope, shown))
    finish_codes(scope, shown)


def _unknown(node: OnnxNode) -> CompileError:
    return CompileError(
        "has no integer form yet",
        advice="replace the layer by one that docs/guide/compiler.md lists, or compute this part"
        " off-chain and feed its result as an input",
        node=node.name,
        operator=node.operator,
    )
