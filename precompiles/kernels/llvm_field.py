"""The machine forms of ``field``: four limbs of 64 bits, the same instructions for all values.

The product is Montgomery's, the reduction woven in limb by limb (Koç, Acar and Kaliski's CIOS); as
p is below 2**254, no carry ever leaves the fourth limb.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from precompiles.kernels import field
from precompiles.kernels.llvm_lanes import I64, bytes_of

I128, I256 = ir.IntType(128), ir.IntType(256)
_LIMBS = field.WIDTH // 8

Operation = Callable[[Any, Any, Any, Any], Any]
"""``(builder, registers, a, b)``: pointers to registers in, result as i256 out."""


def _register(b: Any, memory: Any, number: Any) -> Any:
    """Pointer to a register, as i256."""
    place = b.gep(memory, [b.mul(number, I64(field.WIDTH))])
    return b.bitcast(place, I256.as_pointer())


def _limbs(b: Any, register: Any) -> list[Any]:
    """The limbs of a register, lowest first, each zero-extended to 128 bits."""
    first = b.bitcast(register, I64.as_pointer())
    return [b.zext(b.load(b.gep(first, [I64(i)]), align=8), I128) for i in range(_LIMBS)]


def _split(b: Any, wide: Any) -> tuple[Any, Any]:
    """Low and high half of 128 bits, each zero-extended."""
    return b.zext(b.trunc(wide, I64), I128), b.lshr(wide, I128(64))


def _joined(b: Any, limbs: list[Any]) -> Any:
    total = b.zext(limbs[0], I256)
    for number, limb in enumerate(limbs[1:], 1):
        total = b.or_(total, b.shl(b.zext(limb, I256), I256(64 * number)))
    return total


def _below(b: Any, x: Any, modulus: Any) -> Any:
    """``x mod p`` for x below 2p."""
    return b.select(b.icmp_unsigned("<", x, modulus), x, b.sub(x, modulus))


def _product(b: Any, memory: Any, x: Any, y: Any) -> Any:
    modulus = _limbs(b, _register(b, memory, I64(field.MODULUS)))
    inverse = _limbs(b, _register(b, memory, I64(field.INVERSE)))[0]
    left, right = _limbs(b, x), _limbs(b, y)
    total = [I128(0)] * _LIMBS
    for word in right:
        total[0], carry = _split(b, b.add(total[0], b.mul(left[0], word)))
        factor, _ = _split(b, b.mul(total[0], inverse))
        _, borrowed = _split(b, b.add(total[0], b.mul(factor, modulus[0])))
        for i in range(1, _LIMBS):
            low, carry = _split(b, b.add(b.add(total[i], b.mul(left[i], word)), carry))
            total[i - 1], borrowed = _split(
                b, b.add(b.add(low, b.mul(factor, modulus[i])), borrowed)
            )
        total[-1] = b.add(carry, borrowed)
    return _below(b, _joined(b, total), _joined(b, modulus))


def _sum(b: Any, memory: Any, x: Any, y: Any) -> Any:
    total = b.add(b.load(x, align=8), b.load(y, align=8))
    return _below(b, total, b.load(_register(b, memory, I64(field.MODULUS)), align=8))


def _difference(b: Any, memory: Any, x: Any, y: Any) -> Any:
    left, right = b.load(x, align=8), b.load(y, align=8)
    modulus = b.load(_register(b, memory, I64(field.MODULUS)), align=8)
    correction = b.select(b.icmp_unsigned("<", left, right), modulus, I256(0))
    return b.add(b.sub(left, right), correction)


def _emitter(operation: Operation) -> Any:
    """Intrinsic ``(memory, out, a, b)``."""

    def typed(typing: Any, memory: Any, out: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]]:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            registers = bytes_of(context, builder, memory, values[0])
            target, x, y = (_register(builder, registers, value) for value in values[1:])
            builder.store(operation(builder, registers, x, y), target, align=8)
            return context.get_dummy_value()

        return types.void(memory, types.int64, types.int64, types.int64), emit

    return intrinsic(typed)


emit_product, emit_sum, emit_difference = map(_emitter, (_product, _sum, _difference))


@overload(field.multiply)  # type: ignore[untyped-decorator]
def _multiply(memory: Any, out: Any, a: Any, b: Any) -> Any:
    def call(memory: Any, out: Any, a: Any, b: Any) -> None:
        emit_product(memory, out, a, b)

    return call


@overload(field.add)  # type: ignore[untyped-decorator]
def _add(memory: Any, out: Any, a: Any, b: Any) -> Any:
    def call(memory: Any, out: Any, a: Any, b: Any) -> None:
        emit_sum(memory, out, a, b)

    return call


@overload(field.subtract)  # type: ignore[untyped-decorator]
def _subtract(memory: Any, out: Any, a: Any, b: Any) -> Any:
    def call(memory: Any, out: Any, a: Any, b: Any) -> None:
        emit_difference(memory, out, a, b)

    return call
