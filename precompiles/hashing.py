"""Keccak-256, the one hash of the chain. Floor of the house: imports nothing of ours."""

from typing import Final

from sha3 import keccak_256


def keccak256(data: bytes) -> bytes:
    """32-byte Keccak-256 (Ethereum's padding, not FIPS 202 SHA-3) of any bytes-like object."""
    digest: bytes = keccak_256(data).digest()
    return digest


EMPTY_HASH: Final = keccak256(b"")
"""keccak256 of no bytes: the code hash of an account without code."""
