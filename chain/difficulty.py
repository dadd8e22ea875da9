"""Difficulty of blocks before the merge: Yellow Paper section 4.3.4, EIP-2, EIP-100 and the bomb.

The proof of work itself is not checked.
"""

from typing import Final

from chain.header import EMPTY_LIST_HASH, Header
from genesis.forks import Fork

MIN_DIFFICULTY: Final = 1 << 17
_BOUND_DIVISOR: Final = 2048
_MAX_DECREASE: Final = -99
_BOMB_PERIOD: Final = 100_000
_BOMB_DELAYS: Final = (
    (Fork.GRAY_GLACIER, 11_400_000),  # EIP-5133
    (Fork.ARROW_GLACIER, 10_700_000),  # EIP-4345
    (Fork.LONDON, 9_700_000),  # EIP-3554
    (Fork.MUIR_GLACIER, 9_000_000),  # EIP-2384
    (Fork.CONSTANTINOPLE, 5_000_000),  # EIP-1234
    (Fork.BYZANTIUM, 3_000_000),  # EIP-649
)
"""Blocks by which each fork delays the bomb, last fork first."""


def next_difficulty(fork: Fork, parent: Header, timestamp: int) -> int:
    """Difficulty of the block after ``parent``.

    Args:
        fork: rules of the new block, before Paris.
        parent: its parent.
        timestamp: of the new block, later than the parent's (seconds).
    """
    step = parent.difficulty // _BOUND_DIVISOR
    elapsed = timestamp - parent.timestamp
    if fork >= Fork.BYZANTIUM:
        most = 1 if parent.ommers_hash == EMPTY_LIST_HASH else 2
        change = max(most - elapsed // 9, _MAX_DECREASE)
    elif fork >= Fork.HOMESTEAD:
        change = max(1 - elapsed // 10, _MAX_DECREASE)
    else:
        change = 1 if elapsed < 13 else -1
    return max(parent.difficulty + step * change + _bomb(fork, parent.number + 1), MIN_DIFFICULTY)


def _bomb(fork: Fork, number: int) -> int:
    delay = next((delay for start, delay in _BOMB_DELAYS if fork >= start), 0)
    period = max(number - delay, 0) // _BOMB_PERIOD
    return 1 << (period - 2) if period >= 2 else 0
