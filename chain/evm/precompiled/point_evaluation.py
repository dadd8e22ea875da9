"""POINT_EVALUATION: whether a blob takes a value at a point (EIP-4844, Cancun; address 0x0a)."""

from functools import cache
from hashlib import sha256
from typing import Final

from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from chain.evm.errors import PrecompileFailure
from chain.evm.frame import Frame

_GAS: Final = 50_000
_FIELD_ELEMENTS_PER_BLOB: Final = 4096
_BLS_MODULUS: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_OUTPUT: Final = _FIELD_ELEMENTS_PER_BLOB.to_bytes(32, "big") + _BLS_MODULUS.to_bytes(32, "big")
_SETUP: Final = bytes.fromhex(
    "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d"
    "2914e5870cb452d2afaaab24f3499f72185cbfee53492714734429b7b38608e2"
    "3926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2"
)
"""The secret of the trusted setup times the generator of G2 (``KZG_SETUP_G2_MONOMIAL[1]``)."""


def point_evaluation(frame: Frame) -> bytes:
    """Check p(z) = y for a KZG commitment to p.

    Input: 32-byte versioned hash, z and y (32 bytes each, below the modulus), commitment and proof
    (48 bytes each, compressed points of G1).

    Raises:
        PrecompileFailure: malformed input or another commitment's hash, or the proof does not hold.
    """
    frame.charge(_GAS)
    data = frame.data
    if len(data) != 192:
        raise PrecompileFailure(f"invalid input length {len(data)}, want 192")
    if b"\x01" + sha256(data[96:144]).digest()[1:] != data[:32]:
        raise PrecompileFailure("mismatched versioned hash")
    try:
        z, y = Scalar.from_be_bytes(data[32:64]), Scalar.from_be_bytes(data[64:96])
        commitment, proof = _point(data[96:144]), _point(data[144:192])
    except ValueError as error:
        raise PrecompileFailure(str(error)) from None
    generator, generator2 = G1Point(), G2Point()
    # e(C - yG, -G2) * e(proof, (secret - z) G2) = 1
    if not GT.pairing_check(
        [commitment - generator * y, proof], [-generator2, _setup() - generator2 * z]
    ):
        raise PrecompileFailure("proof does not hold")
    return _OUTPUT


def _point(data: bytes) -> G1Point:
    """A point of G1; ValueError unless these are the bytes that it is written as."""
    point = G1Point.from_compressed_bytes(data)
    if point.to_compressed_bytes() != data:  # infinity followed by anything
        raise ValueError("compressed point is not canonical")
    return point


@cache
def _setup() -> G2Point:
    return G2Point.from_compressed_bytes(_SETUP)
