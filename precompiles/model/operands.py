"""Which values each operator reads, in field order; the rest of its fields are attributes."""

from precompiles.model import operators as op

OPERAND_FIELDS: dict[type, tuple[str, ...]] = {
    op.Gemm: ("x", "weight", "bias", "multiplier"),
    op.Conv: ("x", "weight", "bias", "multiplier"),
    op.LinearInteger: ("x", "weight", "bias"),
    op.MaxPool: ("x",),
    op.AveragePool: ("x", "multiplier"),
    op.Add: ("a", "b"),
    op.Mul: ("a", "b"),
    op.Requantize: ("x", "multiplier"),
    op.Clip: ("x",),
    op.Lookup: ("x", "table"),
    op.PiecewiseLinear: ("x", "knots", "values", "slopes"),
    op.AddInteger: ("a", "b"),
    op.SubInteger: ("a", "b"),
    op.MulInteger: ("a", "b"),
    op.DivInteger: ("a", "b"),
    op.ReduceSum: ("x",),
    op.ReduceMax: ("x",),
    op.ArgMax: ("x",),
    op.Reshape: ("x",),
    op.Transpose: ("x",),
    op.Concat: ("inputs",),
    op.Slice: ("x",),
    op.Pad: ("x",),
    op.TreeEnsemble: (
        "x",
        "roots",
        "feature",
        "threshold",
        "left",
        "right",
        "missing_right",
        "leaves",
        "base",
    ),
    op.MatMul: ("a", "b"),
    op.Softmax: ("x",),
    op.LayerNorm: ("x", "gain", "offset"),
    op.Gather: ("x", "table"),
    op.Expand: ("x",),
    op.Compare: ("a", "b"),
    op.Select: ("condition", "a", "b"),
    op.Minimum: ("a", "b"),
    op.Maximum: ("a", "b"),
    op.SquareRoot: ("x",),
    op.TopK: ("x",),
}


def operands_of(instruction: op.Instruction) -> tuple[int, ...]:
    """Value ids that an instruction reads, in field order; Concat's inputs as they stand."""
    if isinstance(instruction, op.Concat):
        return instruction.inputs
    return tuple(getattr(instruction, name) for name in OPERAND_FIELDS[type(instruction)])
