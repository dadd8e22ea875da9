"""P256VERIFY: ECDSA verification on secp256r1 (EIP-7951, Osaka; address 0x100)."""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from chain.evm.frame import Frame

_GAS: Final = 6_900
_PRIME: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_CURVE: Final = SECP256R1()
_ALGORITHM: Final = ECDSA(Prehashed(SHA256()))
_VALID: Final = (1).to_bytes(32, "big")


def p256verify(frame: Frame) -> bytes:
    """1 as a word when ``digest, r, s, x, y`` (32 bytes each) verifies; else empty."""
    frame.charge(_GAS)
    data = frame.data
    if len(data) != 160:
        return b""
    r, s, x, y = (int.from_bytes(data[i : i + 32], "big") for i in (32, 64, 96, 128))
    return _VALID if _in_range(r, s, x, y) and _verifies(data[:32], r, s, x, y) else b""


def _in_range(r: int, s: int, x: int, y: int) -> bool:
    """Whether r and s are in [1, n) and (x, y) is a point of the curve; (0, 0) is none."""
    if not (0 < r < _ORDER and 0 < s < _ORDER and x < _PRIME and y < _PRIME):
        return False
    return (y * y - (x * x - 3) * x - _B) % _PRIME == 0


def _verifies(digest: bytes, r: int, s: int, x: int, y: int) -> bool:
    key = EllipticCurvePublicNumbers(x, y, _CURVE).public_key()
    try:
        key.verify(encode_dss_signature(r, s), digest, _ALGORITHM)
    except InvalidSignature:
        return False
    return True
