"""BLS12-381 curve operations (EIP-2537, Prague; addresses 0x0b to 0x11).

A field element is 64 bytes, big-endian, below p; an Fp2 element c0 then c1; a point x then y, all
zeros for infinity. Additions take any point on the curve, the others only points of the
prime-order subgroup.
"""

from typing import Final

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from chain.evm.errors import PrecompileFailure
from chain.evm.frame import Frame
from chain.evm.precompiled.discounts import G1_DISCOUNTS, G2_DISCOUNTS

_G1_ADD_GAS: Final = 375
_G2_ADD_GAS: Final = 600
_G1_MUL_GAS: Final = 12_000
_G2_MUL_GAS: Final = 22_500
_PAIRING_GAS: Final = 37_700
_PAIRING_PAIR_GAS: Final = 32_600
_MAP_G1_GAS: Final = 5_500
_MAP_G2_GAS: Final = 23_800

_FIELD: Final = 64
_G1: Final = 2 * _FIELD
_G2: Final = 4 * _FIELD
_SCALAR: Final = 32
_PADDING: Final = bytes(16)


def bls12_g1_add(frame: Frame) -> bytes:
    """Sum of two points of the curve over Fp."""
    data = _exactly(frame.data, 2 * _G1)
    frame.charge(_G1_ADD_GAS)
    try:
        first = G1Point.from_xy_bytes_unchecked_be(_coordinates(data[:_G1]))
        second = G1Point.from_xy_bytes_unchecked_be(_coordinates(data[_G1:]))
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None
    return _padded((first + second).to_xy_bytes_be())


def bls12_g2_add(frame: Frame) -> bytes:
    """Sum of two points of the twist over Fp2."""
    data = _exactly(frame.data, 2 * _G2)
    frame.charge(_G2_ADD_GAS)
    try:
        first = G2Point.from_xy_bytes_unchecked_be(_coordinates(data[:_G2]))
        second = G2Point.from_xy_bytes_unchecked_be(_coordinates(data[_G2:]))
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None
    return _padded((first + second).to_xy_bytes_be())


def bls12_g1_msm(frame: Frame) -> bytes:
    """Sum of scalar multiples, (point of G1, 32-byte scalar) each; any scalar."""
    items = _items(frame.data, _G1 + _SCALAR)
    frame.charge(_msm_gas(len(items), _G1_MUL_GAS, G1_DISCOUNTS))
    try:
        points = [G1Point.from_xy_bytes_be(_coordinates(item[:_G1])) for item in items]
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None
    scalars = [Scalar.from_be_bytes_mod_order(item[_G1:]) for item in items]
    return _padded(G1Point.multiexp_unchecked(points, scalars).to_xy_bytes_be())


def bls12_g2_msm(frame: Frame) -> bytes:
    """Sum of scalar multiples, (point of G2, 32-byte scalar) each; any scalar."""
    items = _items(frame.data, _G2 + _SCALAR)
    frame.charge(_msm_gas(len(items), _G2_MUL_GAS, G2_DISCOUNTS))
    try:
        points = [G2Point.from_xy_bytes_be(_coordinates(item[:_G2])) for item in items]
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None
    scalars = [Scalar.from_be_bytes_mod_order(item[_G2:]) for item in items]
    return _padded(G2Point.multiexp_unchecked(points, scalars).to_xy_bytes_be())


def bls12_pairing_check(frame: Frame) -> bytes:
    """1 when the product of the pairings of all (point of G1, point of G2) is one, else 0."""
    items = _items(frame.data, _G1 + _G2)
    frame.charge(_PAIRING_GAS + _PAIRING_PAIR_GAS * len(items))
    try:
        first = [G1Point.from_xy_bytes_be(_coordinates(item[:_G1])) for item in items]
        second = [G2Point.from_xy_bytes_be(_coordinates(item[_G1:])) for item in items]
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None
    return GT.pairing_check(first, second).to_bytes(32, "big")


def bls12_map_fp_to_g1(frame: Frame) -> bytes:
    """Point of G1 that a field element maps to (RFC 9380, simplified SWU, cofactor cleared)."""
    data = _exactly(frame.data, _FIELD)
    frame.charge(_MAP_G1_GAS)
    try:
        return _padded(G1Point.map_from_fp_be(_coordinates(data)).to_xy_bytes_be())
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None


def bls12_map_fp2_to_g2(frame: Frame) -> bytes:
    """Point of G2 that an Fp2 element maps to (RFC 9380, simplified SWU, cofactor cleared)."""
    data = _exactly(frame.data, 2 * _FIELD)
    frame.charge(_MAP_G2_GAS)
    try:
        return _padded(G2Point.map_from_fp2_be(_coordinates(data)).to_xy_bytes_be())
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise PrecompileFailure(f"invalid input length {len(data)}, want {size}")
    return data


def _items(data: bytes, size: int) -> list[bytes]:
    """The input in equal parts, one at least."""
    if not data or len(data) % size:
        raise PrecompileFailure(f"invalid input length {len(data)}, want a multiple of {size}")
    return [data[i : i + size] for i in range(0, len(data), size)]


def _msm_gas(count: int, gas: int, discounts: tuple[int, ...]) -> int:
    """Gas of ``count`` multiplications, discounted by thousandths."""
    return count * gas * discounts[min(count, len(discounts)) - 1] // 1000


def _coordinates(data: bytes) -> bytes:
    """Field elements of 48 bytes each out of 64 each; whether they are below p is not checked."""
    parts = []
    for start in range(0, len(data), _FIELD):
        if data[start : start + 16] != _PADDING:
            raise PrecompileFailure("invalid field element top bytes")
        parts.append(data[start + 16 : start + _FIELD])
    return b"".join(parts)


def _padded(coordinates: bytes) -> bytes:
    """Inverse of ``_coordinates``."""
    size = _FIELD - 16
    return b"".join(
        _PADDING + coordinates[start : start + size] for start in range(0, len(coordinates), size)
    )
