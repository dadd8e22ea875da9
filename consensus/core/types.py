"""Words of QBFT: blocks as the core sees them, validator arithmetic, the height being decided."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProposedBlock:
    """A block under vote; the same record in every round, because the round is not part of it.

    Attributes:
        height: block number.
        parent_hash: 32 bytes, hash of the parent's stored header.
        coinbase: first proposer of the block, 20 bytes; kept when it is proposed again.
        timestamp: whole seconds.
        encoded: RLP of the block with its header in the stored (CHAIN) form; opaque here.
    """

    height: int
    parent_hash: bytes
    coinbase: bytes
    timestamp: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Config:
    """What stays the same over all heights of one node.

    Attributes:
        address: this node, 20 bytes; need not be a validator.
        commit_digest: (encoded block, round) -> 32-byte digest that votes name and seals sign.
        base_timeout_ms: time of round 0, and the interval at which ROUND-CHANGE is sent again.
        timeout_cap_ms: longest time of a round.
    """

    address: bytes
    commit_digest: Callable[[bytes, int], bytes]
    base_timeout_ms: int
    timeout_cap_ms: int

    def timeout_ms(self, round_number: int) -> int:
        """T(r) = min(base * 2**r, cap); docs/spec/consensus.md, 5.7."""
        return min(self.base_timeout_ms << min(round_number, 32), self.timeout_cap_ms)


@dataclass(frozen=True, slots=True)
class Height:
    """The height being decided.

    Attributes:
        number: of the next block, at least 1.
        parent_hash: hash of the block before it.
        parent_coinbase: its proposer; without meaning at height 1.
        validators: set after the parent, sorted ascending, never empty.
    """

    number: int
    parent_hash: bytes
    parent_coinbase: bytes
    validators: tuple[bytes, ...]

    @property
    def quorum(self) -> int:
        """Votes that decide."""
        return quorum(len(self.validators))

    def proposer(self, round_number: int) -> bytes:
        """Who proposes in this round; docs/spec/consensus.md, section 2."""
        start = 0
        if self.number > 1:
            start = bisect_right(self.validators, self.parent_coinbase)
        return self.validators[(start + round_number) % len(self.validators)]


def quorum(validators: int) -> int:
    """Smallest vote count of which any two sets share an honest validator; ceil(2n/3)."""
    return (2 * validators - 1) // 3 + 1


def max_faulty(validators: int) -> int:
    """Largest number of arbitrary faults that n validators bear; floor((n-1)/3)."""
    return (validators - 1) // 3
