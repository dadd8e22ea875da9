"""The four QBFT messages, as facts: whoever builds one has checked its signatures.

A ``Signed`` payload is what may travel inside another message as evidence. A ``Draft`` is a message
that this node wants to send; the signer turns it into a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from consensus.core.types import ProposedBlock


class Code(IntEnum):
    """Message codes on the wire and in the signed domain; the values are Besu's."""

    PROPOSAL = 0x12
    PREPARE = 0x13
    COMMIT = 0x14
    ROUND_CHANGE = 0x15


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a ROUND-CHANGE says about its sender's lock: round and digest (in that round)."""

    round: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class ProposalPayload:
    """PROPOSAL: this block in this round."""

    height: int
    round: int
    block: ProposedBlock


@dataclass(frozen=True, slots=True)
class PreparePayload:
    """PREPARE: the proposal with this 32-byte digest is valid."""

    height: int
    round: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class CommitPayload:
    """COMMIT: a quorum prepared ``digest``; ``seal`` signs it (65 bytes; empty in a draft)."""

    height: int
    round: int
    digest: bytes
    seal: bytes = b""


@dataclass(frozen=True, slots=True)
class RoundChangePayload:
    """ROUND-CHANGE: wants ``round``, at least 1; ``prepared`` is the lock, of a lower round."""

    height: int
    round: int
    prepared: Prepared | None


Payload = ProposalPayload | PreparePayload | CommitPayload | RoundChangePayload
P_co = TypeVar("P_co", bound=Payload, covariant=True)

CODES: Final[Mapping[type[Payload], Code]] = MappingProxyType(
    {
        ProposalPayload: Code.PROPOSAL,
        PreparePayload: Code.PREPARE,
        CommitPayload: Code.COMMIT,
        RoundChangePayload: Code.ROUND_CHANGE,
    }
)


@dataclass(frozen=True, slots=True)
class Signed(Generic[P_co]):
    """A payload, who signed it (20 bytes, recovered from the signature) and the 65-byte proof."""

    payload: P_co
    author: bytes
    signature: bytes


SignedPrepare = Signed[PreparePayload]
SignedRoundChange = Signed[RoundChangePayload]


@dataclass(frozen=True, slots=True)
class Proposal:
    """PROPOSAL with its justification: both lists are empty in round 0."""

    signed: Signed[ProposalPayload]
    round_changes: tuple[SignedRoundChange, ...] = ()
    prepares: tuple[SignedPrepare, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE."""

    signed: SignedPrepare


@dataclass(frozen=True, slots=True)
class Commit:
    """COMMIT; its seal was checked to be by the author over the digest."""

    signed: Signed[CommitPayload]


@dataclass(frozen=True, slots=True)
class RoundChange:
    """ROUND-CHANGE; when prepared, with the locked block and the quorum of PREPAREs for it."""

    signed: SignedRoundChange
    block: ProposedBlock | None = None
    prepares: tuple[SignedPrepare, ...] = ()


Message = Proposal | Prepare | Commit | RoundChange


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to sign and send. The evidence fields are those of the message it becomes."""

    payload: Payload
    round_changes: tuple[SignedRoundChange, ...] = ()
    prepares: tuple[SignedPrepare, ...] = ()
    block: ProposedBlock | None = None

    @property
    def code(self) -> Code:
        """Message code of the payload."""
        return CODES[type(self.payload)]


def seal_message(draft: Draft, author: bytes, payload: Payload, signature: bytes) -> Message:
    """The message that a draft becomes; ``payload`` is the draft's, a COMMIT's with its seal."""
    match payload:
        case ProposalPayload():
            signed = Signed(payload, author, signature)
            return Proposal(signed, draft.round_changes, draft.prepares)
        case PreparePayload():
            return Prepare(Signed(payload, author, signature))
        case CommitPayload():
            return Commit(Signed(payload, author, signature))
        case RoundChangePayload():
            return RoundChange(Signed(payload, author, signature), draft.block, draft.prepares)
