"""What py-evm 0.12.1b1 lacks or gets wrong, in plain Python over its computations.

Nothing here is shared with our own EVM, so that a mistake shows as a difference.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from eth.exceptions import VMError
from eth.precompiles.modexp import extract_lengths
from eth.vm.opcode import as_opcode

Precompile: TypeAlias = Callable[[Any], object]
"""Runs on a py-evm computation: charges it, sets its ``output``, or raises VMError."""

CLZ: Final = 0x1E
_CLZ_GAS: Final = 5
_P256VERIFY_GAS: Final = 6_900
_MODEXP_LARGEST: Final = 1_024
_MODEXP_MINIMUM_GAS: Final = 500

_P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point: TypeAlias = tuple[int, int] | None
"""Affine coordinates on secp256r1; None is the point at infinity."""


def clz_opcode() -> Any:
    """CLZ (EIP-7939) as py-evm has its opcodes."""

    def clz(computation: Any) -> None:
        computation.stack_push_int(256 - computation.stack_pop1_int().bit_length())

    return as_opcode(clz, "CLZ", _CLZ_GAS)


def modexp_corrected(stock: Precompile) -> Precompile:
    """Stock's MODEXP with its own gas, but 0 ** 0 = 1 (EIP-198)."""

    def modexp(computation: Any) -> object:
        result = stock(computation)
        data = bytes(computation.msg.data)
        if extract_lengths(data)[0] == 0:
            computation.output = _power(data)
        return result

    return modexp


def modexp_osaka(computation: Any) -> None:
    """MODEXP with the bounds of EIP-7823 and the gas of EIP-7883."""
    data = bytes(computation.msg.data)
    base_size, exponent_size, modulus_size = sizes = extract_lengths(data)
    if max(sizes) > _MODEXP_LARGEST:
        raise VMError(f"MODEXP: sizes {sizes}, at most {_MODEXP_LARGEST}")
    longest = max(base_size, modulus_size)
    complexity = 2 * ((longest + 7) // 8) ** 2 if longest > 32 else 16
    head = _number(data, 96 + base_size, min(exponent_size, 32)).bit_length()
    iterations = max(16 * max(exponent_size - 32, 0) + max(head - 1, 0), 1)
    computation.consume_gas(max(_MODEXP_MINIMUM_GAS, complexity * iterations), reason="MODEXP")
    computation.output = _power(data)


def p256verify(computation: Any) -> None:
    """ECDSA verification on secp256r1 (EIP-7951)."""
    computation.consume_gas(_P256VERIFY_GAS, reason="P256VERIFY")
    data = bytes(computation.msg.data)
    words = [int.from_bytes(data[at : at + 32], "big") for at in range(0, 160, 32)]
    good = len(data) == 160 and _verifies(*words)
    computation.output = (1).to_bytes(32, "big") if good else b""


def _power(data: bytes) -> bytes:
    base_size, exponent_size, modulus_size = extract_lengths(data)
    at = 96 + base_size
    base, exponent = _number(data, 96, base_size), _number(data, at, exponent_size)
    modulus = _number(data, at + exponent_size, modulus_size)
    result = pow(base, exponent, modulus) if modulus else 0
    return result.to_bytes(modulus_size, "big")


def _number(data: bytes, start: int, size: int) -> int:
    part = data[start : start + size]
    return int.from_bytes(part, "big") << 8 * (size - len(part))


def _verifies(digest: int, r: int, s: int, x: int, y: int) -> bool:
    if not (0 < r < _N and 0 < s < _N and x < _P and y < _P):
        return False
    if (y * y - x * x * x + 3 * x - _B) % _P:
        return False
    inverse = pow(s, -1, _N)
    point = _add(_multiply(digest * inverse % _N, _G), _multiply(r * inverse % _N, (x, y)))
    return point is not None and point[0] % _N == r


def _add(first: _Point, second: _Point) -> _Point:
    if first is None or second is None:
        return first or second
    (x1, y1), (x2, y2) = first, second
    if x1 == x2 and (y1 + y2) % _P == 0:
        return None
    if first == second:
        slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, _P)
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, _P)
    x = (slope * slope - x1 - x2) % _P
    return x, (slope * (x1 - x) - y1) % _P


def _multiply(scalar: int, point: _Point) -> _Point:
    result: _Point = None
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result
