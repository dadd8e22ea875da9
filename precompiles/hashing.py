"""The hash of Ethereum, from the fastest back end that is installed."""

import sha3


def keccak(data: bytes) -> bytes:
    """keccak256 (not SHA3-256) of ``data``, 32 bytes."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest
