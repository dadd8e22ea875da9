"""What a node remembers of the height being decided, and of messages for later heights."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consensus.core.events import Lock, StartTimer, Timer
from consensus.core.messages import (
    Code,
    Commit,
    Message,
    Prepare,
    RoundChange,
    SignedRoundChange,
)
from consensus.core.types import Config, Height, ProposedBlock

Votes = tuple[int, bytes]
"""Key of one vote: (round, author); the first message under a key wins."""


@dataclass(frozen=True, slots=True)
class State:
    """One node's view; replaced, never changed.

    Attributes:
        config: constants of the node.
        height: being decided.
        voting: whether this node signs anything.
        waiting: the timer of the round has not started: in round 0 the period has not elapsed, in
            later rounds fewer than a quorum came along; and no proposal has come.
        round: current round.
        candidate: the justified proposal of this round, accepted or still being validated.
        accepted: the candidate is valid and our PREPARE for it was sent.
        commit_sent: our COMMIT of this round was sent.
        evidence: ROUND-CHANGEs that justify the block being built; None while none is being built.
        prepares, commits, round_changes: votes of this height by validators.
        lock: highest prepared block.
        blocks: blocks that were handed to validation, by their digest in round 0.
        verdicts: results of validation, by the same key; absent while it runs.
        rejections: rounds of this height left at once because their proposal was invalid here.
        cast: digests that this node signed, by (round, code), also before a restart.
        done: decided (or diverged); everything but the next height is ignored.
        future: messages for later heights, in order of arrival.
    """

    config: Config
    height: Height
    voting: bool
    waiting: bool = True
    round: int = 0
    candidate: ProposedBlock | None = None
    accepted: bool = False
    commit_sent: bool = False
    evidence: tuple[SignedRoundChange, ...] | None = None
    prepares: Mapping[Votes, Prepare] = field(default_factory=dict)
    commits: Mapping[Votes, Commit] = field(default_factory=dict)
    round_changes: Mapping[Votes, RoundChange] = field(default_factory=dict)
    lock: Lock | None = None
    blocks: Mapping[bytes, ProposedBlock] = field(default_factory=dict)
    verdicts: Mapping[bytes, bool] = field(default_factory=dict)
    rejections: int = 0
    cast: Mapping[tuple[int, Code], bytes] = field(default_factory=dict)
    done: bool = False
    future: tuple[Message, ...] = ()

    def digest(self, block: ProposedBlock, round_number: int) -> bytes:
        """What PREPARE and COMMIT of this block name in this round."""
        return self.config.commit_digest(block.encoded, round_number)

    def block_key(self, block: ProposedBlock) -> bytes:
        """Identity of a block over all rounds."""
        return self.digest(block, 0)

    @property
    def is_proposer(self) -> bool:
        """Whether this node proposes in the current round."""
        return self.voting and self.height.proposer(self.round) == self.config.address

    def round_timer(self) -> StartTimer:
        """The timer of the current round."""
        delay = self.config.timeout_ms(self.round)
        return StartTimer(Timer.ROUND, self.height.number, self.round, delay)

    def resend_timer(self) -> StartTimer:
        """The timer after which ROUND-CHANGE is sent again."""
        delay = self.config.base_timeout_ms
        return StartTimer(Timer.RESEND, self.height.number, self.round, delay)
