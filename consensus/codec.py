"""Consensus messages as bytes: strict RLP, domain-separated signatures, authors recovered.

Layout: docs/spec/consensus.md, section 4. Whatever leaves ``decode_message`` is proven to be signed
by its author for this chain; who may vote and what is justified is decided by ``consensus.core``.
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
        return _DECODERS[kind](rlp.decode_list(body), domain, is_validator)
    except rlp.RlpError as error:
        raise MessageError(f"malformed {kind.name}: {error}") from None


def proposed_block(encoded: bytes) -> ProposedBlock:
    """Read the header of an RLP block, which must be in the CHAIN form; the body stays opaque.

    Raises:
        MessageError: not a block, or round and seals inside the header.
    """
    try:
        parts = rlp.split_list(encoded)
        if len(parts) != 4:
            raise MessageError(f"block has {len(parts)} parts, want 4")
        header = decode_header(parts[0])
        check_chain_extra_data(header.extra_data)
    except (rlp.RlpError, InvalidBlock) as error:
        raise MessageError(f"block: {error}") from None
    return ProposedBlock(
        header.number, header.parent_hash, header.coinbase, header.timestamp, encoded
    )


IsValidator = Callable[[bytes], bool]


def _proposal(items: list[rlp.Decoded], domain: Domain, is_validator: IsValidator) -> Message:
    payload_items, signature, round_changes, prepares = _exactly(items, 4)
    fields = _exactly(rlp.as_list(payload_items), 3)
    raw = rlp.as_bytes(fields[2])
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
        Signed(payload, author, rlp.as_bytes(signature)),
        tuple(_round_change_evidence(item, domain) for item in _evidence(round_changes)),
        tuple(_prepare_evidence(item, domain) for item in _evidence(prepares)),
    )


def _prepare(items: list[rlp.Decoded], domain: Domain, is_validator: IsValidator) -> Message:
    signed = _prepare_evidence(items, domain)
    _must_vote(signed.author, is_validator)
    return Prepare(signed)


def _commit(items: list[rlp.Decoded], domain: Domain, is_validator: IsValidator) -> Message:
    payload_items, signature = _exactly(items, 2)
    fields = _exactly(rlp.as_list(payload_items), 4)
    height, round_number = _view(fields)
    digest, seal = rlp.as_bytes(fields[2], 32), rlp.as_bytes(fields[3], 65)
    payload = CommitPayload(height, round_number, digest, seal)
    author = _author(payload, signature, domain)
    _must_vote(author, is_validator)
    try:
        sealer = seal_author(digest, seal)
    except InvalidSeal as error:
        raise MessageError(f"COMMIT: {error}") from None
    if sealer != author:
        raise MessageError(f"COMMIT by 0x{author.hex()} with the seal of 0x{sealer.hex()}")
    return Commit(Signed(payload, author, rlp.as_bytes(signature)))


def _round_change(items: list[rlp.Decoded], domain: Domain, is_validator: IsValidator) -> Message:
    payload_items, signature, block, prepares = _exactly(items, 4)
    signed = _round_change_evidence([payload_items, signature], domain)
    _must_vote(signed.author, is_validator)
    raw = rlp.as_bytes(block)
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


def _prepare_evidence(item: rlp.Decoded, domain: Domain) -> SignedPrepare:
    payload_items, signature = _exactly(rlp.as_list(item), 2)
    fields = _exactly(rlp.as_list(payload_items), 3)
    payload = PreparePayload(*_view(fields), rlp.as_bytes(fields[2], 32))
    return Signed(payload, _author(payload, signature, domain), rlp.as_bytes(signature))


def _round_change_evidence(item: rlp.Decoded, domain: Domain) -> SignedRoundChange:
    payload_items, signature = _exactly(rlp.as_list(item), 2)
    fields = _exactly(rlp.as_list(payload_items), 3)
    prepared = None
    lock = rlp.as_list(fields[2])
    if lock:
        round_number, digest = _exactly(lock, 2)
        prepared = Prepared(rlp.as_uint(round_number, ROUND_BITS), rlp.as_bytes(digest, 32))
    payload = RoundChangePayload(*_view(fields), prepared)
    return Signed(payload, _author(payload, signature, domain), rlp.as_bytes(signature))


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


def _author(payload: Payload, signature: rlp.Decoded, domain: Domain) -> bytes:
    try:
        return seal_author(domain.digest(payload), rlp.as_bytes(signature, 65))
    except InvalidSeal as error:
        raise MessageError(f"signature: {error}") from None


def _must_vote(author: bytes, is_validator: IsValidator) -> None:
    if not is_validator(author):
        raise UnknownSender(author)


def _evidence(item: rlp.Decoded) -> list[rlp.Decoded]:
    items = rlp.as_list(item)
    if len(items) > MAX_EVIDENCE:
        raise rlp.RlpError(f"{len(items)} signed payloads as evidence, at most {MAX_EVIDENCE}")
    return items


def _view(fields: list[rlp.Decoded]) -> tuple[int, int]:
    return rlp.as_uint(fields[0], HEIGHT_BITS), rlp.as_uint(fields[1], ROUND_BITS)


def _exactly(items: list[rlp.Decoded], count: int) -> list[rlp.Decoded]:
    if len(items) != count:
        raise rlp.RlpError(f"{len(items)} items, want {count}")
    return items
