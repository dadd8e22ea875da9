"""Messages as bytes: round trips, one accepted encoding, one chain, one author."""

from dataclasses import replace

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import rlp
from chain.certificate import CommitCertificate
from chain.extra_data import sealed_extra_data
from consensus.codec import (
    MAX_EVIDENCE,
    MAX_VOTE_BYTES,
    Domain,
    decode_message,
    encode_message,
    proposed_block,
)
from consensus.core.messages import Code, CommitPayload, Draft, Message
from consensus.core.types import ProposedBlock
from consensus.errors import MessageError, UnknownSender
from consensus.signer import sign_digest
from tests.consensus.votes import (
    BLOCK,
    BY_ADDRESS,
    VALIDATORS,
    commit,
    prepare,
    proposal,
    round_change,
    sign,
)
from tests.sim.world import DOMAIN, digest_of, header_of

EVIDENCE = tuple(round_change(i, 2, (1, BLOCK)).signed for i in range(3))
PREPARES = tuple(prepare(i, 1).signed for i in range(3))
MESSAGES: tuple[Message, ...] = (
    proposal(0),
    proposal(2, 2, BLOCK, EVIDENCE, PREPARES),
    prepare(1),
    prepare(1, 3),
    commit(2),
    commit(2, 7),
    round_change(3, 1),
    round_change(3, 2, (1, BLOCK)),
)


def decode(code: int, body: bytes, domain: Domain = DOMAIN) -> Message:
    return decode_message(code, body, domain, VALIDATORS.__contains__)


@pytest.mark.parametrize("message", MESSAGES)
def test_round_trip(message: Message) -> None:
    assert decode(*encode_message(message)) == message


@pytest.mark.parametrize("message", MESSAGES)
def test_every_truncation_and_extension_is_refused(message: Message) -> None:
    code, body = encode_message(message)
    for end in range(len(body)):
        with pytest.raises(MessageError):
            decode(code, body[:end])
    with pytest.raises(MessageError):
        decode(code, body + b"\0")


@given(st.sampled_from(MESSAGES), st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_bit_is_refused(message: Message, data: st.DataObject) -> None:
    """Signatures cover what matters; evidence and blocks carry their own."""
    code, body = encode_message(message)
    at = data.draw(st.integers(0, len(body) * 8 - 1))
    damaged = bytearray(body)
    damaged[at // 8] ^= 1 << at % 8
    try:
        decoded = decode(code, bytes(damaged))
    except MessageError:
        return
    # What still decodes lost nothing that was signed: a ROUND-CHANGE's own block (checked by the
    # core against its lock), or evidence that is now by another author.
    assert decoded.signed == message.signed
    assert decoded != message


@given(st.integers(0, 255), st.binary(max_size=200))
def test_noise_is_refused(code: int, body: bytes) -> None:
    with pytest.raises(MessageError):
        decode(code, body)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize(
    "domain",
    [
        replace(DOMAIN, chain_id=DOMAIN.chain_id + 1),
        replace(DOMAIN, protocol_version=2),
        replace(DOMAIN, genesis_hash=b"\1" * 32),
    ],
)
def test_nothing_counts_on_another_chain_or_version(message: Message, domain: Domain) -> None:
    with pytest.raises(UnknownSender):
        decode(*encode_message(message), domain=domain)


def test_a_body_under_another_code_is_refused() -> None:
    """The code is signed: a PREPARE is no ROUND-CHANGE evidence and the other way round."""
    code, body = encode_message(prepare(1))
    for other in Code:
        if other != code:
            with pytest.raises(MessageError):
                decode(other, body)


def test_strangers_are_turned_away_before_the_block_is_read() -> None:
    noise = ProposedBlock(1, b"", b"", 0, b"no block at all")
    message = replace(proposal(0), signed=proposal(0, block=noise).signed)
    code, body = encode_message(message)
    with pytest.raises(UnknownSender, match="signed by 0x"):
        decode_message(code, body, DOMAIN, lambda _: False)
    with pytest.raises(MessageError, match="block"):
        decode(code, body)


def test_a_commit_must_carry_its_authors_seal() -> None:
    digest = digest_of(BLOCK.encoded, 0)
    foreign = sign_digest(PrivateKey(BY_ADDRESS[VALIDATORS[3]]), digest)
    message = sign(1, Draft(CommitPayload(1, 0, digest, foreign)))
    with pytest.raises(MessageError, match="with the seal of"):
        decode(*encode_message(message))


def test_high_s_is_refused() -> None:
    """The same signature in its other form would let messages be doubled."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    message = prepare(1)
    old = message.signed.signature
    high = (order - int.from_bytes(old[32:64], "big")).to_bytes(32, "big")
    twisted = old[:32] + high + bytes([old[64] ^ 1])
    signed = replace(message.signed, signature=twisted)
    with pytest.raises(MessageError, match="high"):
        decode(*encode_message(replace(message, signed=signed)))


def test_limits() -> None:
    with pytest.raises(MessageError, match="the limit is 2048"):
        decode(Code.PREPARE, bytes(MAX_VOTE_BYTES + 1))
    with pytest.raises(MessageError, match="unknown message code 0x16"):
        decode(0x16, b"")
    crowd = tuple(prepare(1).signed for _ in range(MAX_EVIDENCE + 1))
    with pytest.raises(MessageError, match="at most 100"):
        decode(*encode_message(proposal(0, prepares=crowd)))


def test_blocks_come_in_the_chain_form_only() -> None:
    header = header_of(BLOCK.encoded)
    certificate = CommitCertificate(1, (b"\1" * 65,))
    sealed = replace(header, extra_data=sealed_extra_data(header, certificate))
    parts = [sealed.rlp, b"\xc0", b"\xc0", b"\xc0"]
    with pytest.raises(MessageError, match="extra_data"):
        proposed_block(rlp.join_list(parts))
    with pytest.raises(MessageError, match="3 parts"):
        proposed_block(rlp.join_list(parts[:3]))
    assert proposed_block(BLOCK.encoded) == BLOCK


def test_a_proposal_of_another_height_than_its_block_is_refused() -> None:
    message = proposal(0)
    payload = replace(message.signed.payload, height=2)
    with pytest.raises(MessageError, match="height 2 with a block of height 1"):
        decode(*encode_message(sign(0, Draft(payload))))
