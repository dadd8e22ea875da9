"""Models of the operators that transformers need, at their edges: part of the self-test."""

from collections.abc import Iterator

from precompiles.model import operators as op
from precompiles.model.types import DType, IntegerModel, TensorType
from precompiles.selftest_draft import Draft
from precompiles.selftest_parts import S8, S16, S32, S64, U8, random_constant, single


def row_models() -> Iterator[tuple[str, IntegerModel]]:
    """(name, model) of every case, in a fixed order."""
    yield from _products()
    yield from _normalisations()
    yield from _choices()
    yield from _moves()


def _products() -> Iterator[tuple[str, IntegerModel]]:
    """Depths that no multiple of a vector divides; 16-bit operands are clipped to fit the sums."""
    for name, a, b, transposed, depth, columns, out in (
        ("matmul_u8", U8, S8, 0, 67, 21, U8),
        ("matmul_u8_transposed", U8, S8, 1, 9, 37, S16),
        ("matmul_s16_s8", S16, S8, 0, 35, 19, S16),
        ("matmul_s16", S16, S16, 1, 34, 5, S32),
        ("matmul_s16_rows", S16, S16, 0, 13, 33, S8),
    ):
        draft = Draft()
        left = TensorType(a, (2, 3, depth))
        right = TensorType(b, (2, columns, depth) if transposed else (2, depth, columns))
        x, y = draft.input(left), draft.input(right)
        if a is S16:
            x = draft.run(op.Clip(x, -7000, 7000, 0), left)
        if b is S16:
            y = draft.run(op.Clip(y, -8000, 8000, 0), right)
        low, high = out.bounds
        zero_point = 131 if a is U8 else -60
        shift = 31 if out is S32 else 43
        product = op.MatMul(x, y, zero_point, transposed, 1_999_999_999, shift, 7, low, high, 0)
        yield name, draft.finish(draft.run(product, TensorType(out, (2, 3, columns))))


def _normalisations() -> Iterator[tuple[str, IntegerModel]]:
    for name, dtype, row, multiplier, shift, out in (
        ("softmax_u8", U8, 37, 11_000, 3, U8),
        ("softmax_s8", S8, 128, 3_000_001, 12, S16),
        ("softmax_s16", S16, 19, 32_767, 0, S16),
        ("softmax_s16_short", S16, 1, 900, 1, U8),
    ):
        kind = TensorType(dtype, (3, row))
        softmax = op.Softmax(0, multiplier, shift, 1)
        yield name, single(softmax, [kind], TensorType(out, kind.shape))
    for name, dtype, row, center, epsilon, out in (
        ("layer_norm", S16, 67, 1, 1_000_000, U8),
        ("layer_norm_s32", S32, 5, 1, 0, S16),
        ("rms_norm", S16, 33, 0, (1 << 61) - 1, S8),
        ("layer_norm_one", S32, 1, 1, 0, S32),
    ):
        draft = Draft()
        kind = TensorType(dtype, (4, row))
        gain = draft.constant(random_constant(S32, (row,), 31, -(1 << 31), (1 << 31) - 1))
        offset = draft.constant(random_constant(S64, (row,), 32, -(1 << 54), 1 << 54))
        x = draft.run(op.Clip(draft.input(kind), -32767, 32767, 0), kind)
        low, high = out.bounds
        shift = 24 if out is S32 else 47
        norm = op.LayerNorm(x, gain, offset, center, epsilon, shift, 3, low, high, 0)
        yield name, draft.finish(draft.run(norm, TensorType(out, kind.shape)))


def _choices() -> Iterator[tuple[str, IntegerModel]]:
    for name, relation, left, right in (
        ("equal", 0, U8, S16),
        ("less", 1, S64, S32),
        ("less_or_equal", 2, S8, U8),
    ):
        kinds = TensorType(left, (3, 1, 7)), TensorType(right, (5, 7))
        yield name, single(op.Compare(0, 1, relation, 2), kinds, TensorType(U8, (3, 5, 7)))
    for dtype in (S8, S32, S64):
        name = dtype.name.lower()
        a, b = TensorType(dtype, (5, 7)), random_constant(dtype, (7,), 33, *dtype.bounds)
        condition = TensorType(U8, (3, 5, 1))
        choose = op.Select(1, 2, 0, 3)
        yield f"select_{name}", single(choose, [condition, a], TensorType(dtype, (3, 5, 7)), [b])
        yield f"minimum_{name}", single(op.Minimum(1, 0, 2), [a], a, [b])
        yield f"maximum_{name}", single(op.Maximum(0, 1, 2), [a, a], a)
    for dtype in (S32, S64):
        kind = TensorType(dtype, (11,))
        draft = Draft()
        x = draft.run(op.Clip(draft.input(kind), 0, min(dtype.bounds[1], (1 << 62) - 1), 0), kind)
        root = draft.run(op.SquareRoot(x, 0), TensorType(S64, (11,)))
        yield f"square_root_{dtype.name.lower()}", draft.finish(root)
    for dtype, row, k in ((U8, 9, 9), (S16, 40, 3), (S64, 5, 1)):
        kind, out = TensorType(dtype, (3, row)), TensorType(S32, (3, k))
        yield f"top_k_{dtype.name.lower()}", single(op.TopK(0, k, 1), [kind], out)


def _moves() -> Iterator[tuple[str, IntegerModel]]:
    for dtype, row in ((S8, (3, 5)), (S16, (37,)), (S64, ())):
        draft = Draft()
        table = draft.constant(random_constant(dtype, (13, *row), 34, *dtype.bounds))
        indices = TensorType(DType.S32, (2, 3))
        x = draft.run(op.Clip(draft.input(indices), 0, 12, 0), indices)
        rows = draft.run(op.Gather(x, table, 0), TensorType(dtype, (2, 3, *row)))
        yield f"gather_{dtype.name.lower()}", draft.finish(rows)
    for dtype in (U8, S16, S32, S64):
        kinds = TensorType(dtype, (3, 1, 5)), TensorType(dtype, (2, 3, 4, 5))
        yield f"expand_{dtype.name.lower()}", single(op.Expand(0, 1), kinds[:1], kinds[1])
