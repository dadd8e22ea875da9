"""JUMPDESTs of EVM code that are no push data (Yellow Paper, section 9.4.3)."""

from precompiles.kernels.arrays import S64, U8
from precompiles.kernels.jit import kernel

_JUMPDEST = 0x5B
_PUSH0, _PUSH1, _PUSH32 = 0x5F, 0x60, 0x7F


@kernel
def mark_destinations(memory: U8, weights: U8, args: S64, batch: int) -> None:
    """Turn code, which is all of ``memory``, into 1 where a jump may land and 0 elsewhere.

    Every byte takes the same few steps, without a branch, so no code is slower than another one.
    """
    data = 0  # bytes of push data to come
    for pc in range(memory.size):
        value = int(memory[pc])
        pushed = value - _PUSH0 if value >= _PUSH1 and value <= _PUSH32 else 0
        memory[pc] = (data == 0) & (value == _JUMPDEST)
        data = pushed if data == 0 else data - 1
