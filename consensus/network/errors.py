"""Everything that can go wrong between two nodes.

NetworkError
├── AddressError      a peer address that cannot be read
├── FrameError        a frame that is too large, unknown or not canonical
│   └── ForgedRecord  a peer record that its node did not sign
└── HandshakeError    the other side was refused, or refused us
    └── Refused       the other side is there and does not want us
"""

from typing import ClassVar

from consensus.errors import ConsensusError
from consensus.network.limits import Penalty


class NetworkError(ConsensusError):
    """Base of all network failures; the text is fit for a log line."""


class AddressError(NetworkError):
    """Not of the form ``NODE_ID@host:port`` or ``host:port``."""


class FrameError(NetworkError):
    """A frame broke a limit or the format; the sender is at fault and loses ``penalty``."""

    penalty: ClassVar[Penalty] = Penalty.SPAM


class ForgedRecord(FrameError):
    """A peer record with another signer, which an honest peer would not have passed on."""

    penalty: ClassVar[Penalty] = Penalty.BAD_SIGNATURE


class HandshakeError(NetworkError):
    """No session: the reason says which values differ, or quotes the other side's refusal."""


class Refused(HandshakeError):
    """The other side said no, and why."""
