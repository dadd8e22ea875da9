"""The closed operator set. ONNX names where ONNX has the operator, layouts as stated.

Every field that ends in ``: Value`` holds a value id (see ``precompiles.model.types``); fields
that must be constants say so. ``output`` is always the last field. Attributes are plain integers
or tuples of integers. One rounding rule serves all (RQ, round half up, once):

    RQ(t; m, s, z, lo, hi) = min(max(z + ((t * m + 2**(s-1)) >> s), lo), hi)

with ``1 <= m < 2**31``, ``1 <= s <= 62`` and ``max|t| * m < 2**62`` proven by the validator.
Source: docs/spec/integer-model.md; each reference twin in ``precompiles.kernels`` is the law.
"""

from typing import TypeAlias

from precompiles.model.operators.dense import Conv, Gemm, LinearInteger, MatMul
from precompiles.model.operators.elementwise import (
    Add,
    AddInteger,
    Clip,
    Compare,
    DivInteger,
    Lookup,
    Maximum,
    Minimum,
    Mul,
    MulInteger,
    PiecewiseLinear,
    Requantize,
    Select,
    SquareRoot,
    SubInteger,
)
from precompiles.model.operators.fields import Ints, Value
from precompiles.model.operators.moves import Concat, Expand, Gather, Pad, Reshape, Slice, Transpose
from precompiles.model.operators.rows import (
    ArgMax,
    AveragePool,
    LayerNorm,
    MaxPool,
    ReduceMax,
    ReduceSum,
    Softmax,
    TopK,
)
from precompiles.model.operators.trees import TreeEnsemble

__all__ = [
    "OPCODES",
    "Add",
    "AddInteger",
    "ArgMax",
    "AveragePool",
    "Clip",
    "Compare",
    "Concat",
    "Conv",
    "DivInteger",
    "Expand",
    "Gather",
    "Gemm",
    "Instruction",
    "Ints",
    "LayerNorm",
    "LinearInteger",
    "Lookup",
    "MatMul",
    "MaxPool",
    "Maximum",
    "Minimum",
    "Mul",
    "MulInteger",
    "Pad",
    "PiecewiseLinear",
    "ReduceMax",
    "ReduceSum",
    "Requantize",
    "Reshape",
    "Select",
    "Slice",
    "Softmax",
    "SquareRoot",
    "SubInteger",
    "TopK",
    "Transpose",
    "TreeEnsemble",
    "Value",
]

Instruction: TypeAlias = (
    Gemm
    | Conv
    | LinearInteger
    | MaxPool
    | AveragePool
    | Add
    | Mul
    | Requantize
    | Clip
    | Lookup
    | PiecewiseLinear
    | AddInteger
    | SubInteger
    | MulInteger
    | DivInteger
    | ReduceSum
    | ReduceMax
    | ArgMax
    | Reshape
    | Transpose
    | Concat
    | Slice
    | Pad
    | TreeEnsemble
    | MatMul
    | Softmax
    | LayerNorm
    | Gather
    | Expand
    | Compare
    | Select
    | Minimum
    | Maximum
    | SquareRoot
    | TopK
)

OPCODES: dict[type, int] = {
    Gemm: 1,
    Conv: 2,
    LinearInteger: 3,
    MaxPool: 4,
    AveragePool: 5,
    Add: 6,
    Mul: 7,
    Requantize: 8,
    Clip: 9,
    Lookup: 10,
    PiecewiseLinear: 11,
    AddInteger: 12,
    SubInteger: 13,
    MulInteger: 14,
    DivInteger: 15,
    ReduceSum: 16,
    ReduceMax: 17,
    ArgMax: 18,
    Reshape: 19,
    Transpose: 20,
    Concat: 21,
    Slice: 22,
    Pad: 23,
    TreeEnsemble: 24,
    MatMul: 25,
    Softmax: 26,
    LayerNorm: 27,
    Gather: 28,
    Expand: 29,
    Compare: 30,
    Select: 31,
    Minimum: 32,
    Maximum: 33,
    SquareRoot: 34,
    TopK: 35,
}
"""Wire number of each operator; numbers are never reused."""
