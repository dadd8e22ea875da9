"""Checks of commit seals. They are made in ``consensus``; header validity belongs here."""

from collections.abc import Sequence

from chain.certificate import SEAL_SIZE, CommitCertificate
from chain.errors import InvalidSeal
from chain.extra_data import commit_hash
from chain.header import Header
from chain.signatures import BadSignature, recover


def quorum(n: int) -> int:
    """Votes that decide among ``n`` >= 1 validators: more than two thirds."""
    return (2 * n - 1) // 3 + 1


def seal_author(commit_hash: bytes, seal: bytes) -> bytes:
    """Address that sealed a 32-byte COMMIT hash.

    Args:
        commit_hash: the raw digest that is signed, no prefix.
        seal: r || s || v, 65 bytes, v 0 or 1, low s.

    Raises:
        InvalidSeal: malformed, high s, or no key behind it.
    """
    if len(seal) != SEAL_SIZE:
        raise InvalidSeal(f"seal has {len(seal)} bytes, want {SEAL_SIZE}")
    try:
        return recover(
            commit_hash,
            seal[64],
            int.from_bytes(seal[:32], "big"),
            int.from_bytes(seal[32:64], "big"),
        )
    except BadSignature as error:
        raise InvalidSeal(f"seal: {error}") from None


def verify_certificate(
    header: Header, certificate: CommitCertificate, validators: Sequence[bytes]
) -> None:
    """Check that a quorum of ``validators`` committed ``header`` in the certificate's round.

    Args:
        header: any of its three forms.
        certificate: round and seals.
        validators: the set after the parent block, 20-byte addresses.

    Raises:
        InvalidSeal: a malformed seal, a seal of a non-member, two of one member, or too few.
    """
    members = set(validators)
    if not members:
        raise InvalidSeal("no validators to check against")
    digest = commit_hash(header, certificate.round)
    authors: set[bytes] = set()
    for seal in certificate.seals:
        author = seal_author(digest, seal)
        if author not in members:
            raise InvalidSeal(f"seal of 0x{author.hex()}, who is no validator of this height")
        if author in authors:
            raise InvalidSeal(f"two seals of 0x{author.hex()}")
        authors.add(author)
    need = quorum(len(members))
    if len(authors) < need:
        raise InvalidSeal(f"{len(authors)} seals, want {need} of {len(members)} validators")
