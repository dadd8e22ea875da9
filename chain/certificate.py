"""Commit certificates: the round and the seals that finalised a block.

They are stored beside the header, keyed by block hash, and never enter the hash. Several valid
certificates for one hash are normal: compare hashes, never certificates.
"""

from dataclasses import dataclass

from chain import rlp
from chain.errors import InvalidSeal

MAX_ROUND_BITS = 32
SEAL_SIZE = 65


@dataclass(frozen=True, slots=True)
class CommitCertificate:
    """Round (below 2**32) and 65-byte seals r || s || v, in any order."""

    round: int
    seals: tuple[bytes, ...]

    @property
    def rlp(self) -> bytes:
        """``[round, [seal, ...]]``."""
        return rlp.encode([rlp.uint(self.round), self.seals])


def decode_certificate(encoded: bytes) -> CommitCertificate:
    """Read ``CommitCertificate.rlp``; raises InvalidSeal."""
    try:
        items = rlp.decode_list(encoded)
        if len(items) != 2:
            raise InvalidSeal(f"certificate has {len(items)} fields, want 2")
        return CommitCertificate(
            round=rlp.as_uint(items[0], MAX_ROUND_BITS), seals=rlp.bytes_list(items[1], SEAL_SIZE)
        )
    except rlp.RlpError as error:
        raise InvalidSeal(f"certificate: {error}") from None
