"""Three encodings of one header: CHAIN, COMMIT and SEALED (docs/spec/header-and-seals.md).

``extraData = RLP([vanity, validators[], vote, round, seals[]])``; in contract mode ``validators``
and ``vote`` are empty and ``vanity`` has at most 26 bytes.

====== ===== ======= ======================================================================
form   round seals   used for
====== ===== ======= ======================================================================
CHAIN  0     none    the stored header; its keccak256 is the block hash
COMMIT r     none    the digest of round r; the raw 32 bytes that a commit seal signs
SEALED r     >= q    wire and export form, rebuilt from CHAIN and the certificate
====== ===== ======= ======================================================================
"""

from dataclasses import dataclass, replace
from typing import Final

from chain import rlp
from chain.certificate import MAX_ROUND_BITS, SEAL_SIZE, CommitCertificate
from chain.errors import InvalidBlock
from chain.header import Header, decode_header

MAX_VANITY: Final = 26
MAX_STORED: Final = 32
"""Largest extraData of a stored header, in bytes."""


@dataclass(frozen=True, slots=True)
class ExtraData:
    """The parts that contract mode uses; a CHAIN form has round 0 and no seals."""

    vanity: bytes
    round: int
    seals: tuple[bytes, ...]


def encode_extra_data(parts: ExtraData) -> bytes:
    """RLP of the five fields; ``vanity`` at most 26 bytes (ValueError)."""
    if len(parts.vanity) > MAX_VANITY:
        raise ValueError(f"vanity of {len(parts.vanity)} bytes, at most {MAX_VANITY}")
    return rlp.encode([parts.vanity, [], [], rlp.uint(parts.round), parts.seals])


def chain_extra_data(vanity: bytes = b"") -> bytes:
    """The CHAIN form, 6 to 32 bytes."""
    return encode_extra_data(ExtraData(vanity, 0, ()))


def parse_extra_data(extra_data: bytes) -> ExtraData:
    """Read any of the three forms.

    Raises:
        InvalidBlock: not the five fields, a validator list or vote inside, or a long vanity.
    """
    try:
        items = rlp.decode_list(extra_data)
        if len(items) != 5:
            raise InvalidBlock(f"extra_data has {len(items)} fields, want 5")
        if items[1] != [] or items[2] != []:
            raise InvalidBlock("extra_data carries validators or a vote; contract mode has none")
        vanity = rlp.as_bytes(items[0])
        if len(vanity) > MAX_VANITY:
            raise InvalidBlock(f"extra_data vanity of {len(vanity)} bytes, at most {MAX_VANITY}")
        return ExtraData(
            vanity, rlp.as_uint(items[3], MAX_ROUND_BITS), rlp.bytes_list(items[4], SEAL_SIZE)
        )
    except rlp.RlpError as error:
        raise InvalidBlock(f"extra_data: {error}") from None


def check_chain_extra_data(extra_data: bytes) -> None:
    """Raise InvalidBlock unless ``extra_data`` is a CHAIN form of at most 32 bytes."""
    if len(extra_data) > MAX_STORED:
        raise InvalidBlock(f"extra_data of {len(extra_data)} bytes, at most {MAX_STORED}")
    parts = parse_extra_data(extra_data)
    if parts.round or parts.seals:
        raise InvalidBlock(
            f"extra_data has round {parts.round} and {len(parts.seals)} seals, want 0 and none"
        )


def commit_hash(header: Header, round: int) -> bytes:
    """keccak256 of the COMMIT form: what round ``round`` votes on and commit seals sign.

    Args:
        header: in any of the three forms; its own round and seals do not matter.
        round: consensus round, 0 to 2**32 - 1.
    """
    vanity = parse_extra_data(header.extra_data).vanity
    return replace(header, extra_data=encode_extra_data(ExtraData(vanity, round, ()))).hash


def commit_digest(encoded_block: bytes, round: int) -> bytes:
    """``commit_hash`` of an RLP block, whose body is not looked at; raises InvalidBlock."""
    try:
        parts = rlp.split_list(encoded_block)
    except rlp.RlpError as error:
        raise InvalidBlock(f"block: {error}") from None
    if not parts:
        raise InvalidBlock("block is an empty list")
    return commit_hash(decode_header(parts[0]), round)


def sealed_extra_data(header: Header, certificate: CommitCertificate) -> bytes:
    """The SEALED form of a header's extraData."""
    vanity = parse_extra_data(header.extra_data).vanity
    return encode_extra_data(ExtraData(vanity, certificate.round, certificate.seals))


def unseal(header: Header) -> tuple[Header, CommitCertificate]:
    """Split a SEALED header into its CHAIN form and its certificate."""
    parts = parse_extra_data(header.extra_data)
    chain_form = replace(header, extra_data=chain_extra_data(parts.vanity))
    return chain_form, CommitCertificate(parts.round, parts.seals)
