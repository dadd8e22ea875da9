"""When a PROPOSAL or a ROUND-CHANGE may be believed.

Source: ``isProposalJustification``, ``isValidProposal`` and ``validRoundChange`` of the Dafny model
(ConsenSys/qbft-formal-spec-and-verification, dafny/spec/L1), with two rules made stricter: no
superfluous evidence, and two prepared digests of one round are refused. Numbers in parentheses are
rules of docs/spec/consensus.md. Each function names the first rule that is broken, or returns None.
"""

from collections.abc import Callable, Sequence

from consensus.core.messages import (
    Prepared,
    Proposal,
    RoundChange,
    SignedPrepare,
    SignedRoundChange,
)
from consensus.core.types import Height, ProposedBlock

Digest = Callable[[bytes, int], bytes]


def proposal_fault(height: Height, proposal: Proposal, digest: Digest) -> str | None:
    """Check author, block and justification (5.2, 1 to 3); execution is checked elsewhere.

    Args:
        height: being decided; the proposal is of this height.
        proposal: of any round, signatures checked.
        digest: (encoded block, round) -> commit digest.
    """
    payload, author = proposal.signed.payload, proposal.signed.author
    if author != height.proposer(payload.round):
        return f"the proposer of round {payload.round} is not its author"
    fault = block_fault(height, payload.block)
    if fault is not None:
        return fault
    if payload.round == 0:
        return _first_round_fault(proposal)
    fault = _round_changes_fault(height, payload.round, proposal.round_changes)
    if fault is not None:
        return fault
    best = highest_prepared(proposal.round_changes)
    if best is None:
        return _fresh_block_fault(proposal)
    if digest(payload.block.encoded, best.round) != best.digest:
        return f"not the block prepared in round {best.round}"
    return prepares_fault(height, best, proposal.prepares)


def round_change_fault(height: Height, message: RoundChange, digest: Digest) -> str | None:
    """Check a ROUND-CHANGE of this height together with its evidence (5.8)."""
    payload = message.signed.payload
    if payload.round < 1:
        return "ROUND-CHANGE for round 0"
    prepared = payload.prepared
    if prepared is None:
        return None if message.block is None and not message.prepares else "evidence without a lock"
    if prepared.round >= payload.round:
        return f"prepared in round {prepared.round}, not below round {payload.round}"
    if message.block is None:
        return "prepared, but without the block"
    fault = block_fault(height, message.block)
    if fault is not None:
        return fault
    if digest(message.block.encoded, prepared.round) != prepared.digest:
        return "the block is not the prepared one"
    return prepares_fault(height, prepared, message.prepares)


def block_fault(height: Height, block: ProposedBlock) -> str | None:
    """Check that a block extends the parent (5.2, 1)."""
    if block.height != height.number:
        return f"block of height {block.height}, expected {height.number}"
    if block.parent_hash != height.parent_hash:
        return f"parent {block.parent_hash.hex()}, expected {height.parent_hash.hex()}"
    return None


def prepares_fault(
    height: Height, prepared: Prepared, prepares: Sequence[SignedPrepare]
) -> str | None:
    """Check a quorum of PREPAREs, distinct validators, all for this round and digest (5.2, 3)."""
    authors = {prepare.author for prepare in prepares}
    if len(authors) != len(prepares) or not authors.issubset(height.validators):
        return "PREPAREs not by distinct validators"
    if len(authors) < height.quorum:
        return f"{len(authors)} PREPAREs, quorum {height.quorum}"
    expected = (height.number, prepared.round, prepared.digest)
    for prepare in prepares:
        payload = prepare.payload
        if (payload.height, payload.round, payload.digest) != expected:
            return "a PREPARE for another height, round or digest"
    return None


def highest_prepared(round_changes: Sequence[SignedRoundChange]) -> Prepared | None:
    """The lock of the highest round among them (5.2, 3); None when nobody is locked."""
    locks = [item.payload.prepared for item in round_changes if item.payload.prepared is not None]
    return max(locks, key=lambda lock: lock.round, default=None)


def _first_round_fault(proposal: Proposal) -> str | None:
    if proposal.round_changes or proposal.prepares:
        return "round 0 needs no justification"
    return _coinbase_fault(proposal)


def _fresh_block_fault(proposal: Proposal) -> str | None:
    if proposal.prepares:
        return "PREPAREs although nobody is prepared"
    return _coinbase_fault(proposal)


def _coinbase_fault(proposal: Proposal) -> str | None:
    if proposal.signed.payload.block.coinbase != proposal.signed.author:
        return "coinbase of a fresh block is not its proposer"
    return None


def _round_changes_fault(
    height: Height, round_number: int, round_changes: Sequence[SignedRoundChange]
) -> str | None:
    authors = {item.author for item in round_changes}
    if len(authors) != len(round_changes) or not authors.issubset(height.validators):
        return "ROUND-CHANGEs not by distinct validators"
    if len(authors) < height.quorum:
        return f"{len(authors)} ROUND-CHANGEs, quorum {height.quorum}"
    locks: dict[int, bytes] = {}
    for item in round_changes:
        payload = item.payload
        if (payload.height, payload.round) != (height.number, round_number):
            return "a ROUND-CHANGE for another height or round"
        lock = payload.prepared
        if lock is None:
            continue
        if lock.round >= round_number:
            return f"a ROUND-CHANGE prepared in round {lock.round}, not below {round_number}"
        if locks.setdefault(lock.round, lock.digest) != lock.digest:
            return f"two digests prepared in round {lock.round}"
    return None
