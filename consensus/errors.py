"""What goes wrong in consensus, sorted by who is wrong.

    ConsensusError
    ├── MessageError            a peer sent something that is no message of this chain: score it
    │   └── UnknownSender       signed by nobody of the validator set: drop it
    ├── SignerError             this node must not start: another process holds the key, bad file
    │   └── SigningRefused      this one vote must not be signed; the node goes on without it
    ├── JournalError            the journal is damaged; the text says what to do
    ├── LightClientError        a header or set change is not proven
    └── CertificateError        an inference certificate cannot be built or read
        └── VerificationError   a certificate does not prove its statement

The network's own errors are in ``consensus.network.errors``.
"""


class ConsensusError(Exception):
    """Base of this package's errors."""


class MessageError(ConsensusError):
    """Bytes that are no valid consensus message; names the rule and both values."""


class UnknownSender(MessageError):
    """A well-signed message of an address that may not vote."""

    def __init__(self, author: bytes) -> None:
        super().__init__(f"signed by 0x{author.hex()}, who is no validator")
        self.author = author


class SignerError(ConsensusError):
    """The key cannot be used safely."""


class SigningRefused(SignerError):
    """Signing would go back, or contradict an earlier signature of the same step."""


class JournalError(ConsensusError):
    """The journal cannot be trusted; the text says what to do."""


class LightClientError(ConsensusError):
    """A header that the known validators did not finalise, or a validator set without proof."""


class CertificateError(ConsensusError):
    """An inference certificate that cannot be built, or is not of the known schema."""


class VerificationError(CertificateError):
    """A certificate that does not prove its statement.

    Args:
        check: name of the check that failed.
        reason: what was compared, with both values.
    """

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(f"{check}: {reason}")
        self.check, self.reason = check, reason
