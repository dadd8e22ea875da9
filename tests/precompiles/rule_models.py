"""Models one attribute away from legal, and how to make them."""

from dataclasses import replace

from precompiles.model import operators as op
from precompiles.model.operands import OPERAND_FIELDS
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Quantization,
    TensorType,
)
from precompiles.selftest_models import constant, sample_models, single

MODELS = dict(sample_models())
U8, S8, S16, S32, S64 = DType
INT64 = 1 << 63


def changed(name: str, **attributes: object) -> IntegerModel:
    """A sample model with attributes of its one instruction replaced."""
    model = MODELS[name]
    return replace(model, instructions=(replace(model.instructions[0], **attributes),))


def with_constant(name: str, index: int, item: Constant) -> IntegerModel:
    model = MODELS[name]
    constants = (*model.constants[:index], item, *model.constants[index + 1 :])
    return replace(model, constants=constants)


def with_type(name: str, index: int, kind: TensorType) -> IntegerModel:
    """A sample model with the declared type of tensor ``index`` replaced."""
    model = MODELS[name]
    tensors = list(model.tensors)
    tensors[index] = kind
    return replace(model, tensors=tuple(tensors))


def with_port(side: str, **attributes: object) -> IntegerModel:
    model = MODELS["add"]
    ports = getattr(model, side)
    return replace(model, **{side: (replace(ports[0], **attributes), *ports[1:])})


def scaled(numerator: int, denominator: int, zero_point: int = 0) -> Quantization:
    return Quantization(numerator, denominator, zero_point)


def gemm(x: TensorType, weight: list[int], bias: int, **attributes: int) -> IntegerModel:
    """One column; its sum is ``bias + x . weight``."""
    values = {"shift": 31, "zero_point": 0, "lo": -(1 << 31), "hi": (1 << 31) - 1, **attributes}
    constants = (
        constant(S8, (len(weight), 1), weight),
        constant(S32, (1,), [bias]),
        constant(S32, (1,), [1 << 30]),
    )
    instruction = op.Gemm(x=3, weight=0, bias=1, multiplier=2, output=4, **values)
    return single(instruction, [x], TensorType(S32, (1,)), constants)


def requantize(x_zero_point: int) -> IntegerModel:
    """The widest multiplier on an s32 input."""
    instruction = op.Requantize(1, 0, x_zero_point, 62, 0, -9, 9, 2)
    kinds = TensorType(S32, (2,)), TensorType(S8, (2,))
    return single(instruction, kinds[:1], kinds[1], [nodes(S32, [(1 << 31) - 1])])


def binary(instruction: op.Instruction, a: DType, b: DType) -> IntegerModel:
    kinds = TensorType(a, (2,)), TensorType(b, (2,))
    return single(instruction, kinds, TensorType(S64, (2,)))


def chain(*instructions: op.Instruction, kinds: list[TensorType]) -> IntegerModel:
    """Tensor 0 is the input; each instruction writes the next; the last one is the output."""
    model = single(instructions[0], kinds[:1], kinds[1])
    output = replace(model.outputs[0], value=len(instructions))
    return replace(model, outputs=(output,), tensors=tuple(kinds), instructions=tuple(instructions))


def tree(**constants: Constant) -> IntegerModel:
    names = ("roots", "feature", "threshold", "left", "right", "missing_right", "leaves", "base")
    model = MODELS["trees"]
    for name, item in constants.items():
        index = names.index(name)
        model = replace(
            model,
            constants=(*model.constants[:index], item, *model.constants[index + 1 :]),
        )
    return model


def nodes(dtype: DType, values: list[int]) -> Constant:
    return constant(dtype, (len(values),), values)


def with_clip(model: IntegerModel, low: int, high: int) -> IntegerModel:
    """The model with its one input clipped first."""
    first = len(model.constants)
    body = model.instructions[0]
    reads = {
        name: first + 1
        for name in OPERAND_FIELDS[type(body)]
        if getattr(body, name) == first  # every operand that was the input
    }
    clip = op.Clip(first, low, high, first + 1)
    return replace(
        model,
        outputs=(replace(model.outputs[0], value=first + 2),),
        tensors=(model.tensors[0], *model.tensors),
        instructions=(clip, replace(body, output=first + 2, **reads)),
    )


def matmul(a: TensorType, b: TensorType, out: TensorType, **attributes: int) -> IntegerModel:
    """Both operands are inputs; ``a`` alone when the types are equal."""
    values = {"a_zero_point": 0, "transpose_b": 0, "multiplier": 1, "shift": 1, **attributes}
    low, high = out.dtype.bounds
    second = 0 if a == b else 1
    product = op.MatMul(0, second, **values, zero_point=0, lo=low, hi=high, output=second + 1)
    return single(product, [a, b][: second + 1], out)


def square(columns: int, **attributes: int) -> IntegerModel:
    """An s16 (2, columns) matrix times its own transpose."""
    x = TensorType(S16, (2, columns))
    return matmul(x, x, TensorType(S32, (2, 2)), transpose_b=1, **attributes)


def softmax(x: DType, row: int, multiplier: int, shift: int = 0, out: DType = U8) -> IntegerModel:
    shape = (row,)
    soft = op.Softmax(0, multiplier, shift, 1)
    return single(soft, [TensorType(x, shape)], TensorType(out, shape))


def norm(x: DType = S16, row: int = 3, offset: int = 0, **attributes: int) -> IntegerModel:
    """Gain is the widest there is."""
    values = {"center": 1, "epsilon": 0, "shift": 24, "zero_point": 0, **attributes}
    constants = nodes(S32, [-(1 << 31)] * row), nodes(S64, [offset] * row)
    layer = op.LayerNorm(2, 0, 1, **values, lo=-(1 << 31), hi=(1 << 31) - 1, output=3)
    return single(layer, [TensorType(x, (row,))], TensorType(S32, (row,)), constants)


def gather(rows: int, x: DType = S32) -> IntegerModel:
    table = constant(S8, (rows, 2), list(range(2 * rows)))
    kinds = TensorType(x, (3,)), TensorType(S8, (3, 2))
    return single(op.Gather(1, 0, 2), kinds[:1], kinds[1], [table])


def select(condition: DType, a: DType, b: DType) -> IntegerModel:
    kinds = [TensorType(dtype, (2,)) for dtype in (condition, a, b)]
    return single(op.Select(0, 1, 2, 3), kinds, TensorType(a, (2,)))


def square_root(x: DType) -> IntegerModel:
    kinds = TensorType(x, (4,)), TensorType(S64, (4,))
    return single(op.SquareRoot(0, 1), kinds[:1], kinds[1])


def top_k(row: int, k: int) -> IntegerModel:
    return single(op.TopK(0, k, 1), [TensorType(U8, (row,))], TensorType(S32, (max(k, 1),)))


def expand(x: tuple[int, ...], out: tuple[int, ...]) -> IntegerModel:
    return single(op.Expand(0, 1), [TensorType(U8, x)], TensorType(U8, out))
