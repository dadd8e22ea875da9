"""BLAKE2F: the compression function of BLAKE2b (EIP-152, Istanbul; address 9)."""

from struct import unpack
from typing import Final

from eth._utils.blake2.compression import blake2b_compress
from chain.evm.errors import PrecompileFailure
from chain.evm.frame import Frame

_INPUT: Final = 213


def blake2f(frame: Frame) -> bytes:
    """One compression.

    Input: rounds (4 bytes, big-endian; 1 gas each), state (8 words), message (16 words), offset
    counters (2 words), all words 64 bits little-endian, final block flag (1 byte, 0 or 1).
    """
    data = frame.data
    if len(data) != _INPUT:
        raise PrecompileFailure(f"invalid input length {len(data)}, want {_INPUT}")
    rounds = int.from_bytes(data[:4], "big")
    frame.charge(rounds)
    if data[-1] > 1:
        raise PrecompileFailure(f"invalid final flag {data[-1]}")
    h = unpack("<8Q", data[4:68]); m = unpack("<16Q", data[68:196]); t = unpack("<2Q", data[196:212])
    return bytes(blake2b_compress(rounds, h, m, t, bool(data[-1])))
