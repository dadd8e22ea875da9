"""Inside a round: PROPOSAL, PREPARE, COMMIT. Pure; each function returns next state and effects.

Numbers in parentheses are rules of docs/spec/consensus.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar

from consensus.core.events import (
    Accepted,
    Broadcast,
    CommitBlock,
    Diverged,
    Effects,
    Lock,
    Locked,
    Persist,
    Rejected,
    RequestBlocks,
    RoundEntered,
    ValidateBlock,
)
from consensus.core.justification import proposal_fault
from consensus.core.messages import (
    Code,
    Commit,
    CommitPayload,
    Draft,
    Prepare,
    PreparePayload,
    Proposal,
    ProposalPayload,
    SignedPrepare,
    SignedRoundChange,
)
from consensus.core.state import State, Votes
from consensus.core.types import ProposedBlock

Step = tuple[State, Effects]
V = TypeVar("V")

VOTES_PER_AUTHOR: Final = 64
"""PREPAREs, and COMMITs, kept of one validator in one height: those of its highest rounds (5.9)."""

BLOCKS_KEPT: Final = 8
"""Blocks kept of one height, beside those that are locked or being executed: the newest (5.9)."""


def add_vote(votes: Mapping[Votes, V], key: Votes, vote: V, limit: int) -> Mapping[Votes, V]:
    """Record the first vote of an author in a round (5); over the limit its lowest goes (5.9)."""
    if key in votes:
        return votes
    rounds = sorted(number for number, author in votes if author == key[1])
    if len(rounds) < limit:
        return {**votes, key: vote}
    if key[0] < rounds[0]:
        return votes
    return {k: v for k, v in votes.items() if k != (rounds[0], key[1])} | {key: vote}


def on_proposal(state: State, message: Proposal) -> Step:
    """Take the first justified proposal of this or a later round, and have it validated (5.2)."""
    payload = message.signed.payload
    if payload.round < state.round:
        return _on_late_proposal(state, payload)
    if payload.round == state.round and state.candidate is not None:
        return state, ()
    fault = proposal_fault(state.height, message, state.config.commit_digest)
    if fault is not None:
        reason = f"PROPOSAL ({payload.height}, {payload.round}): {fault}"
        return state, (Rejected(message.signed.author, reason),)
    effects: Effects = ()
    if payload.round > state.round:
        state = move_to(state, payload.round)
        if state.voting:
            effects = (Persist(RoundEntered(payload.height, payload.round)),)
    state, started = start_timer(state)
    state, more = _validate(replace(state, candidate=payload.block), payload.block)
    return state, effects + started + more


def on_validated(state: State, block: ProposedBlock, valid: bool) -> Step:
    """Record the executor's verdict; it may complete an acceptance (5.2) or a decision (5.5)."""
    key = state.block_key(block)
    if state.blocks.get(key) is None or key in state.verdicts:
        return state, ()
    state = replace(state, verdicts={**state.verdicts, key: valid})
    state, effects = _accept(state)
    state, more = decide(state)
    return state, effects + more


def on_prepare(state: State, message: Prepare) -> Step:
    """Record one vote per author, even before the proposal; the first wins (5, 5.4)."""
    payload = message.signed.payload
    if payload.round < state.round:
        return state, ()
    key = (payload.round, message.signed.author)
    votes = add_vote(state.prepares, key, message, VOTES_PER_AUTHOR)
    return _prepared(replace(state, prepares=votes))


def on_commit(state: State, message: Commit) -> Step:
    """Record one vote per author and round, of any round of this height (5.5)."""
    payload = message.signed.payload
    key = (payload.round, message.signed.author)
    votes = add_vote(state.commits, key, message, VOTES_PER_AUTHOR)
    state, effects = decide(replace(state, commits=votes))
    if not effects and _is_unknown(state, payload):
        effects = (RequestBlocks(message.signed.author, payload.height),)
    return state, effects


def propose(
    state: State,
    block: ProposedBlock,
    round_changes: tuple[SignedRoundChange, ...],
    prepares: tuple[SignedPrepare, ...],
) -> Step:
    """Send a PROPOSAL of the current round (5.1, 5.8); at most one ever."""
    vote = (state.round, Code.PROPOSAL)
    if not state.voting or vote in state.cast:
        return state, ()
    payload = ProposalPayload(state.height.number, state.round, block)
    state = replace(state, cast={**state.cast, vote: state.digest(block, state.round)})
    return state, (Broadcast(Draft(payload, round_changes, prepares)),)


def on_built(state: State, round_number: int, block: ProposedBlock) -> Step:
    """Propose the block that was asked for (5.1, 5.8), unless the round has passed."""
    if round_number != state.round or state.evidence is None or state.candidate is not None:
        return state, ()
    round_changes = state.evidence
    state = _remember(replace(state, evidence=None), block)
    state = replace(state, verdicts={**state.verdicts, state.block_key(block): True})
    return propose(state, block, round_changes, ())


def move_to(state: State, round_number: int) -> State:
    """Begin a later round (5.2, 5.6): the lock and all votes stay, the candidate goes."""
    return replace(
        state,
        round=round_number,
        waiting=True,
        candidate=None,
        accepted=False,
        commit_sent=False,
        evidence=None,
    )


def start_timer(state: State) -> Step:
    """Start the round's timer once (5.1, 5.7); a node that does not vote has none and follows."""
    if not state.waiting:
        return state, ()
    return replace(state, waiting=False), (state.round_timer(),) if state.voting else ()


def decide(state: State) -> Step:
    """Decide if a quorum of COMMITs, of whatever round, names a block that we know (5.5)."""
    if state.done:
        return state, ()
    for (round_number, digest), seals in _quorums(state).items():
        for key, block in state.blocks.items():
            if key in state.verdicts and state.digest(block, round_number) == digest:
                if state.verdicts[key]:
                    return replace(state, done=True), (CommitBlock(block, round_number, seals),)
                return replace(state, done=True), (Diverged(block, round_number, seals),)
    return state, ()


def _quorums(state: State) -> dict[tuple[int, bytes], tuple[bytes, ...]]:
    """Seals of each (round, digest) with a quorum of COMMITs, in order of author."""
    seals: dict[tuple[int, bytes], list[bytes]] = {}
    for (round_number, _), commit in sorted(state.commits.items()):
        payload = commit.signed.payload
        seals.setdefault((round_number, payload.digest), []).append(payload.seal)
    quorum = state.height.quorum
    return {key: tuple(items) for key, items in seals.items() if len(items) >= quorum}


def _is_unknown(state: State, payload: CommitPayload) -> bool:
    """Whether a quorum decided a block that has never come here (5.5)."""
    if state.done or (payload.round, payload.digest) not in _quorums(state):
        return False
    return all(
        state.digest(block, payload.round) != payload.digest for block in state.blocks.values()
    )


def _on_late_proposal(state: State, payload: ProposalPayload) -> Step:
    """A proposal of a past round matters only when a quorum has decided it (5.5)."""
    if (payload.round, state.digest(payload.block, payload.round)) not in _quorums(state):
        return state, ()
    return _validate(state, payload.block)


def _validate(state: State, block: ProposedBlock) -> Step:
    key = state.block_key(block)
    if key in state.blocks:
        return _accept(state)
    return _remember(state, block), (ValidateBlock(block),)


def _remember(state: State, block: ProposedBlock) -> State:
    """Know a block. One that was dropped and is decided after all is asked for again."""
    locked = None if state.lock is None else state.block_key(state.lock.block)
    idle = [key for key in state.blocks if key in state.verdicts and key != locked]
    dropped = idle[: max(0, len(idle) + 1 - BLOCKS_KEPT)]
    blocks = {key: item for key, item in state.blocks.items() if key not in dropped}
    verdicts = {key: valid for key, valid in state.verdicts.items() if key not in dropped}
    return replace(state, blocks={**blocks, state.block_key(block): block}, verdicts=verdicts)


def _accept(state: State) -> Step:
    """PREPARE the candidate once it is found valid; never a second digest in one round (5.2)."""
    block = state.candidate
    if block is None or state.accepted or not state.verdicts.get(state.block_key(block), False):
        return state, ()
    digest = state.digest(block, state.round)
    vote = (state.round, Code.PREPARE)
    if state.cast.get(vote, digest) != digest:
        return state, ()
    state = replace(state, accepted=True, cast={**state.cast, vote: digest})
    effects: Effects = ()
    if state.voting:
        payload = PreparePayload(state.height.number, state.round, digest)
        entry = Accepted(state.height.number, state.round, block)
        effects = (Persist(entry), Broadcast(Draft(payload)))
    state, more = _prepared(state)
    return state, effects + more


def _prepared(state: State) -> Step:
    """Lock and COMMIT once a quorum prepared the accepted proposal (5.4)."""
    if state.candidate is None or not state.accepted or state.commit_sent or not state.voting:
        return state, ()
    digest = state.digest(state.candidate, state.round)
    vote = (state.round, Code.COMMIT)
    prepares = tuple(
        prepare.signed
        for (round_number, _), prepare in sorted(state.prepares.items())
        if round_number == state.round and prepare.signed.payload.digest == digest
    )
    if len(prepares) < state.height.quorum or state.cast.get(vote, digest) != digest:
        return state, ()
    state = replace(
        state,
        lock=Lock(state.round, state.candidate, prepares),
        commit_sent=True,
        cast={**state.cast, vote: digest},
    )
    payload = CommitPayload(state.height.number, state.round, digest)
    entry = Locked(state.height.number, state.round, prepares)
    return state, (Persist(entry), Broadcast(Draft(payload)))
