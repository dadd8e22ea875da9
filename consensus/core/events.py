"""What happens to the core, and what it wants done.

The engine feeds events one at a time and performs the effects of each transition in their order.
Two rules carry the safety of the whole: what is persisted is on disk before a later ``Broadcast``
leaves, and a message that was broadcast comes back as ``MessageReceived`` like anybody else's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from consensus.core.messages import Code, Draft, Message, SignedPrepare
from consensus.core.types import Height, ProposedBlock


@dataclass(frozen=True, slots=True)
class Lock:
    """A block that a quorum prepared in ``round``, with those PREPAREs."""

    round: int
    block: ProposedBlock
    prepares: tuple[SignedPrepare, ...]


@dataclass(frozen=True, slots=True)
class RoundEntered:
    """Journal entry: this node is in ``round`` of ``height``."""

    height: int
    round: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """Journal entry: this node found the proposal of ``round`` valid and will PREPARE it."""

    height: int
    round: int
    block: ProposedBlock


@dataclass(frozen=True, slots=True)
class Locked:
    """Journal entry: the block accepted in ``round`` has a quorum of PREPAREs."""

    height: int
    round: int
    prepares: tuple[SignedPrepare, ...]


Entry = RoundEntered | Accepted | Locked


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the journal knows about the one height that was under way.

    Attributes:
        height: of the votes below.
        round: highest round entered.
        accepted: proposal accepted in ``round``, if any.
        lock: highest lock.
        sent: own signed messages by (round, code); ROUND-CHANGEs without their evidence.
    """

    height: int
    round: int = 0
    accepted: ProposedBlock | None = None
    lock: Lock | None = None
    sent: Mapping[tuple[int, Code], Message] = field(default_factory=dict)


class Timer(Enum):
    """Kinds of timer; starting one replaces the running one of the same kind."""

    ROUND = "round"
    RESEND = "resend"


# Events.


@dataclass(frozen=True, slots=True)
class NewHeight:
    """The parent is committed: decide the next block.

    Attributes:
        height: what to decide.
        voting: False while this node must not vote (it syncs, or the journal is ahead of the
            database); it then only follows.
        recovered: the journal's knowledge after a restart; used only if it is of this height.
    """

    height: Height
    voting: bool = True
    recovered: Recovered | None = None


@dataclass(frozen=True, slots=True)
class PeriodElapsed:
    """Answer to ``AwaitPeriod``: the time to propose in round 0 has come."""

    height: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message whose signatures and seals are checked, own ones included."""

    message: Message


@dataclass(frozen=True, slots=True)
class BlockBuilt:
    """Answer to ``BuildBlock`` of the same height and round; the executor knows the block."""

    round: int
    block: ProposedBlock


@dataclass(frozen=True, slots=True)
class BlockValidated:
    """Answer to ``ValidateBlock``: whether the block executes to its declared roots."""

    block: ProposedBlock
    valid: bool


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that ``StartTimer`` started has run out."""

    timer: Timer
    height: int
    round: int


Event = NewHeight | PeriodElapsed | MessageReceived | BlockBuilt | BlockValidated | TimerFired


# Effects.


@dataclass(frozen=True, slots=True)
class AwaitPeriod:
    """Post ``PeriodElapsed`` at parent timestamp + period, or later where a block needs content."""

    height: int


@dataclass(frozen=True, slots=True)
class Persist:
    """Append to the journal; it must be on disk before the next ``Broadcast`` leaves."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Sign, journal with fsync, send to all validators, then post it as ``MessageReceived``.

    Where the signer refuses, nothing is sent and nothing is posted; the round goes on without it.
    """

    draft: Draft


@dataclass(frozen=True, slots=True)
class Resend:
    """Send an own message from the journal again, as it is."""

    message: Message


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Build a block on the parent, with this node as coinbase; answer with ``BlockBuilt``."""

    height: int
    round: int


@dataclass(frozen=True, slots=True)
class ValidateBlock:
    """Check timestamp and header rules, execute; answer with ``BlockValidated``."""

    block: ProposedBlock


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Post ``TimerFired`` after ``delay_ms``."""

    timer: Timer
    height: int
    round: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class CommitBlock:
    """Decided: write the block with its certificate in one step, then post ``NewHeight``.

    Attributes:
        block: known to the executor, found valid by it.
        round: round of the certificate.
        seals: a quorum or more, by distinct validators, 65 bytes each, in order of author.
    """

    block: ProposedBlock
    round: int
    seals: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Diverged:
    """A quorum decided a block that this node found invalid: it stops voting, loudly."""

    block: ProposedBlock
    round: int
    seals: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RequestBlocks:
    """``author`` is ahead of us or knows a decided block that we lack: ask it, from ``height`` on.

    May come many times for one gap; the engine keeps one request under way.
    """

    author: bytes
    height: int


@dataclass(frozen=True, slots=True)
class OfferBlock:
    """``author`` still votes at ``height``, which is committed here: send it that sealed block."""

    author: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A validly signed message broke the protocol; for the log and the peer's score."""

    author: bytes
    reason: str


Effect = (
    AwaitPeriod
    | Persist
    | Broadcast
    | Resend
    | BuildBlock
    | ValidateBlock
    | StartTimer
    | CommitBlock
    | Diverged
    | RequestBlocks
    | OfferBlock
    | Rejected
)
Effects = tuple[Effect, ...]
