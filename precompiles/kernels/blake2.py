"""The compression function F of BLAKE2b (RFC 7693, section 3.2), any number of rounds."""

from typing import Any, Final

import numpy as np

from precompiles.kernels.arrays import S64, U8, Array
from precompiles.kernels.jit import kernel, subroutine

STATE: Final = 0
MESSAGE: Final = 8
OFFSET: Final = 24
WORK: Final = 26
WORDS: Final = 42
"""64-bit words of ``memory``: state, message, offset counters, then the working vector."""

INITIAL: Final = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip
SCHEDULE: Final = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
_MASK: Final = (1 << 64) - 1


def mix(v: Array, a: int, b: int, c: int, d: int, x: Any, y: Any) -> None:
    """Function G on four words of ``v``; the machine form is in ``llvm_blake2``."""
    for word, turn in ((x, 32), (y, 16)):
        v[a] = (int(v[a]) + int(v[b]) + int(word)) & _MASK
        v[d] = _rotated(int(v[d]) ^ int(v[a]), turn)
        v[c] = (int(v[c]) + int(v[d])) & _MASK
        v[b] = _rotated(int(v[b]) ^ int(v[c]), {32: 24, 16: 63}[turn])


def _rotated(word: int, turn: int) -> int:
    return (word >> turn) | (word << (64 - turn)) & _MASK


@subroutine
def mix_round(v: Array, m: Array, order: S64) -> None:
    """One round: columns, then diagonals."""
    for i in range(4):
        mix(v, i, 4 + i, 8 + i, 12 + i, m[order[2 * i]], m[order[2 * i + 1]])
    for i in range(4):
        b, c, d = 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4
        mix(v, i, b, c, d, m[order[8 + 2 * i]], m[order[9 + 2 * i]])


@kernel
def compress(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Compress one block in place; ``memory`` is WORDS words, little-endian.

    args: rounds, 0 to 2**32 - 1; 1 for the final block, else 0.
    """
    words = memory.view(np.uint64)
    h, m, v = words[STATE:MESSAGE], words[MESSAGE:OFFSET], words[WORK:WORDS]
    for i in range(8):
        v[i] = h[i]
        v[8 + i] = INITIAL[i]
    v[12] ^= words[OFFSET]
    v[13] ^= words[OFFSET + 1]
    if args[1] != 0:
        v[14] = ~v[14]
    for number in range(args[0]):
        mix_round(v, m, SCHEDULE[number % 10])
    for i in range(8):
        h[i] ^= v[i] ^ v[8 + i]
