"""The machine form of ``walk.call_step``: a call through a kernel's address."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import walk


@intrinsic  # type: ignore[untyped-decorator]
def call_address(
    typing: Any, address: Any, memory: Any, weights: Any, args: Any, batch: Any
) -> tuple[Any, Callable[..., Any]]:
    """Call by numba's convention; the status word, in which 0 is success."""
    passed = (memory, weights, args, batch)

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        convention = context.call_conv
        function = convention.get_function_type(types.void, passed)
        callee = builder.inttoptr(values[0], function.as_pointer())
        status, _ = convention.call_function(builder, callee, types.void, passed, values[1:])
        return builder.sext(status.code, ir.IntType(64))

    return types.int64(types.int64, *passed), emit


@overload(walk.call_step)  # type: ignore[untyped-decorator]
def _call_step(address: Any, memory: Any, weights: Any, args: Any, batch: Any) -> Any:
    def call(address: Any, memory: Any, weights: Any, args: Any, batch: Any) -> Any:
        return call_address(address, memory, weights, args, batch)

    return call
