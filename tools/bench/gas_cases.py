"""Shapes that an attacker would pick, operator by operator: cases of ``assay bench gas``.

One channel, one column, rows of one or two, K = 4 and N = 16, padding and strides that do little
work a byte, broadcast axes of two, many tiny instructions. A case is
``(operator, builder of tools.bench.gas_programs, batch, arguments)``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, TypeAlias

from precompiles.model.types import DType, IntegerModel
from tools.bench import gas_programs as programs

U8, S8, S16, S32, S64 = DType
Case: TypeAlias = tuple[str, programs.Build, int, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class GasCase:
    """A program, and the batch to run it with; ``operator`` is the one that it means to hurt."""

    operator: str
    name: str
    model: IntegerModel
    batch: int


_GEMM: Final = (
    (1, 4, 16, 1),
    (1, 4, 16, 4096),
    (4096, 4, 16, 1),
    (4096, 1, 1, 1),
    (4096, 1, 17, 1),
    (2048, 24, 16, 1),
    (2048, 32, 17, 1),
    (1024, 33, 15, 1),
    (3, 256, 256, 1),
    (7, 64, 1, 64),
    (1, 16, 4096, 8),
    (1, 16, 4096, 1),
    (1, 768, 768, 1),
    (1, 768, 768, 4),
    (1, 4096, 4096, 1),
    (1, 65_793, 1, 4),
    (1, 65_793, 16, 1),
    (128, 768, 768, 1),
    (5, 100, 33, 8),
)
_CONV: Final = (
    # (size, (channels, filters, groups), kernel, stride, pad, dilation), batch
    (((64, 64), (1, 1, 1), (1, 1)), 4),
    (((64, 64), (1, 1, 1), (3, 3), 1, 1), 4),
    (((64, 64), (1, 16, 1), (3, 3), 1, 1), 2),
    (((64, 64), (3, 17, 1), (3, 3), 2, 1), 2),
    (((56, 56), (24, 144, 1), (1, 1)), 1),
    (((56, 56), (64, 64, 1), (3, 3), 1, 1), 1),
    (((14, 14), (256, 256, 1), (3, 3), 1, 1), 1),
    (((56, 56), (5, 3, 1), (1, 1), 2), 4),
    (((1, 1), (16, 16, 1), (1, 1), 16, 512), 1),
    (((1, 1), (1, 1, 1), (1, 1), 1, 512), 1),
    (((1, 1), (64, 1, 1), (1, 1), 16, 512), 1),
    (((256, 1), (4, 16, 1), (1, 1), 1, 0), 8),
    (((256, 1), (4, 16, 1), (3, 1), 1, 0), 8),
    (((1, 256), (4, 16, 1), (1, 3), 1, 0), 8),
    (((64, 64), (1, 4, 1), (32, 32), 1), 1),
    (((64, 64), (4, 4, 1), (32, 32), 1, 16), 1),
    (((200, 200), (4, 4, 1), (5, 5), 1, 0, 16), 1),
    (((200, 200), (16, 16, 1), (2, 2), 16), 4),
    (((32, 32), (64, 64, 32), (3, 3), 1, 1), 1),
    (((32, 32), (64, 64, 4), (3, 3), 1, 1), 1),
    (((1, 1), (1024, 512, 512), (1, 1)), 8),
    (((2, 2), (512, 512, 256), (2, 2)), 8),
    (((8, 8), (64, 192, 64), (3, 3), 1, 1), 4),
    (((56, 56), (144, 144, 144), (3, 3), 1, 1), 1),
    (((56, 56), (144, 144, 144), (3, 3), 2, 1), 1),
    (((7, 7), (960, 960, 960), (3, 3), 1, 1), 2),
    (((64, 64), (2, 2, 2), (3, 3), 1, 1), 4),
    (((64, 64), (3, 3, 3), (1, 1)), 4),
    (((64, 64), (17, 34, 17), (3, 3), 1, 1), 1),
    (((128, 1), (64, 64, 64), (4, 1), 1, 0, 16), 4),
    (((1, 1), (32, 32, 32), (1, 1)), 512),
    (((1, 1), (8, 8, 1), (1, 1)), 2048),
    (((40, 40), (32, 32, 32), (32, 32)), 1),
    (((512, 2), (16, 16, 1), (3, 3), 1, 1), 2),
    (((512, 3), (4, 16, 1), (3, 3), 1, 1), 2),
    (((512, 5), (8, 17, 1), (1, 1), 2), 2),
    (((64, 64), (1, 16, 1), (5, 5), 1, 0, 4), 2),
    (((64, 64), (2, 33, 1), (3, 3), 1, 0, 2), 2),
    (((512, 2), (32, 32, 32), (3, 3), 1, 1), 2),
    (((2, 2), (512, 512, 1), (3, 3), 1, 1), 2),
)
_MATMUL: Final = (
    (12, 128, 32, 128),
    (12, 128, 128, 32),
    (512, 1, 4, 16),
    (4096, 1, 1, 1),
    (1024, 2, 2, 2),
    (64, 1, 64, 64),
    (1, 1, 1024, 1024),
    (1, 128, 768, 768),
    (1, 2048, 3, 5),
    (1, 1, 8192, 1),
    (256, 3, 17, 1),
)
_PAIRS: Final[tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...]] = (
    ((256, 256), (256, 256), 1),
    ((256, 256), (256,), 1),
    ((4096, 16), (16,), 1),
    ((4096, 3), (3,), 1),
    ((4096, 16), (4096, 1), 1),
    ((65_536,), (1,), 1),
    ((65_536, 1), (65_536, 1), 1),
    ((2, 2, 2, 2, 2, 2048), (2, 1, 2, 1, 2, 1), 1),
    ((8, 1, 8, 1, 8, 1), (1, 8, 1, 8, 1, 8), 1),
    ((4096, 2, 1, 2, 1, 2), (1, 2, 2, 2, 2, 1), 1),
    ((1,), (1,), 4096),
    ((7,), (7,), 2048),
)
_ROWS: Final = ((32_768, 1), (32_768, 2), (16_384, 7), (512, 128), (64, 1024), (2, 32_000))


_LINEAR: Final = (
    (1, 512, 512),
    (64, 256, 1),
    (64, 1, 256),
    (256, 3, 3),
    (1, 65_536, 1),
    (1, 64, 17),
    (4096, 1, 1),
    (32, 257, 7),
)


def _dense() -> Iterator[Case]:
    outputs = ((U8, U8), (S16, U8), (U8, S32), (S16, S16))
    for (x, out), (rows, depth, columns, batch) in product(outputs, _GEMM):
        fitting = min(depth, 16_384) if x is S16 else depth
        yield "Gemm", programs.gemm, batch, (x, rows, fitting, columns, out)
    for x, (arguments, batch) in product((U8, S16), _CONV):
        yield "Conv", programs.conv, batch, (x, *arguments)
    operands = ((U8, S8), (S16, S8), (S16, S16))
    for dtypes, sizes, turned in product(operands, _MATMUL, (0, 1)):
        yield "MatMul", programs.matmul, 1, (*dtypes, *sizes, turned)
    for x, product_sizes in product((S32, S64), _LINEAR):
        yield "LinearInteger", programs.linear, 1, (x, *product_sizes)


_POOLS: Final = (
    ((112, 112, 64), (3, 3), 2, 1),
    ((112, 112, 1), (3, 3), 1, 1),
    ((112, 112, 1), (2, 2), 2, 0),
    ((300, 300, 1), (1, 1), 1, 0),
    ((4096, 1, 1), (1, 1), 1, 0),
    ((1, 4096, 3), (1, 2), 1, 0),
    ((7, 7, 1280), (7, 7), 1, 0),
    ((64, 64, 3), (40, 40), 1, 20),
    ((48, 48, 1), (48, 48), 1, 47),
    ((33, 33, 17), (5, 5), 1, 2),
)


def _pools() -> Iterator[Case]:
    for name, x, geometry in product(("MaxPool", "AveragePool"), (U8, S8, S16), _POOLS):
        yield name, programs.pool, 2, (name == "AveragePool", x, *geometry)


_RESCALED: Final = ((U8, U8, U8), (S16, S16, S16), (S32, S8, U8), (U8, S32, S32))
_INTEGER: Final = ("AddInteger", "SubInteger", "MulInteger", "DivInteger")


def _pairs() -> Iterator[Case]:
    wide = (S32, S32, S64)
    for a, b, batch in _PAIRS:
        rescaled = [("Add", dtypes) for dtypes in _RESCALED]
        rescaled += [("Mul", dtypes) for dtypes in _RESCALED[:2]]
        chosen = [(name, (x, x, x)) for name in ("Minimum", "Maximum") for x in (U8, S64)]
        compared = [("Compare", (*pair, U8)) for pair in ((U8, U8), (S64, U8), (S32, S16))]
        for name, dtypes in (*rescaled, *chosen, *compared, *((name, wide) for name in _INTEGER)):
            yield name, programs.binary, batch, (name, dtypes, a, b)
        for x in (U8, S32, S64):
            yield "Select", programs.select, batch, (x, a, b, a)
            if a != b:
                yield "Select", programs.select, batch, (x, b, a, b)
    fixed: list[tuple[tuple[int, ...], tuple[int, ...]]]
    fixed = [((4096, 16), (16,)), ((65_536,), (65_536,)), ((65_536,), ())]
    names = ("Add", "Mul", "Minimum", "AddInteger", "MulInteger", "DivInteger")
    for name, (a, b) in product(names, fixed):
        dtypes = wide if name in _INTEGER else (U8, U8, U8)
        yield name, programs.binary, 1, (name, dtypes, a, b, True)


def _elementwise() -> Iterator[Case]:
    shapes = (((65_536,), False), ((4096, 16), True), ((32_768, 2), True))
    for (shape, per_channel), x, out in product(shapes, (U8, S16, S32, S64), (U8, S16, S32)):
        yield "Requantize", programs.requantize, 1, (x, out, shape, per_channel)
    for x, out in product((U8, S8, S16), (U8, S16, S32)):
        yield "Lookup", programs.lookup, 1, (x, out, (65_536,))
        yield "Lookup", programs.lookup, 2048, (x, out, (1,))
    for x, knots in product((S32, S64), (1, 2, 33, 1024)):
        yield "PiecewiseLinear", programs.piecewise, 1, (x, (16_384,), knots)
    for x, bits in ((S32, 1), (S32, 16), (S32, 31), (S64, 1), (S64, 16), (S64, 31), (S64, 62)):
        yield "SquareRoot", programs.wide_roots, 1, (x, (16_384,), bits)
    for x in DType:
        yield "Clip", programs.move, 1, ("Clip", x, (65_536,))
        yield "Clip", programs.move, 4096, ("Clip", x, (1,))


_TOP: Final = (
    ((16_384, 1), 1),
    ((4096, 2), 2),
    ((1, 65_536), 1),
    ((1, 65_536), 64),
    ((1, 65_536), 1024),
    ((16, 1024), 1024),
    ((64, 100), 10),
)


def _rows() -> Iterator[Case]:
    for shape, name, x in product(_ROWS, ("ReduceSum", "ReduceMax", "ArgMax"), DType):
        yield name, programs.rows, 1, (name, x, shape)
    for shape, x, out in product(_ROWS, (U8, S8, S16, S32), (U8, S16)):
        yield "Softmax", programs.rows, 1, ("Softmax", x, shape, out)
    for shape, x, out in product(_ROWS, (S16, S32), (U8, S16, S32)):
        kind = "LayerNormRms" if out is S32 else "LayerNorm"
        yield "LayerNorm", programs.rows, 1, (kind, x, shape, out)
    for x, (shape, k) in product((U8, S16, S64), _TOP):
        yield "TopK", programs.top_k, 1, (x, shape, k)


_EDGE: Final = 1 << 18
_MOVES: Final[tuple[tuple[Any, ...], ...]] = (
    ("Transpose", (256, 256), (1, 0)),
    ("Transpose", (2, 32_768), (1, 0)),
    ("Transpose", (32_768, 2), (1, 0)),
    ("Transpose", (12, 128, 32), (1, 0, 2)),
    ("Transpose", (128, 12, 32), (0, 2, 1)),
    ("Transpose", (8, 8, 8, 8, 8, 2), (5, 4, 3, 2, 1, 0)),
    ("Transpose", (2, 3, 5, 7, 11, 13), (1, 0, 3, 2, 5, 4)),
    ("Transpose", (4, 4, 4, 4, 4, 4), (0, 2, 4, 1, 3, 5)),
    ("Slice", (4 * _EDGE,), (0,), (16,), (_EDGE >> 2,)),
    ("Slice", (_EDGE,), (1,), (2,), (_EDGE // 2 - 1,)),
    ("Slice", (32_768, 3), (0, 1), (1, 2), (32_768, 1)),
    ("Slice", (32_768, 3), (0, 0), (2, 1), (16_384, 3)),
    ("Slice", (4, 4, 4, 4, 4, 4), (0,) * 6, (2,) * 6, (2,) * 6),
    ("Slice", (2, 2, 2, 2, 2, 2048), (0,) * 6, (1,) * 6, (1, 2, 1, 2, 1, 2048)),
    ("Pad", (1,), (0,), (_EDGE,)),
    ("Pad", (32_768, 1), (0, 1), (0, 1)),
    ("Pad", (4, 4, 4, 4, 4, 4), (1,) * 6, (1,) * 6),
    ("Pad", (1, 1, 1, 1, 1, 1), (3,) * 6, (3,) * 6),
    ("Expand", (1,), (_EDGE,)),
    ("Expand", (65_536, 1), (65_536, 3)),
    ("Expand", (1, 2, 1, 2, 1, 2), (8, 2, 8, 2, 8, 2)),
    ("Expand", (3,), (65_536, 3)),
    ("Reshape", (512, 512)),
)


def _moves() -> Iterator[Case]:
    for x, (name, *shapes) in product((U8, S16, S64), _MOVES):
        yield name, programs.move, 1, (name, x, *shapes)
    for x in (U8, S16, S64):
        yield "Concat", programs.concat, 1, (x, (65_536, 1), 2, 1)
        yield "Concat", programs.concat, 1, (x, (4096, 1), 64, 1)
        yield "Concat", programs.concat, 1, (x, (1, 65_536), 2, 0)
        yield "Concat", programs.concat, 1, (x, (512, 2, 3), 5, 1)
        yield "Gather", programs.gather, 1, ((1 << 20,), x, 65_536)
        yield "Gather", programs.gather, 1, ((1 << 16, 16), x, 8192)
        yield "Gather", programs.gather, 1, ((4, 65_536), x, 16)


def _trees() -> Iterator[Case]:
    for x in (S32, S64):
        for count, depth, batch in ((100, 6, 1), (100, 6, 1000), (1, 1, 2048), (1000, 1, 64)):
            yield "TreeEnsemble", programs.trees, batch, (x, count, depth, 32)
        yield "TreeEnsemble", programs.trees, 64, (x, 16, 12, 256)
        yield "TreeEnsemble", programs.trees, 64, (x, 4, 16, 256)
        yield "TreeEnsemble", programs.trees, 16, (x, 2, 19, 1024)
        yield "TreeEnsemble", programs.trees, 1024, (x, 4, 17, 64)
        yield "TreeEnsemble", programs.trees, 1024, (x, 8, 13, 64)
        yield "TreeEnsemble", programs.trees, 64, (x, 200, 24, 32, 1, True)
        yield "TreeEnsemble", programs.trees, 64, (x, 20, 5, 32, 64)


def _overheads() -> Iterator[Case]:
    for count, shape, batch in ((1, (1,), 1), (100, (1,), 1), (2000, (1,), 1), (2000, (64,), 1)):
        yield "Instruction", programs.tiny, batch, (count, U8, shape)
    yield "Instruction", programs.tiny, 64, (500, U8, (1,))
    yield "Port", programs.ports, 1, (60,)
    yield "Port", programs.ports, 256, (60,)
    yield "Port", programs.ports, 1, (1,)


def cases(contains: str = "") -> Iterator[GasCase]:
    """Every case whose name contains the text, operator by operator."""
    for part in (_dense, _pools, _pairs, _elementwise, _rows, _moves, _trees, _overheads):
        for operator, build, batch, arguments in part():
            text = " ".join(_show(item) for item in arguments)
            name = f"{operator} {text} b{batch}"
            if contains in name:
                yield GasCase(operator, name, build(*arguments), batch)


def _show(item: object) -> str:
    if isinstance(item, DType):
        return item.name.lower()
    if isinstance(item, tuple):
        return "x".join(_show(part) for part in item)
    return str(item)
