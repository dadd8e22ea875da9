"""The machine form of ``lookup.lookup_blocks``: 64 bytes at once by AVX-512 VBMI."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import lookup
from precompiles.kernels.llvm_lanes import (
    I8,
    I64,
    bytes_of,
    counted,
    declared,
    load,
    store,
    vector,
)

BLOCK = vector(I8, 64)


@intrinsic  # type: ignore[untyped-decorator]
def emit_lookup(typing: Any, x: Any, table: Any, out: Any) -> tuple[Any, Callable[..., Any]]:
    """Whole blocks of bytes; nothing where a table does not fit registers."""

    def emit(context: Any, b: Any, signature: Any, values: Any) -> Any:
        _, _, features = context.codegen().magic_tuple()
        if "+avx512vbmi" not in (features or ""):
            return I64(0)
        source, entries, target = (
            bytes_of(context, b, *pair) for pair in zip(signature.args, values, strict=True)
        )
        blocks = b.lshr(context.make_array(out)(context, b, values[2]).nitems, I64(6))
        name = "llvm.x86.avx512.vpermi2var.qi.512"
        call = declared(b, name, BLOCK, [BLOCK] * 3)
        with b.if_then(b.icmp_signed(">", blocks, I64(0))):
            parts = [load(b, b.gep(entries, [I64(64 * part)]), BLOCK) for part in range(4)]
            with counted(b, blocks, []) as loop:
                first = b.shl(loop.index, I64(6))
                index = load(b, b.gep(source, [first]), BLOCK)
                low = b.call(call, [parts[0], index, parts[1]])
                high = b.call(call, [parts[2], index, parts[3]])
                is_low = b.icmp_signed(">=", index, ir.Constant(BLOCK, [0] * 64))
                store(b, b.select(is_low, low, high), b.gep(target, [first]))
        return b.shl(blocks, I64(6))

    return types.int64(x, table, out), emit


@overload(lookup.lookup_blocks)  # type: ignore[untyped-decorator]
def _lookup_blocks(x: Any, table: Any, out: Any) -> Any:
    def call(x: Any, table: Any, out: Any) -> Any:
        return emit_lookup(x, table, out)

    return call
