"""Small legal models that together use every operator, at its edges: input of the self-test.

Each model is one operator, so a wrong digest names its kernel. All numbers come from a fixed
generator; changing anything here changes the committed digest and the golden vectors.
"""

from collections.abc import Iterator

from precompiles.model import operators as op
from precompiles.model.types import IntegerModel, TensorType
from precompiles.selftest_parts import (
    S8,
    S16,
    S32,
    S64,
    U8,
    constant,
    noise,
    random_constant,
    sample_input,
    single,
)
from precompiles.selftest_rows import row_models

__all__ = ["constant", "noise", "random_constant", "sample_input", "sample_models", "single"]


def sample_models() -> Iterator[tuple[str, IntegerModel]]:
    """(name, model) of every case, in a fixed order."""
    yield from _dense_models()
    yield from _image_models()
    yield from _elementwise_models()
    yield from _integer_models()
    yield from _layout_models()
    yield "trees", _tree_model()
    yield from row_models()


def _dense_models() -> Iterator[tuple[str, IntegerModel]]:
    for name, x, depth, columns, out in (
        ("gemm_u8", U8, 9, 5, U8),
        ("gemm_u8_wide", U8, 67, 83, S8),
        ("gemm_s16", S16, 7, 37, S16),
        ("gemm_to_s32", U8, 3, 1, S32),
    ):
        low, high = out.bounds
        constants = (
            random_constant(S8, (depth, columns), 1, -128, 127),
            random_constant(S32, (columns,), 2, -(1 << 20), 1 << 20),
            random_constant(S32, (columns,), 3, 1 << 30, (1 << 31) - 1),
        )
        shift = 31 if out is S32 else 42
        gemm = op.Gemm(3, 0, 1, 2, shift, 3, low + 1, high, 4)
        shapes = TensorType(x, (2, depth)), TensorType(out, (2, columns))
        yield name, single(gemm, shapes[:1], shapes[1], constants)
    sums = (
        random_constant(S32, (6, 19), 4, -(1 << 27), 1 << 27),
        random_constant(S64, (19,), 5, -(1 << 50), 1 << 50),
    )
    x64, y64 = TensorType(S32, (6,)), TensorType(S64, (19,))
    yield "linear_integer", single(op.LinearInteger(2, 0, 1, 3), [x64], y64, sums)


def _image_models() -> Iterator[tuple[str, IntegerModel]]:
    for name, channels, group, filters, pads, strides, dilations in (
        ("conv", 3, 1, 34, (1, 1, 1, 1), (1, 1), (1, 1)),
        ("conv_strided", 2, 1, 4, (0, 2, 1, 0), (2, 3), (2, 1)),
        ("conv_grouped", 4, 2, 6, (1, 0, 0, 1), (1, 1), (1, 1)),
        ("conv_depthwise", 35, 35, 70, (1, 1, 1, 1), (2, 1), (1, 1)),
    ):
        constants = (
            random_constant(S8, (3, 2, channels // group, filters), 6, -128, 127),
            random_constant(S32, (filters,), 7, -70000, 70000),
            random_constant(S32, (filters,), 8, 1 << 30, (1 << 31) - 1),
        )
        rows = (7 + pads[0] + pads[2] - dilations[0] * 2 - 1) // strides[0] + 1
        columns = (6 + pads[1] + pads[3] - dilations[1] - 1) // strides[1] + 1
        conv = op.Conv(3, 0, 1, 2, strides, pads, dilations, group, 9, 40, 7, 0, 255, 4)
        kinds = TensorType(U8, (7, 6, channels)), TensorType(U8, (rows, columns, filters))
        yield name, single(conv, kinds[:1], kinds[1], constants)
    point = (
        random_constant(S8, (1, 1, 5, 17), 9, -128, 127),
        random_constant(S32, (17,), 10, -9000, 9000),
        random_constant(S32, (17,), 11, 1, (1 << 31) - 1),
    )
    conv = op.Conv(3, 0, 1, 2, (1, 1), (0, 0, 0, 0), (1, 1), 1, 0, 40, -5, -128, 127, 4)
    kinds = TensorType(U8, (3, 3, 5)), TensorType(S8, (3, 3, 17))
    yield "conv_pointwise", single(conv, kinds[:1], kinds[1], point)
    for name, dtype in (("pool_u8", U8), ("pool_s8", S8), ("pool_s16", S16)):
        image, small = TensorType(dtype, (5, 6, 35)), TensorType(dtype, (3, 4, 35))
        geometry = (3, 2), (2, 2), (1, 1, 1, 1)
        yield name, single(op.MaxPool(0, *geometry, 1), [image], small)
        areas = random_constant(S32, (3, 4), 12, 1 << 28, (1 << 31) - 1)
        low, high = dtype.bounds
        average = op.AveragePool(1, 0, *geometry, 5, 33, -2 if low else 2, low, high, 2)
        yield name.replace("pool", "average"), single(average, [image], small, [areas])


def _elementwise_models() -> Iterator[tuple[str, IntegerModel]]:
    kinds = TensorType(U8, (5, 37)), TensorType(S16, (37,)), TensorType(S8, (5, 37))
    yield (
        "add",
        single(op.Add(0, 1, 12, -7, 1 << 24, -(3 << 20), 30, 3, -128, 127, 2), kinds[:2], kinds[2]),
    )
    bias = random_constant(S32, (5, 1), 13, -(1 << 31), (1 << 31) - 1)
    wide = TensorType(S32, (1, 37)), TensorType(S32, (5, 37))
    add = op.Add(0, 1, 0, -9, 1 << 20, 999_999, 21, 0, -(1 << 31), (1 << 31) - 1, 2)
    yield "add_constant", single(add, wide[:1], wide[1], [bias])
    mul = op.Mul(0, 1, 128, -1, (1 << 31) - 1, 45, 1, 0, 255, 2)
    yield "mul", single(mul, kinds[:2], TensorType(U8, (5, 37)))
    scalar = constant(S8, (), [-77])
    yield (
        "mul_scalar",
        single(
            op.Mul(1, 0, 0, 3, 1 << 20, 22, 0, -32768, 32767, 2),
            [TensorType(S16, ())],
            TensorType(S16, ()),
            [scalar],
        ),
    )
    for name, dtype, length, top in (
        ("requantize_s32", S32, 37, (1 << 31) - 1),
        ("requantize_u8", U8, 1, (1 << 31) - 1),
    ):
        low, _ = dtype.bounds
        x = TensorType(dtype, (5, 37))
        zero_point = 0 if low else 128
        shift = 45 if low else 32
        rescale = op.Requantize(1, 0, zero_point, shift, -3, -(1 << 15), (1 << 15) - 1, 2)
        multiplier = random_constant(S32, (length,), 14, top >> 2, top >> 1)
        yield name, single(rescale, [x], TensorType(S16, (5, 37)), [multiplier])
    for dtype in (U8, S8, S16, S32, S64):
        low, high = dtype.bounds
        x = TensorType(dtype, (7,))
        clip = op.Clip(0, low + (high - low) // 3, high - 5, 1)
        yield f"clip_{dtype.name.lower()}", single(clip, [x], x)
    for dtype, out in ((U8, S16), (S8, U8), (S16, S32)):
        entries = 1 << (8 * dtype.size)
        table = random_constant(out, (entries,), 15, *out.bounds)
        look = single(op.Lookup(1, 0, 2), [TensorType(dtype, (9,))], TensorType(out, (9,)), [table])
        yield f"lookup_{dtype.name.lower()}", look


def _integer_models() -> Iterator[tuple[str, IntegerModel]]:
    x, y, z = TensorType(S32, (3, 23)), TensorType(S32, (23,)), TensorType(S64, (3, 23))
    yield "add_integer", single(op.AddInteger(0, 1, 2), [x, y], z)
    yield "sub_integer", single(op.SubInteger(0, 1, 2), [x, y], z)
    yield "mul_integer", single(op.MulInteger(0, 1, 0, 2), [x, y], z)
    yield "mul_integer_shifted", single(op.MulInteger(0, 1, 17, 2), [x, y], z)
    divisor = random_constant(S64, (23,), 16, 1, 1 << 40)
    yield "div_integer", single(op.DivInteger(1, 0, 20, 2), [x], z, [divisor])
    knots = sorted(noise(17, 11, -(1 << 31), (1 << 31) - 1))
    places = constant(S64, (11,), knots)
    values = random_constant(S64, (11,), 18, -(1 << 40), 1 << 40)
    slopes = random_constant(S64, (11,), 19, -(1 << 29), 1 << 29)
    line = op.PiecewiseLinear(3, 0, 1, 2, 24, 4)
    yield "piecewise_linear", single(line, [x], z, [places, values, slopes])
    for dtype in (U8, S16, S32):
        kind = TensorType(dtype, (3, 5))
        name = dtype.name.lower()
        yield f"reduce_sum_{name}", single(op.ReduceSum(0, 1), [kind], TensorType(S64, (3, 1)))
        yield f"reduce_max_{name}", single(op.ReduceMax(0, 1), [kind], TensorType(dtype, (3, 1)))
        yield f"arg_max_{name}", single(op.ArgMax(0, 1), [kind], TensorType(S32, (3,)))


def _layout_models() -> Iterator[tuple[str, IntegerModel]]:
    x = TensorType(S16, (2, 3, 4))
    yield "reshape", single(op.Reshape(0, 1), [x], TensorType(S16, (4, 6)))
    yield "transpose", single(op.Transpose(0, (2, 0, 1), 1), [x], TensorType(S16, (4, 2, 3)))
    fixed = random_constant(S16, (2, 1, 4), 20, *S16.bounds)
    concat = op.Concat((1, 0, 1), 1, 2)
    yield "concat", single(concat, [x], TensorType(S16, (2, 7, 4)), [fixed])
    cut = op.Slice(0, (1, 0, 1), (1, 2, 2), 1)
    yield "slice", single(cut, [x], TensorType(S16, (1, 2, 2)))
    border = op.Pad(0, (0, 1, 0), (1, 0, 2), -5, 1)
    yield "pad", single(border, [x], TensorType(S16, (3, 4, 6)))


def _tree_model() -> IntegerModel:
    """Two trees over three features: a stump and a tree of depth 2 that shares a leaf row."""
    nodes = (
        constant(S32, (2,), [0, 3]),
        constant(S32, (8,), [1, -1, -2, 0, 2, -3, -1, -4]),
        constant(S32, (8,), [0, 0, 0, -5, 1 << 30, 0, 0, 0]),
        constant(S32, (8,), [1, 0, 0, 4, 6, 0, 0, 0]),
        constant(S32, (8,), [2, 0, 0, 5, 7, 0, 0, 0]),
        constant(U8, (8,), [1, 0, 0, 0, 1, 0, 0, 0]),
        random_constant(S64, (4, 2), 21, -(1 << 60), 1 << 60),
        random_constant(S64, (2,), 22, -(1 << 50), 1 << 50),
    )
    forest = op.TreeEnsemble(8, 0, 1, 2, 3, 4, 5, 6, 7, 2, 9)
    return single(forest, [TensorType(S32, (3,))], TensorType(S64, (2,)), nodes)
