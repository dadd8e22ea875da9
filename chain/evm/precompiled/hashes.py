"""ECRECOVER, SHA256, RIPEMD160 and IDENTITY (Yellow Paper, appendix E; addresses 1 to 4)."""

from hashlib import sha256 as _sha256
from typing import Final

from Crypto.Hash import RIPEMD160

from chain.evm.frame import Frame
from chain.signatures import BadSignature, recover

_ECRECOVER_GAS: Final = 3_000
_SHA256_GAS: Final = 60
_SHA256_WORD_GAS: Final = 12
_RIPEMD160_GAS: Final = 600
_RIPEMD160_WORD_GAS: Final = 120
_IDENTITY_GAS: Final = 15
_IDENTITY_WORD_GAS: Final = 3


def ecrecover(frame: Frame) -> bytes:
    """Signer of ``digest, v, r, s`` (32 bytes each) as a word; empty when there is none.

    v is 27 or 28; a high s is allowed.
    """
    frame.charge(_ECRECOVER_GAS)
    data = frame.data[:128].ljust(128, b"\0")
    v, r, s = (int.from_bytes(data[i : i + 32], "big") for i in (32, 64, 96))
    try:
        return recover(data[:32], v - 27, r, s, high_s=True).rjust(32, b"\0")
    except BadSignature:
        return b""


def sha256(frame: Frame) -> bytes:
    """SHA2-256 of the input."""
    data = frame.data
    frame.charge(_SHA256_GAS + _SHA256_WORD_GAS * ((len(data) + 31) >> 5))
    return _sha256(data).digest()


def ripemd160(frame: Frame) -> bytes:
    """RIPEMD-160 of the input, left-padded to a word."""
    data = frame.data
    frame.charge(_RIPEMD160_GAS + _RIPEMD160_WORD_GAS * ((len(data) + 31) >> 5))
    return RIPEMD160.new(data).digest().rjust(32, b"\0")


def identity(frame: Frame) -> bytes:
    """The input."""
    data = frame.data
    frame.charge(_IDENTITY_GAS + _IDENTITY_WORD_GAS * ((len(data) + 31) >> 5))
    return data
