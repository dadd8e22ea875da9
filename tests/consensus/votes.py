"""Signed messages for tests; keys and blocks are those of the simulator."""

from coincurve import PrivateKey

from consensus.core.messages import (
    Commit,
    CommitPayload,
    Draft,
    Message,
    Payload,
    Prepare,
    Prepared,
    PreparePayload,
    Proposal,
    ProposalPayload,
    RoundChange,
    RoundChangePayload,
    SignedPrepare,
    SignedRoundChange,
    seal_message,
)
from consensus.core.types import Config, Height, ProposedBlock
from consensus.signer import sign_digest
from tests.sim.world import DOMAIN, GENESIS, KEYS, address_of, digest_of, make_block

BY_ADDRESS = {address_of(key): key for key in KEYS[:4]}
VALIDATORS = tuple(sorted(BY_ADDRESS))
HEIGHT = Height(1, GENESIS.hash, GENESIS.coinbase, VALIDATORS)
BLOCK = make_block(GENESIS, VALIDATORS[0], b"one")
OTHER = make_block(GENESIS, VALIDATORS[0], b"other")


def config(index: int) -> Config:
    return Config(VALIDATORS[index], digest_of, 2_000, 16_000)


def sign(index: int, draft: Draft, key: bytes | None = None) -> Message:
    """The draft as validator ``index`` sends it; a COMMIT gets its seal."""
    private = PrivateKey(key or BY_ADDRESS[VALIDATORS[index]])
    payload: Payload = draft.payload
    if isinstance(payload, CommitPayload) and not payload.seal:
        seal = sign_digest(private, payload.digest)
        payload = CommitPayload(payload.height, payload.round, payload.digest, seal)
    signature = sign_digest(private, DOMAIN.digest(payload))
    return seal_message(draft, VALIDATORS[index], payload, signature)


def proposal(
    index: int,
    round_number: int = 0,
    block: ProposedBlock = BLOCK,
    round_changes: tuple[SignedRoundChange, ...] = (),
    prepares: tuple[SignedPrepare, ...] = (),
) -> Proposal:
    draft = Draft(ProposalPayload(block.height, round_number, block), round_changes, prepares)
    message = sign(index, draft)
    assert isinstance(message, Proposal)
    return message


def prepare(index: int, round_number: int = 0, block: ProposedBlock = BLOCK) -> Prepare:
    digest = digest_of(block.encoded, round_number)
    message = sign(index, Draft(PreparePayload(block.height, round_number, digest)))
    assert isinstance(message, Prepare)
    return message


def commit(index: int, round_number: int = 0, block: ProposedBlock = BLOCK) -> Commit:
    digest = digest_of(block.encoded, round_number)
    message = sign(index, Draft(CommitPayload(block.height, round_number, digest)))
    assert isinstance(message, Commit)
    return message


def round_change(
    index: int,
    round_number: int,
    lock: tuple[int, ProposedBlock] | None = None,
    prepares: tuple[SignedPrepare, ...] | None = None,
    height: int = 1,
) -> RoundChange:
    """``lock`` is (round, block); its PREPAREs are those of validators 0 to 2 unless given."""
    if lock is None:
        draft = Draft(RoundChangePayload(height, round_number, None))
    else:
        number, block = lock
        prepared = Prepared(number, digest_of(block.encoded, number))
        evidence = prepares or tuple(prepare(i, number, block).signed for i in range(3))
        payload = RoundChangePayload(height, round_number, prepared)
        draft = Draft(payload, prepares=evidence, block=block)
    message = sign(index, draft)
    assert isinstance(message, RoundChange)
    return message
