"""Everything that can go wrong between two nodes.

NetworkError
├── AddressError      a peer address that cannot be read
├── FrameError        a frame that is too large, unknown or not canonical
└── HandshakeError    the other side was refused, or refused us
"""

from consensus.errors import ConsensusError


class NetworkError(ConsensusError):
    """Base of all network failures; the text is fit for a log line."""


class AddressError(NetworkError):
    """Not of the form ``NODE_ID@host:port`` or ``host:port``."""


class FrameError(NetworkError):
    """A frame broke a limit or the format; the sender is at fault."""


class HandshakeError(NetworkError):
    """No session: the reason says which values differ, or quotes the other side's refusal."""
