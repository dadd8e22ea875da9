"""The machine form of ``image.interleave_run``."""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import image
from precompiles.kernels.llvm_lanes import I8, I64, bytes_of, load, shuffle, store, vector


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def emit_interleaved(
    typing: Any, planes: Any, out: Any, target: Any, x: Any, source: Any, step: Any
) -> tuple[Any, Callable[..., Any]]:
    """``interleave_run`` for a literal number of planes."""
    count, run = planes.literal_value, image.RUN

    def emit(context: Any, b: Any, signature: Any, values: Any) -> Any:
        source = b.gep(bytes_of(context, b, x, values[3]), [values[4]])
        target = b.gep(bytes_of(context, b, out, values[1]), [values[2]])
        rows = [
            load(b, b.gep(source, [b.mul(values[5], I64(plane))]), vector(I8, run))
            for plane in range(count)
        ]
        both = list(range(2 * run))
        first = shuffle(b, rows[0], rows[1], both)
        last = shuffle(b, rows[-2] if count == 4 else rows[-1], rows[-1], both)
        wide = shuffle(b, first, last, list(range(4 * run)))
        for part in range(count):
            places = range(part * run, (part + 1) * run)
            order = [(place % count) * run + place // count for place in places]
            store(b, shuffle(b, wide, None, order), b.gep(target, [I64(part * run)]))
        return context.get_dummy_value()

    return types.void(planes, out, types.int64, x, types.int64, types.int64), emit


@overload(image.interleave_run, prefer_literal=True)  # type: ignore[untyped-decorator]
def _interleave_run(planes: Any, out: Any, target: Any, x: Any, source: Any, step: Any) -> Any:
    def call(planes: Any, out: Any, target: Any, x: Any, source: Any, step: Any) -> Any:
        return emit_interleaved(planes, out, target, x, source, step)

    return call
