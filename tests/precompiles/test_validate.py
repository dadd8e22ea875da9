"""Every rule of the validator refuses its own offence."""

from dataclasses import replace

import pytest

from precompiles.errors import ModelError
from precompiles.model import operators as op
from precompiles.model.types import Constant, IntegerModel, TensorType
from precompiles.model.validate import validate_model
from precompiles.selftest_models import constant, single
from tests.precompiles.rule_models import (
    INT64,
    MODELS,
    S8,
    S16,
    S32,
    S64,
    U8,
    binary,
    chain,
    changed,
    gemm,
    nodes,
    requantize,
    scaled,
    tree,
    with_constant,
    with_port,
    with_type,
)

FEATURE = [1, -1, -2, 0, 2, -3, -1, -4]
LEFT, RIGHT = [1, 0, 0, 4, 6, 0, 0, 0], [2, 0, 0, 5, 7, 0, 0, 0]
LIMIT = INT64 - 1

ILLEGAL: dict[str, tuple[IntegerModel, str]] = {
    # L1, L2, L3
    "rank": (with_type("add", 0, TensorType(U8, (1,) * 7)), "L1: .*rank"),
    "zero dimension": (with_type("add", 0, TensorType(U8, (0,))), "L1: .*dimensions"),
    "dimension": (with_type("add", 0, TensorType(U8, ((1 << 24) + 1,))), "L1: .*dimensions"),
    "elements": (with_type("add", 0, TensorType(U8, (1 << 14, 1 << 13))), "L1: .*elements|L1: .*>"),
    "scratch": (
        single(
            op.Concat((0,) * 8, 0, 1),
            [TensorType(S64, (1 << 21, 2))],
            TensorType(S64, (1 << 24, 2)),
        ),
        "L2: scratch",
    ),
    "instructions": (
        replace(MODELS["add"], instructions=MODELS["add"].instructions * 4097),
        "L3: instructions",
    ),
    "constant length": (
        with_constant("add_constant", 0, Constant(TensorType(S32, (5, 1)), b"\x00" * 19)),
        "L4: constant 0 has 19 bytes, expected 20",
    ),
    # L4: wiring
    "tensor without instruction": (
        replace(MODELS["add"], tensors=(*MODELS["add"].tensors, TensorType(U8, (1,)))),
        "L4: 4 tensors, expected 3",
    ),
    "operand of the future": (changed("add", a=2), "L4: operand id"),
    "operand below zero": (changed("add", a=-1), "L4: operand id"),
    "operand beyond": (changed("add", a=99), "L4: operand id"),
    "output elsewhere": (changed("add", output=1), "L4: output 1, expected 2"),
    "constant as tensor": (changed("gemm_u8", x=0), "L4: x is constant 0"),
    "tensor as constant": (changed("gemm_u8", weight=3), "L4: weight"),
    "both constant": (changed("add_constant", b=0), "L4: both operands"),
    "all constant": (changed("concat", inputs=(0,)), "L4: every input of Concat is constant"),
    "no inputs": (changed("concat", inputs=()), "L4: no operand"),
    "wrong dtype": (with_type("gemm_u8", 0, TensorType(S8, (2, 9))), "L4: x is s8"),
    "wrong output": (with_type("gemm_u8", 1, TensorType(U8, (2, 6))), "L4: output is u8"),
    "wrong output dtype": (with_type("gemm_u8", 1, TensorType(S64, (2, 5))), "L4: output is s64"),
    "weight shape": (with_type("gemm_u8", 0, TensorType(U8, (2, 8))), "L4: weight has shape"),
    "weight rank": (
        with_constant("gemm_u8", 0, constant(S8, (45,), [0] * 45)),
        r"L4: weight has shape \(45,\)",
    ),
    "bias dtype": (
        with_constant("gemm_u8", 1, constant(S64, (5,), [0] * 5)),
        "L4: bias is s64, expected s32",
    ),
    "no broadcast": (with_type("add", 1, TensorType(S16, (36,))), "L4: shapes"),
    "image rank": (with_type("conv", 0, TensorType(U8, (7, 6))), "L4: x has shape"),
    "group": (changed("conv_grouped", group=3), "L4: group 3"),
    "group zero": (changed("conv_grouped", group=0), "L4: group 0"),
    "strides length": (changed("conv", strides=(1,)), "L4: strides has 1 entries"),
    "reduce of a scalar": (with_type("arg_max_u8", 0, TensorType(U8, ())), "L4: x has rank 0"),
    "no input port": (replace(MODELS["add"], inputs=(), instructions=()), "L4"),
    "no output port": (replace(MODELS["add"], outputs=()), "L4: output ports"),
    "empty name": (with_port("inputs", name=""), "L4: name length"),
    "unprintable name": (with_port("inputs", name="a\n"), "L4: name 'a"),
    "equal names": (with_port("inputs", name="x1"), "L4: input name 'x1' occurs twice"),
    "constant output": (with_port("outputs", value=-1), "L4: output value"),
    "swapped inputs": (
        replace(MODELS["add"], inputs=MODELS["add"].inputs[::-1]),
        "L4: input 1, expected 0",
    ),
    "scale zero": (with_port("inputs", quantization=scaled(0, 1)), "L4: scale"),
    "scale too wide": (with_port("inputs", quantization=scaled(1, 1 << 64)), "L4: scale"),
    "scale not reduced": (with_port("inputs", quantization=scaled(2, 4)), "common divisor 2"),
    "port zero point": (with_port("inputs", quantization=scaled(1, 1, 256)), "L8: zero_point"),
    # L5 to L9
    "too many terms": (
        gemm(TensorType(U8, (65_794,)), [0] * 65_794, 0),
        "L5: K",
    ),
    "sum above int32": (gemm(TensorType(U8, (2,)), [127, 127], (1 << 31) - 64_770), "L6: sum"),
    "sum below int32": (gemm(TensorType(U8, (2,)), [-128, -128], -(1 << 31) + 65_280), "L6: sum"),
    "s16 sum": (gemm(TensorType(S16, (517,)), [127] * 517, 0), "L6: sum"),
    "linear sum": (
        with_constant("linear_integer", 1, constant(S64, (19,), [LIMIT] * 19)),
        "L6: sum of",
    ),
    "add overflow": (binary(op.AddInteger(0, 1, 2), S64, S32), "L6: sum"),
    "sub overflow": (binary(op.SubInteger(0, 1, 2), S64, S32), "L6: difference"),
    "mul overflow": (binary(op.MulInteger(0, 1, 0, 2), S64, S32), "L6: product"),
    "mul half overflow": (
        single(
            op.MulInteger(1, 0, 62, 2),
            [TensorType(S32, (1,))],
            TensorType(S64, (1,)),
            [nodes(S64, [(1 << 32) - 1])],
        ),
        "L6: product",
    ),
    "reduce overflow": (
        single(op.ReduceSum(0, 1), [TensorType(S64, (2,))], TensorType(S64, (1,))),
        "L6: sum",
    ),
    "piecewise overflow": (
        with_constant("piecewise_linear", 2, constant(S64, (11,), [1 << 40] * 11)),
        "L6: term of segment",
    ),
    "shift zero": (changed("gemm_u8", shift=0), "L7: shift"),
    "shift too far": (changed("gemm_u8", shift=63), "L7: shift"),
    "shift negative": (changed("mul_integer", shift=-1), "L7: shift"),
    "division shift": (changed("div_integer", shift=62), "L7: shift"),
    "multiplier zero": (
        with_constant("gemm_u8", 2, constant(S32, (5,), [1, 1, 1, 1, 0])),
        "L7: multiplier",
    ),
    "add multiplier zero": (changed("add", a_multiplier=0), "L7: multiplier 0"),
    "add multiplier wide": (changed("add", b_multiplier=-(1 << 31)), "L7: multiplier"),
    "add law": (
        changed("add_constant", a_multiplier=(1 << 31) - 1, b_multiplier=(1 << 31) - 1),
        "L7: max",
    ),
    "mul multiplier": (changed("mul", multiplier=1 << 31), "L7: multiplier"),
    "requantize law": (requantize(2), r"L7: max\|t\|"),
    "clip range": (changed("gemm_u8", lo=9, hi=8), "L8: clip range"),
    "clip outside": (changed("gemm_u8", hi=256), "L8: clip range"),
    "zero point": (changed("gemm_u8", zero_point=-1), "L8: zero_point"),
    "input zero point": (changed("average_u8", x_zero_point=256), "L8: x_zero_point"),
    "pad value": (changed("conv", pad_value=-1), "L8: pad_value"),
    "pad constant": (changed("pad", value=1 << 15), "L8: value"),
    "table length": (
        with_constant("lookup_u8", 0, constant(S16, (255,), [0] * 255)),
        "L9: table",
    ),
    "knots": (
        with_constant("piecewise_linear", 0, constant(S64, (11,), [0] * 11)),
        "L9: knots do not increase",
    ),
    "knots count": (
        with_constant("piecewise_linear", 0, constant(S64, (1, 1), [0])),
        "L9: number of knots",
    ),
    # L11, L12
    "divisor zero": (
        with_constant("div_integer", 0, constant(S64, (23,), [0] + [1] * 22)),
        "L11: divisor",
    ),
    "divisor any": (binary(op.DivInteger(0, 1, 0, 2), S32, S32), "L11: divisor"),
    "dividend": (
        changed("div_integer", shift=31),
        "L6: dividend",
    ),
    "stride zero": (changed("conv", strides=(0, 1)), "L12: stride"),
    "stride wide": (changed("conv", strides=(1, 17)), "L12: stride"),
    "dilation zero": (changed("conv", dilations=(1, 0)), "L12: dilation"),
    "pads negative": (changed("conv", pads=(0, 0, 0, -1)), "L12: pads"),
    "window outside": (changed("conv", dilations=(16, 1)), "L12: .* windows fit"),
    "pool kernel": (changed("pool_u8", kernel=(0, 1)), "L12: kernel"),
    "pool stride": (changed("pool_u8", strides=(0, 1)), "L12: stride"),
    "pool pads": (changed("pool_u8", pads=(3, 0, 0, 0)), "L12: pads"),
    "pool window": (changed("pool_u8", kernel=(9, 2), pads=(0, 0, 0, 0)), "L12: window"),
    # L14
    "depth": (changed("trees", depth=25), "L14: depth"),
    "depth short": (changed("trees", depth=1), "L14: 1 walks|L14: .* walks"),
    "root outside": (tree(roots=nodes(S32, [0, 8])), "L14: roots"),
    "root negative": (tree(roots=nodes(S32, [-1, 3])), "L14: roots"),
    "feature outside": (tree(feature=nodes(S32, [3, *FEATURE[1:]])), "L14: feature"),
    "leaf outside": (tree(feature=nodes(S32, [*FEATURE[:7], -5])), "L14: feature"),
    "child outside": (tree(right=nodes(S32, [8, *RIGHT[1:]])), "L14: right"),
    "child before parent": (tree(left=nodes(S32, [*LEFT[:4], 4, 0, 0, 0])), "L14: left"),
    "missing word": (tree(missing_right=nodes(U8, [2] + [0] * 7)), "L14: missing_right"),
    "leaf sum": (
        tree(leaves=constant(S64, (4, 2), [1 << 62] * 8)),
        "L14: sum",
    ),
    # L15, L16, L17
    "reshape": (with_type("reshape", 1, TensorType(S16, (23,))), "L15: shape"),
    "permutation": (changed("transpose", permutation=(0, 1, 1)), "L15: "),
    "concat axis": (changed("concat", axis=3), "L15: axis"),
    "concat shape": (changed("concat", axis=0), "L4: input has shape"),
    "slice start": (changed("slice", starts=(2, 0, 1)), "L15: slice"),
    "slice negative": (changed("slice", starts=(-1, 0, 1)), "L15: slice"),
    "slice step": (changed("slice", steps=(0, 2, 2)), "L15: step"),
    "slice end": (changed("slice", steps=(1, 3, 2)), "L15: slice"),
    "pad negative": (changed("pad", before=(0, -1, 0)), "L15: pad"),
    "work": (
        single(
            op.MaxPool(0, (2000, 2000), (1, 1), (1999, 1999, 1999, 1999), 1),
            [TensorType(U8, (1000, 1000, 1))],
            TensorType(U8, (2999, 2999, 1)),
        ),
        "L16: gas",
    ),
    "unread constant": (
        replace(
            MODELS["clip_u8"],
            constants=(constant(U8, (), [0]),),
            inputs=(replace(MODELS["clip_u8"].inputs[0], value=1),),
            outputs=(replace(MODELS["clip_u8"].outputs[0], value=2),),
            instructions=(replace(MODELS["clip_u8"].instructions[0], x=1, output=2),),
        ),
        "L17: value 0 is never read",
    ),
    "unread tensor": (
        replace(
            chain(
                op.Reshape(0, 1),
                op.Reshape(0, 2),
                kinds=[TensorType(U8, (2,))] * 3,
            ),
        ),
        "L17: value 1 is never read",
    ),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_model_is_refused_with_its_rule(name: str) -> None:
    model, reason = ILLEGAL[name]
    with pytest.raises(ModelError, match=reason):
        validate_model(model)


def test_a_refusal_names_the_instruction() -> None:
    with pytest.raises(ModelError, match=r"instruction 0 \(Gemm\): L7: shift is \[63, 63\]"):
        validate_model(changed("gemm_u8", shift=63))
