"""Consensus messages as bytes: strict RLP, domain-separated signatures, authors recovered.

Layout: docs/spec/consensus.md, section 4. Whatever leaves ``decode_message`` is proven to be signed
by its author for this chain; who may vote and what is justified is decided by ``consensus.core``.
Lists are split as far as their layout goes and no further, and evidence only after the author is
known to vote: a stranger's 9 MiB cost a hash, not seconds of decoding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chain import rlp
from chain.errors import InvalidBlock, InvalidSeal
from chain.extra_data import check_chain_extra_data
from chain.header import decode_header
from chain.seals import seal_author
from consensus.core.messages import (
    Code,
    Commit,
    CommitPayload,
    Message,
    Payload,
    Prepare,
    Prepared,
    PreparePayload,
    Proposal,
    ProposalPayload,
    RoundChange,
    RoundChangePayload,
    Signed,
    SignedPrepare,
    SignedRoundChange,
)
from consensus.core.types import ProposedBlock
from consensus.errors import MessageError, UnknownSender
from precompiles.hashing import keccak256

MAX_VOTE_BYTES: Final = 2 << 10
"""Largest PREPARE or COMMIT body."""
MAX_BLOCK_MESSAGE_BYTES: Final = 9 << 20
"""Largest PROPOSAL or ROUND-CHANGE body: a block of 8 MiB and its evidence."""
MAX_HEADER_BYTES: Final = 2 << 10
"""Largest RLP of a block header; those of this chain have some 600 bytes."""
MAX_EVIDENCE: Final = 100
"""Most ROUND-CHANGEs, and most PREPAREs, inside one message; no set is larger."""
LIMITS: Final = {
    Code.PROPOSAL: MAX_BLOCK_MESSAGE_BYTES,
    Code.PREPARE: MAX_VOTE_BYTES,
    Code.COMMIT: MAX_VOTE_BYTES,
    Code.ROUND_CHANGE: MAX_BLOCK_MESSAGE_BYTES,
}
HEIGHT_BITS: Final = 64
ROUND_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class Domain:
    """What every signature is bound to, so that no message counts on another chain or version."""

    protocol_version: int
    chain_id: int
    genesis_hash: bytes

    def digest(self, payload: Payload) -> bytes:
        """What to sign: keccak256(rlp([version, chain id, genesis hash, code, payload]))."""
        code, items = _payload_items(payload)
        prefix = [rlp.uint(self.protocol_version), rlp.uint(self.chain_id), self.genesis_hash]
        return keccak256(rlp.encode([*prefix, rlp.uint(code), items]))


def encode_message(message: Message) -> tuple[Code, bytes]:
    """Code and body of a message."""
    match message:
        case Proposal():
            evidence: list[rlp.Item] = [
                [_signed_items(item) for item in message.round_changes],
                [_signed_items(item) for item in message.prepares],
            ]
            return Code.PROPOSAL, rlp.encode([*_signed_items(message.signed), *evidence])
        case Prepare():
            return Code.PREPARE, rlp.encode(_signed_items(message.signed))
        case Commit():
            return Code.COMMIT, rlp.encode(_signed_items(message.signed))
        case RoundChange():
            block = b"" if message.block is None else message.block.encoded
            prepares = [_signed_items(item) for item in message.prepares]
            body = [*_signed_items(message.signed), block, prepares]
            return Code.ROUND_CHANGE, rlp.encode(body)


def decode_message(
    code: int, body: bytes, domain: Domain, is_validator: Callable[[bytes], bool]
) -> Message:
    """Read a message and check every signature in it.

    Args:
        code: message code, before the body on the wire.
        body: as ``encode_message`` gives it.
        domain: of this chain.
        is_validator: asked for the author before evidence and block are looked at.

    Raises:
        UnknownSender: the author may not vote.
        MessageError: unknown code, too long, not canonical, or a bad signature or seal.
    """
    try:
        kind = Code(code)
    except ValueError:
        raise MessageError(f"unknown message code 0x{code:02x}") from None
    if len(body) > LIMITS[kind]:
        raise MessageError(f"{kind.name} of {len(body)} bytes, the limit is {LIMITS[kind]}")
    try:
        return _DECODERS[kind](rlp.split_up_to(body, 4), domain, is_validator)
    except rlp.RlpError as error:
        raise MessageError(f"malformed {kind.name}: {error}") from None


def header_part(encoded: bytes) -> bytes:
    """The RLP of the header in an RLP block; the rest is not looked at.

    Raises:
        InvalidBlock: not four parts, or a header above 2 KiB.
    """
    try:
        parts = rlp.split_up_to(encoded, 4)
    except rlp.RlpError as error:
        raise InvalidBlock(f"block: {error}") from None
    if len(parts) != 4:
        raise InvalidBlock(f"block has {len(parts)} parts, want 4")
    if len(parts[0]) > MAX_HEADER_BYTES:
        raise InvalidBlock(f"header of {len(parts[0])} bytes, at most {MAX_HEADER_BYTES}")
    return parts[0]


def proposed_block(encoded: bytes) -> ProposedBlock:
    """Read the header of an RLP block, which must be in the CHAIN form; the body stays opaque.

    Raises:
        MessageError: not a block, or round and seals inside the header.
    """
    try:
        header = decode_header(header_part(encoded))
        check_chain_extra_data(header.extra_data)
    except InvalidBlock as error:
        raise MessageError(f"block: {error}") from None
    return ProposedBlock(
        header.number, header.parent_hash, header.coinbase, header.timestamp, encoded
    )


IsValidator = Callable[[bytes], bool]


def _proposal(items: list[bytes], domain: Domain, is_validator: IsValidator) -> Message:
    payload_items, signature, round_changes, prepares = _exactly(items, 4)
    fields = _split(payload_items, 3)
    raw = rlp.string(fields[2])
    height, round_number = _view(fields)
    # The signature covers the block's bytes: they need not make sense to find the author.
    unread = ProposalPayload(height, round_number, ProposedBlock(0, b"", b"", 0, raw))
    author = _author(unread, signature, domain)
    _must_vote(author, is_validator)
    block = proposed_block(raw)
    if block.height != height:
        raise MessageError(f"PROPOSAL of height {height} with a block of height {block.height}")
    payload = ProposalPayload(height, round_number, block)
    return Proposal(
        Signed(payload, author, rlp.string(signature)),
        tuple(_round_change_evidence(item, domain) for item in _evidence(round_changes)),
        tuple(_prepare_evidence(item, domain) for item in _evidence(prepares)),
    )


def _prepare(items: list[bytes], domain: Domain, is_validator: IsValidator) -> Message:
    signed = _signed_prepare(items, domain)
    _must_vote(signed.author, is_validator)
    return Prepare(signed)


def _commit(items: list[bytes], domain: Domain, is_validator: IsValidator) -> Message:
    payload_items, signature = _exactly(items, 2)
    fields = _split(payload_items, 4)
    height, round_number = _view(fields)
    digest, seal = _sized(fields[2], 32), _sized(fields[3], 65)
    payload = CommitPayload(height, round_number, digest, seal)
    author = _author(payload, signature, domain)
    _must_vote(author, is_validator)
    try:
        sealer = seal_author(digest, seal)
    except InvalidSeal as error:
        raise MessageError(f"COMMIT: {error}") from None
    if sealer != author:
        raise MessageError(f"COMMIT by 0x{author.hex()} with the seal of 0x{sealer.hex()}")
    return Commit(Signed(payload, author, rlp.string(signature)))


def _round_change(items: list[bytes], domain: Domain, is_validator: IsValidator) -> Message:
    payload_items, signature, block, prepares = _exactly(items, 4)
    signed = _signed_round_change([payload_items, signature], domain)
    _must_vote(signed.author, is_validator)
    raw = rlp.string(block)
    return RoundChange(
        signed,
        proposed_block(raw) if raw else None,
        tuple(_prepare_evidence(item, domain) for item in _evidence(prepares)),
    )


_DECODERS: Final = {
    Code.PROPOSAL: _proposal,
    Code.PREPARE: _prepare,
    Code.COMMIT: _commit,
    Code.ROUND_CHANGE: _round_change,
}


def _prepare_evidence(item: bytes, domain: Domain) -> SignedPrepare:
    return _signed_prepare(_split(item, 2), domain)


def _round_change_evidence(item: bytes, domain: Domain) -> SignedRoundChange:
    return _signed_round_change(_split(item, 2), domain)


def _signed_prepare(items: list[bytes], domain: Domain) -> SignedPrepare:
    payload_items, signature = _exactly(items, 2)
    fields = _split(payload_items, 3)
    payload = PreparePayload(*_view(fields), _sized(fields[2], 32))
    return Signed(payload, _author(payload, signature, domain), rlp.string(signature))


def _signed_round_change(items: list[bytes], domain: Domain) -> SignedRoundChange:
    payload_items, signature = _exactly(items, 2)
    fields = _split(payload_items, 3)
    prepared = None
    if lock := rlp.split_up_to(fields[2], 2):
        round_number, digest = _exactly(lock, 2)
        prepared = Prepared(_uint(round_number, ROUND_BITS), _sized(digest, 32))
    payload = RoundChangePayload(*_view(fields), prepared)
    return Signed(payload, _author(payload, signature, domain), rlp.string(signature))


def _payload_items(payload: Payload) -> tuple[Code, list[rlp.Item]]:
    view: list[rlp.Item] = [rlp.uint(payload.height), rlp.uint(payload.round)]
    match payload:
        case ProposalPayload():
            return Code.PROPOSAL, [*view, payload.block.encoded]
        case PreparePayload():
            return Code.PREPARE, [*view, payload.digest]
        case CommitPayload():
            return Code.COMMIT, [*view, payload.digest, payload.seal]
        case RoundChangePayload(prepared=prepared):
            lock = [] if prepared is None else [rlp.uint(prepared.round), prepared.digest]
            return Code.ROUND_CHANGE, [*view, lock]


def _signed_items(signed: Signed[Payload]) -> list[rlp.Item]:
    return [_payload_items(signed.payload)[1], signed.signature]


def _author(payload: Payload, signature: bytes, domain: Domain) -> bytes:
    try:
        return seal_author(domain.digest(payload), _sized(signature, 65))
    except InvalidSeal as error:
        raise MessageError(f"signature: {error}") from None


def _must_vote(author: bytes, is_validator: IsValidator) -> None:
    if not is_validator(author):
        raise UnknownSender(author)


def _evidence(item: bytes) -> list[bytes]:
    return rlp.split_up_to(item, MAX_EVIDENCE)


def _view(fields: list[bytes]) -> tuple[int, int]:
    return _uint(fields[0], HEIGHT_BITS), _uint(fields[1], ROUND_BITS)


def _uint(item: bytes, bits: int) -> int:
    return rlp.as_uint(rlp.string(item), bits)


def _sized(item: bytes, size: int) -> bytes:
    return rlp.as_bytes(rlp.string(item), size)


def _split(item: bytes, count: int) -> list[bytes]:
    return _exactly(rlp.split_up_to(item, count), count)


def _exactly(items: list[bytes], count: int) -> list[bytes]:
    if len(items) != count:
        raise rlp.RlpError(f"{len(items)} items, want {count}")
    return items
