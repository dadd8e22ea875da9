"""Output types of tree ensembles."""

from precompiles.model import limits
from precompiles.model import operators as op
from precompiles.model.checks import (
    WIDE,
    constant_type,
    require,
    require_dtype,
    require_within,
    tensor_type,
)
from precompiles.model.shapes.rules import output_type
from precompiles.model.types import DType, IntegerModel, TensorType


@output_type.register
def _(instruction: op.TreeEnsemble, model: IntegerModel) -> TensorType:
    x = tensor_type(model, instruction.x, "x")
    require_dtype(x, WIDE, "x")
    require(len(x.shape) == 1, "L4", f"x has shape {x.shape}, expected (F)")
    require_within((instruction.depth,) * 2, (0, limits.MAX_TREE_DEPTH), "L14", "depth")
    roots = model.type_of(instruction.roots).shape
    nodes = model.type_of(instruction.feature).shape
    leaves = model.type_of(instruction.leaves).shape
    require(
        len(roots) == 1 and len(nodes) == 1 and len(leaves) == 2,
        "L4",
        f"roots {roots}, feature {nodes}, leaves {leaves}: expected (T), (nodes), (rows, targets)",
    )
    constant_type(model, instruction.roots, DType.S32, roots, "roots")
    constant_type(model, instruction.threshold, x.dtype, nodes, "threshold")
    constant_type(model, instruction.missing_right, DType.U8, nodes, "missing_right")
    for name in ("feature", "left", "right"):
        constant_type(model, getattr(instruction, name), DType.S32, nodes, name)
    constant_type(model, instruction.leaves, DType.S64, leaves, "leaves")
    constant_type(model, instruction.base, DType.S64, leaves[1:], "base")
    return TensorType(DType.S64, leaves[1:])
