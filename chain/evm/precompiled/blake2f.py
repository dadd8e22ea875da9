"""BLAKE2F: the compression function of BLAKE2b (EIP-152, Istanbul; address 9)."""

from typing import Final

import numpy as np

from chain.evm.errors import PrecompileFailure
from chain.evm.frame import Frame
from precompiles.kernels import blake2

_SIZE: Final = 213
_NOTHING: Final = np.zeros(0, np.uint8)


def blake2f(frame: Frame) -> bytes:
    """One compression, 1 gas per round.

    Input: rounds (4 bytes, big-endian), state (8 words), message (16 words), offset counters (2
    words), all words of 64 bits, little-endian, and the final block flag (1 byte, 0 or 1).
    """
    data = frame.data
    if len(data) != _SIZE:
        raise PrecompileFailure(f"invalid input length {len(data)}, want {_SIZE}")
    rounds, flag = int.from_bytes(data[:4], "big"), data[-1]
    frame.charge(rounds)
    if flag > 1:
        raise PrecompileFailure(f"invalid final flag {flag}")
    memory = np.zeros(8 * blake2.WORDS, np.uint8)
    memory[: 8 * blake2.WORK] = np.frombuffer(data, np.uint8, 8 * blake2.WORK, 4)
    blake2.compress(memory, _NOTHING, np.array([rounds, flag], np.int64), 1)
    return memory[: 8 * blake2.MESSAGE].tobytes()
